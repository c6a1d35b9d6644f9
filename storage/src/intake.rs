//! Assembly of pieces that are under way.

use thiserror::Error;

/// No memory for another piece: stop asking until memory comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the byte ledger has no room for another piece")]
pub struct Full;
