//! Keeping torrents: by file and by link, some of their files, in order, with breaks, until they are seeded enough.

use std::time::Duration;

use afflux::service::events::Event;
use afflux::service::refusal::Code;
use afflux::service::{DownloadChanges, DownloadState, DownloadWish, Page, SourceInput};
use afflux_metainfo::PieceIndex;

use super::daemon::{Home, PIECE, Reading, Set, Shared, no_seeding, nobodys, user, wish};
use super::house::{Film, House, MIB, NAME, PATIENCE, wait_complete};

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_lies_where_people_look_for_it_and_plays_from_there_when_it_was_let_go() {
    let film = Film::new(2 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(None).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    let added = daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    assert_eq!((added.name.as_str(), added.progress, added.user), (NAME, 0.0, None));
    let status = daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    assert_eq!((status.progress, status.size), (1.0, Some(film.length())));
    assert!(status.finished_at.unwrap() >= status.added_at);
    daemon.change(&anna, film.hash(), no_seeding()).await;
    daemon.wait_state(&anna, film.hash(), DownloadState::Complete).await;
    daemon.wait(&anna, film.hash(), "its end", |_| !daemon.runs(film.hash())).await;
    film.assert_file(home.folder.path());
    assert_eq!(home.names(""), [NAME]);

    let media = daemon.open(&anna, film.hash(), 0).await;
    assert!(Reading::new(&*media).read_all().await == film.data);
    let status = daemon.engine.get(film.hash().wire()).unwrap().status();
    assert_eq!(status.totals.payload_received, 0, "all of it came from disk");
    assert_eq!(daemon.service.download(&anna, film.hash()).await.unwrap().state, DownloadState::Complete);
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_magnet_link_is_answered_at_once_and_its_metadata_comes_later() {
    let film = Film::new(2 * MIB, PIECE);
    let mut home = Home::new(&[]);
    home.torrent_timeout = Duration::from_millis(500);
    let (daemon, anna) = (home.start().await, user("anna"));
    let added = daemon.service.add_download(&anna, film.magnet(), wish()).await.unwrap();
    assert_eq!((added.size, added.progress), (None, 0.0));
    let status = daemon.wait(&anna, film.hash(), "trouble", |status| status.error.is_some()).await;
    assert_eq!(status.state, DownloadState::Metadata, "it goes on all the same");
    assert_eq!(status.error.unwrap().code, "no_metadata");
    assert_eq!(home.names(""), [""; 0], "nothing is on disk before it is known what");

    let seeder = film.seeder(None).await;
    daemon.engine.get(film.hash().wire()).unwrap().add_peers(vec![seeder.address()]).await;
    let status = daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    assert_eq!((status.name.as_str(), status.error), (NAME, None));
    film.assert_file(home.folder.path());
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_that_are_wanted_are_made_and_others_when_they_are() {
    let set = Set::new(&[100_000, 300_000, 100_000]);
    let home = Home::new(&[&set.seeder().await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    let wrong = DownloadWish { files: Some(vec![0, 3]), ..wish() };
    let refused = daemon.service.add_download(&anna, set.file(), wrong.clone()).await.unwrap_err();
    assert_eq!(refused.code, Code::NoFile);
    let some = DownloadWish { files: Some(vec![2, 0]), ..wish() };
    daemon.service.add_download(&anna, set.file(), some).await.unwrap();
    let status = daemon.wait_state(&anna, set.hash(), DownloadState::Seeding).await;
    assert_eq!((status.size, status.files), (Some(200_000), Some(vec![0, 2])));
    assert_eq!(home.names("set"), ["0", "2"]);

    let changes = DownloadChanges { files: Some(Some(vec![7])), ..Default::default() };
    let refused = daemon.service.change_download(&anna, set.hash(), changes).await.unwrap_err();
    assert_eq!(refused.code, Code::NoFile);
    let changes = DownloadChanges { files: Some(None), ..Default::default() };
    let status = daemon.change(&anna, set.hash(), changes).await;
    assert_eq!((status.finished_at, status.files), (None, None));
    let status = daemon.wait_state(&anna, set.hash(), DownloadState::Seeding).await;
    assert_eq!(status.size, Some(500_000));
    (0..3).for_each(|nth| set.assert_file(home.folder.path(), nth));

    // A link may name them (BEP 53).
    let (carl, dora) = (user("carl"), user("dora"));
    let link = |so: &str| SourceInput::Magnet(format!("magnet:?xt=urn:btih:{}&so={so}", set.hash().wire()));
    daemon.service.add_download(&carl, link("1"), wish()).await.unwrap();
    let status = daemon.wait_state(&carl, set.hash(), DownloadState::Seeding).await;
    assert_eq!((status.size, status.files), (Some(300_000), Some(vec![1])));
    daemon.service.add_download(&dora, link("5-9"), wish()).await.unwrap();
    let status = daemon.wait_state(&dora, set.hash(), DownloadState::Error).await;
    assert_eq!(status.error.unwrap().code, "no_such_file");

    // A link's files can't be checked before its metadata is there.
    let bert = user("bert");
    daemon.service.add_download(&bert, set.magnet(), wrong).await.unwrap();
    let status = daemon.wait_state(&bert, set.hash(), DownloadState::Error).await;
    assert_eq!(status.error.unwrap().code, "no_such_file");
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_come_in_order_if_that_is_wished_also_later() {
    let film = Film::new(8 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(Some(2 * MIB)).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    let slow = DownloadWish { download_limit: Some(MIB), ..wish() };
    daemon.service.add_download(&anna, film.file(), slow).await.unwrap();
    let status = daemon.wait(&anna, film.hash(), "a beginning", |status| status.progress > 0.1).await;
    assert_eq!(status.download_limit, Some(MIB));
    let sequential = DownloadChanges { sequential: Some(true), ..Default::default() };
    assert!(daemon.change(&anna, film.hash(), sequential).await.sequential);
    // By chance a quarter of the first half would be missing by then.
    daemon.wait(&anna, film.hash(), "most of it", |status| status.progress > 0.75).await;
    let have = daemon.engine.get(film.hash().wire()).unwrap().ready().unwrap().store.have_all();
    let gaps = (0..64).map(PieceIndex).filter(|&piece| !have.contains(piece)).count();
    assert!(gaps <= 4, "{gaps} of the first half's pieces are missing");
    let fast = DownloadChanges { download_limit: Some(Some(0)), ..Default::default() };
    assert_eq!(daemon.change(&anna, film.hash(), fast).await.download_limit, None);
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_download_rests_until_it_is_to_go_on() {
    let film = Film::new(4 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(Some(2 * MIB)).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    daemon.wait(&anna, film.hash(), "a beginning", |status| status.progress > 0.1).await;
    let paused = daemon.service.pause_download(&anna, film.hash()).await.unwrap();
    assert_eq!((paused.state, paused.download_rate), (DownloadState::Paused, 0));
    assert!(!daemon.runs(film.hash()));
    daemon.service.resume_download(&anna, film.hash()).await.unwrap();
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    film.assert_file(home.folder.path());
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seeding_ends_when_the_ratio_is_reached() {
    let film = Film::new(2 * MIB, PIECE);
    let seeder = film.seeder(None).await;
    let home = Home::new(&[&seeder]);
    let (daemon, anna) = (home.start().await, user("anna"));
    daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    let (leecher, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let address = ([127, 0, 0, 1], daemon.engine.port()).into();
    wait_complete(&leecher.fetch(&film.source(), folder.path(), &[address]).await).await;
    let status = daemon.wait_state(&anna, film.hash(), DownloadState::Complete).await;
    assert!(status.ratio >= 1.0 && status.uploaded >= film.length(), "{status:?}");
    // More is to be given.
    let more = DownloadChanges { seed_ratio: Some(Some(5.0)), ..Default::default() };
    daemon.change(&anna, film.hash(), more).await;
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    let timed = DownloadChanges { seed_time: Some(Some(1)), ..Default::default() };
    daemon.change(&anna, film.hash(), timed).await;
    daemon.wait_state(&anna, film.hash(), DownloadState::Complete).await;
    leecher.engine.shutdown().await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_of_a_user_run_at_once_and_lists_come_in_bounded_pages() {
    let home = Home::new(&[]);
    let (daemon, anna, bert) = (home.start().await, user("anna"), user("bert"));
    for seed in 0..23 {
        daemon.service.add_download(&anna, nobodys(seed).1, wish()).await.unwrap();
    }
    daemon.service.add_download(&bert, nobodys(30).1, wish()).await.unwrap();
    daemon.wait_state(&bert, nobodys(30).0, DownloadState::Metadata).await;
    let count = |state| {
        let all = daemon.service.downloads(&anna, &Page::default()).unwrap();
        all.iter().filter(|status| status.state == state).count()
    };
    assert_eq!((count(DownloadState::Metadata), count(DownloadState::Queued)), (20, 3));

    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = Page { after: after.take(), limit: Some(5) };
        let page = daemon.service.downloads(&anna, &page).unwrap();
        assert!(page.len() <= 5);
        let Some(last) = page.last() else { break };
        after = Some(format!("{}:{}", last.added_at, last.info_hash));
        seen.extend(page.into_iter().map(|status| status.info_hash));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 23, "each once, and none of somebody else");
    // Numbers of files that nobody can check yet don't make an answer endless.
    let many = DownloadWish { files: Some((0..10_000).collect()), ..wish() };
    for seed in 40..60 {
        daemon.service.add_download(&bert, nobodys(seed).1, many.clone()).await.unwrap();
    }
    let page = daemon.service.downloads(&bert, &Page::default()).unwrap();
    assert!(!page.is_empty() && page.len() < 20, "{}", page.len());
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torrents_of_one_name_do_not_get_into_each_others_way() {
    // Both are called the same, and the second is there while the first has nothing on disk yet.
    let films = [Film::new(2 * MIB, PIECE), Film::new(MIB, PIECE)];
    let seeders = [films[0].seeder(Some(MIB)).await, films[1].seeder(None).await];
    let home = Home::new(&[&seeders[0], &seeders[1]]);
    let (daemon, anna) = (home.start().await, user("anna"));
    for film in &films {
        daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    }
    for film in &films {
        daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    }
    let folder = |film: &Film| match std::fs::read(home.path(NAME)).unwrap() == film.data {
        true => home.folder.path().to_path_buf(),
        false => home.path(&film.hash().wire().to_string()),
    };
    assert_ne!(folder(&films[0]), folder(&films[1]));
    films.iter().for_each(|film| film.assert_file(&folder(film)));
    daemon.end().await;

    // A stranger's file of that name is none of ours.
    let home = Home::new(&[&seeders[1]]);
    std::fs::write(home.path(NAME), "mine").unwrap();
    let daemon = home.start().await;
    daemon.service.add_download(&anna, films[1].file(), wish()).await.unwrap();
    daemon.wait_state(&anna, films[1].hash(), DownloadState::Seeding).await;
    films[1].assert_file(&home.path(&films[1].hash().wire().to_string()));
    assert_eq!(std::fs::read(home.path(NAME)).unwrap(), b"mine");
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_that_is_called_like_anothers_folder_takes_nobodys_place() {
    let film = Film::new(MIB, PIECE);
    let trap = Set::called(&film.hash().wire().to_string(), 2 * MIB);
    let home = Home::new(&[&film.seeder(None).await, &trap.seeder().await]);
    // The film has to go to its own folder, which is the trap's name.
    std::fs::write(home.path(NAME), "mine").unwrap();
    let (daemon, anna, mallory) = (home.start().await, user("anna"), user("mallory"));
    daemon.service.add_download(&mallory, trap.file(), wish()).await.unwrap();
    daemon.wait_state(&mallory, trap.hash(), DownloadState::Seeding).await;
    daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    daemon.wait_state(&anna, film.hash(), DownloadState::Seeding).await;
    let (own, traps) = (film.hash().wire().to_string(), trap.hash().wire().to_string());
    film.assert_file(&home.path(&own));
    assert!(std::fs::read(home.path(&traps).join(own)).unwrap() == trap.files[0]);
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_user_hears_of_each_state_and_nobody_else_does() {
    let film = Film::new(2 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(None).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    let mut listening = daemon.service.begin_listening(&anna).unwrap();
    daemon.service.add_download(&anna, film.file(), wish()).await.unwrap();
    let none = DownloadChanges { seed_ratio: Some(Some(0.0)), ..Default::default() };
    daemon.change(&anna, film.hash(), none).await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|state| state != "complete") {
        let (told, event) = tokio::time::timeout(PATIENCE, listening.next()).await.unwrap().unwrap();
        let Event::Download { info_hash, state } = event else { panic!("{event:?}") };
        assert_eq!((told, info_hash), (anna.user.clone(), film.hash().wire().to_string()));
        assert!(heard.last() != Some(&state), "told twice: {state}");
        heard.push(state);
    }
    assert_eq!(heard[0], "queued");
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_changes_nothing_and_asking_for_something_else_is_refused() {
    let home = Home::new(&[]);
    let (daemon, anna) = (home.start().await, user("anna"));
    let (_, input) = nobodys(1);
    let first = daemon.service.add_download(&anna, input.clone(), wish()).await.unwrap();
    let again = daemon.service.add_download(&anna, input.clone(), wish()).await.unwrap();
    assert_eq!((first.added_at, first.info_hash), (again.added_at, again.info_hash));
    let other = DownloadWish { sequential: true, ..wish() };
    assert_eq!(daemon.service.add_download(&anna, input, other).await.unwrap_err().code, Code::Conflict);
    daemon.end().await;
}
