//! What containers say of the files that were watched, so that nobody reads them for it again.

use afflux_metainfo::{FileIndex, InfoHash};
use rusqlite::{Connection, Row, Transaction};

use super::limits::{FILM_BYTES_MAX, FILMS_MAX};
use super::sql::{self, number};
use super::{Database, DatabaseError};

/// The table of films.
#[derive(Clone, Copy, Debug)]
pub struct Films<'a>(pub(super) &'a Database);

/// What is kept of a file, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFilm {
    /// The file.
    pub file: FileIndex,
    /// What its container says, without its index.
    pub facts: String,
    /// The index, if it has one.
    pub points: Option<String>,
}

impl Films<'_> {
    /// What was written down of a file.
    pub async fn find(&self, hash: InfoHash, file: FileIndex) -> Result<Option<KnownFilm>, DatabaseError> {
        let sql = "SELECT file, facts, points FROM films WHERE info_hash = ?1 AND file = ?2";
        self.0.write(move |connection| sql::row(connection, sql, (hash.0, file.0), read)).await
    }

    /// What was written down of a torrent's files, without their indexes.
    pub async fn of(&self, hash: InfoHash) -> Result<Vec<KnownFilm>, DatabaseError> {
        let sql = "SELECT file, facts, NULL AS points FROM films WHERE info_hash = ?1 ORDER BY file";
        self.0.read(move |connection| sql::rows(connection, sql, [hash.0], read)).await
    }

    /// Writes down what a file says; what was used least goes beyond [`FILMS_MAX`].
    ///
    /// # Errors
    /// [`DatabaseError::TooLong`] beyond [`FILM_BYTES_MAX`].
    pub async fn save(&self, hash: InfoHash, film: KnownFilm, now: u64) -> Result<(), DatabaseError> {
        let bytes = film.facts.len() + film.points.as_ref().map_or(0, String::len);
        if bytes > FILM_BYTES_MAX {
            return Err(DatabaseError::TooLong { what: "a film", bytes, max: FILM_BYTES_MAX });
        }
        let work = move |connection: &Transaction<'_>| {
            let sql = "INSERT OR REPLACE INTO films (info_hash, file, last_used, facts, points) \
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let values = (hash.0, film.file.0, number(now), &film.facts, &film.points);
            sql::change(connection, sql, values)?;
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

fn read(row: &Row<'_>) -> rusqlite::Result<KnownFilm> {
    Ok(KnownFilm { file: sql::file(row)?, facts: row.get("facts")?, points: row.get("points")? })
}
