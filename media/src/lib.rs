//! What the bytes of a film mean.
//!
//! Here: [languages](language), [names of releases](release), [containers](container) with what they say and their indexes.
//! Not here: anything that reads a file, a socket or a clock; this crate is pure and knows nothing of torrents.

pub mod container;
pub mod language;
pub mod limits;
pub mod release;

pub use language::{Language, Tag};
