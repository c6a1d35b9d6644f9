//! The streaming service: users' torrents, sessions and downloads over one engine.
//!
//! [`StreamingService`] is what the HTTP API, a test or another Rust program talks to: it knows users and their limits, and no
//! HTTP. All methods take the [`Identity`](crate::auth::Identity) of who asks; what belongs to somebody else isn't there for them.
//!
//! - `torrents` owns which torrents run, `sessions` who watches what, `downloads` who keeps what, `accounts` what users may, `catalog` what they named.
//! - `watching` remembers where users are in films.
//! - `reading` stands between a session's players and the torrent's bytes: it counts, paces and checks.
//! - `rounds` looks at everything a few times a second: states, stalls, what is over.
//!
//! A program that does this is `examples/embed.rs`.
//!
//! ```no_run
//! # async fn example(service: afflux::service::StreamingService) -> Result<(), afflux::service::refusal::Refusal> {
//! use afflux::auth::Identity;
//! use afflux::service::{SourceInput, Start};
//!
//! let me = Identity::local();
//! let magnet = "magnet:?xt=urn:btih:dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c".to_owned();
//! let torrent = service.convert_magnet(&me, SourceInput::Magnet(magnet)).await?;
//! let film = service.start_stream(&me, torrent.hashes, Start::default()).await?;
//! println!("{} is at {}", film.url, service.stream_status(&me, torrent.hashes).await?.state);
//! service.stop_stream(&me, torrent.hashes).await?;
//! # Ok(())
//! # }
//! ```

mod accounts;
mod admin;
mod analytics;
mod beside;
mod buffer;
mod catalog;
mod content;
mod downloads;
pub mod events;
mod films;
mod fingerprint;
mod foreign;
mod limits;
mod live;
mod measures;
mod parts;
mod reading;
pub mod refusal;
mod retention;
mod revoked;
mod rounds;
mod sessions;
pub mod shapes;
mod sources;
mod subtitles;
mod suspicion;
mod texts;
mod torrents;
mod watching;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use afflux_metainfo::InfoHashes;
use afflux_stream::token::MediaKey;
use afflux_stream::{Library, Media, MediaRequest, OpenError};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::accounts::Accounts;
pub use self::accounts::Listening;
pub use self::analytics::ViewsQuery;
use self::downloads::Downloads;
pub use self::downloads::{DownloadChanges, DownloadState, DownloadStatus, DownloadWish};
use self::events::Events;
use self::films::Films;
use self::limits::Limits;
use self::refusal::{Code, Refusal};
use self::sessions::Sessions;
use self::suspicion::Suspects;
use self::texts::Texts;
pub use self::torrents::StreamStorage;
use self::torrents::Torrents;
pub use self::watching::{WatchedFile, WatchingWish};
use crate::config::options::MAX_CONCURRENT_STREAMS;
use crate::config::service::{DownloadSettings, ServiceOptions, StreamSettings, SuspiciousSettings};
use crate::config::{File, Tuning, TuningOptions};
use crate::database::{Database, TorrentCursor};
use crate::engine::Engine;
use crate::ffprobe::Ffprobe;
use crate::metrics::{Metrics, TorrentTally};
use crate::policy::SourcePolicy;
use crate::torrent_info::TorrentInfo;

/// Magnets whose metadata is fetched at once. Each has a swarm of its own, and connections for it.
const FETCHES_MAX: usize = 16;
/// Entries in one answer, unless another number is asked for.
const PAGE: u32 = 100;
/// The most that can be asked for.
const PAGE_MAX: u32 = 1000;

/// How a service is set up.
#[derive(Debug)]
pub struct ServiceConfig {
    /// Where streams keep their bytes.
    pub storage: StreamStorage,
    /// Where downloads go; an absolute path.
    pub download_folder: PathBuf,
    /// How long downloads are seeded.
    pub downloads: DownloadSettings,
    /// What sessions and users are limited to.
    pub streams: StreamSettings,
    /// Streams of one user at once (`MAX_CONCURRENT_STREAMS`).
    pub streams_per_user: u32,
    /// Bounds and patience.
    pub tuning: Tuning,
    /// Which torrents, trackers and hosts may be used.
    pub policy: Arc<SourcePolicy>,
    /// What signs media URLs.
    pub media_key: MediaKey,
    /// From when on something looks like abuse, and what is done then.
    pub suspicious: SuspiciousSettings,
}

impl ServiceConfig {
    /// All as by default: streams in memory, downloads below `folder`.
    pub fn new(folder: &Path, media_key: MediaKey) -> Self {
        let settings = ServiceOptions::default().settle(&File::default());
        Self {
            storage: StreamStorage::Memory,
            download_folder: folder.join("downloads"),
            downloads: settings.downloads,
            streams: settings.streams,
            streams_per_user: MAX_CONCURRENT_STREAMS,
            tuning: TuningOptions::default().settle(TuningOptions::default()),
            policy: Arc::new(settings.sources),
            media_key,
            suspicious: settings.suspicious,
        }
    }
}

/// The service; clones are the same.
#[derive(Clone, Debug)]
pub struct StreamingService {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    database: Database,
    config: ServiceConfig,
    torrents: Torrents,
    sessions: Sessions,
    downloads: Arc<Downloads>,
    accounts: Accounts,
    limits: Limits,
    suspects: Suspects,
    metrics: Metrics,
    /// What of torrents' traffic is in the metrics; a leaf lock.
    traffic: Mutex<TorrentTally>,
    events: Events,
    films: Films,
    ffprobe: Ffprobe,
    texts: Texts,
    /// Subtitles that are converted now.
    conversions: Semaphore,
    fetches: Semaphore,
    /// Held while it is written down where users are in films, by a session or by a client.
    watching: tokio::sync::Mutex<()>,
    stop: CancellationToken,
}

/// A way to name a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceInput {
    /// A magnet link or an info-hash.
    Magnet(String),
    /// The http(s) URL of a .torrent.
    Url(String),
    /// A .torrent's bytes.
    File(Bytes),
}

/// A complete .torrent and what it says.
#[derive(Clone, Debug)]
pub struct Converted {
    /// Its hashes.
    pub hashes: InfoHashes,
    /// What it says.
    pub info: TorrentInfo,
    /// Its bytes.
    pub file: Bytes,
}

/// What to stream.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The file's number; without it the main video, of a series the episode to go on with.
    pub file: Option<u32>,
    /// What the player calls itself.
    pub client: Option<String>,
}

/// How to let a torrent go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropping {
    /// Its files on disk go too.
    pub delete_data: bool,
    /// Admins only: also while others use it.
    pub force: bool,
}

/// A part of a long list.
#[derive(Clone, Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    /// Only what comes after this one: `addedAt` and `infoHash` of the last one seen, with a colon between them.
    #[param(pattern = "^[0-9]{1,15}:[0-9a-fA-F]{40}$")]
    pub after: Option<String>,
    /// At most so many; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

impl Page {
    /// How many are wanted.
    ///
    /// # Errors
    /// More than one answer has, or none.
    pub(crate) fn size(limit: Option<u32>) -> Result<usize, Refusal> {
        match limit.unwrap_or(PAGE) {
            limit @ 1..=PAGE_MAX => Ok(limit as usize),
            limit => Err(Refusal::new(
                Code::BadRequest,
                format!("limit: {limit} isn't a number from 1 to {PAGE_MAX}"),
            )),
        }
    }

    fn cursor(&self) -> Result<Option<TorrentCursor>, Refusal> {
        let Some(after) = &self.after else { return Ok(None) };
        let parsed = after.split_once(':').and_then(|(at, hash)| {
            Some(TorrentCursor { added_at: at.parse().ok()?, info_hash: hash.parse().ok()? })
        });
        let wrong = || {
            Refusal::new(Code::BadRequest, format!("after: {after:?} isn't addedAt:infoHash of a torrent"))
        };
        parsed.map(Some).ok_or_else(wrong)
    }
}

impl StreamingService {
    /// Starts a service on an engine and a database: takes up what was going on before.
    pub async fn start(
        engine: Arc<Engine>,
        database: Database,
        config: ServiceConfig,
    ) -> Result<Self, Refusal> {
        engine.set_sources(Arc::clone(&config.policy));
        let grace = config.streams.torrent_grace;
        let shared = Arc::new(Shared {
            torrents: Torrents::new(Arc::clone(&engine), config.storage.clone(), grace),
            sessions: Sessions::default(),
            downloads: Arc::default(),
            accounts: Accounts::load(&database, &config).await?,
            limits: Limits::new(config.streams.max_streams),
            suspects: Suspects::new(config.suspicious.clone(), std::time::Instant::now()),
            metrics: Metrics::new(),
            traffic: Mutex::default(),
            events: Events::default(),
            films: Films::default(),
            ffprobe: Ffprobe::default(),
            texts: Texts::default(),
            conversions: Semaphore::new(subtitles::CONVERSIONS_MAX),
            fetches: Semaphore::new(FETCHES_MAX),
            watching: tokio::sync::Mutex::default(),
            stop: CancellationToken::new(),
            engine,
            database,
            config,
        });
        shared.wake_sessions().await?;
        shared.wake_downloads().await?;
        tokio::spawn(rounds::run(Arc::downgrade(&shared)));
        Ok(Self { shared })
    }

    /// Ends all sessions' readers and writes down what isn't yet. The sessions themselves go on after a restart.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        for session in self.shared.sessions.awake() {
            session.ended.cancel();
        }
        self.shared.note_views().await;
        self.shared.write_down().await;
    }
}

/// Media routes: `/stream/{token}/{name}`.
impl Library for StreamingService {
    async fn open(&self, request: &MediaRequest) -> Result<Arc<dyn Media>, OpenError> {
        let opened = self.shared.open_media(request).await;
        self.shared.metrics.media_opened(opened.as_ref().map(drop));
        opened
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the service remembers can't be read or written.
impl From<crate::database::DatabaseError> for Refusal {
    fn from(error: crate::database::DatabaseError) -> Self {
        Self::new(Code::Database, error.to_string()).retry_after(Duration::from_secs(5))
    }
}
