//! Sessions of streams, kept so that the URLs a player holds go on working after a restart.

use afflux_metainfo::{FileIndex, InfoHash};
use afflux_stream::token::SessionId;
use rusqlite::{Connection, Row, ToSql, Transaction, named_params};

use super::limits::SESSIONS_MAX;
use super::sql::{self, Bound, number, number_if};
use super::{Database, DatabaseError};
use crate::user::User;

const BOUND: Bound = Bound { what: "sessions", max: SESSIONS_MAX, remedy: "end some that nobody watches" };

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSession {
    /// What it is known by.
    pub id: SessionId,
    /// Whose it is.
    pub user: User,
    /// The torrent's hash of the wire.
    pub info_hash: InfoHash,
    /// The file watched last.
    pub file: FileIndex,
    /// When it began.
    pub created_at: u64,
    /// When something of it was last asked for.
    pub last_used: u64,
    /// When its URLs stop working.
    pub expires_at: u64,
    /// Nothing is fetched for it.
    pub paused: bool,
    /// Where in the file it was, in bytes.
    pub position: u64,
    /// What the token that began it allows, in bytes per second.
    pub token_max_rate: Option<u64>,
    /// What the player called itself.
    pub client: Option<String>,
    /// The tokens it was watched with, the newest last.
    pub tokens: Vec<[u8; 32]>,
}

/// The table of sessions.
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a>(pub(super) &'a Database);

impl Sessions<'_> {
    /// Saves a session, new or known.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] for a new one beyond [`SESSIONS_MAX`].
    pub async fn save(&self, session: SavedSession) -> Result<(), DatabaseError> {
        self.0.write(move |connection| save(connection, &session)).await
    }

    /// Forgets a session that has ended; says whether there was one. Outlasts a power cut: its URLs must not come back.
    pub async fn end(&self, id: SessionId) -> Result<bool, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE id = ?1";
        self.0.write_durably(move |connection| Ok(sql::change(connection, sql, [id.0])? > 0)).await
    }

    /// A user's sessions, the newest first, expired ones too.
    pub async fn of(&self, user: &User) -> Result<Vec<SavedSession>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT * FROM sessions WHERE user = ?1 ORDER BY created_at DESC, id";
        self.0.read(move |connection| sql::rows(connection, sql, [user.as_str()], read)).await
    }

    /// All sessions that haven't expired, the oldest first: what a start goes on with.
    pub async fn all_alive(&self, now: u64) -> Result<Vec<SavedSession>, DatabaseError> {
        let sql = "SELECT * FROM sessions WHERE expires_at > ?1 ORDER BY created_at, id";
        self.0.read(move |connection| sql::rows(connection, sql, [number(now)], read)).await
    }

    /// Forgets sessions that have expired; gives how many.
    pub async fn purge(&self, now: u64) -> Result<usize, DatabaseError> {
        let sql = "DELETE FROM sessions WHERE expires_at <= ?1";
        self.0.write(move |connection| sql::change(connection, sql, [number(now)])).await
    }
}

fn save(connection: &Transaction<'_>, session: &SavedSession) -> Result<(), DatabaseError> {
    if !is_known(connection, session.id)? {
        sql::keep_below(connection, "SELECT count(*) FROM sessions", [], BOUND)?;
    }
    let sql = "INSERT OR REPLACE INTO sessions (id, user, info_hash, file, created_at, last_used, expires_at, paused, \
               position, token_max_rate, client, tokens) VALUES (:id, :user, :info_hash, :file, :created_at, :last_used, \
               :expires_at, :paused, :position, :token_max_rate, :client, :tokens)";
    let values: &[(&str, &dyn ToSql)] = named_params! {
        ":id": session.id.0,
        ":user": session.user.as_str(),
        ":info_hash": session.info_hash.0,
        ":file": session.file.0,
        ":created_at": number(session.created_at),
        ":last_used": number(session.last_used),
        ":expires_at": number(session.expires_at),
        ":paused": session.paused,
        ":position": number(session.position),
        ":token_max_rate": number_if(session.token_max_rate),
        ":client": session.client.as_deref().map(sql::text),
        ":tokens": session.tokens.as_flattened(),
    };
    sql::change(connection, sql, values).map(drop)
}

fn is_known(connection: &Connection, id: SessionId) -> Result<bool, DatabaseError> {
    let known = sql::row(connection, "SELECT 1 FROM sessions WHERE id = ?1", [id.0], |_| Ok(()))?;
    Ok(known.is_some())
}

fn read(row: &Row<'_>) -> rusqlite::Result<SavedSession> {
    Ok(SavedSession {
        id: row.get("id").map(SessionId)?,
        user: sql::user(row, "user")?,
        info_hash: sql::info_hash(row)?,
        file: sql::file(row)?,
        created_at: sql::whole(row, "created_at")?,
        last_used: sql::whole(row, "last_used")?,
        expires_at: sql::whole(row, "expires_at")?,
        paused: row.get("paused")?,
        position: sql::whole(row, "position")?,
        token_max_rate: sql::whole_if(row, "token_max_rate")?,
        client: row.get("client")?,
        tokens: row.get_ref("tokens")?.as_blob()?.as_chunks().0.to_vec(),
    })
}
