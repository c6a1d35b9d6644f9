//! What is heard and answered at all: a rate per address and one budget for all replies.
//!
//! Decided before a datagram is parsed, so that a flood costs next to nothing. Not here: what a reply may
//! weigh against its query (`server`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::address::{Scope, party, scope};
use crate::limits;

pub(crate) struct Flood {
    watched: BTreeMap<u128, Watch>,
    budget_bytes: f64,
    refilled: Instant,
}

struct Watch {
    allowance: f64,
    seen: Instant,
    blocked_until: Option<Instant>,
}

impl Flood {
    pub(crate) fn new(now: Instant) -> Self {
        Self { watched: BTreeMap::new(), budget_bytes: f64::from(limits::REPLY_BURST_BYTES), refilled: now }
    }

    /// Whether a datagram from `ip` is looked at. `awaited`: we have asked somebody at that address.
    pub(crate) fn admits(&mut self, ip: IpAddr, awaited: bool, now: Instant) -> bool {
        self.refill(now);
        if self.budget_bytes <= 0.0 && !awaited {
            return false;
        }
        // Local networks hold many nodes on few addresses, and can be flooded more simply. They share the budget.
        if scope(ip) != Scope::Global {
            return true;
        }
        let watch = self.watch(ip, now);
        if watch.blocked_until.is_some_and(|until| now < until) {
            return false;
        }
        watch.blocked_until = None;
        watch.allowance -= 1.0;
        if watch.allowance < 0.0 {
            watch.blocked_until = Some(now + limits::ADDRESS_BLOCK);
            return false;
        }
        true
    }

    /// We ask this address something: its answer is no flood.
    pub(crate) fn credit(&mut self, ip: IpAddr, now: Instant) {
        if scope(ip) == Scope::Global {
            let watch = self.watch(ip, now);
            watch.allowance = (watch.allowance + 1.0).min(f64::from(limits::ADDRESS_BURST) * 2.0);
        }
    }

    /// Takes a reply's bytes from the budget; the last one may overdraw it.
    pub(crate) fn spend(&mut self, bytes: usize, now: Instant) -> bool {
        self.refill(now);
        if self.budget_bytes <= 0.0 {
            return false;
        }
        self.budget_bytes -= bytes as f64;
        true
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        let full = f64::from(limits::REPLY_BURST_BYTES);
        self.budget_bytes = (self.budget_bytes + passed * f64::from(limits::REPLY_BYTES_PER_S)).min(full);
        self.refilled = self.refilled.max(now);
    }

    fn watch(&mut self, ip: IpAddr, now: Instant) -> &mut Watch {
        let key = party(ip);
        if self.watched.len() >= limits::ADDRESSES_WATCHED_MAX && !self.watched.contains_key(&key) {
            self.forget_some(now);
        }
        let burst = f64::from(limits::ADDRESS_BURST);
        let watch =
            self.watched.entry(key).or_insert(Watch { allowance: burst, seen: now, blocked_until: None });
        let passed = now.saturating_duration_since(watch.seen).as_secs_f64();
        if watch.allowance < burst {
            watch.allowance = (watch.allowance + passed * f64::from(limits::ADDRESS_RATE_PER_S)).min(burst);
        }
        watch.seen = watch.seen.max(now);
        watch
    }

    /// Forgets the half that was quiet longest, blocked ones last: seldom, so that a step costs little on average.
    fn forget_some(&mut self, now: Instant) {
        let mut order: Vec<_> = self
            .watched
            .iter()
            .map(|(&key, watch)| (watch.blocked_until.is_some_and(|until| now < until), watch.seen, key))
            .collect();
        order.sort_unstable();
        for (_, _, key) in &order[..order.len().div_ceil(2)] {
            self.watched.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_over_its_rate_is_blocked_for_a_while_and_others_are_not() {
        let (now, attacker) = (start(), ip("1.2.3.4"));
        let mut flood = Flood::new(now);
        let heard = (0..1000).filter(|_| flood.admits(attacker, false, now)).count();
        assert_eq!(heard, limits::ADDRESS_BURST as usize);
        assert!(flood.admits(ip("1.2.3.5"), false, now));
        assert!(!flood.admits(attacker, false, now + limits::ADDRESS_BLOCK - Duration::from_secs(1)));
        assert!(flood.admits(attacker, false, now + limits::ADDRESS_BLOCK));
    }

    #[test]
    fn answers_to_our_own_questions_are_no_flood() {
        let (now, busy) = (start(), ip("1.2.3.4"));
        let mut flood = Flood::new(now);
        for _ in 0..1000 {
            flood.credit(busy, now);
            assert!(flood.admits(busy, true, now));
        }
    }

    #[test]
    fn without_budget_only_awaited_datagrams_are_heard() {
        let now = start();
        let mut flood = Flood::new(now);
        while flood.spend(1000, now) {}
        assert!(!flood.admits(ip("1.2.3.4"), false, now));
        assert!(!flood.admits(ip("127.0.0.1"), false, now));
        assert!(flood.admits(ip("1.2.3.4"), true, now));
        assert!(flood.admits(ip("1.2.3.4"), false, now + Duration::from_secs(1)));
    }

    #[test]
    fn many_forged_sources_dont_grow_the_memory_nor_free_the_blocked() {
        let (now, attacker) = (start(), ip("1.2.3.4"));
        let mut flood = Flood::new(now);
        while flood.admits(attacker, false, now) {}
        for source in 0..10_000u32 {
            flood.admits(Ipv4Addr::from(0x0800_0000 + source).into(), false, now + Duration::from_millis(1));
        }
        assert!(flood.watched.len() <= limits::ADDRESSES_WATCHED_MAX);
        assert!(!flood.admits(attacker, false, now + Duration::from_secs(1)));
    }
}
