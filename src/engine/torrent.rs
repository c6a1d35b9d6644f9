//! The task of one torrent: it owns the [`Swarm`] and does what its outputs say.
//!
//! Everything reaches it through one bounded inbox (and the flag of its readers), is handled in batches, and
//! leaves in batches: one message per link and turn.

mod checking;
mod files;
mod links;
mod stored;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::info::Info;
use afflux_metainfo::{BlockRef, FileIndex, Layout};
use afflux_peer::Totals as PeerTotals;
use afflux_storage::resume::Partial;
use afflux_storage::{Event as StorageEvent, Store, disk};
use afflux_swarm::trace::Stall;
use afflux_swarm::{Output, Parting, PeerKey, Priority, Reason, Source, StrategyName, Swarm};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use self::checking::Checking;
use self::files::{Moved, Wishes};
use self::links::Peer;
pub(super) use self::links::{Greeted, LinkReport};
use super::attempts::Attempts;
use super::halt::Halt;
use super::open::{self, Opened, Place};
use super::rates::TorrentRates;
use super::readers::{Change, Readers};
use super::shares::Share;
use super::status::{Fault, Memory, State, Status};
use super::turns::Turn;
use super::unchokes::TorrentUnchokes;
use super::{Search, Shared, discover};
use crate::announce::Totals;
use crate::failure::Failure;
use crate::source::Ways;

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
    pub info: Arc<Info>,
    /// Its geometry.
    pub layout: Arc<Layout>,
    /// Its bytes.
    pub store: Store,
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
    /// Somebody names it in another way.
    Learn(Ways),
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
    NeedPeers(Search),
    /// So many connections at most.
    SetPeersMax(u32),
    /// Choose by this strategy.
    SetStrategy(StrategyName, oneshot::Sender<Result<(), Failure>>),
    /// Tell the addresses of peers that were dialled.
    Peers(oneshot::Sender<Vec<SocketAddr>>),
    /// Tell the waits that ended after `since`, and those that go on.
    Stalls {
        since: Option<Instant>,
        reply: oneshot::Sender<Vec<Stall>>,
    },
    Stop(oneshot::Sender<()>),
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
    pub(super) unchokes: TorrentUnchokes,
    pub(super) readers: Arc<Readers>,
    pub(super) info: watch::Sender<Option<Arc<Info>>>,
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
    lock: Option<Turn>,
    wishes: Wishes,
    starved_until: Option<Instant>,
    refused: Vec<(PeerKey, BlockRef)>,
    attempts: Attempts,
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
    error: Option<(Fault, String)>,
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
            attempts: Attempts::default(),
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
        let readers = Arc::clone(&task.config.readers);
        // Only now can they see that it is over.
        drop(task);
        readers.wake_all();
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
            self.divide_unchokes(now);
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
            Input::Parted { peer, parting, copied_bytes } => self.part(peer, parting, copied_bytes, now),
            Input::Storage(event) => self.judge(event, now),
            Input::Opened(Ok(opened)) => self.opened(*opened, now),
            Input::Opened(Err(reason)) => self.fail(reason),
            Input::Candidates { addrs, source } => {
                let addrs = self.config.shared.config.swarm.peers_allowed(addrs, source);
                self.config.swarm.add_candidates(&addrs, source, now);
            }
            Input::Learn(ways) => self.learn(ways, now),
            Input::Prioritize(priorities, done) => self.prioritize(priorities, done),
            Input::Saved => self.saved(now),
            Input::Sorted(outcome) => self.sorted(outcome, now),
            Input::Rename { file, path, done } => self.rename(file, path, done, now),
            Input::Move { dir, done } => self.move_to(dir, done, now),
            Input::Moved(moved) => self.moved(moved, now),
            Input::NeedPeers(search) => self.search(search, now),
            Input::SetPeersMax(max) => self.config.swarm.set_peers_max(max, now),
            Input::SetStrategy(strategy, done) => {
                // Whoever asked may be gone.
                let _ = done.send(self.set_strategy(strategy, now));
            }
            Input::Peers(reply) => {
                let dialled = self.peers.values().filter(|peer| peer.dialled);
                // Whoever asked may be gone.
                let _ = reply.send(dialled.map(|peer| peer.addr).collect());
            }
            Input::Stalls { since, reply } => {
                let news =
                    |stall: &&Stall| stall.until.is_none_or(|until| since.is_none_or(|since| until > since));
                let _ = reply.send(self.config.swarm.trace().filter(news).cloned().collect());
            }
            Input::Stop(_) => {}
        }
    }

    fn learn(&mut self, ways: Ways, now: Instant) {
        if self.config.info.borrow().as_ref().is_some_and(|info| info.private) {
            return;
        }
        let peers = self.config.shared.config.swarm.peers_allowed(ways.peers, Source::Magnet);
        self.config.swarm.add_candidates(&peers, Source::Magnet, now);
        let discovery = &mut self.config.discovery;
        discovery.add_trackers(ways.trackers);
        for (host, port) in ways.named_peers {
            discovery.resolve(host, port, self.config.to_self.clone());
        }
    }

    fn search(&mut self, search: Search, now: Instant) {
        let discovery = &self.config.discovery;
        match search {
            Search::Trackers => discovery.announce_again(),
            Search::Dht => discovery.look_up_again(),
            Search::Everywhere => {
                discovery.need_peers();
                self.config.swarm.hurry(now);
            }
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
                Output::Discard(piece) => {
                    self.attempts.end(piece);
                    self.with_store(|store| store.discard(piece));
                }
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

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + if self.is_quiet() { QUIET_TICK } else { TICK };
        let snapshot = self.config.swarm.snapshot(now);
        let progress = self.config.swarm.progress();
        let mut totals = self.gone;
        self.peers.values().for_each(|peer| totals += peer.totals);
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
            trackers: self.config.discovery.trackers(),
            checked: self.checked,
            error: self.error.as_ref().map(|(_, reason)| reason.clone()),
            fault: self.error.as_ref().map(|(fault, _)| *fault),
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
