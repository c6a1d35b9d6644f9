//! Who the daemon knows: when they came, what they are limited to, whether they are shut out.
//!
//! Users are whoever tokens name. A row is made when one is first seen, or first limited.

use rusqlite::{Row, named_params};

use super::limits::USERS_MAX;
use super::sql::{self, Bound, number, number_if};
use super::{Database, DatabaseError};
use crate::user::User;

const BOUND: Bound =
    Bound { what: "users", max: USERS_MAX, remedy: "forget some that nobody needs any more" };

/// A user's row.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownUser {
    /// The name.
    pub user: User,
    /// Shut out: no token of theirs counts.
    pub disabled: bool,
    /// What they are limited to.
    pub limits: UserLimits,
    /// When the row was made.
    pub first_seen: u64,
    /// When they were last seen; when the row was made if they never were.
    pub last_seen: u64,
}

/// What a user is limited to; `None` is the daemon's setting for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Streams at once.
    pub max_streams: Option<u64>,
    /// Bytes per second from the swarm.
    pub download_limit: Option<u64>,
    /// Bytes per second to the swarm.
    pub upload_limit: Option<u64>,
    /// Bytes sent to the user on one day.
    pub daily_bytes: Option<u64>,
}

/// A change of limits: `None` leaves one as it is, `Some(None)` gives it back to the daemon's setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsPatch {
    /// Streams at once.
    pub max_streams: Option<Option<u64>>,
    /// Bytes per second from the swarm.
    pub download_limit: Option<Option<u64>>,
    /// Bytes per second to the swarm.
    pub upload_limit: Option<Option<u64>>,
    /// Bytes sent to the user on one day.
    pub daily_bytes: Option<Option<u64>>,
}

/// The table of users.
#[derive(Clone, Copy, Debug)]
pub struct Users<'a>(pub(super) &'a Database);

impl Users<'_> {
    /// Notes that a user was there. A caller does this once a minute per user at most, not for each request.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] for a new user beyond [`USERS_MAX`]; who is known is still noted.
    pub async fn seen(&self, user: &User, now: u64) -> Result<(), DatabaseError> {
        let user = user.clone();
        let work = move |connection: &rusqlite::Transaction<'_>| {
            make(connection, &user, now)?;
            let sql = "UPDATE users SET last_seen = max(last_seen, ?2) WHERE name = ?1";
            sql::change(connection, sql, (user.as_str(), number(now))).map(drop)
        };
        self.0.write(work).await
    }

    /// A user's row.
    pub async fn find(&self, user: &User) -> Result<Option<KnownUser>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT * FROM users WHERE name = ?1";
        self.0.find(move |connection| sql::row(connection, sql, [user.as_str()], read)).await
    }

    /// Users in the order of their names, those after `after`, at most `limit`.
    pub async fn list(&self, after: Option<&User>, limit: usize) -> Result<Vec<KnownUser>, DatabaseError> {
        let after = after.map_or(String::new(), |user| user.as_str().to_owned());
        let sql = "SELECT * FROM users WHERE name > ?1 ORDER BY name LIMIT ?2";
        self.0.read(move |connection| sql::rows(connection, sql, (after, sql::limit(limit)), read)).await
    }

    /// All users that are shut out, to be kept in memory.
    pub async fn disabled(&self) -> Result<Vec<User>, DatabaseError> {
        let sql = "SELECT name FROM users WHERE disabled";
        self.0.find(move |connection| sql::rows(connection, sql, [], |row| sql::user(row, "name"))).await
    }

    /// Shuts a user out, or lets them in again; one that was never seen too. Outlasts a power cut.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] for a new user beyond [`USERS_MAX`].
    pub async fn set_disabled(&self, user: &User, disabled: bool, now: u64) -> Result<(), DatabaseError> {
        let user = user.clone();
        let work = move |connection: &rusqlite::Transaction<'_>| {
            make(connection, &user, now)?;
            let sql = "UPDATE users SET disabled = ?2 WHERE name = ?1";
            sql::change(connection, sql, (user.as_str(), disabled)).map(drop)
        };
        self.0.write_durably(work).await
    }

    /// Changes a user's limits; gives the row as it is then. One that was never seen can be limited too.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] for a new user beyond [`USERS_MAX`].
    pub async fn set_limits(
        &self,
        user: &User,
        patch: LimitsPatch,
        now: u64,
    ) -> Result<UserLimits, DatabaseError> {
        let user = user.clone();
        let work = move |connection: &rusqlite::Transaction<'_>| {
            make(connection, &user, now)?;
            let sql = "SELECT * FROM users WHERE name = ?1";
            let known = sql::row(connection, sql, [user.as_str()], read)?;
            let limits = patch.onto(known.map(|known| known.limits).unwrap_or_default());
            let sql = "UPDATE users SET max_streams = ?2, download_limit = ?3, upload_limit = ?4, daily_bytes = ?5 \
                       WHERE name = ?1";
            let values = (
                user.as_str(),
                number_if(limits.max_streams),
                number_if(limits.download_limit),
                number_if(limits.upload_limit),
                number_if(limits.daily_bytes),
            );
            sql::change(connection, sql, values).map(|_| limits)
        };
        self.0.write(work).await
    }

    /// Forgets a user's row; says whether there was one. Their sessions, downloads and history stay.
    pub async fn forget(&self, user: &User) -> Result<bool, DatabaseError> {
        let user = user.clone();
        let sql = "DELETE FROM users WHERE name = ?1";
        self.0.write(move |connection| Ok(sql::change(connection, sql, [user.as_str()])? > 0)).await
    }
}

impl LimitsPatch {
    fn onto(self, limits: UserLimits) -> UserLimits {
        UserLimits {
            max_streams: self.max_streams.unwrap_or(limits.max_streams),
            download_limit: self.download_limit.unwrap_or(limits.download_limit),
            upload_limit: self.upload_limit.unwrap_or(limits.upload_limit),
            daily_bytes: self.daily_bytes.unwrap_or(limits.daily_bytes),
        }
    }
}

/// Makes a user's row if there is none.
fn make(connection: &rusqlite::Connection, user: &User, now: u64) -> Result<(), DatabaseError> {
    let known = sql::row(connection, "SELECT 1 FROM users WHERE name = ?1", [user.as_str()], |_| Ok(()))?;
    if known.is_some() {
        return Ok(());
    }
    sql::keep_below(connection, "SELECT count(*) FROM users", [], BOUND)?;
    let sql = "INSERT INTO users (name, disabled, first_seen, last_seen) VALUES (:name, 0, :now, :now)";
    sql::change(connection, sql, named_params! { ":name": user.as_str(), ":now": number(now) }).map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<KnownUser> {
    Ok(KnownUser {
        user: sql::user(row, "name")?,
        disabled: row.get("disabled")?,
        limits: UserLimits {
            max_streams: sql::whole_if(row, "max_streams")?,
            download_limit: sql::whole_if(row, "download_limit")?,
            upload_limit: sql::whole_if(row, "upload_limit")?,
            daily_bytes: sql::whole_if(row, "daily_bytes")?,
        },
        first_seen: sql::whole(row, "first_seen")?,
        last_seen: sql::whole(row, "last_seen")?,
    })
}
