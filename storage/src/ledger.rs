//! The one byte ledger of the process: who holds payload memory, never more than the limit.

/// Counts bytes; all clones are the same ledger.
#[derive(Clone, Debug)]
pub struct Ledger;

/// Bytes that were granted; given back on drop.
#[derive(Debug)]
pub struct Charge;

impl Ledger {
    /// A ledger that never grants more than `limit_bytes` at once.
    pub fn new(_limit_bytes: usize) -> Self {
        todo!()
    }
    /// Grants `bytes`, or nothing at all if that went over the limit.
    pub fn try_charge(&self, _bytes: usize) -> Option<Charge> {
        todo!()
    }
    /// Bytes granted and not yet given back.
    pub fn used(&self) -> usize {
        todo!()
    }
    /// Most bytes that may be granted at once.
    pub fn limit(&self) -> usize {
        todo!()
    }
    /// The most that was ever granted at once.
    pub fn peak(&self) -> usize {
        todo!()
    }
}
