//! A film that is far larger than the memory it may use.

use std::future::poll_fn;

use afflux::engine::TorrentMedia;
use afflux_metainfo::FileIndex;
use afflux_storage::Kind;
use afflux_stream::Media;
use afflux_stream::library::Reader;
use afflux_stream::window::Window;

use super::house::{Film, House, MIB, PATIENCE, options, ready};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_film_of_ten_times_the_memory_is_read_to_its_end_and_back() {
    const LIMIT: u64 = 4 * MIB;
    let film = Film::new(10 * LIMIT, 256 * 1024);
    let seeder = film.seeder(None).await;
    let house = House::with(|config| config.tuning.cache_bytes = LIMIT).await;
    let torrent = house.engine.add(&film.source(), options(Kind::Memory, false)).unwrap();
    torrent.add_peers(vec![seeder.address()]).await;
    let media = TorrentMedia::open(&torrent, &ready(&torrent).await, FileIndex(0)).unwrap();
    let same = |at: u64, bytes: Vec<u8>| bytes == film.data[at as usize..at as usize + bytes.len()];
    assert!(same(0, read(&media, 0, film.length()).await), "forwards");
    for at in (0..film.length() / (3 * MIB)).rev().map(|nth| nth * 3 * MIB) {
        assert!(same(at, read(&media, at, (at + MIB).min(film.length())).await), "back at {at}");
    }
    let ledger = house.engine.ledger();
    assert!(ledger.peak() as u64 <= LIMIT, "{} of {LIMIT} bytes", ledger.peak());
    house.engine.shutdown().await;
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
