//! What users keep for offline viewing, and how far it got. Which pieces are there is in the torrent's resume file.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use afflux_metainfo::limits::FILES_MAX;
use afflux_metainfo::{FileIndex, InfoHash};
use rusqlite::{Connection, Row, ToSql, Transaction, named_params};

use super::limits::DOWNLOADS_PER_USER_MAX;
use super::sql::{self, Bound, number, number_if};
use super::{Database, DatabaseError};
use crate::user::User;

const BOUND: Bound = Bound {
    what: "downloads of one user",
    max: DOWNLOADS_PER_USER_MAX,
    remedy: "remove some that aren't needed any more",
};

const FILES_BOUND: Bound = Bound {
    what: "files of one download",
    max: FILES_MAX as u64,
    remedy: "no torrent has more, so name each once",
};

/// Bytes of a path: what Linux takes (PATH_MAX).
const FOLDER_BYTES_MAX: usize = 4096;

/// A download as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Download {
    /// Whose it is.
    pub user: User,
    /// The torrent's hash of the wire.
    pub info_hash: InfoHash,
    /// Where its files go.
    pub folder: PathBuf,
    /// The files that are wanted; `None` is all of them.
    pub files: Option<Vec<FileIndex>>,
    /// Pieces are fetched in their order.
    pub sequential: bool,
    /// Nothing is fetched.
    pub paused: bool,
    /// Bytes per second from the swarm.
    pub download_limit: Option<u64>,
    /// Bytes per second to the swarm.
    pub upload_limit: Option<u64>,
    /// Seeding ends when this many times its bytes are uploaded.
    pub seed_ratio: Option<f64>,
    /// Seeding ends after this long.
    pub seed_seconds: Option<u64>,
    /// When it was asked for.
    pub added_at: u64,
    /// What was reached.
    pub progress: Progress,
    /// Why it stopped, for people.
    pub error: Option<String>,
}

/// What a download has reached, besides its pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes given to the swarm.
    pub uploaded_bytes: u64,
    /// How long it seeded.
    pub seeded_seconds: u64,
    /// When it was complete.
    pub finished_at: Option<u64>,
}

/// The table of downloads.
#[derive(Clone, Copy, Debug)]
pub struct Downloads<'a>(pub(super) &'a Database);

impl Downloads<'_> {
    /// Saves a download, new or known, with all there is to it.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] for a new one beyond [`DOWNLOADS_PER_USER_MAX`].
    pub async fn save(&self, download: Download) -> Result<(), DatabaseError> {
        if download.files.as_ref().is_some_and(|files| files.len() > FILES_MAX) {
            return Err(FILES_BOUND.into());
        }
        sql::keep_short("a path", download.folder.as_os_str().len(), FOLDER_BYTES_MAX)?;
        self.0.write(move |connection| save(connection, &download)).await
    }

    /// Saves how far a download got, if it is known; says whether it is. A time when it was complete stays when none is
    /// given.
    pub async fn progress(
        &self,
        user: &User,
        info_hash: InfoHash,
        progress: Progress,
    ) -> Result<bool, DatabaseError> {
        let user = user.clone();
        let sql = "UPDATE downloads SET uploaded_bytes = ?3, seeded_seconds = ?4, \
                   finished_at = coalesce(?5, finished_at) WHERE user = ?1 AND info_hash = ?2";
        let work = move |connection: &Transaction<'_>| {
            let values = (
                user.as_str(),
                info_hash.0,
                number(progress.uploaded_bytes),
                number(progress.seeded_seconds),
                number_if(progress.finished_at),
            );
            Ok(sql::change(connection, sql, values)? > 0)
        };
        self.0.write(work).await
    }

    /// A user's download.
    pub async fn find(&self, user: &User, info_hash: InfoHash) -> Result<Option<Download>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT * FROM downloads WHERE user = ?1 AND info_hash = ?2";
        self.0.find(move |connection| sql::row(connection, sql, (user.as_str(), info_hash.0), read)).await
    }

    /// A user's downloads, or everybody's, in the order they were asked for.
    pub async fn list(&self, user: Option<&User>) -> Result<Vec<Download>, DatabaseError> {
        let user = user.map(|user| user.as_str().to_owned());
        let work = move |connection: &Connection| match user {
            Some(user) => {
                let sql = "SELECT * FROM downloads WHERE user = ?1 ORDER BY added_at, info_hash";
                sql::rows(connection, sql, [user], read)
            }
            None => sql::rows(connection, "SELECT * FROM downloads ORDER BY added_at, info_hash", [], read),
        };
        self.0.read(work).await
    }

    /// Forgets a download; says whether there was one.
    pub async fn remove(&self, user: &User, info_hash: InfoHash) -> Result<bool, DatabaseError> {
        let user = user.clone();
        let sql = "DELETE FROM downloads WHERE user = ?1 AND info_hash = ?2";
        let work = move |connection: &Transaction<'_>| {
            Ok(sql::change(connection, sql, (user.as_str(), info_hash.0))? > 0)
        };
        self.0.write(work).await
    }
}

fn save(connection: &Transaction<'_>, download: &Download) -> Result<(), DatabaseError> {
    let key = (download.user.as_str(), download.info_hash.0);
    let sql = "SELECT 1 FROM downloads WHERE user = ?1 AND info_hash = ?2";
    if sql::row(connection, sql, key, |_| Ok(()))?.is_none() {
        sql::keep_below(connection, "SELECT count(*) FROM downloads WHERE user = ?1", [key.0], BOUND)?;
    }
    let sql = "INSERT OR REPLACE INTO downloads (user, info_hash, folder, files, sequential, paused, download_limit, \
               upload_limit, seed_ratio, seed_seconds, added_at, finished_at, uploaded_bytes, seeded_seconds, error) \
               VALUES (:user, :info_hash, :folder, :files, :sequential, :paused, :download_limit, \
               :upload_limit, :seed_ratio, :seed_seconds, :added_at, :finished_at, :uploaded_bytes, \
               :seeded_seconds, :error)";
    let values: &[(&str, &dyn ToSql)] = named_params! {
        ":user": key.0,
        ":info_hash": key.1,
        ":folder": download.folder.as_os_str().as_bytes(),
        ":files": download.files.as_deref().map(json),
        ":sequential": download.sequential,
        ":paused": download.paused,
        ":download_limit": number_if(download.download_limit),
        ":upload_limit": number_if(download.upload_limit),
        ":seed_ratio": download.seed_ratio.filter(|ratio| ratio.is_finite()).map(|ratio| ratio.max(0.0)),
        ":seed_seconds": number_if(download.seed_seconds),
        ":added_at": number(download.added_at),
        ":finished_at": number_if(download.progress.finished_at),
        ":uploaded_bytes": number(download.progress.uploaded_bytes),
        ":seeded_seconds": number(download.progress.seeded_seconds),
        ":error": download.error.as_deref().map(sql::text),
    };
    sql::change(connection, sql, values).map(drop)
}

fn json(files: &[FileIndex]) -> String {
    let numbers: Vec<String> = files.iter().map(FileIndex::to_string).collect();
    format!("[{}]", numbers.join(","))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Download> {
    let files: Option<String> = row.get("files")?;
    let files = files.map(|json| serde_json::from_str::<Vec<u32>>(&json)).transpose();
    let files = files.map_err(|error| sql::bad(row, "files", error))?;
    Ok(Download {
        user: sql::user(row, "user")?,
        info_hash: sql::info_hash(row)?,
        folder: OsString::from_vec(row.get("folder")?).into(),
        files: files.map(|numbers| numbers.into_iter().map(FileIndex).collect()),
        sequential: row.get("sequential")?,
        paused: row.get("paused")?,
        download_limit: sql::whole_if(row, "download_limit")?,
        upload_limit: sql::whole_if(row, "upload_limit")?,
        seed_ratio: row.get("seed_ratio")?,
        seed_seconds: sql::whole_if(row, "seed_seconds")?,
        added_at: sql::whole(row, "added_at")?,
        progress: Progress {
            uploaded_bytes: sql::whole(row, "uploaded_bytes")?,
            seeded_seconds: sql::whole(row, "seeded_seconds")?,
            finished_at: sql::whole_if(row, "finished_at")?,
        },
        error: row.get("error")?,
    })
}
