//! One torrent's mind: what to ask of whom, whom to serve, whom to know, what to keep.
//!
//! [`Swarm`] is the machine; the engine feeds it connections, reports of peers, verified pieces and readers' windows,
//! and does what its [`Output`]s say. Beside it stands the [`shaper`], the hierarchy of rates that all torrents share.
//!
//! Not here: sockets, clocks, files, hashing of payload. `peer` speaks the wire, `storage` holds the bytes.
//!
//! BEPs: 3 (choking, requests), 6 (allowed-fast, reject), 9 (metadata), 21 (partial seeds), 27 (private), 54.

pub mod availability;
pub mod blame;
mod chance;
pub mod choker;
mod config;
pub mod duplicates;
mod input;
pub mod keep;
pub mod key;
mod lateness;
pub mod limits;
pub mod metadata;
mod output;
pub mod picker;
pub mod pieces;
pub mod rate;
pub mod roster;
pub mod shaper;
pub mod strategy;
pub mod swarm;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod wants;

pub use config::Config;
pub use input::{Connected, Direction, Gauges, Kind, Parting, Priority, ReaderKey, Refusal, Report, Window};
pub use key::{PeerKey, Slab};
pub use output::{Output, Reason};
pub use roster::Source;
pub use strategy::{Strategy, StrategyName};
pub use swarm::{Progress, Snapshot, Swarm};
