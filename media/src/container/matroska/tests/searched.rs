//! Times found in files without Cues.

use std::ops::Range;
use std::time::Duration;

use proptest::prelude::*;

use super::writer::*;
use super::{facts, film, id, void};
use crate::container::testing::{damaged, inspect_without, seek};
use crate::container::{Facts, Fault, Found, Point};

/// How a film's Clusters are written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sizes {
    Said,
    Unsaid,
}

/// A film of so many Clusters of two seconds, some of which are fifty times as large as others; every so manyth begins with a key
/// frame. Where those are.
fn without_cues(count: u64, key_every: u64, sizes: Sizes) -> (Vec<u8>, Vec<Point>) {
    let mut children = vec![info(count as f64 * 2000.0), tracks()];
    let mut places = Vec::new();
    let mut at = children.concat().len() as u64;
    for nth in 0..count {
        let payload = vec![0xab; if nth / 20 % 3 == 1 { 100_000 } else { 2000 }];
        let is_key = nth % key_every == 0;
        let picture = if is_key { simple_block } else { dependent_block };
        let content = [uint(id::TIMESTAMP, nth * 2000), block_group(2, 0, 5, "text"), picture(1, 0, payload)];
        if is_key {
            places.push(Point { micros: nth * 2_000_000, offset: at });
        }
        let cluster = match sizes {
            Sizes::Said => parent(id::CLUSTER, &content),
            Sizes::Unsaid => endless(id::CLUSTER, &content),
        };
        at += cluster.len() as u64;
        children.push(cluster);
    }
    let start = segment_start(&children);
    places.iter_mut().for_each(|point| point.offset += start);
    (file(&children), places)
}

fn find(file: &[u8], facts: &Facts, time: Duration) -> (Result<Found, Fault>, Vec<Range<u64>>) {
    let read = |range: Range<u64>| file[range.start as usize..range.end as usize].to_vec();
    seek(facts, file.len() as u64, time, read).unwrap()
}

/// The bytes that were asked for.
fn bytes(reads: &[Range<u64>]) -> u64 {
    reads.iter().map(|range| range.end - range.start).sum()
}

#[test]
fn a_time_leads_to_the_last_cluster_before_it_that_begins_with_a_key_frame() {
    for (sizes, key_every) in
        [(Sizes::Said, 1), (Sizes::Said, 3), (Sizes::Said, 5), (Sizes::Unsaid, 1), (Sizes::Unsaid, 4)]
    {
        let (file, keys) = without_cues(200, key_every, sizes);
        let facts = facts(&file);
        assert_eq!(facts.index, None);
        for seconds in [0, 1, 3, 39, 40, 79, 80, 81, 123, 200, 263, 399, 400, 9999] {
            let (found, reads) = find(&file, &facts, Duration::from_secs(seconds));
            let found = found.unwrap();
            let expected = keys.iter().rfind(|key| key.micros <= seconds.min(399) * 1_000_000).unwrap();
            let near = Point { micros: expected.micros, ..found.point };
            assert_eq!(
                (found.point, near),
                (*expected, *expected),
                "{seconds} s, {sizes:?}, every {key_every}"
            );
            assert!(found.is_key_frame || key_every == 1, "{seconds} s");
            assert!(reads.len() <= 20 && bytes(&reads) <= 3 << 20, "{seconds} s: {reads:?}");
        }
    }
}

#[test]
fn a_key_frame_soon_after_the_start_of_a_cluster_is_the_clusters() {
    let children = |nth: u64| {
        let pictures = |time: i16, is_key: bool| {
            if is_key { simple_block(1, time, [1; 700]) } else { dependent_block(1, time, [2; 700]) }
        };
        let content = [
            uint(id::TIMESTAMP, nth * 1000),
            pictures(0, false),
            pictures(400, nth % 10 == 3),
            pictures(440, false),
        ];
        parent(id::CLUSTER, &[&content[..], &[void(20_000)]].concat())
    };
    let clusters: Vec<_> = (0..100).map(children).collect();
    let children = [vec![info(100_000.0), tracks()], clusters].concat();
    let offset = |nth: usize| segment_start(&children) + children[..nth + 2].concat().len() as u64;
    let file = file(&children);
    let facts = facts(&file);
    for (millis, nth) in [(53_399, 43), (53_400, 53), (58_000, 53), (93_500, 93)] {
        let found = find(&file, &facts, Duration::from_millis(millis)).0.unwrap();
        let expected = Point { micros: nth as u64 * 1_000_000 + 400_000, offset: offset(nth) };
        assert_eq!((found.point, found.is_key_frame), (expected, true), "{millis} ms");
    }
}

#[test]
fn what_one_search_learnt_narrows_the_next() {
    let (file, _) = without_cues(200, 2, Sizes::Said);
    let mut facts = facts(&file);
    let time = Duration::from_secs(263);
    let (first, reads) = find(&file, &facts, time);
    let found = first.clone().unwrap();
    assert!(found.learnt.contains(&found.point));
    facts.learn(found.learnt);
    let (again, fewer) = find(&file, &facts, time);
    assert_eq!(again.map(|found| found.point), first.map(|found| found.point));
    assert!(fewer.len() < reads.len() && bytes(&fewer) < bytes(&reads), "{fewer:?} after {reads:?}");
}

#[test]
fn a_film_that_is_cut_off_is_searched_as_far_as_it_goes() {
    let (mut file, keys) = without_cues(200, 1, Sizes::Said);
    file.truncate(file.len() * 2 / 3);
    let facts = facts(&file);
    let last = keys.iter().rfind(|key| key.offset < file.len() as u64).unwrap();
    assert_eq!((facts.duration, &facts.index), (Some(Duration::from_secs(400)), &None));
    let (found, _) = find(&file, &facts, Duration::from_secs(399));
    // The last Cluster claims what isn't there any more.
    assert!(last.micros - found.unwrap().point.micros <= 2_000_000);
    let (found, _) = find(&file, &facts, Duration::from_secs(81));
    assert_eq!(found.unwrap().point, keys[40]);
}

#[test]
fn cues_that_cant_be_had_leave_a_film_that_is_searched() {
    let (children, [first, _, cues]) = film();
    let (file, start) = (file(&children), segment_start(&children));
    let facts = inspect_without(&file, start + cues..file.len() as u64).unwrap();
    assert_eq!((facts.duration, facts.tracks.len()), (Some(Duration::from_secs(20)), 2));
    assert_eq!(facts.index, None);
    let (found, _) = find(&file, &facts, Duration::from_secs(5));
    assert_eq!(found.unwrap().point, Point { micros: 0, offset: start + first });
}

#[test]
fn whatever_cant_be_had_what_there_is_is_told() {
    let (children, _) = film();
    let file = file(&children);
    assert_eq!(inspect_without(&file, 0..1), Err(Fault::Unreadable));
    let whole = facts(&file);
    for at in 1024..file.len() as u64 {
        let told = inspect_without(&file, at..at + 1).unwrap();
        assert_eq!((told.duration, &told.tracks), (whole.duration, &whole.tracks), "without byte {at}");
    }
}

#[test]
fn facts_that_an_older_version_kept_are_read_and_not_searched() {
    let (file, _) = without_cues(3, 1, Sizes::Said);
    let facts = facts(&file);
    let mut kept = serde_json::to_value(&facts).unwrap();
    assert_eq!(serde_json::from_value::<Facts>(kept.clone()).unwrap(), facts);
    for new in ["searchable", "learnt"] {
        kept.as_object_mut().unwrap().remove(new).unwrap();
    }
    let old: Facts = serde_json::from_value(kept).unwrap();
    assert_eq!((&old.searchable, &old.tracks), (&None, &facts.tracks));
    assert!(seek(&old, file.len() as u64, Duration::ZERO, |_| unreachable!()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_films_are_searched_within_limits(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..200),
        cut in 1usize..600_000,
        seconds in 0u64..60,
        learnt in proptest::collection::vec((0u64..60_000_000, 0u64..600_000), 0..8),
        unsaid: bool,
    ) {
        let sizes = if unsaid { Sizes::Unsaid } else { Sizes::Said };
        let (whole, _) = without_cues(30, 3, sizes);
        let mut known = facts(&whole);
        known.learn(learnt.into_iter().map(|(micros, offset)| Point { micros, offset }).collect());
        let file = damaged(whole, &changes, cut);
        let read = |range: Range<u64>| file[range.start as usize..range.end as usize].to_vec();
        let _ = seek(&known, file.len() as u64, Duration::from_secs(seconds), read);
    }

    #[test]
    fn a_search_given_any_bytes_ends(bytes: Vec<u8>, offsets in proptest::collection::vec(any::<u64>(), 80)) {
        let (file, _) = without_cues(30, 3, Sizes::Unsaid);
        let mut search = crate::container::Seek::new(&facts(&file), file.len() as u64, Duration::from_secs(40)).unwrap();
        for offset in offsets {
            search.supply(offset, &bytes);
        }
        prop_assert!(!matches!(search.step(), crate::container::Search::Read(_)));
    }
}
