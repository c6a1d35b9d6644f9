//! Downloads come back after the daemon was started again.

use afflux::service::DownloadState;

use super::daemon::{Home, PIECE, Shared, no_seeding, user, wish};
use super::house::{Film, House, MIB, wait_complete};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_going_on_goes_on_and_what_was_paused_stays_paused() {
    let films = [Film::new(8 * MIB, PIECE), Film::new(4 * MIB, PIECE)];
    let seeders = [films[0].seeder(Some(4 * MIB)).await, films[1].seeder(Some(2 * MIB)).await];
    let mut home = Home::new(&[&seeders[0], &seeders[1]]);
    let (daemon, anna) = (home.start().await, user("anna"));
    daemon.service.add_download(&anna, films[0].file(), wish()).await.unwrap();
    daemon.service.add_download(&anna, films[1].magnet(), wish()).await.unwrap();
    for film in &films {
        daemon.wait(&anna, film.hash(), "a beginning", |status| status.progress > 0.1).await;
    }
    let paused = daemon.service.pause_download(&anna, films[1].hash()).await.unwrap();
    daemon.end().await;

    let daemon = home.start().await;
    daemon.wait_state(&anna, films[0].hash(), DownloadState::Seeding).await;
    films[0].assert_file(home.folder.path());
    let status = daemon.service.download(&anna, films[1].hash()).await.unwrap();
    assert_eq!((status.state, status.name, status.added_at), (paused.state, paused.name, paused.added_at));
    assert!(status.progress >= paused.progress && !daemon.runs(films[1].hash()));

    // Its metadata is known by now: nobody has to give it.
    daemon.end().await;
    home.peers.clear();
    let daemon = home.start().await;
    daemon.service.resume_download(&anna, films[1].hash()).await.unwrap();
    daemon.wait_state(&anna, films[1].hash(), DownloadState::Downloading).await;
    let torrent = daemon.engine.get(films[1].hash().wire()).unwrap();
    torrent.add_peers(vec![seeders[1].address()]).await;
    daemon.wait_state(&anna, films[1].hash(), DownloadState::Seeding).await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_to_others_is_remembered_and_what_is_over_stays_over() {
    let film = Film::new(2 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(None).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    let long = afflux::service::DownloadChanges { seed_ratio: Some(Some(9.0)), ..Default::default() };
    daemon.change(&anna, film.hash(), long).await;
    let (leecher, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let address = ([127, 0, 0, 1], daemon.engine.port()).into();
    wait_complete(&leecher.fetch(&film.source(), folder.path(), &[address]).await).await;
    leecher.engine.shutdown().await;
    daemon.wait(&anna, film.hash(), "a ratio", |status| status.ratio >= 1.0).await;
    daemon.end().await;

    let daemon = home.start().await;
    let status = daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    assert!(status.ratio >= 1.0 && status.finished_at.is_some(), "{status:?}");
    daemon.change(&anna, film.hash(), no_seeding()).await;
    daemon.wait_state(&anna, film.hash(), DownloadState::Complete).await;
    daemon.end().await;
    let daemon = home.start().await;
    daemon.wait_state(&anna, film.hash(), DownloadState::Complete).await;
    assert!(!daemon.runs(film.hash()));
    // Its files were lost meanwhile: that is found out when they are needed.
    daemon.end().await;
}
