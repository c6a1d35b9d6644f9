//! What the daemon remembers besides torrents' data: users and their limits, revoked tokens, torrents by name,
//! sessions, downloads, and what was watched.
//!
//! One SQLite file in the data folder. Losing it costs settings and history, never media: what files hold is remembered
//! beside them (`afflux_storage::Resume`). Not here: any rule about who may do what; callers ask for rows and decide.
//!
//! - A [`Database`] is a handle to two threads: one writes and looks up single rows, the other reads what takes long,
//!   so that an export doesn't hold up who watches.
//! - An answer that is `Ok` is written; it survives the process. See `open::configure` for what survives a power cut.
//! - A full or failing disk makes answers errors; the daemon goes on without what it couldn't write.

mod downloads;
mod error;
mod films;
mod lanes;
pub mod limits;
mod lock;
mod open;
mod revocations;
mod schema;
mod sessions;
mod sql;
mod suspicious;
mod torrents;
mod usage;
mod users;
mod views;
mod watching;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use downloads::{Download, Downloads, Progress};
pub use error::{DatabaseError, Notice, OpenError};
pub use films::{Films, KnownFilm};
pub use revocations::{Revocation, Revocations};
pub use sessions::{SavedSession, Sessions};
pub use suspicious::{Suspicion, Suspicions};
pub use torrents::{KnownTorrent, KnownTorrents, Source, TorrentCursor, TorrentEntry};
pub use usage::{Day, Usage, UsageRow};
pub use users::{KnownUser, LimitsPatch, UserLimits, Users};
pub use views::{NewView, Totals, View, ViewCursor, ViewFilter, Views};
pub use watching::{Watched, Watching};

use lanes::Lane;

/// A handle to the database; clones are cheap and share it.
///
/// When the last one is dropped the file is closed in good order, but nobody waits for that: see
/// [`close`](Self::close).
#[derive(Clone)]
pub struct Database {
    writing: Lane,
    reading: Lane,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the database of a data folder, or begins one. Blocks: after an unclean end for as long as it takes to read
    /// the file.
    ///
    /// A notice says that the file was damaged, moved aside, and replaced by a new one.
    ///
    /// # Errors
    /// [`OpenError`]: somebody else has it, it is a newer Afflux's, or the disk can't be used. What is in the file
    /// stays as it was.
    pub fn open(folder: &Path) -> Result<(Self, Option<Notice>), OpenError> {
        let (opened, notice) = open::open(folder)?;
        let path = opened.path.clone();
        let (writing, reading) = lanes::start(opened).map_err(|source| OpenError::Folder { path, source })?;
        Ok((Self { writing, reading }, notice))
    }

    /// Does what is queued, closes the file and remembers that it was closed. From then on every handle's answers are
    /// [`DatabaseError::Closed`].
    pub async fn close(&self) {
        self.reading.end().await;
        self.writing.end().await;
    }

    /// How many jobs wait for the threads at this moment.
    pub fn queued(&self) -> usize {
        self.writing.queued() + self.reading.queued()
    }

    /// Who the daemon knows.
    pub fn users(&self) -> Users<'_> {
        Users(self)
    }

    /// Tokens that count no more.
    pub fn revocations(&self) -> Revocations<'_> {
        Revocations(self)
    }

    /// Torrents that users have named.
    pub fn torrents(&self) -> KnownTorrents<'_> {
        KnownTorrents(self)
    }

    /// Streams that go on after a restart.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }

    /// What is kept for offline viewing.
    pub fn downloads(&self) -> Downloads<'_> {
        Downloads(self)
    }

    /// What containers say of files.
    pub fn films(&self) -> Films<'_> {
        Films(self)
    }

    /// How streams went.
    pub fn views(&self) -> Views<'_> {
        Views(self)
    }

    /// Where users are in films.
    pub fn watching(&self) -> Watching<'_> {
        Watching(self)
    }

    /// Bytes and requests, by user and day.
    pub fn usage(&self) -> Usage<'_> {
        Usage(self)
    }

    /// Who does what an ordinary viewer wouldn't.
    pub fn suspicions(&self) -> Suspicions<'_> {
        Suspicions(self)
    }

    /// Changes something: all of it or nothing.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.writing.run(|connection| transact(connection, work)).await
    }

    /// Changes something that a power cut must not undo. Costs a write to the disk itself.
    async fn write_durably<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let work = |connection: &mut Connection| {
            connection.pragma_update(None, "synchronous", "FULL")?;
            let result = transact(connection, work);
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            result
        };
        self.writing.run(work).await
    }

    /// Looks something up in no time, after all that was queued before.
    async fn find<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.writing.run(|connection| work(connection)).await
    }

    /// Reads what may be much, beside the writing. Sees all that was answered before.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.reading.run(|connection| work(connection)).await
    }
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}
