//! Rates: they hold, they share, they change while bytes flow.

use std::time::{Duration, Instant};

use afflux::engine::Torrent;
use afflux_swarm::shaper::{BURST_TIME, Limits, Need};
use tempfile::TempDir;

use crate::house::{Film, House, MIB, wait_complete, wait_for};

const KIB: u64 = 1024;
const TEN_SECONDS: Duration = Duration::from_secs(10);

fn download(rate: u64) -> Limits {
    Limits { download: Some(rate), upload: None }
}

fn upload(rate: u64) -> Limits {
    Limits { download: None, upload: Some(rate) }
}

/// All that has come or left, overhead and all.
fn received_bytes(torrent: &Torrent) -> u64 {
    let totals = torrent.status().totals;
    totals.payload_received + totals.control_received
}

fn sent_bytes(torrent: &Torrent) -> u64 {
    let totals = torrent.status().totals;
    totals.payload_sent + totals.control_sent
}

/// Lets time pass. What is read afterwards is a little older than the time is: an upper bound stays one.
async fn pass(time: Duration) -> Duration {
    let since = Instant::now();
    tokio::time::sleep(time).await;
    since.elapsed()
}

/// `bytes` came in `elapsed` at no more than `rate`. Bytes that were read while the limit was already there but the clock
/// wasn't running yet are at most a burst. How much less it may be is the shaper's own tests' to say, in virtual time; here
/// less than half would be a link that hangs, and more than that is the machine's affair.
fn assert_held(bytes: u64, rate: u64, elapsed: Duration) {
    let due = rate as f64 * elapsed.as_secs_f64();
    let burst = rate as f64 * BURST_TIME.as_secs_f64();
    assert!(bytes as f64 <= due * 1.03 + burst, "{bytes} bytes in {elapsed:?} are more than {rate} a second");
    assert!(
        bytes as f64 >= due * 0.5 - burst,
        "{bytes} bytes in {elapsed:?} are far less than {rate} a second"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_limit_holds_over_ten_seconds_and_ends_when_it_is_lifted() {
    let film = Film::new(24 * MIB, 256 * 1024);
    let (seeder, house) = (film.seeder(None).await, House::new().await);
    let rate = MIB;
    house.engine.set_limits(download(rate));
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    pass(TEN_SECONDS).await;
    let bytes = received_bytes(&torrent);
    assert_held(bytes, rate, begun.elapsed());
    house.engine.set_limits(Limits::default());
    wait_complete(&torrent).await;
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_limit_holds_over_ten_seconds_however_many_ask() {
    let film = Film::new(16 * MIB, 256 * 1024);
    let seeder = film.seeder(None).await;
    let rate = 512 * KIB;
    seeder.engine.set_limits(upload(rate));
    let begun = Instant::now();
    let mut leechers: Vec<(House, TempDir)> = Vec::new();
    for _ in 0..3 {
        let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
        house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
        leechers.push((house, folder));
    }
    pass(TEN_SECONDS).await;
    let bytes = sent_bytes(&seeder.engine.get(film.source().hashes().wire()).unwrap());
    // Whole blocks are sent on credit: one for each peer that is served.
    assert_held(bytes.saturating_sub(3 * 16 * KIB), rate, begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_would_last_for_hours_ends_with_its_limit_on_any_level() {
    let film = Film::new(4 * MIB, 256 * 1024);
    let seeder = film.seeder(None).await;
    for level in 0..3 {
        let house = House::new().await;
        let folder = tempfile::tempdir().unwrap();
        let user = house.engine.add_user(Limits::default());
        let torrent = house.fetch(&film.source(), folder.path(), &[]).await;
        torrent.set_shares(&[(user.key(), Need::Soon)]);
        let set = |limits| match level {
            0 => house.engine.set_limits(limits),
            1 => user.set_limits(limits),
            _ => torrent.set_limits(limits),
        };
        set(download(KIB));
        torrent.add_peers(vec![seeder.address()]).await;
        wait_for(&torrent, |status| status.totals.payload_received > 0).await;
        // At this rate the next block is a quarter of a minute away, and the film an hour.
        set(Limits::default());
        wait_complete(&torrent).await;
        house.engine.shutdown().await;
        film.assert_file(folder.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tight_upload_limit_slows_no_download() {
    let film = Film::new(24 * MIB, 256 * 1024);
    let seeder = film.seeder(None).await;
    let mut came = Vec::new();
    for limit in [None, Some(10 * KIB)] {
        let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
        // The download's own limit makes the two comparable on any machine.
        house.engine.set_limits(Limits { download: Some(2 * MIB), upload: limit });
        let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
        // Somebody who has use for all that it would upload.
        let (leecher, leechers_folder) = (House::new().await, tempfile::tempdir().unwrap());
        leecher.fetch(&film.source(), leechers_folder.path(), &[house.address()]).await;
        let elapsed = pass(Duration::from_secs(5)).await;
        came.push(received_bytes(&torrent) as f64 / elapsed.as_secs_f64());
    }
    // A download whose requests wait behind uploads gets a tenth; a busy machine explains less than a half.
    assert!(came[1] >= 0.5 * came[0], "{came:?} bytes a second, without and with an upload limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_share_evenly_though_one_has_four_torrents() {
    let films: Vec<Film> = (0..5).map(|nth| Film::new(12 * MIB + nth, 256 * 1024)).collect();
    let house = House::new().await;
    house.engine.set_limits(download(MIB));
    let users = [house.engine.add_user(Limits::default()), house.engine.add_user(Limits::default())];
    let (mut seeders, mut folders, mut torrents) = (Vec::new(), Vec::new(), Vec::new());
    for (nth, film) in films.iter().enumerate() {
        let (seeder, folder) = (film.seeder(None).await, tempfile::tempdir().unwrap());
        let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
        torrent.set_shares(&[(users[usize::from(nth > 0)].key(), Need::Soon)]);
        seeders.push(seeder);
        folders.push(folder);
        torrents.push(torrent);
    }
    for torrent in &torrents {
        wait_for(torrent, |status| status.totals.payload_received > 0).await;
    }
    let before: Vec<u64> = torrents.iter().map(received_bytes).collect();
    pass(Duration::from_secs(8)).await;
    let came: Vec<u64> =
        torrents.iter().zip(before).map(|(torrent, before)| received_bytes(torrent) - before).collect();
    let part = came[0] as f64 / came.iter().sum::<u64>() as f64;
    // By torrents or by peers it would be a fifth.
    assert!((0.4..=0.6).contains(&part), "the user of one torrent got {part} of {came:?}");
}
