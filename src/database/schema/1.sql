-- Every table is STRICT and says what its values can be, so that the check after an unclean end finds rows that nobody
-- wrote. Times are unix seconds, days are unix days, hashes are raw bytes, true and false are 1 and 0.

CREATE TABLE users (
    name           TEXT NOT NULL PRIMARY KEY,
    disabled       INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    max_streams    INTEGER CHECK (max_streams >= 0),
    download_limit INTEGER CHECK (download_limit >= 0),
    upload_limit   INTEGER CHECK (upload_limit >= 0),
    daily_bytes    INTEGER CHECK (daily_bytes >= 0),
    first_seen     INTEGER NOT NULL CHECK (first_seen >= 0),
    last_seen      INTEGER NOT NULL CHECK (last_seen >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE revocations (
    token_id TEXT NOT NULL PRIMARY KEY,
    expires  INTEGER NOT NULL CHECK (expires >= 0),
    reason   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `source` comes last: a row's other columns are read without it, however long it is.
CREATE TABLE torrents (
    user         TEXT NOT NULL,
    info_hash    BLOB NOT NULL CHECK (length(info_hash) = 20),
    info_hash_v2 BLOB CHECK (length(info_hash_v2) = 32),
    added_at     INTEGER NOT NULL CHECK (added_at >= 0),
    last_used    INTEGER NOT NULL CHECK (last_used >= 0),
    name         TEXT NOT NULL,
    kind         INTEGER NOT NULL CHECK (kind IN (0, 1)),
    source       BLOB NOT NULL,
    PRIMARY KEY (user, info_hash)
) STRICT;
CREATE INDEX torrents_by_hash ON torrents (info_hash);
CREATE INDEX torrents_by_hash_v2 ON torrents (info_hash_v2) WHERE info_hash_v2 IS NOT NULL;
CREATE INDEX torrents_by_age ON torrents (user, added_at, info_hash);

CREATE TABLE sessions (
    id             BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user           TEXT NOT NULL,
    info_hash      BLOB NOT NULL CHECK (length(info_hash) = 20),
    file           INTEGER NOT NULL CHECK (file BETWEEN 0 AND 4294967295),
    created_at     INTEGER NOT NULL CHECK (created_at >= 0),
    last_used      INTEGER NOT NULL CHECK (last_used >= 0),
    expires_at     INTEGER NOT NULL CHECK (expires_at >= 0),
    paused         INTEGER NOT NULL CHECK (paused IN (0, 1)),
    position       INTEGER NOT NULL CHECK (position >= 0),
    token_max_rate INTEGER CHECK (token_max_rate >= 0),
    client         TEXT,
    tokens         BLOB NOT NULL CHECK (length(tokens) % 32 = 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user);

-- `files`: a JSON array of file indices; NULL means all.
CREATE TABLE downloads (
    user           TEXT NOT NULL,
    info_hash      BLOB NOT NULL CHECK (length(info_hash) = 20),
    folder         BLOB NOT NULL,
    sequential     INTEGER NOT NULL CHECK (sequential IN (0, 1)),
    paused         INTEGER NOT NULL CHECK (paused IN (0, 1)),
    download_limit INTEGER CHECK (download_limit >= 0),
    upload_limit   INTEGER CHECK (upload_limit >= 0),
    seed_ratio     REAL CHECK (seed_ratio >= 0),
    seed_seconds   INTEGER CHECK (seed_seconds >= 0),
    added_at       INTEGER NOT NULL CHECK (added_at >= 0),
    finished_at    INTEGER CHECK (finished_at >= 0),
    uploaded_bytes INTEGER NOT NULL CHECK (uploaded_bytes >= 0),
    seeded_seconds INTEGER NOT NULL CHECK (seeded_seconds >= 0),
    error          TEXT,
    files          TEXT,
    PRIMARY KEY (user, info_hash)
) STRICT;

-- AUTOINCREMENT: a cursor never meets an id that was another row's.
CREATE TABLE views (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user         TEXT NOT NULL,
    info_hash    BLOB NOT NULL CHECK (length(info_hash) = 20),
    file         INTEGER NOT NULL CHECK (file BETWEEN 0 AND 4294967295),
    name         TEXT NOT NULL,
    client       TEXT,
    started_at   INTEGER NOT NULL CHECK (started_at >= 0),
    ended_at     INTEGER NOT NULL CHECK (ended_at >= 0),
    ttfb_ms      INTEGER CHECK (ttfb_ms >= 0),
    seeks        INTEGER NOT NULL CHECK (seeks >= 0),
    seek_ms_total INTEGER NOT NULL CHECK (seek_ms_total >= 0),
    seek_ms_max  INTEGER NOT NULL CHECK (seek_ms_max >= 0),
    stalls       INTEGER NOT NULL CHECK (stalls >= 0),
    stalled_ms   INTEGER NOT NULL CHECK (stalled_ms >= 0),
    bytes_swarm  INTEGER NOT NULL CHECK (bytes_swarm >= 0),
    bytes_sent   INTEGER NOT NULL CHECK (bytes_sent >= 0),
    bytes_wasted INTEGER NOT NULL CHECK (bytes_wasted >= 0),
    peers_max    INTEGER NOT NULL CHECK (peers_max >= 0),
    completion   REAL NOT NULL CHECK (completion BETWEEN 0 AND 1)
) STRICT;
CREATE INDEX views_by_user ON views (user, id);
CREATE INDEX views_by_hash ON views (info_hash, id);
CREATE INDEX views_by_end ON views (ended_at);

CREATE TABLE usage (
    user        TEXT NOT NULL,
    day         INTEGER NOT NULL CHECK (day BETWEEN 0 AND 4294967295),
    bytes_sent  INTEGER NOT NULL CHECK (bytes_sent >= 0),
    bytes_swarm INTEGER NOT NULL CHECK (bytes_swarm >= 0),
    requests    INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (user, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_by_day ON usage (day);

CREATE TABLE suspicious (
    user    TEXT NOT NULL,
    pattern TEXT NOT NULL,
    day     INTEGER NOT NULL CHECK (day BETWEEN 0 AND 4294967295),
    count   INTEGER NOT NULL CHECK (count >= 0),
    last_at INTEGER NOT NULL CHECK (last_at >= 0),
    detail  TEXT NOT NULL,
    PRIMARY KEY (user, pattern, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX suspicious_by_day ON suspicious (day);
