//! What this crate's unit tests share.

use std::time::Instant;

/// The start of virtual time. The machines only ever see differences to it.
#[allow(
    clippy::disallowed_methods,
    reason = "an Instant can't be made of nothing; no test depends on which it is"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}
