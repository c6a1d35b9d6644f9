//! What each user named: .torrent files and magnet URIs, so that an info-hash alone is enough later.

use afflux_metainfo::limits::TORRENT_BYTES_MAX;
use afflux_metainfo::{InfoHash, InfoHashV2, InfoHashes};
use rusqlite::{Connection, Row, ToSql, Transaction, named_params};

use super::limits::{SOURCE_BYTES_PER_USER_MAX, TORRENTS_PER_USER_MAX};
use super::sql::{self, number};
use super::{Database, DatabaseError};
use crate::user::User;

/// How a torrent was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The bytes of a .torrent file.
    Torrent(Vec<u8>),
    /// A magnet URI.
    Magnet(String),
}

/// A torrent that a user named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTorrent {
    /// All of it but how it was named.
    pub entry: TorrentEntry,
    /// How it was named.
    pub source: Source,
}

/// A torrent that a user named, without what it was named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentEntry {
    /// Who named it.
    pub user: User,
    /// The hash of the wire: v1 where it exists, else the truncated v2 hash.
    pub info_hash: InfoHash,
    /// The v2 hash, if it is known to have one.
    pub info_hash_v2: Option<InfoHashV2>,
    /// When it was first named.
    pub added_at: u64,
    /// When it was last named or used.
    pub last_used: u64,
    /// What it is called.
    pub name: String,
    /// Bytes of the .torrent file or magnet URI.
    pub source_bytes: u64,
}

/// Where a page of a user's torrents ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorrentCursor {
    /// When the page's last torrent was first named.
    pub added_at: u64,
    /// Its hash.
    pub info_hash: InfoHash,
}

impl TorrentEntry {
    /// Where a page that ends with this torrent ends.
    pub fn cursor(&self) -> TorrentCursor {
        TorrentCursor { added_at: self.added_at, info_hash: self.info_hash }
    }
}

/// The table of torrents.
#[derive(Clone, Copy, Debug)]
pub struct KnownTorrents<'a>(pub(super) &'a Database);

impl KnownTorrents<'_> {
    /// Remembers a torrent; says whether it is new to the user. If the user named it before, what is newly known is added: a magnet URI doesn't replace a
    /// .torrent, which says all that and more. A torrent that was known by one of its hashes and turns out to have
    /// both stays one torrent.
    ///
    /// The user's least recently used ones go beyond [`TORRENTS_PER_USER_MAX`] torrents or
    /// [`SOURCE_BYTES_PER_USER_MAX`] bytes.
    ///
    /// # Errors
    /// [`DatabaseError::TooLong`] for a source beyond what a .torrent may have.
    pub async fn remember(
        &self,
        user: &User,
        hashes: InfoHashes,
        name: &str,
        source: Source,
        now: u64,
    ) -> Result<bool, DatabaseError> {
        let name = sql::text(name);
        sql::keep_short("a torrent", source.bytes().len(), TORRENT_BYTES_MAX)?;
        let user = user.clone();
        let work = move |connection: &Transaction<'_>| {
            let is_new = !is_known(connection, &user, hashes)?;
            let added_at = take_other_name(connection, &user, hashes)?.unwrap_or(now);
            upsert(connection, &user, hashes, &name, &source, added_at, now)?;
            prune(connection, &user, hashes)?;
            Ok(is_new)
        };
        self.0.write(work).await
    }

    /// A user's torrent by any of its hashes.
    pub async fn find(&self, user: &User, hashes: InfoHashes) -> Result<Option<KnownTorrent>, DatabaseError> {
        let user = user.clone();
        let sql = "SELECT *, length(source) AS source_bytes FROM torrents \
                   WHERE user = :user AND (info_hash = :v1 OR info_hash_v2 = :v2) ORDER BY last_used DESC LIMIT 1";
        let work = move |connection: &Connection| {
            let (v1, v2) = blobs(hashes);
            sql::row(connection, sql, named_params! { ":user": user.as_str(), ":v1": v1, ":v2": v2 }, read)
        };
        self.0.find(work).await
    }

    /// Anybody's torrent by any of its hashes: the one used last. A .torrent is preferred to a magnet URI.
    pub async fn find_any(&self, hashes: InfoHashes) -> Result<Option<KnownTorrent>, DatabaseError> {
        let sql = "SELECT *, length(source) AS source_bytes FROM torrents \
                   WHERE info_hash = :v1 OR info_hash_v2 = :v2 ORDER BY kind, last_used DESC LIMIT 1";
        let work = move |connection: &Connection| {
            let (v1, v2) = blobs(hashes);
            sql::row(connection, sql, named_params! { ":v1": v1, ":v2": v2 }, read)
        };
        self.0.find(work).await
    }

    /// A user's torrents, or everybody's, the last one added first, after `after`, at most `limit`.
    pub async fn list(
        &self,
        user: Option<&User>,
        after: Option<TorrentCursor>,
        limit: usize,
    ) -> Result<Vec<TorrentEntry>, DatabaseError> {
        let user = user.map(|user| user.as_str().to_owned());
        let (added_at, info_hash) =
            after.map_or((i64::MAX, [0xff; 20]), |cursor| (number(cursor.added_at), cursor.info_hash.0));
        let whose = if user.is_some() { "user = ?1" } else { "?1 IS NULL" };
        let sql = format!(
            "SELECT user, info_hash, info_hash_v2, added_at, last_used, name, length(source) AS source_bytes \
             FROM torrents WHERE {whose} AND (added_at, info_hash) < (?2, ?3) \
             ORDER BY added_at DESC, info_hash DESC LIMIT ?4"
        );
        let work = move |connection: &Connection| {
            let values = (user, added_at, info_hash, sql::limit(limit));
            sql::rows(connection, &sql, values, read_entry)
        };
        self.0.read(work).await
    }

    /// Forgets a user's torrent; says whether there was one.
    pub async fn forget(&self, user: &User, hashes: InfoHashes) -> Result<bool, DatabaseError> {
        let user = user.clone();
        let sql = "DELETE FROM torrents WHERE user = :user AND (info_hash = :v1 OR info_hash_v2 = :v2)";
        let work = move |connection: &Transaction<'_>| {
            let (v1, v2) = blobs(hashes);
            let values = named_params! { ":user": user.as_str(), ":v1": v1, ":v2": v2 };
            Ok(sql::change(connection, sql, values)? > 0)
        };
        self.0.write(work).await
    }

    /// Notes that a user uses a torrent; says whether it is known.
    pub async fn touch(&self, user: &User, hashes: InfoHashes, now: u64) -> Result<bool, DatabaseError> {
        let user = user.clone();
        let sql = "UPDATE torrents SET last_used = max(last_used, :now) \
                   WHERE user = :user AND (info_hash = :v1 OR info_hash_v2 = :v2)";
        let work = move |connection: &Transaction<'_>| {
            let (v1, v2) = blobs(hashes);
            let values = named_params! { ":user": user.as_str(), ":v1": v1, ":v2": v2, ":now": number(now) };
            Ok(sql::change(connection, sql, values)? > 0)
        };
        self.0.write(work).await
    }
}

impl Source {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Torrent(bytes) => bytes,
            Self::Magnet(uri) => uri.as_bytes(),
        }
    }

    /// Its number in the column `kind`.
    fn kind(&self) -> i64 {
        match self {
            Self::Torrent(_) => 0,
            Self::Magnet(_) => 1,
        }
    }
}

/// The blobs to look for. What isn't known is NULL, which equals nothing. A torrent of BEP 52 alone lies under its
/// truncated hash, so that this is found as well.
fn blobs(hashes: InfoHashes) -> (Option<[u8; 20]>, Option<[u8; 32]>) {
    (hashes.v1().map(|hash| hash.0), hashes.v2().map(|hash| hash.0))
}

fn is_known(connection: &Connection, user: &User, hashes: InfoHashes) -> Result<bool, DatabaseError> {
    let sql = "SELECT 1 FROM torrents WHERE user = :user AND (info_hash = :v1 OR info_hash_v2 = :v2)";
    let (v1, v2) = blobs(hashes);
    let values = named_params! { ":user": user.as_str(), ":v1": v1, ":v2": v2 };
    Ok(sql::row(connection, sql, values, |_| Ok(()))?.is_some())
}

/// Takes away the row of the same torrent under another wire hash, which it had while only its v2 hash was known; gives
/// when it was added.
fn take_other_name(
    connection: &Connection,
    user: &User,
    hashes: InfoHashes,
) -> Result<Option<u64>, DatabaseError> {
    let InfoHashes::Hybrid(v1, v2) = hashes else { return Ok(None) };
    let sql =
        "DELETE FROM torrents WHERE user = ?1 AND info_hash <> ?2 AND info_hash_v2 = ?3 RETURNING added_at";
    let mut statement = connection.prepare_cached(sql)?;
    let taken = statement.query_map((user.as_str(), v1.0, v2.0), |row| sql::whole(row, "added_at"))?;
    Ok(taken.collect::<Result<Vec<_>, _>>()?.into_iter().min())
}

fn upsert(
    connection: &Connection,
    user: &User,
    hashes: InfoHashes,
    name: &str,
    source: &Source,
    added_at: u64,
    now: u64,
) -> Result<(), DatabaseError> {
    let info_hash = wire(connection, user, hashes)?;
    // 0, a .torrent, stays or replaces; 1, a magnet URI, only replaces another.
    let sql = "INSERT INTO torrents (user, info_hash, info_hash_v2, added_at, last_used, name, kind, source) \
               VALUES (:user, :info_hash, :v2, :added_at, :now, :name, :kind, :source) \
               ON CONFLICT (user, info_hash) DO UPDATE SET \
               info_hash_v2 = coalesce(excluded.info_hash_v2, info_hash_v2), \
               added_at = min(added_at, excluded.added_at), \
               last_used = max(last_used, excluded.last_used), \
               name = iif(excluded.kind <= kind, excluded.name, name), \
               source = iif(excluded.kind <= kind, excluded.source, source), \
               kind = min(excluded.kind, kind)";
    let values: &[(&str, &dyn ToSql)] = named_params! {
        ":user": user.as_str(),
        ":info_hash": info_hash.0,
        ":v2": hashes.v2().map(|hash| hash.0),
        ":added_at": number(added_at),
        ":now": number(now),
        ":name": name,
        ":kind": source.kind(),
        ":source": source.bytes(),
    };
    sql::change(connection, sql, values).map(drop)
}

/// The hash to keep a torrent under: of a v2 hash alone, that of the hybrid it is already known to belong to.
fn wire(connection: &Connection, user: &User, hashes: InfoHashes) -> Result<InfoHash, DatabaseError> {
    let InfoHashes::V2(v2) = hashes else { return Ok(hashes.wire()) };
    let sql = "SELECT info_hash FROM torrents WHERE user = ?1 AND info_hash_v2 = ?2";
    let known = sql::row(connection, sql, (user.as_str(), v2.0), sql::info_hash)?;
    Ok(known.unwrap_or(hashes.wire()))
}

/// Forgets a user's least recently used torrents beyond the bounds, but never the one that was just named, and last those that
/// are kept: a download that goes on after a restart needs its trackers.
fn prune(connection: &Connection, user: &User, named: InfoHashes) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM torrents WHERE user = :user AND info_hash IN ( \
                 SELECT info_hash FROM ( \
                   SELECT info_hash, row_number() OVER newest AS nth, sum(length(source)) OVER newest AS bytes \
                   FROM torrents WHERE user = :user \
                   WINDOW newest AS (ORDER BY info_hash IS :v1 OR info_hash_v2 IS :v2 DESC, \
                                     EXISTS (SELECT 1 FROM downloads AS kept WHERE kept.user = torrents.user \
                                             AND kept.info_hash = torrents.info_hash) DESC, \
                                     last_used DESC, info_hash ROWS UNBOUNDED PRECEDING)) \
                 WHERE nth > :count_max OR bytes > :bytes_max)";
    let (v1, v2) = blobs(named);
    // `IS` finds NULL too, and every row without a v2 hash has one.
    let (v1, v2) = (v1.unwrap_or_default(), v2.unwrap_or_default());
    let values = named_params! {
        ":user": user.as_str(),
        ":v1": v1,
        ":v2": v2,
        ":count_max": number(TORRENTS_PER_USER_MAX),
        ":bytes_max": number(SOURCE_BYTES_PER_USER_MAX),
    };
    sql::change(connection, sql, values).map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<KnownTorrent> {
    let bytes: Vec<u8> = row.get("source")?;
    let source = match row.get("kind")? {
        0 => Source::Torrent(bytes),
        _ => Source::Magnet(String::from_utf8(bytes).map_err(|error| sql::bad(row, "source", error))?),
    };
    Ok(KnownTorrent { entry: read_entry(row)?, source })
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<TorrentEntry> {
    Ok(TorrentEntry {
        user: sql::user(row, "user")?,
        info_hash: sql::info_hash(row)?,
        info_hash_v2: row.get::<_, Option<_>>("info_hash_v2")?.map(InfoHashV2),
        added_at: sql::whole(row, "added_at")?,
        last_used: sql::whole(row, "last_used")?,
        name: row.get("name")?,
        source_bytes: sql::whole(row, "source_bytes")?,
    })
}
