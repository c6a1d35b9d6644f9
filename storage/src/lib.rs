//! Where a torrent's bytes live between the socket and the player: memory first, then files.
//!
//! Here: the process-wide byte [ledger], the [pool] of block buffers, the intake that assembles pieces (and spills them
//! to disk when memory is short), the cache of verified pieces, the [disk] and hash threads with their bounded file
//! handles, the bounded disk cache, [resume] files and the per-torrent face of all of it, [`Store`].
//! Not here: what to fetch and what to evict (`swarm`), sockets and tasks (`src`). Threads are std's; nothing is async.
//!
//! BEPs: 3 (pieces and their SHA-1), 47 (pad files are never stored).
//!
//! # A block's way
//! [`Store::reserve`] → [`Store::take_buffer`] → the socket writes into it → [`Store::fill`] → a hash thread
//! → [`Event::Verified`], readable from memory → a write thread → [`Event::Written`], memory may go.
//! It is the same memory all the way; the only copy made in this crate is of a block that two peers were asked for,
//! when its payload came in a spare.
//!
//! # Locks
//! Every mutex is a leaf: nothing is called, allocated, dropped back to the pool or waited for while one is held
//! (a condition variable releases the lock it waits with).

mod cache;
mod check;
pub mod disk;
mod files;
pub mod hasher;
mod hashing;
mod holes;
mod intake;
pub mod ledger;
pub mod limits;
mod lock;
pub mod pool;
mod queue;
mod read;
pub mod resume;
mod spill;
pub mod store;
mod torrent;

pub use check::{check_files, hash_files};
pub use disk::{Disk, DiskConfig};
pub use files::{Allocation, FileLoan, Survey, remove_files};
pub use intake::{Attempt, Full};
pub use ledger::{Charge, Ledger};
pub use pool::{BlockBuffer, Pool};
pub use resume::{Resume, ResumeLock};
pub use store::{Check, Event, FileOptions, Kind, Notify, ReadError, ReadReply, Spills, Store, StoreConfig};
