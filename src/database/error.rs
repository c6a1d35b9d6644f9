//! What can go wrong with the database, in sentences that say what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the database can't be opened. What is in it stays as it was.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it, or another handle of this one.
    #[error("another afflux uses the data folder {}: end it, or use another --data-dir", folder.display())]
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// It was written by a newer Afflux.
    #[error(
        "{} has the layout of a newer Afflux (version {found}; this one knows up to {known}): start the newer Afflux, \
         or move the file away to begin without users, sessions and history", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The folder or a file in it can't be used.
    #[error("{} can't be used for the database ({source}): mend that, or use another --data-dir", path.display())]
    Folder {
        /// What can't be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file system can't do what a write-ahead log needs.
    #[error(
        "the folder of {} can't hold a database with a write-ahead log, as network file systems can't: \
         use a --data-dir on a local disk", path.display()
    )]
    NoLog {
        /// The database.
        path: PathBuf,
    },
    /// SQLite can't open it, and not because it is damaged.
    #[error("the database {} can't be opened: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// Why.
        source: DatabaseError,
    },
}

/// Something happened at the start that the user should know: the database was damaged, and another is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Where the damaged file is now.
    pub moved_to: PathBuf,
    /// What is wrong with it.
    pub damage: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the database was damaged ({}) and a new one is begun; the old is kept as {}. Users' limits, revoked \
             tokens, sessions, downloads and history begin anew; media files aren't touched",
            self.damage,
            self.moved_to.display()
        )
    }
}

/// Why the database doesn't do what it was asked. What was asked has no effect then.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// No room on the disk, or the file is as long as it may be. It works again when there is room.
    #[error(
        "there is no room for the database: make room on the disk of the data folder, or forget old torrents and views"
    )]
    Full,
    /// The disk fails, or doesn't let us.
    #[error("the database can't be read or written ({0}): look at the disk of the data folder")]
    Disk(#[source] rusqlite::Error),
    /// What is in the file can't be. It is looked at when Afflux starts again, and moved aside if it is bad.
    #[error("the database is damaged ({0}): restart Afflux, which checks it and moves it aside if need be")]
    Damaged(#[source] rusqlite::Error),
    /// Another program, most likely a shell of SQLite, holds the file.
    #[error("another program keeps the database locked: close it")]
    Locked,
    /// No more of these are kept.
    #[error("the database keeps at most {max} {what}: {remedy}")]
    TooMany {
        /// Of what there would be too many.
        what: &'static str,
        /// How many there may be.
        max: u64,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A key or a source that is longer than any real one.
    #[error("{what} of {bytes} bytes isn't kept; {max} bytes are the most")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest that is kept.
        max: usize,
    },
    /// The database was closed.
    #[error("the database is closed, as Afflux is ending")]
    Closed,
    /// The code that was to do it panicked; nothing of it happened.
    #[error("a mistake in Afflux kept the database from doing this: please report it with the log")]
    Panicked,
    /// SQLite refuses the statement.
    #[error("a mistake in Afflux kept the database from doing this ({0}): please report it")]
    Refused(#[source] rusqlite::Error),
}

impl DatabaseError {
    /// What is in the file can't be.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        if is_bad_value(&error) {
            return Self::Damaged(error);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::OutOfMemory,
            ) => Self::Disk(error),
            _ => Self::Refused(error),
        }
    }
}

/// A column holds what we would never have written there.
pub(super) fn is_bad_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
