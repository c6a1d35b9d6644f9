//! Our questions without an answer yet: transaction ids, timeouts, and how long answers take.
//!
//! A silent query first gives up its slot (others may be asked in its place), then expires. Both times follow
//! the measured round trips. Not here: what an answer means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::id::NodeId;
use crate::limits;
use crate::random::Random;

/// Why something was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To see whether a node is there.
    Ping,
    /// A step of the lookup with this key.
    Step(u64),
    /// The end of the lookup with this key.
    Announce(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) to: SocketAddr,
    /// Who is expected to answer, if an id is known.
    pub(crate) id: Option<NodeId>,
    pub(crate) purpose: Purpose,
    sent: Instant,
    expires: Instant,
    /// When the clock next does something to it.
    due: Instant,
}

/// What the clock did to a query.
pub(crate) enum Due {
    /// It has been silent for long: its slot is free, an answer may still come.
    Slow(Pending),
    /// Nobody answered.
    Expired(Pending),
}

pub(crate) struct Queries {
    pending: BTreeMap<u32, Pending>,
    /// The next thing that happens to each pending query.
    due: BTreeSet<(Instant, u32)>,
    awaited: BTreeMap<SocketAddr, u32>,
    round_trip: RoundTrip,
}

impl Queries {
    pub(crate) fn new() -> Self {
        Self {
            pending: BTreeMap::new(),
            due: BTreeSet::new(),
            awaited: BTreeMap::new(),
            round_trip: RoundTrip { mean: None, deviation: Duration::ZERO },
        }
    }

    /// Notes a query and returns its transaction id: four bytes, because some nodes ignore any other length.
    pub(crate) fn open(
        &mut self,
        to: SocketAddr,
        id: Option<NodeId>,
        purpose: Purpose,
        random: &mut Random,
        now: Instant,
    ) -> [u8; 4] {
        let mut transaction = random.number();
        while self.pending.contains_key(&transaction) {
            transaction = transaction.wrapping_add(1);
        }
        let expires = now + self.round_trip.timeout();
        let due = now + self.round_trip.slot();
        self.pending.insert(transaction, Pending { to, id, purpose, sent: now, expires, due });
        self.due.insert((due, transaction));
        *self.awaited.entry(to).or_insert(0) += 1;
        transaction.to_be_bytes()
    }

    /// Takes the query that an answer from `from` belongs to. None if we asked nothing such of that address.
    pub(crate) fn close(&mut self, transaction: &[u8], from: SocketAddr, now: Instant) -> Option<Pending> {
        let transaction = u32::from_be_bytes(transaction.try_into().ok()?);
        if self.pending.get(&transaction)?.to != from {
            return None;
        }
        let pending = self.remove(transaction)?;
        self.round_trip.sample(now.saturating_duration_since(pending.sent));
        Some(pending)
    }

    /// What the time has brought about, one at a time.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Due> {
        let &(when, transaction) = self.due.first()?;
        if when > now {
            return None;
        }
        let pending = self.pending.get_mut(&transaction)?;
        if pending.expires <= now {
            return self.remove(transaction).map(Due::Expired);
        }
        pending.due = pending.expires;
        let pending = *pending;
        self.due.remove(&(when, transaction));
        self.due.insert((pending.due, transaction));
        Some(Due::Slow(pending))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|&(when, _)| when)
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= limits::QUERIES_MAX
    }

    /// Whether an answer from there is awaited.
    pub(crate) fn awaits(&self, addr: SocketAddr) -> bool {
        self.awaited.contains_key(&addr)
    }

    fn remove(&mut self, transaction: u32) -> Option<Pending> {
        let pending = self.pending.remove(&transaction)?;
        self.due.remove(&(pending.due, transaction));
        if let Some(count) = self.awaited.get_mut(&pending.to) {
            *count -= 1;
            if *count == 0 {
                self.awaited.remove(&pending.to);
            }
        }
        Some(pending)
    }
}

/// Smoothed round trips, as TCP keeps them (RFC 6298), over all nodes together.
struct RoundTrip {
    mean: Option<Duration>,
    deviation: Duration,
}

impl RoundTrip {
    fn sample(&mut self, sample: Duration) {
        match self.mean {
            None => (self.mean, self.deviation) = (Some(sample), sample / 2),
            Some(mean) => {
                self.deviation = (self.deviation * 3 + mean.abs_diff(sample)) / 4;
                self.mean = Some((mean * 7 + sample) / 8);
            }
        }
    }

    fn expected(&self, unknown: Duration) -> Duration {
        self.mean.map_or(unknown, |mean| mean + self.deviation * 4)
    }

    /// How long a query keeps its slot.
    fn slot(&self) -> Duration {
        self.expected(limits::SLOT_MAX).clamp(limits::SLOT_MIN, limits::SLOT_MAX)
    }

    /// How long an answer is waited for.
    fn timeout(&self) -> Duration {
        (self.expected(limits::TIMEOUT_MAX) * 2).clamp(limits::TIMEOUT_MIN, limits::TIMEOUT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_answer_counts_only_from_where_we_asked() {
        let (now, mut random, mut queries) = (start(), Random::new(1), Queries::new());
        let transaction = queries.open(addr("1.2.3.4:5"), None, Purpose::Ping, &mut random, now);
        assert!(queries.close(&transaction, addr("1.2.3.4:6"), now).is_none());
        assert!(queries.close(&transaction, addr("1.2.3.5:5"), now).is_none());
        assert!(queries.close(&transaction[..2], addr("1.2.3.4:5"), now).is_none());
        assert!(queries.awaits(addr("1.2.3.4:5")));
        assert!(queries.close(&transaction, addr("1.2.3.4:5"), now).is_some());
        assert!(queries.close(&transaction, addr("1.2.3.4:5"), now).is_none());
        assert!(!queries.awaits(addr("1.2.3.4:5")));
        assert_eq!(queries.deadline(), None);
    }

    #[test]
    fn a_silent_query_turns_slow_and_then_expires() {
        let (now, mut random, mut queries) = (start(), Random::new(1), Queries::new());
        queries.open(addr("1.2.3.4:5"), None, Purpose::Ping, &mut random, now);
        assert!(queries.pop_due(now).is_none());
        let slow = queries.deadline().unwrap();
        assert_eq!(slow, now + limits::SLOT_MAX);
        assert!(matches!(queries.pop_due(slow), Some(Due::Slow(_))));
        assert!(queries.pop_due(slow).is_none());
        let expired = queries.deadline().unwrap();
        assert_eq!(expired, now + limits::TIMEOUT_MAX);
        assert!(matches!(queries.pop_due(expired), Some(Due::Expired(_))));
        assert_eq!((queries.len(), queries.deadline()), (0, None));
    }

    #[test]
    fn timeouts_follow_the_round_trips_within_their_bounds() {
        let (mut now, mut random, mut queries) = (start(), Random::new(1), Queries::new());
        for _ in 0..50 {
            let transaction = queries.open(addr("1.2.3.4:5"), None, Purpose::Ping, &mut random, now);
            now += Duration::from_micros(300);
            queries.close(&transaction, addr("1.2.3.4:5"), now);
        }
        queries.open(addr("1.2.3.4:5"), None, Purpose::Ping, &mut random, now);
        assert_eq!(queries.deadline(), Some(now + limits::SLOT_MIN));
    }
}
