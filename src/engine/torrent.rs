//! The task of one torrent: it owns the [`Swarm`] and does what its outputs say.
//!
//! Everything reaches it through one bounded inbox (and the flag of its readers), is handled in batches, and
//! leaves in batches: one message per link and turn.

mod checking;
mod files;
mod stored;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::info::Info;
use afflux_metainfo::{BlockRef, FileIndex, Layout};
use afflux_peer::{Command, Connection, Direction, Event, Handshake, Totals as PeerTotals};
use afflux_storage::resume::Partial;
use afflux_storage::{Event as StorageEvent, ResumeLock, Store, disk};
use afflux_swarm::trace::Stall;
use afflux_swarm::{
    Connected, Gauges, Output, Parting, PeerKey, Priority, Reason, Report, Source, StrategyName, Swarm,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use self::checking::Checking;
use self::files::{Moved, Wishes};
use super::halt::Halt;
use super::link::{self, COMMAND_BATCHES_MAX, Link, ToLink};
use super::open::{self, Opened, Place};
use super::rates::TorrentRates;
use super::readers::{Change, Readers};
use super::reserves::Reserves;
use super::shares::Share;
use super::slots::Slot;
use super::status::{Memory, State, Status};
use super::{Shared, discover};
use crate::announce::Totals;
use crate::failure::Failure;

/// Messages that wait for a torrent. Links wait when it's full and stop reading, so a flood stays in the
/// kernel's buffers; 1,024 are a few milliseconds of work.
pub(super) const INBOX_MAX: usize = 1024;
/// Messages handled before outputs are drained: large steps, but a seek never waits for more than this.
const BATCH: usize = 256;
/// Commands kept for a link whose channel is full. One that lets more lie is stuck and gets closed.
const OUTBOX_COMMANDS_MAX: usize = 16_384;
/// How often status, totals and resume data are looked at.
const TICK: Duration = Duration::from_millis(250);
/// The same while nobody is there and nothing is due.
const QUIET_TICK: Duration = Duration::from_secs(60);
/// Resume data is saved this long after something was written. What a crash loses is rechecked.
const SAVE_INTERVAL: Duration = Duration::from_secs(20);
/// Without memory for another piece nothing is asked for this long, unless memory comes back before.
const STARVED: Duration = Duration::from_millis(50);
/// A verdict waits this long for the report of the piece's last block; then it counts without it.
const EARLY_VERDICT_MAX: Duration = Duration::from_secs(1);
/// What trackers are told is left before the metadata says; 0 would make us a seeder.
pub(super) const BYTES_LEFT_UNKNOWN: u64 = 16 * 1024;
/// A stopping torrent waits this long for its links and its disk.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// What a torrent is once its metadata is known and its storage open.
#[derive(Debug)]
pub struct Ready {
    /// What is shared.
    pub info: Info,
    /// Its geometry.
    pub layout: Arc<Layout>,
    /// Its bytes.
    pub store: Store,
}

/// What a link saw since its last report.
#[derive(Debug)]
pub(super) struct LinkReport {
    pub(super) events: Vec<Event>,
    pub(super) gauges: Gauges,
    pub(super) totals: PeerTotals,
}

/// A connection whose handshakes are done.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) stream: TcpStream,
    pub(super) handshake: Handshake,
    pub(super) addr: SocketAddr,
    pub(super) direction: Direction,
    pub(super) slot: Slot,
}

/// Everything that reaches a torrent's task.
pub(super) enum Input {
    Greeted(Greeted),
    DialFailed(SocketAddr),
    Reported {
        peer: PeerKey,
        report: LinkReport,
    },
    Parted {
        peer: PeerKey,
        parting: Parting,
        copied_bytes: u64,
    },
    Storage(StorageEvent),
    Opened(Result<Box<Opened>, String>),
    Candidates {
        addrs: Vec<SocketAddr>,
        source: Source,
    },
    /// Files are wanted so much (a priority per file); answered when the status counts by that.
    Prioritize(Vec<Priority>, oneshot::Sender<()>),
    /// A new torrent is remembered.
    Saved,
    /// Storage knows which files aren't wanted.
    Sorted(Result<(), disk::Error>),
    /// A file is to have another path.
    Rename {
        file: FileIndex,
        path: Vec<String>,
        done: oneshot::Sender<Result<(), Failure>>,
    },
    /// All files are to lie in another folder.
    Move {
        dir: PathBuf,
        done: oneshot::Sender<Result<(), Failure>>,
    },
    /// They do, or they don't.
    Moved(Moved),
    /// A reader waits too long: look for more.
    NeedPeers,
    /// Choose by this strategy.
    SetStrategy(StrategyName, oneshot::Sender<Result<(), Failure>>),
    /// Tell the waits that ended after `since`, and those that go on.
    Stalls {
        since: Option<Instant>,
        reply: oneshot::Sender<Vec<Stall>>,
    },
    Stop(oneshot::Sender<()>),
}

/// The torrent's side of a link.
struct Peer {
    addr: SocketAddr,
    commands: mpsc::Sender<ToLink>,
    outbox: Vec<Command>,
    /// The numbers of its last report, for when we look again without it.
    last: Gauges,
    totals: PeerTotals,
    reserves: Reserves,
}

/// How a torrent's task is started.
pub(super) struct TaskConfig {
    pub(super) shared: Arc<Shared>,
    pub(super) place: Place,
    /// Nothing is fetched before it's said which files are wanted.
    pub(super) hold: bool,
    pub(super) inbox: mpsc::Receiver<Input>,
    pub(super) to_self: mpsc::Sender<Input>,
    pub(super) swarm: Swarm,
    pub(super) rates: TorrentRates,
    pub(super) readers: Arc<Readers>,
    pub(super) ready: watch::Sender<Option<Arc<Ready>>>,
    pub(super) status: watch::Sender<Status>,
    pub(super) totals: watch::Sender<Totals>,
    pub(super) discovery: discover::Discovery,
}

/// The task's state.
pub(super) struct Task {
    config: TaskConfig,
    peers: BTreeMap<PeerKey, Peer>,
    ready: Option<Arc<Ready>>,
    /// Opened, and being checked before it's used.
    checking: Option<Checking>,
    /// Pieces that were under way at the last stop, until the swarm is told.
    partial: Vec<Partial>,
    /// The right to the resume data; given up when the last of it is saved.
    lock: Option<ResumeLock>,
    wishes: Wishes,
    starved_until: Option<Instant>,
    refused: Vec<(PeerKey, BlockRef)>,
    next_tick: Instant,
    save_due: Option<Instant>,
    /// The last save; the next one waits for it, or an older state could replace a newer one.
    saving: Option<tokio::task::JoinHandle<()>>,
    gone: PeerTotals,
    copied_bytes: u64,
    checked: Option<(u32, u32)>,
    /// The metadata is known, and storage has been opened or is about to be.
    opening: bool,
    /// Verdicts on pieces that came before the report of their last block, and when.
    early: Vec<(Instant, StorageEvent)>,
    error: Option<String>,
    /// Its part of the memory and how much that was when the swarm was told, if it lives there.
    share: Option<(Share, u64)>,
    /// Writing has stopped; it is tried again.
    halt: Option<Halt>,
    /// Trackers are to be told that everything selected is there.
    completed: bool,
}

/// Starts the task with what is known; `info` if the source was a .torrent.
pub(super) fn start(config: TaskConfig, info: Option<Info>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let now = Instant::now();
        let wishes = Wishes::new(config.hold);
        let mut task = Task {
            config,
            peers: BTreeMap::new(),
            ready: None,
            checking: None,
            partial: Vec::new(),
            lock: None,
            wishes,
            starved_until: None,
            refused: Vec::new(),
            next_tick: now,
            save_due: None,
            saving: None,
            gone: PeerTotals::default(),
            copied_bytes: 0,
            checked: None,
            opening: false,
            early: Vec::new(),
            error: None,
            share: None,
            halt: None,
            completed: false,
        };
        if let Some(info) = info {
            task.open(info);
        }
        task.run().await;
    })
}

impl Task {
    async fn run(&mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let readers = Arc::clone(&self.config.readers);
        let mut room = self.config.shared.room.subscribe();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                count = self.config.inbox.recv_many(&mut batch, BATCH) => if count == 0 { return },
                () = readers.changed() => {}
                Ok(()) = room.changed(), if self.starved_until.is_some() => {
                    // Memory came back: over now, and every link is looked at again.
                    self.starved_until = Some(Instant::now());
                }
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
            // What comes back from here on is news, also while this turn asks and is refused.
            room.borrow_and_update();
            let now = Instant::now();
            for input in batch.drain(..) {
                if let Input::Stop(done) = input {
                    self.stop().await;
                    let _ = done.send(());
                    return;
                }
                self.handle(input, now);
            }
            self.turn(now);
            if std::mem::take(&mut self.completed) {
                // Trackers are told with nothing left, so the totals go first.
                self.tick(now);
                self.config.discovery.completed().await;
            }
        }
    }

    /// After the inputs: readers' wishes, timers, outputs, messages to the links.
    fn turn(&mut self, now: Instant) {
        self.pass_early(now);
        for change in self.config.readers.take_changes() {
            match change {
                Change::Want(reader, window) => self.config.swarm.want(reader, window, now),
                Change::Forget(reader) => self.config.swarm.forget(reader, now),
            }
        }
        if self.config.swarm.deadline().is_some_and(|deadline| deadline <= now) {
            self.config.swarm.handle_timeout(now);
        }
        self.end_starvation(now);
        if self.next_tick <= now {
            self.apply_share(now);
        }
        self.retry(now);
        self.act(now);
        self.return_refused(now);
        self.flush();
        if !self.is_quiet() {
            self.next_tick = self.next_tick.min(now + TICK);
        }
        if self.next_tick <= now {
            self.tick(now);
        }
    }

    /// Nothing changes until somebody comes: a thousand such torrents are to cost nothing.
    fn is_quiet(&self) -> bool {
        let is_busy = self.checking.is_some() || self.opening && self.ready.is_none();
        let is_due = self.halt.is_some() || self.save_due.is_some() || !self.early.is_empty();
        self.peers.is_empty() && self.config.swarm.is_at_rest() && !is_busy && !is_due
    }

    fn deadline(&self) -> Instant {
        let halt = self.halt.as_ref().map(Halt::deadline);
        let due = [self.config.swarm.deadline(), self.starved_until, halt, Some(self.next_tick)];
        due.into_iter().flatten().min().unwrap_or(self.next_tick)
    }

    fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Greeted(greeted) => self.welcome(greeted, now),
            Input::DialFailed(addr) => self.config.swarm.handle_dial_failed(addr, now),
            Input::Reported { peer, report } => self.hear(peer, report, now),
            Input::Parted { peer, parting, copied_bytes } => {
                self.copied_bytes += copied_bytes;
                if let Some(mut gone) = self.peers.remove(&peer) {
                    add(&mut self.gone, &gone.totals);
                    self.with_store(|store| gone.reserves.release_all(store));
                }
                self.config.swarm.handle_disconnected(peer, parting, now);
            }
            Input::Storage(event) => self.judge(event, now),
            Input::Opened(Ok(opened)) => self.opened(*opened, now),
            Input::Opened(Err(reason)) => self.fail(reason),
            Input::Candidates { addrs, source } => self.config.swarm.add_candidates(&addrs, source, now),
            Input::Prioritize(priorities, done) => self.prioritize(priorities, done),
            Input::Saved => self.saved(now),
            Input::Sorted(outcome) => self.sorted(outcome, now),
            Input::Rename { file, path, done } => self.rename(file, path, done, now),
            Input::Move { dir, done } => self.move_to(dir, done, now),
            Input::Moved(moved) => self.moved(moved, now),
            Input::NeedPeers => self.config.discovery.need_peers(),
            Input::SetStrategy(strategy, done) => {
                // Whoever asked may be gone.
                let _ = done.send(self.set_strategy(strategy, now));
            }
            Input::Stalls { since, reply } => {
                let news =
                    |stall: &&Stall| stall.until.is_none_or(|until| since.is_none_or(|since| until > since));
                let _ = reply.send(self.config.swarm.trace().filter(news).cloned().collect());
            }
            Input::Stop(_) => {}
        }
    }

    fn set_strategy(&mut self, strategy: StrategyName, now: Instant) -> Result<(), Failure> {
        if self.config.place.kind.is_evictable() && strategy != StrategyName::Deadline {
            return Err(Failure::work(format!(
                "a torrent in memory or in the disk cache can't be fetched by {strategy}: it has room only for what its readers need soon"
            )));
        }
        self.config.swarm.set_strategy(strategy, now);
        Ok(())
    }

    fn welcome(&mut self, greeted: Greeted, now: Instant) {
        let Greeted { stream, handshake, addr, direction, slot } = greeted;
        let connected = Connected {
            addr,
            direction: match direction {
                Direction::Incoming => afflux_swarm::Direction::Incoming,
                Direction::Outgoing => afflux_swarm::Direction::Outgoing,
            },
            peer_id: handshake.peer_id,
            fast: handshake.reserved.fast(),
        };
        let peer = match self.config.swarm.handle_connected(connected, now) {
            Ok(peer) => peer,
            Err(refusal) => return debug!(%addr, %refusal, "connection refused"),
        };
        let config = self.config.shared.connection_config(addr, direction);
        let ready = self.ready.clone();
        let layout = ready.as_ref().map(|ready| Arc::clone(&ready.layout));
        let metadata_size = ready.as_ref().map(|ready| ready.info.raw.len() as u32);
        let seed = self.config.shared.seed();
        let mut connection = Connection::new(config, &handshake, layout, metadata_size, seed, now);
        if let Some(ready) = &ready {
            connection.set_metadata(ready.info.raw.clone());
        }
        let (sender, commands) = mpsc::channel(COMMAND_BATCHES_MAX);
        tokio::spawn(link::run(Link {
            peer,
            stream,
            connection,
            ready,
            commands,
            torrent: self.config.to_self.clone(),
            rates: self.config.rates.link(now),
            _slot: slot,
        }));
        let last = Gauges::default();
        let (totals, reserves) = (PeerTotals::default(), Reserves::default());
        self.peers.insert(peer, Peer { addr, commands: sender, outbox: Vec::new(), last, totals, reserves });
    }

    fn hear(&mut self, peer: PeerKey, report: LinkReport, now: Instant) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.totals = report.totals;
        known.last = report.gauges;
        for event in &report.events {
            if let Event::DhtPort(port) = event {
                self.config.discovery.add_node(known.addr.ip(), *port);
            }
            if let Some(ready) = &self.ready {
                known.reserves.settle(event, &ready.store);
            }
        }
        let room = if self.starved_until.is_some() { 0 } else { report.gauges.room };
        let report = Report { events: report.events.into_iter(), gauges: Gauges { room, ..report.gauges } };
        self.config.swarm.handle_report(peer, report, now);
    }

    /// Does what the swarm wants done.
    fn act(&mut self, now: Instant) {
        while let Some(output) = self.config.swarm.poll_output() {
            match output {
                Output::Send(peer, command) => self.send(peer, command, now),
                Output::Dial(addr) => self.dial(addr),
                Output::Disconnect(peer, reason) => {
                    let addr = self.peers.get(&peer).map(|known| known.addr);
                    match (reason, addr) {
                        (Reason::Banned, Some(addr)) => info!(%addr, "disconnecting: it is banned"),
                        _ => debug!(?peer, ?reason, "disconnecting"),
                    }
                    // Dropping the channel ends the link, which then reports.
                    self.close(peer);
                }
                Output::Ban(address) => info!(%address, "banned: it sent corrupt data or broke the protocol"),
                Output::Evict(piece) => self.with_store(|store| store.evict(piece)),
                Output::Discard(piece) => self.with_store(|store| store.discard(piece)),
                Output::MetadataComplete(raw) => self.parse_metadata(raw, now),
                Output::Completed => self.completed = true,
                Output::NeedPeers => self.config.discovery.need_peers(),
            }
        }
    }

    fn with_store(&self, act: impl FnOnce(&Store)) {
        if let Some(ready) = &self.ready {
            act(&ready.store);
        }
    }

    fn send(&mut self, peer: PeerKey, command: Command, now: Instant) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if let Some(ready) = &self.ready {
            if let Command::Request(block) = command {
                if ready.store.reserve(block).is_err() {
                    self.starved_until = Some(now + STARVED);
                    self.refused.push((peer, block));
                    return;
                }
                known.reserves.add(block);
            }
            known.reserves.follow(&command, &ready.store);
        }
        known.outbox.push(command);
    }

    /// Tells the swarm that requests found no memory, and that nobody has room until some comes back.
    fn return_refused(&mut self, now: Instant) {
        for (peer, block) in std::mem::take(&mut self.refused) {
            self.config.swarm.handle_no_memory(peer, block, now);
            self.report_again(peer, Some(0), now);
        }
        self.act(now);
    }

    fn end_starvation(&mut self, now: Instant) {
        if self.starved_until.is_none_or(|until| until > now) {
            return;
        }
        self.starved_until = None;
        let peers: Vec<PeerKey> = self.peers.keys().copied().collect();
        for peer in peers {
            self.report_again(peer, None, now);
        }
    }

    fn report_again(&mut self, peer: PeerKey, room: Option<u32>, now: Instant) {
        let Some(known) = self.peers.get(&peer) else { return };
        let room = room.unwrap_or(known.last.room);
        let events = std::iter::empty::<Event>();
        let report = Report { events, gauges: Gauges { room, ..known.last } };
        self.config.swarm.handle_report(peer, report, now);
    }

    /// Gives each link what was said to it in this turn.
    fn flush(&mut self) {
        let mut stuck = Vec::new();
        for (&key, peer) in &mut self.peers {
            if peer.outbox.is_empty() {
                continue;
            }
            if peer.outbox.len() > OUTBOX_COMMANDS_MAX {
                stuck.push(key);
                continue;
            }
            if let Ok(place) = peer.commands.try_reserve() {
                place.send(ToLink::Commands(std::mem::take(&mut peer.outbox)));
            }
        }
        stuck.into_iter().for_each(|peer| self.close(peer));
    }

    fn close(&mut self, peer: PeerKey) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.outbox.clear();
            // The old sender is dropped, and with it the channel.
            known.commands = mpsc::channel(1).0;
        }
    }

    fn dial(&self, addr: SocketAddr) {
        let shared = Arc::clone(&self.config.shared);
        let (to_self, info_hash) = (self.config.to_self.clone(), self.config.place.info_hash);
        tokio::spawn(async move {
            let input = match shared.dial(addr, info_hash).await {
                Some(greeted) => Input::Greeted(greeted),
                None => Input::DialFailed(addr),
            };
            let _ = to_self.send(input).await;
        });
    }

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + if self.is_quiet() { QUIET_TICK } else { TICK };
        let snapshot = self.config.swarm.snapshot(now);
        let progress = self.config.swarm.progress();
        let mut totals = self.gone;
        self.peers.values().for_each(|peer| add(&mut totals, &peer.totals));
        let state = match (&self.error, &self.ready) {
            (Some(_), _) => State::Error,
            (None, None) if self.checking.is_some() => State::Checking,
            (None, None) => State::Metadata,
            (None, Some(_)) if progress.pieces_have < progress.pieces_selected => State::Downloading,
            (None, Some(_)) => State::Seeding,
        };
        self.config.totals.send_replace(Totals {
            uploaded: totals.payload_sent,
            downloaded: totals.payload_received,
            left: self.bytes_left(),
        });
        self.config.status.send_replace(Status {
            state,
            progress,
            snapshot,
            totals,
            copied_bytes: self.copied_bytes,
            spills: self.ready.as_ref().map(|ready| ready.store.spills()).unwrap_or_default(),
            memory: Memory::of(self.config.shared.pool.ledger()),
            checked: self.checked,
            error: self.error.clone(),
        });
        let saving = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if self.save_due.is_some_and(|due| due <= now) && !saving {
            self.save_due = None;
            self.save();
        }
    }

    fn bytes_left(&self) -> u64 {
        if self.ready.is_none() {
            return BYTES_LEFT_UNKNOWN;
        }
        let progress = self.config.swarm.progress();
        progress.bytes_selected - progress.bytes_have
    }

    fn save(&mut self) {
        if let Some(ready) = self.ready.clone() {
            let (place, priorities) = (self.config.place.clone(), self.remembered_priorities());
            let save = move || open::save(&ready, &place, &priorities);
            self.saving = Some(tokio::task::spawn_blocking(save));
        }
    }

    /// Ends links, trackers and storage, in bounded time, and remembers where we were.
    async fn stop(&mut self) {
        self.config.readers.wake_all();
        self.peers.clear();
        // From here on nobody waits for us: storage threads that have something to say find the inbox closed.
        self.config.inbox.close();
        while self.config.inbox.try_recv().is_ok() {}
        let discovery = self.config.discovery.stop();
        let ready = self.ready.clone();
        // What a check hasn't come to yet is unknown, not missing: what was remembered before stays.
        let checking = self.checking.take().map(|checking| checking.ready);
        let priorities = self.remembered_priorities();
        let place = self.config.place.clone();
        let lock = self.lock.take();
        let saving = self.saving.take();
        let storage = async move {
            if let Some(saving) = saving {
                let _ = saving.await;
            }
            if let Some(checking) = checking {
                let _ = tokio::task::spawn_blocking(move || checking.store.close()).await;
            }
            if let Some(ready) = ready {
                let close = move || {
                    open::close(&ready, &place, &priorities);
                    // Whoever waits for it finds all that was saved.
                    drop(lock);
                };
                let _ = tokio::task::spawn_blocking(close).await;
            }
        };
        let both = async { tokio::join!(discovery, storage) };
        if tokio::time::timeout(STOP_TIMEOUT, both).await.is_err() {
            warn!("stopping took too long; what wasn't saved is checked at the next start");
        }
    }
}

fn add(sum: &mut PeerTotals, more: &PeerTotals) {
    sum.payload_received += more.payload_received;
    sum.payload_sent += more.payload_sent;
    sum.control_received += more.control_received;
    sum.control_sent += more.control_sent;
    sum.wasted += more.wasted;
}
