//! Every bound on what a .torrent, a magnet link or any bencoded input may ask of us, with the attack it
//! stops.

use crate::bencode::Limits;

/// Deepest nesting of lists and dictionaries anywhere. Honest metainfo needs a level per folder; a nesting
/// bomb (`dddd…`) wants a level per byte.
pub const BENCODE_DEPTH_MAX: u16 = 100;

/// Digits of a string's length prefix or an integer, sign apart: 19 hold every `i64`.
pub const BENCODE_DIGITS_MAX: u8 = 19;

/// Largest .torrent file. The largest honest ones (a million pieces, tens of thousands of files) stay below
/// 30 MiB of hashes; attack: an endless file behind a URL.
pub const TORRENT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Largest `info` dictionary that is taken from peers (BEP 9), and so the most a magnet can make us hold.
pub const METADATA_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Tokens in a .torrent: a v2 file tree costs ten per file. Attack: `l` followed by millions of `0:`.
pub const TORRENT_TOKENS_MAX: u32 = 3_000_000;

/// Most pieces of a torrent: a bitfield of them is 256 KiB, below [`peer`'s largest message]. An open torrent holds about 52
/// bytes per piece: its hash twice (in the info dictionary and for storage), and what the swarm knows of it.
pub const PIECES_MAX: u32 = 2_097_152;

/// Largest piece. Larger ones exist only in attacks; a piece must fit memory to be verified.
pub const PIECE_LENGTH_MAX: u32 = 1 << 29;

/// Most files of a torrent. An open one holds about 200 bytes per file, mostly its path.
pub const FILES_MAX: usize = 500_000;

/// Largest total: offsets stay far from the end of `i64`, so that sums of two can't overflow.
pub const TOTAL_LENGTH_MAX: u64 = 1 << 50;

/// Limits for a whole .torrent file.
pub const TORRENT: Limits = Limits {
    bytes: TORRENT_BYTES_MAX,
    depth: BENCODE_DEPTH_MAX,
    tokens: TORRENT_TOKENS_MAX,
    digits: BENCODE_DIGITS_MAX,
};

/// Limits for an `info` dictionary that came from peers.
pub const METADATA: Limits = Limits { bytes: METADATA_BYTES_MAX, ..TORRENT };

/// Deepest file path, the torrent's own name included. Attack: thousands of folders in folders, which no
/// file system takes and no file manager can delete.
pub const PATH_DEPTH_MAX: usize = 100;

/// Longest path component in bytes. File systems take 255; the rest is room for `.1` and `.part`.
pub const PATH_COMPONENT_BYTES_MAX: usize = 240;

/// What all paths of a torrent may cost: their bytes, and [`PATH_COMPONENT_COST_BYTES`] for every
/// component. Attack: a v2 file tree that names a deep folder once and puts 300,000 files into it.
pub const PATH_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What a component costs besides its bytes: the string's own fields and the allocator's.
pub const PATH_COMPONENT_COST_BYTES: u64 = 40;

/// Most files that are renamed because their name is taken. Honest torrents have a few that differ in case
/// only.
pub const RENAMED_FILES_MAX: usize = 10_000;

/// Most renamed files that a torrent's warnings list one by one.
pub const RENAMED_WARNINGS_MAX: usize = 100;

/// Most trackers of a torrent or magnet, all tiers together. Attack: thousands of them, so that every
/// reader of the torrent floods someone with announces.
pub const TRACKERS_MAX: usize = 64;

/// Most web seeds of a torrent or magnet; the attack is the trackers'.
pub const WEB_SEEDS_MAX: usize = 64;

/// Most DHT nodes of a torrent.
pub const NODES_MAX: usize = 64;

/// Most peers that a magnet names.
pub const MAGNET_PEERS_MAX: usize = 64;

/// Longest URL of a tracker or web seed, as HTTP servers have it.
pub const URL_BYTES_MAX: usize = 2048;

/// Longest host name (RFC 1035).
pub const HOST_BYTES_MAX: usize = 253;

/// Longest magnet link; the largest honest ones carry a few dozen trackers.
pub const MAGNET_BYTES_MAX: usize = 64 * 1024;

/// Longest comment or name that is shown.
pub const TEXT_BYTES_MAX: usize = 4096;
