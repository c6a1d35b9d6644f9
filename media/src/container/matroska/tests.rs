//! Files written element by element, and what is told of them.

mod clusters;
mod hostile;
mod searched;
mod texts;
mod tracks;
mod writer;

use std::ops::Range;
use std::time::Duration;

use self::writer::*;
use super::{Head, id};
use crate::container::{Container, Facts, Fault, Inspection, Step};
use crate::limits::TAIL_BYTES_MAX;

/// Inspects a file; says how it ended, which bytes that took, and the head.
fn look(file: &[u8]) -> (Step, Vec<Range<u64>>, Option<Head>) {
    let mut inspection = Inspection::new(file.len() as u64);
    let mut reads = Vec::new();
    loop {
        match inspection.step() {
            Step::Read(range) => {
                inspection.supply(range.start, file[range.start as usize..range.end as usize].to_vec());
                reads.push(range);
            }
            step => return (step, reads, inspection.matroska().cloned()),
        }
    }
}

fn facts(file: &[u8]) -> Facts {
    match look(file).0 {
        Step::Done(facts) => *facts,
        step => panic!("{step:?}"),
    }
}

fn head(file: &[u8]) -> Head {
    look(file).2.expect("its facts are told")
}

fn fault(file: &[u8]) -> Fault {
    match look(file).0 {
        Step::Failed(fault) => fault,
        step => panic!("{step:?}"),
    }
}

/// Microseconds and offsets.
fn points(facts: &Facts) -> Vec<(u64, u64)> {
    let points = facts.index.iter().flat_map(|index| index.points());
    points.map(|point| (point.micros, point.offset)).collect()
}

fn void(bytes: usize) -> Vec<u8> {
    element(id::VOID, vec![0; bytes])
}

/// A film of two Clusters with its Cues behind them; says where those are, and where each Cluster is, from the Segment's data on.
fn film() -> (Vec<Vec<u8>>, [u64; 3]) {
    let build = |at: [u64; 3]| {
        vec![
            seek_head(&[(id::CUES, at[2])]),
            info(20_000.0),
            tracks(),
            cluster(0, &[simple_block(1, 0, vec![1; 5000])]),
            cluster(10_000, &[simple_block(1, 0, vec![2; 5000])]),
            parent(id::CUES, &[cue(0, &[(1, at[0])]), cue(10_000, &[(1, at[1]), (2, at[0])])]),
        ]
    };
    let sizes = build([0; 3]).iter().map(|child| child.len() as u64).collect::<Vec<_>>();
    let at = [3, 4, 5].map(|count| sizes[..count].iter().sum::<u64>());
    (build(at), at)
}

#[test]
fn a_film_tells_its_length_its_tracks_and_its_index() {
    let (children, [first, second, cues]) = film();
    let start = segment_start(&children);
    let file = file(&children);
    let (step, reads, head) = look(&file);
    let Step::Done(facts) = step else { panic!("{step:?}") };
    assert_eq!((facts.container, facts.duration), (Container::Matroska, Some(Duration::from_secs(20))));
    assert_eq!(facts.tracks.iter().map(|track| track.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(points(&facts), [(0, start + first), (10_000_000, start + second)]);
    assert_eq!(head.unwrap().segment(), start..file.len() as u64);
    // The head, the header of the Cues, and all of them: nothing of the Clusters.
    assert!(reads[1..].iter().all(|read| read.start >= start + cues) && reads.len() == 3, "{reads:?}");
}

#[test]
fn only_the_document_types_of_matroska_are_taken() {
    let segment = parent(id::SEGMENT, &[info(1.0), tracks()]);
    let of = |document: &str| [header(document), segment.clone()].concat();
    assert_eq!(facts(&of("webm")).container, Container::WebM);
    assert_eq!(facts(&of("matroska\0\0")).container, Container::Matroska);
    for other in ["", "mka", "webmatroska"] {
        assert_eq!(fault(&of(other)), Fault::Unknown);
    }
}

#[test]
fn a_live_file_of_unknown_sizes_lasts_until_its_last_block() {
    let live = parent(id::INFO, &[uint(id::TIMESTAMP_SCALE, 1_000_000)]);
    let blocks =
        [simple_block(1, 0, vec![0; 3000]), block_group(2, 1500, 10, "text"), simple_block(1, 700, "")];
    let cluster = |at| endless(id::CLUSTER, &[vec![uint(id::TIMESTAMP, at)], blocks.to_vec()].concat());
    let clusters: Vec<_> = (0..100).map(|second| cluster(second * 1000)).collect();
    let segment = endless(id::SEGMENT, &[vec![live, tracks()], clusters].concat());
    let (step, reads, _) = look(&[header("matroska"), segment].concat());
    let Step::Done(facts) = step else { panic!("{step:?}") };
    let duration = Some(Duration::from_millis(100_500));
    assert_eq!((facts.duration, facts.tracks.len(), facts.index), (duration, 2, None));
    assert_eq!(reads.len(), 2, "the first Cluster ends the head, and the last is at the end");
}

#[test]
fn a_live_file_whose_end_has_no_cluster_does_not_say_how_long_it_lasts() {
    let live = parent(id::INFO, &[uint(id::TIMESTAMP_SCALE, 1_000_000)]);
    let endless = endless(id::SEGMENT, &[live, tracks(), cluster(5, &[]), vec![0; 7 << 20]]);
    let (step, reads, _) = look(&[header("matroska"), endless].concat());
    let Step::Done(facts) = step else { panic!("{step:?}") };
    assert_eq!((facts.duration, facts.tracks.len()), (None, 2));
    assert!(
        reads.iter().skip(1).map(|read| read.end - read.start).sum::<u64>() <= TAIL_BYTES_MAX,
        "{reads:?}"
    );
}

#[test]
fn what_is_not_needed_is_hopped_over_by_its_size() {
    let attachments = element(id::ATTACHMENTS, vec![7; 50_000]);
    let children = [void(4000), attachments, info(1000.0), void(3000), tracks(), cluster(0, &[])];
    let (step, reads, head) = look(&file(&children));
    let Step::Done(facts) = step else { panic!("{step:?}") };
    assert_eq!((facts.duration, facts.tracks.len()), (Some(Duration::from_secs(1)), 2));
    assert!(reads[1..].iter().map(|read| read.end - read.start).sum::<u64>() < 300, "{reads:?}");
    let clusters = segment_start(&children) + children[..5].concat().len() as u64;
    assert_eq!(head.unwrap().clusters(), clusters);
}

#[test]
fn a_second_seek_head_names_what_the_first_does_not() {
    let build = |at: [u64; 4]| {
        vec![
            seek_head(&[(id::SEEK_HEAD, at[3])]),
            cluster(5, &[simple_block(1, 0, vec![0; 2000])]),
            info(7000.0),
            tracks(),
            parent(id::CUES, &[cue(5, &[(1, at[0])])]),
            seek_head(&[(id::INFO, at[0]), (id::TRACKS, at[1]), (id::CUES, at[2])]),
        ]
    };
    let sizes = build([0; 4]).iter().map(|child| child.len() as u64).collect::<Vec<_>>();
    let at = [2, 3, 4, 5].map(|count| sizes[..count].iter().sum::<u64>());
    let facts = facts(&file(&build(at)));
    assert_eq!((facts.duration, facts.tracks.len()), (Some(Duration::from_secs(7)), 2));
    assert_eq!(points(&facts).len(), 1);
}

#[test]
fn cues_before_the_tracks_and_the_scale_are_read_by_them() {
    let slow = parent(id::INFO, &[uint(id::TIMESTAMP_SCALE, 1_000_000_000), float(id::DURATION, 60.0)]);
    let cues = parent(id::CUES, &[cue(30, &[(2, 90), (1, 77)]), cue(40, &[(2, 95)])]);
    let children = [cues, slow, tracks(), cluster(0, &[])];
    let facts = facts(&file(&children));
    assert_eq!(facts.duration, Some(Duration::from_secs(60)));
    assert_eq!(points(&facts), [(30_000_000, segment_start(&children) + 77)]);
}

#[test]
fn the_cues_of_other_tracks_serve_a_film_without_its_own() {
    let children = [info(9.0), tracks(), parent(id::CUES, &[cue(3, &[(2, 50)])]), cluster(0, &[])];
    assert_eq!(points(&facts(&file(&children))), [(3000, segment_start(&children) + 50)]);
}

#[test]
fn a_checksum_and_a_void_before_the_segment_are_no_trouble() {
    let sum = element(id::CRC_32, [1, 2, 3, 4]);
    let entries = [sum.clone(), track(1, 1, "V_VP9", &[])];
    let children = [info(1000.0), parent(id::TRACKS, &entries), cluster(0, &[])];
    let file = [header("matroska"), void(20), parent(id::SEGMENT, &children)].concat();
    assert_eq!(facts(&file).tracks.len(), 1);
}
