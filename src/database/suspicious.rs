//! Who does what an ordinary viewer wouldn't, by day. What counts as such is decided elsewhere.

use rusqlite::{Connection, Row, Transaction};

use super::limits::{NUMBER_MAX, PATTERN_BYTES_MAX, SUSPICIONS_MAX};
use super::sql::{self, Bound, number};
use super::usage::Day;
use super::{Database, DatabaseError};
use crate::user::User;

const BOUND: Bound =
    Bound { what: "rows about suspicious patterns", max: SUSPICIONS_MAX, remedy: "purge the old ones" };

/// What a user did on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Who.
    pub user: User,
    /// The name of what they did.
    pub pattern: String,
    /// On which day.
    pub day: Day,
    /// How often.
    pub count: u64,
    /// When last.
    pub last_at: u64,
    /// What it was the last time, for people.
    pub detail: String,
}

/// The table of suspicious patterns.
#[derive(Clone, Copy, Debug)]
pub struct Suspicions<'a>(pub(super) &'a Database);

impl Suspicions<'_> {
    /// Counts what a user did; gives how often they did it that day.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] for a new row beyond [`SUSPICIONS_MAX`].
    pub async fn add(
        &self,
        user: &User,
        pattern: &str,
        detail: &str,
        now: u64,
    ) -> Result<u64, DatabaseError> {
        sql::keep_short("a pattern's name", pattern.len(), PATTERN_BYTES_MAX)?;
        let (user, pattern, detail) = (user.clone(), pattern.to_owned(), sql::text(detail));
        self.0.write(move |connection| add(connection, &user, &pattern, &detail, now)).await
    }

    /// What a user, or everybody, did since a day, the last first. At most [`super::limits::PAGE_ROWS_MAX`] rows.
    pub async fn list(&self, user: Option<&User>, from: Day) -> Result<Vec<Suspicion>, DatabaseError> {
        let user = user.map(|user| user.as_str().to_owned());
        let work = move |connection: &Connection| match user {
            Some(user) => {
                let sql = "SELECT * FROM suspicious WHERE user = ?1 AND day >= ?2 \
                           ORDER BY last_at DESC, pattern LIMIT ?3";
                sql::rows(connection, sql, (user, from.0, sql::limit(usize::MAX)), read)
            }
            None => {
                let sql = "SELECT * FROM suspicious WHERE day >= ?1 \
                           ORDER BY last_at DESC, user, pattern LIMIT ?2";
                sql::rows(connection, sql, (from.0, sql::limit(usize::MAX)), read)
            }
        };
        self.0.read(work).await
    }

    /// Forgets the days before one; gives how many rows.
    pub async fn purge(&self, before: Day) -> Result<usize, DatabaseError> {
        let sql = "DELETE FROM suspicious WHERE day < ?1";
        self.0.write(move |connection| sql::change(connection, sql, [before.0])).await
    }
}

fn add(
    connection: &Transaction<'_>,
    user: &User,
    pattern: &str,
    detail: &str,
    now: u64,
) -> Result<u64, DatabaseError> {
    let key = (user.as_str(), pattern, Day::of(now).0);
    let sql = "SELECT count FROM suspicious WHERE user = ?1 AND pattern = ?2 AND day = ?3";
    let before = sql::row(connection, sql, key, |row| sql::whole(row, "count"))?;
    if before.is_none() {
        sql::keep_below(connection, "SELECT count(*) FROM suspicious", [], BOUND)?;
    }
    let count = before.unwrap_or(0).saturating_add(1).min(NUMBER_MAX);
    let sql = "INSERT OR REPLACE INTO suspicious (user, pattern, day, count, last_at, detail) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sql::change(connection, sql, (key.0, key.1, key.2, number(count), number(now), detail)).map(|_| count)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Suspicion> {
    Ok(Suspicion {
        user: sql::user(row, "user")?,
        pattern: row.get("pattern")?,
        day: row.get("day").map(Day)?,
        count: sql::whole(row, "count")?,
        last_at: sql::whole(row, "last_at")?,
        detail: row.get("detail")?,
    })
}
