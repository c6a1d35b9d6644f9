//! Films that are far larger than the memory they may use, on each kind of storage.

use std::future::poll_fn;

use afflux::engine::TorrentMedia;
use afflux_metainfo::FileIndex;
use afflux_storage::Kind;
use afflux_stream::Media;
use afflux_stream::library::Reader;
use afflux_stream::window::Window;

use afflux::engine::Torrent;
use tempfile::TempDir;

use super::house::{Film, House, MIB, PATIENCE, options, ready, wait_for};

const AHEAD: u64 = 2 * MIB;

/// Reads a range as a body does, telling its window on the way.
async fn read(media: &TorrentMedia, start: u64, end: u64) -> Vec<u8> {
    let length = media.facts().length;
    let mut reader: Box<dyn Reader> = media.reader(start..end);
    let mut bytes = Vec::with_capacity((end - start) as usize);
    let mut at = start;
    while at < end {
        let window = Window {
            position: at,
            urgent_end: (at + AHEAD / 4).min(length),
            soon_end: (at + AHEAD / 2).min(length),
            end: (at + AHEAD).min(length),
            rate: MIB,
            waiting: true,
            probe: false,
        };
        reader.set_window(window);
        let run = poll_fn(|cx| reader.poll_read(cx, at, (end - at) as usize));
        let run = tokio::time::timeout(PATIENCE, run).await.expect("the bytes come").unwrap();
        bytes.extend_from_slice(&run);
        at += run.len() as u64;
    }
    bytes
}

/// Where a film may go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Memory,
    Disk,
    Cache,
}

/// An engine with little memory (and a disk cache of twice as much) beside a seeder.
struct Theatre {
    film: Film,
    house: House,
    torrent: Torrent,
    media: TorrentMedia,
    _seeder: House,
    _folder: TempDir,
}

impl Theatre {
    async fn open(kind: Where, memory: u64, film: Film) -> Self {
        let seeder = film.seeder(None).await;
        let house = House::with(|config| {
            config.tuning.cache_bytes = memory;
            config.tuning.disk_cache_bytes = Some(2 * memory);
        });
        let house = house.await;
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_path_buf();
        let kind = match kind {
            Where::Memory => Kind::Memory,
            Where::Disk => Kind::Disk { dir },
            Where::Cache => house.engine.cache_in(dir),
        };
        let torrent = house.engine.add(&film.source(), options(kind, false)).unwrap();
        torrent.add_peers(vec![seeder.address()]).await;
        let media = TorrentMedia::open(&torrent, &ready(&torrent).await, FileIndex(0)).unwrap();
        Self { film, house, torrent, media, _seeder: seeder, _folder: folder }
    }

    async fn assert_reads(&self, start: u64, end: u64) {
        let bytes = read(&self.media, start, end.min(self.film.length())).await;
        assert!(bytes == self.film.data[start as usize..start as usize + bytes.len()], "from {start} on");
    }

    /// Forwards, backwards, and several readers at once.
    async fn play(&self) {
        let length = self.film.length();
        self.assert_reads(0, length).await;
        for at in (0..length / (3 * MIB)).rev().map(|nth| nth * 3 * MIB) {
            self.assert_reads(at, at + MIB).await;
        }
        let quarter = length / 4;
        tokio::join!(
            self.assert_reads(0, quarter),
            self.assert_reads(quarter, 2 * quarter),
            self.assert_reads(2 * quarter, 3 * quarter),
            self.assert_reads(3 * quarter, length),
        );
    }

    async fn end(self) {
        for ledger in [self.house.engine.ledger(), self.house.engine.places()] {
            assert!(ledger.peak() <= ledger.limit(), "{ledger:?}");
        }
        // Nobody is to blame for what we gave up, as the next status will say.
        wait_for(&self.torrent, |status| status.snapshot.connected == 1).await;
        self.house.engine.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_of_ten_times_the_memory_is_read_to_its_end_and_back() {
    const LIMIT: u64 = 4 * MIB;
    for kind in [Where::Memory, Where::Disk, Where::Cache] {
        let theatre = Theatre::open(kind, LIMIT, Film::new(10 * LIMIT, 256 * 1024)).await;
        theatre.play().await;
        theatre.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_as_large_as_the_memory_play_from_disk_and_from_the_cache() {
    const LIMIT: u64 = 4 * MIB;
    for kind in [Where::Disk, Where::Cache] {
        let theatre = Theatre::open(kind, LIMIT, Film::new(6 * LIMIT + 5, LIMIT as u32)).await;
        theatre.play().await;
        theatre.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_whose_pieces_are_too_large_for_the_memory_goes_to_the_disk_cache_if_there_is_one() {
    const LIMIT: u64 = 4 * MIB;
    let theatre = Theatre::open(Where::Memory, LIMIT, Film::new(4 * LIMIT, LIMIT as u32)).await;
    theatre.play().await;
    assert!(theatre.house.engine.places().peak() > 0);
    theatre.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_films_share_the_memory_and_both_are_read_to_their_ends() {
    const LIMIT: u64 = 6 * MIB;
    let films = [Film::new(3 * LIMIT, 256 * 1024), Film::new(3 * LIMIT + 7, 512 * 1024)];
    let house = House::with(|config| config.tuning.cache_bytes = LIMIT).await;
    let (mut seeders, mut media) = (Vec::new(), Vec::new());
    for film in &films {
        let seeder = film.seeder(None).await;
        let torrent = house.engine.add(&film.source(), options(Kind::Memory, false)).unwrap();
        torrent.add_peers(vec![seeder.address()]).await;
        media.push(TorrentMedia::open(&torrent, &ready(&torrent).await, FileIndex(0)).unwrap());
        seeders.push(seeder);
    }
    let (first, second) =
        tokio::join!(read(&media[0], 0, films[0].length()), read(&media[1], 0, films[1].length()));
    assert!(first == films[0].data && second == films[1].data);
    assert!(house.engine.ledger().peak() as u64 <= LIMIT);
    house.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_whose_pieces_do_not_fit_is_refused_with_the_setting_to_change() {
    let film = Film::new(8 * MIB, 4 * MIB as u32);
    let house = House::with(|config| config.tuning.cache_bytes = 4 * MIB).await;
    let failure = house.engine.add(&film.source(), options(Kind::Memory, false)).unwrap_err();
    assert!(failure.to_string().contains("STREAM_CACHE_SIZE"), "{failure}");
}
