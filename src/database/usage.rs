//! Bytes and requests of each user by day: what quotas are held against.

use std::fmt;

use rusqlite::{Connection, Row, Transaction};

use super::limits::{NUMBER_MAX, USAGE_PER_DAY_MAX};
use super::sql::{self, Bound, number};
use super::{Database, DatabaseError};
use crate::user::User;

const BOUND: Bound =
    Bound { what: "users' usage on one day", max: USAGE_PER_DAY_MAX, remedy: "make fewer names for tokens" };

/// A day in UTC, by its number since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The day that a moment is on.
    pub fn of(unix_seconds: u64) -> Self {
        Self(u32::try_from(unix_seconds / 86_400).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a user used on a day; also what is added to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Who.
    pub user: User,
    /// When.
    pub day: Day,
    /// Bytes sent to players.
    pub bytes_sent: u64,
    /// Bytes that came from the swarm.
    pub bytes_swarm: u64,
    /// Requests.
    pub requests: u64,
}

/// The table of usage.
#[derive(Clone, Copy, Debug)]
pub struct Usage<'a>(pub(super) &'a Database);

impl Usage<'_> {
    /// Adds to what is counted; several at once cost little more than one.
    ///
    /// # Errors
    /// [`DatabaseError::TooMany`] when there are new users beyond [`USAGE_PER_DAY_MAX`] on a day; what the others used
    /// is added all the same.
    pub async fn add(&self, deltas: Vec<UsageRow>) -> Result<(), DatabaseError> {
        let work = move |connection: &Transaction<'_>| {
            let mut left_out = None;
            for delta in &deltas {
                match add(connection, delta) {
                    Err(error @ DatabaseError::TooMany { .. }) => left_out = Some(error),
                    result => result?,
                }
            }
            Ok(left_out)
        };
        match self.0.write(work).await? {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// What a user used on a day, if anything.
    pub async fn of(&self, user: &User, day: Day) -> Result<Option<UsageRow>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT * FROM usage WHERE user = ?1 AND day = ?2";
        self.0.find(move |connection| sql::row(connection, sql, (user.as_str(), day.0), read)).await
    }

    /// What a user used on each day of a span, both ends included. At most [`super::limits::PAGE_ROWS_MAX`] days.
    pub async fn span(&self, user: &User, from: Day, to: Day) -> Result<Vec<UsageRow>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT * FROM usage WHERE user = ?1 AND day BETWEEN ?2 AND ?3 ORDER BY day LIMIT ?4";
        let work = move |connection: &Connection| {
            let values = (user.as_str(), from.0, to.0, sql::limit(usize::MAX));
            sql::rows(connection, sql, values, read)
        };
        self.0.read(work).await
    }

    /// What everybody used on a day, by user: what a start goes on counting from.
    pub async fn on(&self, day: Day) -> Result<Vec<UsageRow>, DatabaseError> {
        let sql = "SELECT * FROM usage WHERE day = ?1 ORDER BY user";
        self.0.read(move |connection| sql::rows(connection, sql, [day.0], read)).await
    }

    /// Forgets the days before one; gives how many rows.
    pub async fn purge(&self, before: Day) -> Result<usize, DatabaseError> {
        let sql = "DELETE FROM usage WHERE day < ?1";
        self.0.write(move |connection| sql::change(connection, sql, [before.0])).await
    }
}

fn add(connection: &Connection, delta: &UsageRow) -> Result<(), DatabaseError> {
    let values = (
        delta.user.as_str(),
        delta.day.0,
        number(delta.bytes_sent),
        number(delta.bytes_swarm),
        number(delta.requests),
        number(NUMBER_MAX),
    );
    let sql = "UPDATE usage SET bytes_sent = min(bytes_sent + ?3, ?6), bytes_swarm = min(bytes_swarm + ?4, ?6), \
               requests = min(requests + ?5, ?6) WHERE user = ?1 AND day = ?2";
    if sql::change(connection, sql, values)? > 0 {
        return Ok(());
    }
    sql::keep_below(connection, "SELECT count(*) FROM usage WHERE day = ?1", [delta.day.0], BOUND)?;
    let sql = "INSERT INTO usage (user, day, bytes_sent, bytes_swarm, requests) \
               VALUES (?1, ?2, min(?3, ?6), min(?4, ?6), min(?5, ?6))";
    sql::change(connection, sql, values).map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<UsageRow> {
    Ok(UsageRow {
        user: sql::user(row, "user")?,
        day: row.get("day").map(Day)?,
        bytes_sent: sql::whole(row, "bytes_sent")?,
        bytes_swarm: sql::whole(row, "bytes_swarm")?,
        requests: sql::whole(row, "requests")?,
    })
}
