//! Iterative lookups (BEP 5): ask the nearest nodes known, learn of nearer ones, until there are none.
//!
//! [`Search`] is one family's list of candidates and decides whom to ask next; [`Traversal`] is a lookup with a
//! goal and a search in each family. Neither sends anything: `node` asks for them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use crate::address::{Contact, Family, Scope, party, scope};
use crate::id::NodeId;
use crate::limits::{self, BUCKET_NODES_MAX};
use crate::node::{Announce, Lookup};

/// Where a candidate stands.
///
/// ```text
/// Fresh -> Asked -> Answered
///            |  \-> Failed
///            v        ^
///           Slow -----+--> Answered
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    /// Holds one of the lookup's slots.
    Asked,
    /// Silent for so long that its slot went to another; may still answer.
    Slow,
    /// With the token it gave, if any.
    Answered(Option<Vec<u8>>),
    Failed,
}

#[derive(Clone, Debug)]
struct Candidate {
    contact: Contact,
    state: State,
}

/// One family's half of a lookup.
#[derive(Debug)]
pub(crate) struct Search {
    target: NodeId,
    width: usize,
    /// Nearest to the target first; every address once.
    candidates: Vec<Candidate>,
    /// Addresses without a known id: routers, and nodes that a user or a peer named.
    given: Vec<(SocketAddr, State)>,
    asked: usize,
}

impl Search {
    pub(crate) fn new(target: NodeId, width: usize) -> Self {
        Self { target, width, candidates: Vec::new(), given: Vec::new(), asked: 0 }
    }

    /// A node that somebody named, or that the table knows.
    pub(crate) fn add(&mut self, contact: Contact) {
        let of_party = |other: &Candidate| {
            other.contact.addr == contact.addr
                || (scope(contact.addr.ip()) == Scope::Global
                    && other.state != State::Failed
                    && party(other.contact.addr.ip()) == party(contact.addr.ip()))
        };
        if self.candidates.iter().any(of_party) || self.given.iter().any(|(addr, _)| *addr == contact.addr) {
            return;
        }
        self.place(Candidate { contact, state: State::Fresh });
    }

    /// An address whose id isn't known.
    pub(crate) fn add_given(&mut self, addr: SocketAddr) {
        let known = self.candidates.iter().any(|candidate| candidate.contact.addr == addr)
            || self.given.iter().any(|(given, _)| *given == addr);
        if !known && self.given.len() < limits::GIVEN_MAX {
            self.given.push((addr, State::Fresh));
        }
    }

    /// Whom to ask now, if a slot is free and somebody is worth it. Whoever is returned counts as asked.
    pub(crate) fn next(&mut self) -> Option<(Option<NodeId>, SocketAddr)> {
        if self.in_flight() >= self.width || self.asked >= limits::LOOKUP_QUERIES_MAX {
            return None;
        }
        if let Some(at) = self.fresh() {
            self.candidates[at].state = State::Asked;
            self.asked += 1;
            let contact = self.candidates[at].contact;
            return Some((Some(contact.id), contact.addr));
        }
        let (addr, state) = self.given.iter_mut().find(|(_, state)| *state == State::Fresh)?;
        *state = State::Asked;
        self.asked += 1;
        Some((None, *addr))
    }

    /// A node answered.
    pub(crate) fn answered(&mut self, contact: Contact, token: Option<&[u8]>) {
        let token = token.filter(|token| token.len() <= limits::TOKEN_BYTES_MAX).map(<[u8]>::to_vec);
        if let Some(at) = self.given.iter().position(|(addr, _)| *addr == contact.addr) {
            self.given[at].1 = State::Failed;
            self.place(Candidate { contact, state: State::Answered(token) });
            return;
        }
        for candidate in &mut self.candidates {
            if candidate.contact.addr == contact.addr {
                // Who isn't whom it was named as doesn't count as near.
                let same = candidate.contact.id == contact.id;
                candidate.state = if same { State::Answered(token) } else { State::Failed };
                return;
            }
        }
    }

    /// A node has been silent for so long that another is asked in its place.
    pub(crate) fn slow(&mut self, addr: SocketAddr) {
        if let Some(state) = self.state(addr).filter(|state| **state == State::Asked) {
            *state = State::Slow;
        }
    }

    /// A node refused, or never answered.
    pub(crate) fn failed(&mut self, addr: SocketAddr) {
        if let Some(state) = self.state(addr) {
            *state = State::Failed;
        }
    }

    /// Whether asking on would bring nothing: the nearest have all answered and nobody else is left to wait for.
    pub(crate) fn is_done(&self) -> bool {
        let answered = |candidate: &&Candidate| matches!(candidate.state, State::Answered(_));
        let few = self.candidates.iter().filter(answered).count() < BUCKET_NODES_MAX;
        let exhausted = self.asked >= limits::LOOKUP_QUERIES_MAX;
        let waits = self.states().any(|state| *state == State::Asked || (few && *state == State::Slow));
        let more = !exhausted
            && (self.fresh().is_some() || self.given.iter().any(|(_, state)| *state == State::Fresh));
        !waits && !more
    }

    /// Whether it has nobody to ask and never had.
    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.given.is_empty()
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// The nearest nodes that gave a token, with it.
    pub(crate) fn writable<'s>(&'s self) -> impl Iterator<Item = (Contact, &'s [u8])> {
        let with_token = |candidate: &'s Candidate| match &candidate.state {
            State::Answered(Some(token)) => Some((candidate.contact, token.as_slice())),
            _ => None,
        };
        self.candidates.iter().filter_map(with_token).take(BUCKET_NODES_MAX)
    }

    /// Whether an announce would reach as many nodes as it should, or as there are.
    fn can_announce(&self) -> bool {
        self.writable().count() >= BUCKET_NODES_MAX || self.is_done()
    }

    /// The nearest candidate that wasn't asked yet, if it is among the eight nearest that may still matter.
    /// Given addresses come only when there are fewer.
    fn fresh(&self) -> Option<usize> {
        let alive = |state: &State| !matches!(state, State::Failed | State::Slow);
        let mut window =
            (0..self.candidates.len()).filter(|&at| alive(&self.candidates[at].state)).take(BUCKET_NODES_MAX);
        window.find(|&at| self.candidates[at].state == State::Fresh)
    }

    fn in_flight(&self) -> usize {
        self.states().filter(|state| **state == State::Asked).count()
    }

    fn states(&self) -> impl Iterator<Item = &State> {
        self.candidates
            .iter()
            .map(|candidate| &candidate.state)
            .chain(self.given.iter().map(|(_, state)| state))
    }

    fn state(&mut self, addr: SocketAddr) -> Option<&mut State> {
        let candidates = self.candidates.iter_mut().map(|c| (c.contact.addr, &mut c.state));
        let given = self.given.iter_mut().map(|(addr, state)| (*addr, state));
        candidates.chain(given).find(|(other, _)| *other == addr).map(|(_, state)| state)
    }

    fn place(&mut self, candidate: Candidate) {
        let distance = candidate.contact.id.distance(&self.target);
        let at = self.candidates.partition_point(|c| c.contact.id.distance(&self.target) <= distance);
        self.candidates.insert(at, candidate);
        if self.candidates.len() > limits::CANDIDATES_MAX {
            self.candidates.pop();
        }
    }
}

/// What a lookup is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Peers of a torrent, for the caller.
    Peers(Lookup),
    /// Joining the network of a family: finding our own neighbours.
    Join(Family),
    /// Keeping a bucket fresh.
    Refresh,
}

/// A lookup under way.
#[derive(Debug)]
pub(crate) struct Traversal {
    pub(crate) target: NodeId,
    pub(crate) goal: Goal,
    pub(crate) started: Instant,
    pub(crate) searches: [Option<Search>; 2],
    pub(crate) found: BTreeSet<SocketAddr>,
    pub(crate) announcing: Option<Announcing>,
}

/// The end of a lookup that announces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Announcing {
    pub(crate) outstanding: usize,
    pub(crate) accepted: usize,
}

impl Traversal {
    pub(crate) fn new(target: NodeId, goal: Goal, families: &[Family], now: Instant) -> Self {
        let width = if matches!(goal, Goal::Peers(_)) { limits::LOOKUP_WIDTH } else { limits::UPKEEP_WIDTH };
        let search = |family| families.contains(&family).then(|| Search::new(target, width));
        Self {
            target,
            goal,
            started: now,
            searches: Family::ALL.map(search),
            found: BTreeSet::new(),
            announcing: None,
        }
    }

    pub(crate) fn search(&mut self, family: Family) -> Option<&mut Search> {
        self.searches[family.index()].as_mut()
    }

    /// Nobody to ask is known yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.searches.iter().flatten().all(Search::is_empty)
    }

    /// Whether the asking is over: there is no more to learn, or enough is known.
    pub(crate) fn is_done(&self, now: Instant) -> bool {
        if self.is_waiting() {
            let patient = matches!(self.goal, Goal::Peers(_));
            return !patient || now.saturating_duration_since(self.started) >= limits::LOOKUP_PATIENCE;
        }
        self.has_enough() || self.searches.iter().flatten().all(Search::is_done)
    }

    pub(crate) fn announce(&self) -> Option<Announce> {
        match self.goal {
            Goal::Peers(options) => options.announce,
            Goal::Join(_) | Goal::Refresh => None,
        }
    }

    pub(crate) fn nodes_asked(&self) -> usize {
        self.searches.iter().flatten().map(Search::asked).sum()
    }

    /// Notes peers and returns those that are new.
    pub(crate) fn note_peers(&mut self, peers: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        let mut new = Vec::new();
        for peer in peers {
            if self.found.len() < limits::LOOKUP_PEERS_MAX && self.found.insert(peer) {
                new.push(peer);
            }
        }
        new
    }

    fn has_enough(&self) -> bool {
        match self.goal {
            Goal::Peers(options) => {
                self.found.len() >= options.peers_enough
                    && (options.announce.is_none()
                        || self.searches.iter().flatten().all(Search::can_announce))
            }
            Goal::Join(_) | Goal::Refresh => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: NodeId = NodeId([0; 20]);

    /// The lower the number, the nearer to the target; every node in its own network.
    fn node(number: u8) -> Contact {
        let mut id = [0; 20];
        id[1] = number;
        Contact { id: NodeId(id), addr: SocketAddr::from(([8, 8, number, 1], 6881)) }
    }

    fn search(numbers: impl IntoIterator<Item = u8>) -> Search {
        let mut search = Search::new(TARGET, 3);
        numbers.into_iter().for_each(|number| search.add(node(number)));
        search
    }

    fn drain(search: &mut Search) -> Vec<SocketAddr> {
        std::iter::from_fn(|| search.next()).map(|(_, addr)| addr).collect()
    }

    #[test]
    fn the_nearest_are_asked_first_and_only_as_many_as_there_are_slots() {
        let mut search = search([9, 3, 7, 1, 5]);
        assert_eq!(drain(&mut search), [node(1).addr, node(3).addr, node(5).addr]);
        search.answered(node(3), None);
        assert_eq!(drain(&mut search), [node(7).addr]);
    }

    #[test]
    fn a_slow_node_frees_its_slot_and_may_still_answer() {
        let mut search = search(1..=12);
        drain(&mut search);
        search.slow(node(1).addr);
        assert_eq!(drain(&mut search), [node(4).addr]);
        search.answered(node(1), Some(b"token"));
        assert_eq!(search.writable().next(), Some((node(1), &b"token"[..])));
    }

    #[test]
    fn it_ends_when_the_eight_nearest_have_answered() {
        let mut search = search(1..=20);
        let mut asked = 0;
        while !search.is_done() {
            let (_, addr) = search.next().unwrap();
            asked += 1;
            search.answered(node(addr.to_string().split('.').nth(2).unwrap().parse().unwrap()), None);
        }
        assert_eq!(asked, 8);
    }

    #[test]
    fn a_slow_node_is_waited_for_only_while_too_few_have_answered() {
        let mut few = search(1..=3);
        drain(&mut few);
        few.answered(node(1), None);
        few.answered(node(2), None);
        few.slow(node(3).addr);
        assert!(!few.is_done());
        few.failed(node(3).addr);
        assert!(few.is_done());

        let mut many = search(1..=9);
        drain(&mut many);
        many.slow(node(1).addr);
        for number in 2..=9 {
            many.answered(node(number), None);
            drain(&mut many);
        }
        assert!(many.is_done(), "eight answered, the ninth is only late");
    }

    #[test]
    fn given_addresses_come_after_known_nodes_and_become_candidates() {
        let mut search = search([5]);
        let router = node(200);
        search.add_given(router.addr);
        search.add_given(router.addr);
        assert_eq!(search.next(), Some((Some(node(5).id), node(5).addr)));
        assert_eq!(search.next(), Some((None, router.addr)));
        assert_eq!(search.next(), None);
        search.answered(router, Some(b"t"));
        search.failed(node(5).addr);
        assert!(search.is_done());
        assert_eq!(search.writable().count(), 1);
    }

    #[test]
    fn an_address_is_asked_once_whatever_ids_it_is_named_with() {
        let mut search = Search::new(TARGET, 100);
        for number in 0..50 {
            search.add(Contact { id: node(number).id, addr: node(1).addr });
            search
                .add(Contact { id: node(number).id, addr: ([8, 8, 1, 1], 7000 + u16::from(number)).into() });
        }
        assert_eq!(drain(&mut search).len(), 1);
    }

    #[test]
    fn who_answers_with_another_id_does_not_count_as_near() {
        let mut search = search([1]);
        drain(&mut search);
        search.answered(Contact { id: node(99).id, addr: node(1).addr }, Some(b"t"));
        assert_eq!(search.writable().count(), 0);
        assert!(search.is_done());
    }

    #[test]
    fn an_endless_chain_of_nearer_nodes_ends() {
        let mut search = Search::new(TARGET, 3);
        let (mut asked, mut id) = (0u32, [0xff; 20]);
        let mut name = |search: &mut Search, asked: u32| {
            // Each is nearer than all before.
            let at = id.iter().position(|&byte| byte != 0).unwrap();
            id[at] -= 1;
            let ip = std::net::Ipv4Addr::from(0x0800_0000 + asked * 256);
            search.add(Contact { id: NodeId(id), addr: (ip, 1).into() });
            Contact { id: NodeId(id), addr: (ip, 1).into() }
        };
        let mut last = name(&mut search, 0);
        while search.next().is_some() {
            asked += 1;
            assert!(asked <= 1000);
            search.answered(last, None);
            last = name(&mut search, asked);
        }
        assert_eq!(asked as usize, limits::LOOKUP_QUERIES_MAX);
        assert!(search.is_done());
    }
}
