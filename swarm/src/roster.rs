//! The addresses a torrent knows, what became of each, and whom to dial next.
//!
//! Not here: sockets, peer ids, what connected peers have. Sources are trusted differently: who fills the list
//! with invented addresses (attack 35) can't push out those that worked, that were given, or that a better source
//! named.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::chance::Chance;

mod source;

pub use source::{Added, Counts, Fate, Limits, Refusal, Source};
use source::{is_dialable, network_of};

/// Wait after the first failure; doubles with each further one in a row.
pub const RETRY_MIN: Duration = Duration::from_secs(15);

/// Longest wait after failures.
pub const RETRY_MAX: Duration = Duration::from_secs(30 * 60);

/// The same for addresses that the user gave: there are few, and somebody is waiting for them.
pub const RETRY_MAX_GIVEN: Duration = Duration::from_secs(2 * 60);

/// Their first wait: they may just be starting.
pub const RETRY_MIN_GIVEN: Duration = Duration::from_secs(1);

/// Rest of a peer with which nothing can be exchanged, such as a seed while we seed.
pub const REST_USELESS: Duration = Duration::from_secs(20 * 60);

/// How long a ban lasts: addresses change hands.
pub const BAN: Duration = Duration::from_secs(24 * 60 * 60);

/// Bans remembered; beyond it the one that ends first goes. Attack: a list that grows with every address
/// an attacker can come from.
pub const BANS_MAX: usize = 4_096;

/// Addresses that are tried again before their time at once.
pub const HURRIED_MAX: usize = 200;

/// Failures that are counted; more make no difference.
const FAILURES_MAX: u8 = 16;

/// The addresses of one torrent.
#[derive(Debug)]
pub struct Roster {
    limits: Limits,
    chance: Chance,
    known: BTreeMap<SocketAddr, Entry>,
    /// Idle addresses that may be dialled, best first.
    ready: BTreeSet<(DialRank, SocketAddr)>,
    /// Idle addresses that wait, by the end of their wait.
    resting: BTreeSet<(Instant, SocketAddr)>,
    /// Idle addresses that may be forgotten, the last first. None that were given.
    evictable: BTreeSet<(Worth, SocketAddr)>,
    /// Connections that came in, under their passing ports.
    accepted: BTreeSet<SocketAddr>,
    /// Connections and dials per network, where there are any.
    per_network: BTreeMap<IpAddr, u32>,
    dialling: u32,
    connected: u32,
    bans: BTreeMap<IpAddr, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    source: Source,
    /// When a source last named it, or it was last connected.
    seen: Instant,
    /// In a row.
    failures: u8,
    has_connected: bool,
    ourselves: bool,
    /// Breaks ties, so that not everybody dials the same peers of a tracker's list first.
    tie: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// May be dialled from `retry` on; `ready` says in which of the two sets it is.
    Idle {
        retry: Instant,
        ready: bool,
    },
    Dialling,
    Connected,
}

/// Lower is dialled first: given, fewest failures, seen most recently.
type DialRank = (bool, u8, Reverse<Instant>, u32);

/// Lower is kept longer: fewest failures, was connected once, better source, seen most recently.
type Worth = (u8, bool, Source, Reverse<Instant>);

impl Entry {
    fn dial_rank(&self) -> DialRank {
        (self.source != Source::Given, self.failures, Reverse(self.seen), self.tie)
    }

    fn worth(&self) -> Worth {
        (self.failures, !self.has_connected, self.source, Reverse(self.seen))
    }
}

impl Roster {
    /// Knows nobody yet.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            chance: Chance::new(seed),
            known: BTreeMap::new(),
            ready: BTreeSet::new(),
            resting: BTreeSet::new(),
            evictable: BTreeSet::new(),
            accepted: BTreeSet::new(),
            per_network: BTreeMap::new(),
            dialling: 0,
            connected: 0,
            bans: BTreeMap::new(),
        }
    }

    /// Changes the bounds; nobody is disconnected or forgotten by this.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Remembers an address. Named again by a better source, it counts as that source's.
    pub fn add(&mut self, addr: SocketAddr, source: Source, now: Instant) -> Added {
        let addr = canonical(addr);
        if !is_dialable(addr) || self.is_banned(addr.ip(), now) {
            return Added::Refused;
        }
        if let Some(mut entry) = self.unshelve(addr) {
            entry.source = entry.source.min(source);
            entry.seen = entry.seen.max(now);
            self.shelve(addr, entry);
            return Added::Known;
        }
        let tie = self.chance.next() as u32;
        let state = State::Idle { retry: now, ready: true };
        let entry =
            Entry { source, seen: now, failures: 0, has_connected: false, ourselves: false, tie, state };
        if self.known.len() >= self.limits.known_max as usize && !self.make_room(&entry) {
            return Added::Refused;
        }
        self.shelve(addr, entry);
        Added::New
    }

    /// Whom to dial now; counts as dialling until [`failed`](Self::failed) or [`connected`](Self::connected).
    /// Call until `None`.
    pub fn next_dial(&mut self, now: Instant) -> Option<SocketAddr> {
        self.wake(now);
        while self.has_place() {
            let &(_, addr) = self.ready.first()?;
            let mut entry = self.unshelve(addr)?;
            if let Some(retry) = self.barred_until(addr, now) {
                // Looked at again later: a deadline in the past would never let the torrent sleep.
                entry.state = State::Idle { retry, ready: false };
                self.shelve(addr, entry);
                continue;
            }
            entry.state = State::Dialling;
            self.shelve(addr, entry);
            self.dialling += 1;
            self.enter(addr.ip());
            return Some(addr);
        }
        None
    }

    /// A dial that `next_dial` didn't ask for has begun; for one that it did, this changes nothing.
    pub fn dialling(&mut self, addr: SocketAddr, now: Instant) {
        let addr = canonical(addr);
        self.add(addr, Source::Incoming, now);
        let Some(mut entry) = self.unshelve(addr) else { return };
        if matches!(entry.state, State::Idle { .. }) {
            entry.state = State::Dialling;
            self.dialling += 1;
            self.enter(addr.ip());
        }
        self.shelve(addr, entry);
    }

    /// The dial (or its handshake) failed.
    pub fn failed(&mut self, addr: SocketAddr, now: Instant) {
        let addr = canonical(addr);
        let Some(mut entry) = self.unshelve(addr) else { return };
        if entry.state == State::Dialling {
            self.dialling = self.dialling.saturating_sub(1);
            self.leave(addr.ip());
            self.settle(&mut entry, Fate::Failed, now);
        }
        self.shelve(addr, entry);
    }

    /// A dial of ours ended in a connection. If it's refused, it is as if it had been useless.
    pub fn connected(&mut self, addr: SocketAddr, now: Instant) -> Result<(), Refusal> {
        let addr = canonical(addr);
        if self.known.get(&addr).is_none_or(|entry| entry.state != State::Dialling) {
            self.admits(addr, now)?;
            self.dialling(addr, now);
        }
        // The place of the dial becomes the connection's, so the bound per address can't refuse it any more.
        let refusal = if self.is_banned(addr.ip(), now) {
            Some(Refusal::Banned)
        } else if self.accepted.contains(&addr) {
            Some(Refusal::Duplicate)
        } else if self.connected >= self.limits.connected_max || !self.known.contains_key(&addr) {
            Some(Refusal::Full)
        } else {
            None
        };
        let Some(mut entry) = self.unshelve(addr) else { return Err(Refusal::Full) };
        self.dialling = self.dialling.saturating_sub(1);
        if let Some(refusal) = refusal {
            self.leave(addr.ip());
            self.settle(&mut entry, Fate::Useless, now);
            self.shelve(addr, entry);
            return Err(refusal);
        }
        entry.state = State::Connected;
        entry.has_connected = true;
        entry.seen = entry.seen.max(now);
        self.shelve(addr, entry);
        self.connected += 1;
        Ok(())
    }

    /// A peer dialled us; `addr` has its passing port, so it's not remembered as an address to dial: once the peer
    /// tells its listening port, [`add`](Self::add) that with [`Source::Incoming`].
    pub fn accepted(&mut self, addr: SocketAddr, now: Instant) -> Result<(), Refusal> {
        let addr = canonical(addr);
        self.admits(addr, now)?;
        self.accepted.insert(addr);
        self.connected += 1;
        self.enter(addr.ip());
        Ok(())
    }

    /// The connection ended.
    pub fn parted(&mut self, addr: SocketAddr, fate: Fate, now: Instant) {
        let addr = canonical(addr);
        if self.accepted.remove(&addr) {
            self.connected = self.connected.saturating_sub(1);
            self.leave(addr.ip());
            return;
        }
        let Some(mut entry) = self.unshelve(addr) else { return };
        if entry.state == State::Connected {
            self.connected = self.connected.saturating_sub(1);
            self.leave(addr.ip());
            entry.seen = entry.seen.max(now);
            self.settle(&mut entry, fate, now);
        }
        self.shelve(addr, entry);
    }

    /// Bans an IP address (IPv6: its /64) for [`BAN`]. Connections are the caller's to end.
    pub fn ban(&mut self, ip: IpAddr, now: Instant) {
        self.ban_until(ip, now + BAN);
    }

    /// Bans until the given moment, for bans that were saved.
    pub fn ban_until(&mut self, ip: IpAddr, until: Instant) {
        let network = network_of(ip);
        let end = self.bans.entry(network).or_insert(until);
        *end = (*end).max(until);
        if self.bans.len() > BANS_MAX {
            let first = self.bans.iter().min_by_key(|&(&network, &until)| (until, network));
            if let Some(network) = first.map(|(&network, _)| network) {
                self.bans.remove(&network);
            }
        }
        // Given peers stay, and rest until the ban ends.
        let useless = |(&addr, entry): (&SocketAddr, &Entry)| {
            let idle = matches!(entry.state, State::Idle { .. }) && entry.source != Source::Given;
            (idle && network_of(addr.ip()) == network).then_some(addr)
        };
        let banned: Vec<_> = self.known.iter().filter_map(useless).collect();
        for addr in banned {
            self.unshelve(addr);
        }
    }

    /// Lifts a ban.
    pub fn unban(&mut self, ip: IpAddr) {
        self.bans.remove(&network_of(ip));
    }

    /// Whether a connection from `addr` would be taken.
    pub fn admits(&self, addr: SocketAddr, now: Instant) -> Result<(), Refusal> {
        let addr = canonical(addr);
        if self.is_banned(addr.ip(), now) {
            return Err(Refusal::Banned);
        }
        if self.accepted.contains(&addr) || self.known.get(&addr).is_some_and(|e| e.state == State::Connected)
        {
            return Err(Refusal::Duplicate);
        }
        if self.connected >= self.limits.connected_max {
            return Err(Refusal::Full);
        }
        if self.network_is_full(addr.ip()) { Err(Refusal::PerAddress) } else { Ok(()) }
    }

    /// Whether the IP address is banned.
    pub fn is_banned(&self, ip: IpAddr, now: Instant) -> bool {
        self.bans.get(&network_of(ip)).is_some_and(|&until| until > now)
    }

    /// All bans, for saving: address (IPv6: the first of its /64) and end.
    pub fn bans(&self) -> impl Iterator<Item = (IpAddr, Instant)> + '_ {
        self.bans.iter().map(|(&network, &until)| (network, until))
    }

    /// Addresses that are worth telling others of (BEP 11) or saving: those that we are or were connected to.
    pub fn proven(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.known
            .iter()
            .filter(|(_, entry)| entry.has_connected && entry.failures == 0)
            .map(|(&addr, _)| addr)
    }

    /// When [`next_dial`](Self::next_dial) is worth asking again (in the past: now); `None` while every place is
    /// taken or nobody is left.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.has_place() {
            return None;
        }
        let ready = self.ready.first().and_then(|(_, addr)| match self.known.get(addr)?.state {
            State::Idle { retry, .. } => Some(retry),
            State::Dialling | State::Connected => None,
        });
        ready.or_else(|| self.resting.first().map(|&(retry, _)| retry))
    }

    /// Cuts short how long those rest who didn't answer or parted: somebody waits, and they may have what is missing now.
    /// At most [`HURRIED_MAX`] of them, those first that would have waited longest.
    pub fn hurry(&mut self, now: Instant) {
        let soon = now + RETRY_MIN;
        let late = self.resting.iter().rev().take_while(|(retry, _)| *retry > soon);
        let late: Vec<SocketAddr> = late.map(|&(_, addr)| addr).take(HURRIED_MAX).collect();
        for addr in late {
            let Some(mut entry) = self.unshelve(addr) else { continue };
            if !entry.ourselves && !self.is_banned(addr.ip(), now) {
                entry.state = State::Idle { retry: soon, ready: false };
            }
            self.shelve(addr, entry);
        }
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        Counts {
            known: count(self.known.len()),
            dialling: self.dialling,
            connected: self.connected,
            banned: count(self.bans.len()),
        }
    }

    fn has_place(&self) -> bool {
        self.dialling < self.limits.dials_max
            && self.connected.saturating_add(self.dialling) < self.limits.connected_max
    }

    /// Why an idle address can't be dialled just now, as the moment to look at it again.
    fn barred_until(&self, addr: SocketAddr, now: Instant) -> Option<Instant> {
        if let Some(&until) = self.bans.get(&network_of(addr.ip())).filter(|&&until| until > now) {
            return Some(until);
        }
        // A peer that binds its listening port before it dials has come from the very address we know.
        let barred = self.accepted.contains(&addr) || self.network_is_full(addr.ip());
        barred.then_some(now + RETRY_MIN)
    }

    /// Those whose wait is over become ready.
    fn wake(&mut self, now: Instant) {
        while let Some(&(_, addr)) = self.resting.first().filter(|(retry, _)| *retry <= now) {
            let Some(mut entry) = self.unshelve(addr) else { return };
            if let State::Idle { retry, .. } = entry.state {
                entry.state = State::Idle { retry, ready: true };
            }
            self.shelve(addr, entry);
        }
    }

    /// Back to idle, with the wait that the fate asks for.
    fn settle(&mut self, entry: &mut Entry, fate: Fate, now: Instant) {
        let wait = match fate {
            Fate::Useful => {
                entry.failures = 0;
                RETRY_MIN
            }
            Fate::Useless => REST_USELESS,
            Fate::Failed => {
                let doublings = u32::from(entry.failures).min(20);
                entry.failures = entry.failures.saturating_add(1).min(FAILURES_MAX);
                let (shortest, longest) = match entry.source {
                    Source::Given => (RETRY_MIN_GIVEN, RETRY_MAX_GIVEN),
                    _ => (RETRY_MIN, RETRY_MAX),
                };
                shortest.saturating_mul(1 << doublings).min(longest)
            }
            Fate::Ourselves => {
                entry.ourselves = true;
                RETRY_MAX
            }
        };
        // Up to a quarter more, so that what failed together isn't tried together again.
        let jitter_ms = self.chance.below(wait.as_millis() as usize / 4 + 1);
        entry.state =
            State::Idle { retry: now + wait + Duration::from_millis(jitter_ms as u64), ready: false };
    }

    /// Takes an address out of all sets.
    fn unshelve(&mut self, addr: SocketAddr) -> Option<Entry> {
        let entry = self.known.remove(&addr)?;
        if let State::Idle { retry, ready } = entry.state {
            if ready {
                self.ready.remove(&(entry.dial_rank(), addr));
            } else {
                self.resting.remove(&(retry, addr));
            }
            self.evictable.remove(&(entry.worth(), addr));
        }
        Some(entry)
    }

    /// Puts an address into the sets that its state asks for.
    fn shelve(&mut self, addr: SocketAddr, entry: Entry) {
        if let State::Idle { retry, ready } = entry.state {
            if entry.ourselves {
                // Kept, so that no source can offer it again; in no set, so that it's never dialled.
            } else if ready {
                self.ready.insert((entry.dial_rank(), addr));
            } else {
                self.resting.insert((retry, addr));
            }
            if entry.source != Source::Given {
                self.evictable.insert((entry.worth(), addr));
            }
        }
        self.known.insert(addr, entry);
    }

    /// Forgets the least worthy address, if it isn't worth more than the newcomer; says whether it did.
    fn make_room(&mut self, newcomer: &Entry) -> bool {
        let Some(&(worth, addr)) = self.evictable.last() else { return false };
        // When it was seen doesn't count: otherwise nobody new would ever come in.
        let (failures, never_connected, source, _) = worth;
        let theirs = (failures, never_connected, source);
        let ours = (newcomer.failures, !newcomer.has_connected, newcomer.source);
        let gives_way = newcomer.source == Source::Given || theirs >= ours;
        if gives_way {
            self.unshelve(addr);
        }
        gives_way
    }

    fn network_is_full(&self, ip: IpAddr) -> bool {
        let most = if ip.is_loopback() { self.limits.per_loopback_max } else { self.limits.per_address_max };
        self.per_network.get(&network_of(ip)).is_some_and(|&taken| taken >= most)
    }

    fn enter(&mut self, ip: IpAddr) {
        *self.per_network.entry(network_of(ip)).or_default() += 1;
    }

    fn leave(&mut self, ip: IpAddr) {
        let network = network_of(ip);
        if let Some(taken) = self.per_network.get_mut(&network) {
            *taken -= 1;
            if *taken == 0 {
                self.per_network.remove(&network);
            }
        }
    }
}

/// One form for each address: a dual-stack socket shows IPv4 peers as mapped IPv6 ones.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
