//! What the bytes of a film mean.
//!
//! Here: [languages](language), [names of releases](release), [containers](container) with what they say and their indexes,
//! [subtitles](subtitle) and [whose they are](sidecar), [the hash that they are found by](opensubtitles).
//! Not here: anything that reads a file, a socket or a clock; this crate is pure and knows nothing of torrents.

pub mod container;
pub mod language;
pub mod limits;
pub mod opensubtitles;
pub mod release;
pub mod sidecar;
pub mod subtitle;

pub use language::{Language, Tag};
