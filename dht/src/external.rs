//! Our address as others see it (BEP 42, `ip`): a vote, because any single voter may lie.
//!
//! Not here: what follows from it (a new id, in `node`).

use std::net::IpAddr;

use crate::address::{Scope, neighbourhood, scope};
use crate::limits;

/// One family's votes, at most one per voter's neighbourhood, oldest first.
#[derive(Default)]
pub(crate) struct Votes {
    votes: Vec<(u128, IpAddr)>,
    settled: Option<IpAddr>,
}

impl Votes {
    /// A voter says that we are `ip`. Returns the address if that settles on a new one.
    pub(crate) fn vote(&mut self, voter: IpAddr, ip: IpAddr) -> Option<IpAddr> {
        // Who shares our network sees our private address, which ties no id.
        if scope(ip) != Scope::Global || scope(voter) != Scope::Global || voter.is_ipv4() != ip.is_ipv4() {
            return None;
        }
        let from = neighbourhood(voter);
        self.votes.retain(|&(other, _)| other != from);
        self.votes.push((from, ip));
        if self.votes.len() > limits::VOTES_MAX {
            self.votes.remove(0);
        }
        let agreeing = self.votes.iter().filter(|&&(_, other)| other == ip).count();
        let wins = agreeing >= limits::VOTES_ENOUGH && agreeing * 2 > self.votes.len();
        if !wins || self.settled == Some(ip) {
            return None;
        }
        self.settled = Some(ip);
        self.settled
    }

    pub(crate) fn settled(&self) -> Option<IpAddr> {
        self.settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_neighbourhood_has_one_vote() {
        let mut votes = Votes::default();
        for host in 0..200 {
            assert_eq!(votes.vote(ip(&format!("6.6.6.{host}")), ip("1.1.1.1")), None);
        }
        assert_eq!(votes.settled(), None);
    }

    #[test]
    fn agreement_of_many_settles_and_a_minority_changes_nothing() {
        let mut votes = Votes::default();
        let settled: Vec<_> =
            (0..20).filter_map(|net| votes.vote(ip(&format!("8.8.{net}.1")), ip("1.1.1.1"))).collect();
        assert_eq!(settled, [ip("1.1.1.1")]);
        for net in 0..10 {
            assert_eq!(votes.vote(ip(&format!("6.6.{net}.1")), ip("6.6.6.6")), None);
        }
        assert_eq!(votes.settled(), Some(ip("1.1.1.1")));
    }

    #[test]
    fn local_voters_and_local_addresses_dont_count() {
        let mut votes = Votes::default();
        for net in 0..20 {
            assert_eq!(votes.vote(ip(&format!("10.0.{net}.1")), ip("1.1.1.1")), None);
            assert_eq!(votes.vote(ip(&format!("8.8.{net}.1")), ip("192.168.1.1")), None);
            assert_eq!(votes.vote(ip(&format!("8.8.{net}.1")), ip("2001:db8::1")), None);
        }
    }
}
