//! A peer's place in the slab, guarded against reuse.

/// A connected peer's name: its index in the slab, and which of the peers that had this index it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}
