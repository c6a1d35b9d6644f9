//! How often something happened lately, in fixed memory.

use std::time::{Duration, Instant};

use super::{Action, Pattern, Sign, Threshold};

/// Slots of a period. The count is of at most a period and of at least all but one slot of it: nobody is accused of what is
/// too long ago.
const SLOTS: usize = 8;

/// A sliding count of one pattern.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter {
    slots: [u32; SLOTS],
    /// The number of the newest slot since the begin.
    newest: u128,
    /// Nothing is told until then.
    quiet_until: Option<Instant>,
    refused_until: Option<Instant>,
}

impl Counter {
    /// Counts one more, and says if that is too many; then not again for the pattern's period.
    pub(super) fn count(
        &mut self,
        pattern: Pattern,
        threshold: Threshold,
        began: Instant,
        now: Instant,
    ) -> Option<Sign> {
        let count = self.add(pattern.period(), now.saturating_duration_since(began));
        let quiet = self.quiet_until.is_some_and(|until| now < until);
        if count <= threshold.most || quiet {
            return None;
        }
        self.quiet_until = Some(now + pattern.period());
        if let Action::Refuse { period } = threshold.action {
            self.refused_until = Some(now + period);
            self.quiet_until = self.refused_until;
        }
        Some(Sign { pattern, count, action: threshold.action })
    }

    pub(super) fn refused_until(&self) -> Option<Instant> {
        self.refused_until
    }

    fn add(&mut self, period: Duration, since_began: Duration) -> u32 {
        let slot_nanos = (period.as_nanos() / SLOTS as u128).max(1);
        // A clock that went back counts in the newest slot.
        let slot = (since_began.as_nanos() / slot_nanos).max(self.newest);
        let passed = usize::try_from(slot - self.newest).unwrap_or(SLOTS).min(SLOTS);
        self.slots.rotate_right(passed);
        self.slots[..passed].fill(0);
        self.newest = slot;
        self.slots[0] = self.slots[0].saturating_add(1);
        self.slots.iter().fold(0, |sum: u32, &slot| sum.saturating_add(slot))
    }
}
