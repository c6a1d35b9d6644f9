//! Files that nobody writes by accident, and files that are damaged.

use std::time::Duration;

use proptest::prelude::*;

use super::writer::*;
use super::{facts, fault, film, id, look, points, void};
use crate::container::matroska::ClusterScan;
use crate::container::testing::texts;
use crate::container::{Fault, Inspection, Step};
use crate::limits::{ELEMENTS_MAX, MICROS_MAX, POINTS_MAX, READ_BYTES_MAX, READS_MAX};

#[test]
fn a_damaged_part_leaves_the_others() {
    let broken_tracks = claiming(id::TRACKS, 1 << 40, tracks());
    let facts_without_tracks = facts(&file(&[info(5000.0), broken_tracks]));
    assert_eq!(facts_without_tracks.duration, Some(Duration::from_secs(5)));
    assert!(facts_without_tracks.tracks.is_empty());
    let endless_info = endless(id::INFO, &[float(id::DURATION, 5000.0)]);
    assert_eq!(facts(&file(&[tracks(), endless_info])).duration, None);
    let empty_info = element(id::INFO, []);
    assert_eq!(facts(&file(&[empty_info, tracks()])).tracks.len(), 2);
}

#[test]
fn cues_that_lead_nowhere_are_dropped_one_by_one() {
    let cues = [
        cue(1, &[(1, u64::MAX)]),
        cue(2, &[(1, 1 << 40)]),
        cue(u64::MAX, &[(1, 3)]),
        parent(id::CUE_POINT, &[uint(id::CUE_TIME, 4)]),
        element(id::CUE_POINT, [0xff; 20]),
        cue(5, &[(1, 60)]),
        claiming(id::CUE_POINT, 999_999, [0; 4]),
    ];
    let children = [info(9.0), tracks(), parent(id::CUES, &cues)];
    assert_eq!(points(&facts(&file(&children))), [(5000, segment_start(&children) + 60)]);
}

#[test]
fn more_cues_than_fit_are_thinned_out() {
    let cues = (0..POINTS_MAX as u64 + 10).map(|nth| cue(nth, &[(1, nth)])).collect::<Vec<_>>();
    let children = [info(9.0), tracks(), parent(id::CUES, &cues)];
    let told = points(&facts(&file(&children)));
    assert!((POINTS_MAX / 4..=POINTS_MAX).contains(&told.len()));
    assert_eq!(told[0], (0, segment_start(&children)));
}

#[test]
fn cues_of_too_many_elements_leave_the_rest() {
    let cues = element(id::CUES, void(0).repeat(ELEMENTS_MAX as usize + 1));
    let facts = facts(&file(&[info(1000.0), tracks(), cues]));
    assert_eq!((facts.tracks.len(), facts.index), (2, None));
}

#[test]
fn parts_greater_than_any_are_not_read() {
    for id in [id::SEEK_HEAD, id::INFO, id::TRACKS, id::CUES] {
        // The file is as long as it claims, but only its first bytes are ever asked for, and the header behind the part.
        let start = [header("matroska"), endless(id::SEGMENT, &[claiming(id, 1 << 33, [])])].concat();
        let mut inspection = Inspection::new(start.len() as u64 + (1 << 33) + 5);
        let mut count = 0;
        let end = loop {
            match inspection.step() {
                Step::Read(range) => {
                    count += range.end - range.start;
                    let mut bytes = vec![0; (range.end - range.start) as usize];
                    let known = start.get(range.start as usize..).unwrap_or_default();
                    let length = known.len().min(bytes.len());
                    bytes[..length].copy_from_slice(&known[..length]);
                    inspection.supply(range.start, bytes);
                }
                end => break end,
            }
        };
        assert_eq!(end, Step::Failed(Fault::Broken("it has neither Info nor Tracks")));
        assert!(count < 2000, "{count} bytes");
    }
}

#[test]
fn durations_that_are_none_are_not_told() {
    for duration in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, MICROS_MAX as f64] {
        assert_eq!(facts(&file(&[info(duration), tracks()])).duration, None, "{duration}");
    }
}

#[test]
fn the_first_of_what_is_there_twice_counts() {
    let facts = facts(&file(&[info(1000.0), info(2000.0), tracks(), parent(id::TRACKS, &[])]));
    assert_eq!((facts.duration, facts.tracks.len()), (Some(Duration::from_secs(1)), 2));
}

#[test]
fn seek_heads_that_name_themselves_or_others_end() {
    let child = seek_head(&[(id::SEEK_HEAD, 0), (id::CUES, 3), (id::INFO, u64::MAX), (id::TRACKS, 1 << 50)]);
    let facts = facts(&file(&[child, info(1000.0), cluster(0, &[])]));
    assert_eq!(facts.duration, Some(Duration::from_secs(1)));
}

#[test]
fn a_head_of_many_small_elements_ends() {
    let voids = std::iter::repeat_n(void(2000), 400).collect::<Vec<_>>();
    let (step, reads, _) = look(&file(&[voids, vec![info(1.0)]].concat()));
    assert_eq!(step, Step::Failed(Fault::Broken("it has neither Info nor Tracks")));
    assert!(reads.len() < 100);
}

#[test]
fn a_segment_that_was_cut_tells_what_is_there() {
    let (children, _) = film();
    let whole = file(&children);
    let cut = facts(&whole[..whole.len() - 300]);
    assert_eq!((cut.duration, cut.tracks.len(), cut.index), (Some(Duration::from_secs(20)), 2, None));
    let start = segment_start(&children) as usize;
    for end in [start + 9, start, start - 3, start - 9] {
        assert_eq!(fault(&whole[..end]), Fault::Truncated);
    }
}

#[test]
fn a_file_without_a_segment_is_broken() {
    let broken = Fault::Broken("it has no Segment");
    assert_eq!(fault(&[header("webm"), vec![0; 500]].concat()), broken);
    assert_eq!(
        fault(&[header("webm"), std::iter::repeat_n(void(0), 500).flatten().collect()].concat()),
        broken
    );
    assert_eq!(fault(&[header("webm"), endless(id::VOID, &[])].concat()), broken);
}

/// A film of everything.
fn rich() -> Vec<u8> {
    let (mut children, _) = film();
    let text = [simple_block(2, 3, "one"), block_group(2, 9, 500, "two"), simple_block(1, 0, "xyz")];
    children.push(cluster(20_000, &text));
    children.push(endless(id::CLUSTER, &[vec![uint(id::TIMESTAMP, 30_000)], text.to_vec()].concat()));
    file(&children)
}

/// Drives all that there is over a file; what it ends with doesn't matter, but that it ends within its bounds.
fn survive(file: &[u8], part: usize) {
    let (step, reads, head) = look(file);
    assert!(reads.len() <= READS_MAX as usize);
    assert!(reads.iter().map(|read| read.end - read.start).sum::<u64>() <= READ_BYTES_MAX);
    let (Step::Done(facts), Some(head)) = (step, head) else { return };
    assert!(points(&facts).iter().all(|(_, offset)| (*offset as usize) < file.len()));
    let mut scan = ClusterScan::new(&head);
    for (nth, bytes) in file.chunks(part).enumerate() {
        scan.handle((nth * part) as u64, bytes);
    }
    if let Some((tracks, reads)) = texts(file, part, part as u64, 1000) {
        // Where it isn't known what begins where, it may be looked at from before and from within.
        let bytes: u64 = reads.iter().map(|read| read.end - read.start).sum();
        assert!(bytes <= 8 * file.len() as u64 + 64 * reads.len() as u64, "{bytes} in {} reads", reads.len());
        assert!(tracks.tracks().all(|track| track.texts <= file.len()));
    }
    assert!(scan.index().is_none_or(|index| index.points().len() <= file.len() / 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn changed_files_never_panic_and_end(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        at_head: bool,
        part in 1usize..3000,
    ) {
        let mut file = rich();
        // Most bytes are payload; what is told is in the first hundreds.
        let reach = if at_head { file.len().min(500) } else { file.len() };
        for (at, octet) in changes {
            file[at.index(reach)] = octet;
        }
        survive(&file, part);
    }

    #[test]
    fn cut_files_never_panic_and_end(cut in any::<prop::sample::Index>(), part in 1usize..3000) {
        let file = rich();
        survive(&file[..cut.index(file.len())], part);
    }

    #[test]
    fn any_children_never_panic_and_end(bytes: Vec<u8>) {
        survive(&file(&[tracks(), bytes]), 7);
    }
}
