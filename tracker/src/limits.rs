//! Every bound on what a tracker, or a torrent that names trackers, may ask of us, with the attack it stops.

use std::time::Duration;

use afflux_metainfo::bencode;

/// Trackers kept of one torrent. Attack: an announce-list of a million URLs that makes every client knock at a
/// victim.
pub const TRACKERS_MAX: usize = 64;

/// Refused trackers remembered for the user to see; the rest is only counted as dropped.
pub const REFUSED_MAX: usize = 64;

/// Bytes of a tracker's URL. Honest ones, passkey included, stay below 300.
pub const URL_BYTES_MAX: usize = 2048;

/// Bytes of a DNS name (RFC 1035, section 2.3.4).
pub const HOST_BYTES_MAX: usize = 253;

/// Bytes of an HTTP reply after decompression. Attack: an endless or exploding body.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Peers taken from one reply; further ones are dropped. Attack: a million addresses that fill the roster.
pub const PEERS_MAX: usize = 1000;

/// Limits of the bencode of a reply. The non-compact form costs seven tokens per peer, two levels deep; room is left
/// for keys that other software adds.
pub const REPLY: bencode::Limits =
    bencode::Limits { bytes: REPLY_BYTES_MAX, depth: 16, tokens: 200_000, digits: 19 };

/// Bytes of a tracker id that are sent back in later announces (BEP 3). Attack: an id that makes every later URL
/// a megabyte. A longer one is ignored.
pub const TRACKER_ID_BYTES_MAX: usize = 256;

/// Characters kept of a tracker's failure reason or warning, which ends in logs and status lines.
pub const MESSAGE_CHARS_MAX: usize = 256;

/// Wait between announces when the tracker names none.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(30 * 60);

/// Shortest regular wait. Attack: interval 0 turns every client into a flood.
pub const INTERVAL_MIN: Duration = Duration::from_secs(5 * 60);

/// Longest wait, regular or demanded. Attack: a huge interval keeps us from ever asking again.
pub const INTERVAL_MAX: Duration = Duration::from_secs(60 * 60);

/// Shortest wait between two successful announces without an event, whoever asks for them.
pub const MIN_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// First retransmission (BEP 15) and first retry of a failing tracker: 15 s, doubled each time.
pub const RETRY_FIRST: Duration = Duration::from_secs(15);

/// Longest wait between retries of a failing tracker (BEP 15 ends at 3,840 s, just above).
pub const RETRY_MAX: Duration = INTERVAL_MAX;

/// How often a UDP request is sent again at most within one attempt (BEP 15: n up to 8).
pub const RETRANSMISSIONS_MAX: u32 = 8;

/// How long a UDP connection id may be used after it came (BEP 15: one minute).
pub const CONNECTION_ID_LIFE: Duration = Duration::from_secs(60);

/// Connection ids remembered at once. Attack: torrents that name thousands of UDP trackers.
pub const CONNECTION_IDS_MAX: usize = 256;

/// Bytes of a UDP tracker's path and query that are sent along (BEP 41): four options of 255 bytes stay below a
/// packet's safe size together with the 98 bytes of the request.
pub const URL_DATA_BYTES_MAX: usize = 1020;

const _: () = assert!(INTERVAL_MIN.as_secs() <= INTERVAL_DEFAULT.as_secs());
const _: () = assert!(INTERVAL_DEFAULT.as_secs() <= INTERVAL_MAX.as_secs());
const _: () = assert!(MIN_INTERVAL_MIN.as_secs() <= INTERVAL_MIN.as_secs());
const _: () = assert!(PEERS_MAX * 18 < REPLY_BYTES_MAX);
const _: () = assert!(98 + URL_DATA_BYTES_MAX + 2 * URL_DATA_BYTES_MAX.div_ceil(255) < 1200);
