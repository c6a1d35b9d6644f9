//! Opening the file: whose it is, whether it is sound, what to do if it isn't.
//!
//! A newer file is refused before anything of it changes. A damaged one is moved aside whole, with its log, so that
//! SQLite's own tools can still get at what is in it; nothing but users' limits and history is lost with it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tracing::{info, warn};

use super::error::{DatabaseError, Notice, OpenError};
use super::limits::{ASIDE_MAX, FILE_BYTES_MAX};
use super::lock::{FolderLock, LastEnd, private};
use super::schema::{self, APPLICATION_ID, STEPS};

const FILE_NAME: &str = "afflux.db";

/// What SQLite calls the write-ahead log and its index.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// How a SQLite file begins, and how long that beginning is.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;

/// How long to wait for a program that locks the file, most likely somebody's `sqlite3`. Our own two connections never
/// wait for each other.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Pages kept in memory by each connection. The rows in use fit in it many times, and the kernel keeps the file's pages
/// too.
const CACHE_KIB: i64 = 256;

/// Bytes that the log keeps on disk once what it held is in the file.
const LOG_BYTES_MAX: i64 = 1 << 20;

/// Compiled statements kept by each connection: those that are used all the time.
const STATEMENTS_MAX: usize = 16;

/// A database that can be worked on.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) writer: Connection,
    pub(super) lock: FolderLock,
}

/// Why a file can't be worked on.
enum Trouble {
    /// It is to be moved aside.
    Damage(String),
    Refused(OpenError),
}

/// Opens the database of a data folder, or begins one.
pub(super) fn open(folder: &Path) -> Result<(Opened, Option<Notice>), OpenError> {
    let unusable = |path: &Path, source| OpenError::Folder { path: path.to_path_buf(), source };
    // SQLite takes a name that begins with `file:` for a URI, and an absolute one never does.
    let folder = std::path::absolute(folder).map_err(|error| unusable(folder, error))?;
    fs::create_dir_all(&folder).map_err(|error| unusable(&folder, error))?;
    let (lock, last_end) = FolderLock::acquire(&folder)?;
    let path = folder.join(FILE_NAME);

    match prepare(&path, &lock, last_end) {
        Ok(writer) => Ok((Opened { path, writer, lock }, None)),
        Err(Trouble::Refused(error)) => Err(error),
        Err(Trouble::Damage(damage)) => {
            let moved_to = move_aside(&path).map_err(|error| unusable(&path, error))?;
            let notice = Notice { moved_to, damage };
            let writer = prepare(&path, &lock, LastEnd::Clean).map_err(|trouble| match trouble {
                Trouble::Refused(error) => error,
                // A new file that is damaged at once: the disk is to blame.
                Trouble::Damage(damage) => unusable(&path, std::io::Error::other(damage)),
            })?;
            Ok((Opened { path, writer, lock }, Some(notice)))
        }
    }
}

/// A second connection, which can't change anything.
pub(super) fn open_reader(path: &Path) -> Result<Connection, DatabaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    Ok(connection)
}

/// The writing connection to a file that is ours, sound and of our version.
fn prepare(path: &Path, lock: &FolderLock, last_end: LastEnd) -> Result<Connection, Trouble> {
    let suspect = |error| sort_inspected(error, path);
    let unusable = |source| Trouble::Refused(OpenError::Folder { path: path.to_path_buf(), source });
    if !begins_like_one(path).map_err(unusable)? {
        return Err(Trouble::Damage("it doesn't begin like one".to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(suspect)?;
    // Until the file is known to be ours, closing it doesn't write into it what its log holds.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(suspect)?;
    configure(&connection).map_err(suspect)?;
    inspect(&connection, path, last_end)?;

    let sort = |error| sort(error, path);
    lock.mark_running().map_err(unusable)?;
    keep_log(&connection, path)?;
    schema::migrate(&mut connection, STEPS).map_err(sort)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(sort)?;
    Ok(connection)
}

/// Whether a file begins like a database or is empty; it is made if there is none. SQLite would take what is shorter
/// than its header for a new file, and write over it.
fn begins_like_one(path: &Path) -> std::io::Result<bool> {
    let mut header = Vec::new();
    private().open(path)?.take(HEADER_BYTES).read_to_end(&mut header)?;
    Ok(header.is_empty() || (header.len() as u64 == HEADER_BYTES && header.starts_with(MAGIC)))
}

/// What both connections have in common. Changes nothing in the file.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // A file that somebody else wrote can't have SQLite call functions, nor can our own statements damage the file.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // A file cut short under a mapping kills the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    // After a commit the log isn't synced, only before it moves into the file. So a killed process loses nothing; a
    // power cut may take the last commits, whole, and never breaks the file. What must outlast that is written with
    // `write_durably`.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)
}

/// Whether the file can be worked on; changes nothing in it.
fn inspect(connection: &Connection, path: &Path, last_end: LastEnd) -> Result<(), Trouble> {
    let sort = |error| sort_inspected(error, path);
    let version = schema::version(connection).map_err(sort)?;
    let owner = schema::application_id(connection).map_err(sort)?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sort)?;
    // The system lets us write, so it is the header that says no.
    if connection.is_readonly("main").map_err(sort)? {
        return Err(Trouble::Damage("its format is unknown".to_owned()));
    }
    if (version, owner, tables) == (0, 0, 0) {
        return Ok(());
    }
    if owner != APPLICATION_ID {
        return Err(Trouble::Damage("it isn't marked as Afflux's".to_owned()));
    }
    let known = STEPS.len() as u32;
    if version > known {
        return Err(Trouble::Refused(OpenError::Newer { path: path.to_path_buf(), found: version, known }));
    }
    check(connection, last_end).map_err(sort)?;
    match schema::is_whole(connection, &STEPS[..version as usize]).map_err(sort)? {
        true => Ok(()),
        false => Err(Trouble::Damage("its tables aren't what they were made as".to_owned())),
    }
}

/// Has SQLite look through the file if the last end gives reason to.
fn check(connection: &Connection, last_end: LastEnd) -> rusqlite::Result<()> {
    let pragma = match last_end {
        LastEnd::Clean => return Ok(()),
        LastEnd::Unclean => "PRAGMA quick_check(1)",
        // Compares every index with its table too.
        LastEnd::Suspect => "PRAGMA integrity_check(1)",
    };
    info!("the database wasn't closed in good order; checking it");
    let verdict: String = connection.query_row(pragma, [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    // SQLite's verdict has several lines, and the notice is one sentence.
    Err(rusqlite::Error::SqliteFailure(corrupt, verdict.lines().last().map(str::to_owned)))
}

/// Has changes go to a log first, which readers don't wait for.
fn keep_log(connection: &Connection, path: &Path) -> Result<(), Trouble> {
    let sort = |error| sort(error, path);
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(sort)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Trouble::Refused(OpenError::NoLog { path: path.to_path_buf() }));
    }
    let page_bytes: u64 = connection
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))
        .map(u64::from)
        .map_err(sort)?;
    connection
        .pragma_update_and_check(None, "max_page_count", (FILE_BYTES_MAX / page_bytes) as i64, |_| Ok(()))
        .map_err(sort)
}

fn sort(error: rusqlite::Error, path: &Path) -> Trouble {
    let source = DatabaseError::from(error);
    match source {
        DatabaseError::Damaged(error) => Trouble::Damage(error.to_string()),
        source => Trouble::Refused(OpenError::Database { path: path.to_path_buf(), source }),
    }
}

/// As [`sort`], while a file is inspected: it is asked so little that what SQLite refuses is the file's fault. A step
/// of the schema that is refused is ours, and no reason to move anything.
fn sort_inspected(error: rusqlite::Error, path: &Path) -> Trouble {
    match sort(error, path) {
        Trouble::Refused(OpenError::Database { source: DatabaseError::Refused(error), .. }) => {
            Trouble::Damage(error.to_string())
        }
        trouble => trouble,
    }
}

/// Renames the file and its companions to the next number, and lets go of the oldest ones. The log goes first: it must
/// never be found beside a new file.
fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let mut kept = aside(path)?;
    let number = kept.last().map_or(1, |last| last.saturating_add(1));
    let target = with_suffix(path, &format!(".corrupt-{number}"));
    for suffix in COMPANIONS {
        match fs::rename(with_suffix(path, suffix), with_suffix(&target, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, &target)?;
    warn!(to = %target.display(), "the damaged database is moved aside");

    kept.push(number);
    for number in kept.iter().rev().skip(ASIDE_MAX) {
        let oldest = with_suffix(path, &format!(".corrupt-{number}"));
        for file in COMPANIONS.map(|suffix| with_suffix(&oldest, suffix)).iter().chain([&oldest]) {
            // Most have no companions; and one that stays is in nobody's way.
            let _ = fs::remove_file(file);
        }
    }
    Ok(target)
}

/// The numbers of the files that were moved aside, in order.
fn aside(path: &Path) -> std::io::Result<Vec<u32>> {
    let prefix = format!("{FILE_NAME}.corrupt-");
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        numbers.extend(number.and_then(|digits| digits.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
