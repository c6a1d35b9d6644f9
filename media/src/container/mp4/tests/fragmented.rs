//! Films in fragments.

use super::*;

/// Of each fragment, which is a second. Few, since films are cut off at each of their bytes.
const MEDIA_BYTES: u64 = 1 << 10;

fn head(mehd: Option<u32>) -> Sparse {
    let mehd = mehd.map(|millis| full(b"mehd", 0, 0, &[millis]));
    let trex = full(b"trex", 0, 0, &[1, 1, 0, 0, 0]);
    let mvex = boxes(b"mvex", &mehd.into_iter().chain([trex]).collect::<Vec<_>>());
    let trak = TrackSpec { tables: Vec::new(), ..video() }.trak();
    Sparse::of(&[ftyp(), boxes(b"moov", &[mvhd(0), mvex, trak])])
}

/// Adds fragments of a second each, and says where they begin.
fn add_fragments(file: &mut Sparse, seconds: Range<u32>) -> Vec<u64> {
    seconds
        .map(|second| {
            let start = file.length;
            file.push(moof(1, second * 1000, 25));
            file.push_hollow(b"mdat", MEDIA_BYTES);
            start
        })
        .collect()
}

fn by_seconds(offsets: &[u64]) -> Vec<(u64, u64)> {
    offsets.iter().enumerate().map(|(second, &offset)| (second as u64 * 1000, offset)).collect()
}

/// A `sidx` of segments of a second each; those whose `bool` is set are indexes themselves.
fn sidx(track: u32, from_second: u32, first_offset: u32, parts: &[(u64, bool)]) -> Vec<u8> {
    let rows = parts.iter().flat_map(|&(bytes, is_index)| {
        let seconds = if is_index { 2 } else { 1 };
        [u32::from(is_index) << 31 | bytes as u32, seconds * 90_000, if is_index { 0 } else { 9 << 28 }]
    });
    let words =
        [track, 90_000, from_second * 90_000, first_offset, parts.len() as u32].into_iter().chain(rows);
    full(b"sidx", 0, 0, &words.collect::<Vec<_>>())
}

fn segment_bytes() -> u64 {
    moof(1, 0, 25).len() as u64 + MEDIA_BYTES
}

pub(super) fn with_sidx() -> Sparse {
    let mut file = head(None);
    file.push(sidx(1, 0, 0, &[(segment_bytes(), false); 3]));
    add_fragments(&mut file, 0..3);
    file
}

pub(super) fn with_mfra() -> Sparse {
    let mut file = head(None);
    let offsets = add_fragments(&mut file, 0..3);
    let rows: Vec<u8> = (0..)
        .zip(&offsets)
        .flat_map(|(second, &at)| [be(&[second * 1000, at as u32]), vec![1, 1, 1]].concat())
        .collect();
    let tfra = boxed(b"tfra", &[be(&[0, 1, 0, 3]), rows].concat());
    let size = 8 + tfra.len() as u32 + 16;
    file.push(boxes(b"mfra", &[tfra, full(b"mfro", 0, 0, &[size])]));
    file
}

pub(super) fn with_neither(fragments: u32) -> Sparse {
    let mut file = head(None);
    add_fragments(&mut file, 0..fragments);
    file
}

#[test]
fn an_index_of_segments_is_enough() {
    let file = with_sidx();
    let (step, reads) = inspect(&file);
    let Step::Done(facts) = step else { panic!("{step:?}") };
    assert_eq!((facts.container, facts.duration), (Container::FragmentedMp4, Some(Duration::from_secs(3))));
    let first = points(&facts)[0].1;
    let expected: Vec<_> = (0..3).map(|nth| (nth * 1000, first + nth * segment_bytes())).collect();
    assert_eq!(points(&facts), expected);
    assert!(reads.iter().map(|range| range.end - range.start).sum::<u64>() < 16 << 10, "{reads:?}");
}

#[test]
fn indexes_of_segments_may_be_in_each_other() {
    let mut file = head(None);
    let leaf = |from| sidx(1, from, 0, &[(segment_bytes(), false); 2]);
    let part = leaf(0).len() as u64 + 2 * segment_bytes();
    file.push(sidx(1, 0, 0, &[(part, true), (part, true)]));
    file.push(leaf(0));
    let mut offsets = add_fragments(&mut file, 0..2);
    file.push(leaf(2));
    offsets.extend(add_fragments(&mut file, 2..4));
    let facts = facts(&file);
    assert_eq!((points(&facts), facts.duration), (by_seconds(&offsets), Some(Duration::from_secs(4))));
}

#[test]
fn the_index_of_the_pictures_comes_before_that_of_other_tracks() {
    let mut file = head(None);
    let of_video = sidx(1, 0, 0, &[(segment_bytes(), false); 2]);
    file.push(sidx(2, 0, of_video.len() as u32, &[(2 * segment_bytes(), false)]));
    file.push(of_video);
    let offsets = add_fragments(&mut file, 0..2);
    assert_eq!(points(&facts(&file)), by_seconds(&offsets));
}

#[test]
fn an_index_of_the_first_segment_alone_is_none() {
    let mut file = head(None);
    let mut offsets = Vec::new();
    for second in 0..3 {
        file.push(sidx(1, second, 0, &[(segment_bytes(), false)]));
        offsets.extend(add_fragments(&mut file, second..second + 1));
    }
    let facts = facts(&file);
    assert_eq!((points(&facts), facts.duration), (by_seconds(&offsets), Some(Duration::from_secs(3))));
}

#[test]
fn indexes_that_lead_in_circles_end() {
    let mut file = head(None);
    let forward = sidx(1, 0, 0, &[(0, true); 40]);
    file.push(forward);
    add_fragments(&mut file, 0..2);
    assert_eq!(facts(&file).duration, Some(Duration::from_secs(2)), "the fragments say it then");
    let mut file = head(None);
    for _ in 0..40 {
        let next = sidx(1, 0, 0, &[(1 << 20, true)]);
        file.push(next);
    }
    assert_eq!(facts(&file).duration, None);
}

#[test]
fn random_access_at_the_end_is_an_index_and_its_last_fragment_says_the_length() {
    let file = with_mfra();
    let (step, reads) = inspect(&file);
    let Step::Done(facts) = step else { panic!("{step:?}") };
    assert_eq!((points(&facts).len(), facts.duration), (3, Some(Duration::from_secs(3))));
    assert!(reads.len() <= 6, "{reads:?}");
    assert_eq!(facts.video().and_then(|(_, video)| video.frame_rate), Some(25.0));
}

#[test]
fn few_fragments_are_looked_at_one_by_one() {
    let file = with_neither(5);
    let facts = facts(&file);
    let offsets: Vec<u64> = points(&facts).iter().map(|point| point.1).collect();
    assert_eq!((points(&facts), facts.duration), (by_seconds(&offsets), Some(Duration::from_secs(5))));
}

#[test]
fn of_many_fragments_only_as_many_are_looked_at_as_tell_that_they_are_many() {
    let (step, reads) = inspect(&with_neither(3000));
    let Step::Done(facts) = step else { panic!("{step:?}") };
    assert_eq!(
        (facts.index, facts.duration),
        (None, Some(Duration::from_secs(3000))),
        "the last one says it"
    );
    assert!(reads.len() < 20, "{}", reads.len());
}

#[test]
fn a_length_that_is_said_holds_where_the_fragments_are_not_seen() {
    let mut file = head(Some(7_200_000));
    add_fragments(&mut file, 0..2000);
    let facts = facts(&file);
    assert_eq!((facts.index, facts.duration), (None, Some(Duration::from_secs(7200))));
}

#[test]
fn a_film_that_is_cut_off_is_known_as_far_as_it_goes() {
    let mut file = with_neither(4);
    file.length -= MEDIA_BYTES / 2;
    assert_eq!(facts(&file).duration, Some(Duration::from_secs(4)));
}

#[test]
fn what_is_not_in_fragments_comes_before_what_is() {
    let mvex = boxes(b"mvex", &[full(b"trex", 0, 0, &[1, 1, 0, 0, 0])]);
    let mut file = Sparse::of(&[ftyp(), boxes(b"moov", &[mvhd(1000), mvex, video().trak()])]);
    file.push_hollow(b"mdat", 20_000);
    let offsets = add_fragments(&mut file, 1..3);
    let facts = facts(&file);
    assert_eq!(points(&facts), [(0, 5000), (400, 7000), (1000, offsets[0]), (2000, offsets[1])]);
    assert_eq!(facts.duration, Some(Duration::from_secs(3)));
}

#[test]
fn the_point_of_a_fragment_is_its_first_key_frame() {
    let mut file = head(None);
    let tfhd = full(b"tfhd", 0, 0x2_0000, &[1]);
    let tfdt = full(b"tfdt", 1, 0, &[0, 1000]);
    // Its samples' lengths, flags and delays; the second is the key frame.
    let rows = [40, 0x1_0000, 0, 40, 0x0200_0000, 80, 40, 0x1_0000, 0];
    let trun = full(b"trun", 0, 0xd01, &[&[3, 8][..], &rows].concat());
    let at = file.length;
    file.push(boxes(b"moof", &[boxes(b"traf", &[tfhd, tfdt, trun])]));
    file.push(boxed(b"mdat", &zeros(64)));
    let facts = facts(&file);
    assert_eq!((points(&facts), facts.duration), (vec![(1120, at)], Some(Duration::from_millis(1120))));
}
