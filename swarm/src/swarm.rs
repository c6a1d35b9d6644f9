//! The machine of one torrent.
//!
//! Inputs are `handle_*`, commands are verbs; after any of them drain [`Swarm::poll_output`], then sleep until
//! [`Swarm::deadline`]. Same inputs and seed, same outputs.
//!
//! The parts are one owned state, seen from several sides:
//! - `people`: who is connected, dialled, choked, banned;
//! - `report`: what a peer did;
//! - `requests`: who is asked for what, and what is taken back;
//! - `seek`: what a reader that jumps changes; `twice`: what is asked twice;
//! - `ranks`: who would deliver soonest; `overdue`: on whom nobody counts; `outlook`: how readers fare;
//! - `desk`: what a strategy sees and may do while it hands out blocks;
//! - `store`: what storage says of pieces, and what to evict;
//! - `witness`: what the trace is told;
//! - `views`: figures for others.

mod content;
mod desk;
mod outlook;
mod overdue;
mod peer;
mod people;
mod ranks;
mod report;
mod requests;
mod seek;
mod store;
mod twice;
mod views;
mod witness;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::{Bitfield, InfoHashes, Layout, PeerId, PieceIndex};
use afflux_peer::Command;

use crate::blame::Blame;
use crate::chance::Chance;
use crate::choker::{self, Choker};
use crate::config::Config;
use crate::duplicates::Duplicates;
use crate::input::{Priority, ReaderKey, Window};
use crate::key::{PeerKey, Slab};
use crate::limits::{LATE_TICK, NEED_PEERS_INTERVAL, NEED_PEERS_INTERVAL_WAITING, PEERS_MAX, TICK};
use crate::metadata::Assembly;
use crate::output::Output;
use crate::rate::Rate;
use crate::roster::{self, Roster, Source};
use crate::strategy::{self, Strategy, StrategyName, Ways};
use crate::trace::Trace;
use crate::wants::{Movement, Wants};

use content::Content;
pub use desk::{Desk, Figures};
pub use outlook::Outlook;
use peer::Peer;
use ranks::Ranks;
pub use views::{Progress, Snapshot};

/// Seeding: what a peer gets at least before its turn can end (ours: a quarter of a minute at 1 MiB/s).
const SEED_QUOTA_BYTES: u64 = 16 * 1024 * 1024;

/// One torrent's mind.
#[derive(Debug)]
pub struct Swarm {
    config: Config,
    hashes: InfoHashes,
    chance: Chance,
    peers: Slab<Peer>,
    ranks: Ranks,
    roster: Roster,
    choker: Choker,
    blame: Blame,
    /// Banned peers of loopback, by their ids, since their address is everybody's there.
    shunned: Vec<PeerId>,
    /// While the metadata is missing.
    assembly: Option<Assembly>,
    /// Once the layout is known.
    content: Option<Content>,
    wants: Wants,
    outlook: Outlook,
    /// Absent only while it hands out work itself.
    strategy: Option<Box<dyn Strategy>>,
    ways: Ways,
    outputs: VecDeque<Output>,
    timers: Timers,
    board: BoardState,
    tallies: Tallies,
    duplicates: Duplicates,
    trace: Trace,
    paused: bool,
    /// Since when there is no reader, as of the ticks.
    unread_since: Option<Instant>,
    /// Whether peers were told that a reader waits.
    told_waiting: bool,
    /// Whether peers were told that we only upload (BEP 21), and the engine that all is there.
    told_complete: bool,
    /// What a peer is assumed to send at that has sent nothing yet: the mean of those that have.
    rate_default: u64,
    /// What the good peers send together, in bytes per second, as of the last tick.
    link_rate: u64,
    scratch: Scratch,
}

/// All timers; those of the leaves are asked of them.
#[derive(Clone, Copy, Debug)]
struct Timers {
    /// Everything that no event drives.
    tick: Instant,
    /// Late blocks are looked for, while a reader needs some.
    late: Option<Instant>,
    /// When windows are enforced after a reader went, unless another comes in the meantime.
    retarget: Option<Instant>,
    /// More addresses aren't asked for before.
    need_peers: Instant,
}

/// Which searches for work can be left out.
#[derive(Clone, Copy, Debug, Default)]
struct BoardState {
    /// Grows whenever there may be work for a peer that found none.
    version: u64,
    /// Such peers have to be tried again.
    woken: bool,
    /// A piece couldn't be opened for want of memory.
    crowded: bool,
}

/// What was counted since the start, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Tallies {
    received: u64,
    sent: u64,
    /// Asked again by a strategy's own rules.
    repeated: u64,
    wasted: u64,
    failed: u64,
    download: Rate,
    upload: Rate,
}

/// Buffers that are used again, so that picking allocates nothing.
#[derive(Debug, Default)]
struct Scratch {
    keys: Vec<PeerKey>,
}

impl Swarm {
    /// A torrent with no peers. Without `info` (the layout, and the pieces that are there) the metadata is fetched
    /// from peers first.
    pub fn new(
        config: Config,
        hashes: InfoHashes,
        info: Option<(Arc<Layout>, Bitfield)>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut chance = Chance::new(seed);
        let strategy = strategy::make(effective(&config), chance.next());
        let mut swarm = Self {
            peers: Slab::new(),
            ranks: Ranks::default(),
            roster: Roster::new(roster_limits(&config), chance.next()),
            choker: Choker::new(choker_config(&config), chance.next()),
            blame: Blame::new(),
            shunned: Vec::new(),
            assembly: info.is_none().then(|| Assembly::new(hashes)),
            content: None,
            wants: Wants::new(config.keep_bytes_max),
            outlook: Outlook::default(),
            ways: strategy.ways(),
            strategy: Some(strategy),
            outputs: VecDeque::new(),
            timers: Timers { tick: now + TICK, late: None, retarget: None, need_peers: now },
            board: BoardState::default(),
            tallies: Tallies::default(),
            duplicates: Duplicates::new(config.duplicate_percent),
            trace: Trace::default(),
            paused: false,
            unread_since: None,
            told_waiting: false,
            told_complete: false,
            rate_default: crate::limits::PEER_RATE_DEFAULT,
            link_rate: 0,
            scratch: Scratch::default(),
            config,
            hashes,
            chance,
        };
        swarm.wants.set_growing(swarm.ways.grows_read_ahead);
        if let Some((layout, have)) = info {
            swarm.learn_layout(layout, have, now);
        }
        swarm.need_peers(now);
        swarm
    }

    /// Addresses that may be peers. A private torrent (BEP 27) takes none from other peers, the DHT or the local
    /// network.
    pub fn add_candidates(&mut self, addrs: &[SocketAddr], source: Source, now: Instant) {
        if self.config.private && matches!(source, Source::Dht | Source::Pex | Source::Lsd) {
            return;
        }
        for &addr in addrs {
            self.roster.add(addr, source, now);
        }
        self.dial(now);
    }

    /// A reader has waited for long: whoever is known is tried again soon.
    pub fn hurry(&mut self, now: Instant) {
        self.roster.hurry(now);
        self.dial(now);
    }

    /// The metadata was parsed and storage is open; `have` is what is there of it and verified.
    ///
    /// # Panics
    /// If `have` isn't of as many pieces as `layout`.
    pub fn learn_layout(&mut self, layout: Arc<Layout>, have: Bitfield, now: Instant) {
        assert_eq!(have.length(), layout.piece_count(), "what we have is of another torrent");
        self.assembly = None;
        self.wants.lay(&layout);
        for (_, peer) in self.peers.iter_mut() {
            peer.pieces = Bitfield::new(layout.piece_count());
            peer.counting = None;
        }
        let seed = self.chance.next();
        self.content = Some(Content::new(layout, have, self.config.keep_bytes_max, seed));
        self.select_windows();
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            self.introduce(key);
        }
        self.check_complete();
        self.evict();
        self.survey();
        self.wake();
        self.schedule(None, now);
    }

    /// The metadata couldn't be used although its hash is right: begin anew.
    pub fn reject_metadata(&mut self, now: Instant) {
        let hashes = self.hashes;
        self.assembly.get_or_insert_with(|| Assembly::new(hashes)).start_over(now);
        self.request_metadata(now);
    }

    /// A reader's window. If it is new or jumped, the plan is changed in this one step: what no window wants any more
    /// is cancelled on every peer, and its urgent blocks are asked for.
    pub fn want(&mut self, reader: ReaderKey, window: Window, now: Instant) {
        let layout = self.content.as_ref().map(|content| Arc::clone(&content.layout));
        let waited = self.wants.anyone_waits();
        let first = self.wants.is_empty();
        let movement = self.wants.want(reader, window, self.is_stuck(&window), layout.as_deref(), now);
        let ran_dry = !waited && self.wants.anyone_waits();
        if movement == Movement::Refused {
            return;
        }
        if first {
            self.rank_all();
        }
        self.note_reader(reader, now);
        self.survey();
        if movement == Movement::Stayed {
            return;
        }
        self.select_windows();
        if movement == Movement::Jumped || (ran_dry && self.is_urgent_far(now)) {
            self.retarget(now);
        }
        self.evict();
        self.wake();
        self.schedule(None, now);
        if self.wants.anyone_waits() {
            self.timers.need_peers = self.timers.need_peers.min(now + NEED_PEERS_INTERVAL_WAITING);
        }
    }

    /// A reader went away. What it wanted stays on its way for a moment: players close one connection and open
    /// the next.
    pub fn forget(&mut self, reader: ReaderKey, now: Instant) {
        let layout = self.content.as_ref().map(|content| Arc::clone(&content.layout));
        if self.wants.forget(reader, layout.as_deref()) {
            self.timers.retarget = Some(now + TICK);
            self.note_reader(reader, now);
            self.survey();
            self.wake();
            self.schedule(None, now);
        }
    }

    /// The pieces of the selected files; all are until this is called. Readers' windows are wanted in any case.
    pub fn select(&mut self, wanted: Bitfield, now: Instant) {
        let Some(content) = &mut self.content else { return };
        if wanted.length() != content.layout.piece_count() {
            return;
        }
        content.select(wanted);
        self.select_windows();
        self.drop_unselected(now);
        self.recount_useful();
        self.check_complete();
        self.wake();
        self.schedule(None, now);
    }

    /// How much each file is wanted; all are alike until this is called. A piece of several files is wanted as much as the
    /// one that is wanted most. Pieces under way and readers' windows come before any priority.
    pub fn prioritize(&mut self, files: &[Priority], now: Instant) {
        let Some(content) = &mut self.content else { return };
        let count = content.layout.piece_count();
        let mut priorities = vec![Priority::Off; count as usize];
        for (file, priority) in content.layout.files().iter().zip(files) {
            let range = content.layout.pieces_of(file.range());
            for piece in &mut priorities[range.start as usize..range.end as usize] {
                *piece = (*piece).max(*priority);
            }
        }
        let mut wanted = Bitfield::new(count);
        for (piece, _) in (0..).zip(&priorities).filter(|(_, priority)| **priority != Priority::Off) {
            wanted.insert(PieceIndex(piece));
        }
        content.availability.prioritize(priorities);
        self.select(wanted, now);
    }

    /// Other rules from now on. What is open, asked for and wanted by readers stays. A torrent of the memory kind goes
    /// on by deadlines whatever is said here.
    pub fn set_strategy(&mut self, name: StrategyName, now: Instant) {
        self.config.strategy = name;
        let name = effective(&self.config);
        if self.strategy.as_ref().is_some_and(|strategy| strategy.name() == name) {
            return;
        }
        let strategy = strategy::make(name, self.chance.next());
        self.ways = strategy.ways();
        self.strategy = Some(strategy);
        self.wants.set_growing(self.ways.grows_read_ahead);
        if let Some(content) = &self.content {
            self.wants.lay(&content.layout);
        }
        self.survey();
        self.wake();
        self.schedule(None, now);
    }

    /// Another bound on the memory for pieces under way, in bytes. What is open stays open.
    pub fn set_open_bytes_max(&mut self, open_bytes_max: u64, now: Instant) {
        self.config.open_bytes_max = open_bytes_max;
        self.wake();
        self.schedule(None, now);
    }

    /// Another bound on the verified pieces that a torrent of the memory kind keeps, in bytes: others came or went that
    /// share the memory. Does nothing for other kinds.
    pub fn set_keep_bytes_max(&mut self, keep_bytes_max: u64, now: Instant) {
        if self.config.keep_bytes_max.is_none() {
            return;
        }
        self.config.keep_bytes_max = Some(keep_bytes_max);
        self.wants.set_keep_bytes_max(keep_bytes_max);
        if let Some(content) = &mut self.content {
            if let Some(keep) = &mut content.keep {
                keep.set_bytes_max(keep_bytes_max);
            }
            self.wants.lay(&content.layout);
        }
        self.select_windows();
        self.retarget(now);
        self.evict();
        self.survey();
        self.wake();
        self.schedule(None, now);
    }

    /// Another number of unchoke slots; 0 serves nobody.
    pub fn set_unchoke_slots(&mut self, slots: u32, now: Instant) {
        self.config.unchoke_slots = slots;
        self.choker.set_config(choker_config(&self.config));
        self.rechoke(now);
    }

    /// Another bound on connected peers. Those beyond it stay, and no other comes in their place.
    pub fn set_peers_max(&mut self, peers_max: u32, now: Instant) {
        self.config.peers_max = peers_max;
        self.roster.set_limits(roster_limits(&self.config));
        self.need_peers(now);
        self.dial(now);
    }

    /// Takes every request back, asks and dials no more. Peers stay and are served.
    pub fn pause(&mut self, now: Instant) {
        self.paused = true;
        self.timers.late = None;
        self.cancel_all(now);
    }

    /// Goes on after [`Swarm::pause`].
    pub fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.wake();
        self.dial(now);
        self.request_metadata(now);
        self.schedule(None, now);
    }

    /// The time of [`Swarm::deadline`] has come. Too early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.choker.deadline().is_some_and(|at| at <= now) {
            self.rechoke(now);
        }
        if self.roster.deadline().is_some_and(|at| at <= now) {
            self.dial(now);
        }
        if self.assembly.as_ref().and_then(Assembly::deadline).is_some_and(|at| at <= now) {
            self.request_metadata(now);
        }
        if self.timers.retarget.is_some_and(|at| at <= now) {
            self.timers.retarget = None;
            self.wants.forget_left();
            self.retarget(now);
            self.survey();
            self.wake();
        }
        if self.timers.late.is_some_and(|at| at <= now) {
            self.timers.late = None;
            self.mark_overdue(now);
            self.buy_late(now);
        }
        if self.timers.tick <= now {
            self.tick(now);
        }
        self.schedule(None, now);
    }

    /// When [`Swarm::handle_timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let leaves = [
            self.choker.deadline(),
            self.roster.deadline().filter(|_| !self.paused),
            self.assembly.as_ref().filter(|_| !self.paused).and_then(Assembly::deadline),
        ];
        let strategy =
            self.strategy.as_ref().filter(|_| !self.paused).and_then(|strategy| strategy.deadline());
        if self.is_at_rest() {
            let need_peers = self.is_hungry().then_some(self.timers.need_peers.max(self.timers.tick));
            return leaves[1..].iter().copied().chain([need_peers]).flatten().min();
        }
        let own = [Some(self.timers.tick), self.timers.late, self.timers.retarget, strategy];
        leaves.into_iter().chain(own).flatten().min()
    }

    /// Nobody is there to serve, to ask or to be told: of a thousand torrents most are like this, and none of their timers
    /// has anything to do.
    pub fn is_at_rest(&self) -> bool {
        self.peers.is_empty() && self.wants.is_empty() && !self.holds_what_may_go()
    }

    /// Whether more peers would help.
    fn is_hungry(&self) -> bool {
        !self.paused && self.content.as_ref().is_none_or(|content| !content.missing.is_empty())
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn tick(&mut self, now: Instant) {
        self.timers.tick = now + TICK;
        if self.choker.deadline().is_none() {
            self.rechoke(now);
        }
        self.measure();
        self.peers.iter_mut().for_each(|(_, peer)| peer.forgive_old(now));
        self.forgive_overdue();
        self.dial(now);
        self.request_metadata(now);
        self.need_peers(now);
        self.survey();
        self.note_obstacles(now);
        self.forget_unread(now);
        // What was on time a second ago may be late now, so the endgame has to look again.
        if self.content.as_ref().is_some_and(|content| content.table.open_count() > 0) {
            self.wake();
        }
    }

    /// What peers send, as a whole.
    fn measure(&mut self) {
        let rates = self.peers.iter().map(|(_, peer)| peer.rate).filter(|&rate| rate > 0);
        let (sum, count) =
            rates.fold((0u64, 0u64), |(sum, count), rate| (sum.saturating_add(rate), count + 1));
        self.rate_default = sum.checked_div(count).unwrap_or(crate::limits::PEER_RATE_DEFAULT);
        let good = self.peers.iter().filter(|(_, peer)| peer.is_good());
        self.link_rate = good.fold(0, |sum, (_, peer)| sum.saturating_add(peer.rate));
        self.rank_all();
    }

    /// Asks for addresses while few peers are connected, and not too often. How many addresses are known says
    /// little: most of them may be dead.
    fn need_peers(&mut self, now: Instant) {
        let few = self.roster.counts().connected < self.config.peers_max.div_ceil(2);
        if !self.is_hungry() || !few || now < self.timers.need_peers {
            return;
        }
        let waiting = self.wants.anyone_waits();
        let interval = if waiting { NEED_PEERS_INTERVAL_WAITING } else { NEED_PEERS_INTERVAL };
        self.timers.need_peers = now + interval;
        self.outputs.push_back(Output::NeedPeers);
    }

    /// Hands out work: urgent blocks over all peers, then whatever fits the peer that has just reported, or
    /// all peers if something changed for all.
    fn schedule(&mut self, reporter: Option<PeerKey>, now: Instant) {
        if self.paused || self.content.is_none() {
            return;
        }
        self.hand_out(reporter, now);
        // Filling a peer can wake others (a duplicate was cancelled), but not without end: each wake
        // follows a block that arrived.
        if std::mem::take(&mut self.board.woken) {
            self.collect_keys();
            for nth in 0..self.scratch.keys.len() {
                let key = self.scratch.keys[nth];
                self.fill(key, now);
            }
        } else if let Some(key) = reporter {
            self.fill(key, now);
        }
        if self.timers.late.is_none() && self.ways.buys_late_blocks && self.is_urgent_outstanding() {
            self.timers.late = Some(now + LATE_TICK);
        }
    }

    /// Lets the strategy hand out what chooses its peers.
    fn hand_out(&mut self, reporter: Option<PeerKey>, now: Instant) {
        let Some(mut strategy) = self.strategy.take() else { return };
        let reporter = reporter.filter(|_| !self.board.woken);
        strategy.hand_out(&mut Desk::new(self, reporter), now);
        self.strategy = Some(strategy);
    }

    /// Whether urgent blocks may be on their way.
    fn is_urgent_outstanding(&self) -> bool {
        !self.wants.is_empty() && self.content.as_ref().is_some_and(|content| content.table.open_count() > 0)
    }

    /// There may be work for peers that found none.
    fn wake(&mut self) {
        self.board.version += 1;
        self.board.woken = true;
    }

    fn send(&mut self, peer: PeerKey, command: Command) {
        self.outputs.push_back(Output::Send(peer, command));
    }

    fn collect_keys(&mut self) {
        self.scratch.keys.clear();
        self.scratch.keys.extend(self.peers.keys());
    }

    /// Tells every peer when readers begin or cease to wait: it decides how deep requests are queued.
    fn tell_waiting(&mut self) {
        let waiting = self.is_shallow();
        if waiting == self.told_waiting {
            return;
        }
        self.told_waiting = waiting;
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            self.send(key, Command::ReaderWaiting(waiting));
        }
    }

    /// Windows are wanted whatever is selected.
    fn select_windows(&mut self) {
        let Some(content) = &mut self.content else { return };
        if content.selected.is_full() {
            return;
        }
        let mut changed = false;
        for reader in self.wants.readers() {
            for piece in reader.pieces() {
                changed |= content.select_piece(PieceIndex(piece));
            }
        }
        if changed {
            self.told_complete = false;
            self.recount_useful();
        }
    }
}

/// A torrent of the memory kind fetches windows only, and that is what deadlines are for.
fn effective(config: &Config) -> StrategyName {
    if config.keep_bytes_max.is_some() { StrategyName::Deadline } else { config.strategy }
}

fn roster_limits(config: &Config) -> roster::Limits {
    roster::Limits {
        connected_max: config.peers_max.min(PEERS_MAX),
        dials_max: config.dials_max,
        per_address_max: config.peers_per_address_max,
        ..roster::Limits::default()
    }
}

fn choker_config(config: &Config) -> choker::Config {
    let slots = if config.serve { config.unchoke_slots } else { 0 };
    choker::Config { slots, optimistic_slots: u32::from(slots > 0), quota_bytes: SEED_QUOTA_BYTES }
}
