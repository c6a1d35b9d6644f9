//! Block buffers, lent in extents of adjacent blocks.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::Ledger;

/// Lends block buffers charged to a [`Ledger`]; all clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool;

impl Pool {
    /// A pool whose memory is charged to `ledger`.
    pub fn new(_ledger: Ledger) -> Self {
        todo!()
    }
    /// The ledger that everything here is charged to.
    pub fn ledger(&self) -> &Ledger {
        todo!()
    }
    /// Called (from any thread; must be quick and must not block) when memory came back after a `reserve` was refused.
    pub fn on_room(&self, _hook: Arc<dyn Fn() + Send + Sync>) {
        todo!()
    }
}

/// Exclusively owned, writable memory of one block; its extent stays charged while it lives.
#[derive(Debug)]
pub struct BlockBuffer;

impl Deref for BlockBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        todo!()
    }
}

impl DerefMut for BlockBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        todo!()
    }
}
