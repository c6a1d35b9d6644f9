//! The scenario on the wire: engines that seed, a slow link before each, and an engine that fetches through them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux::engine::torrent::Ready;
use afflux::engine::{Torrent, TorrentMedia};
use afflux_metainfo::{FileIndex, PieceIndex};
use afflux_shim::{Config, Link};
use afflux_storage::Kind;
use afflux_stream::body::{BoxError, MediaBody, ResponseBody, Segment};
use afflux_stream::library::Media;
use afflux_stream::window::WindowConfig;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::house::{Film, House, PATIENCE, options, ready};
use super::{
    DELAY, DOWNLOAD_BYTES, FILM_RATE, PIECE_LENGTH, REQUEST_RATE, SEEK_AFTER, START_BUFFER, TRADE_LIMIT,
    TRADE_SEED_LIMIT, TRADERS, Viewing, median, seek_position,
};

/// What waits before a seed's line.
const QUEUE_BYTES: u64 = 16 * 1024;

/// How often it is looked whether all is there.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Seeds of one film behind their links.
pub(crate) struct Swarm {
    film: Film,
    /// Each with what its link carries per second.
    seeders: Vec<(House, u64)>,
}

/// One who fetches from them, fresh in each run.
struct Leecher {
    house: House,
    torrent: Torrent,
    links: Vec<Link>,
    folder: tempfile::TempDir,
}

impl Swarm {
    pub(crate) async fn start(bytes: u64, rates: &[u64]) -> Self {
        let film = Film::new(bytes, PIECE_LENGTH as u32);
        let mut seeders = Vec::new();
        for &rate in rates {
            seeders.push((film.seeder(None).await, rate));
        }
        Self { film, seeders }
    }

    /// Seconds that a download takes.
    pub(crate) async fn download(&self) -> f64 {
        let leecher = self.leecher().await;
        let ready = ready(&leecher.torrent).await;
        let began = leecher.begin().await;
        whole(&ready).await;
        let took = began.elapsed().as_secs_f64();
        leecher.end().await;
        took
    }

    /// What a viewer waits for.
    pub(crate) async fn viewing(&self) -> Viewing {
        let leecher = self.leecher().await;
        let media =
            TorrentMedia::open(&leecher.torrent, &ready(&leecher.torrent).await, FileIndex(0)).unwrap();
        let media: Arc<dyn Media> = Arc::new(media);
        let mut response = self.open(&media, 0);
        let began = leecher.begin().await;
        let (first_byte, start_up) = response.waits(began).await;
        // It plays, and reads on.
        let _ = timeout(SEEK_AFTER, response.read(u64::MAX)).await;
        let jumped = Instant::now();
        drop(response);
        let mut response = self.open(&media, seek_position());
        let (seek_first_byte, seek) = response.waits(jumped).await;
        drop(response);
        leecher.end().await;
        Viewing { first_byte, start_up, seek_first_byte, seek }
    }

    async fn leecher(&self) -> Leecher {
        let links = self.seeders.iter().zip(2..).map(|((seeder, rate), host)| {
            let config = Config {
                listen: IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)),
                delay: DELAY,
                rate_up: Some(REQUEST_RATE),
                rate_down: Some(*rate),
                queue_bytes: QUEUE_BYTES,
                ..Config::new(seeder.address())
            };
            Link::start(config).unwrap()
        });
        let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
        let kind = Kind::Disk { dir: folder.path().to_path_buf() };
        let torrent = house.engine.add(&self.film.source(), options(kind, false)).unwrap();
        Leecher { links: links.collect(), house, torrent, folder }
    }

    /// A response's body from this byte on.
    fn open(&self, media: &Arc<dyn Media>, position: u64) -> Response {
        let rest = vec![Segment::File(position..self.film.length())];
        let body = MediaBody::new(Arc::clone(media), rest, WindowConfig::default());
        Response { body: body.map_err(BoxError::from).boxed_unsync(), came: 0 }
    }
}

impl Leecher {
    /// Tells it of the seeds; when that was.
    async fn begin(&self) -> Instant {
        let seeds: Vec<SocketAddr> = self.links.iter().map(|link| link.addr).collect();
        let began = Instant::now();
        self.torrent.add_peers(seeds).await;
        began
    }

    async fn end(self) {
        self.house.engine.shutdown().await;
        drop(self.links);
        drop(self.folder);
    }
}

/// Seconds until those who trade with each other have it all, in the middle of them.
pub(crate) async fn trade() -> f64 {
    let film = Film::new(DOWNLOAD_BYTES, PIECE_LENGTH as u32);
    let seeder = film.seeder(Some(TRADE_SEED_LIMIT)).await;
    let mut traders = Vec::new();
    let mut addresses = vec![seeder.address()];
    for nth in 0..TRADERS {
        // Networks of their own: BEP 6 has those of one network begin with the same pieces, and then none has what another
        // lacks.
        let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 1 + nth as u8, 1));
        let house = House::with(|config| {
            config.swarm.upload_limit = Some(TRADE_LIMIT);
            config.swarm.bind = Some(ip);
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let torrent = house.fetch(&film.source(), folder.path(), &[]).await;
        let ready = ready(&torrent).await;
        addresses.push(SocketAddr::new(ip, house.engine.port()));
        traders.push((house, torrent, ready, folder));
    }
    let began = Instant::now();
    let mut waiting = Vec::new();
    for (nth, (_, torrent, ready, _)) in traders.iter().enumerate() {
        // Those who came before, as a tracker would say.
        torrent.add_peers(addresses[..=nth].to_vec()).await;
        let ready = Arc::clone(ready);
        waiting.push(tokio::spawn(async move {
            whole(&ready).await;
            began.elapsed().as_secs_f64()
        }));
    }
    let mut took = Vec::new();
    for wait in waiting {
        took.push(wait.await.unwrap());
    }
    for (house, ..) in &traders {
        house.engine.shutdown().await;
    }
    median(took)
}

/// Waits until all pieces are there.
async fn whole(ready: &Ready) {
    let all = || (0..ready.layout.piece_count()).all(|piece| ready.store.have(PieceIndex(piece)));
    let wait = async {
        while !all() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it ends");
}

/// A response's body, and how much of it came.
struct Response {
    body: ResponseBody,
    came: u64,
}

impl Response {
    /// Seconds since then to the first byte, and to what a player begins with.
    async fn waits(&mut self, since: Instant) -> (f64, f64) {
        self.read(1).await;
        let first_byte = since.elapsed().as_secs_f64();
        self.read(FILM_RATE * START_BUFFER.as_secs()).await;
        (first_byte, since.elapsed().as_secs_f64())
    }

    /// Reads until so many bytes came in all.
    async fn read(&mut self, bytes: u64) {
        while self.came < bytes {
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("bytes come");
            self.came += frame.unwrap().unwrap().into_data().map_or(0, |data| data.len() as u64);
        }
    }
}
