//! The node: client, server and upkeep over the two tables (BEP 5, BEP 32).
//!
//! Here: the public face, what comes in, and what state there is. What follows from it (asking on, upkeep) is
//! in [`steps`]; answering is in `server`. Not here: sockets, names, the clock.

mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use afflux_metainfo::InfoHash;

use crate::address::{Contact, Family, is_usable, may_name};
use crate::external::Votes;
use crate::flood::Flood;
use crate::id::NodeId;
use crate::krpc::{Body, Message, Query, Response, code};
use crate::limits;
use crate::lookup::{Goal, Traversal};
use crate::peers::PeerStore;
use crate::queries::{Due, Purpose, Queries};
use crate::random::Random;
use crate::saved::Saved;
use crate::server::{Question, Server};
use crate::table::{Admission, Table};
use crate::tokens::Tokens;

/// What a node is asked to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Answer nobody, and say so (BEP 43): for machines that can't be reached.
    pub read_only: bool,
    /// Take private and loopback addresses from anybody's answers. Without it they are taken only from nodes
    /// that are at least as near themselves. Addresses that are given by commands are always allowed.
    pub allow_local: bool,
    /// Take part in the IPv4 DHT.
    pub v4: bool,
    /// Take part in the IPv6 DHT.
    pub v6: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { read_only: false, allow_local: false, v4: true, v6: true }
    }
}

/// How peers of a torrent are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// Also say that we share it.
    pub announce: Option<Announce>,
    /// Stop asking when so many peers are known.
    pub peers_enough: usize,
}

impl Default for Lookup {
    fn default() -> Self {
        Self { announce: None, peers_enough: 200 }
    }
}

/// What is announced (BEP 5, `announce_peer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The port where we take peers.
    pub port: u16,
    /// Tell others to take the datagram's source port instead: right when peers come over uTP on the same
    /// socket, which a NAT may show under another port.
    pub implied: bool,
}

/// One lookup under way. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupKey(pub(crate) u64);

/// What the node wants done, or has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A datagram to send.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Peers that this lookup hadn't reported yet.
    PeersFound {
        /// The lookup.
        lookup: LookupKey,
        /// They.
        peers: Vec<SocketAddr>,
    },
    /// A lookup has ended; its key means nothing from now on.
    LookupFinished {
        /// The lookup.
        lookup: LookupKey,
        /// Peers it reported in all.
        peers: usize,
        /// Nodes it asked.
        nodes_asked: usize,
        /// Nodes that took our announce.
        announced: usize,
    },
    /// The table is populated: lookups start from near their targets now.
    Ready,
}

/// Counters and sizes, for status lines and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Good nodes in the IPv4 table.
    pub nodes_v4: usize,
    /// Good nodes in the IPv6 table.
    pub nodes_v6: usize,
    /// Lookups under way, the node's own upkeep left out.
    pub lookups: usize,
    /// Queries without an answer yet.
    pub queries_in_flight: usize,
    /// Torrents in the store of peers.
    pub torrents_stored: usize,
    /// Peers in the store.
    pub peers_stored: usize,
    /// Queries that were sent.
    pub queries_sent: u64,
    /// Answers to them that came in time.
    pub answers_received: u64,
    /// Queries that nobody answered.
    pub queries_expired: u64,
    /// Queries of others that came.
    pub queries_received: u64,
    /// Replies sent, errors too.
    pub replies_sent: u64,
    /// Datagrams that couldn't be read.
    pub malformed: u64,
    /// Datagrams thrown away unread: a flood, or too large.
    pub dropped: u64,
    /// Answers to nothing we asked, or from elsewhere than we asked.
    pub unasked: u64,
    /// Our address as others see it, once enough agree.
    pub external: Option<std::net::IpAddr>,
}

/// One node of the DHT.
///
/// Inputs are [`Node::handle_datagram`] and [`Node::handle_timeout`]; commands are the verbs. After any of them:
/// drain [`Node::poll_output`], then wait until [`Node::deadline`] or the next datagram.
pub struct Node {
    config: Config,
    random: Random,
    /// The time of the last input.
    now: Instant,
    /// By family; none where we don't take part.
    sides: [Option<Side>; 2],
    /// Routers and other addresses without an id, for joining (again).
    given: Vec<SocketAddr>,
    queries: Queries,
    traversals: BTreeMap<u64, Traversal>,
    next_key: u64,
    /// A traversal wanted to ask and had to wait for an older query to end.
    blocked: bool,
    pings: VecDeque<(SocketAddr, Option<NodeId>)>,
    pings_in_flight: usize,
    server: Server,
    flood: Flood,
    tick: Instant,
    ready: bool,
    outputs: VecDeque<Output>,
    stats: Stats,
}

/// What the node is in one of the two DHTs.
struct Side {
    family: Family,
    table: Table,
    votes: Votes,
    /// An id that was given stays, whatever others say about our address.
    id_is_fixed: bool,
    /// The last run's nodes, until we have joined.
    saved: Vec<Contact>,
    /// The traversal that joins us, while it runs.
    joining: Option<u64>,
    rejoin_at: Instant,
    rejoin_pause: Duration,
}

impl Node {
    /// A node that knows nobody but who is in `saved`. The ids are `id` if given, else the saved ones, else
    /// drawn from `seed`, which also feeds tokens and transaction ids: it must not be guessable by others.
    pub fn new(config: Config, id: Option<NodeId>, saved: Option<Saved>, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        // BEP 32: the same id in both, until their external addresses tie them to different ones.
        let drawn = NodeId(random.bytes());
        let side = |family: Family| Side {
            family,
            table: Table::new(id.or(saved.as_ref().map(|s| s.ids[family.index()])).unwrap_or(drawn), now),
            votes: Votes::default(),
            id_is_fixed: id.is_some(),
            saved: saved.as_ref().map_or(Vec::new(), |saved| saved.nodes(family).to_vec()),
            joining: None,
            rejoin_at: now,
            rejoin_pause: limits::REJOIN_MIN,
        };
        let sides = [config.v4.then(|| side(Family::V4)), config.v6.then(|| side(Family::V6))];
        let server = Server { tokens: Tokens::new(&mut random, now), peers: PeerStore::new() };
        let mut node = Self {
            config,
            random,
            now,
            sides,
            given: Vec::new(),
            queries: Queries::new(),
            traversals: BTreeMap::new(),
            next_key: 0,
            blocked: false,
            pings: VecDeque::new(),
            pings_in_flight: 0,
            server,
            flood: Flood::new(now),
            tick: now + limits::TICK,
            ready: false,
            outputs: VecDeque::new(),
            stats: Stats::default(),
        };
        Family::ALL.into_iter().for_each(|family| node.join(family));
        node.settle();
        node
    }

    /// A datagram came. Whatever it holds, the node stays whole: what can't be read is dropped, or answered
    /// with error 203 if it was a query.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.advance_clock(now);
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let awaited = self.queries.awaits(from);
        let too_large = bytes.len() > limits::DATAGRAM_BYTES_MAX;
        let side = self.sides[Family::of(from).index()].is_some();
        if too_large || !side || !is_usable(from) || !self.flood.admits(from.ip(), awaited, self.now) {
            self.stats.dropped += 1;
            return;
        }
        match Message::decode(bytes) {
            Err(unreadable) => {
                self.stats.malformed += 1;
                if let Some(transaction) = unreadable.query {
                    let question = Question { from, bytes: bytes.len(), transaction };
                    self.reply(from, question.refuse(code::PROTOCOL, "malformed query"));
                }
            }
            Ok(message) => self.handle_message(from, bytes.len(), &message),
        }
        self.settle();
    }

    /// The [`Node::deadline`] has passed. Harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        while let Some(due) = self.queries.pop_due(self.now) {
            match due {
                Due::Slow(pending) => self.turned_slow(&pending),
                Due::Expired(pending) => {
                    self.stats.queries_expired += 1;
                    self.came_to_nothing(&pending, true);
                }
            }
        }
        if self.tick <= self.now {
            self.tick = self.now + limits::TICK;
            self.keep_up();
        }
        self.settle();
    }

    /// Joins the network through these addresses: routers, nodes of a torrent file, nodes a user gave. They may
    /// be local. They are remembered for joining again.
    pub fn bootstrap(&mut self, addrs: &[SocketAddr], now: Instant) {
        self.advance_clock(now);
        for &addr in addrs {
            if is_usable(addr) && !self.given.contains(&addr) {
                if self.given.len() >= limits::GIVEN_MAX {
                    self.given.remove(0);
                }
                self.given.push(addr);
            }
        }
        for family in Family::ALL {
            if addrs.iter().any(|&addr| Family::of(addr) == family) {
                self.join(family);
            }
        }
        self.seed_the_waiting();
        self.settle();
    }

    /// Gets to know the node at `addr`: a peer's PORT message (BEP 5) told of it.
    pub fn add_node(&mut self, addr: SocketAddr, now: Instant) {
        self.advance_clock(now);
        if is_usable(addr) {
            self.queue_ping(addr, None);
        }
        self.settle();
    }

    /// Looks for peers of a torrent, in both families at once, and announces us if asked to. Not for private
    /// torrents (BEP 27): that rule is the caller's. An announce of port 0 that isn't implied is left out.
    /// A lookup that starts before anybody is known waits a few seconds for the first node.
    pub fn lookup(&mut self, target: InfoHash, options: Lookup, now: Instant) -> LookupKey {
        self.advance_clock(now);
        let announce = options.announce.filter(|announce| announce.implied || announce.port != 0);
        let key = self.start(target.into(), Goal::Peers(Lookup { announce, ..options }), &Family::ALL);
        // Others may have announced to ourselves.
        let stored: Vec<_> = self.server.peers.all(target).collect();
        self.report_peers(key, stored.into_iter());
        self.advance(key);
        self.settle();
        LookupKey(key)
    }

    /// Ends a lookup without another word about it. What it has asked stays useful for the table.
    pub fn cancel(&mut self, lookup: LookupKey) {
        if self.traversals.get(&lookup.0).is_some_and(|traversal| matches!(traversal.goal, Goal::Peers(_))) {
            self.traversals.remove(&lookup.0);
        }
    }

    /// The next thing to send or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Node::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.queries.deadline().map_or(self.tick, |due| due.min(self.tick)))
    }

    /// What to keep for the next run: our ids and the nodes that answer.
    pub fn save(&self) -> Saved {
        let nodes = |family: Family| {
            let Some(side) = &self.sides[family.index()] else { return Vec::new() };
            let nodes = side.table.closest(&side.table.own(), limits::SAVED_NODES_MAX);
            // A run without a network doesn't forget what the one before knew.
            if nodes.is_empty() { side.saved.clone() } else { nodes }
        };
        Saved { ids: Family::ALL.map(|family| self.id(family)), v4: nodes(Family::V4), v6: nodes(Family::V6) }
    }

    /// Counters, and sizes as of the last input.
    pub fn stats(&self) -> Stats {
        let good =
            |family: Family| self.sides[family.index()].as_ref().map_or(0, |side| side.table.good(self.now));
        let is_users = |traversal: &&Traversal| matches!(traversal.goal, Goal::Peers(_));
        Stats {
            nodes_v4: good(Family::V4),
            nodes_v6: good(Family::V6),
            lookups: self.traversals.values().filter(is_users).count(),
            queries_in_flight: self.queries.len(),
            torrents_stored: self.server.peers.torrents(),
            peers_stored: self.server.peers.peers(),
            external: self.sides.iter().flatten().find_map(|side| side.votes.settled()),
            ..self.stats
        }
    }

    /// Our id in a family (that of the other one, where we don't take part).
    pub fn id(&self, family: Family) -> NodeId {
        let side = self.sides[family.index()].as_ref().or(self.sides.iter().flatten().next());
        side.map_or(NodeId([0; 20]), |side| side.table.own())
    }

    fn handle_message(&mut self, from: SocketAddr, bytes: usize, message: &Message<'_>) {
        let question = Question { from, bytes, transaction: message.transaction };
        match &message.body {
            Body::Query(query) => {
                self.stats.queries_received += 1;
                self.answer(&question, query);
                if !message.read_only {
                    self.was_asked_by(Contact { id: query.id, addr: from });
                }
            }
            Body::UnknownQuery { .. } => {
                self.stats.queries_received += 1;
                self.reply(from, question.refuse(code::METHOD_UNKNOWN, "unknown method"));
            }
            Body::Response(response) => self.handle_response(from, message, response),
            Body::Error { .. } => match self.queries.close(message.transaction, from, self.now) {
                // It is alive: the table holds nothing against it.
                Some(pending) => self.came_to_nothing(&pending, false),
                None => self.stats.unasked += 1,
            },
        }
    }

    fn answer(&mut self, question: &Question<'_>, query: &Query<'_>) {
        if self.config.read_only {
            return;
        }
        let own = self.id(Family::of(question.from));
        let tables =
            [self.sides[0].as_ref(), self.sides[1].as_ref()].map(|side| side.map(|side| &side.table));
        let bytes = self.server.answer(question, query, own, tables, &mut self.random, self.now);
        self.reply(question.from, bytes);
    }

    /// Sends a reply if there is one, we answer at all (BEP 43), and the budget allows it.
    fn reply(&mut self, to: SocketAddr, bytes: Option<Vec<u8>>) {
        if let Some(bytes) = bytes
            && !self.config.read_only
            && self.flood.spend(bytes.len(), self.now)
        {
            self.stats.replies_sent += 1;
            self.outputs.push_back(Output::Send { to, bytes });
        }
    }

    fn handle_response(&mut self, from: SocketAddr, message: &Message<'_>, response: &Response<'_>) {
        let Some(pending) = self.queries.close(message.transaction, from, self.now) else {
            self.stats.unasked += 1;
            return;
        };
        self.stats.answers_received += 1;
        let contact = Contact { id: response.id, addr: from };
        if let Some(external) = message.external {
            self.was_seen_at(from, external.ip());
        }
        match pending.purpose {
            Purpose::Ping => self.pings_in_flight -= 1,
            Purpose::Step(key) => self.learn(key, contact, response),
            Purpose::Announce(key) => self.announce_ended(key, true),
        }
        self.has_answered(contact);
        if let Purpose::Step(key) | Purpose::Announce(key) = pending.purpose {
            self.advance(key);
        }
    }

    /// Takes from an answer what a lookup can use.
    fn learn(&mut self, key: u64, contact: Contact, response: &Response<'_>) {
        let (from, allow_local) = (contact.addr, self.config.allow_local);
        let acceptable = |addr: SocketAddr| {
            is_usable(addr) && addr != from && (allow_local || may_name(from.ip(), addr.ip()))
        };
        let own = Family::ALL.map(|family| self.id(family));
        let Some(traversal) = self.traversals.get_mut(&key) else { return };
        if let Some(search) = traversal.search(Family::of(from)) {
            search.answered(contact, response.token);
        }
        for (family, nodes) in Family::ALL.into_iter().zip([&response.nodes, &response.nodes6]) {
            let (Some(search), Some(nodes)) = (traversal.search(family), nodes) else { continue };
            for &node in nodes.iter().take(limits::REPLY_NODES_MAX) {
                if node.id != own[family.index()] && acceptable(node.addr) {
                    search.add(node);
                }
            }
        }
        let peers = response.values.iter().copied().take(limits::REPLY_PEERS_MAX);
        let peers: Vec<_> = peers
            .filter(|&peer| is_usable(peer) && (allow_local || may_name(from.ip(), peer.ip())))
            .collect();
        self.report_peers(key, peers.into_iter());
    }

    fn report_peers(&mut self, key: u64, peers: impl Iterator<Item = SocketAddr>) {
        let Some(traversal) = self.traversals.get_mut(&key) else { return };
        let peers = traversal.note_peers(peers);
        if !peers.is_empty() && matches!(traversal.goal, Goal::Peers(_)) {
            self.outputs.push_back(Output::PeersFound { lookup: LookupKey(key), peers });
        }
    }

    /// A node has proved that it lives at its address.
    fn has_answered(&mut self, contact: Contact) {
        let Some(side) = &mut self.sides[Family::of(contact.addr).index()] else { return };
        let family = side.family;
        match side.table.answered(contact, self.now) {
            Admission::Added => {
                let alone = side.table.len() == 1 && side.joining.is_none();
                self.seed_the_waiting();
                // BEP 5: upon inserting the first node, look for our own neighbours.
                if alone {
                    self.join(family);
                }
            }
            Admission::Waiting(Some(silent)) => self.queue_ping(silent.addr, Some(silent.id)),
            Admission::Waiting(None) | Admission::Known | Admission::Refused => {}
        }
    }

    fn was_asked_by(&mut self, contact: Contact) {
        let Some(side) = &mut self.sides[Family::of(contact.addr).index()] else { return };
        if side.table.asked(contact, self.now) {
            self.queue_ping(contact.addr, Some(contact.id));
        }
    }

    /// A node told us our address as it sees it (BEP 42).
    fn was_seen_at(&mut self, voter: SocketAddr, ip: IpAddr) {
        let noise = self.random.bytes();
        let Some(side) = &mut self.sides[Family::of(voter).index()] else { return };
        let Some(ip) = side.votes.vote(voter.ip(), ip) else { return };
        if side.id_is_fixed || side.table.own().fits(ip) {
            return;
        }
        side.table.rebase(NodeId::for_address(ip, noise), self.now);
        side.joining = None;
        let family = side.family;
        self.join(family);
    }

    /// Time only goes forward here, whatever the caller's clock does.
    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.server.tokens.rotate(&mut self.random, self.now);
    }
}
