//! A track's text out of Clusters, whatever comes first of them.

use std::ops::Range;

use miniz_oxide::deflate::compress_to_vec_zlib;
use proptest::prelude::*;

use super::writer::*;
use super::{id, void};
use crate::container::testing::{Pieces, covered, cues, text_tracks, texts};
use crate::container::{Refusal, TextForm, TextOptions, TextTracks};
use crate::limits::{STRIPPED_BYTES_MAX, SUBTITLE_BLOCK_BYTES_MAX, TEXT_SPAN_BYTES, TEXT_TRACK_BYTES_MAX};
use crate::subtitle::Format;

/// Far less than any Cluster of a film.
const SPAN: u64 = 1 << 10;

fn all(children: &[Vec<u8>]) -> Vec<String> {
    let file = file(&[&[info(9.0), tracks()], children].concat());
    let (tracks, _) = texts(&file, 500, 0, TEXT_SPAN_BYTES).unwrap();
    cues(&tracks, 2)
}

fn picture() -> Vec<u8> {
    simple_block(1, 0, vec![0x1f; 9000])
}

fn film() -> (Vec<u8>, [&'static str; 4]) {
    let first =
        [picture(), simple_block(2, 40, "one"), block_group(2, -100, 2500, "two"), picture(), picture()];
    let second = [uint(id::TIMESTAMP, 5000), block_group(1, 0, 7, "x"), block_group(2, 1, 1500, "three")];
    let third = [simple_block(2, 0, "four"), picture()];
    let children = [
        info(9000.0),
        tracks(),
        element(id::TAGS, [0; 500]),
        cluster(1000, &first),
        endless(id::CLUSTER, &second),
        void(50),
        cluster(8000, &third),
        element(id::TAGS, [0; 50]),
    ];
    let cues = [
        "00:00:00.900 --> 00:00:03.400|two",
        "00:00:01.040 --> 00:00:04.040|one",
        "00:00:05.001 --> 00:00:06.501|three",
        "00:00:08.000 --> 00:00:11.000|four",
    ];
    (file(&children), cues)
}

/// A file of one track of text with what else there is of it, and blocks.
fn of_track(codec: &str, more: &[Vec<u8>], blocks: &[Vec<u8>]) -> Vec<u8> {
    file(&[parent(id::TRACKS, &[track(2, 17, codec, more)]), cluster(0, blocks)])
}

fn read(file: &[u8]) -> TextTracks {
    texts(file, file.len(), 0, TEXT_SPAN_BYTES).unwrap().0
}

fn form(tracks: &TextTracks, form: TextForm) -> String {
    tracks.write(2, &TextOptions { form, ..TextOptions::default() }).unwrap()
}

#[test]
fn the_texts_of_a_track_come_with_their_times_in_whatever_order_its_pieces_do() {
    let (file, expected) = film();
    for piece in [1, 2, 7, 100, 5000, file.len()] {
        for seed in [0, 1, 77] {
            let (tracks, _) = texts(&file, piece, seed, SPAN).unwrap();
            assert_eq!(cues(&tracks, 2), expected, "pieces of {piece} bytes, order {seed}");
        }
    }
}

#[test]
fn pictures_and_sound_are_hopped_over() {
    let pictures = vec![simple_block(1, 0, vec![0x1f; 50_000]); 20];
    let file =
        file(&[info(9.0), tracks(), cluster(0, &[pictures, vec![simple_block(2, 0, "text")]].concat())]);
    let (tracks, reads) = texts(&file, 1 << 16, 0, TEXT_SPAN_BYTES).unwrap();
    assert_eq!(cues(&tracks, 2), ["00:00:00.000 --> 00:00:03.000|text"]);
    let bytes: u64 = reads.iter().map(|read| read.end - read.start).sum();
    assert!(bytes < file.len() as u64 / 8 && reads.len() < 30, "{bytes} in {} reads", reads.len());
}

#[test]
fn what_was_read_once_is_not_asked_for_again() {
    let (file, _) = film();
    let mut tracks = text_tracks(&file, SPAN).unwrap();
    let mut pieces = Pieces::new(file.len(), 1000);
    assert!(!pieces.come(20, &file, &mut tracks).is_empty());
    assert_eq!(pieces.come(20, &file, &mut tracks), []);
}

#[test]
fn a_gap_holds_up_only_what_is_right_behind_it() {
    let (file, expected) = film();
    // The texts of the first Cluster are in the tenth.
    let (piece, gap) = (1000, 9);
    let mut tracks = text_tracks(&file, SPAN).unwrap();
    let mut pieces = Pieces::new(file.len(), piece);
    for nth in (0..file.len().div_ceil(piece)).filter(|&nth| nth != gap) {
        pieces.come(nth, &file, &mut tracks);
    }
    assert_eq!(cues(&tracks, 2), expected[2..]);
    assert!(!tracks.is_complete());
    assert_eq!(covered(&tracks), [(0, 1000), (5000, 9000)]);
    pieces.come(gap, &file, &mut tracks);
    assert_eq!(cues(&tracks, 2), expected);
    assert_eq!(covered(&tracks), [(0, 9000)]);
    assert!(tracks.is_complete());
}

#[test]
fn an_index_says_where_to_look() {
    let clusters: Vec<Vec<u8>> =
        (0..6).map(|nth| cluster(nth * 1000, &[picture(), simple_block(2, 10, nth.to_string())])).collect();
    let head = [info(6000.0), tracks()];
    let at = |nth: usize| (head.concat().len() + clusters[..nth].concat().len()) as u64;
    let cues_of =
        parent(id::CUES, &[cue(2000, &[(1, at(2))]), cue(4000, &[(1, at(4) + 3)]), cue(5000, &[(1, at(5))])]);
    let children = [&head[..], &clusters[..], &[cues_of]].concat();
    // The Cues are behind the Clusters, and named before them only where somebody has room for that.
    let seek = seek_head(&[(id::CUES, 0)]);
    let moved = seek.len() as u64;
    let cues_of = parent(
        id::CUES,
        &[
            cue(2000, &[(1, at(2) + moved)]),
            cue(4000, &[(1, at(4) + moved + 3)]),
            cue(5000, &[(1, at(5) + moved)]),
        ],
    );
    let end = (children[..children.len() - 1].concat().len()) as u64 + moved;
    let file = file(&[&[seek_head(&[(id::CUES, end)])], &head[..], &clusters[..], &[cues_of]].concat());
    let piece = clusters[0].len();
    let mut tracks = text_tracks(&file, TEXT_SPAN_BYTES).unwrap();
    let mut pieces = Pieces::new(file.len(), piece);
    // Of the last Cluster, and what is behind it.
    for nth in [5, 6] {
        pieces.come(nth, &file, &mut tracks);
    }
    assert_eq!(cues(&tracks, 2), ["00:00:05.010 --> 00:00:08.010|5"]);
    for seed in 0..6 {
        let (tracks, _) = texts(&file, piece, seed, TEXT_SPAN_BYTES).unwrap();
        assert_eq!(cues(&tracks, 2).len(), 6, "a point that is off by a little does no harm");
    }
}

#[test]
fn what_somebody_watches_is_read_first() {
    let (file, expected) = film();
    let mut tracks = text_tracks(&file, SPAN).unwrap();
    // Shortly before the last two Clusters, of which one has a picture.
    tracks.turn_to(file.len() as u64 - 9200);
    while cues(&tracks, 2).len() < 2 {
        let range = tracks.next(|_| file.len() as u64).unwrap();
        tracks.supply(range.start, &file[range.start as usize..range.end as usize]);
    }
    assert_eq!(cues(&tracks, 2), expected[2..]);
}

#[test]
fn a_time_before_the_start_is_the_start_and_a_block_without_one_is_left_out() {
    let early = cluster(50, &[block_group(2, -100, 10, "early")]);
    let timeless = parent(id::CLUSTER, &[simple_block(2, 0, "never")]);
    assert_eq!(all(&[early, timeless]), ["00:00:00.000 --> 00:00:00.010|early"]);
}

fn encodings(parts: &[Vec<u8>]) -> Vec<u8> {
    parent(id::CONTENT_ENCODINGS, &[parent(id::CONTENT_ENCODING, parts)])
}

fn compression(parts: &[Vec<u8>]) -> Vec<u8> {
    encodings(&[parent(id::CONTENT_COMPRESSION, parts)])
}

#[test]
fn what_was_stripped_from_the_front_is_put_back() {
    let settings =
        |count: usize| element(id::CONTENT_COMP_SETTINGS, &b"heaaaaaaaaaaaaaaaaaaaaaaaaa"[..count]);
    let stripped = |count| compression(&[uint(id::CONTENT_COMP_ALGO, 3), settings(count)]);
    let file = of_track("S_TEXT/UTF8", &[stripped(2)], &[simple_block(2, 0, "llo")]);
    assert_eq!(cues(&read(&file), 2), ["00:00:00.000 --> 00:00:03.000|hello"]);
    let long = of_track("S_TEXT/UTF8", &[stripped(STRIPPED_BYTES_MAX + 1)], &[]);
    assert_eq!(read(&long).tracks().next().unwrap().raw, Err(Refusal::Compressed));
}

#[test]
fn what_zlib_compressed_is_inflated_up_to_what_a_text_may_be() {
    let zlib = |text: &str| compress_to_vec_zlib(text.as_bytes(), 6);
    let huge = "x".repeat(SUBTITLE_BLOCK_BYTES_MAX as usize + 1);
    let blocks = [
        simple_block(2, 0, zlib("said twice, said twice")),
        simple_block(2, 1000, zlib(&huge)),
        simple_block(2, 2000, "no zlib"),
        block_group(2, 3000, 500, zlib("again")),
    ];
    let file = of_track("S_TEXT/UTF8", &[compression(&[])], &blocks);
    let expected =
        ["00:00:00.000 --> 00:00:03.000|said twice, said twice", "00:00:03.000 --> 00:00:03.500|again"];
    assert_eq!(cues(&read(&file), 2), expected);
    // Each is a thousandth of what it takes to see that it is too long.
    let bombs = vec![simple_block(2, 1000, zlib(&huge)); TEXT_TRACK_BYTES_MAX / huge.len() + 2];
    let file = of_track("S_TEXT/UTF8", &[compression(&[])], &bombs);
    assert_eq!(read(&file).tracks().next().unwrap().raw, Err(Refusal::TooMuch));
}

#[test]
fn a_track_of_more_text_than_any_is_given_up_and_leaves_the_others() {
    let long = simple_block(2, 0, vec![b'x'; SUBTITLE_BLOCK_BYTES_MAX as usize]);
    let count = TEXT_TRACK_BYTES_MAX / SUBTITLE_BLOCK_BYTES_MAX as usize + 1;
    let blocks = [vec![long; count], vec![simple_block(3, 0, "short")]].concat();
    let entries = [track(2, 17, "S_TEXT/UTF8", &[]), track(3, 17, "S_TEXT/UTF8", &[])];
    let tracks = read(&file(&[parent(id::TRACKS, &entries), cluster(0, &blocks)]));
    assert_eq!(tracks.write(2, &TextOptions::default()), Err(Refusal::TooMuch));
    assert_eq!(cues(&tracks, 3), ["00:00:00.000 --> 00:00:03.000|short"]);
}

#[test]
fn tracks_that_are_no_readable_text_are_refused_with_a_reason() {
    let encrypted = encodings(&[uint(id::CONTENT_ENCODING_TYPE, 1)]);
    let bzip2 = compression(&[uint(id::CONTENT_COMP_ALGO, 1)]);
    let entries = [
        track(1, 1, "V_VP9", &[]),
        track(2, 17, "S_HDMV/PGS", &[]),
        track(3, 17, "S_TEXT/UTF8", &[encrypted]),
        track(4, 17, "S_TEXT/UTF8", &[bzip2]),
        track(5, 17, "S_KATE", &[]),
        track(6, 17, "S_TEXT/ASS", &[]),
    ];
    let tracks = text_tracks(&file(&[parent(id::TRACKS, &entries)]), SPAN).unwrap();
    let told: Vec<_> = tracks.tracks().map(|track| (track.id, track.raw)).collect();
    assert_eq!(
        told,
        [
            (2, Err(Refusal::Pictures("PGS"))),
            (3, Err(Refusal::Encrypted)),
            (4, Err(Refusal::Compressed)),
            (5, Err(Refusal::Unread("S_KATE".into()))),
            (6, Ok(Format::Ass))
        ]
    );
    let write = |track| tracks.write(track, &TextOptions::default());
    assert_eq!((write(1), write(2)), (Err(Refusal::NoSuchTrack), Err(Refusal::Pictures("PGS"))));
    assert!(text_tracks(&file(&[parent(id::TRACKS, &entries[..1])]), SPAN).is_none());
}

#[test]
fn a_film_of_pictures_alone_asks_for_nothing() {
    let entries = [track(2, 17, "S_VOBSUB", &[])];
    let (tracks, reads) =
        texts(&file(&[parent(id::TRACKS, &entries), cluster(0, &[picture()])]), 99, 0, SPAN).unwrap();
    assert!(reads.is_empty() && tracks.is_complete());
}

#[test]
fn the_settings_of_webvtt_come_apart_from_its_text() {
    let additional = |kind: u64, text: &str| {
        let more = [uint(id::BLOCK_ADD_ID, kind), element(id::BLOCK_ADDITIONAL, text)];
        parent(id::BLOCK_ADDITIONS, &[parent(id::BLOCK_MORE, &more)])
    };
    let beside =
        |additions: Vec<u8>| parent(id::BLOCK_GROUP, &[element(id::BLOCK, b"\x82\0\0\0text"), additions]);
    let after = |text: &str| simple_block(2, 0, text);
    for (codec, block, said) in [
        ("S_TEXT/WEBVTT", beside(additional(1, "line:0\nname\n")), " line:0|text"),
        ("S_TEXT/WEBVTT", beside(additional(9, "line:0\nname\n")), "|text"),
        ("S_TEXT/WEBVTT", beside(additional(1, &"x".repeat(5000))), "|text"),
        ("S_TEXT/WEBVTT", beside(element(id::BLOCK_ADDITIONS, [0xff; 9])), "|text"),
        ("S_TEXT/UTF8", beside(additional(1, "line:0")), "|text"),
        ("D_WEBVTT/SUBTITLES", after("name\nline:0\r\ntwo\nlines"), " line:0|two|lines"),
    ] {
        let found = cues(&read(&of_track(codec, &[], &[block])), 2);
        assert_eq!(found, [format!("00:00:00.000 --> 00:00:03.000{said}")], "{codec}");
    }
}

#[test]
fn blocks_without_a_duration_last_as_long_as_their_track_says() {
    let blocks = [simple_block(2, 0, "a"), block_group(2, 1, 5, "b")];
    let file = of_track("S_TEXT/UTF8", &[uint(id::DEFAULT_DURATION, 2_000_000_000)], &blocks);
    assert_eq!(cues(&read(&file), 2), ["00:00:00.000 --> 00:00:02.000|a", "00:00:00.001 --> 00:00:00.006|b"]);
}

#[test]
fn a_script_keeps_its_styles_and_the_order_of_its_events() {
    let head = "[Script Info]\r\nPlayResX: 640\r\n\r\n[V4+ Styles]\r\nFormat: Name, Italic\r\nStyle: Up,-1\r\n\r\n\
        [Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\nComment: x\r\n";
    let blocks = [
        block_group(2, 2000, 1234, "1,0,Up,,0,0,0,,second, of all\r\n"),
        block_group(2, 1000, 500, "2,1,Default,Fred,0,0,0,,{\\b1}third"),
        block_group(2, 5000, 500, "0,0,Default,,0,0,0,,first"),
        block_group(2, 6000, 500, "no event"),
    ];
    let tracks = read(&of_track("S_TEXT/ASS", &[element(id::CODEC_PRIVATE, head)], &blocks));
    let script = form(&tracks, TextForm::Raw);
    let (styles, events) = script.split_once("[Events]\n").unwrap();
    assert_eq!(
        styles,
        "[Script Info]\nPlayResX: 640\n\n[V4+ Styles]\nFormat: Name, Italic\nStyle: Up,-1\n\n"
    );
    assert_eq!(
        events.lines().skip(1).collect::<Vec<_>>(),
        [
            "Dialogue: 0,0:00:05.00,0:00:05.50,Default,,0,0,0,,first",
            "Dialogue: 0,0:00:02.00,0:00:03.23,Up,,0,0,0,,second, of all",
            "Dialogue: 1,0:00:01.00,0:00:01.50,Default,Fred,0,0,0,,{\\b1}third",
        ]
    );
    let expected = [
        "00:00:01.000 --> 00:00:01.500|<b>third</b>",
        "00:00:02.000 --> 00:00:03.234|<i>second, of all</i>",
        "00:00:05.000 --> 00:00:05.500|first",
    ];
    assert_eq!(cues(&tracks, 2), expected);
}

#[test]
fn text_that_is_no_utf_8_is_told_by_its_letters() {
    let said = ["Привет, как дела сегодня?", "Мы давно не виделись, друг", "Хорошо, что ты пришёл домой"];
    // windows-1251, whose letters are in the order of Unicode's from 0xC0 on.
    let encode = |text: &str| -> Vec<u8> {
        let octet = |letter: char| match letter {
            'А'..='я' => (letter as u32 - 'А' as u32) as u8 + 0xc0,
            'ё' => 0xb8,
            letter => letter as u8,
        };
        text.chars().map(octet).collect()
    };
    let blocks: Vec<Vec<u8>> =
        (0..).zip(said).map(|(nth, text)| block_group(2, nth * 1000, 900, encode(text))).collect();
    let tracks = read(&of_track("S_TEXT/UTF8", &[element(id::LANGUAGE, "rus")], &blocks));
    let found: Vec<String> = cues(&tracks, 2).iter().map(|cue| cue[30..].to_owned()).collect();
    assert_eq!(found, said);
}

#[test]
fn subrip_keeps_tags_that_cues_have_not() {
    let said = "<font color=\"red\">a</font>\r\n\r\n1 --> 2";
    let blocks = [block_group(2, 0, 900, said), block_group(2, 1000, 900, "\n"), simple_block(2, 2000, "c")];
    let tracks = read(&of_track("S_TEXT/UTF8", &[], &blocks));
    assert_eq!(
        form(&tracks, TextForm::Raw),
        "1\n00:00:00,000 --> 00:00:00,900\n<font color=\"red\">a</font>\n1 --\u{2060}> 2\n\n\
         2\n00:00:02,000 --> 00:00:05,000\nc\n\n"
    );
    assert!(form(&tracks, TextForm::Srt).starts_with("1\n00:00:00,000 --> 00:00:00,900\na\n"));
}

#[test]
fn texts_are_shown_later_and_only_those_of_a_window() {
    let blocks =
        [block_group(2, 0, 900, "a"), block_group(2, 2000, 900, "b"), block_group(2, 9000, 900, "c")];
    let event = |time: i16, text: &str| block_group(2, time, 900, format!("0,0,,,0,0,0,,{text}"));
    let script = [event(0, "a"), event(2000, "b"), event(9000, "c")];
    let options = |form, window: Range<u64>| TextOptions { form, offset_ms: -500, window_ms: Some(window) };
    let srt = read(&of_track("S_TEXT/UTF8", &[], &blocks));
    let ass = read(&of_track("S_TEXT/ASS", &[], &script));
    for (window, says) in [(0..9000, "ab c"), (400..1500, ""), (0..1, "a"), (2399..8501, "bc")] {
        let write = |tracks: &TextTracks, form| tracks.write(2, &options(form, window.clone())).unwrap();
        for (tracks, form) in [(&srt, TextForm::WebVtt), (&srt, TextForm::Raw), (&ass, TextForm::Raw)] {
            let text = write(tracks, form);
            let said: String = ["a", "b", "c"]
                .into_iter()
                .filter(|&letter| {
                    text.lines().any(|line| line == letter || line.ends_with(&format!(",,{letter}")))
                })
                .collect();
            assert_eq!(said, says.replace(' ', ""), "{window:?} {form:?}: {text}");
        }
    }
    assert_eq!(
        srt.write(2, &options(TextForm::Raw, 0..1000)).unwrap(),
        "1\n00:00:00,000 --> 00:00:00,400\na\n\n"
    );
}

#[test]
fn blocks_that_text_does_not_have_are_left_out_alone() {
    let long = vec![b'x'; SUBTITLE_BLOCK_BYTES_MAX as usize + 1];
    let blocks = [
        simple_block(2, 0, long),
        laced_block(2, 1, "laced"),
        element(id::SIMPLE_BLOCK, [0x82, 0]),
        element(id::SIMPLE_BLOCK, []),
        element(id::BLOCK_GROUP, []),
        parent(id::BLOCK_GROUP, &[uint(id::BLOCK_DURATION, 5)]),
        simple_block(2, 2, ""),
        simple_block(2, 3, "sound"),
    ];
    assert_eq!(all(&[cluster(0, &blocks)]), ["00:00:00.003 --> 00:00:03.003|sound"]);
}

#[test]
fn damage_ends_its_cluster_and_the_next_goes_on() {
    let damage = [
        claiming(id::SIMPLE_BLOCK, 1 << 40, [0x82, 0, 0, 0]),
        endless(id::BLOCK_GROUP, &[]),
        vec![0xff; 30],
        vec![0; 30],
        claiming(id::BLOCK_GROUP, 22, claiming(id::BLOCK, 21, [0x82; 20])),
    ];
    for damage in damage {
        let next = cluster(5000, &[simple_block(2, 0, "next")]);
        let sound = ["00:00:00.000 --> 00:00:03.000|before", "00:00:05.000 --> 00:00:08.000|next"];
        let before = simple_block(2, 0, "before");
        assert_eq!(all(&[cluster(0, &[before.clone(), damage.clone()]), next.clone()]), sound, "{damage:x?}");
        let open = endless(id::CLUSTER, &[uint(id::TIMESTAMP, 0), before, damage.clone()]);
        let found = all(&[open, next]);
        assert_eq!(found.last().unwrap(), sound[1], "in a Cluster of unknown size, {damage:x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_of_any_size_in_any_order_give_the_same_texts(piece in 1usize..3000, seed: u64, span in 64u64..30_000) {
        let (file, expected) = film();
        let (tracks, _) = texts(&file, piece, seed, span).unwrap();
        prop_assert_eq!(cues(&tracks, 2), expected);
        prop_assert_eq!(covered(&tracks), [(0, 9000)]);
    }
}
