//! What the unit tests share.

use std::time::Instant;

/// Some instant to count from; an `Instant` can't be made out of nothing.
#[expect(clippy::disallowed_methods)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}
