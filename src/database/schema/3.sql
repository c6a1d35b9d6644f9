-- Where users are in films. What is finished has the file that comes after it, if there is one.
CREATE TABLE watching (
    user       TEXT NOT NULL,
    info_hash  BLOB NOT NULL CHECK (length(info_hash) = 20),
    file       INTEGER NOT NULL CHECK (file BETWEEN 0 AND 4294967295),
    updated_at INTEGER NOT NULL CHECK (updated_at >= 0),
    finished   INTEGER NOT NULL CHECK (finished IN (0, 1)),
    position   INTEGER CHECK (position >= 0),
    seconds    REAL CHECK (seconds >= 0),
    duration   REAL CHECK (duration >= 0),
    length     INTEGER NOT NULL CHECK (length >= 0),
    next_file  INTEGER CHECK (next_file BETWEEN 0 AND 4294967295),
    name       TEXT NOT NULL,
    path       TEXT NOT NULL,
    next_path  TEXT,
    PRIMARY KEY (user, info_hash, file)
) STRICT;
CREATE INDEX watching_by_user ON watching (user, updated_at);
CREATE INDEX watching_by_age ON watching (updated_at);
