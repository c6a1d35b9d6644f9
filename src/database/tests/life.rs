//! Opening, sharing, ending, and going on after what can happen in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn handles_share_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let second = first.clone();
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let handle = if number % 2 == 0 { first.clone() } else { second.clone() };
            tokio::spawn(async move { handle.usage().add(vec![usage("anna", 1)]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(second.usage().of(&user("anna"), Day(1)).await.unwrap().unwrap().requests, 200);
    drop(first);
    second.users().seen(&user("anna"), NOW).await.unwrap();
}

#[tokio::test]
async fn a_second_daemon_on_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let error = Database::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().contains("another afflux"), "{error}");
    database.close().await;
    open(folder.path());
}

#[tokio::test]
async fn after_the_end_every_handle_says_that_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let other = database.clone();
    let (first, second) = tokio::join!(
        async {
            database.users().seen(&user("anna"), NOW).await.unwrap();
            database.close().await;
        },
        other.close()
    );
    let ((), ()) = (first, second);
    database.close().await;
    assert!(matches!(other.users().find(&user("anna")).await, Err(DatabaseError::Closed)));
    assert!(matches!(other.users().list(None, 1).await, Err(DatabaseError::Closed)));
    let files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "the log is in the file: {files:?}");
    assert!(open(folder.path()).users().find(&user("anna")).await.unwrap().is_some());
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    fill(&database).await;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn a_panic_fails_its_job_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let result: Result<(), DatabaseError> = database
        .write(|connection| {
            connection.execute("INSERT INTO users VALUES ('half', 0, NULL, NULL, NULL, NULL, 1, 1)", [])?;
            panic!("what a mistake");
        })
        .await;
    assert!(matches!(result, Err(DatabaseError::Panicked)));
    let result: Result<(), DatabaseError> = database.read(|_| panic!("another")).await;
    assert!(matches!(result, Err(DatabaseError::Panicked)));
    fill(&database).await;
    assert_eq!(database.users().find(&user("half")).await.unwrap(), None);
    assert_eq!(database.users().list(None, 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_is_done_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let slow = database.clone();
    let slow = tokio::spawn(async move {
        let work = move |_: &Connection| {
            let _ = begun.send(());
            let _ = wait.recv();
            Ok(())
        };
        slow.find(work).await
    });
    has_begun.await.unwrap();
    let anna = user("anna");
    {
        let users = database.users();
        let seen = std::pin::pin!(users.seen(&anna, NOW));
        assert!(futures_util::FutureExt::now_or_never(seen).is_none());
    }
    drop(go_on);
    slow.await.unwrap().unwrap();
    assert!(database.users().find(&anna).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    fill(&database).await;
    let before = read_all(&database).await.unwrap();
    limit_pages(&database, 1).await;
    let torrent = || Source::Torrent(vec![7; 1 << 20]);
    let anna = user("anna");
    let result = database.torrents().remember(&anna, hybrid(7), "film", torrent(), NOW).await;
    assert!(matches!(result, Err(DatabaseError::Full)), "{result:?}");
    assert_eq!(read_all(&database).await.unwrap(), before);
    limit_pages(&database, 1 << 20).await;
    database.torrents().remember(&anna, hybrid(7), "film", torrent(), NOW).await.unwrap();
    assert_eq!(read_all(&database).await.unwrap(), before + 1);
}

/// SQLite sets it to what the file has already if that is more.
async fn limit_pages(database: &Database, pages: u32) {
    database
        .find(move |connection| {
            Ok(connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn another_program_that_locks_the_file_is_waited_for_and_then_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let shell = Connection::open(folder.path().join("afflux.db")).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let result = database.users().seen(&user("anna"), NOW).await;
    assert!(matches!(result, Err(DatabaseError::Locked)), "{result:?}");
    shell.execute_batch("ROLLBACK").unwrap();
    database.users().seen(&user("anna"), NOW).await.unwrap();
}

#[tokio::test]
async fn a_newer_database_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    fill(&database).await;
    database.find(|connection| Ok(connection.pragma_update(None, "user_version", 99)?)).await.unwrap();
    // As a newer Afflux that was killed leaves it: the version is only in the log.
    let copy = copy_of(folder.path());
    database.close().await;

    for folder in [folder.path(), copy.path()] {
        let before = contents(folder);
        let error = Database::open(folder).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "{error}");
        assert!(error.to_string().contains("version 99; this one knows up to 3"), "{error}");
        assert_eq!(contents(folder), before);
    }
}

/// Names and contents of what matters: the index of the log is made anew each time.
fn contents(folder: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let kept = entries.filter(|entry| !entry.file_name().to_str().unwrap().ends_with("-shm"));
    let mut contents: Vec<_> =
        kept.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    contents.retain(|(name, bytes)| !(bytes.is_empty() && name.to_str().unwrap().ends_with("-wal")));
    contents.sort();
    contents
}

/// The files as they are at this moment, as if the process had been killed.
pub(super) fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // A kill leaves the log and the file; the index of the log is made anew.
        if !entry.file_name().to_str().unwrap().ends_with("-shm") {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    for day in 0..40 {
        // Long enough that the log goes into the file now and then.
        let torrent = Source::Torrent(vec![day; 200_000]);
        database.torrents().remember(&user("anna"), hybrid(day), "film", torrent, NOW).await.unwrap();
        database.usage().add(vec![usage("anna", u32::from(day))]).await.unwrap();
        let copy = copy_of(folder.path());
        let survivor = open(copy.path());
        let days = survivor.usage().span(&user("anna"), Day(0), Day(100)).await.unwrap();
        assert_eq!(days.len(), usize::from(day) + 1);
        assert_eq!(survivor.torrents().list(Some(&user("anna")), None, 100).await.unwrap().len(), days.len());
    }
}

/// Tells the child which folder to write in.
const CHILD_FOLDER: &str = "AFFLUX_TEST_DATABASE_FOLDER";

/// What a killed process does until it is: not a test when nobody has started it.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let database = open(folder.as_ref());
    let (anna, bert) = (user("anna"), user("bert"));
    let first = database.usage().span(&anna, Day(0), Day(u32::MAX)).await.unwrap().len() as u32;
    for day in first.. {
        database.usage().add(vec![usage("anna", day), usage("bert", day)]).await.unwrap();
        // Long enough that the log goes into the file now and then.
        let torrent = Source::Torrent(vec![7; 100_000]);
        database
            .torrents()
            .remember(&bert, hybrid((day % 8) as u8), "film", torrent, u64::from(day))
            .await
            .unwrap();
        eprintln!("written {day}");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_answered() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    let mut days = 0;
    for writes in [1, 7, 40, 55] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "database::tests::life::child_that_writes_until_it_is_killed"])
            .env(CHILD_FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let answered: Vec<usize> = lines
            .by_ref()
            .filter_map(|line| line.strip_prefix("written ")?.parse().ok())
            .take(writes)
            .collect();
        // The pipe is still open: it is the kill that ends the child.
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answered.first(), Some(&days), "it went on where the last one ended");

        let database = open(folder.path());
        let anna = database.usage().span(&user("anna"), Day(0), Day(u32::MAX)).await.unwrap();
        let bert = database.usage().span(&user("bert"), Day(0), Day(u32::MAX)).await.unwrap();
        assert!(anna.len() > *answered.last().unwrap(), "{} of {answered:?}", anna.len());
        assert_eq!(anna.len(), bert.len(), "transactions are whole");
        days = anna.len();
        database.close().await;
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    let in_the_way = folder.path().join("in-the-way");
    fs::create_dir_all(in_the_way.join("afflux.db")).unwrap();

    let mut folders = vec![file, in_the_way];
    // Root may write everywhere.
    if fs::write(closed.join("probe"), "").is_err() {
        folders.push(closed);
    }
    if cfg!(target_os = "linux") {
        folders.push("/proc/self".into());
    }
    for folder in folders {
        let error = Database::open(&folder).unwrap_err();
        assert!(matches!(error, OpenError::Folder { .. }), "{error}");
        assert!(error.to_string().contains(folder.to_str().unwrap()), "{error}");
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }
}
