use std::time::Duration;

use proptest::prelude::*;

use super::super::facts::{Audio, Codec, TrackKind, Video};
use super::super::testing::{damaged, inspect, inspect_without};
use super::*;
use crate::limits::{AVI_STANDARD_INDEXES_MAX, POINTS_MAX};

fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let padding = &[0][..body.len() % 2];
    [&id[..], &(body.len() as u32).to_le_bytes(), body, padding].concat()
}

fn list(kind: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[&kind[..], &chunks.concat()].concat())
}

fn riff(kind: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut riff = list(kind, chunks);
    riff[..4].copy_from_slice(b"RIFF");
    riff
}

fn longs(longs: &[u32]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

fn shorts(shorts: &[u16]) -> Vec<u8> {
    shorts.iter().flat_map(|short| short.to_le_bytes()).collect()
}

/// `avih` of pictures of 40 ms.
fn main_header(frames: u32) -> Vec<u8> {
    chunk(b"avih", &longs(&[40_000, 0, 0, 0x910, frames, 0, 2, 0, 640, 360, 0, 0, 0, 0]))
}

fn stream_header(kind: &[u8; 4], handler: &[u8; 4], scale: u32, rate: u32, frames: u32) -> Vec<u8> {
    let rest = longs(&[0, 0, 0, scale, rate, 0, frames, 0, 0, 0, 0, 0]);
    chunk(b"strh", &[&kind[..], handler, &rest].concat())
}

/// Pictures of 25 a second.
fn pictures(four: &[u8; 4], frames: u32, more: &[Vec<u8>]) -> Vec<u8> {
    let format = [longs(&[40, 640, 360_i32.wrapping_neg() as u32, 0x0018_0001]), four.to_vec(), vec![0; 20]];
    let headers = [stream_header(b"vids", four, 1, 25, frames), chunk(b"strf", &format.concat())];
    list(b"strl", &[&headers[..], more].concat())
}

/// Sound of two channels at 48 kHz, 24 ms a frame.
fn sound(tag: u16, more: &[Vec<u8>]) -> Vec<u8> {
    let format =
        [shorts(&[tag, 2]), longs(&[48_000, 16_000]), shorts(&[1, 16, 22, 16]), longs(&[3])].concat();
    // Behind the mask of channels, a GUID that begins with the tag it stands for.
    let format = [format, shorts(&[0x2000, 0]), vec![0; 12]].concat();
    let headers = [stream_header(b"auds", &[0; 4], 24, 1000, 200), chunk(b"strf", &format)];
    list(b"strl", &[&headers[..], more].concat())
}

/// What offsets are counted from in an index.
#[derive(Clone, Copy, PartialEq)]
enum Counted {
    Movi,
    Start,
    Nowhere,
}

/// A film of 100 pictures, every tenth of them a key frame, each with sound before it; and where its key frames are.
fn film(counted: Counted) -> (Vec<u8>, Vec<Point>) {
    let headers = list(b"hdrl", &[main_header(100), pictures(b"XVID", 100, &[]), sound(0x55, &[])]);
    let info = list(b"INFO", &[chunk(b"ISFT", b"us"), chunk(b"IAS1", b"German\0")]);
    let before = [headers, info, chunk(b"JUNK", &[0; 501])].concat();
    let movi = 12 + before.len() + 8;
    let (mut frames, mut index, mut points) = (Vec::<u8>::new(), Vec::new(), Vec::new());
    for frame in 0..100 {
        for (id, bytes) in [(b"01wb", 48), (b"00dc", 301)] {
            let at = movi + 4 + frames.len();
            let is_key = id == b"01wb" || frame % 10 == 0;
            let base = match counted {
                Counted::Movi => movi,
                Counted::Start => 0,
                Counted::Nowhere => 1,
            };
            let entry = longs(&[if is_key { 0x10 } else { 0 }, (at - base) as u32, bytes]);
            index.extend([&id[..], &entry].concat());
            if id == b"00dc" && is_key {
                points.push(Point { micros: frame * 40_000, offset: at as u64 });
            }
            frames.extend(chunk(id, &vec![frame as u8; bytes as usize]));
        }
    }
    (riff(b"AVI ", &[before, list(b"movi", &[frames]), chunk(b"idx1", &index)]), points)
}

fn facts(file: &[u8]) -> Facts {
    inspect(file).0.unwrap()
}

#[test]
fn a_film_says_what_is_in_it_and_where_its_key_frames_are() {
    let (file, points) = film(Counted::Movi);
    let (found, reads) = inspect(&file);
    let found = found.unwrap();
    assert_eq!((found.container, found.duration), (Container::Avi, Some(Duration::from_secs(4))));
    let [video, audio] = &found.tracks[..] else { panic!("{:?}", found.tracks) };
    let picture = Video { width: 640, height: 360, hdr: None, frame_rate: Some(25.0) };
    assert_eq!((&video.codec, &video.kind), (&Codec::Mpeg4, &TrackKind::Video(picture)));
    let heard = TrackKind::Audio(Audio { channels: 2, sample_rate: 48_000 });
    assert_eq!((&audio.codec, &audio.kind), (&Codec::Mp3, &heard));
    assert_eq!(audio.language.map(|tag| tag.to_string()).as_deref(), Some("de"));
    assert_eq!((video.language, video.is_default, audio.is_default), (None, true, true));
    assert_eq!(found.index.unwrap().points(), points);
    assert!(reads.len() <= 4, "{reads:?}");
}

#[test]
fn offsets_are_counted_from_where_the_first_chunk_shows_it() {
    let (file, points) = film(Counted::Start);
    assert_eq!(facts(&file).index.unwrap().points(), points);
    assert_eq!(facts(&film(Counted::Nowhere).0).index, None);
}

#[test]
fn a_film_without_an_index_still_says_what_is_in_it() {
    let (file, _) = film(Counted::Movi);
    let whole = facts(&file);
    let cut = facts(&file[..file.len() / 2]);
    assert_eq!((cut.duration, &cut.tracks, cut.index), (whole.duration, &whole.tracks, None));
    let index_cut = facts(&file[..file.len() - 16 * 80 - 8]).index.unwrap();
    assert_eq!(index_cut.points(), &whole.index.unwrap().points()[..6]);
    assert!(matches!(inspect(&file[..90]).0, Err(Fault::Broken(_))));
}

#[test]
fn an_index_that_cant_be_had_leaves_the_rest() {
    let (file, _) = film(Counted::Movi);
    let (whole, length) = (facts(&file), file.len() as u64);
    let found = inspect_without(&file, length - 1..length).unwrap();
    assert_eq!((found.duration, &found.tracks, found.index), (whole.duration, &whole.tracks, None));
    assert_eq!(inspect_without(&file, 0..1), Err(Fault::Unreadable));
}

#[test]
fn four_letters_and_tags_say_the_codec() {
    let of = |stream: Vec<u8>| {
        let file = riff(b"AVI ", &[list(b"hdrl", &[main_header(0), stream])]);
        facts(&file).tracks.remove(0).codec
    };
    for (four, codec) in [
        (b"XVID", Codec::Mpeg4),
        (b"divx", Codec::Mpeg4),
        (b"DX50", Codec::Mpeg4),
        (b"FMP4", Codec::Mpeg4),
        (b"H264", Codec::Avc),
        (b"avc1", Codec::Avc),
        (b"hev1", Codec::Hevc),
        (b"MJPG", Codec::Mjpeg),
        (b"mpg2", Codec::Mpeg2),
        (b"MP43", Codec::Other("MP43".into())),
        (b"\0\0\0\0", Codec::Other("uncompressed".into())),
        (b"\x10\0\0\0", Codec::Other("0x10000000".into())),
    ] {
        assert_eq!(of(pictures(four, 1, &[])), codec, "{four:?}");
    }
    for (tag, codec) in [
        (1, Codec::Pcm),
        (0x55, Codec::Mp3),
        (0x50, Codec::Mp2),
        (0x2000, Codec::Ac3),
        (0xfffe, Codec::Ac3),
        (0x2001, Codec::Dts),
        (0xff, Codec::Aac),
        (0x161, Codec::Other("0x0161".into())),
    ] {
        assert_eq!(of(sound(tag, &[])), codec, "{tag:#x}");
    }
}

#[test]
fn streams_have_titles_and_subtitles_have_none_of_the_languages_of_sound() {
    let title = "Kommentar ".repeat(60);
    let streams = [
        pictures(b"DXSB", 1, &[]),
        sound(0x55, &[chunk(b"strn", b"Original\0rest")]),
        pictures(b"H264", 50, &[chunk(b"strn", title.as_bytes()), chunk(b"vprp", &[0; 68])]),
    ];
    let info = list(b"INFO", &[chunk(b"IAS1", b"fre"), chunk(b"IAS2", b"eng"), chunk(b"IAS9", b"?")]);
    let file = riff(b"AVI ", &[list(b"hdrl", &[vec![main_header(50)], streams.to_vec()].concat()), info]);
    let found = facts(&file);
    let [subtitle, audio, video] = &found.tracks[..] else { panic!("{:?}", found.tracks) };
    assert_eq!((&subtitle.kind, subtitle.language), (&TrackKind::Subtitle, None));
    assert_eq!(audio.title.as_deref(), Some("Original"));
    assert_eq!(audio.language.map(|tag| tag.to_string()).as_deref(), Some("fr"));
    assert_eq!(video.title.as_ref().map(String::len), Some(TITLE_BYTES));
    assert_eq!(found.duration, Some(Duration::from_secs(2)));
}

const TITLE_BYTES: usize = crate::limits::TITLE_BYTES_MAX;

#[test]
fn the_length_comes_from_whatever_says_it() {
    let of = |headers: &[Vec<u8>]| facts(&riff(b"AVI ", &[list(b"hdrl", headers)])).duration;
    let all = list(b"odml", &[chunk(b"dmlh", &longs(&[250]))]);
    assert_eq!(of(&[main_header(0), pictures(b"XVID", 100, &[]), all.clone()]), Some(Duration::from_secs(4)));
    assert_eq!(of(&[main_header(0), pictures(b"XVID", 0, &[]), all]), Some(Duration::from_secs(10)));
    assert_eq!(of(&[main_header(100), pictures(b"XVID", 0, &[])]), Some(Duration::from_secs(4)));
    assert_eq!(of(&[main_header(0), sound(0x55, &[])]), Some(Duration::from_millis(4800)));
    assert_eq!(of(&[main_header(0), pictures(b"XVID", 0, &[])]), None);
}

/// A film of two RIFFs with an index of indexes, the first of which is of another size than it says if it is broken. And its key
/// frames.
fn large_film(is_broken: bool) -> (Vec<u8>, Vec<Point>) {
    let frames: Vec<Vec<u8>> = (0..20u8).map(|frame| chunk(b"00dc", &[frame; 100])).collect();
    let head = |entries: &[(u64, u32, u32)]| {
        let super_entries = entries.iter().map(|(offset, bytes, duration)| {
            [&offset.to_le_bytes()[..], &longs(&[*bytes, *duration])].concat()
        });
        let head = [shorts(&[4, 0]), longs(&[entries.len() as u32]), b"00dc".to_vec(), vec![0; 12]].concat();
        let indexes = chunk(b"indx", &[head, super_entries.collect::<Vec<_>>().concat()].concat());
        list(b"hdrl", &[main_header(20), pictures(b"H264", 20, &[indexes])])
    };
    // Every fifth is a key frame; entries point behind the chunk's header.
    let standard = |base: u64| {
        let entries: Vec<Vec<u8>> =
            (0..20).map(|frame| longs(&[frame * 108 + 8, 100 | u32::from(frame % 5 != 0) << 31])).collect();
        let kind = if is_broken && base < 1000 { 0x0300 } else { 0x0100 };
        let head =
            [shorts(&[2, kind]), longs(&[20]), b"00dc".to_vec(), base.to_le_bytes().to_vec(), vec![0; 4]];
        chunk(b"ix00", &[head.concat(), entries.concat()].concat())
    };
    let first_base = (12 + head(&[(0, 0, 0), (0, 0, 0)]).len() + 12) as u64;
    let movi = |base: u64| list(b"movi", &[frames.concat(), standard(base)]);
    let (frame_bytes, index_bytes) = (20 * 108, standard(0).len() as u32);
    let second = first_base - 12 + movi(0).len() as u64;
    let second_base = second + 24;
    let indexes = [(first_base + frame_bytes, index_bytes, 20), (second_base + frame_bytes, index_bytes, 20)];
    let file =
        [riff(b"AVI ", &[head(&indexes), movi(first_base)]), riff(b"AVIX", &[movi(second_base)])].concat();
    let points = (0..40u64).step_by(5).map(|frame| {
        let base = if frame < 20 { first_base } else { second_base };
        Point { micros: frame * 40_000, offset: base + frame % 20 * 108 }
    });
    (file, points.collect())
}

#[test]
fn a_film_of_several_riffs_has_an_index_of_indexes() {
    let (file, points) = large_film(false);
    let found = facts(&file);
    assert_eq!(found.duration, Some(Duration::from_millis(1600)));
    for point in &points {
        assert_eq!(file[point.offset as usize..][..4], *b"00dc");
    }
    assert_eq!(found.index.unwrap().points(), points);
}

#[test]
fn a_broken_standard_index_ends_itself_and_not_the_others() {
    let (file, points) = large_film(true);
    assert_eq!(facts(&file).index.unwrap().points(), &points[4..]);
}

#[test]
fn headers_that_are_too_long_and_chunks_without_end_are_not_followed() {
    let mut headers = list(b"hdrl", &[main_header(0), pictures(b"XVID", 1, &[])]);
    let mut endless = vec![headers.clone()];
    endless.extend((0..2000).map(|_| chunk(b"JUNK", &[0; 100_000])));
    let file = riff(b"AVI ", &endless[..200]);
    assert!(inspect(&file).1.len() <= AVI_CHUNKS_MAX as usize + 2);
    headers[4..8].fill(0x7f);
    assert!(matches!(inspect(&riff(b"AVI ", &[headers])).0, Err(Fault::TooMuch(_))));
    assert!(matches!(inspect(&riff(b"AVI ", &[list(b"hdrl", &[main_header(0)])])).0, Err(Fault::Broken(_))));
}

proptest! {
    #[test]
    fn damaged_films_are_looked_into_within_limits(
        changes in proptest::collection::vec((0usize..3000, any::<u8>()), 0..40),
        cut in 1usize..60_000,
        is_large: bool,
    ) {
        let file = if is_large { large_film(false).0 } else { film(Counted::Movi).0 };
        let file = damaged(file, &changes, cut);
        let (found, reads) = inspect(&file);
        prop_assert!(reads.len() <= AVI_CHUNKS_MAX as usize + AVI_STANDARD_INDEXES_MAX + 4);
        if let Ok(Some(index)) = found.map(|facts| facts.index) {
            prop_assert!(index.points().len() <= POINTS_MAX);
            prop_assert!(index.points().iter().all(|point| point.offset < file.len() as u64));
        }
    }

    #[test]
    fn any_headers_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let strl = [stream_header(b"vids", b"XVID", 1, 25, 9), chunk(b"strf", &bytes), chunk(b"indx", &bytes)];
        let headers = list(b"hdrl", &[main_header(9), list(b"strl", &strl), bytes.clone()]);
        let _ = inspect(&riff(b"AVI ", &[headers, list(b"movi", std::slice::from_ref(&bytes)), chunk(b"idx1", &bytes)]));
    }
}
