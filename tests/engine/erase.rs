//! Letting go of files, and runs of one torrent that follow each other.

use afflux::engine::AddOptions;
use afflux_storage::Kind;

use super::house::{Film, House, MIB, options, ready, wait_complete, wait_for};

const PIECE: u32 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_in_memory_goes_on_in_files_and_its_readers_can_be_told_where() {
    let film = Film::new(2 * MIB, PIECE);
    let seeder = film.seeder(None).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let before = house.engine.add(&film.source(), options(Kind::Memory, false)).unwrap();
    ready(&before).await;
    before.add_peers(vec![seeder.address()]).await;
    wait_for(&before, |status| status.snapshot.connected == 1).await;
    let kind = Kind::Disk { dir: folder.path().to_path_buf() };
    let (after, old) = house.engine.replace(&film.source(), AddOptions::new(kind)).unwrap();
    assert!(!after.is(&before) && house.engine.get(after.info_hash()).unwrap().is(&after));
    assert!(before.stalls(None).await.is_ok(), "the old run goes on until it is let go");
    old.unwrap().hand_over(&after).await;
    assert!(before.stalls(None).await.is_err());
    wait_complete(&after).await;
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_can_be_removed_once_the_torrent_has_ended() {
    let film = Film::new(2 * MIB, PIECE);
    let seeder = film.seeder(None).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let dir = folder.path().to_path_buf();
    let torrent = house.fetch(&film.source(), &dir, &[seeder.address()]).await;
    wait_complete(&torrent).await;
    let hash = torrent.info_hash();
    assert!(house.engine.erase(hash, dir.clone()).await.is_err(), "it runs");
    // Nobody waits for its end here; erasing does.
    house.engine.retire(hash);
    let remembered_by_then = house.engine.erase(hash, dir.clone()).await.unwrap();
    assert_eq!(remembered_by_then, 1);
    assert!(std::fs::read_dir(&dir).unwrap().next().is_none());
    assert!(house.engine.remembered(hash).is_none());
    assert_eq!(house.engine.erase(hash, dir).await.unwrap(), 0, "nothing is left");
    house.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_known_also_where_the_memory_is_too_small_for_the_torrent() {
    let film = Film::new(8 * MIB, 4 * MIB as u32);
    let seeder = film.seeder(None).await;
    let house = House::with(|config| config.tuning.cache_bytes = 4 * MIB).await;
    let link = format!("magnet:?xt=urn:btih:{}", film.torrent.info.hashes.wire());
    let source = afflux::source::Source::local(&link).unwrap();
    let torrent = house.engine.add(&source, options(Kind::Memory, false)).unwrap();
    assert!(torrent.info().is_none());
    torrent.add_peers(vec![seeder.address()]).await;
    wait_for(&torrent, |status| status.error.is_some()).await;
    assert_eq!(torrent.info().unwrap().layout.total_length(), film.length());
    house.engine.shutdown().await;
}
