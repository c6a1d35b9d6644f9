//! The slab against a map of everything that was ever inserted.

use std::collections::BTreeMap;

use afflux_swarm::{PeerKey, Slab};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_key_names_its_value_until_it_is_removed_and_nobody_after(
        steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let mut slab: Slab<usize> = Slab::new();
        let mut model: BTreeMap<PeerKey, Option<usize>> = BTreeMap::new();
        for (number, (insert, which)) in steps.into_iter().enumerate() {
            if insert || model.is_empty() {
                let key = slab.insert(number);
                prop_assert!(model.insert(key, Some(number)).is_none(), "a key is never given out twice");
            } else {
                let key = *which.get(&model.keys().copied().collect::<Vec<_>>());
                let expected = model.insert(key, None).flatten();
                prop_assert_eq!(slab.remove(key), expected);
            }
            for (&key, &value) in &model {
                prop_assert_eq!(slab.get(key).copied(), value);
            }
            let living: BTreeMap<u32, usize> =
                model.iter().filter_map(|(key, value)| Some((key.index(), (*value)?))).collect();
            let seen: Vec<_> = slab.iter().map(|(key, &value)| (key.index(), value)).collect();
            prop_assert_eq!(seen, living.into_iter().collect::<Vec<_>>());
        }
    }
}
