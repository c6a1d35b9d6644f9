//! A track's text out of Clusters as they pass.

use std::time::Duration;

use proptest::prelude::*;

use super::writer::*;
use super::{head, id, void};
use crate::container::matroska::{Block, Head, Refusal, SubtitleBlocks};
use crate::limits::{STRIPPED_BYTES_MAX, SUBTITLE_BLOCK_BYTES_MAX};

fn block(time_ms: u64, duration_ms: Option<u64>, text: &str) -> Block {
    let duration = duration_ms.map(Duration::from_millis);
    Block { time: Duration::from_millis(time_ms), duration, payload: text.into(), settings: Vec::new() }
}

/// All of track 2, of so many bytes at a time.
fn read(file: &[u8], head: &Head, part: usize) -> Vec<Block> {
    let mut blocks = SubtitleBlocks::new(head, 2).unwrap();
    let mut found = Vec::new();
    for (nth, bytes) in file.chunks(part).enumerate() {
        blocks.handle((nth * part) as u64, bytes, |block| found.push(block));
    }
    found
}

fn all(children: &[Vec<u8>]) -> Vec<Block> {
    let file = file(&[&[info(9.0), tracks()], children].concat());
    read(&file, &head(&file), file.len())
}

fn film() -> (Vec<u8>, Vec<Block>) {
    let picture = simple_block(1, 0, vec![0x1f; 3000]);
    let first =
        [picture.clone(), simple_block(2, 40, "one"), block_group(2, -100, 2500, "two"), picture.clone()];
    let second = [uint(id::TIMESTAMP, 5000), block_group(1, 0, 7, "x"), block_group(2, 1, 1500, "three")];
    let third = [simple_block(2, 0, "four")];
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
    let blocks = vec![
        block(1040, None, "one"),
        block(900, Some(2500), "two"),
        block(5001, Some(1500), "three"),
        block(8000, None, "four"),
    ];
    (file(&children), blocks)
}

#[test]
fn the_blocks_of_a_track_come_with_their_times() {
    let (file, blocks) = film();
    let head = head(&file);
    for part in [1, 2, 7, 100, 5000, file.len()] {
        assert_eq!(read(&file, &head, part), blocks, "{part} bytes at a time");
    }
}

#[test]
fn only_the_bytes_that_are_wanted_need_be_read() {
    let (file, blocks) = film();
    let mut machine = SubtitleBlocks::new(&head(&file), 2).unwrap();
    let (mut found, mut count) = (Vec::new(), 0);
    while let Some(at) = machine.wanted() {
        let bytes = &file[at as usize..file.len().min(at as usize + 16)];
        count += bytes.len();
        machine.handle(at, bytes, |block| found.push(block));
    }
    assert_eq!(found, blocks);
    assert!(count < 800, "{count} of {}", file.len());
}

#[test]
fn bytes_from_elsewhere_begin_anew_at_the_next_cluster() {
    let (file, blocks) = film();
    let mut machine = SubtitleBlocks::new(&head(&file), 2).unwrap();
    let (half, mut found) = (file.len() - 130, Vec::new());
    machine.handle(half as u64, &file[half..], |block| found.push(block));
    assert_eq!(found, blocks[3..]);
    assert_eq!(machine.wanted(), None);
}

#[test]
fn a_time_before_the_start_is_the_start_and_a_block_without_one_is_left_out() {
    let early = cluster(50, &[block_group(2, -100, 10, "early")]);
    let timeless = parent(id::CLUSTER, &[simple_block(2, 0, "never")]);
    assert_eq!(all(&[early, timeless]), [block(0, Some(10), "early")]);
}

#[test]
fn what_was_stripped_from_the_front_is_put_back() {
    let compression = |parts: &[Vec<u8>]| {
        let compression = parent(id::CONTENT_COMPRESSION, parts);
        let encodings = parent(id::CONTENT_ENCODINGS, &[parent(id::CONTENT_ENCODING, &[compression])]);
        let tracks = parent(id::TRACKS, &[track(2, 17, "S_TEXT/UTF8", &[encodings])]);
        file(&[info(9.0), tracks, cluster(0, &[simple_block(2, 0, "llo")])])
    };
    let settings =
        |count: usize| element(id::CONTENT_COMP_SETTINGS, &b"heaaaaaaaaaaaaaaaaaaaaaaaaa"[..count]);
    let stripped = compression(&[uint(id::CONTENT_COMP_ALGO, 3), settings(2)]);
    assert_eq!(read(&stripped, &head(&stripped), 999), [block(0, None, "hello")]);

    let refusal = |file: &[u8]| SubtitleBlocks::new(&head(file), 2).unwrap_err();
    assert_eq!(refusal(&compression(&[])), Refusal::Zlib);
    assert_eq!(refusal(&compression(&[uint(id::CONTENT_COMP_ALGO, 2)])), Refusal::Compressed);
    let long = compression(&[uint(id::CONTENT_COMP_ALGO, 3), settings(STRIPPED_BYTES_MAX + 1)]);
    assert_eq!(refusal(&long), Refusal::Compressed);
}

#[test]
fn tracks_that_are_no_readable_text_are_refused_with_a_reason() {
    let encryption = parent(id::CONTENT_ENCODING, &[uint(id::CONTENT_ENCODING_TYPE, 1)]);
    let encrypted = track(3, 17, "S_TEXT/UTF8", &[parent(id::CONTENT_ENCODINGS, &[encryption])]);
    let entries = [track(1, 1, "V_VP9", &[]), track(2, 17, "S_HDMV/PGS", &[]), encrypted];
    let head = head(&file(&[parent(id::TRACKS, &entries)]));
    let refusal = |track| SubtitleBlocks::new(&head, track).unwrap_err();
    assert_eq!([1, 2, 3, 4].map(refusal), {
        [Refusal::NotText, Refusal::NotText, Refusal::Encrypted, Refusal::NoSuchTrack]
    });
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
    for (codec, block, payload, settings) in [
        ("S_TEXT/WEBVTT", beside(additional(1, "line:0\nname\n")), "text", "line:0"),
        ("S_TEXT/WEBVTT", beside(additional(9, "line:0\nname\n")), "text", ""),
        ("S_TEXT/WEBVTT", beside(additional(1, &"x".repeat(5000))), "text", ""),
        ("S_TEXT/WEBVTT", beside(element(id::BLOCK_ADDITIONS, [0xff; 9])), "text", ""),
        ("S_TEXT/UTF8", beside(additional(1, "line:0")), "text", ""),
        ("D_WEBVTT/SUBTITLES", after("name\nline:0\r\ntwo\nlines"), "two\nlines", "line:0"),
        ("D_WEBVTT/SUBTITLES", after("only"), "", ""),
    ] {
        let tracks = parent(id::TRACKS, &[track(2, 17, codec, &[])]);
        let file = file(&[tracks, cluster(0, &[block])]);
        let [found] = read(&file, &head(&file), 5).try_into().expect("one block");
        assert_eq!((found.payload, found.settings), (payload.into(), settings.into()), "{codec}");
    }
}

#[test]
fn blocks_without_a_duration_last_as_long_as_their_track_says() {
    let entry = track(2, 17, "S_TEXT/UTF8", &[uint(id::DEFAULT_DURATION, 3_000_000_000)]);
    let blocks = cluster(0, &[simple_block(2, 0, "a"), block_group(2, 1, 5, "b")]);
    let file = file(&[parent(id::TRACKS, &[entry]), blocks]);
    assert_eq!(read(&file, &head(&file), 999), [block(0, Some(3000), "a"), block(1, Some(5), "b")]);
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
    assert_eq!(all(&[cluster(0, &blocks)]), [block(2, None, ""), block(3, None, "sound")]);
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
        let next = cluster(1000, &[simple_block(2, 0, "next")]);
        let sound = vec![block(0, None, "before"), block(1000, None, "next")];
        let before = simple_block(2, 0, "before");
        assert_eq!(all(&[cluster(0, &[before.clone(), damage.clone()]), next.clone()]), sound, "{damage:x?}");
        let open = endless(id::CLUSTER, &[uint(id::TIMESTAMP, 0), before, damage.clone()]);
        assert_eq!(all(&[open, next]).last(), sound.last(), "in a Cluster of unknown size, {damage:x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_of_any_size_give_the_same_blocks(sizes in proptest::collection::vec(1usize..300, 1..40)) {
        let (file, blocks) = film();
        let mut machine = SubtitleBlocks::new(&head(&file), 2).unwrap();
        let (mut at, mut found) = (0, Vec::new());
        for size in sizes.into_iter().cycle() {
            let end = file.len().min(at + size);
            machine.handle(at as u64, &file[at..end], |block| found.push(block));
            at = end;
            if at == file.len() {
                break;
            }
        }
        prop_assert_eq!(found, blocks);
    }

    #[test]
    fn parts_in_any_order_never_panic(parts in proptest::collection::vec((0usize..7000, 0usize..500), 0..40)) {
        let (file, _) = film();
        let mut machine = SubtitleBlocks::new(&head(&file), 2).unwrap();
        for (at, size) in parts {
            let at = at.min(file.len());
            let end = file.len().min(at + size);
            machine.handle(at as u64, &file[at..end], |_| {});
        }
    }
}
