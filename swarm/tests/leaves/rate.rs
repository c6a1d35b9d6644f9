//! The meter against what passed.

use std::time::Duration;

use afflux_swarm::rate::{Rate, WINDOW};
use proptest::prelude::*;

use crate::epoch;

proptest! {
    /// It never reads more than all bytes of a second, and silence only lets it fall.
    #[test]
    fn a_rate_is_bounded_by_what_passed(
        steps in prop::collection::vec((0u64..10_000_000, 0u64..20_000), 1..100),
    ) {
        let mut now = epoch();
        let mut rate = Rate::new();
        let mut total = 0;
        for (bytes, pause_ms) in steps {
            now += Duration::from_millis(pause_ms);
            let before = rate.per_second(now);
            rate.update(bytes, now);
            total += bytes;
            let after = rate.per_second(now);
            prop_assert!(after + 1 >= before, "bytes never lower it");
            // The youngest meter divides by 0.88 s.
            prop_assert!(after <= total + total / 7 + 1, "{after} of {total}");
            let mut last = after;
            for _ in 0..5 {
                now += WINDOW / 4;
                let silent = rate.per_second(now);
                prop_assert!(silent <= last, "silence never raises it");
                last = silent;
            }
        }
    }
}
