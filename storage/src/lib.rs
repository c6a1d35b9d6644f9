//! Where a torrent's bytes live between the socket and the player: memory first, then files.
//!
//! Here: the process-wide byte [ledger], the [pool] of block buffers, the [intake] that assembles pieces, the
//! hasher, the cache of verified pieces, the [disk] threads with their bounded file handles, [resume] files and
//! the per-torrent face of all of it, [`Store`].
//! Not here: what to fetch and what to evict (`swarm`), sockets and tasks (`src`). Threads are std's; nothing is async.
//!
//! BEPs: 3 (pieces and their SHA-1), 47 (pad files are never stored).
//!
//! # Locks
//! Every mutex is a leaf: nothing is called, allocated from the pool, dropped back to it, or waited for while one
//! is held (a condition variable releases the lock it waits with).

pub mod disk;
pub mod intake;
pub mod ledger;
pub mod limits;
pub mod pool;
pub mod resume;
pub mod store;

pub use disk::{Disk, DiskConfig};
pub use intake::Full;
pub use ledger::{Charge, Ledger};
pub use pool::{BlockBuffer, Pool};
pub use resume::Resume;
pub use store::{Check, Event, Kind, ReadError, ReadReply, Store, StoreConfig};
