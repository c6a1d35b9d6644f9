//! What follows from inputs: asking on in lookups, pings, joining, upkeep.

use std::net::SocketAddr;

use super::{LookupKey, Node, Output};
use crate::address::{Contact, Family};
use crate::id::NodeId;
use crate::krpc::{Body, Message, Method, Query, Want};
use crate::limits;
use crate::lookup::{Announcing, Goal, Traversal};
use crate::queries::{Pending, Purpose};
use crate::server::VERSION;

impl Node {
    /// Begins a traversal from the nearest nodes known; the caller advances it.
    pub(super) fn start(&mut self, target: NodeId, goal: Goal, families: &[Family]) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let ours: Vec<_> =
            families.iter().copied().filter(|family| self.sides[family.index()].is_some()).collect();
        let mut traversal = Traversal::new(target, goal, &ours, self.now);
        self.seed(&mut traversal);
        self.traversals.insert(key, traversal);
        key
    }

    /// Takes a traversal as far as it goes without an answer.
    pub(super) fn advance(&mut self, key: u64) {
        let Some(mut traversal) = self.traversals.remove(&key) else { return };
        if traversal.announcing.is_none() && !traversal.is_done(self.now) {
            self.ask(key, &mut traversal);
        }
        if traversal.announcing.is_none() && traversal.is_done(self.now) {
            let announcing = self.announce(key, &traversal);
            traversal.announcing = Some(announcing);
        }
        match traversal.announcing {
            Some(Announcing { outstanding: 0, accepted }) => self.finish(key, &traversal, accepted),
            _ => {
                self.traversals.insert(key, traversal);
            }
        }
    }

    /// What is left to do after any input: nothing here depends on which one it was.
    pub(super) fn settle(&mut self) {
        if self.blocked && !self.queries.is_full() {
            self.blocked = false;
            self.advance_all();
        }
        while self.pings_in_flight < limits::PINGS_IN_FLIGHT_MAX && !self.queries.is_full() {
            let Some((addr, id)) = self.pings.pop_front() else { break };
            self.pings_in_flight += 1;
            self.send_query(addr, id, Purpose::Ping, Method::Ping);
        }
    }

    /// Pings an address when there is time for it.
    pub(super) fn queue_ping(&mut self, addr: SocketAddr, id: Option<NodeId>) {
        let queued = self.pings.iter().any(|&(other, _)| other == addr);
        if !queued
            && !self.queries.awaits(addr)
            && self.pings.len() < limits::PINGS_QUEUED_MAX
            && self.sides[Family::of(addr).index()].is_some()
        {
            self.pings.push_back((addr, id));
        }
    }

    /// Looks for our own neighbours in a family, if there is anybody to ask. One at a time; addresses that were
    /// given in the meantime are added to the one that runs.
    pub(super) fn join(&mut self, family: Family) {
        let Some(side) = &mut self.sides[family.index()] else { return };
        let has_start = !side.table.is_empty()
            || !side.saved.is_empty()
            || self.given.iter().any(|&addr| Family::of(addr) == family);
        if let Some(key) = side.joining {
            if let Some(search) = self.traversals.get_mut(&key).and_then(|t| t.search(family)) {
                self.given.iter().filter(|&&a| Family::of(a) == family).for_each(|&a| search.add_given(a));
            }
            self.advance(key);
            return;
        }
        if !has_start {
            return;
        }
        side.rejoin_at = self.now + side.rejoin_pause;
        side.rejoin_pause = (side.rejoin_pause * 2).min(limits::REJOIN_MAX);
        let own = side.table.own();
        // The other family's search is there to take what dual-stack nodes tell of it (BEP 32).
        let key = self.start(own, Goal::Join(family), &Family::ALL);
        if let Some(side) = &mut self.sides[family.index()] {
            side.joining = Some(key);
        }
        self.advance(key);
    }

    /// Gives first nodes to lookups that began before there were any.
    pub(super) fn seed_the_waiting(&mut self) {
        let waiting = |(&key, traversal): (&u64, &Traversal)| traversal.is_waiting().then_some(key);
        let keys: Vec<_> = self.traversals.iter().filter_map(waiting).collect();
        for key in keys {
            if let Some(mut traversal) = self.traversals.remove(&key) {
                self.seed(&mut traversal);
                self.traversals.insert(key, traversal);
                self.advance(key);
            }
        }
    }

    /// A query has been silent for long: others may be asked in its place.
    pub(super) fn turned_slow(&mut self, pending: &Pending) {
        if let Purpose::Step(key) = pending.purpose {
            if let Some(search) = self.traversals.get_mut(&key).and_then(|t| t.search(Family::of(pending.to)))
            {
                search.slow(pending.to);
            }
            self.advance(key);
        }
    }

    /// A query was refused, or (`silent`) never answered.
    pub(super) fn came_to_nothing(&mut self, pending: &Pending, silent: bool) {
        let family = Family::of(pending.to);
        if silent && let Some(side) = &mut self.sides[family.index()] {
            side.table.failed(pending.to);
        }
        match pending.purpose {
            Purpose::Ping => {
                self.pings_in_flight -= 1;
                // BEP 5 suggests to try once more before a node of the table is given up.
                if silent && self.sides[family.index()].as_ref().is_some_and(|s| s.table.knows(pending.to)) {
                    self.queue_ping(pending.to, pending.id);
                }
            }
            Purpose::Step(key) => {
                if let Some(search) = self.traversals.get_mut(&key).and_then(|t| t.search(family)) {
                    search.failed(pending.to);
                }
                self.advance(key);
            }
            Purpose::Announce(key) => {
                self.announce_ended(key, false);
                self.advance(key);
            }
        }
    }

    pub(super) fn announce_ended(&mut self, key: u64, accepted: bool) {
        if let Some(announcing) = self.traversals.get_mut(&key).and_then(|t| t.announcing.as_mut()) {
            announcing.outstanding -= 1;
            announcing.accepted += usize::from(accepted);
        }
    }

    /// Every few seconds: forget what is old, ping who was silent, refresh, join again if we have lost everybody.
    pub(super) fn keep_up(&mut self) {
        self.server.peers.expire(self.now);
        for family in Family::ALL {
            let noise = self.random.bytes();
            let Some(side) = &mut self.sides[family.index()] else { continue };
            let silent = side.table.questionable(self.now);
            let lost = side.table.good(self.now) == 0 && side.joining.is_none() && side.rejoin_at <= self.now;
            let refresh =
                if side.table.is_empty() { None } else { side.table.refresh_target(noise, self.now) };
            if let Some(silent) = silent {
                self.queue_ping(silent.addr, Some(silent.id));
            }
            if lost {
                self.join(family);
            } else if let Some(target) = refresh {
                let key = self.start(target, Goal::Refresh, &[family]);
                self.advance(key);
            }
        }
        // Lookups that wait for a first node look at the clock here.
        self.advance_all();
    }

    fn advance_all(&mut self) {
        let keys: Vec<_> = self.traversals.keys().copied().collect();
        keys.into_iter().for_each(|key| self.advance(key));
    }

    /// The nearest nodes of the tables; where those are few, also the last run's nodes and given addresses.
    fn seed(&self, traversal: &mut Traversal) {
        let target = traversal.target;
        let joins = match traversal.goal {
            Goal::Join(family) => Some(family),
            Goal::Peers(_) | Goal::Refresh => None,
        };
        for side in self.sides.iter().flatten() {
            let Some(search) = traversal.search(side.family) else { continue };
            if joins.is_some_and(|family| family != side.family) {
                continue;
            }
            let near = side.table.closest(&target, limits::BUCKET_NODES_MAX * 2);
            let few = near.len() < limits::BUCKET_NODES_MAX;
            near.into_iter().for_each(|node| search.add(node));
            if few || joins.is_some() {
                side.saved.iter().for_each(|&node| search.add(node));
                let of_family = self.given.iter().filter(|&&addr| Family::of(addr) == side.family);
                of_family.for_each(|&addr| search.add_given(addr));
            }
        }
    }

    /// Sends the queries that a traversal has slots for.
    fn ask(&mut self, key: u64, traversal: &mut Traversal) {
        let (target, want) = (traversal.target, self.want());
        let method = match traversal.goal {
            Goal::Peers(_) => Method::GetPeers { info_hash: afflux_metainfo::InfoHash(target.0), want },
            Goal::Join(_) | Goal::Refresh => Method::FindNode { target, want },
        };
        for search in traversal.searches.iter_mut().flatten() {
            loop {
                if self.queries.is_full() {
                    self.blocked = true;
                    return;
                }
                let Some((id, addr)) = search.next() else { break };
                self.send_query(addr, id, Purpose::Step(key), method.clone());
            }
        }
    }

    /// BEP 32: nodes of the other family too, while we know few of it.
    fn want(&self) -> Want {
        let few = |side: &super::Side| side.table.len() < limits::BUCKET_NODES_MAX;
        match &self.sides {
            [Some(v4), Some(v6)] if few(v4) || few(v6) => Want { v4: true, v6: true },
            _ => Want::default(),
        }
    }

    /// Announces to the nearest nodes that gave tokens, if that is wanted.
    fn announce(&mut self, key: u64, traversal: &Traversal) -> Announcing {
        let mut announcing = Announcing::default();
        let Some(announce) = traversal.announce() else { return announcing };
        let port = (!announce.implied).then_some(announce.port);
        let info_hash = afflux_metainfo::InfoHash(traversal.target.0);
        for (node, token) in traversal.searches.iter().flatten().flat_map(|search| search.writable()) {
            // Sixteen at most: allowed beyond the bound on queries, so that a found place is never wasted.
            let method = Method::AnnouncePeer { info_hash, port, token };
            self.send_query(node.addr, Some(node.id), Purpose::Announce(key), method);
            announcing.outstanding += 1;
        }
        announcing
    }

    fn finish(&mut self, key: u64, traversal: &Traversal, announced: usize) {
        match traversal.goal {
            Goal::Refresh => {}
            Goal::Join(family) => self.has_joined(family, key),
            Goal::Peers(_) => self.outputs.push_back(Output::LookupFinished {
                lookup: LookupKey(key),
                peers: traversal.found.len(),
                nodes_asked: traversal.nodes_asked(),
                announced,
            }),
        }
    }

    fn has_joined(&mut self, family: Family, key: u64) {
        let Some(side) = &mut self.sides[family.index()] else { return };
        if side.joining != Some(key) {
            return;
        }
        side.joining = None;
        if side.table.is_empty() {
            return;
        }
        side.rejoin_pause = limits::REJOIN_MIN;
        let saved: Vec<Contact> = std::mem::take(&mut side.saved);
        // The last run's nodes fill the far buckets, if they still answer.
        saved.into_iter().for_each(|node| self.queue_ping(node.addr, Some(node.id)));
        if !self.ready {
            self.ready = true;
            self.outputs.push_back(Output::Ready);
        }
    }

    fn send_query(&mut self, to: SocketAddr, id: Option<NodeId>, purpose: Purpose, method: Method<'_>) {
        let transaction = self.queries.open(to, id, purpose, &mut self.random, self.now);
        self.flood.credit(to.ip(), self.now);
        self.stats.queries_sent += 1;
        let message = Message {
            transaction: &transaction,
            version: Some(VERSION),
            external: None,
            read_only: self.config.read_only,
            body: Body::Query(Query { id: self.id(Family::of(to)), method }),
        };
        self.outputs.push_back(Output::Send { to, bytes: message.encode() });
    }
}
