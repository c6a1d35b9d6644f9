//! Several users: nobody sees another's downloads, and one torrent lies on disk once.

use afflux::service::refusal::Code;
use afflux::service::{DownloadState, DownloadWish, Page};

use super::daemon::{Home, Set, Shared, user, wish};

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_its_own_and_both_share_the_files() {
    let set = Set::new(&[100_000, 300_000]);
    let home = Home::new(&[&set.seeder().await]);
    let (daemon, anna, bert) = (home.start().await, user("anna"), user("bert"));
    let first = DownloadWish { files: Some(vec![0]), ..wish() };
    daemon.service.add_download(&anna, set.file(), first).await.unwrap();
    assert_eq!(daemon.refusal(&bert, set.hash()).await, Code::NoDownload);
    assert!(daemon.service.downloads(&bert, &Page::default()).unwrap().is_empty());
    let refused = daemon.service.pause_download(&bert, set.hash()).await.unwrap_err();
    assert_eq!(refused.code, Code::NoDownload);
    daemon.wait_state(&anna, set.hash(), DownloadState::Seeding).await;
    assert_eq!(home.names("set"), ["0"]);

    let second = DownloadWish { files: Some(vec![1]), ..wish() };
    daemon.service.add_download(&bert, set.file(), second).await.unwrap();
    let status = daemon.wait_state(&bert, set.hash(), DownloadState::Seeding).await;
    assert_eq!((status.size, status.progress), (Some(300_000), 1.0));
    assert_eq!(daemon.service.download(&anna, set.hash()).await.unwrap().size, Some(100_000));
    (0..2).for_each(|nth| set.assert_file(home.folder.path(), nth));
    assert_eq!(home.names(""), ["set"]);

    // One that stops doesn't stop the other.
    daemon.service.pause_download(&anna, set.hash()).await.unwrap();
    assert!(daemon.runs(set.hash()));
    let everybody = daemon.service.downloads(&afflux::auth::Identity::local(), &Page::default()).unwrap();
    let mut users: Vec<_> = everybody.into_iter().map(|status| status.user.unwrap()).collect();
    users.sort();
    assert_eq!(users, ["anna", "bert"]);
    daemon.end().await;
}
