//! Streams of what is kept, and keeping what is streamed.

use afflux::service::{DownloadState, DownloadWish, Dropping, StreamStorage};
use afflux_swarm::StrategyName;

use super::daemon::{Home, PIECE, Reading, Shared, user, wish};
use super::house::{Film, MIB, NAME};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_from_memory_goes_on_from_disk_when_its_torrent_is_kept() {
    let film = Film::new(8 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(Some(4 * MIB)).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    daemon.service.parse_torrent(&anna, film.file(), false).await.unwrap();
    let media = daemon.open(&anna, film.hash(), 0).await;
    let mut reading = Reading::new(&*media);
    reading.read_to(MIB).await;
    let before = daemon.engine.get(film.hash().wire()).unwrap();
    assert!(before.is_streamed());
    daemon.service.add_download(&anna, film.magnet(), wish()).await.unwrap();
    assert!(reading.read_all().await == film.data);
    let after = daemon.engine.get(film.hash().wire()).unwrap();
    assert!(!after.is(&before) && !after.is_streamed());
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    film.assert_file(home.folder.path());
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_plays_while_it_comes_also_when_it_is_paused() {
    let film = Film::new(8 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(Some(8 * MIB)).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    // So slow that nothing would play; a stream isn't held up by that.
    let slow = DownloadWish { download_limit: Some(16 * 1024), ..wish() };
    daemon.service.add_download(&anna, film.file(), slow).await.unwrap();
    daemon.wait_state(&anna, film.hash(), DownloadState::Downloading).await;
    let media = daemon.open(&anna, film.hash(), 0).await;
    let mut reading = Reading::new(&*media);
    reading.read_to(MIB).await;
    daemon.service.pause_download(&anna, film.hash()).await.unwrap();
    reading.read_to(2 * MIB).await;
    assert_eq!(daemon.service.download(&anna, film.hash()).await.unwrap().state, DownloadState::Paused);
    daemon.service.resume_download(&anna, film.hash()).await.unwrap();
    assert!(reading.read_all().await == film.data);
    assert!(!daemon.engine.get(film.hash().wire()).unwrap().is_streamed());
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_on_disk_already_is_kept_where_it_is() {
    let film = Film::new(2 * MIB, PIECE);
    let mut home = Home::new(&[&film.seeder(None).await]);
    let folder = home.folder.path().to_path_buf();
    home.storage = Some(StreamStorage::Disk { folder, strategy: StrategyName::Deadline });
    let (daemon, anna) = (home.start().await, user("anna"));
    daemon.service.parse_torrent(&anna, film.file(), false).await.unwrap();
    let media = daemon.open(&anna, film.hash(), 0).await;
    assert!(Reading::new(&*media).read_all().await == film.data);
    let before = daemon.engine.get(film.hash().wire()).unwrap();
    daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    assert!(daemon.engine.get(film.hash().wire()).unwrap().is(&before), "nothing had to move");
    film.assert_file(&home.path(&film.hash().wire().to_string()));
    assert!(!home.path(NAME).exists());
    let delete = Dropping { delete_data: true, force: false };
    daemon.service.remove_download(&anna, film.hash(), delete).await.unwrap();
    assert_eq!(home.names(""), [""; 0], "its folder goes too");

    // What was only streamed is let go of in the same way.
    let media = daemon.open(&anna, film.hash(), 0).await;
    assert!(Reading::new(&*media).read_all().await == film.data);
    assert_eq!(home.names(""), [film.hash().wire().to_string()]);
    daemon.service.drop_torrent(&anna, film.hash(), delete).await.unwrap();
    assert_eq!(home.names(""), [""; 0]);
    daemon.end().await;
}
