//! Every bound of this room, with what it stops.

use afflux_metainfo::BLOCK_LENGTH;

/// Blocks in one extent, the unit of allocation and of the ledger: long enough for one write or one HTTP frame
/// to be worth its system call, short enough that a lone block strands little.
pub const EXTENT_BLOCKS: u32 = 16;

/// Bytes in a full extent (256 KiB).
pub const EXTENT_BYTES: u32 = EXTENT_BLOCKS * BLOCK_LENGTH;
