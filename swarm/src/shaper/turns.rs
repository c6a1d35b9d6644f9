//! Whose turn it is at the top: needs before needs, users evenly within a need, a user's torrents evenly, a torrent's
//! links one after the other.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996), level below level: each flow has a tag that grows by what it is
//! given, the one with the least tag is next, and who comes back after a silence begins where the others are, with
//! nothing saved up. A user's turn goes to one of its torrents, and the user pays for it. A torrent that several users
//! are for gets turns from each of them: where they have nothing else they pay equal parts, and one whose own limit is
//! used up slows nobody who shares a torrent with it.
//!
//! Downloads go by users and needs. For uploads torrents take turns, whoever they are for; users only pay for them.

use std::collections::VecDeque;
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::{
    Buckets, ClassKey, Direction, Limits, LinkKey, NEEDS, Need, QUANTUM_BYTES_MAX, QUANTUM_TIME, SHARES_MAX,
    Torrent, TorrentKey,
};
use crate::key::Slab;

/// Lower needs together get a byte for so many of the highest that waits: a tenth of all. Enough for connections to
/// live and for a download to come in over night, and nothing that a stream about to stall would notice.
const HIGHEST_PER_LOWER: u64 = 9;

/// Who has waited so long has the next turn that its class can pay for, whatever its need: the lower needs' part is counted
/// over all classes, and one with a narrow limit of its own might never be able to pay when it is due.
const STARVED: Duration = Duration::from_secs(60);

/// Parts of a byte that tags count in, so that weights divide them well.
const TAG_UNITS: u64 = 256;

/// The global level and the classes below it, with the queues of those who wait for either.
#[derive(Debug)]
pub(super) struct Top {
    global: Buckets,
    /// Pays for torrents that nobody in particular is for.
    house: Class,
    classes: Slab<Class, ClassKey>,
    queues: [Queue; 2],
}

#[derive(Debug)]
struct Class {
    buckets: Buckets,
    weight: NonZeroU8,
    /// Its downloads, by need.
    needs: [Flow; NEEDS],
    /// What it has paid of uploads.
    upload_tag: u64,
}

/// One of several that take turns, and those that take turns below it.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// Where its next turn begins, unless the others are further by then.
    tag: u64,
    /// Where those below it are: the start of their last turn.
    clock: u64,
}

/// All who wait in one direction.
#[derive(Debug, Default)]
struct Queue {
    /// Torrents with a link that waits, in the order in which they came.
    torrents: Vec<TorrentKey>,
    bytes: u64,
    needs: [Flow; NEEDS],
    /// Where the needs are that aren't the highest.
    lower_clock: u64,
    /// What the highest need got since a lower one had its part.
    highest_bytes: u64,
}

/// A torrent's links that wait in one direction, in their order.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    bytes: u64,
}

/// A link in its torrent's line.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) link: LinkKey,
    pub(super) bytes: u32,
    pub(super) since: Instant,
    /// When it was told to ask again.
    pub(super) told: Instant,
}

/// Who a torrent is for, and how urgently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    /// `None` is the house.
    class: Option<ClassKey>,
    need: Need,
    /// The torrent's place among those that the class has in this need.
    tag: u64,
}

/// What could be had at once.
pub(super) struct Room {
    pub(super) spare_bytes: u64,
    pub(super) quantum_bytes: u32,
}

/// A link has its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) link: LinkKey,
    pub(super) payer: Option<ClassKey>,
    /// What it waited for.
    pub(super) claimed_bytes: u32,
    /// What it gets.
    pub(super) bytes: u32,
}

/// What a look at those who wait has found.
pub(super) enum Next {
    /// It has its turn now.
    Turn(Turn),
    /// Nobody has, and this one will be the next; `None` if nobody waits.
    Wait(Option<Head>),
}

/// The next of those who wait, as things are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) link: LinkKey,
    pub(super) at: Instant,
    /// It was told to ask again later than that.
    pub(super) is_late: bool,
}

/// A torrent that could have the next turn, and who would pay.
#[derive(Clone, Copy)]
struct Candidate {
    torrent: TorrentKey,
    /// Place in the torrent's shares.
    share: usize,
    need: usize,
    bytes: u32,
    /// Where the turn begins: at the level of classes and at that of torrents; for uploads, of torrents and of payers.
    starts: (u64, u64),
}

impl Class {
    fn new(limits: Limits, now: Instant) -> Self {
        Self {
            buckets: Buckets::new(limits, now),
            weight: NonZeroU8::MIN,
            needs: Default::default(),
            upload_tag: 0,
        }
    }
}

/// Who is next, and the best of a lower need than the highest that waits.
type Choice = (Candidate, Option<Candidate>);

/// A torrent none of whose classes can pay now, and when one can.
type Blocked = (Instant, TorrentKey);

impl Room {
    pub(super) fn narrow(&mut self, bucket: &mut Bucket, now: Instant) {
        self.spare_bytes = self.spare_bytes.min(bucket.spare_bytes(now));
        self.quantum_bytes = self.quantum_bytes.min(bucket.quantum_bytes());
    }
}

impl Share {
    pub(super) fn new(class: Option<ClassKey>, need: Need) -> Self {
        Self { class, need, tag: 0 }
    }
}

impl Top {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            global: Buckets::new(limits, now),
            house: Class::new(Limits::default(), now),
            classes: Slab::new(),
            queues: Default::default(),
        }
    }

    pub(super) fn add_class(&mut self, limits: Limits, now: Instant) -> ClassKey {
        self.classes.insert(Class::new(limits, now))
    }

    pub(super) fn remove_class(&mut self, class: ClassKey) {
        self.classes.remove(class);
    }

    pub(super) fn set_global(&mut self, limits: Limits, now: Instant) {
        self.global.set(limits, now);
    }

    pub(super) fn set_class(&mut self, class: ClassKey, limits: Limits, now: Instant) {
        if let Some(class) = self.classes.get_mut(class) {
            class.buckets.set(limits, now);
        }
    }

    pub(super) fn set_weight(&mut self, class: ClassKey, weight: NonZeroU8) {
        if let Some(class) = self.classes.get_mut(class) {
            class.weight = weight;
        }
    }

    /// Another list of those a torrent is for. Who stays in it with the same need keeps its place.
    pub(super) fn share(&self, torrent: &mut Torrent, classes: &[(ClassKey, Need)]) {
        let mut shares: Vec<Share> = Vec::with_capacity(classes.len().clamp(1, SHARES_MAX));
        for &(class, need) in classes.iter().filter(|(class, _)| self.classes.contains(*class)) {
            let class = Some(class);
            if let Some(named) = shares.iter_mut().find(|share| share.class == class) {
                named.need = named.need.min(need);
            } else if shares.len() < SHARES_MAX {
                shares.push(Share::new(class, need));
            }
        }
        if shares.is_empty() {
            shares.push(Share::new(None, Need::default()));
        }
        for share in &mut shares {
            let same = |old: &&Share| old.class == share.class && old.need == share.need;
            share.tag = torrent.shares.iter().find(same).map_or(0, |old| old.tag);
        }
        torrent.shares = shares;
    }

    /// A class is gone: a torrent that was for nobody else is the house's now.
    pub(super) fn unshare(torrent: &mut Torrent, class: ClassKey) {
        torrent.shares.retain(|share| share.class != Some(class));
        if torrent.shares.is_empty() {
            torrent.shares.push(Share::new(None, Need::default()));
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.global.is_limited() || self.classes.iter().any(|(_, class)| class.buckets.is_limited())
    }

    /// Does something to the buckets that let a link's bytes through.
    pub(super) fn each(
        &mut self,
        payer: Option<ClassKey>,
        direction: Direction,
        mut act: impl FnMut(&mut Bucket),
    ) {
        self.class(payer).buckets.limited(direction).map(&mut act);
        self.global.limited(direction).map(act);
    }

    /// What could be had at once, of the payer who has most.
    pub(super) fn room(&mut self, torrent: &Torrent, direction: Direction, now: Instant) -> Room {
        let mut most = Room { spare_bytes: 0, quantum_bytes: 0 };
        for share in &torrent.shares {
            let (spare_bytes, quantum_bytes) = match self.class(share.class).buckets.limited(direction) {
                Some(bucket) => (bucket.spare_bytes(now), bucket.quantum_bytes()),
                None => (u64::MAX, QUANTUM_BYTES_MAX),
            };
            most.spare_bytes = most.spare_bytes.max(spare_bytes);
            most.quantum_bytes = most.quantum_bytes.max(quantum_bytes);
        }
        if let Some(bucket) = self.global.limited(direction) {
            most.narrow(bucket, now);
        }
        if most.spare_bytes < u64::MAX && !self.queues[direction.as_usize()].torrents.is_empty() {
            // What there is to spare is another's, who only waits for its turn to come.
            most.spare_bytes = 0;
        }
        most
    }

    /// Who of a torrent's classes has no limit to ask for.
    pub(super) fn free_payer(&mut self, torrent: &Torrent, direction: Direction) -> Option<Option<ClassKey>> {
        if self.global.limited(direction).is_some() {
            return None;
        }
        let mut payers = torrent.shares.iter().map(|share| share.class);
        payers.find(|&payer| self.class(payer).buckets.limited(direction).is_none())
    }

    /// Takes up to `bytes` for a link of this torrent, if nobody waits who could have them. The error is when there will be
    /// some, if nobody waits.
    pub(super) fn pay_at_once(
        &mut self,
        key: TorrentKey,
        torrent: &mut Torrent,
        direction: Direction,
        bytes: u32,
        now: Instant,
    ) -> Result<(Option<ClassKey>, u32), Option<Instant>> {
        if let Some(payer) = self.free_payer(torrent, direction) {
            return Ok((payer, bytes));
        }
        if !self.queues[direction.as_usize()].torrents.is_empty() {
            return Err(None);
        }
        let mut unable = Vec::new();
        let mut blocked: Option<Instant> = None;
        while let Some(candidate) = self.candidate(key, torrent, direction, bytes, &unable) {
            let payer = torrent.shares[candidate.share].class;
            if let Some(at) = self.unable_until(payer, direction, bytes, now) {
                unable.push(payer);
                blocked = Some(blocked.map_or(at, |earliest| earliest.min(at)));
                continue;
            }
            let bytes = self.pay(payer, direction, bytes, now)?;
            self.advance(candidate, torrent, direction, bytes);
            return Ok((payer, bytes));
        }
        Err(blocked)
    }

    /// Lines a link up behind the others of its torrent.
    pub(super) fn enqueue(
        &mut self,
        key: TorrentKey,
        torrent: &mut Torrent,
        direction: Direction,
        waiting: Waiting,
    ) {
        let queue = &mut self.queues[direction.as_usize()];
        let line = &mut torrent.lines[direction.as_usize()];
        if line.waiting.is_empty() {
            queue.torrents.push(key);
        }
        queue.bytes += u64::from(waiting.bytes);
        line.bytes += u64::from(waiting.bytes);
        line.waiting.push_back(waiting);
    }

    /// Takes a link out of its torrent's line.
    pub(super) fn leave(
        &mut self,
        key: TorrentKey,
        torrent: &mut Torrent,
        link: LinkKey,
        direction: Direction,
    ) {
        let waiting = &torrent.lines[direction.as_usize()].waiting;
        if let Some(place) = waiting.iter().position(|waiting| waiting.link == link) {
            self.remove(key, torrent, direction, place);
        }
    }

    /// All links that wait in this direction, torrent by torrent.
    pub(super) fn waiting<'a>(
        &'a self,
        torrents: &'a Slab<Torrent, TorrentKey>,
        direction: Direction,
    ) -> impl Iterator<Item = LinkKey> + 'a {
        let torrents = self.queues[direction.as_usize()].torrents.iter().filter_map(|&key| torrents.get(key));
        torrents
            .flat_map(move |torrent| &torrent.lines[direction.as_usize()].waiting)
            .map(|waiting| waiting.link)
    }

    /// Gives a turn to whoever has it now.
    pub(super) fn next(
        &mut self,
        torrents: &mut Slab<Torrent, TorrentKey>,
        direction: Direction,
        now: Instant,
    ) -> Next {
        let (chosen, lower) = match self.choose(torrents, direction, now) {
            Ok(choice) => choice,
            Err(None) => return Next::Wait(None),
            Err(Some((at, key))) => {
                return Next::Wait(torrents.get_mut(key).and_then(|torrent| head(torrent, direction, at)));
            }
        };
        let Some(torrent) = torrents.get_mut(chosen.torrent) else { return Next::Wait(None) };
        let payer = torrent.shares[chosen.share].class;
        let bytes = match self.pay(payer, direction, chosen.bytes, now) {
            Ok(bytes) => bytes,
            Err(at) => return Next::Wait(head(torrent, direction, at)),
        };
        let Some(waited) = self.remove(chosen.torrent, torrent, direction, 0) else {
            return Next::Wait(None);
        };
        self.advance(chosen, torrent, direction, bytes);
        self.divide(chosen.need, lower, direction, bytes);
        Next::Turn(Turn { link: waited.link, payer, claimed_bytes: waited.bytes, bytes })
    }

    /// Tells a link that waits when to ask again, unless it is told before: when all who wait now can have had their turns.
    pub(super) fn appoint(
        &mut self,
        torrents: &mut Slab<Torrent, TorrentKey>,
        key: TorrentKey,
        link: LinkKey,
        direction: Direction,
        head: Option<Head>,
        now: Instant,
    ) -> Instant {
        let at = match head {
            Some(head) if head.link == link => head.at,
            _ => {
                let all_served = self.all_served_at(torrents, key, direction, now);
                all_served.or(head.map(|head| head.at)).unwrap_or(now + QUANTUM_TIME)
            }
        };
        let line = torrents.get_mut(key).map(|torrent| &mut torrent.lines[direction.as_usize()].waiting);
        // Who has just come stands at the end.
        if let Some(waiting) =
            line.and_then(|line| line.iter_mut().rev().find(|waiting| waiting.link == link))
        {
            waiting.told = at;
        }
        at
    }

    /// When a torrent's links have had their turns if everybody who waits goes first; `None` if that is now.
    fn all_served_at(
        &mut self,
        torrents: &Slab<Torrent, TorrentKey>,
        key: TorrentKey,
        direction: Direction,
        now: Instant,
    ) -> Option<Instant> {
        let queue_bytes = self.queues[direction.as_usize()].bytes;
        let global = self.global.limited(direction).and_then(|bucket| bucket.due_after(queue_bytes, now));
        let payers = torrents.get(key)?.shares.iter().map(|share| share.class);
        let paid = payers.map(|payer| self.all_paid_at(torrents, payer, direction, now)).min().flatten();
        global.max(paid)
    }

    /// When a class can have paid for all that wait for it; `None` if that is now.
    fn all_paid_at(
        &mut self,
        torrents: &Slab<Torrent, TorrentKey>,
        payer: Option<ClassKey>,
        direction: Direction,
        now: Instant,
    ) -> Option<Instant> {
        let bucket = self.classes.get_mut(payer?)?.buckets.limited(direction)?;
        let waiting = self.queues[direction.as_usize()].torrents.iter().filter_map(|&key| torrents.get(key));
        let paid_for = waiting.filter(|torrent| torrent.shares.iter().any(|share| share.class == payer));
        bucket.due_after(paid_for.map(|torrent| torrent.lines[direction.as_usize()].bytes).sum(), now)
    }

    /// Takes up to `bytes` from a class that can pay and from the global level; the error is when there will be some.
    fn pay(
        &mut self,
        payer: Option<ClassKey>,
        direction: Direction,
        bytes: u32,
        now: Instant,
    ) -> Result<u32, Instant> {
        let mut bytes = bytes;
        if let Some(bucket) = self.class(payer).buckets.limited(direction) {
            bytes = bucket.ready_bytes(bytes, now)?;
        }
        if let Some(bucket) = self.global.limited(direction) {
            bytes = bucket.ready_bytes(bytes, now)?;
            bucket.claim(bytes, now);
        }
        if let Some(bucket) = self.class(payer).buckets.limited(direction) {
            bucket.claim(bytes, now);
        }
        Ok(bytes)
    }

    /// Who is next of those who wait and whose class can pay, and the best of lower need among them. The error is the
    /// torrent whose class can pay next, and when.
    fn choose(
        &mut self,
        torrents: &Slab<Torrent, TorrentKey>,
        direction: Direction,
        now: Instant,
    ) -> Result<Choice, Option<Blocked>> {
        let mut unable = Vec::new();
        let mut blocked: Option<Blocked> = None;
        while let Some(choice) = self.first_in_order(torrents, direction, &unable, now) {
            let (chosen, _) = choice;
            let Some(torrent) = torrents.get(chosen.torrent) else { break };
            let payer = torrent.shares[chosen.share].class;
            let Some(until) = self.unable_until(payer, direction, chosen.bytes, now) else {
                return Ok(choice);
            };
            // Nobody else of that class goes before it: who wants little would else be served before there is enough for
            // who wants more, for ever.
            unable.push(payer);
            if blocked.is_none_or(|(earliest, _)| until < earliest) {
                blocked = Some((until, chosen.torrent));
            }
        }
        Err(blocked)
    }

    /// Who is next of those who wait, without these classes.
    fn first_in_order(
        &mut self,
        torrents: &Slab<Torrent, TorrentKey>,
        direction: Direction,
        unable: &[Option<ClassKey>],
        now: Instant,
    ) -> Option<Choice> {
        let mut best = [None; NEEDS];
        let mut starved: Option<(Instant, Candidate)> = None;
        let count = self.queues[direction.as_usize()].torrents.len();
        for at in 0..count {
            let key = self.queues[direction.as_usize()].torrents[at];
            let Some(torrent) = torrents.get(key) else { continue };
            let Some(first) = torrent.lines[direction.as_usize()].waiting.front() else { continue };
            let candidate = self.candidate(key, torrent, direction, first.bytes, unable);
            let Some(candidate) = candidate else { continue };
            if count == 1 {
                // Nobody to compare it with.
                return Some((candidate, None));
            }
            if first.since + STARVED <= now && starved.is_none_or(|(since, _)| first.since < since) {
                starved = Some((first.since, candidate));
            }
            let best: &mut Option<Candidate> = &mut best[candidate.need];
            if best.is_none_or(|best| candidate.starts < best.starts) {
                *best = Some(candidate);
            }
        }
        match starved {
            Some((_, starved)) => Some((starved, None)),
            None => self.among_needs(&best, direction),
        }
    }

    /// The torrent with the payer whose turn comes first, without these classes.
    fn candidate(
        &mut self,
        key: TorrentKey,
        torrent: &Torrent,
        direction: Direction,
        bytes: u32,
        unable: &[Option<ClassKey>],
    ) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        for (place, share) in torrent.shares.iter().enumerate() {
            if unable.contains(&share.class) {
                continue;
            }
            let (need, starts) = self.starts(torrent, share, direction);
            if best.is_none_or(|best| (need, starts) < (best.need, best.starts)) {
                best = Some(Candidate { torrent: key, share: place, need, bytes, starts });
            }
        }
        best
    }

    /// Until when a class can't pay for a quantum of this; `None` if it can.
    fn unable_until(
        &mut self,
        payer: Option<ClassKey>,
        direction: Direction,
        bytes: u32,
        now: Instant,
    ) -> Option<Instant> {
        self.class(payer).buckets.limited(direction)?.ready_bytes(bytes, now).err()
    }

    fn starts(&mut self, torrent: &Torrent, share: &Share, direction: Direction) -> (usize, (u64, u64)) {
        let need = match direction {
            Direction::Download => share.need as usize,
            Direction::Upload => 0,
        };
        let clock = self.queues[direction.as_usize()].needs[need].clock;
        let class = self.class(share.class);
        let starts = match direction {
            Direction::Download => {
                let flow = class.needs[need];
                (flow.tag.max(clock), share.tag.max(flow.clock))
            }
            Direction::Upload => (torrent.upload_tag.max(clock), class.upload_tag),
        };
        (need, starts)
    }

    /// Moves everybody on whose turn it was.
    fn advance(&mut self, had: Candidate, torrent: &mut Torrent, direction: Direction, bytes: u32) {
        let (first, second) = had.starts;
        let cost = u64::from(bytes) * TAG_UNITS;
        self.queues[direction.as_usize()].needs[had.need].clock = first;
        let share = &mut torrent.shares[had.share];
        let class = self.class(share.class);
        match direction {
            Direction::Download => {
                class.needs[had.need].tag = first.saturating_add(cost / u64::from(class.weight.get()));
                class.needs[had.need].clock = second;
                share.tag = second.saturating_add(cost);
            }
            Direction::Upload => {
                torrent.upload_tag = first.saturating_add(cost);
                class.upload_tag = second.saturating_add(cost);
            }
        }
    }

    /// The best of the highest need that waits, or a lower one whose part is due; with it, the lower one that waits.
    fn among_needs(&self, best: &[Option<Candidate>; NEEDS], direction: Direction) -> Option<Choice> {
        let queue = &self.queues[direction.as_usize()];
        let mut waiting = best.iter().flatten();
        let highest = *waiting.next()?;
        let start = |candidate: &&Candidate| queue.needs[candidate.need].tag.max(queue.lower_clock);
        let lower = waiting.min_by_key(start).copied();
        let due = lower.filter(|lower| queue.highest_bytes >= HIGHEST_PER_LOWER * u64::from(lower.bytes));
        Some((due.unwrap_or(highest), lower))
    }

    /// Keeps count of what the highest need got while a lower one waited.
    fn divide(&mut self, need: usize, lower: Option<Candidate>, direction: Direction, bytes: u32) {
        let queue = &mut self.queues[direction.as_usize()];
        let bytes = u64::from(bytes);
        match lower {
            Some(lower) if lower.need == need => {
                queue.highest_bytes = queue.highest_bytes.saturating_sub(HIGHEST_PER_LOWER * bytes);
                queue.lower_clock = queue.needs[need].tag.max(queue.lower_clock);
                queue.needs[need].tag = queue.lower_clock.saturating_add(bytes);
            }
            Some(_) => queue.highest_bytes = queue.highest_bytes.saturating_add(bytes),
            // What was counted stays: those below may only be waiting until their class can pay.
            None => {}
        }
    }

    fn remove(
        &mut self,
        key: TorrentKey,
        torrent: &mut Torrent,
        direction: Direction,
        place: usize,
    ) -> Option<Waiting> {
        let queue = &mut self.queues[direction.as_usize()];
        let line = &mut torrent.lines[direction.as_usize()];
        let waiting = line.waiting.remove(place)?;
        line.bytes -= u64::from(waiting.bytes);
        queue.bytes -= u64::from(waiting.bytes);
        if line.waiting.is_empty() {
            queue.torrents.retain(|&other| other != key);
        }
        Some(waiting)
    }

    fn class(&mut self, class: Option<ClassKey>) -> &mut Class {
        match class.and_then(|class| self.classes.get_mut(class)) {
            Some(class) => class,
            None => &mut self.house,
        }
    }
}

/// The first of a torrent's line, which will have the next turn.
fn head(torrent: &mut Torrent, direction: Direction, at: Instant) -> Option<Head> {
    let first = torrent.lines[direction.as_usize()].waiting.front_mut()?;
    let is_late = first.told > at;
    if is_late {
        first.told = at;
    }
    Some(Head { link: first.link, at, is_late })
}
