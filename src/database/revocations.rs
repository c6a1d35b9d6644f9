//! Tokens that count no more although they haven't expired. All are read into memory at the start; a request asks
//! there.

use rusqlite::Row;

use super::limits::{REVOCATION_GRACE_SECONDS, REVOCATIONS_MAX, TOKEN_ID_BYTES_MAX};
use super::sql::{self, Bound, number};
use super::{Database, DatabaseError};

const BOUND: Bound = Bound {
    what: "revoked tokens",
    max: REVOCATIONS_MAX,
    remedy: "disable the user instead, or wait until some have expired",
};

/// A token that counts no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its id (`jti`).
    pub token_id: String,
    /// When it expires by itself.
    pub expires: u64,
    /// Why it was revoked, for people.
    pub reason: String,
}

/// The table of revoked tokens.
#[derive(Clone, Copy, Debug)]
pub struct Revocations<'a>(pub(super) &'a Database);

impl Revocations<'_> {
    /// Revokes a token. Again is no error: the later expiry counts, and the first reason. Outlasts a power cut.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] beyond [`REVOCATIONS_MAX`]: forgetting another would let that one in again.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), DatabaseError> {
        let Revocation { token_id, expires, reason } = revocation;
        sql::keep_short("a token's id", token_id.len(), TOKEN_ID_BYTES_MAX)?;
        let work = move |connection: &rusqlite::Transaction<'_>| {
            let sql = "UPDATE revocations SET expires = max(expires, ?2) WHERE token_id = ?1";
            if sql::change(connection, sql, (&token_id, number(expires)))? > 0 {
                return Ok(());
            }
            sql::keep_below(connection, "SELECT count(*) FROM revocations", [], BOUND)?;
            let sql = "INSERT INTO revocations (token_id, expires, reason) VALUES (?1, ?2, ?3)";
            sql::change(connection, sql, (&token_id, number(expires), sql::text(&reason))).map(drop)
        };
        self.0.write_durably(work).await
    }

    /// Every revoked token, to be kept in memory.
    ///
    /// # Errors
    /// [`DatabaseError::Damaged`] when any row is: here leaving one out would let somebody in.
    pub async fn all(&self) -> Result<Vec<Revocation>, DatabaseError> {
        let work = |connection: &rusqlite::Connection| {
            let mut statement = connection.prepare("SELECT * FROM revocations")?;
            let all = statement.query_map([], read)?.collect::<Result<_, _>>()?;
            Ok(all)
        };
        self.0.find(work).await
    }

    /// Forgets tokens that expired more than [`REVOCATION_GRACE_SECONDS`] ago; gives how many.
    pub async fn purge(&self, now: u64) -> Result<usize, DatabaseError> {
        let before = number(now.saturating_sub(REVOCATION_GRACE_SECONDS));
        let sql = "DELETE FROM revocations WHERE expires < ?1";
        self.0.write(move |connection| sql::change(connection, sql, [before])).await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Revocation> {
    Ok(Revocation {
        token_id: row.get("token_id")?,
        expires: sql::whole(row, "expires")?,
        reason: row.get("reason")?,
    })
}
