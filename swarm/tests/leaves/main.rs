//! Properties of the leaf machines, each against a model that is too simple to be wrong.
//!
//! One binary, so that it is linked once.

use std::time::Instant;

use afflux_swarm::{PeerKey, Slab};

mod blame;
mod choker;
mod metadata;
mod rate;
mod roster;
mod shaper;
mod slab;

/// The start of virtual time.
#[allow(
    clippy::disallowed_methods,
    reason = "an Instant can't be made of nothing; no test depends on which it is"
)]
fn epoch() -> Instant {
    Instant::now()
}

/// Keys of so many peers.
fn peers(count: usize) -> Vec<PeerKey> {
    let mut slab: Slab<()> = Slab::new();
    (0..count).map(|_| slab.insert(())).collect()
}
