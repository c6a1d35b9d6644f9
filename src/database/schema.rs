//! The tables, and the steps that lead to them from every older version.

use rusqlite::{Connection, TransactionBehavior};

/// What marks a SQLite file as Afflux's: "AFLX". (ours)
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"AFLX");

/// The step at index n leads from version n to n + 1. A step that was released never changes; what it made is changed
/// by another step.
pub(super) const STEPS: &[&str] =
    &[include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// The version that a file says it has; a new file says 0.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    // SQLite shows the four bytes as signed.
    connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)).map(i32::cast_unsigned)
}

/// Whose file it says it is; a new file says 0.
pub(super) fn application_id(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0)).map(i32::cast_unsigned)
}

/// Brings a file to the last of `steps`, one transaction for each: after a step that fails the file has the version
/// before it.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let current = version(connection)?;
    for (number, step) in (1u32..).zip(steps).filter(|(number, _)| *number > current) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether all that `steps` make is in the file, word for word. SQLite's own check takes any schema that can be parsed,
/// so it doesn't see a column whose name was damaged. What somebody added (an index, statistics) is none of our
/// business.
pub(super) fn is_whole(connection: &Connection, steps: &[&str]) -> rusqlite::Result<bool> {
    let mut model = Connection::open_in_memory()?;
    migrate(&mut model, steps)?;
    let theirs = statements(connection)?;
    Ok(statements(&model)?.iter().all(|ours| theirs.contains(ours)))
}

/// What made each table and index.
fn statements(connection: &Connection) -> rusqlite::Result<Vec<(String, String, String)>> {
    connection
        .prepare("SELECT name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history that never was: three versions, the last of which changes what the first made.
    const MADE_UP: &[&str] = &[
        "CREATE TABLE colours (name TEXT PRIMARY KEY) STRICT; INSERT INTO colours VALUES ('red');",
        "CREATE TABLE shapes (name TEXT) STRICT;",
        "ALTER TABLE colours ADD COLUMN warm INTEGER; UPDATE colours SET warm = 1;",
    ];

    fn at(version: usize) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MADE_UP[..version]).unwrap();
        connection
    }

    #[test]
    fn every_older_version_becomes_the_newest_with_what_it_held() {
        for old in 0..=MADE_UP.len() {
            let mut connection = at(old);
            assert_eq!(version(&connection).unwrap() as usize, old);
            migrate(&mut connection, MADE_UP).unwrap();
            assert_eq!(version(&connection).unwrap() as usize, MADE_UP.len());
            assert!(is_whole(&connection, MADE_UP).unwrap());
            let warm: bool = connection
                .query_row("SELECT warm FROM colours WHERE name = 'red'", [], |row| row.get(0))
                .unwrap();
            assert!(warm);
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut connection = at(1);
        let bad = [MADE_UP[0], "CREATE TABLE half (a TEXT); CREATE TABLE colours (a TEXT);"];
        assert!(migrate(&mut connection, &bad).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(is_whole(&connection, &MADE_UP[..1]).unwrap());
        assert!(connection.prepare("SELECT * FROM half").is_err());
        migrate(&mut connection, MADE_UP).unwrap();
        assert!(is_whole(&connection, MADE_UP).unwrap());
    }

    #[test]
    fn a_renamed_column_is_no_whole_schema_and_an_added_index_is() {
        let connection = at(3);
        connection.execute_batch("CREATE INDEX somebodys ON shapes (name); ANALYZE").unwrap();
        assert!(is_whole(&connection, MADE_UP).unwrap());
        connection.execute_batch("ALTER TABLE shapes RENAME COLUMN name TO nam3").unwrap();
        assert!(!is_whole(&connection, MADE_UP).unwrap());
    }

    #[test]
    fn our_own_steps_make_a_database_that_checks_itself() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, STEPS).unwrap();
        assert_eq!(application_id(&connection).unwrap(), APPLICATION_ID);
        let verdict: String =
            connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
    }
}
