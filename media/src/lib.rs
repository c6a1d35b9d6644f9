//! What the bytes of a film mean.
//!
//! Here: [languages](language).
//! Not here: anything that reads a file, a socket or a clock; this crate is pure and knows nothing of torrents.

pub mod language;

pub use language::{Language, Tag};
