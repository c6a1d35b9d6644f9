//! Downloads that go well: several seeders, a magnet, stop and go on, rates.

use std::time::{Duration, Instant};

use afflux::engine::State;
use afflux::source::Source;
use afflux_metainfo::magnet::Magnet;
use afflux_storage::Resume;

use super::house::{Film, House, MIB, wait_complete, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_film_comes_from_three_seeders_and_each_helps() {
    let film = Film::new(12 * MIB + 12_345, 128 * 1024);
    let mut seeders = Vec::new();
    for _ in 0..3 {
        seeders.push(film.seeder(Some(4 * MIB)).await);
    }
    let addresses: Vec<_> = seeders.iter().map(House::address).collect();
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &addresses).await;
    let status = wait_complete(&torrent).await;
    assert!(status.totals.payload_received >= film.length());
    house.engine.shutdown().await;
    film.assert_file(folder.path());
    for seeder in &seeders {
        let served = seeder.engine.torrents()[0].status().totals.payload_sent;
        assert!(served > MIB, "a seeder sent {served} bytes only");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_magnet_gets_its_metadata_from_a_peer_and_is_remembered() {
    let film = Film::new(3 * MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let magnet = Source::Magnet(Box::new(Magnet::new(film.source().hashes())));
    let torrent = house.fetch(&magnet, folder.path(), &[seeder.address()]).await;
    wait_complete(&torrent).await;
    house.engine.shutdown().await;
    film.assert_file(folder.path());
    // Nobody has to be asked for it again.
    let again = House::at(house.state.clone(), |_| {}).await;
    let torrent = again.fetch(&magnet, folder.path(), &[]).await;
    assert_eq!(wait_complete(&torrent).await.totals.payload_received, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_download_goes_on_where_it_was() {
    let film = Film::new(8 * MIB, 64 * 1024);
    let slow = film.seeder(Some(2 * MIB)).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &[slow.address()]).await;
    wait_for(&torrent, |status| status.fraction() > 0.3).await;
    house.engine.shutdown().await;
    let had = torrent.status().progress.bytes_have;
    assert!(had < film.length(), "it was stopped in the middle");

    let again = House::at(house.state.clone(), |_| {}).await;
    let torrent = again.fetch(&film.source(), folder.path(), &[]).await;
    super::house::ready(&torrent).await;
    let status = wait_for(&torrent, |status| status.progress.bytes_have > 0).await;
    assert!(status.progress.bytes_have >= had, "{} of {had} bytes are known", status.progress.bytes_have);
    assert_eq!(status.checked, None, "after a clean end nothing is checked");
    torrent.add_peers(vec![slow.address()]).await;
    let status = wait_complete(&torrent).await;
    let fetched = status.totals.payload_received;
    assert!(fetched + had <= film.length() + MIB, "{fetched} bytes were fetched beside {had}");
    again.engine.shutdown().await;
    film.assert_file(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_on_disk_are_found_and_only_they_are_fetched() {
    let film = Film::new(4 * MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spoilt = film.data.clone();
    spoilt[1_000_000] ^= 1;
    spoilt[3_000_000] ^= 1;
    std::fs::write(folder.path().join(super::house::NAME), &spoilt).unwrap();
    let house = House::new().await;
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    // The last piece may be verified before its link has counted it.
    let status = wait_for(&torrent, |status| {
        status.state == State::Seeding && status.totals.payload_received >= 2 * 64 * 1024
    })
    .await;
    assert!(status.totals.payload_received <= 4 * 64 * 1024, "{}", status.totals.payload_received);
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_limit_holds_over_several_seconds() {
    const LIMIT: u64 = MIB;
    let film = Film::new(8 * MIB, 64 * 1024);
    let seeder = film.seeder(Some(LIMIT)).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    // The first second may hold a burst.
    let first = wait_for(&torrent, |status| status.totals.payload_received > MIB).await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = first.totals.payload_received;
    let last = wait_for(&torrent, |status| status.totals.payload_received > before).await;
    let (bytes, time) = (last.totals.payload_received - before, began.elapsed());
    let rate = bytes as f64 / time.as_secs_f64();
    assert!(rate < 1.15 * LIMIT as f64, "{rate} bytes/s pass a limit of {LIMIT}");
    assert!(rate > 0.6 * LIMIT as f64, "only {rate} bytes/s pass a limit of {LIMIT}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_limit_holds_over_several_seconds() {
    const LIMIT: u64 = MIB;
    let film = Film::new(8 * MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    let house = House::with(|config| config.swarm.download_limit = Some(LIMIT)).await;
    let folder = tempfile::tempdir().unwrap();
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    let first = wait_for(&torrent, |status| status.totals.payload_received > MIB).await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let bytes = torrent.status().totals.payload_received - first.totals.payload_received;
    let rate = bytes as f64 / began.elapsed().as_secs_f64();
    assert!(rate < 1.25 * LIMIT as f64 && rate > 0.5 * LIMIT as f64, "{rate} bytes/s");
}

/// A disk that forgot what it had promised to keep: lengths and times are right, and half of the bytes are zeros.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_spots_find_what_no_time_tells_and_then_all_of_the_file_is_checked() {
    let film = Film::new(8 * MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    wait_complete(&torrent).await;
    house.engine.shutdown().await;
    let state = house.state.path().join("resume");
    let mut resume = Resume::load(&state, torrent.info_hash()).unwrap().unwrap();
    assert!(resume.clean && resume.have.is_full());
    resume.clean = false;
    resume.save(&state).unwrap();
    let path = folder.path().join(super::house::NAME);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    for piece in (0..128).step_by(2) {
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; 64 * 1024], piece * 64 * 1024).unwrap();
    }
    file.set_modified(modified).unwrap();

    let again = House::at(house.state.clone(), |_| {}).await;
    let torrent = again.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    // Sixteen spots miss half of the pieces once in 65,536 runs.
    let status = wait_for(&torrent, |status| {
        status.state == State::Seeding && status.totals.payload_received >= 4 * MIB
    })
    .await;
    assert!(status.totals.payload_received <= 5 * MIB, "{}", status.totals.payload_received);
    again.engine.shutdown().await;
    film.assert_file(folder.path());
}
