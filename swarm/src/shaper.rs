//! The hierarchy of rates that all torrents share: global -> class -> torrent -> link, in both directions.
//!
//! Each level is a token bucket that hands out *places in a queue* of bytes: who finds it empty claims the next
//! bytes it will release, and is told when that is. A link has one claim at most and claims no more than a
//! quantum, so that links of a parent take turns, and whoever waits can't be overtaken. A claim goes up
//! from the link to the global level, one level after the other: only who has passed the narrower level stands
//! in the wider one's queue, so a slow link or torrent hoards nothing of what others could use.
//!
//! Not here: sockets and timers. It sits behind one leaf lock in the engine, so each call costs a few
//! buckets' arithmetic and allocates nothing (but for adding).

use std::time::{Duration, Instant};

use crate::key::{Slab, slab_key};

mod bucket;

use bucket::Bucket;

/// Least bytes of a grant where more are wanted (ours): below it, headers and system calls cost more than bytes.
pub const QUANTUM_BYTES_MIN: u32 = 1024;

/// Most bytes of a grant while others may wait (ours): four blocks, so that nobody's turn is long.
pub const QUANTUM_BYTES_MAX: u32 = 64 * 1024;

/// A quantum is what the narrowest level lets through in this time, within the two bounds.
pub const QUANTUM_TIME: Duration = Duration::from_millis(20);

/// What a level can save up in silence: makes up for timers that fire late, and stays within 1 % of ten seconds.
pub const BURST_TIME: Duration = Duration::from_millis(100);

/// How far control messages may put a level into debt. Attack: a flood of them that stops all payload for hours.
pub const DEBT_TIME_MAX: Duration = Duration::from_secs(2);

/// What a link that is gone is told to wait.
const GONE: Duration = Duration::from_secs(1);

slab_key!(
    /// A class: a user, a stream.
    ClassKey
);
slab_key!(
    /// A torrent, as the shaper knows it.
    TorrentKey
);
slab_key!(
    /// A torrent's link to one peer.
    LinkKey
);

/// Which way bytes go, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To us.
    Download,
    /// From us.
    Upload,
}

/// Rates in bytes per second; `None` (and 0, as in the configuration) is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// To us.
    pub download: Option<u64>,
    /// From us.
    pub upload: Option<u64>,
}

/// What a link may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// So many bytes, at most what was wanted; they are taken from every level. 0 only if nothing was wanted.
    Now(u32),
    /// Nothing yet: ask again then (or earlier, if a limit was changed). The place in the queue is kept.
    Later(Instant),
}

/// All rates of the process.
#[derive(Debug)]
pub struct Shaper {
    global: Buckets,
    classes: Slab<Buckets, ClassKey>,
    torrents: Slab<Torrent, TorrentKey>,
    links: Slab<Link, LinkKey>,
}

#[derive(Debug)]
struct Torrent {
    class: Option<ClassKey>,
    buckets: Buckets,
}

#[derive(Debug)]
struct Link {
    torrent: TorrentKey,
    buckets: Buckets,
    claims: [Option<Claim>; 2],
}

/// A link's place in the queues, per direction.
#[derive(Clone, Copy, Debug)]
struct Claim {
    bytes: u32,
    /// The level whose queue it stands in. Lower ones are paid.
    level: Level,
    /// Its place there, as [`Bucket::claim`] gave it.
    place: u64,
}

/// The way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Link,
    Torrent,
    Class,
    Global,
}

const LEVELS: [Level; 4] = [Level::Link, Level::Torrent, Level::Class, Level::Global];

#[derive(Debug)]
struct Buckets([Bucket; 2]);

impl Buckets {
    fn new(limits: Limits, now: Instant) -> Self {
        Self([Bucket::new(limits.download, now), Bucket::new(limits.upload, now)])
    }

    fn set(&mut self, limits: Limits, now: Instant) {
        self.0[0].set_rate(limits.download, now);
        self.0[1].set_rate(limits.upload, now);
    }
}

impl Direction {
    fn as_usize(self) -> usize {
        match self {
            Self::Download => 0,
            Self::Upload => 1,
        }
    }
}

impl Shaper {
    /// Only the global level yet.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            global: Buckets::new(limits, now),
            classes: Slab::new(),
            torrents: Slab::new(),
            links: Slab::new(),
        }
    }

    /// Adds a class.
    pub fn add_class(&mut self, limits: Limits, now: Instant) -> ClassKey {
        self.classes.insert(Buckets::new(limits, now))
    }

    /// Adds a torrent, to a class or right under the global level.
    pub fn add_torrent(&mut self, class: Option<ClassKey>, limits: Limits, now: Instant) -> TorrentKey {
        self.torrents.insert(Torrent { class, buckets: Buckets::new(limits, now) })
    }

    /// Adds a link; `None` if the torrent is gone.
    pub fn add_link(&mut self, torrent: TorrentKey, limits: Limits, now: Instant) -> Option<LinkKey> {
        self.torrents.get(torrent)?;
        Some(self.links.insert(Link { torrent, buckets: Buckets::new(limits, now), claims: [None; 2] }))
    }

    /// Removes a class; its torrents hang right under the global level from now on.
    pub fn remove_class(&mut self, class: ClassKey) {
        self.classes.remove(class);
    }

    /// Removes a torrent with its links.
    pub fn remove_torrent(&mut self, torrent: TorrentKey) {
        let links: Vec<_> =
            self.links.iter().filter(|(_, link)| link.torrent == torrent).map(|(key, _)| key).collect();
        links.into_iter().for_each(|link| self.remove_link(link));
        self.torrents.remove(torrent);
    }

    /// Removes a link; what it had claimed goes to the others.
    pub fn remove_link(&mut self, link: LinkKey) {
        self.give_up(link, Direction::Download);
        self.give_up(link, Direction::Upload);
        self.links.remove(link);
    }

    /// Changes the global rates. Links that wait may ask again at once.
    pub fn set_global(&mut self, limits: Limits, now: Instant) {
        self.global.set(limits, now);
    }

    /// Changes a class's rates. Links that wait may ask again at once.
    pub fn set_class(&mut self, class: ClassKey, limits: Limits, now: Instant) {
        if let Some(buckets) = self.classes.get_mut(class) {
            buckets.set(limits, now);
        }
    }

    /// Moves a torrent to another class. Links that wait in the old one's queue join the new one's at its end,
    /// when they ask again.
    pub fn set_torrent_class(&mut self, torrent: TorrentKey, class: Option<ClassKey>) {
        for direction in [Direction::Download, Direction::Upload] {
            // A place means something in its own queue only.
            while let Some(link) = self.waiting_at_class(torrent, direction) {
                self.give_up(link, direction);
            }
        }
        if let Some(torrent) = self.torrents.get_mut(torrent) {
            torrent.class = class;
        }
    }

    /// Changes a torrent's rates. Links that wait may ask again at once.
    pub fn set_torrent(&mut self, torrent: TorrentKey, limits: Limits, now: Instant) {
        if let Some(torrent) = self.torrents.get_mut(torrent) {
            torrent.buckets.set(limits, now);
        }
    }

    /// Changes a link's rates.
    pub fn set_link(&mut self, link: LinkKey, limits: Limits, now: Instant) {
        if let Some(link) = self.links.get_mut(link) {
            link.buckets.set(limits, now);
        }
    }

    /// Asks for up to `want_bytes` of payload.
    ///
    /// After `Later` the link keeps its place: it asks again at that moment, or calls
    /// [`give_up`](Self::give_up) when it has nothing to send any more.
    pub fn take(&mut self, link: LinkKey, direction: Direction, want_bytes: u32, now: Instant) -> Grant {
        if !self.links.contains(link) {
            return Grant::Later(now + GONE);
        }
        if want_bytes == 0 {
            return Grant::Now(0);
        }
        let waiting = self.links.get(link).and_then(|link| link.claims[direction.as_usize()]);
        match waiting {
            Some(claim) => self.resume(link, direction, claim, want_bytes, now),
            None => self.begin(link, direction, want_bytes, now),
        }
    }

    /// Accounts for bytes that nobody asked about: protocol messages. Never delays them; the payload behind
    /// them waits the longer.
    pub fn debit(&mut self, link: LinkKey, direction: Direction, bytes: u32, now: Instant) {
        for level in LEVELS {
            if let Some(bucket) = self.bucket(link, level, direction) {
                bucket.debit(bytes, now);
            }
        }
    }

    /// Gives back what was granted and not used.
    pub fn refund(&mut self, link: LinkKey, direction: Direction, bytes: u32) {
        self.refund_to(link, direction, bytes, Level::Global);
    }

    /// Leaves the queues: what the link had claimed goes to those behind it.
    pub fn give_up(&mut self, link: LinkKey, direction: Direction) {
        let claim = self.links.get_mut(link).and_then(|link| link.claims[direction.as_usize()].take());
        let Some(claim) = claim else { return };
        if let Some(bucket) = self.bucket(link, claim.level, direction) {
            bucket.abandon(claim.place, claim.bytes);
        }
        for level in LEVELS.into_iter().filter(|&level| level < claim.level) {
            if let Some(bucket) = self.bucket(link, level, direction) {
                bucket.refund(claim.bytes);
            }
        }
    }

    fn waiting_at_class(&self, torrent: TorrentKey, direction: Direction) -> Option<LinkKey> {
        let waits = |link: &Link| link.claims[direction.as_usize()].is_some_and(|c| c.level == Level::Class);
        self.links.iter().find(|(_, link)| link.torrent == torrent && waits(link)).map(|(key, _)| key)
    }

    /// A request with no claim yet.
    fn begin(&mut self, link: LinkKey, direction: Direction, want_bytes: u32, now: Instant) -> Grant {
        let mut spare_bytes = u64::MAX;
        let mut quantum_bytes = QUANTUM_BYTES_MAX;
        for level in LEVELS {
            if let Some(bucket) = self.bucket(link, level, direction) {
                spare_bytes = spare_bytes.min(bucket.spare_bytes(now));
                quantum_bytes = quantum_bytes.min(bucket.quantum_bytes());
            }
        }
        // A level that has something to spare has nobody waiting, so more than a quantum takes no one's turn.
        let bytes = u64::from(want_bytes).min(spare_bytes.max(u64::from(quantum_bytes))) as u32;
        self.climb(link, direction, bytes, Level::Link, now)
    }

    /// A link that waited asks again.
    fn resume(
        &mut self,
        link: LinkKey,
        direction: Direction,
        claim: Claim,
        want_bytes: u32,
        now: Instant,
    ) -> Grant {
        let due = self.bucket(link, claim.level, direction).and_then(|bucket| bucket.due(claim.place, now));
        if let Some(due) = due {
            return Grant::Later(due);
        }
        if let Some(link) = self.links.get_mut(link) {
            link.claims[direction.as_usize()] = None;
        }
        let bytes = claim.bytes.min(want_bytes);
        self.refund_to(link, direction, claim.bytes - bytes, claim.level);
        match LEVELS.into_iter().find(|&level| level > claim.level) {
            Some(above) => self.climb(link, direction, bytes, above, now),
            None => Grant::Now(bytes),
        }
    }

    /// Claims `bytes` at every level from `from` up, and stops at the first that makes us wait.
    fn climb(&mut self, link: LinkKey, direction: Direction, bytes: u32, from: Level, now: Instant) -> Grant {
        for level in LEVELS.into_iter().filter(|&level| level >= from) {
            let Some(bucket) = self.bucket(link, level, direction) else { continue };
            let place = bucket.claim(bytes, now);
            if let Some(due) = bucket.due(place, now) {
                if let Some(link) = self.links.get_mut(link) {
                    link.claims[direction.as_usize()] = Some(Claim { bytes, level, place });
                }
                return Grant::Later(due);
            }
        }
        Grant::Now(bytes)
    }

    fn refund_to(&mut self, link: LinkKey, direction: Direction, bytes: u32, highest: Level) {
        for level in LEVELS.into_iter().filter(|&level| level <= highest) {
            if let Some(bucket) = self.bucket(link, level, direction) {
                bucket.refund(bytes);
            }
        }
    }

    /// The bucket of a level; none if that level is missing (no class, link gone) or has no limit.
    fn bucket(&mut self, link: LinkKey, level: Level, direction: Direction) -> Option<&mut Bucket> {
        let link = self.links.get_mut(link)?;
        let buckets = match level {
            Level::Link => &mut link.buckets,
            Level::Torrent => &mut self.torrents.get_mut(link.torrent)?.buckets,
            Level::Class => self.classes.get_mut(self.torrents.get(link.torrent)?.class?)?,
            Level::Global => &mut self.global,
        };
        Some(&mut buckets.0[direction.as_usize()]).filter(|bucket| bucket.is_limited())
    }
}

#[cfg(test)]
mod tests;
