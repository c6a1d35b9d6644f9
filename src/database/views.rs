//! How streams went: a row for each session that ended, and for each run of the daemon that it outlived, for analytics.

use afflux_metainfo::{FileIndex, InfoHash};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, ToSql, Transaction, named_params, params_from_iter};

use super::limits::{PAGE_ROWS_MAX, VIEWS_MAX};
use super::sql::{self, number, number_if};
use super::{Database, DatabaseError};
use crate::user::User;

/// How a stream went.
#[derive(Clone, Debug, PartialEq)]
pub struct NewView {
    /// Who watched.
    pub user: User,
    /// The torrent's hash of the wire.
    pub info_hash: InfoHash,
    /// The file.
    pub file: FileIndex,
    /// What the file is called.
    pub name: String,
    /// What the player called itself.
    pub client: Option<String>,
    /// When it began.
    pub started_at: u64,
    /// When it ended.
    pub ended_at: u64,
    /// Milliseconds to the first byte; `None` if there never was one.
    pub ttfb_ms: Option<u64>,
    /// Jumps to another place.
    pub seeks: u64,
    /// Milliseconds that all of them took to their first byte.
    pub seek_ms_total: u64,
    /// Milliseconds that the longest of them took.
    pub seek_ms_max: u64,
    /// How often the player ran dry.
    pub stalls: u64,
    /// For how many milliseconds in all.
    pub stalled_ms: u64,
    /// Bytes that came from the swarm.
    pub bytes_swarm: u64,
    /// Bytes sent to the player.
    pub bytes_sent: u64,
    /// Bytes from the swarm that were of no use.
    pub bytes_wasted: u64,
    /// Most peers connected at once.
    pub peers_max: u64,
    /// The part of the file that was watched, 0 to 1.
    pub completion: f64,
}

/// A view as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Its number; later ones are higher.
    pub id: u64,
    /// How it went.
    pub view: NewView,
}

/// Where a page of views ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewCursor(
    /// The number of its last view.
    pub u64,
);

impl View {
    /// Where a page that ends with this view ends.
    pub fn cursor(&self) -> ViewCursor {
        ViewCursor(self.id)
    }
}

/// Which views to list; what is `None` doesn't matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewFilter {
    /// Whose.
    pub user: Option<User>,
    /// Of which torrent.
    pub info_hash: Option<InfoHash>,
    /// Ended at this time or later.
    pub from: Option<u64>,
    /// Ended before this time.
    pub to: Option<u64>,
}

/// What one user watched over some time.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// Who.
    pub user: User,
    /// How many views.
    pub views: u64,
    /// How many of them had a first byte.
    pub with_ttfb: u64,
    /// Mean of the milliseconds to it.
    pub ttfb_ms_mean: Option<f64>,
    /// Jumps to another place.
    pub seeks: u64,
    /// Milliseconds that they took to their first byte.
    pub seek_ms_total: u64,
    /// Milliseconds that the longest of them took.
    pub seek_ms_max: u64,
    /// How often a player ran dry.
    pub stalls: u64,
    /// For how many milliseconds.
    pub stalled_ms: u64,
    /// Bytes that came from the swarm.
    pub bytes_swarm: u64,
    /// Bytes sent to players.
    pub bytes_sent: u64,
    /// Bytes from the swarm that were of no use.
    pub bytes_wasted: u64,
}

/// The table of views.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a>(pub(super) &'a Database);

impl Views<'_> {
    /// Adds a view; the oldest goes beyond [`VIEWS_MAX`].
    pub async fn add(&self, view: NewView) -> Result<(), DatabaseError> {
        let work = move |connection: &Transaction<'_>| {
            add(connection, &view)?;
            prune(connection, VIEWS_MAX)
        };
        self.0.write(work).await
    }

    /// Views that a filter lets through, the newest first, before `before`, at most `limit`.
    pub async fn list(
        &self,
        filter: ViewFilter,
        before: Option<ViewCursor>,
        limit: usize,
    ) -> Result<Vec<View>, DatabaseError> {
        let (conditions, values) = filter.conditions(before);
        let limit = sql::limit(limit);
        let sql = format!("SELECT * FROM views WHERE {conditions} ORDER BY id DESC LIMIT {limit}");
        let read = |row: &Row<'_>| Ok(View { id: sql::whole(row, "id")?, view: read(row)? });
        self.0.read(move |connection| sql::rows(connection, &sql, params_from_iter(values), read)).await
    }

    /// What each user watched that a filter lets through, who was sent most first, at most [`PAGE_ROWS_MAX`] of them.
    pub async fn totals(&self, filter: ViewFilter) -> Result<Vec<Totals>, DatabaseError> {
        let (conditions, values) = filter.conditions(None);
        let sql = format!(
            "SELECT user, count(*) AS views, avg(ttfb_ms) AS ttfb_ms_mean, sum(seeks) AS seeks, \
             sum(seek_ms_total) AS seek_ms_total, max(seek_ms_max) AS seek_ms_max, sum(stalls) AS stalls, \
             sum(stalled_ms) AS stalled_ms, sum(bytes_swarm) AS bytes_swarm, sum(bytes_sent) AS bytes_sent, \
             sum(bytes_wasted) AS bytes_wasted, count(ttfb_ms) AS with_ttfb \
             FROM views WHERE {conditions} GROUP BY user ORDER BY 10 DESC, user LIMIT {PAGE_ROWS_MAX}"
        );
        let work =
            move |connection: &Connection| sql::rows(connection, &sql, params_from_iter(values), read_totals);
        self.0.read(work).await
    }

    /// Forgets views that ended before a time; gives how many.
    pub async fn purge(&self, before: u64) -> Result<usize, DatabaseError> {
        let sql = "DELETE FROM views WHERE ended_at < ?1";
        self.0.write(move |connection| sql::change(connection, sql, [number(before)])).await
    }
}

impl ViewFilter {
    /// The condition as SQL, and its values. It is put together so that each combination finds its index.
    fn conditions(&self, before: Option<ViewCursor>) -> (String, Vec<Value>) {
        let given = [
            ("user = ?", self.user.as_ref().map(|user| Value::from(user.as_str().to_owned()))),
            ("info_hash = ?", self.info_hash.map(|hash| Value::from(hash.0.to_vec()))),
            ("ended_at >= ?", number_if(self.from).map(Value::from)),
            ("ended_at < ?", number_if(self.to).map(Value::from)),
            ("id < ?", before.map(|cursor| Value::from(number(cursor.0)))),
        ];
        let (mut conditions, mut values) = (vec!["TRUE"], Vec::new());
        for (condition, value) in given {
            if let Some(value) = value {
                conditions.push(condition);
                values.push(value);
            }
        }
        (conditions.join(" AND "), values)
    }
}

fn add(connection: &Connection, view: &NewView) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO views (user, info_hash, file, name, client, started_at, ended_at, ttfb_ms, seeks, \
               seek_ms_total, seek_ms_max, stalls, stalled_ms, bytes_swarm, bytes_sent, bytes_wasted, \
               peers_max, completion) \
               VALUES (:user, :info_hash, :file, :name, :client, :started_at, :ended_at, :ttfb_ms, :seeks, \
               :seek_ms_total, :seek_ms_max, :stalls, :stalled_ms, :bytes_swarm, :bytes_sent, \
               :bytes_wasted, :peers_max, :completion)";
    let values: &[(&str, &dyn ToSql)] = named_params! {
        ":user": view.user.as_str(),
        ":info_hash": view.info_hash.0,
        ":file": view.file.0,
        ":name": sql::text(&view.name),
        ":client": view.client.as_deref().map(sql::text),
        ":started_at": number(view.started_at),
        ":ended_at": number(view.ended_at),
        ":ttfb_ms": number_if(view.ttfb_ms),
        ":seeks": number(view.seeks),
        ":seek_ms_total": number(view.seek_ms_total),
        ":seek_ms_max": number(view.seek_ms_max),
        ":stalls": number(view.stalls),
        ":stalled_ms": number(view.stalled_ms),
        ":bytes_swarm": number(view.bytes_swarm),
        ":bytes_sent": number(view.bytes_sent),
        ":bytes_wasted": number(view.bytes_wasted),
        ":peers_max": number(view.peers_max),
        ":completion": fraction(view.completion),
    };
    sql::change(connection, sql, values).map(drop)
}

/// Keeps the last `max` views. Ids have no gaps but where views were forgotten, which are the oldest.
fn prune(connection: &Connection, max: u64) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM views WHERE id <= (SELECT max(id) FROM views) - ?1";
    sql::change(connection, sql, [number(max)]).map(drop)
}

/// A part of a whole. What can't be reckoned (of a file with no bytes, say) is none of it.
fn fraction(part: f64) -> f64 {
    if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) }
}

fn read(row: &Row<'_>) -> rusqlite::Result<NewView> {
    Ok(NewView {
        user: sql::user(row, "user")?,
        info_hash: sql::info_hash(row)?,
        file: sql::file(row)?,
        name: row.get("name")?,
        client: row.get("client")?,
        started_at: sql::whole(row, "started_at")?,
        ended_at: sql::whole(row, "ended_at")?,
        ttfb_ms: sql::whole_if(row, "ttfb_ms")?,
        seeks: sql::whole(row, "seeks")?,
        seek_ms_total: sql::whole(row, "seek_ms_total")?,
        seek_ms_max: sql::whole(row, "seek_ms_max")?,
        stalls: sql::whole(row, "stalls")?,
        stalled_ms: sql::whole(row, "stalled_ms")?,
        bytes_swarm: sql::whole(row, "bytes_swarm")?,
        bytes_sent: sql::whole(row, "bytes_sent")?,
        bytes_wasted: sql::whole(row, "bytes_wasted")?,
        peers_max: sql::whole(row, "peers_max")?,
        completion: row.get("completion")?,
    })
}

fn read_totals(row: &Row<'_>) -> rusqlite::Result<Totals> {
    Ok(Totals {
        user: sql::user(row, "user")?,
        views: sql::whole(row, "views")?,
        with_ttfb: sql::whole(row, "with_ttfb")?,
        ttfb_ms_mean: row.get("ttfb_ms_mean")?,
        seeks: sql::whole(row, "seeks")?,
        seek_ms_total: sql::whole(row, "seek_ms_total")?,
        seek_ms_max: sql::whole(row, "seek_ms_max")?,
        stalls: sql::whole(row, "stalls")?,
        stalled_ms: sql::whole(row, "stalled_ms")?,
        bytes_swarm: sql::whole(row, "bytes_swarm")?,
        bytes_sent: sql::whole(row, "bytes_sent")?,
        bytes_wasted: sql::whole(row, "bytes_wasted")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    #[test]
    fn the_oldest_views_go_first() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, schema::STEPS).unwrap();
        let view = super::super::tests::view("anna", 1);
        for _ in 0..5 {
            add(&connection, &view).unwrap();
        }
        prune(&connection, 3).unwrap();
        let ids: Vec<u64> =
            sql::rows(&connection, "SELECT id FROM views ORDER BY id", [], |row| sql::whole(row, "id"))
                .unwrap();
        assert_eq!(ids, [3, 4, 5]);
    }

    #[test]
    fn filters_find_their_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, schema::STEPS).unwrap();
        let anna = ViewFilter { user: Some("anna".parse().unwrap()), ..ViewFilter::default() };
        let torrent = ViewFilter { info_hash: Some(InfoHash([1; 20])), ..ViewFilter::default() };
        for (filter, index) in [(anna, "views_by_user"), (torrent, "views_by_hash")] {
            let (conditions, values) = filter.conditions(Some(ViewCursor(9)));
            let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM views WHERE {conditions} ORDER BY id DESC");
            let plan: Vec<String> =
                sql::rows(&connection, &sql, params_from_iter(values), |row| row.get("detail")).unwrap();
            assert!(plan[0].contains(index), "{plan:?}");
            assert_eq!(plan.len(), 1, "nothing is sorted: {plan:?}");
        }
    }

    #[test]
    fn what_is_no_fraction_is_made_one() {
        let made = [f64::NAN, -1.0, 0.25, f64::INFINITY].map(fraction);
        assert_eq!(made, [0.0, 0.0, 0.25, 1.0]);
    }
}
