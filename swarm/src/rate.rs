//! A meter of bytes per second over the last few seconds, by an exponential window.

use std::time::Instant;

/// Bytes per second, weighted towards the present.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    weight_bytes: f64,
    began: Option<Instant>,
    updated: Option<Instant>,
}

impl Rate {
    /// A meter that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }
    /// `bytes` passed just now.
    pub fn update(&mut self, bytes: u64, now: Instant) {
        todo!("{bytes} {now:?}")
    }
    /// Bytes per second at this moment.
    pub fn per_second(&self, now: Instant) -> u64 {
        todo!("{now:?}")
    }
}
