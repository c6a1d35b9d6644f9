//! Times found in fragments without an index.

use super::super::super::testing::seek;
use super::super::super::{Fault as Unfound, Found};
use super::*;

/// A film of so many fragments of a second, some of which are thirty times as large as others; every so manyth begins with a key
/// frame. Where those are.
fn without_index(count: u32, key_every: u32) -> (Sparse, Vec<Point>) {
    let mut file = fragmented::with_neither(0);
    let mut keys = Vec::new();
    for second in 0..count {
        let is_key = second % key_every == 0;
        if is_key {
            keys.push(Point { micros: u64::from(second) * 1_000_000, offset: file.length });
        }
        file.push(if is_key { moof(1, second * 1000, 25) } else { dependent_moof(1, second * 1000, 25) });
        file.push_hollow(b"mdat", if second / 50 % 3 == 1 { 300_000 } else { 10_000 });
    }
    (file, keys)
}

fn find(file: &Sparse, facts: &Facts, time: Duration) -> (Result<Found, Unfound>, Vec<Range<u64>>) {
    seek(facts, file.length, time, |range| file.read(&range)).unwrap()
}

#[test]
fn a_time_leads_to_the_last_fragment_before_it_that_has_a_key_frame() {
    for key_every in [1, 4] {
        let (file, keys) = without_index(400, key_every);
        let facts = facts(&file);
        assert_eq!((&facts.index, facts.duration), (&None, Some(Duration::from_secs(400))));
        for seconds in [0, 1, 7, 49, 50, 99, 100, 149, 213, 399, 400] {
            let (found, reads) = find(&file, &facts, Duration::from_millis(seconds * 1000 + 999));
            let found = found.unwrap();
            let expected = keys.iter().rfind(|key| key.micros <= seconds.min(399) * 1_000_000).unwrap();
            assert_eq!(
                (found.point, found.is_key_frame),
                (*expected, true),
                "{seconds} s, every {key_every}"
            );
            assert!(reads.len() <= 24, "{seconds} s: {reads:?}");
        }
    }
}

#[test]
fn fragments_of_another_track_are_passed_over() {
    let mut file = fragmented::with_neither(0);
    let mut keys = Vec::new();
    for second in 0..300 {
        file.push(moof(2, 7_000_000 + second * 1000, 25));
        file.push_hollow(b"mdat", 5000);
        keys.push(file.length);
        file.push(moof(1, second * 1000, 25));
        file.push_hollow(b"mdat", 50_000);
    }
    let facts = facts(&file);
    for second in [3, 77, 298] {
        let (found, _) = find(&file, &facts, Duration::from_millis(second * 1000 + 300));
        assert_eq!(found.unwrap().point, Point { micros: second * 1_000_000, offset: keys[second as usize] });
    }
}

#[test]
fn what_only_looks_like_a_fragment_is_none() {
    let (mut file, keys) = without_index(300, 1);
    let facts = facts(&file);
    let sign = [&900u32.to_be_bytes()[..], b"moof\0\0\0\x10mfhd"].concat();
    for key in &keys {
        file.parts.insert(key.offset + 2000, [sign.clone(), zeros(300)].concat());
        file.parts.insert(key.offset + 4000, be(&[u32::MAX]));
        file.parts.insert(key.offset + 4004, sign[4..].to_vec());
    }
    for second in [0, 55, 180, 299] {
        let (found, _) = find(&file, &facts, Duration::from_millis(second * 1000 + 10));
        assert_eq!(found.unwrap().point, keys[second as usize]);
    }
}

#[test]
fn an_end_that_cant_be_had_leaves_what_the_start_says() {
    for file in [fragmented::with_mfra(), without_index(400, 1).0] {
        let mut inspection = Inspection::new(file.length);
        let facts = loop {
            match inspection.step() {
                Step::Read(range) if range.end + 16 > file.length => inspection.cannot_read(),
                Step::Read(range) => inspection.supply(range.start, file.read(&range)),
                Step::Done(facts) => break facts,
                Step::Failed(fault) => panic!("{fault}"),
            }
        };
        assert_eq!(facts.tracks.len(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn damaged_fragments_are_searched_within_limits(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 0..60),
        seconds in 0u64..400,
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut file, keys) = without_index(400, 3);
        let known = facts(&file);
        for (at, word) in damage {
            // Somewhere in the head of a fragment.
            let key = keys[at.index(keys.len())].offset;
            file.parts.insert(key + u64::from(word) % 120, be(&[word]));
        }
        file.length = 1 + cut.index(file.length as usize) as u64;
        if let Some((found, _)) = seek(&known, file.length, Duration::from_secs(seconds), |range| file.read(&range)) {
            prop_assert!(found.is_ok());
        }
        if let Step::Done(facts) = inspect(&file).0 {
            let _ = seek(&facts, file.length, Duration::from_secs(seconds), |range| file.read(&range));
        }
    }
}
