//! Where users are in films, so that they go on there.

use afflux_metainfo::{FileIndex, InfoHash};
use rusqlite::{Connection, Row, ToSql, Transaction, named_params};

use super::limits::{PAGE_ROWS_MAX, WATCHED_PER_USER_MAX};
use super::sql::{self, number, number_if};
use super::{Database, DatabaseError};
use crate::user::User;

/// Where a user is in a film.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Who.
    pub user: User,
    /// The torrent's hash of the wire.
    pub info_hash: InfoHash,
    /// The file.
    pub file: FileIndex,
    /// When that was.
    pub updated_at: u64,
    /// It was watched to its end, or nearly.
    pub finished: bool,
    /// The byte to go on from, where it is known.
    pub position: Option<u64>,
    /// The second to go on from, where it is known.
    pub seconds: Option<f64>,
    /// How long the film lasts, where that is known.
    pub duration: Option<f64>,
    /// Bytes of the file.
    pub length: u64,
    /// What the torrent is called.
    pub name: String,
    /// What the file is called.
    pub path: String,
    /// What is watched after it, and what that is called.
    pub next: Option<(FileIndex, String)>,
}

/// The table of what is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watching<'a>(pub(super) &'a Database);

impl Watching<'_> {
    /// Writes down where users are; what a user watched longest ago goes beyond [`WATCHED_PER_USER_MAX`].
    pub async fn save(&self, rows: Vec<Watched>) -> Result<(), DatabaseError> {
        let work = move |connection: &Transaction<'_>| {
            for row in &rows {
                save(connection, row)?;
                prune(connection, &row.user)?;
            }
            Ok(())
        };
        self.0.write(work).await
    }

    /// What a user goes on with, the last first, at most `limit`: of each torrent what was begun, and what is next if something was
    /// finished last.
    pub async fn list(&self, user: &User, limit: usize) -> Result<Vec<Watched>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT * FROM watching AS this WHERE user = ?1 \
                   AND (NOT finished OR (next_file IS NOT NULL AND NOT EXISTS (SELECT 1 FROM watching AS other \
                        WHERE other.user = this.user AND other.info_hash = this.info_hash \
                        AND (other.updated_at, other.file) > (this.updated_at, this.file)))) \
                   ORDER BY updated_at DESC, info_hash, file LIMIT ?2";
        let work = move |connection: &Connection| {
            sql::rows(connection, sql, (user.as_str(), sql::limit(limit)), read)
        };
        self.0.read(work).await
    }

    /// What a user has watched of a torrent, the last first: at most [`PAGE_ROWS_MAX`] files.
    pub async fn of(&self, user: &User, hash: InfoHash) -> Result<Vec<Watched>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT * FROM watching WHERE user = ?1 AND info_hash = ?2 \
                   ORDER BY updated_at DESC, file DESC LIMIT ?3";
        let work = move |connection: &Connection| {
            sql::rows(connection, sql, (user.as_str(), hash.0, sql::limit(PAGE_ROWS_MAX)), read)
        };
        self.0.find(work).await
    }

    /// Forgets where a user is in a file; says whether that was known.
    pub async fn forget(&self, user: &User, hash: InfoHash, file: FileIndex) -> Result<bool, DatabaseError> {
        let user = user.clone();
        let sql = "DELETE FROM watching WHERE user = ?1 AND info_hash = ?2 AND file = ?3";
        let work = move |connection: &Transaction<'_>| {
            Ok(sql::change(connection, sql, (user.as_str(), hash.0, file.0))? > 0)
        };
        self.0.write(work).await
    }

    /// The same of a whole torrent, which the user lets go.
    pub async fn forget_torrent(&self, user: &User, hash: InfoHash) -> Result<(), DatabaseError> {
        let user = user.clone();
        let sql = "DELETE FROM watching WHERE user = ?1 AND info_hash = ?2";
        self.0.write(move |connection| sql::change(connection, sql, (user.as_str(), hash.0)).map(drop)).await
    }

    /// Forgets what was watched before a time; gives how many.
    pub async fn purge(&self, before: u64) -> Result<usize, DatabaseError> {
        let sql = "DELETE FROM watching WHERE updated_at < ?1";
        self.0.write(move |connection| sql::change(connection, sql, [number(before)])).await
    }
}

fn save(connection: &Connection, row: &Watched) -> Result<(), DatabaseError> {
    let sql = "INSERT OR REPLACE INTO watching (user, info_hash, file, updated_at, finished, position, seconds, duration, \
               length, next_file, name, path, next_path) VALUES (:user, :info_hash, :file, :updated_at, :finished, \
               :position, :seconds, :duration, :length, :next_file, :name, :path, :next_path)";
    let (next_file, next_path) = row.next.as_ref().map(|(file, path)| (file.0, sql::text(path))).unzip();
    let values: &[(&str, &dyn ToSql)] = named_params! {
        ":user": row.user.as_str(),
        ":info_hash": row.info_hash.0,
        ":file": row.file.0,
        ":updated_at": number(row.updated_at),
        ":finished": row.finished,
        ":position": number_if(row.position),
        ":seconds": time(row.seconds),
        ":duration": time(row.duration),
        ":length": number(row.length),
        ":next_file": next_file,
        ":name": sql::text(&row.name),
        ":path": sql::text(&row.path),
        ":next_path": next_path,
    };
    sql::change(connection, sql, values).map(drop)
}

fn prune(connection: &Connection, user: &User) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM watching WHERE rowid IN (SELECT rowid FROM watching WHERE user = ?1 \
               ORDER BY updated_at DESC, rowid DESC LIMIT -1 OFFSET ?2)";
    sql::change(connection, sql, (user.as_str(), number(WATCHED_PER_USER_MAX))).map(drop)
}

/// A time in a film; what can't be one is none.
fn time(seconds: Option<f64>) -> Option<f64> {
    seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Watched> {
    let next_file: Option<u32> = row.get("next_file")?;
    let next_path: Option<String> = row.get("next_path")?;
    Ok(Watched {
        user: sql::user(row, "user")?,
        info_hash: sql::info_hash(row)?,
        file: sql::file(row)?,
        updated_at: sql::whole(row, "updated_at")?,
        finished: row.get("finished")?,
        position: sql::whole_if(row, "position")?,
        seconds: row.get("seconds")?,
        duration: row.get("duration")?,
        length: sql::whole(row, "length")?,
        name: row.get("name")?,
        path: row.get("path")?,
        next: next_file.map(|file| (FileIndex(file), next_path.unwrap_or_default())),
    })
}
