//! Info (RFC 9559, section 5.1.2): how long the film is, and how long a tick.

use std::time::Duration;

use super::id;
use crate::container::ebml::{Elements, float, uint};
use crate::container::inspect::Budget;
use crate::limits::MICROS_MAX;

/// Nanoseconds of a tick if `TimestampScale` isn't said (section 5.1.2.9).
const SCALE_UNSAID: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    /// Nanoseconds of a tick.
    pub(super) scale: u64,
    pub(super) duration: Option<Duration>,
}

impl Default for Info {
    fn default() -> Self {
        Self { scale: SCALE_UNSAID, duration: None }
    }
}

impl Info {
    pub(super) fn read(body: &[u8], budget: &mut Budget) -> Self {
        let (mut scale, mut ticks) = (None, None);
        let mut elements = Elements::of(body, budget);
        while let Some((id, body)) = elements.next() {
            match id {
                id::TIMESTAMP_SCALE => scale = scale.or(uint(body).filter(|&scale| scale != 0)),
                id::DURATION => ticks = ticks.or(float(body)),
                _ => {}
            }
        }
        let scale = scale.unwrap_or(SCALE_UNSAID);
        Self { scale, duration: ticks.and_then(|ticks| duration(ticks, scale)) }
    }
}

/// Any float may be there: what is left is a time that a film may last.
fn duration(ticks: f64, scale: u64) -> Option<Duration> {
    let seconds = ticks * scale as f64 / 1e9;
    let is_one = 0.0 < seconds && seconds <= (MICROS_MAX / 1_000_000) as f64;
    is_one.then(|| Duration::from_secs_f64(seconds))
}
