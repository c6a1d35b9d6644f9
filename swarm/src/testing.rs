//! What the unit tests share.

use std::time::Instant;

/// Some moment: the tests' virtual time begins here.
#[allow(clippy::disallowed_methods)] // The only clock read of this crate, and only in its tests.
pub(crate) fn start() -> Instant {
    Instant::now()
}
