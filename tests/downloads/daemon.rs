//! A service with its engine, database and download folder, and users who ask it for things.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use afflux::auth::{Identity, TokenId};
use afflux::config::File;
use afflux::config::service::ServiceOptions;
use afflux::database::Database;
use afflux::engine::Engine;
use afflux::policy::SourcePolicy;
use afflux::service::refusal::Code;
use afflux::service::{
    DownloadChanges, DownloadState, DownloadStatus, DownloadWish, ServiceConfig, SourceInput, Start,
    StreamStorage, StreamingService,
};
use afflux_metainfo::create::Builder;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_metainfo::{InfoHash, InfoHashes};
use afflux_storage::Kind;
use afflux_stream::token::MediaKey;
use afflux_stream::window::Window;
use afflux_stream::{Media, Reader};
use tempfile::TempDir;

use super::house::{Film, House, MIB, PATIENCE, options, wait_complete};

/// Small, so that a few megabytes are many pieces.
pub(crate) const PIECE: u32 = 64 * 1024;
const AHEAD: u64 = MIB;

/// What stays when a daemon ends.
pub(crate) struct Home {
    state: Arc<TempDir>,
    pub(crate) folder: TempDir,
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) storage: Option<StreamStorage>,
    pub(crate) torrent_timeout: Duration,
}

/// A service that runs.
pub(crate) struct Daemon {
    pub(crate) engine: Arc<Engine>,
    pub(crate) service: StreamingService,
    database: Database,
}

impl Home {
    /// Where these are known as peers.
    pub(crate) fn new(peers: &[&House]) -> Self {
        Self {
            state: Arc::new(tempfile::tempdir().unwrap()),
            folder: tempfile::tempdir().unwrap(),
            peers: peers.iter().map(|house| house.address()).collect(),
            storage: None,
            torrent_timeout: Duration::from_secs(60),
        }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// What lies in a folder.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let listing = std::fs::read_dir(self.path(below)).unwrap();
        let mut names: Vec<String> =
            listing.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) async fn start(&self) -> Daemon {
        let House { engine, .. } = House::at(self.state.clone(), |config| {
            config.swarm.peers = self.peers.clone();
        })
        .await;
        let engine = Arc::new(engine);
        let (database, notice) = Database::open(self.state.path()).unwrap();
        assert!(notice.is_none());
        let settings = ServiceOptions::default().settle(&File::default());
        let options = afflux::config::TuningOptions::default();
        let mut tuning = options.settle(afflux::config::TuningOptions::default());
        tuning.torrent_timeout = self.torrent_timeout;
        let config = ServiceConfig {
            storage: self.storage.clone().unwrap_or(StreamStorage::Memory),
            download_folder: self.folder.path().to_path_buf(),
            downloads: settings.downloads,
            streams: settings.streams,
            streams_per_user: 5,
            tuning,
            policy: Arc::new(SourcePolicy::default()),
            media_key: MediaKey::new([7; 32]),
            suspicious: settings.suspicious,
        };
        let service = StreamingService::start(engine.clone(), database.clone(), config).await.unwrap();
        Daemon { engine, service, database }
    }
}

impl Daemon {
    pub(crate) async fn end(self) {
        self.service.shutdown().await;
        self.engine.shutdown().await;
        self.database.close().await;
    }

    /// Waits until a look at a download satisfies.
    pub(crate) async fn wait(
        &self,
        who: &Identity,
        hash: InfoHashes,
        what: &str,
        satisfies: impl Fn(&DownloadStatus) -> bool,
    ) -> DownloadStatus {
        let wait = async {
            loop {
                let status = self.service.download(who, hash).await.unwrap();
                if satisfies(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => panic!("waited for {what}: {:?}", self.service.download(who, hash).await),
        }
    }

    pub(crate) async fn wait_state(
        &self,
        who: &Identity,
        hash: InfoHashes,
        state: DownloadState,
    ) -> DownloadStatus {
        self.wait(who, hash, state.as_str(), |status| status.state == state).await
    }

    pub(crate) async fn change(
        &self,
        who: &Identity,
        hash: InfoHashes,
        changes: DownloadChanges,
    ) -> DownloadStatus {
        self.service.change_download(who, hash, changes).await.unwrap()
    }

    /// The code of the refusal to show a download.
    pub(crate) async fn refusal(&self, who: &Identity, hash: InfoHashes) -> Code {
        self.service.download(who, hash).await.unwrap_err().code
    }

    pub(crate) fn runs(&self, hash: InfoHashes) -> bool {
        self.engine.get(hash.wire()).is_some()
    }

    /// Opens a torrent's file in a session.
    pub(crate) async fn open(&self, who: &Identity, hash: InfoHashes, file: u32) -> Arc<dyn Media> {
        let start = Start { file: Some(file), client: None };
        self.service.open_stream(who, hash, start, true).await.unwrap()
    }
}

/// A user of this name.
pub(crate) fn user(name: &str) -> Identity {
    Identity {
        user: name.parse().unwrap(),
        scopes: "torrents:read torrents:write stream download".parse().unwrap(),
        token: TokenId::NONE,
        expires: u64::MAX,
        max_streams: None,
        max_rate: None,
    }
}

pub(crate) fn wish() -> DownloadWish {
    DownloadWish::default()
}

/// Stops seeding at once.
pub(crate) fn no_seeding() -> DownloadChanges {
    DownloadChanges { seed_ratio: Some(Some(0.0)), ..DownloadChanges::default() }
}

/// Torrents of the tests, however many files they have.
pub(crate) trait Shared {
    fn torrent(&self) -> &TorrentFile;

    fn hash(&self) -> InfoHashes {
        self.torrent().info.hashes
    }

    fn file(&self) -> SourceInput {
        SourceInput::File(self.bytes().into())
    }

    fn bytes(&self) -> Vec<u8> {
        let raw = &self.torrent().info.raw;
        [b"d4:info".as_slice(), raw, b"e"].concat()
    }

    fn magnet(&self) -> SourceInput {
        SourceInput::Magnet(format!("magnet:?xt=urn:btih:{}", self.hash().wire()))
    }
}

impl Shared for Film {
    fn torrent(&self) -> &TorrentFile {
        &self.torrent
    }
}

/// A torrent of several files of noise in one folder.
pub(crate) struct Set {
    torrent: TorrentFile,
    folder: TempDir,
    pub(crate) files: Vec<Vec<u8>>,
}

impl Set {
    pub(crate) fn new(lengths: &[u64]) -> Self {
        let noise = Film::new(lengths.iter().sum(), PIECE).data;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("set")).unwrap();
        let (mut rest, mut files) = (&noise[..], Vec::new());
        for (nth, length) in lengths.iter().enumerate() {
            let (file, behind) = rest.split_at(*length as usize);
            std::fs::write(folder.path().join(format!("set/{nth}")), file).unwrap();
            files.push(file.to_vec());
            rest = behind;
        }
        let rows = lengths.iter().enumerate().map(|(nth, length)| (vec![nth.to_string()], *length));
        let builder = Builder::folder("set", rows, PIECE).unwrap();
        let hashes = afflux_storage::hash_files(builder.layout(), folder.path(), 1, &|_, _| {}).unwrap();
        let torrent = TorrentFile::parse(&builder.build(&hashes).unwrap()).unwrap();
        Self { torrent, folder, files }
    }

    /// One file, called anything.
    pub(crate) fn called(name: &str, length: u64) -> Self {
        let files = vec![Film::new(length, PIECE).data];
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), &files[0]).unwrap();
        let builder = Builder::single_file(name, length, PIECE).unwrap();
        let hashes = afflux_storage::hash_files(builder.layout(), folder.path(), 1, &|_, _| {}).unwrap();
        let torrent = TorrentFile::parse(&builder.build(&hashes).unwrap()).unwrap();
        Self { torrent, folder, files }
    }

    pub(crate) async fn seeder(&self) -> House {
        let house = House::new().await;
        let kind = Kind::Disk { dir: self.folder.path().to_path_buf() };
        let source = afflux::source::Source::Torrent(Box::new(self.torrent.clone()));
        wait_complete(&house.engine.add(&source, options(kind, true)).unwrap()).await;
        house
    }

    pub(crate) fn assert_file(&self, folder: &Path, nth: usize) {
        let there = std::fs::read(folder.join(format!("set/{nth}"))).unwrap();
        assert!(there == self.files[nth], "file {nth} differs");
    }
}

impl Shared for Set {
    fn torrent(&self) -> &TorrentFile {
        &self.torrent
    }
}

/// A reading of a file from its start to its end, as a body does it.
pub(crate) struct Reading {
    reader: Box<dyn Reader>,
    length: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Reading {
    pub(crate) fn new(media: &dyn Media) -> Self {
        let length = media.facts().length;
        Self { reader: media.reader(0..length), length, bytes: Vec::new() }
    }

    /// Reads until there are so many bytes.
    pub(crate) async fn read_to(&mut self, end: u64) {
        while (self.bytes.len() as u64) < end.min(self.length) {
            let at = self.bytes.len() as u64;
            let until = |ahead: u64| (at + ahead).min(self.length);
            self.reader.set_window(Window {
                position: at,
                urgent_end: until(AHEAD / 4),
                soon_end: until(AHEAD / 2),
                end: until(AHEAD),
                rate: MIB,
                waiting: true,
                probe: false,
            });
            let most = (end.min(self.length) - at) as usize;
            let run = poll_fn(|cx| self.reader.poll_read(cx, at, most));
            let run = tokio::time::timeout(PATIENCE, run).await.expect("the bytes come").unwrap();
            self.bytes.extend_from_slice(&run);
        }
    }

    pub(crate) async fn read_all(mut self) -> Vec<u8> {
        self.read_to(self.length).await;
        self.bytes
    }
}

/// A hash of nothing that anybody has.
pub(crate) fn nobodys(seed: u8) -> (InfoHashes, SourceInput) {
    let hash = InfoHash([seed; 20]);
    (InfoHashes::V1(hash), SourceInput::Magnet(hash.to_string()))
}
