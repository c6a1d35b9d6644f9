//! Files that are damaged, cut short, or somebody else's: the daemon always comes up, and what it can't use is kept
//! beside.

use std::fs;
use std::path::PathBuf;

use super::*;

const PAGE_BYTES: usize = 4096;

fn file(folder: &Path) -> PathBuf {
    folder.join("afflux.db")
}

/// A filled database, closed in good order.
async fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    fill(&database).await;
    database.close().await;
    folder
}

/// Opens a file with these bytes, reads all there is and writes something; says whether it was moved aside. Whatever
/// the bytes are, nothing panics, and an error says that the file is damaged.
async fn survives(bytes: &[u8], is_clean: bool) -> bool {
    let folder = tempfile::tempdir().unwrap();
    fs::write(file(folder.path()), bytes).unwrap();
    if is_clean {
        fs::write(folder.path().join("afflux.db.lock"), "clean\n").unwrap();
    }
    let (database, notice) = match Database::open(folder.path()) {
        Ok(opened) => opened,
        Err(OpenError::Newer { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    if let Some(notice) = &notice {
        assert_eq!(fs::read(&notice.moved_to).unwrap(), bytes, "it is kept as it was");
        assert_eq!(read_all(&database).await.unwrap(), 0);
        fill(&database).await;
        return true;
    }
    let is_sound = |error: &DatabaseError| matches!(error, DatabaseError::Damaged(_));
    let read = read_all(&database).await;
    assert!(read.as_ref().err().is_none_or(is_sound), "{read:?}");
    let written = database.usage().add(vec![usage("anna", 1)]).await;
    assert!(written.as_ref().err().is_none_or(is_sound), "{written:?}");
    database.close().await;
    if read.is_err() || written.is_err() {
        let mark = fs::read_to_string(folder.path().join("afflux.db.lock")).unwrap();
        assert_eq!(mark, "suspect\n", "the next start looks at it");
    }
    false
}

#[tokio::test]
async fn a_damaged_byte_in_any_page_is_survived() {
    let folder = filled().await;
    let sound = fs::read(file(folder.path())).unwrap();
    let pages = sound.len() / PAGE_BYTES;
    assert!(pages > 20, "every table and index has a page");
    let (mut aside, mut tried) = (0, 0);
    for page in 0..pages {
        // The header of a page, its list of cells, and two places of its content at the end.
        for offset in [1, 9, 101, 2500, PAGE_BYTES - 20, PAGE_BYTES - 3] {
            let mut bytes = sound.clone();
            bytes[page * PAGE_BYTES + offset] ^= 0x55;
            aside += usize::from(survives(&bytes, offset % 2 == 0).await);
            tried += 1;
        }
    }
    assert!(aside > tried / 10, "{aside} of {tried} were found out");
}

#[tokio::test]
async fn a_damaged_byte_in_the_header_is_survived() {
    let folder = filled().await;
    let sound = fs::read(file(folder.path())).unwrap();
    for offset in 0..100 {
        let mut bytes = sound.clone();
        bytes[offset] ^= 0x81;
        survives(&bytes, false).await;
    }
}

#[tokio::test]
async fn a_file_cut_short_is_survived() {
    let folder = filled().await;
    let sound = fs::read(file(folder.path())).unwrap();
    assert!(!survives(&[], false).await, "an empty file is a new one");
    for length in [1, 50, 100, 1000, PAGE_BYTES, PAGE_BYTES + 1, sound.len() / 2, sound.len() - 1] {
        assert!(survives(&sound[..length], false).await, "{length} of {} bytes", sound.len());
    }
}

#[tokio::test]
async fn what_is_no_database_is_moved_aside() {
    assert!(
        survives(b"not a database, and longer than the header of one would be. ".repeat(9).as_slice(), true)
            .await
    );
    assert!(survives(&vec![0; PAGE_BYTES], true).await);
}

#[tokio::test]
async fn somebody_elses_database_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = Connection::open(file(folder.path())).unwrap();
    theirs.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    theirs.close().unwrap();
    let (database, notice) = Database::open(folder.path()).unwrap();
    let notice = notice.unwrap();
    assert!(notice.to_string().contains("isn't marked as Afflux's"), "{notice}");
    assert!(notice.to_string().contains("afflux.db.corrupt-1"), "{notice}");
    fill(&database).await;
}

#[tokio::test]
async fn a_column_that_lost_its_name_is_found_out_after_a_clean_end_too() {
    let folder = filled().await;
    let mut bytes = fs::read(file(folder.path())).unwrap();
    // In every place, as a column that is named in two ways can't even be parsed.
    while let Some(at) = bytes.windows(9).position(|window| window == b"last_seen") {
        bytes[at] = b'm';
    }
    assert!(survives(&bytes, true).await);
}

#[tokio::test]
async fn a_damaged_file_takes_its_log_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    fill(&database).await;
    let copy = life::copy_of(folder.path());
    let log = fs::read(copy.path().join("afflux.db-wal")).unwrap();
    assert!(!log.is_empty());
    // All frames of the log count, and the file that they are for is nothing.
    fs::write(file(copy.path()), vec![1; 10 * PAGE_BYTES]).unwrap();
    fs::write(copy.path().join("afflux.db-wal"), &log[..log.len() / 2]).unwrap();
    let (database, notice) = Database::open(copy.path()).unwrap();
    if let Some(notice) = notice {
        let mut companion = notice.moved_to.into_os_string();
        companion.push("-wal");
        assert!(PathBuf::from(companion).exists());
        assert_eq!(read_all(&database).await.unwrap(), 0);
    }
    fill(&database).await;
}

#[tokio::test]
async fn a_damaged_log_costs_only_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    fill(&database).await;
    let copy = life::copy_of(folder.path());
    let path = copy.path().join("afflux.db-wal");
    let log = fs::read(&path).unwrap();
    for offset in (0..log.len()).step_by(log.len() / 50) {
        let copy = life::copy_of(copy.path());
        let mut bytes = log.clone();
        bytes[offset] ^= 1;
        fs::write(copy.path().join("afflux.db-wal"), bytes).unwrap();
        let (database, notice) = Database::open(copy.path()).unwrap();
        assert_eq!(notice, None, "a frame whose checksum is wrong ends the log");
        read_all(&database).await.unwrap();
        fill(&database).await;
    }
}

#[tokio::test]
async fn damage_that_is_met_while_working_has_the_next_start_look_at_everything() {
    let folder = filled().await;
    let mut bytes = fs::read(file(folder.path())).unwrap();
    // In the middle of one index, which a start after a clean end doesn't look at.
    let root: u32 = {
        let connection = Connection::open(file(folder.path())).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'sessions_by_user'";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    bytes[(root as usize - 1) * PAGE_BYTES..][..8].fill(0xff);
    fs::write(file(folder.path()), bytes).unwrap();
    let (database, notice) = Database::open(folder.path()).unwrap();
    assert_eq!(notice, None);
    let error = database.sessions().of(&user("anna")).await.unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert!(database.users().find(&user("anna")).await.unwrap().is_some(), "the rest goes on");
    database.close().await;
    let (_, notice) = Database::open(folder.path()).unwrap();
    assert!(notice.is_some());
}

#[tokio::test]
async fn a_damaged_row_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    fill(&database).await;
    database
        .write(|connection| {
            connection.execute("UPDATE views SET user = 'an' || char(7) WHERE user = 'anna'", [])?;
            connection.execute("UPDATE downloads SET files = '[1,' WHERE user = 'bert'", [])?;
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(database.views().list(ViewFilter::default(), None, 10).await.unwrap().len(), 2);
    assert_eq!(database.downloads().list(None).await.unwrap().len(), 2);
    let error = database.downloads().find(&user("bert"), hash(2)).await.unwrap_err();
    assert!(error.is_damage(), "{error}");
}

#[test]
fn only_the_last_few_damaged_files_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=limits::ASIDE_MAX + 2 {
        fs::write(file(folder.path()), format!("damaged {number}").repeat(100)).unwrap();
        let (database, notice) = Database::open(folder.path()).unwrap();
        let moved_to = notice.unwrap().moved_to;
        assert_eq!(moved_to, folder.path().join(format!("afflux.db.corrupt-{number}")));
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(database.close());
    }
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut kept: Vec<String> = names
        .filter_map(|name| Some(name.to_str()?.strip_prefix("afflux.db.corrupt-")?.to_owned()))
        .collect();
    kept.sort();
    assert_eq!(kept, ["3", "4", "5"]);
}
