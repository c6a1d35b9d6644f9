//! Who behaves as no viewer does: counts of what users and their sessions do, each with a threshold and what follows.
//!
//! Each `handle_*` counts one event and says if it is a [`Sign`]: that a threshold was crossed, once per its period. What follows is
//! the caller's to do; nothing here refuses anything by itself. Memory is fixed: so much per user and per session, so many of
//! both, and the ones idle longest are forgotten first.
//!
//! Pure: time comes in as `now`. Not here: the limits that hold for everybody (requests per second, parallel streams), and what
//! peers do (`swarm` bans those).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::{SUSPICION_SESSIONS_MAX, SUSPICION_USERS_MAX};
use crate::session::{NEAR_AHEAD, Place};
use crate::token::SessionId;

mod counter;
mod networks;
#[cfg(test)]
mod tests;

use counter::Counter;
use networks::Networks;

/// What follows from a crossed threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing but the count.
    Count,
    /// It is logged, and an administrator's to look at.
    Warn,
    /// The user is served more slowly: at its own limit, or as an ordinary viewer would be.
    Throttle,
    /// Such requests are refused for this long.
    Refuse {
        /// For how long.
        period: Duration,
    },
    /// The session ends, and its tokens with it.
    Revoke,
}

/// How much is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// So many in the pattern's period are still fine.
    pub most: u32,
    /// What follows from more.
    pub action: Action,
}

/// What is strange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// A user adds torrent after torrent.
    TorrentsAdded,
    /// A user sends what is no torrent again and again.
    ParseFailures,
    /// A user starts stream after stream.
    StreamStarts,
    /// A session is sent a flood of requests for ranges.
    RangeFlood,
    /// A session's tokens are used from many networks: they were passed on.
    ManyNetworks,
    /// A session reads as a copy does, not as a viewer.
    BulkRead,
}

impl Pattern {
    /// The code of the HTTP API and of the log; never changes.
    pub fn code(self) -> &'static str {
        match self {
            Pattern::TorrentsAdded => "torrents_added",
            Pattern::ParseFailures => "parse_failures",
            Pattern::StreamStarts => "stream_starts",
            Pattern::RangeFlood => "range_flood",
            Pattern::ManyNetworks => "many_networks",
            Pattern::BulkRead => "bulk_read",
        }
    }

    /// In how much time events are counted.
    pub fn period(self) -> Duration {
        Duration::from_secs(match self {
            Pattern::TorrentsAdded | Pattern::ParseFailures => 3600,
            Pattern::StreamStarts => 60,
            Pattern::RangeFlood => 1,
            Pattern::ManyNetworks | Pattern::BulkRead => 600,
        })
    }
}

/// The thresholds of all patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuspicionConfig {
    /// Torrents that a user adds per hour. Somebody who fills a library by hand stays below.
    pub torrents_added: Threshold,
    /// Parse failures of a user per hour. People mistype a few times; a fuzzer doesn't stop.
    pub parse_failures: Threshold,
    /// Streams that a user starts per minute. Zapping through a season stays below.
    pub stream_starts: Threshold,
    /// Requests for ranges per second in one session. The busiest player makes twenty.
    pub range_requests: Threshold,
    /// Networks (/24 of IPv4, /48 of IPv6) from which a session's tokens are used within ten minutes. A phone that leaves the house
    /// and a television are three. At most [`NETWORKS_MAX`] less one can be told apart.
    pub networks: Threshold,
    /// How many times faster than it plays a session reads, within ten minutes: so that it reads ten minutes' worth times this.
    /// Players read ahead for minutes at most.
    pub read_speed: Threshold,
}

impl Default for SuspicionConfig {
    fn default() -> SuspicionConfig {
        let refused = |minutes: u64| Action::Refuse { period: Duration::from_secs(minutes * 60) };
        SuspicionConfig {
            torrents_added: Threshold { most: 20, action: Action::Warn },
            parse_failures: Threshold { most: 10, action: refused(10) },
            stream_starts: Threshold { most: 10, action: refused(1) },
            range_requests: Threshold { most: 60, action: Action::Throttle },
            networks: Threshold { most: 3, action: Action::Revoke },
            read_speed: Threshold { most: 3, action: Action::Throttle },
        }
    }
}

/// Networks remembered of a session.
pub const NETWORKS_MAX: usize = 16;

/// A threshold was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// What is strange.
    pub pattern: Pattern,
    /// How much of it there was in the pattern's period.
    pub count: u32,
    /// What follows.
    pub action: Action,
}

/// The counts of all users and sessions.
#[derive(Debug)]
pub struct Suspicions {
    config: SuspicionConfig,
    began: Instant,
    users: BTreeMap<Box<str>, UserCounts>,
    sessions: BTreeMap<SessionId, SessionCounts>,
}

#[derive(Debug)]
struct UserCounts {
    seen: Instant,
    added: Counter,
    failures: Counter,
    starts: Counter,
}

#[derive(Debug)]
struct SessionCounts {
    seen: Instant,
    ranges: Counter,
    networks: Networks,
    run: Option<ReadRun>,
}

/// A session's reading on and on.
#[derive(Clone, Copy, Debug)]
struct ReadRun {
    since: Instant,
    next: Place,
    /// Milliseconds of the film that were read.
    film_ms: u64,
    told: bool,
}

impl Suspicions {
    /// Nobody is known yet.
    pub fn new(config: SuspicionConfig, now: Instant) -> Suspicions {
        Suspicions { config, began: now, users: BTreeMap::new(), sessions: BTreeMap::new() }
    }

    /// A user added a torrent.
    pub fn handle_torrent_added(&mut self, user: &str, now: Instant) -> Option<Sign> {
        let (threshold, began) = (self.config.torrents_added, self.began);
        self.user(user, now).added.count(Pattern::TorrentsAdded, threshold, began, now)
    }

    /// A user sent something that is no torrent.
    pub fn handle_parse_failure(&mut self, user: &str, now: Instant) -> Option<Sign> {
        let (threshold, began) = (self.config.parse_failures, self.began);
        self.user(user, now).failures.count(Pattern::ParseFailures, threshold, began, now)
    }

    /// A user started a stream.
    pub fn handle_stream_start(&mut self, user: &str, now: Instant) -> Option<Sign> {
        let (threshold, began) = (self.config.stream_starts, self.began);
        self.user(user, now).starts.count(Pattern::StreamStarts, threshold, began, now)
    }

    /// A session was asked for a range, with a token that holds.
    pub fn handle_range_request(&mut self, session: SessionId, now: Instant) -> Option<Sign> {
        let (threshold, began) = (self.config.range_requests, self.began);
        self.session(session, now).ranges.count(Pattern::RangeFlood, threshold, began, now)
    }

    /// A session's token was used from an address, and held.
    pub fn handle_token_used(&mut self, session: SessionId, from: IpAddr, now: Instant) -> Option<Sign> {
        let threshold = self.config.networks;
        self.session(session, now).networks.note(from, threshold, now)
    }

    /// A session was sent `bytes` from `place` on, of media with `rate` bytes per second; 0 where that isn't known.
    pub fn handle_read(
        &mut self,
        session: SessionId,
        place: Place,
        bytes: u64,
        rate: u64,
        now: Instant,
    ) -> Option<Sign> {
        let threshold = self.config.read_speed;
        let counts = self.session(session, now);
        let period = Pattern::BulkRead.period();
        let next = Place { offset: place.offset.saturating_add(bytes), ..place };
        let goes_on =
            |run: &ReadRun| run.continues_at(place) && now.saturating_duration_since(run.since) < period;
        let fresh = ReadRun { since: now, next, film_ms: 0, told: false };
        let mut run = counts.run.filter(goes_on).unwrap_or(fresh);
        let film_ms = u128::from(bytes) * 1000 / u128::from(rate.max(1));
        if rate > 0 {
            run.film_ms = run.film_ms.saturating_add(u64::try_from(film_ms).unwrap_or(u64::MAX));
        }
        run.next = next;
        let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        let crossed = !run.told && run.film_ms > period_ms.saturating_mul(u64::from(threshold.most));
        run.told |= crossed;
        counts.run = Some(run);
        let count = u32::try_from(run.film_ms / period_ms).unwrap_or(u32::MAX);
        crossed.then_some(Sign { pattern: Pattern::BulkRead, count, action: threshold.action })
    }

    /// A session ended.
    pub fn forget_session(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// Until when what a user does is refused, if a sign said so: for [`Pattern::TorrentsAdded`], [`Pattern::ParseFailures`] and
    /// [`Pattern::StreamStarts`].
    pub fn refused_until(&self, user: &str, pattern: Pattern, now: Instant) -> Option<Instant> {
        let counts = self.users.get(user)?;
        let counter = match pattern {
            Pattern::TorrentsAdded => &counts.added,
            Pattern::ParseFailures => &counts.failures,
            Pattern::StreamStarts => &counts.starts,
            Pattern::RangeFlood | Pattern::ManyNetworks | Pattern::BulkRead => return None,
        };
        counter.refused_until().filter(|&until| now < until)
    }

    /// How many users and sessions are remembered.
    pub fn tracked(&self) -> (usize, usize) {
        (self.users.len(), self.sessions.len())
    }

    fn user(&mut self, user: &str, now: Instant) -> &mut UserCounts {
        if !self.users.contains_key(user) {
            make_room(&mut self.users, SUSPICION_USERS_MAX, |counts| counts.seen);
        }
        let fresh = || UserCounts {
            seen: now,
            added: Counter::default(),
            failures: Counter::default(),
            starts: Counter::default(),
        };
        let counts = self.users.entry(user.into()).or_insert_with(fresh);
        counts.seen = counts.seen.max(now);
        counts
    }

    fn session(&mut self, session: SessionId, now: Instant) -> &mut SessionCounts {
        if !self.sessions.contains_key(&session) {
            make_room(&mut self.sessions, SUSPICION_SESSIONS_MAX, |counts| counts.seen);
        }
        let fresh = || SessionCounts {
            seen: now,
            ranges: Counter::default(),
            networks: Networks::default(),
            run: None,
        };
        let counts = self.sessions.entry(session).or_insert_with(fresh);
        counts.seen = counts.seen.max(now);
        counts
    }
}

impl ReadRun {
    /// Whether a read at `place` goes on with this run: parallel readers of one player are a little apart.
    fn continues_at(&self, place: Place) -> bool {
        self.next.file == place.file && self.next.offset.abs_diff(place.offset) <= NEAR_AHEAD
    }
}

/// Drops a sixteenth of what is remembered, idle longest, once it is full: so that the search for them is rare.
fn make_room<K: Ord, V>(remembered: &mut BTreeMap<K, V>, most: usize, seen: fn(&V) -> Instant) {
    if remembered.len() < most {
        return;
    }
    let mut times: Vec<Instant> = remembered.values().map(seen).collect();
    let drop_count = (most / 16).max(1);
    let (_, &mut newest_dropped, _) = times.select_nth_unstable(drop_count - 1);
    let mut left = drop_count;
    remembered.retain(|_, value| {
        let drops = left > 0 && seen(value) <= newest_dropped;
        left -= usize::from(drops);
        !drops
    });
}
