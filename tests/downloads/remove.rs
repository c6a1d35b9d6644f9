//! Removing downloads, with and without their files.

use afflux::service::refusal::Code;
use afflux::service::{DownloadState, Dropping};

use super::daemon::{Daemon, Home, PIECE, Reading, Set, Shared, no_seeding, user, wish};
use super::house::{Film, MIB, NAME};

const FORGET: Dropping = Dropping { delete_data: false, force: false };
const DELETE: Dropping = Dropping { delete_data: true, force: false };

async fn keep(daemon: &Daemon, name: &str, what: &impl Shared) {
    daemon.service.add_download(&user(name), what.file(), wish()).await.unwrap();
    daemon.wait_state(&user(name), what.hash(), DownloadState::Seeding).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_stay_unless_they_are_to_go_and_a_strangers_stay_always() {
    let set = Set::new(&[100_000, 300_000]);
    let home = Home::new(&[&set.seeder().await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    keep(&daemon, "anna", &set).await;
    daemon.service.remove_download(&anna, set.hash(), FORGET).await.unwrap();
    assert_eq!(daemon.refusal(&anna, set.hash()).await, Code::NoDownload);
    assert_eq!(home.names("set"), ["0", "1"]);
    assert!(!daemon.runs(set.hash()));

    // Kept again they are found where they are.
    keep(&daemon, "anna", &set).await;
    let status = daemon.engine.get(set.hash().wire()).unwrap().status();
    assert_eq!(status.totals.payload_received, 0);
    std::fs::write(home.path("set/mine"), "mine").unwrap();
    daemon.service.remove_download(&anna, set.hash(), DELETE).await.unwrap();
    assert_eq!((home.names(""), home.names("set")), (vec!["set".to_owned()], vec!["mine".to_owned()]));
    assert!(daemon.engine.remembered(set.hash().wire()).is_none());
    daemon.end().await;
    let daemon = home.start().await;
    assert_eq!(daemon.refusal(&anna, set.hash()).await, Code::NoDownload, "it doesn't come back");
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_need_stays_unless_an_admin_forces_it() {
    let film = Film::new(2 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(None).await]);
    let (daemon, anna, bert) = (home.start().await, user("anna"), user("bert"));
    keep(&daemon, "anna", &film).await;
    keep(&daemon, "bert", &film).await;
    let refused = daemon.service.remove_download(&anna, film.hash(), DELETE).await.unwrap_err();
    assert_eq!(refused.code, Code::InUse);
    let forced = Dropping { force: true, ..DELETE };
    let refused = daemon.service.remove_download(&anna, film.hash(), forced).await.unwrap_err();
    assert_eq!(refused.code, Code::Forbidden);
    daemon.service.download(&anna, film.hash()).await.unwrap();
    daemon.service.remove_download(&anna, film.hash(), FORGET).await.unwrap();
    daemon.service.download(&bert, film.hash()).await.unwrap();
    film.assert_file(home.folder.path());

    // Who streams it needs the files too.
    daemon.service.parse_torrent(&anna, film.file(), false).await.unwrap();
    let media = daemon.open(&anna, film.hash(), 0).await;
    let refused = daemon.service.remove_download(&bert, film.hash(), DELETE).await.unwrap_err();
    assert_eq!(refused.code, Code::InUse);
    assert!(Reading::new(&*media).read_all().await == film.data);
    let admin = afflux::auth::Identity::local();
    daemon.service.remove_download(&admin, film.hash(), forced).await.unwrap();
    assert_eq!(daemon.refusal(&bert, film.hash()).await, Code::NoDownload);
    assert!(!daemon.service.has_session(&anna.user, film.hash()));
    assert_eq!(home.names(""), [""; 0]);
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letting_the_torrent_go_lets_its_download_go() {
    let film = Film::new(2 * MIB, PIECE);
    let home = Home::new(&[&film.seeder(None).await]);
    let (daemon, anna) = (home.start().await, user("anna"));
    for (dropping, left) in [(FORGET, vec![NAME.to_owned()]), (DELETE, vec![])] {
        keep(&daemon, "anna", &film).await;
        daemon.change(&anna, film.hash(), no_seeding()).await;
        daemon.wait_state(&anna, film.hash(), DownloadState::Complete).await;
        daemon.service.drop_torrent(&anna, film.hash(), dropping).await.unwrap();
        assert_eq!(daemon.refusal(&anna, film.hash()).await, Code::NoDownload);
        assert_eq!(home.names(""), left);
    }
    daemon.end().await;
}
