//! Every bound on what a .torrent, a magnet link or any bencoded input may ask of us, with the attack it stops.

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

/// Most pieces of a torrent: a bitfield of them is 256 KiB, below [`peer`'s largest message].
pub const PIECES_MAX: u32 = 2_097_152;

/// Largest piece. Larger ones exist only in attacks; a piece must fit memory to be verified.
pub const PIECE_LENGTH_MAX: u32 = 1 << 29;

/// Most files of a torrent.
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
