//! Films that are written here, and what is known of them.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::super::facts::{Audio, Codec, Hdr, Track, TrackKind, Video};
use super::super::inspect::{Inspection, Step};
use super::super::testing::texts;
use super::*;
use crate::limits::{POINTS_MAX, READS_MAX, TEXT_SAMPLES_MAX, TITLE_BYTES_MAX, TRACKS_MAX};

mod described;
mod fragmented;
mod indexed;
mod searched;
mod texts;
mod writer;

use writer::*;

/// A file of which only some parts are written; what is between them is zeros.
#[derive(Clone, Default)]
struct Sparse {
    length: u64,
    parts: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    fn of(parts: &[Vec<u8>]) -> Self {
        let mut file = Self::default();
        for part in parts {
            file.push(part.clone());
        }
        file
    }

    fn push(&mut self, part: Vec<u8>) {
        let length = part.len() as u64;
        self.parts.insert(self.length, part);
        self.length += length;
    }

    /// A box of so many bytes of which only the header is there, its size in 64 bits.
    fn push_hollow(&mut self, kind: &[u8; 4], bytes: u64) {
        let header = [&1u32.to_be_bytes()[..], kind, &bytes.to_be_bytes()].concat();
        self.parts.insert(self.length, header);
        self.length += bytes;
    }

    fn read(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = zeros((range.end - range.start) as usize);
        for (&start, part) in &self.parts {
            let from = start.max(range.start);
            let to = (start + part.len() as u64).min(range.end);
            if from < to {
                let part = &part[(from - start) as usize..(to - start) as usize];
                bytes[(from - range.start) as usize..(to - range.start) as usize].copy_from_slice(part);
            }
        }
        bytes
    }
}

/// How a file is looked into, to the end, and what was read.
fn inspect(file: &Sparse) -> (Step, Vec<Range<u64>>) {
    let mut inspection = Inspection::new(file.length);
    let mut reads = Vec::new();
    loop {
        match inspection.step() {
            Step::Read(range) => {
                assert!(range.end <= file.length && reads.len() < READS_MAX as usize, "{range:?}");
                inspection.supply(range.start, file.read(&range));
                reads.push(range);
            }
            ended => return (ended, reads),
        }
    }
}

fn facts(file: &Sparse) -> Facts {
    match inspect(file).0 {
        Step::Done(facts) => *facts,
        other => panic!("{other:?}"),
    }
}

fn fault(file: &Sparse) -> Fault {
    match inspect(file).0 {
        Step::Failed(fault) => fault,
        other => panic!("{other:?}"),
    }
}

fn points(facts: &Facts) -> Vec<(u64, u64)> {
    let points = facts.index.as_ref().map_or(&[][..], |index| index.points());
    points.iter().map(|point| (point.micros / 1000, point.offset)).collect()
}

/// A second of pictures in 25 samples of 100 bytes, a key frame at the 1st and the 11th, in chunks of 5 from byte 5000 on.
fn video() -> TrackSpec {
    let offsets: Vec<[u32; 1]> = (0..5).map(|nth| [5000 + 1000 * nth]).collect();
    TrackSpec {
        tables: vec![
            table(b"stts", &[[25, 40]]),
            table(b"stss", &[[1], [11]]),
            table(b"stsc", &[[1, 5, 1]]),
            full(b"stsz", 0, 0, &[100, 25]),
            table(b"stco", &offsets),
        ],
        ..TrackSpec::new(1, b"vide", picture(b"avc1", 640, 360, &[]))
    }
}

fn moov(traks: &[TrackSpec]) -> Vec<u8> {
    boxes(b"moov", &[vec![mvhd(1000)], traks.iter().map(TrackSpec::trak).collect()].concat())
}

fn film(traks: &[TrackSpec]) -> Facts {
    facts(&Sparse::of(&[ftyp(), moov(traks)]))
}

#[test]
fn a_film_with_its_moov_in_front_is_read_no_further() {
    let mut file = Sparse::of(&[ftyp(), moov(&[video()])]);
    let front = file.length;
    file.push_hollow(b"mdat", 5 << 30);
    let (step, reads) = inspect(&file);
    assert!(matches!(step, Step::Done(_)));
    assert!(reads.iter().all(|range| range.end <= front.max(1024)), "{reads:?}");
}

#[test]
fn a_film_with_its_moov_behind_takes_its_head_a_header_and_the_moov() {
    let mut file = Sparse::of(&[ftyp(), boxed(b"free", &[])]);
    file.push_hollow(b"mdat", 5 << 30);
    let (start, moov) = (file.length, moov(&[video()]));
    file.push(moov.clone());
    file.push(boxed(b"free", &zeros(100)));
    let (step, reads) = inspect(&file);
    assert!(matches!(step, Step::Done(_)));
    assert_eq!(reads, [0..1024, start..start + 32, start..start + moov.len() as u64]);
}

#[test]
fn a_size_of_zero_goes_on_to_the_end_of_the_file() {
    let mut moov = moov(&[video()]);
    moov[..4].fill(0);
    assert_eq!(facts(&Sparse::of(&[ftyp(), moov])).duration, Some(Duration::from_secs(1)));
    let endless = Sparse::of(&[ftyp(), be(&[0, u32::from_be_bytes(*b"mdat"), 0, 0])]);
    assert_eq!(fault(&endless), Fault::Broken("it has no moov"));
}

#[test]
fn what_has_no_moov_or_not_all_of_it_is_said_to() {
    let whole = moov(&[video()]);
    assert_eq!(fault(&Sparse::of(&[ftyp(), boxed(b"mdat", &[])])), Fault::Broken("it has no moov"));
    assert_eq!(fault(&Sparse::of(&[ftyp(), whole[..whole.len() - 1].to_vec()])), Fault::Truncated);
    assert_eq!(fault(&Sparse::of(&[ftyp(), be(&[900, u32::from_be_bytes(*b"mdat")])])), Fault::Truncated);
    let no_tracks = Sparse::of(&[ftyp(), boxes(b"moov", &[mvhd(1000)])]);
    assert_eq!(fault(&no_tracks), Fault::Broken("its moov has no tracks"));
}

#[test]
fn a_moov_that_is_too_large_or_compressed_is_said_to_be() {
    let mut large = Sparse::of(&[ftyp()]);
    large.push_hollow(b"moov", 65 << 20);
    assert_eq!(fault(&large), Fault::TooMuch("a moov of more than 64 MiB"));
    let compressed = boxes(b"moov", &[boxes(b"cmov", &[boxed(b"dcom", b"zlib")])]);
    assert!(fault(&Sparse::of(&[ftyp(), compressed])).to_string().contains("compressed (cmov)"));
}

#[test]
fn boxes_without_end_are_given_up() {
    let mut file = Sparse::of(&[ftyp()]);
    for _ in 0..READS_MAX + 2 {
        file.push_hollow(b"free", 4096);
    }
    assert_eq!(fault(&file), Fault::TooMuch("too many reads"));
}

#[test]
fn files_are_known_by_their_first_box() {
    let begins_with = |kind: &[u8; 4]| begins(&boxed(kind, &zeros(8)));
    for kind in [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot"] {
        assert!(begins_with(kind), "{kind:?}");
    }
    assert!(
        !begins_with(b"RIFF") && !begins(b"\x1a\x45\xdf\xa3ftypisom") && !begins(b"ftyp") && !begins(b"")
    );
    assert!(!begins(b"\0\0\0\x04ftypisom") && !begins(b"\0\0\0\0ftypisom"), "no size that it can have");
}

/// Whatever a file is, looking into it ends, within its limits.
fn ends_within_limits(file: &Sparse) {
    let (step, _) = inspect(file);
    if let Step::Done(facts) = step {
        assert!(facts.tracks.len() <= TRACKS_MAX);
        assert!(points(&facts).len() <= POINTS_MAX);
        let titles = facts.tracks.iter().filter_map(|track| track.title.as_ref());
        assert!(titles.clone().all(|title| !title.is_empty() && title.len() <= TITLE_BYTES_MAX));
        let bytes = file.read(&(0..file.length));
        let tracks = texts(&bytes, 97, file.length, 1000).map(|(tracks, _)| tracks);
        assert!(tracks.is_none_or(|tracks| tracks.tracks().all(|track| track.texts <= TEXT_SAMPLES_MAX)));
    }
}

/// All that the writer can write, in one file each.
fn every_kind_of_film() -> Vec<Vec<u8>> {
    let whole = [ftyp(), moov(&[video(), described::audio(), described::subtitle()])].concat();
    let flat = |file: Sparse| file.read(&(0..file.length));
    vec![
        whole,
        flat(fragmented::with_sidx()),
        flat(fragmented::with_mfra()),
        flat(fragmented::with_neither(3)),
        self::texts::film(50),
        self::texts::in_fragments(50),
    ]
}

#[test]
fn a_film_cut_off_anywhere_ends_within_its_limits() {
    for film in every_kind_of_film() {
        for length in 0..film.len() {
            ends_within_limits(&Sparse::of(&[film[..length].to_vec()]));
        }
    }
}

proptest! {
    #[test]
    fn damaged_films_end_within_their_limits(
        which in 0..6usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()]), 1..12),
    ) {
        let mut film = every_kind_of_film().swap_remove(which);
        for (at, byte) in damage {
            let at = at.index(film.len());
            film[at] = byte;
        }
        ends_within_limits(&Sparse::of(&[film]));
    }

    #[test]
    fn numbers_in_a_moov_may_be_anything(
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0), Just(1), Just(u32::MAX), Just(1 << 31), any::<u32>()]), 1..6),
    ) {
        let mut moov = moov(&[video(), described::audio()]);
        let words = moov.len() / 4;
        for (at, word) in damage {
            let at = 8 + 4 * at.index(words - 3);
            moov[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        ends_within_limits(&Sparse::of(&[ftyp(), moov]));
    }

    #[test]
    fn any_bytes_behind_a_brand_end_within_their_limits(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        ends_within_limits(&Sparse::of(&[ftyp(), bytes.clone()]));
        ends_within_limits(&Sparse::of(&[ftyp(), boxed(b"moov", &bytes)]));
        ends_within_limits(&Sparse::of(&[ftyp(), moov(&[video()]), boxed(b"moof", &bytes)]));
    }
}
