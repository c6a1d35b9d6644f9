//! Every bound of this room, with what it stops.

use std::time::Duration;

use afflux_metainfo::BLOCK_LENGTH;

/// Blocks in one extent, the unit of allocation and of the ledger: long enough for one write or one HTTP frame
/// to be worth its system call, short enough that a lone block strands little.
pub const EXTENT_BLOCKS: u32 = 16;

/// Bytes in a full extent (256 KiB).
pub const EXTENT_BYTES: u32 = EXTENT_BLOCKS * BLOCK_LENGTH;

/// Most memory for verified pieces that are on disk too, for all torrents. What just came is asked for by other peers, and read
/// by players beside the download; what is older the kernel keeps anyhow. Measured beside 100 MiB of them, with the free list
/// below: a downloaded GiB took 1.26 instead of 1.43 s of processor time, since memory is touched first less often.
pub const DISPOSABLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most idle memory that the pool keeps for the next piece; what nobody has used for a while goes back all the same
/// (`Pool::forget_unused`). As much as a fast download swings by: less makes every extent cost its page faults anew.
pub const FREE_LIST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Buffers lent for one block besides its own. Attack: peers that accept requests and let others be asked for the
/// same blocks, so that spares for one block take the ledger.
pub const SPARES_PER_BLOCK_MAX: usize = 2;

/// Adjacent blocks that make it worth calling the hash thread: fewer means a wake-up per block, more means that
/// they leave the processor's cache before they are hashed.
pub const HASH_RUN_BLOCKS: usize = 8;

/// How long the hash thread waits for more pieces to hash beside what is there, if no reader waits for it. At 250 MiB/s
/// a piece of 1 MiB comes in that time, and two pieces hash in little more than the time of one. Verifying a piece that
/// much later matters to nobody: a peer's round trip takes longer.
pub const HASH_GATHER: Duration = Duration::from_millis(4);

/// Blocks that the hash thread takes at once; others get their turn at the piece's lock in between.
pub const HASH_RUN_BLOCKS_MAX: usize = 64;

/// Least memory that is made free at once where it's short: with less, every other request would find none again.
pub const RELIEF_BYTES: usize = 4 * EXTENT_BYTES as usize;

/// What the places of pieces in a bounded disk cache are multiples of: the blocks of usual file systems.
pub const HOLE_BYTES: u64 = 4096;

/// Bytes of one read: a reader that asks for more would hold the whole ledger while others wait.
pub const READ_BYTES_MAX: u32 = 1024 * 1024;

/// Bytes behind a miss that the kernel is asked to fetch meanwhile, within the piece: a few extents keep a disk busy while
/// one is sent.
pub const READ_AHEAD_BYTES: u32 = 1024 * 1024;

/// Distance of the places where a stretch of a file is looked at for being in memory: as much as the kernel's own read-ahead
/// fetches at least. A page missing in between makes a task wait for the disk once; more samples cost every sender.
pub const HOT_SAMPLE_BYTES: u64 = 128 * 1024;

/// After so many bytes that were all in memory a file is looked at less often, until something is missing: the looks took 6 % of
/// a sender's time.
pub const HOT_STREAK_BYTES: u64 = 16 * 1024 * 1024;

/// Distance of the looks then.
pub const HOT_STREAK_SAMPLE_BYTES: u64 = 1024 * 1024;

/// Reads that may wait for the disk threads. Attack: peers that request faster than the disk can serve.
pub const READS_QUEUED_MAX: usize = 4096;

/// Buffers in one vectored write; Linux takes 1024 (`IOV_MAX`), other systems fewer.
pub const WRITE_SLICES_MAX: usize = 512;

/// Bytes that are read at once to recheck a piece: long enough for the disk, short enough for the processor's cache.
pub const CHECK_READ_BYTES: usize = EXTENT_BYTES as usize;

/// Bytes of a piece that the kernel is asked to fetch at once when a recheck finds them on a disk.
pub const CHECK_AHEAD_BYTES: u64 = 2 * 1024 * 1024;

/// Bytes of the pieces that a recheck hashes side by side before reads that came meanwhile have their turn: a quarter of a
/// second of a slow disk.
pub const CHECK_STEP_BYTES: u64 = 32 * 1024 * 1024;

const _: () = assert!(HASH_RUN_BLOCKS <= HASH_RUN_BLOCKS_MAX);
const _: () = assert!(READ_BYTES_MAX >= EXTENT_BYTES);

/// Largest resume file: the info dictionary (16 MiB at most from peers, 32 MiB from a .torrent), 16 bytes per file,
/// a bit per piece. Attack: a file of any size put into the data folder.
pub const RESUME_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Written stretches of one file that are told apart after a crash; what lies behind them counts as written, and is read.
/// Attack: a file with a hole in every other page.
pub const DATA_RANGES_MAX: usize = 65_536;

/// Pieces that are hashed again after an unclean end although nothing speaks against them. Sixteen find a disk that lost
/// a tenth of what it had promised to keep in four of five cases, and cost a fraction of a second.
pub const SPOT_CHECKS: usize = 16;
