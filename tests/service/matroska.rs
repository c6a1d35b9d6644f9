//! A Matroska file, written by hand: noise for pictures, and real subtitles.

use crate::film::{Film, PIECE_LENGTH};

/// The film's length, a cluster a second.
pub(crate) const SECONDS: u8 = 60;
/// Of a picture, so that each second is two pieces.
const PICTURE_BYTES: usize = 2 * PIECE_LENGTH - 512;

/// An element of Matroska (RFC 8794) with eight bytes of length.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let mut length = (body.len() as u64).to_be_bytes();
    length[0] = 0x01;
    [id, &length, body].concat()
}

fn track(number: u8, kind: u8, codec: &str, more: &[u8]) -> Vec<u8> {
    let number = element(&[0xd7], &[number]);
    let kind = element(&[0x83], &[kind]);
    let codec = element(&[0x86], codec.as_bytes());
    element(&[0xae], &[&number, &kind, &codec, more].concat())
}

/// A line of text, said from `at` milliseconds of its cluster on for 800 ms.
fn line(track: u8, at: u8, text: &str) -> Vec<u8> {
    let block = element(&[0xa1], &[&[0x80 | track, 0, at, 0], text.as_bytes()].concat());
    element(&[0xa0], &[block, element(&[0x9b], &800u16.to_be_bytes())].concat())
}

fn cluster(second: u8) -> Vec<u8> {
    let time = element(&[0xe7], &(u32::from(second) * 1000).to_be_bytes());
    let noise = crate::film::film_bytes(u64::from(second), PICTURE_BYTES);
    let picture = element(&[0xa3], &[&[0x81, 0, 0, 0x80], &noise[4..]].concat());
    let script = format!("{second},0,Default,,0,0,0,,{{\\i1}}Zeile {second}{{\\i0}}");
    let lines = [line(2, 100, &format!("line <i>{second}</i>")), line(3, 200, &script)];
    element(&[0x1f, 0x43, 0xb6, 0x75], &[&time, &picture, &lines[0], &lines[1]].map(Vec::as_slice).concat())
}

/// A film with two languages in text, and one in pictures. It has no index.
pub(crate) fn film() -> Film {
    let head = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska"));
    let info = element(
        &[0x15, 0x49, 0xa9, 0x66],
        &element(&[0x44, 0x89], &(f64::from(SECONDS) * 1000.0).to_be_bytes()),
    );
    let size = [element(&[0xb0], &[1, 64]), element(&[0xba], &[0, 180])].concat();
    let language = |code: &str| element(&[0x22, 0xb5, 0x9c], code.as_bytes());
    let title = element(&[0x53, 0x6e], b"Signs");
    let script = "[Script Info]\nScriptType: v4.00+\n\n[Events]\n\
                  Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";
    let private = element(&[0x63, 0xa2], script.as_bytes());
    let tracks = [
        track(1, 1, "V_MPEG4/ISO/AVC", &element(&[0xe0], &size)),
        track(2, 17, "S_TEXT/UTF8", &language("eng")),
        track(3, 17, "S_TEXT/ASS", &[language("ger"), title, private].concat()),
        track(4, 17, "S_HDMV/PGS", &language("fre")),
    ];
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &tracks.concat());
    let clusters: Vec<u8> = (0..SECONDS).flat_map(cluster).collect();
    let segment = element(&[0x18, 0x53, 0x80, 0x67], &[info, tracks, clusters].concat());
    Film::named("Film with Subtitles (2026).mkv", [head, segment].concat())
}
