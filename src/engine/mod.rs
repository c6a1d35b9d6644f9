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
mod handle;
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
mod start;
mod status;
#[cfg(test)]
mod testing;
pub mod torrent;
mod turns;
mod unchokes;
mod viewing;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use afflux_metainfo::info::Info;
use afflux_metainfo::limits::TORRENT_BYTES_MAX;
use afflux_metainfo::{InfoHash, PeerId};
use afflux_peer::Direction;
use afflux_storage::{Allocation, Disk, DiskConfig, Kind, Ledger, Pool};
use afflux_swarm::StrategyName;
use afflux_swarm::shaper::Limits;
use dashmap::DashMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use self::erase::Remembered;
pub use self::handle::{Replaced, Search, Torrent};
pub use self::library::TorrentMedia;
pub use self::limits::EngineLimits;
use self::rates::Rates;
pub use self::rates::UserShare;
pub use self::readers::WarmUp;
use self::shares::{Shares, Use};
use self::slots::Slots;
pub use self::status::{Fault, Memory, State, Status, TrackerCount};
use self::torrent::Greeted;
use self::turns::Turns;
use self::unchokes::Unchokes;
pub use self::viewing::Viewing;
use crate::announce::{self};
use crate::config::{SwarmSettings, Tuning, options};
use crate::dht::{self, DhtConfig, DhtHandle};
use crate::failure::Failure;
use crate::fetch::{FetchConfig, FetchError, Fetcher};
use crate::policy::SourcePolicy;
use crate::source::Source;
use crate::threads;

/// What we call ourselves (BEP 10 `v`, user agent, `Server`).
pub const CLIENT: &str = concat!("Afflux/", env!("CARGO_PKG_VERSION"));
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
                let torrent = start::start(&self.shared, source, info, options);
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
        let torrent = start::start(&self.shared, source, info, options);
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

/// Gives memory back that nobody uses, for as long as the engine lives.
async fn forget_unused(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(UNREAD_MAX).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.disk.spill_idle();
        shared.pool.forget_unused();
    }
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
