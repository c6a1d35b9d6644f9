//! Between our types and SQLite's columns.

use std::error::Error;

use afflux_metainfo::{FileIndex, InfoHash};
use rusqlite::types::Type;
use rusqlite::{Connection, Params, Row};
use tracing::warn;

use super::error::{DatabaseError, is_bad_value};
use super::limits::{NUMBER_MAX, PAGE_ROWS_MAX, TEXT_BYTES_MAX};
use crate::user::User;

/// A number as it is kept; what is larger than any real one counts as the largest.
pub(super) fn number(number: u64) -> i64 {
    number.min(NUMBER_MAX) as i64
}

/// A number that may be missing.
pub(super) fn number_if(optional: Option<u64>) -> Option<i64> {
    optional.map(number)
}

/// A text for people as it is kept: cut where it gets too long.
pub(super) fn text(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

/// The `LIMIT` of a page.
pub(super) fn limit(rows: usize) -> i64 {
    rows.min(PAGE_ROWS_MAX) as i64
}

/// A number from a row.
pub(super) fn whole(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| bad(row, column, error))
}

/// A number from a row that may be missing.
pub(super) fn whole_if(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    number.map(u64::try_from).transpose().map_err(|error| bad(row, column, error))
}

/// The column `user` or `name` of a row.
pub(super) fn user(row: &Row<'_>, column: &str) -> rusqlite::Result<User> {
    let name: String = row.get(column)?;
    name.parse().map_err(|error| bad(row, column, error))
}

/// The column `info_hash` of a row.
pub(super) fn info_hash(row: &Row<'_>) -> rusqlite::Result<InfoHash> {
    row.get("info_hash").map(InfoHash)
}

/// The column `file` of a row.
pub(super) fn file(row: &Row<'_>) -> rusqlite::Result<FileIndex> {
    row.get("file").map(FileIndex)
}

/// A value in the column that we would never have written.
pub(super) fn bad(row: &Row<'_>, column: &str, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    match row.as_ref().column_index(column) {
        Ok(index) => rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error)),
        Err(error) => error,
    }
}

/// All rows of a query but those that can't be: one bad row isn't to hide the others.
pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, DatabaseError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut sound = Vec::new();
    for row in statement.query_map(params, read)? {
        match row {
            Ok(row) => sound.push(row),
            Err(error) if is_bad_value(&error) => warn!(%error, "a damaged row of the database is left out"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sound)
}

/// The only row of a query, if there is one.
pub(super) fn row<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, DatabaseError> {
    use rusqlite::OptionalExtension;
    Ok(connection.prepare_cached(sql)?.query_row(params, read).optional()?)
}

/// Changes rows; gives how many.
pub(super) fn change(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, DatabaseError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

/// Refuses when `sql` counts `max` rows or more.
pub(super) fn keep_below(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    bound: Bound,
) -> Result<(), DatabaseError> {
    let count: i64 = connection.prepare_cached(sql)?.query_row(params, |row| row.get(0))?;
    if count.unsigned_abs() < bound.max { Ok(()) } else { Err(bound.into()) }
}

/// How many rows of a kind are kept.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) what: &'static str,
    pub(super) max: u64,
    pub(super) remedy: &'static str,
}

impl From<Bound> for DatabaseError {
    fn from(bound: Bound) -> Self {
        let Bound { what, max, remedy } = bound;
        Self::TooMany { what, max, remedy }
    }
}

/// Refuses a key that is longer than any real one.
pub(super) fn keep_short(what: &'static str, bytes: usize, max: usize) -> Result<(), DatabaseError> {
    if bytes <= max { Ok(()) } else { Err(DatabaseError::TooLong { what, bytes, max }) }
}
