//! Text in films of one piece and in fragments.

use super::super::super::testing::{Pieces, covered, cues, text_tracks, texts};
use super::super::super::text_tracks::{Refusal, TextForm, TextOptions};
use super::*;
use crate::limits::TEXT_SPAN_BYTES;
use crate::subtitle::Format;

/// Far less than any fragment of a film.
const SPAN: u64 = 1 << 10;

fn entry(kind: &[u8; 4], inside: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[0, 0, 0, 0, 0, 0, 0, 1], inside].concat())
}

fn tx3g() -> Vec<u8> {
    entry(b"tx3g", &zeros(30))
}

fn timed(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// A cue in boxes.
fn vttc(text: &str, settings: &str) -> Vec<u8> {
    boxes(b"vttc", &[boxed(b"sttg", settings.as_bytes()), boxed(b"payl", text.as_bytes())])
}

/// A film with a track of text with number 2 whose samples last so many milliseconds, each between pictures.
fn of_samples(entry: Vec<u8>, samples: &[(u32, Vec<u8>)], pictures_bytes: usize) -> Vec<u8> {
    let durations: Vec<[u32; 2]> = samples.iter().map(|(millis, _)| [1, *millis]).collect();
    let sizes: Vec<u32> = samples.iter().map(|(_, bytes)| bytes.len() as u32).collect();
    let with_offsets = |offsets: &[[u32; 1]]| {
        let tables = vec![
            table(b"stts", &durations),
            table(b"stsc", &[[1, 1, 1]]),
            full(b"stsz", 0, 0, &[&[0, sizes.len() as u32], &sizes[..]].concat()),
            table(b"stco", offsets),
        ];
        let spec = TrackSpec { tables, ..TrackSpec::new(2, b"sbtl", entry.clone()) };
        [ftyp(), moov(&[video(), spec])].concat()
    };
    let head = with_offsets(&vec![[0]; samples.len()]).len() + 8;
    let mut media = Vec::new();
    let mut offsets = Vec::new();
    for (_, bytes) in samples {
        media.extend(zeros(pictures_bytes));
        offsets.push([(head + media.len()) as u32]);
        media.extend(bytes);
    }
    [with_offsets(&offsets), boxed(b"mdat", &media)].concat()
}

/// The bytes of pictures between texts decide how much is hopped over.
pub(super) fn film(pictures_bytes: usize) -> Vec<u8> {
    let samples = [(1000, timed("")), (2000, timed("one\ntwo")), (500, timed("")), (1500, timed("three"))];
    of_samples(tx3g(), &samples, pictures_bytes)
}

const FILM: [&str; 2] = ["00:00:01.000 --> 00:00:03.000|one|two", "00:00:03.500 --> 00:00:05.000|three"];

/// A fragment of a track: its samples of text, each of so many milliseconds.
fn fragment(track: u32, ticks: u32, samples: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let rows: Vec<u32> = samples.iter().flat_map(|(millis, bytes)| [*millis, bytes.len() as u32]).collect();
    let moof = |offset: u32| {
        let tfhd = full(b"tfhd", 0, 0x2_0000, &[track]);
        let tfdt = full(b"tfdt", 0, 0, &[ticks]);
        let trun = full(b"trun", 0, 0x301, &[&[samples.len() as u32, offset], &rows[..]].concat());
        boxes(b"moof", &[full(b"mfhd", 0, 0, &[1]), boxes(b"traf", &[tfhd, tfdt, trun])])
    };
    let offset = moof(0).len() as u32 + 8;
    let media: Vec<u8> = samples.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    [moof(offset), boxed(b"mdat", &media)].concat()
}

fn fragmented_head(entry: Vec<u8>) -> Vec<u8> {
    let trex = |track| full(b"trex", 0, 0, &[track, 1, 0, 0, 0]);
    let spec = TrackSpec::new(2, b"sbtl", entry);
    let pictures = TrackSpec { tables: Vec::new(), ..video() };
    let mvex = boxes(b"mvex", &[trex(1), trex(2)]);
    [ftyp(), boxes(b"moov", &[mvhd(0), mvex, pictures.trak(), spec.trak()])].concat()
}

fn pictures(ticks: u32, bytes: usize) -> Vec<u8> {
    [moof(1, ticks, 25), boxed(b"mdat", &zeros(bytes))].concat()
}

pub(super) fn in_fragments(pictures_bytes: usize) -> Vec<u8> {
    let pictures = |ticks| pictures(ticks, pictures_bytes);
    [
        fragmented_head(tx3g()),
        pictures(0),
        fragment(2, 0, &[(1000, timed("")), (2000, timed("one\ntwo"))]),
        pictures(1000),
        pictures(2000),
        fragment(2, 3000, &[(500, timed("")), (1500, timed("three"))]),
        pictures(3000),
    ]
    .concat()
}

#[test]
fn only_samples_of_text_are_read_and_no_gaps() {
    let film = film(9000);
    let (tracks, reads) = texts(&film, 1 << 16, 0, TEXT_SPAN_BYTES).unwrap();
    assert_eq!(cues(&tracks, 2), FILM);
    let lengths: Vec<u64> = reads.iter().map(|read| read.end - read.start).collect();
    assert_eq!(lengths, [9, 7]);
}

#[test]
fn samples_that_lie_near_each_other_are_read_together() {
    let spec = |count: u32| {
        let tables = vec![
            table(b"stts", &[[count, 10]]),
            table(b"stsc", &[[1, count, 1]]),
            full(b"stsz", 0, 0, &[4, count]),
            table(b"stco", &[[2000]]),
        ];
        TrackSpec { tables, ..TrackSpec::new(2, b"sbtl", tx3g()) }
    };
    let mut film = [ftyp(), moov(&[video(), spec(100)])].concat();
    film.resize(2000, 0);
    film.extend(timed("ab").repeat(100));
    let (tracks, reads) = texts(&film, 1 << 16, 0, TEXT_SPAN_BYTES).unwrap();
    assert_eq!((cues(&tracks, 2).len(), reads.len()), (100, 1));
}

#[test]
fn texts_come_in_whatever_order_their_pieces_do() {
    for film in [film(9000), in_fragments(5000)] {
        for (piece, seed) in [(1, 0), (7, 1), (100, 5), (1000, 77), (1 << 20, 0)] {
            let (tracks, _) = texts(&film, piece, seed, SPAN).unwrap();
            assert_eq!(cues(&tracks, 2), FILM, "pieces of {piece} bytes, order {seed}");
        }
    }
}

#[test]
fn what_is_missing_is_not_covered() {
    let film = film(9000);
    let mut tracks = text_tracks(&film, SPAN).unwrap();
    assert_eq!(covered(&tracks), [(0, 1000)], "and the film says that it ends then");
    let mut pieces = Pieces::new(film.len(), film.len());
    pieces.come(0, &film, &mut tracks);
    assert!(tracks.is_complete());

    let film = in_fragments(5000);
    let piece = 1000;
    let behind = film.len() / piece;
    let mut tracks = text_tracks(&film, SPAN).unwrap();
    let mut pieces = Pieces::new(film.len(), piece);
    for nth in behind - 6..=behind {
        pieces.come(nth, &film, &mut tracks);
    }
    assert_eq!(cues(&tracks, 2), FILM[1..], "a fragment is found in the middle of a film");
    assert!(!tracks.is_complete() && tracks.covered()[0].start >= 2000, "{:?}", tracks.covered());
}

#[test]
fn what_somebody_watches_is_read_first() {
    let film = film(9000);
    let mut tracks = text_tracks(&film, SPAN).unwrap();
    tracks.turn_to(film.len() as u64 - 100);
    let range = tracks.next(|_| film.len() as u64).unwrap();
    tracks.supply(range.start, &film[range.start as usize..range.end as usize]);
    assert_eq!(cues(&tracks, 2), FILM[1..]);
}

#[test]
fn cues_of_webvtt_go_on_from_sample_to_sample() {
    let head = boxed(b"vttC", b"WEBVTT\n\nSTYLE\n::cue { color: red }");
    let samples = [
        (1000, vttc("a", "line:0")),
        (1000, [vttc("a", "line:0"), vttc("b", "")].concat()),
        (1000, boxed(b"vtte", &[])),
        (1000, vttc("a", "line:0")),
    ];
    let film = of_samples(entry(b"wvtt", &head), &samples, 100);
    let (tracks, _) = texts(&film, 500, 3, TEXT_SPAN_BYTES).unwrap();
    let expected = [
        "STYLE|::cue { color: red }",
        "00:00:00.000 --> 00:00:02.000 line:0|a",
        "00:00:01.000 --> 00:00:02.000|b",
        "00:00:03.000 --> 00:00:04.000 line:0|a",
    ];
    assert_eq!(cues(&tracks, 2), expected);
    assert_eq!(tracks.tracks().next().unwrap().raw, Ok(Format::WebVtt));
}

#[test]
fn timed_text_that_is_no_file_is_given_as_subrip() {
    let (tracks, _) = texts(&film(9000), 1 << 16, 0, TEXT_SPAN_BYTES).unwrap();
    let raw = TextOptions { form: TextForm::Raw, offset_ms: -1000, window_ms: Some(0..1000) };
    assert_eq!(tracks.write(2, &raw).unwrap(), "1\n00:00:00,000 --> 00:00:02,000\none\ntwo\n\n");
}

#[test]
fn what_is_no_text_or_encrypted_is_refused() {
    for (kind, refusal) in
        [(b"stpp", Refusal::Ttml), (b"enct", Refusal::Encrypted), (b"c608", Refusal::Unread("c608".into()))]
    {
        let spec = TrackSpec::new(2, b"subt", entry(kind, &zeros(10)));
        let tracks = text_tracks(&[ftyp(), moov(&[video(), spec])].concat(), SPAN).unwrap();
        assert_eq!(tracks.write(2, &TextOptions::default()), Err(refusal));
        assert!(tracks.is_complete());
    }
}

#[test]
fn billions_of_samples_cost_no_more_than_thousands() {
    let tables = vec![
        table(b"stts", &[[u32::MAX, 10]]),
        table(b"stsc", &[[1, u32::MAX, 1]]),
        full(b"stsz", 0, 0, &[9, u32::MAX]),
        table(b"stco", &[[100]]),
    ];
    let spec = |id| TrackSpec { tables: tables.clone(), ..TrackSpec::new(id, b"sbtl", tx3g()) };
    let mut film = [ftyp(), moov(&[video(), spec(2), spec(3)])].concat();
    film.resize(4 << 20, 0);
    let tracks = text_tracks(&film, SPAN).unwrap();
    let raw: Vec<_> = tracks.tracks().map(|track| track.raw).collect();
    assert_eq!(raw, [Err(Refusal::TooMuch), Err(Refusal::TooMuch)]);

    let trun = full(b"trun", 0, 0, &[u32::MAX]);
    let tfhd = full(b"tfhd", 0, 0x2_0018, &[2, 10, 9]);
    let tfdt = full(b"tfdt", 0, 0, &[0]);
    let traf = boxes(b"traf", &[tfhd, tfdt, trun]);
    let fragments = boxes(b"moof", &[full(b"mfhd", 0, 0, &[1]), traf]).repeat(100);
    let (tracks, _) = texts(&[fragmented_head(tx3g()), fragments].concat(), 1 << 20, 0, SPAN).unwrap();
    assert!(tracks.tracks().next().unwrap().texts <= 100 * 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_of_any_size_in_any_order_give_the_same_texts(piece in 1usize..9000, seed: u64, span in 64u64..30_000) {
        for film in [film(9000), in_fragments(5000)] {
            let (tracks, _) = texts(&film, piece, seed, span).unwrap();
            prop_assert_eq!(cues(&tracks, 2), FILM);
        }
    }
}
