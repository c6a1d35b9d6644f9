-- What containers say of files, as JSON; their indexes apart, which are long and seldom needed. It is the same for everybody who has
-- the torrent.
CREATE TABLE films (
    info_hash BLOB NOT NULL CHECK (length(info_hash) = 20),
    file      INTEGER NOT NULL CHECK (file BETWEEN 0 AND 4294967295),
    last_used INTEGER NOT NULL CHECK (last_used >= 0),
    facts     TEXT NOT NULL,
    points    TEXT,
    PRIMARY KEY (info_hash, file)
) STRICT;
CREATE INDEX films_by_use ON films (last_used);
