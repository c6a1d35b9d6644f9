//! What the tests share: a film, engines that seed it, engines that fetch it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use afflux::config::{SwarmOptions, TuningOptions};
use afflux::engine::torrent::Ready;
use afflux::engine::{AddOptions, Engine, EngineConfig, State, Status, Torrent};
use afflux::source::Source;
use afflux_metainfo::create::Builder;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_storage::Kind;
use tempfile::TempDir;

/// Long enough for a machine under load.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const NAME: &str = "film.bin";

/// A torrent of one file, and the file.
pub(crate) struct Film {
    pub(crate) data: Vec<u8>,
    pub(crate) torrent: TorrentFile,
    pub(crate) folder: TempDir,
}

impl Film {
    pub(crate) fn new(length: u64, piece_length: u32) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let mut data: Vec<u8> = words.take(length.div_ceil(8) as usize).flatten().collect();
        data.truncate(length as usize);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), &data).unwrap();
        let builder = Builder::single_file(NAME, length, piece_length).unwrap();
        let hashes = afflux_storage::hash_files(builder.layout(), folder.path(), 1, &|_, _| {}).unwrap();
        let torrent = TorrentFile::parse(&builder.build(&hashes).unwrap()).unwrap();
        Self { data, torrent, folder }
    }

    pub(crate) fn source(&self) -> Source {
        Source::Torrent(Box::new(self.torrent.clone()))
    }

    /// An engine that has all of it.
    pub(crate) async fn seeder(&self, upload_limit: Option<u64>) -> House {
        let house = House::with(|config| config.swarm.upload_limit = upload_limit).await;
        let kind = Kind::Disk { dir: self.folder.path().to_path_buf() };
        let torrent = house.engine.add(&self.source(), options(kind, true)).unwrap();
        wait_for(&torrent, |status| status.state == State::Seeding).await;
        house
    }

    pub(crate) fn assert_file(&self, folder: &Path) {
        assert!(std::fs::read(folder.join(NAME)).unwrap() == self.data, "the file differs");
    }

    pub(crate) fn length(&self) -> u64 {
        self.data.len() as u64
    }
}

/// An engine and its state.
pub(crate) struct House {
    pub(crate) engine: Engine,
    pub(crate) state: Arc<TempDir>,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::at(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// Starts again where another engine ended.
    pub(crate) async fn at(state: Arc<TempDir>, change: impl FnOnce(&mut EngineConfig)) -> Self {
        let swarm = SwarmOptions {
            bind: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            peer_port: Some(0),
            no_dht: true,
            allow_local_addresses: true,
            ..Default::default()
        };
        let mut config = EngineConfig {
            swarm: swarm.settle(SwarmOptions::default()).unwrap(),
            tuning: TuningOptions::default().settle(TuningOptions::default()),
            data_dir: state.path().to_path_buf(),
        };
        change(&mut config);
        Self { engine: Engine::start(config).await.unwrap(), state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.engine.port()).into()
    }

    /// Fetches to `folder`.
    pub(crate) async fn fetch(&self, source: &Source, folder: &Path, peers: &[SocketAddr]) -> Torrent {
        let kind = Kind::Disk { dir: folder.to_path_buf() };
        let torrent = self.engine.add(source, options(kind, false)).unwrap();
        torrent.add_peers(peers.to_vec()).await;
        torrent
    }
}

pub(crate) fn options(kind: Kind, read_only: bool) -> AddOptions {
    AddOptions { read_only, ..AddOptions::new(kind) }
}

/// Waits until a look at the torrent satisfies.
pub(crate) async fn wait_for(torrent: &Torrent, satisfies: impl Fn(&Status) -> bool) -> Status {
    let mut seen = torrent.watch();
    let wait = async {
        loop {
            let status = seen.borrow_and_update().clone();
            if satisfies(&status) {
                return status;
            }
            seen.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(status) => status,
        Err(_) => panic!("waited in vain: {:?}", torrent.status()),
    }
}

pub(crate) async fn wait_complete(torrent: &Torrent) -> Status {
    wait_for(torrent, |status| status.state == State::Seeding).await
}

pub(crate) async fn ready(torrent: &Torrent) -> Arc<Ready> {
    tokio::time::timeout(PATIENCE, torrent.wait_ready()).await.unwrap().unwrap()
}
