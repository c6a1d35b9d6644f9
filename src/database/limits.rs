//! How much the database may grow, and what each bound stops.
//!
//! Who has a token can make rows: by naming torrents, by opening streams, by asking often. None of it may fill the disk
//! or make a start slow.

use afflux_metainfo::limits::{MAGNET_BYTES_MAX, TORRENT_BYTES_MAX};

/// Bytes of the file: what each user may have adds up to more than a disk has when there are thousands. SQLite refuses to
/// grow beyond it as if the disk were full.
pub const FILE_BYTES_MAX: u64 = 4 << 30;

/// Users recorded. Whoever can mint tokens for more can make any number of names.
pub const USERS_MAX: u64 = 10_000;

/// Revoked tokens; all of them are in memory too, about 100 bytes each. A token that is revoked must never be forgotten
/// before it has expired, so one more is refused.
pub const REVOCATIONS_MAX: u64 = 100_000;

/// Seconds that a revocation outlives its token: more than any leeway that is given to clocks.
pub const REVOCATION_GRACE_SECONDS: u64 = 3600;

/// Bytes of a token's id (`jti`): a UUID has 36.
pub const TOKEN_ID_BYTES_MAX: usize = 256;

/// Torrents remembered of each user: a client that names torrents in a loop only forgets its own.
pub const TORRENTS_PER_USER_MAX: u64 = 1000;

/// Bytes of .torrent files and magnet URIs remembered of each user.
pub const SOURCE_BYTES_PER_USER_MAX: u64 = 64 << 20;

/// Sessions remembered, of all users: what is read at once at the start.
pub const SESSIONS_MAX: u64 = 20_000;

/// Downloads of each user: they are resumed one by one at the start.
pub const DOWNLOADS_PER_USER_MAX: u64 = 1000;

/// Views kept, whatever the retention: at some 400 bytes each with their indexes, 80 MB.
pub const VIEWS_MAX: u64 = 200_000;

/// Files of each user of which it is kept where the user is: a series of many seasons, some 500 bytes a row.
pub const WATCHED_PER_USER_MAX: u64 = 1000;

/// Files of which it is kept what their containers say, of all users: at some 50 KB for an index of two hours, 100 MB.
pub const FILMS_MAX: u64 = 2000;

/// Bytes of what is kept of one file: an index as long as any may be.
pub const FILM_BYTES_MAX: usize = 2 << 20;

/// Users whose usage is counted on one day.
pub const USAGE_PER_DAY_MAX: u64 = USERS_MAX;

/// Rows about suspicious patterns: what every user can be accused of on some days.
pub const SUSPICIONS_MAX: u64 = 100_000;

/// Bytes of a pattern's name; they are chosen in our own code.
pub const PATTERN_BYTES_MAX: usize = 64;

/// Bytes of a text that is for people to read (a file's name, a client, a reason). Longer ones are cut.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Rows in one answer: what fits in a reply, and holds up the reading thread for some milliseconds.
pub const PAGE_ROWS_MAX: usize = 1000;

/// The largest number kept; larger ones count as this. 9 PB, the largest that readers of JSON keep exactly, and so far
/// below SQLite's own bound that sums don't leave it.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Jobs waiting for each thread; then callers wait. Most take some 100 microseconds, so this is a few milliseconds' worth.
/// One can carry a .torrent of 32 MiB, so the queue isn't longer: what waits to enter it is bounded by who accepts such
/// uploads.
pub const JOBS_MAX: usize = 32;

/// Damaged databases kept beside the new one: the first of a bad disk is worth keeping, the tenth isn't.
pub const ASIDE_MAX: usize = 3;

const _: () =
    assert!(TORRENT_BYTES_MAX as u64 <= SOURCE_BYTES_PER_USER_MAX, "the newest torrent always fits");
const _: () = assert!(MAGNET_BYTES_MAX <= TORRENT_BYTES_MAX, "one bound serves both kinds of source");
const _: () = assert!(PATTERN_BYTES_MAX <= TEXT_BYTES_MAX);
