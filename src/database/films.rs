//! What containers say of the files that were watched, so that nobody reads them for it again.

use afflux_metainfo::{FileIndex, InfoHash};
use rusqlite::{Connection, Transaction};

use super::limits::{FILM_BYTES_MAX, FILMS_MAX};
use super::sql::{self, number};
use super::{Database, DatabaseError};

/// The table of films.
#[derive(Clone, Copy, Debug)]
pub struct Films<'a>(pub(super) &'a Database);

impl Films<'_> {
    /// What was written down of a file.
    pub async fn find(&self, hash: InfoHash, file: FileIndex) -> Result<Option<String>, DatabaseError> {
        let sql = "SELECT facts FROM films WHERE info_hash = ?1 AND file = ?2";
        self.0.write(move |connection| sql::row(connection, sql, (hash.0, file.0), |row| row.get(0))).await
    }

    /// Writes down what a file says; what was used least goes beyond [`FILMS_MAX`].
    ///
    /// # Errors
    /// [`DatabaseError::TooLong`] beyond [`FILM_BYTES_MAX`].
    pub async fn save(
        &self,
        hash: InfoHash,
        file: FileIndex,
        facts: String,
        now: u64,
    ) -> Result<(), DatabaseError> {
        if facts.len() > FILM_BYTES_MAX {
            return Err(DatabaseError::TooLong {
                what: "what is known of a film",
                bytes: facts.len(),
                max: FILM_BYTES_MAX,
            });
        }
        let work = move |connection: &Transaction<'_>| {
            let sql =
                "INSERT OR REPLACE INTO films (info_hash, file, last_used, facts) VALUES (?1, ?2, ?3, ?4)";
            sql::change(connection, sql, (hash.0, file.0, number(now), &facts))?;
            prune(connection)
        };
        self.0.write(work).await
    }

    /// Notes that a file was watched again.
    pub async fn used(&self, hash: InfoHash, file: FileIndex, now: u64) -> Result<(), DatabaseError> {
        let sql = "UPDATE films SET last_used = ?3 WHERE info_hash = ?1 AND file = ?2";
        let work = move |connection: &Transaction<'_>| {
            sql::change(connection, sql, (hash.0, file.0, number(now))).map(drop)
        };
        self.0.write(work).await
    }
}

fn prune(connection: &Connection) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM films WHERE rowid IN (SELECT rowid FROM films ORDER BY last_used DESC, rowid DESC \
               LIMIT -1 OFFSET ?1)";
    sql::change(connection, sql, [number(FILMS_MAX)]).map(drop)
}
