//! The engine: what all torrents share, and the tasks that drive the pure machines on real sockets.
//!
//! One task per torrent owns its `Swarm` ([`torrent`]), one per peer its `Connection` (`link`); disk and hash
//! threads belong to `storage`. Limits of the whole process are kept here: connections (`slots`), rates
//! (`rates`), memory (the byte ledger).

mod attempts;
mod discover;
mod erase;
mod greet;
mod halt;
mod library;
mod limits;
mod link;
mod listen;
mod open;
mod patience;
mod rates;
mod readers;
mod receive;
mod reserves;
mod room;
mod serve;
mod shares;
mod slots;
mod status;
#[cfg(test)]
mod testing;
pub mod torrent;
mod turns;
mod unchokes;
mod viewing;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use afflux_metainfo::info::Info;
use afflux_metainfo::limits::TORRENT_BYTES_MAX;
use afflux_metainfo::magnet::PeerAddress;
use afflux_metainfo::{FileIndex, InfoHash, PeerId};
use afflux_peer::Direction;
use afflux_storage::{Allocation, Disk, DiskConfig, Kind, Ledger, Pool};
use afflux_swarm::shaper::Limits;
use afflux_swarm::trace::Stall;
use afflux_swarm::{Priority, StrategyName, Swarm, Window};
use dashmap::DashMap;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use self::erase::Remembered;
pub use self::library::TorrentMedia;
pub use self::limits::EngineLimits;
use self::open::Place;
pub use self::rates::UserShare;
use self::rates::{Rates, TorrentDial};
pub use self::readers::WarmUp;
use self::readers::{Readers, ViewingKey};
use self::shares::{Shares, Use};
use self::slots::Slots;
pub use self::status::{Fault, Memory, State, Status, TrackerCount};
use self::torrent::{Greeted, Input, Ready, TaskConfig};
use self::turns::Turns;
use self::unchokes::Unchokes;
pub use self::viewing::Viewing;
use crate::announce::{self, AnnounceConfig, Totals};
use crate::config::{SwarmSettings, Tuning, options};
use crate::dht::{self, DhtConfig, DhtHandle};
use crate::failure::Failure;
use crate::fetch::{FetchConfig, FetchError, Fetcher};
use crate::policy::SourcePolicy;
use crate::source::Source;
use crate::threads;

/// What we call ourselves (BEP 10 `v`, user agent, `Server`).
pub const CLIENT: &str = concat!("Afflux/", env!("CARGO_PKG_VERSION"));
/// Dials of one torrent under way at once.
const DIALS_MAX: u32 = 20;
/// Connections of one address to one torrent. More are a swarm behind one router, or a test on loopback.
const PEERS_PER_ADDRESS_MAX: u32 = 16;
/// Memory that nobody has used for so long is given back: what is on disk too, and films in memory that nobody reads.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// The whole of a tracker's or web server's answer must be here by then.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// How an engine is started.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Swarm side.
    pub swarm: SwarmSettings,
    /// Bounds and patience.
    pub tuning: Tuning,
    /// Folder for state.
    pub data_dir: PathBuf,
}

/// What all torrents share.
#[derive(Debug)]
pub struct Shared {
    config: EngineConfig,
    peer_id: PeerId,
    port: u16,
    slots: Slots,
    rates: Rates,
    unchokes: Unchokes,
    /// Connections of a torrent that is taken up now.
    torrent_connections_max: AtomicU32,
    /// The memory, among those that live there.
    shares: Shares,
    /// The disk cache, likewise.
    cache_shares: Shares,
    /// What the disk cache holds.
    places: Ledger,
    pub(crate) disk: Disk,
    pub(crate) pool: Pool,
    dht: Option<DhtHandle>,
    fetcher: Arc<Fetcher>,
    announces: Arc<announce::Shared>,
    torrents: DashMap<InfoHash, Torrent>,
    seeds: AtomicU64,
    /// Who has which torrent's files.
    turns: Arc<Turns>,
    /// Memory came back after some torrent found none.
    pub(crate) room: watch::Sender<()>,
    stop: CancellationToken,
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What to do with a torrent.
#[derive(Clone, Debug)]
pub struct AddOptions {
    /// Where its bytes go.
    pub kind: Kind,
    /// Never create or change a file.
    pub read_only: bool,
    /// Verify what is on disk, whatever resume data says.
    pub recheck: bool,
    /// Order of pieces outside of readers' windows.
    pub strategy: StrategyName,
    /// Files that are there, of which nothing is remembered, and that aren't the torrent's, are replaced rather than refused.
    pub overwrite: bool,
    /// When files take their space.
    pub allocation: Allocation,
    /// Which files are wanted will be said ([`Torrent::select`], [`Torrent::prioritize`]); nothing is fetched before.
    pub hold: bool,
}

impl AddOptions {
    /// A torrent of this kind, by the usual order of pieces, with nothing special about it.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            read_only: false,
            recheck: false,
            strategy: StrategyName::Deadline,
            overwrite: false,
            allocation: Allocation::Sparse,
            hold: false,
        }
    }
}

/// Where to look for more peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Trackers are asked as soon as they allow it.
    Trackers,
    /// The DHT is asked.
    Dht,
    /// Both, and whoever is known and didn't answer or parted is tried again before their time.
    Everywhere,
}

/// A run of a torrent that another one replaces: it ends, off this task, when this is dropped.
#[derive(Debug)]
#[must_use = "the run ends when this is dropped"]
pub struct Replaced(Torrent);

impl Replaced {
    /// Ends the run, and gives its peers to the one that goes on.
    pub async fn hand_over(self, to: &Torrent) {
        let peers = self.0.peers().await;
        self.0.stop().await;
        to.add_peers(peers).await;
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        let torrent = self.0.clone();
        tokio::spawn(async move { torrent.stop().await });
    }
}

/// A torrent of a running engine; all clones are the same.
#[derive(Clone, Debug)]
pub struct Torrent {
    info_hash: InfoHash,
    name: Arc<str>,
    streamed: bool,
    inbox: mpsc::Sender<Input>,
    info: watch::Receiver<Option<Arc<Info>>>,
    ready: watch::Receiver<Option<Arc<Ready>>>,
    status: watch::Receiver<Status>,
    readers: Arc<Readers>,
    rates: TorrentDial,
}

impl Engine {
    /// Binds sockets, starts threads, joins the DHT.
    pub async fn start(config: EngineConfig) -> Result<Self, Failure> {
        let resume_dir = config.data_dir.join("resume");
        std::fs::create_dir_all(&resume_dir).map_err(|error| {
            Failure::work(format!(
                "state can't be kept in {}: {error}; say --data-dir DIR with a folder that can be written",
                config.data_dir.display()
            ))
        })?;
        let listeners =
            listen::bind(config.swarm.bind, config.swarm.peer_port, config.swarm.peer_port_fixed)?;
        let port = listeners.port;
        let now = Instant::now();
        let ledger = Ledger::new(usize::try_from(config.tuning.cache_bytes).unwrap_or(usize::MAX));
        let pool = Pool::new(ledger);
        let room = watch::Sender::new(());
        let hook = room.clone();
        pool.on_room(Arc::new(move || hook.send_replace(())));
        let places = config.tuning.disk_cache_bytes.unwrap_or(options::STREAM_DISK_CACHE_SIZE);
        let places = Ledger::new(usize::try_from(places).unwrap_or(usize::MAX));
        let hook = room.clone();
        places.on_room(Arc::new(move || hook.send_replace(())));
        let disk = Disk::start(DiskConfig { thread_started: threads::take_turns, ..DiskConfig::default() })
            .map_err(|error| Failure::work(format!("the disk threads can't be started: {error}")))?;
        let policy = afflux_tracker::Policy { allow_local: config.swarm.allow_local_addresses };
        let fetcher = |timeout| {
            let config = FetchConfig {
                policy,
                user_agent: CLIENT.to_owned(),
                timeout,
                proxy: None,
                bind: config.swarm.bind,
            };
            let fetcher = Fetcher::new(config).map(Arc::new);
            fetcher.map_err(|error| Failure::work(format!("HTTP can't be used: {error}")))
        };
        let announces = announce::Shared::new(fetcher(config.tuning.announce_timeout)?, config.swarm.bind);
        let fetcher = fetcher(FETCH_TIMEOUT)?;
        announces.fetcher().add_own_ports(&[port]);
        fetcher.add_own_ports(&[port]);
        let dht = start_dht(&config, port);
        let shared = Arc::new(Shared {
            peer_id: make_peer_id()?,
            port,
            slots: Slots::new(config.swarm.max_peers),
            shares: Shares::new(config.tuning.cache_bytes, Use::Memory),
            cache_shares: Shares::new(places.limit() as u64, room::cache_use(config.tuning.cache_bytes)),
            places,
            rates: Rates::new(
                Limits { download: config.swarm.download_limit, upload: config.swarm.upload_limit },
                now,
            ),
            torrent_connections_max: AtomicU32::new(config.swarm.max_conns),
            unchokes: Unchokes::new(room::served_max(config.tuning.cache_bytes), now),
            disk,
            pool,
            dht,
            announces,
            fetcher,
            torrents: DashMap::new(),
            seeds: AtomicU64::new(random_u64()?),
            turns: Arc::default(),
            room,
            stop: CancellationToken::new(),
            config,
        });
        listen::accept(listeners, Arc::clone(&shared));
        tokio::spawn(forget_unused(Arc::downgrade(&shared)));
        Ok(Self { shared })
    }

    /// Reads what a user names a torrent by; a URL is fetched.
    pub async fn resolve(&self, source: &str) -> Result<Source, Failure> {
        Source::resolve(source, &self.shared.fetcher).await
    }

    /// Gets the .torrent that lies at a URL, within the limits and the address policy of all that is fetched.
    pub async fn fetch_torrent(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.shared.fetcher.get(url, TORRENT_BYTES_MAX).await
    }

    /// From now on trackers and servers are asked only where these rules allow it. Torrents that are here already keep their trackers,
    /// and asking those that are denied fails; new ones are judged by [`SourcePolicy::admit`].
    pub fn set_sources(&self, sources: Arc<SourcePolicy>) {
        self.shared.announces.fetcher().set_sources(Arc::clone(&sources));
        self.shared.fetcher.set_sources(sources);
    }

    /// Tells of further ports that this program listens on, such as that of HTTP: no torrent makes us ask ourselves.
    pub fn add_own_ports(&self, ports: &[u16]) {
        self.shared.announces.fetcher().add_own_ports(ports);
        self.shared.fetcher.add_own_ports(ports);
    }

    /// Port on which peers are taken (TCP) and the DHT speaks (UDP).
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// The byte ledger: what payload the process holds.
    pub fn ledger(&self) -> &Ledger {
        self.shared.pool.ledger()
    }

    /// The disk cache in the data folder, for [`AddOptions::kind`].
    pub fn cache(&self) -> Kind {
        self.shared.cache()
    }

    /// The same in another folder.
    pub fn cache_in(&self, dir: PathBuf) -> Kind {
        self.shared.cache_in(dir)
    }

    /// What the disk cache holds.
    pub fn places(&self) -> &Ledger {
        &self.shared.places
    }

    /// Takes a torrent up, or finds it if it's there already.
    pub fn add(&self, source: &Source, options: AddOptions) -> Result<Torrent, Failure> {
        self.check(source, &options.kind)?;
        let info_hash = source.hashes().wire();
        if let Some(known) = self.get(info_hash) {
            return Ok(known);
        }
        let info = self.shared.known_info(source, &options.kind);
        // Adding twice must not start two tasks: the entry is held until the torrent is in it.
        match self.shared.torrents.entry(info_hash) {
            dashmap::Entry::Occupied(known) => Ok(known.get().clone()),
            dashmap::Entry::Vacant(free) => {
                let torrent = start_torrent(&self.shared, source, info, options);
                free.insert(torrent.clone());
                Ok(torrent)
            }
        }
    }

    /// Takes a torrent up anew: elsewhere, or after it failed. A run that goes on ends when the other answer is dropped;
    /// until then its readers can be told where to go on.
    pub fn replace(
        &self,
        source: &Source,
        options: AddOptions,
    ) -> Result<(Torrent, Option<Replaced>), Failure> {
        self.check(source, &options.kind)?;
        let info = self.shared.known_info(source, &options.kind);
        let torrent = start_torrent(&self.shared, source, info, options);
        let old = self.shared.torrents.insert(source.hashes().wire(), torrent.clone());
        Ok((torrent, old.map(Replaced)))
    }

    /// Whether a torrent can be taken up at all.
    fn check(&self, source: &Source, kind: &Kind) -> Result<(), Failure> {
        if let Source::Torrent(torrent) = source {
            torrent.info.transferable().map_err(|reason| Failure::work(reason.to_string()))?;
            self.shared.fitting_kind(&torrent.info.layout, kind).map_err(Failure::work)?;
        } else if source.hashes().v1().is_none() {
            return Err(Failure::work(
                "this torrent is v2 only (BEP 52), which can't be transferred yet: use its hybrid or v1 form",
            ));
        }
        Ok(())
    }

    /// A torrent by its hash.
    pub fn get(&self, info_hash: InfoHash) -> Option<Torrent> {
        self.shared.torrents.get(&info_hash).map(|torrent| torrent.clone())
    }

    /// All torrents.
    pub fn torrents(&self) -> Vec<Torrent> {
        self.shared.torrents.iter().map(|torrent| torrent.clone()).collect()
    }

    /// Lets a torrent go: tells trackers, saves, closes.
    pub async fn remove(&self, info_hash: InfoHash) {
        if let Some((_, torrent)) = self.shared.torrents.remove(&info_hash) {
            torrent.stop().await;
        }
    }

    /// Lets a torrent go like [`remove`](Self::remove), but doesn't wait for its end: who adds it again gets a new one, which
    /// waits for what both need.
    pub fn retire(&self, info_hash: InfoHash) {
        if let Some((_, torrent)) = self.shared.torrents.remove(&info_hash) {
            tokio::spawn(async move { torrent.stop().await });
        }
    }

    /// Ends everything within a few seconds: trackers told, resume data saved.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        let torrents: Vec<Torrent> = self.torrents();
        self.shared.torrents.clear();
        let stops = torrents.into_iter().map(|torrent| tokio::spawn(async move { torrent.stop().await }));
        for stop in stops.collect::<Vec<_>>() {
            let _ = stop.await;
        }
        if let Some(dht) = &self.shared.dht {
            dht.shutdown().await;
        }
        // Those that were retired just before save too.
        let turns = Arc::clone(&self.shared.turns);
        let _ = tokio::task::spawn_blocking(move || turns.wait_for_all()).await;
    }
}

impl Shared {
    /// What a new connection is told.
    fn connection_config(&self, remote: SocketAddr, direction: Direction) -> afflux_peer::Config {
        afflux_peer::Config {
            direction,
            remote,
            reqq: self.slots.request_queue_max(),
            client: CLIENT.to_owned(),
            listen_port: Some(self.port),
            peer_timeout: self.config.tuning.peer_timeout,
            dht_port: self.dht.as_ref().map(DhtHandle::port),
            upload_only: false,
        }
    }

    /// A fresh seed for a machine.
    fn seed(&self) -> u64 {
        // Steps of the golden ratio spread well; the start is random.
        self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    fn introduction(&self) -> greet::Introduction {
        greet::Introduction { peer_id: self.peer_id, dht: self.dht.is_some() }
    }

    /// Connects to a peer, within the limits on dials and connections.
    async fn dial(&self, addr: SocketAddr, info_hash: InfoHash) -> Option<Greeted> {
        let half_open = self.slots.half_open().await;
        let slot = self.slots.connection()?;
        let timeout = self.config.tuning.peer_timeout;
        let greeted =
            greet::dial(addr, self.config.swarm.bind, info_hash, self.introduction(), timeout).await;
        drop(half_open);
        match greeted {
            Ok((stream, handshake)) => {
                Some(Greeted { stream, handshake, addr, direction: Direction::Outgoing, slot })
            }
            Err(error) => {
                debug!(%addr, %error, "dialling failed");
                None
            }
        }
    }

    /// Where a torrent of this kind is remembered; those in memory aren't.
    fn resume_dir(&self, kind: &Kind) -> Option<PathBuf> {
        matches!(kind, Kind::Disk { .. }).then(|| self.resume_folder())
    }

    fn resume_folder(&self) -> PathBuf {
        self.config.data_dir.join("resume")
    }

    /// A torrent's metadata, if the source has it or it was here before. Reads a file.
    fn known_info(&self, source: &Source, kind: &Kind) -> Option<Info> {
        match source {
            Source::Torrent(torrent) => Some(torrent.info.clone()),
            Source::Magnet(_) => {
                let remembered = erase::remembered(&self.resume_dir(kind)?, source.hashes().wire());
                remembered.map(|remembered| remembered.info)
            }
        }
    }
}

impl Torrent {
    /// The hash it is known by on the wire.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// Its name, as far as it was known at the start.
    pub fn name(&self) -> String {
        self.ready.borrow().as_ref().map_or_else(|| self.name.to_string(), |ready| ready.info.name.clone())
    }

    /// Whether both are the same run of the same torrent.
    pub fn is(&self, other: &Self) -> bool {
        self.inbox.same_channel(&other.inbox)
    }

    /// Whether only what its readers need is kept of it.
    pub fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The metadata once it is known, also where storage can't be opened with it.
    pub fn info(&self) -> Option<Arc<Info>> {
        self.info.borrow().clone()
    }

    /// Metadata and storage, once they are there.
    pub fn ready(&self) -> Option<Arc<Ready>> {
        self.ready.borrow().clone()
    }

    /// Waits for metadata and storage; the error is why there won't be any.
    pub async fn wait_ready(&self) -> Result<Arc<Ready>, Failure> {
        let (mut ready, mut status) = (self.ready.clone(), self.status.clone());
        loop {
            if let Some(ready) = ready.borrow_and_update().clone() {
                return Ok(ready);
            }
            if let Some(error) = status.borrow_and_update().error.clone() {
                return Err(Failure::work(error));
            }
            tokio::select! {
                changed = ready.changed() => changed.map_err(|_| ended())?,
                changed = status.changed() => changed.map_err(|_| ended())?,
            }
        }
    }

    /// Waits for the next look at how it is doing.
    pub async fn next_status(&self, seen: &mut watch::Receiver<Status>) -> Result<Status, Failure> {
        seen.changed().await.map_err(|_| ended())?;
        Ok(seen.borrow_and_update().clone())
    }

    /// A receiver of looks.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Fetches only these files from now on (a bit per file).
    pub async fn select(&self, files: Vec<bool>) {
        let priority = |wanted| if wanted { Priority::Normal } else { Priority::Off };
        self.prioritize(files.into_iter().map(priority).collect()).await;
    }

    /// Fetches files in this order from now on (a priority per file); those that are off are not fetched. Remembered.
    ///
    /// Once the torrent is ready this returns when [`Self::status`] counts by the new priorities: whoever waits for
    /// the end doesn't take the old one for it.
    pub async fn prioritize(&self, files: Vec<Priority>) {
        let (done, counted) = oneshot::channel();
        let _ = self.inbox.send(Input::Prioritize(files, done)).await;
        // Answered by dropping it, also when storage refused (the status says why) or the torrent is gone.
        let _ = counted.await;
    }

    /// Gives a file another path below the download folder. Remembered.
    pub async fn rename(&self, file: FileIndex, path: Vec<String>) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.inbox.send(Input::Rename { file, path, done }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Moves all files to another folder; the torrent goes on from there. Who adds it again has to name that folder.
    pub async fn move_to(&self, dir: PathBuf) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.inbox.send(Input::Move { dir, done }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Peers to try.
    pub async fn add_peers(&self, addrs: Vec<SocketAddr>) {
        let _ = self.inbox.send(Input::Candidates { addrs, source: afflux_swarm::Source::Given }).await;
    }

    /// Peers that a magnet link names (`x.pe`): none of the owner's own network, unless that is allowed.
    pub async fn add_named_peers(&self, addrs: Vec<SocketAddr>) {
        let _ = self.inbox.send(Input::Candidates { addrs, source: afflux_swarm::Source::Magnet }).await;
    }

    /// What its readers want at this moment, oldest reader first; warm-ups aren't readers.
    pub fn windows(&self) -> Vec<Window> {
        self.readers.windows()
    }

    /// Fetches the head and the tail of a file before anybody reads it: players begin with both. Until the
    /// answer is dropped.
    pub fn warm_up(&self, ready: &Ready, file: FileIndex, bytes: u64) -> WarmUp {
        WarmUp::ends(&self.readers, ViewingKey::default(), ready, file, bytes)
    }

    /// Chooses by another strategy from now on; nothing that is there or on its way is lost. Refused for a torrent in
    /// memory, which can't keep what no reader needs soon.
    pub async fn set_strategy(&self, strategy: StrategyName) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.inbox.send(Input::SetStrategy(strategy, done)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Why readers waited: the waits that ended after `since`, and those that go on, the oldest first.
    pub async fn stalls(&self, since: Option<Instant>) -> Result<Vec<Stall>, Failure> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Input::Stalls { since, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    /// Looks for more peers: a reader waits.
    pub async fn find_more_peers(&self, search: Search) {
        let _ = self.inbox.send(Input::NeedPeers(search)).await;
    }

    /// The addresses of peers that it has found and is connected to.
    async fn peers(&self) -> Vec<SocketAddr> {
        let (reply, answer) = oneshot::channel();
        let _ = self.inbox.send(Input::Peers(reply)).await;
        // A torrent that is gone has none.
        answer.await.unwrap_or_default()
    }

    async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inbox.send(Input::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

/// Gives memory back that nobody uses, for as long as the engine lives.
async fn forget_unused(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(UNREAD_MAX).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.disk.spill_idle();
        shared.pool.forget_unused();
    }
}

fn ended() -> Failure {
    Failure::work("the torrent was ended")
}

fn start_torrent(shared: &Arc<Shared>, source: &Source, info: Option<Info>, options: AddOptions) -> Torrent {
    let info_hash = source.hashes().wire();
    let private = source.private() || info.as_ref().is_some_and(|info| info.private);
    let (open_bytes_max, keep_bytes_max) = shared.first_split(&options.kind);
    let now = Instant::now();
    let unchokes = shared.unchokes.torrent();
    let config = afflux_swarm::Config {
        peers_max: shared.torrent_connections_max.load(Ordering::Relaxed),
        dials_max: DIALS_MAX,
        peers_per_address_max: PEERS_PER_ADDRESS_MAX,
        open_bytes_max,
        keep_bytes_max,
        unread_max: matches!(options.kind, Kind::Memory).then_some(UNREAD_MAX),
        strategy: options.strategy,
        duplicate_percent: shared.config.tuning.duplicate_percent,
        unchoke_slots: unchokes.slots(0, now),
        local_peer_id: shared.peer_id,
        private,
        serve: true,
    };
    let mut swarm = Swarm::new(config, source.hashes(), None, shared.seed(), now);
    swarm.add_candidates(&shared.config.swarm.peers, afflux_swarm::Source::Given, now);
    let named = shared.config.swarm.peers_allowed(source.peers(), afflux_swarm::Source::Magnet);
    swarm.add_candidates(&named, afflux_swarm::Source::Magnet, now);
    let (inbox_sender, inbox) = mpsc::channel(torrent::INBOX_MAX);
    let (info_sender, info_known) = watch::channel(None);
    let (ready_sender, ready) = watch::channel(None);
    let (status_sender, status) = watch::channel(Status::default());
    let (totals_sender, totals) =
        watch::channel(Totals { left: torrent::BYTES_LEFT_UNKNOWN, ..Totals::default() });
    let readers = Arc::new(Readers::default());
    let streamed = options.kind.is_evictable();
    let discovery = start_discovery(shared, source, private, &inbox_sender, totals);
    let rates = shared.rates.torrent(Limits::default(), now);
    let dial = rates.dial();
    let task = TaskConfig {
        shared: Arc::clone(shared),
        place: Place {
            info_hash,
            resume_dir: shared.resume_dir(&options.kind),
            kind: options.kind,
            read_only: options.read_only,
            recheck: options.recheck,
            overwrite: options.overwrite,
            allocation: options.allocation,
        },
        hold: options.hold,
        inbox,
        to_self: inbox_sender.clone(),
        swarm,
        rates,
        unchokes,
        readers: Arc::clone(&readers),
        info: info_sender,
        ready: ready_sender,
        status: status_sender,
        totals: totals_sender,
        discovery,
    };
    torrent::start(task, info);
    let name = source.name().into();
    let inbox = inbox_sender;
    Torrent { info_hash, name, streamed, inbox, info: info_known, ready, status, readers, rates: dial }
}

fn start_discovery(
    shared: &Arc<Shared>,
    source: &Source,
    private: bool,
    torrent: &mpsc::Sender<Input>,
    totals: watch::Receiver<Totals>,
) -> discover::Discovery {
    let info_hash = source.hashes().wire();
    let mut discovery = discover::Discovery::new();
    let mut tiers = source.trackers();
    tiers.extend(shared.config.swarm.trackers.iter().map(|url| vec![url.clone()]));
    if !tiers.is_empty() {
        let config = AnnounceConfig {
            tiers,
            info_hash,
            peer_id: shared.peer_id,
            port: shared.port,
            timeout: shared.config.tuning.announce_timeout,
        };
        let (shared, torrent) = (Arc::clone(&shared.announces), torrent.clone());
        discovery.set_trackers(discover::Trackers { config, shared, totals, torrent });
        // With a .torrent it is soon known what is left, and the first announce says it. A magnet can't wait.
        if matches!(source, Source::Magnet(_)) {
            discovery.start_trackers();
        }
    }
    if let Some(dht) = shared.dht.clone().filter(|_| !private) {
        for (host, port) in source.nodes() {
            if let Ok(address) = host.parse::<IpAddr>() {
                dht.add_node(SocketAddr::new(address, port));
            }
        }
        discovery.join_dht(dht, info_hash, shared.port, torrent.clone());
    }
    if let Source::Magnet(magnet) = source {
        for peer in &magnet.peers {
            if let PeerAddress::Named { host, port } = peer {
                discovery.resolve(host.clone(), *port, torrent.clone());
            }
        }
    }
    discovery
}

fn start_dht(config: &EngineConfig, port: u16) -> Option<DhtHandle> {
    if !config.swarm.dht {
        return None;
    }
    let (bind_v4, bind_v6) = dht::families(config.swarm.bind);
    let defaults = || dht::BOOTSTRAP_DEFAULT.map(str::to_owned).to_vec();
    let dht = DhtConfig {
        bind_v4,
        bind_v6,
        port,
        bootstrap: config.swarm.dht_bootstrap.clone().unwrap_or_else(defaults),
        allow_local: config.swarm.allow_local_addresses,
        state_file: config.data_dir.join("dht.state"),
    };
    match DhtHandle::start(dht) {
        Ok(handle) => Some(handle),
        Err(error) => {
            warn!(%error, port, "the DHT can't be used");
            None
        }
    }
}

/// `-AF` + four version digits + `-` + twelve random characters (BEP 20).
fn make_peer_id() -> Result<PeerId, Failure> {
    let mut id = *b"-AF0000-............";
    let version =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")];
    for (digit, part) in id[3..6].iter_mut().zip(version) {
        *digit = part.bytes().last().unwrap_or(b'0');
    }
    const LETTERS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.";
    let random = [random_u64()?.to_le_bytes(), random_u64()?.to_le_bytes()].concat();
    for (place, byte) in id[8..].iter_mut().zip(random) {
        *place = LETTERS[usize::from(byte % 64)];
    }
    Ok(PeerId(id))
}

fn random_u64() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::work(format!("the system gives no random numbers: {error}")))?;
    Ok(u64::from_le_bytes(bytes))
}
