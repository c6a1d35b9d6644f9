//! The hierarchy of rates that all torrents share: global -> class -> torrent -> link, in both directions.
//!
//! Each level is a token bucket. The two narrow ones, link and torrent, hand out *places in a queue* of bytes: who finds
//! one empty claims the next bytes it will release, and is told when that is. A link has one claim at most and claims no
//! more than a quantum, so that links of a parent take turns, and whoever waits can't be overtaken. A claim goes up
//! one level after the other: only who has passed the narrower level stands in the wider one's queue, so a slow link or
//! torrent hoards nothing of what others could use.
//!
//! At the top, the global level and the classes (users) below it, bytes are scarce for all at once, and there who comes
//! first isn't who goes first: `turns` decides whose turn it is, by need and by user. Who is told to wait there
//! may be overtaken by somebody about to stall, and may have its turn earlier than it was told. So besides asking again
//! when it was told to, a link asks when [`poll_woken`](Shaper::poll_woken) names it; a driver that ignores that loses
//! fairness and nothing else.
//!
//! Not here: sockets and timers. It sits behind one leaf lock in the engine, so each call costs a few
//! buckets' arithmetic and allocates nothing (but for adding, and for lines that grow).

use std::collections::VecDeque;
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use crate::key::{Slab, slab_key};

mod bucket;
mod turns;

use bucket::Bucket;
use turns::{Head, Line, Next, Room, Share, Top, Waiting};

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

/// Classes that one torrent can be for: more at once are hardly watching, and every look at who is next goes over all.
pub const SHARES_MAX: usize = 64;

/// What a link that is gone is told to wait.
const GONE: Duration = Duration::from_secs(1);

slab_key!(
    /// A class: a user, and the streams and downloads that are its own.
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

/// How urgently a class needs a torrent's bytes. The highest first: what is about to stall goes before what has a full
/// buffer, whoever's it is. Lower needs keep a tenth of the rate between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A reader waits, or will within moments.
    Stalling,
    /// A reader comes to it soon.
    Soon,
    /// A reader's buffer is full.
    Full,
    /// A download that nobody watches; what a torrent is that is for nobody in particular.
    #[default]
    Background,
    /// Nobody reads: a stream that is paused.
    Idle,
}

/// How many needs there are.
const NEEDS: usize = Need::Idle as usize + 1;

/// What a link may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// So many bytes, at most what was wanted; they are taken from every level. 0 only if nothing was wanted.
    Now(u32),
    /// Nothing yet: ask again then, or when [`Shaper::poll_woken`] says so. The place in the queue is kept.
    Later(Instant),
}

/// All rates of the process.
#[derive(Debug)]
pub struct Shaper {
    top: Top,
    torrents: Slab<Torrent, TorrentKey>,
    links: Slab<Link, LinkKey>,
    /// Links that should ask again; each stands here once at most.
    woken: VecDeque<LinkKey>,
}

#[derive(Debug)]
struct Torrent {
    buckets: Buckets,
    /// Who it is for; never empty.
    shares: Vec<Share>,
    /// Its place among the torrents that upload.
    upload_tag: u64,
    lines: [Line; 2],
}

#[derive(Debug)]
struct Link {
    torrent: TorrentKey,
    buckets: Buckets,
    claims: [Option<Claim>; 2],
    /// Who paid last: it pays for what wasn't asked for too, and gets back what wasn't used.
    payers: [Option<ClassKey>; 2],
    is_woken: bool,
}

/// What a link waits for, per direction.
#[derive(Clone, Copy, Debug)]
struct Claim {
    bytes: u32,
    stand: Stand,
}

/// Where a claim is on its way up. The levels below are paid.
#[derive(Clone, Copy, Debug)]
enum Stand {
    /// In the queue of this level, at the place that [`Bucket::claim`] gave it.
    Queued(Level, u64),
    /// In its torrent's line at the top.
    Lined,
    /// It has had its turn: all levels are paid.
    Granted,
}

/// The levels below the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Link,
    Torrent,
}

const LEVELS: [Level; 2] = [Level::Link, Level::Torrent];

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

    /// The bucket, if there is a limit.
    fn limited(&mut self, direction: Direction) -> Option<&mut Bucket> {
        Some(&mut self.0[direction.as_usize()]).filter(|bucket| bucket.is_limited())
    }

    fn is_limited(&self) -> bool {
        self.0.iter().any(Bucket::is_limited)
    }
}

impl Direction {
    const BOTH: [Self; 2] = [Self::Download, Self::Upload];

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
        Self { top: Top::new(limits, now), torrents: Slab::new(), links: Slab::new(), woken: VecDeque::new() }
    }

    /// Adds a class, with a weight of one.
    pub fn add_class(&mut self, limits: Limits, now: Instant) -> ClassKey {
        self.top.add_class(limits, now)
    }

    /// Adds a torrent: for a class, as a download that nobody watches, or for nobody in particular.
    pub fn add_torrent(&mut self, class: Option<ClassKey>, limits: Limits, now: Instant) -> TorrentKey {
        self.torrents.insert(Torrent {
            buckets: Buckets::new(limits, now),
            shares: vec![Share::new(class, Need::default())],
            upload_tag: 0,
            lines: Default::default(),
        })
    }

    /// Adds a link; `None` if the torrent is gone.
    pub fn add_link(&mut self, torrent: TorrentKey, limits: Limits, now: Instant) -> Option<LinkKey> {
        self.torrents.get(torrent)?;
        let buckets = Buckets::new(limits, now);
        Some(self.links.insert(Link {
            torrent,
            buckets,
            claims: [None; 2],
            payers: [None; 2],
            is_woken: false,
        }))
    }

    /// Removes a class; torrents that were for nobody else are for nobody in particular from now on.
    pub fn remove_class(&mut self, class: ClassKey) {
        self.top.remove_class(class);
        self.torrents.iter_mut().for_each(|(_, torrent)| Top::unshare(torrent, class));
        self.wake_all();
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
        Direction::BOTH.into_iter().for_each(|direction| self.give_up(link, direction));
        if self.links.remove(link).is_some_and(|link| link.is_woken) {
            self.woken.retain(|&woken| woken != link);
        }
    }

    /// Changes the global rates. Whoever waits is woken.
    pub fn set_global(&mut self, limits: Limits, now: Instant) {
        self.top.set_global(limits, now);
        self.wake_all();
    }

    /// Changes a class's rates. Whoever waits is woken.
    pub fn set_class(&mut self, class: ClassKey, limits: Limits, now: Instant) {
        self.top.set_class(class, limits, now);
        self.wake_all();
    }

    /// Changes how many parts of what is contended a class gets, where others get one.
    pub fn set_class_weight(&mut self, class: ClassKey, weight: NonZeroU8) {
        self.top.set_weight(class, weight);
    }

    /// Says whom a torrent is for, and how urgently each needs it: [`SHARES_MAX`] at most, and those that are gone don't
    /// count. Nobody leaves a torrent for nobody in particular, as [`Need::Background`].
    ///
    /// Cheap enough to be said again every half second; who is named again with the same need loses nothing.
    pub fn set_torrent_classes(&mut self, torrent: TorrentKey, classes: &[(ClassKey, Need)]) {
        if let Some(torrent) = self.torrents.get_mut(torrent) {
            self.top.share(torrent, classes);
        }
        Direction::BOTH.into_iter().for_each(|direction| self.wake_someone(direction));
    }

    /// Changes a torrent's rates. Those of its links that wait are woken.
    pub fn set_torrent(&mut self, torrent: TorrentKey, limits: Limits, now: Instant) {
        if let Some(torrent) = self.torrents.get_mut(torrent) {
            torrent.buckets.set(limits, now);
        }
        self.wake_queued(torrent);
    }

    /// Changes a link's rates, and wakes it if it waits.
    pub fn set_link(&mut self, link: LinkKey, limits: Limits, now: Instant) {
        if let Some(known) = self.links.get_mut(link) {
            known.buckets.set(limits, now);
            self.wake(link);
        }
    }

    /// Asks for up to `want_bytes` of payload.
    ///
    /// After `Later` the link keeps its place: it asks again at that moment or when it is
    /// [woken](Self::poll_woken), or calls [`give_up`](Self::give_up) when it has nothing to send any more.
    pub fn take(&mut self, link: LinkKey, direction: Direction, want_bytes: u32, now: Instant) -> Grant {
        let Some(known) = self.links.get(link) else { return Grant::Later(now + GONE) };
        if want_bytes == 0 {
            return Grant::Now(0);
        }
        match known.claims[direction.as_usize()] {
            Some(claim) => self.resume(link, direction, claim, want_bytes, now),
            None => self.begin(link, direction, want_bytes, now),
        }
    }

    /// The next link that should ask again now, though it was told a later moment: it has had its turn, it is the next, or
    /// a limit was changed. To be called after every other call, until there is none.
    pub fn poll_woken(&mut self) -> Option<LinkKey> {
        let link = self.woken.pop_front()?;
        if let Some(link) = self.links.get_mut(link) {
            link.is_woken = false;
        }
        Some(link)
    }

    /// Accounts for bytes that nobody asked about: protocol messages. Never delays them; the payload behind
    /// them waits the longer.
    pub fn debit(&mut self, link: LinkKey, direction: Direction, bytes: u32, now: Instant) {
        self.each(link, direction, |bucket| bucket.debit(bytes, now));
    }

    /// Accounts for payload beyond what was granted, where only all of a block could be sent or read. Owed in full.
    pub fn overdraw(&mut self, link: LinkKey, direction: Direction, bytes: u32, now: Instant) {
        self.each(link, direction, |bucket| bucket.overdraw(bytes, now));
    }

    /// Gives back what was granted and not used.
    pub fn refund(&mut self, link: LinkKey, direction: Direction, bytes: u32) {
        self.each(link, direction, |bucket| bucket.refund(bytes));
    }

    /// Leaves the queues: what the link had claimed goes to those behind it.
    pub fn give_up(&mut self, link: LinkKey, direction: Direction) {
        let Some(known) = self.links.get_mut(link) else { return };
        let Some(claim) = known.claims[direction.as_usize()].take() else { return };
        let key = known.torrent;
        match claim.stand {
            Stand::Queued(level, place) => {
                if let Some(bucket) = self.bucket(link, level, direction) {
                    bucket.abandon(place, claim.bytes);
                }
                self.refund_below(link, direction, claim.bytes, level);
                self.wake_queued(key);
            }
            Stand::Lined => {
                if let Some(torrent) = self.torrents.get_mut(key) {
                    self.top.leave(key, torrent, link, direction);
                }
                self.refund_unused(link, direction, claim.bytes);
                self.wake_someone(direction);
            }
            Stand::Granted => {
                self.refund(link, direction, claim.bytes);
                self.wake_someone(direction);
            }
        }
    }

    /// Whether there is any limit at all; without one nobody needs to ask.
    pub fn is_limited(&self) -> bool {
        self.top.is_limited()
            || self.torrents.iter().any(|(_, torrent)| torrent.buckets.is_limited())
            || self.links.iter().any(|(_, link)| link.buckets.is_limited())
    }

    /// A request with no claim yet.
    fn begin(&mut self, link: LinkKey, direction: Direction, want_bytes: u32, now: Instant) -> Grant {
        let Some(known) = self.links.get_mut(link) else { return Grant::Later(now + GONE) };
        let Some(torrent) = self.torrents.get_mut(known.torrent) else { return Grant::Later(now + GONE) };
        let is_narrowed = [&mut known.buckets, &mut torrent.buckets]
            .into_iter()
            .any(|buckets| buckets.limited(direction).is_some());
        if !is_narrowed && let Some(payer) = self.top.free_payer(torrent, direction) {
            known.payers[direction.as_usize()] = payer;
            return Grant::Now(want_bytes);
        }
        let mut room: Room = self.top.room(torrent, direction, now);
        for buckets in [&mut known.buckets, &mut torrent.buckets] {
            if let Some(bucket) = buckets.limited(direction) {
                room.narrow(bucket, now);
            }
        }
        // A level that has something to spare has nobody waiting, so more than a quantum takes no one's turn.
        let bytes = u64::from(want_bytes).min(room.spare_bytes.max(u64::from(room.quantum_bytes))) as u32;
        self.climb(link, direction, bytes, &LEVELS, now)
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
        match claim.stand {
            Stand::Queued(level, place) => {
                let due = self.bucket(link, level, direction).and_then(|bucket| bucket.due(place, now));
                if let Some(due) = due {
                    return Grant::Later(due);
                }
                self.set_claim(link, direction, None);
                let bytes = claim.bytes.min(want_bytes);
                self.refund_at(link, direction, claim.bytes - bytes, level);
                self.refund_below(link, direction, claim.bytes - bytes, level);
                let above = LEVELS.iter().position(|&other| other == level).map_or(0, |at| at + 1);
                self.climb(link, direction, bytes, &LEVELS[above..], now)
            }
            Stand::Lined => self.await_turn(link, direction, want_bytes, now),
            Stand::Granted => self.collect(link, direction, claim.bytes, want_bytes),
        }
    }

    /// Claims `bytes` at these levels, one after the other, stops at the first that makes us wait, and goes on to the top.
    fn climb(
        &mut self,
        link: LinkKey,
        direction: Direction,
        bytes: u32,
        levels: &[Level],
        now: Instant,
    ) -> Grant {
        for &level in levels {
            let Some(bucket) = self.bucket(link, level, direction) else { continue };
            let place = bucket.claim(bytes, now);
            if let Some(due) = bucket.due(place, now) {
                self.set_claim(link, direction, Some(Claim { bytes, stand: Stand::Queued(level, place) }));
                return Grant::Later(due);
            }
        }
        self.enter(link, direction, bytes, now)
    }

    /// Asks the top, and lines up there if others wait or nothing is left.
    fn enter(&mut self, link: LinkKey, direction: Direction, bytes: u32, now: Instant) -> Grant {
        let Some(known) = self.links.get_mut(link) else { return Grant::Later(now + GONE) };
        let key = known.torrent;
        let Some(torrent) = self.torrents.get_mut(key) else { return Grant::Later(now + GONE) };
        match self.top.pay_at_once(key, torrent, direction, bytes, now) {
            Ok((payer, granted)) => {
                known.payers[direction.as_usize()] = payer;
                self.refund_unused(link, direction, bytes - granted);
                Grant::Now(granted)
            }
            Err(alone) => {
                known.claims[direction.as_usize()] = Some(Claim { bytes, stand: Stand::Lined });
                let waiting = Waiting { link, bytes, since: now, told: alone.unwrap_or(now) };
                self.top.enqueue(key, torrent, direction, waiting);
                alone.map_or_else(|| self.await_turn(link, direction, bytes, now), Grant::Later)
            }
        }
    }

    /// A link stands in line at the top: gives turns to all who have them, and looks whether it was among them.
    fn await_turn(&mut self, link: LinkKey, direction: Direction, want_bytes: u32, now: Instant) -> Grant {
        let head = self.give_turns(link, direction, now);
        let Some(known) = self.links.get(link) else { return Grant::Later(now + GONE) };
        if let Some(Claim { bytes, stand: Stand::Granted }) = known.claims[direction.as_usize()] {
            return self.collect(link, direction, bytes, want_bytes);
        }
        let key = known.torrent;
        Grant::Later(self.top.appoint(&mut self.torrents, key, link, direction, head, now))
    }

    /// Gives turns as long as there are bytes, and wakes all but the one who asks. Says who is next.
    fn give_turns(&mut self, asker: LinkKey, direction: Direction, now: Instant) -> Option<Head> {
        loop {
            match self.top.next(&mut self.torrents, direction, now) {
                Next::Turn(turn) => {
                    self.refund_unused(turn.link, direction, turn.claimed_bytes - turn.bytes);
                    if let Some(link) = self.links.get_mut(turn.link) {
                        link.payers[direction.as_usize()] = turn.payer;
                    }
                    let claim = Claim { bytes: turn.bytes, stand: Stand::Granted };
                    self.set_claim(turn.link, direction, Some(claim));
                    if turn.link != asker {
                        self.wake(turn.link);
                    }
                }
                Next::Wait(head) => {
                    if let Some(head) = head.filter(|head| head.is_late && head.link != asker) {
                        self.wake(head.link);
                    }
                    return head;
                }
            }
        }
    }

    /// The turn has come, and all levels have paid `bytes`: what is wanted of them is handed out.
    fn collect(&mut self, link: LinkKey, direction: Direction, bytes: u32, want_bytes: u32) -> Grant {
        self.set_claim(link, direction, None);
        if want_bytes < bytes {
            self.refund(link, direction, bytes - want_bytes);
        }
        Grant::Now(bytes.min(want_bytes))
    }

    fn set_claim(&mut self, link: LinkKey, direction: Direction, claim: Option<Claim>) {
        if let Some(link) = self.links.get_mut(link) {
            link.claims[direction.as_usize()] = claim;
        }
    }

    /// Gives back what the top didn't let through of what the levels below it did.
    fn refund_unused(&mut self, link: LinkKey, direction: Direction, bytes: u32) {
        if bytes > 0 {
            LEVELS.into_iter().for_each(|level| self.refund_at(link, direction, bytes, level));
        }
    }

    fn refund_below(&mut self, link: LinkKey, direction: Direction, bytes: u32, above: Level) {
        for level in LEVELS.into_iter().filter(|&level| level < above) {
            self.refund_at(link, direction, bytes, level);
        }
    }

    fn refund_at(&mut self, link: LinkKey, direction: Direction, bytes: u32, level: Level) {
        if let Some(bucket) = self.bucket(link, level, direction) {
            bucket.refund(bytes);
        }
    }

    /// Does something to every bucket with a limit on a link's way.
    fn each(&mut self, link: LinkKey, direction: Direction, mut act: impl FnMut(&mut Bucket)) {
        let Some(known) = self.links.get_mut(link) else { return };
        known.buckets.limited(direction).map(&mut act);
        if let Some(torrent) = self.torrents.get_mut(known.torrent) {
            torrent.buckets.limited(direction).map(&mut act);
        }
        self.top.each(known.payers[direction.as_usize()], direction, act);
    }

    /// The bucket of a level; none if the link is gone or the level has no limit.
    fn bucket(&mut self, link: LinkKey, level: Level, direction: Direction) -> Option<&mut Bucket> {
        let link = self.links.get_mut(link)?;
        match level {
            Level::Link => link.buckets.limited(direction),
            Level::Torrent => self.torrents.get_mut(link.torrent)?.buckets.limited(direction),
        }
    }

    fn wake(&mut self, link: LinkKey) {
        let Some(known) = self.links.get_mut(link) else { return };
        if !std::mem::replace(&mut known.is_woken, true) {
            self.woken.push_back(link);
        }
    }

    /// Wakes one of those in line at the top: whoever asks finds out whose turn it is, and wakes that one.
    fn wake_someone(&mut self, direction: Direction) {
        let someone = self.top.waiting(&self.torrents, direction).next();
        someone.into_iter().for_each(|link| self.wake(link));
    }

    /// Wakes everybody in line at the top: what they were told holds no more.
    fn wake_all(&mut self) {
        for direction in Direction::BOTH {
            let waiting: Vec<LinkKey> = self.top.waiting(&self.torrents, direction).collect();
            waiting.into_iter().for_each(|link| self.wake(link));
        }
    }

    /// Wakes a torrent's links that wait below the top.
    fn wake_queued(&mut self, torrent: TorrentKey) {
        let waits =
            |link: &Link| link.claims.iter().flatten().any(|claim| matches!(claim.stand, Stand::Queued(..)));
        let waiting = self.links.iter().filter(|(_, link)| link.torrent == torrent && waits(link));
        let waiting: Vec<LinkKey> = waiting.map(|(key, _)| key).collect();
        waiting.into_iter().for_each(|link| self.wake(link));
    }
}

#[cfg(test)]
mod fair_tests;
#[cfg(test)]
mod tests;
