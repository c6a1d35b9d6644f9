//! One torrent's mind: picker, piece table, choker, roster and rates, as pure state machines

pub mod blame;
mod chance;
pub mod choker;
pub mod key;
pub mod metadata;
pub mod rate;
pub mod roster;
pub mod shaper;
#[cfg(test)]
mod testing;

pub use key::{PeerKey, Slab};
