//! 3GPP timed text (TS 26.245, "tx3g"), and QuickTime's text, as samples of an MP4.

use crate::container::{Boxes, Fields};
use crate::limits::CUE_BYTES_MAX;

use super::cue::{Style, Text, TextBuilder};

/// Parts of a text that look unlike the others. A part has a letter at least.
const STYLES_MAX: usize = 1024;

/// Bits of `face-style-flags` (section 5.16).
const BOLD: u8 = 1;
const ITALIC: u8 = 2;
const UNDERLINE: u8 = 4;

/// Letters from one to before another that look so.
struct Look {
    letters: std::ops::Range<u16>,
    style: Style,
}

/// What a sample says: its length, text, and boxes that say how it looks (section 5.17).
pub(super) fn read(sample: &[u8]) -> Text {
    let mut fields = Fields(sample);
    let length = fields.u16().map_or(0, usize::from).min(fields.0.len());
    let (text, boxes) = fields.0.split_at(length);
    let looks = Boxes(boxes).first(b"styl").map(looks).unwrap_or_default();
    let mut builder = TextBuilder::default();
    let plain = Style::default();
    let mut at = 0;
    for (nth, letter) in (0u16..).zip(decode(text).chars().take(CUE_BYTES_MAX)) {
        // They come in order and don't overlap.
        while looks.get(at).is_some_and(|look: &Look| look.letters.end <= nth) {
            at += 1;
        }
        let look = looks.get(at).filter(|look| look.letters.contains(&nth));
        // Lines end as on any system that ever was.
        let letter = if letter == '\r' { '\n' } else { letter };
        builder.push(letter, look.map_or(&plain, |look| &look.style));
    }
    builder.build()
}

/// UTF-8, or UTF-16 with a mark before it.
fn decode(text: &[u8]) -> String {
    let units: fn([u8; 2]) -> u16 = match text {
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        _ => return String::from_utf8_lossy(text).into_owned(),
    };
    let units = text[2..].as_chunks().0.iter().map(|&pair| units(pair));
    char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Of a `styl`.
fn looks(content: &[u8]) -> Vec<Look> {
    let mut fields = Fields(content);
    let count = fields.u16().map_or(0, usize::from).min(STYLES_MAX);
    let rows = fields.0.as_chunks::<12>().0.iter().take(count);
    let look = |row: &[u8; 12]| {
        let face = row[6];
        let style = Style {
            is_bold: face & BOLD != 0,
            is_italic: face & ITALIC != 0,
            is_underlined: face & UNDERLINE != 0,
            ..Style::default()
        };
        Look { letters: u16::from_be_bytes([row[0], row[1]])..u16::from_be_bytes([row[2], row[3]]), style }
    };
    rows.map(look).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &[u8], boxes: &[u8]) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes()[..], text, boxes].concat()
    }

    fn styl(rows: &[(u16, u16, u8)]) -> Vec<u8> {
        let row = |&(start, end, face): &(u16, u16, u8)| {
            [&start.to_be_bytes()[..], &end.to_be_bytes(), &[0, 1, face, 18, 255, 255, 255, 255]].concat()
        };
        let rows: Vec<u8> = rows.iter().flat_map(row).collect();
        let count = (rows.len() / 12) as u16;
        let size = 10 + rows.len() as u32;
        [&size.to_be_bytes()[..], b"styl", &count.to_be_bytes(), &rows].concat()
    }

    #[test]
    fn a_text_has_a_length_and_looks_counted_in_letters() {
        let looks = styl(&[(1, 3, ITALIC), (3, 4, BOLD | UNDERLINE)]);
        let text = read(&sample("éäöü.".as_bytes(), &looks));
        let found: Vec<_> = text
            .spans()
            .iter()
            .map(|span| (&*span.text, span.style.is_bold, span.style.is_italic, span.style.is_underlined))
            .collect();
        assert_eq!(
            found,
            [
                ("é", false, false, false),
                ("äö", false, true, false),
                ("ü", true, false, true),
                (".", false, false, false)
            ]
        );
    }

    #[test]
    fn text_is_utf_8_or_says_that_it_is_utf_16() {
        assert_eq!(read(&sample(b"\xfe\xff\0a\x20\xac", &[])).plain(), "a€");
        assert_eq!(read(&sample(b"\xff\xfea\0\xac\x20", &[])).plain(), "a€");
        assert_eq!(read(&sample(b"a\r\nb\rc\xff", &[])).plain(), "a\nb\nc\u{fffd}");
    }

    #[test]
    fn what_is_cut_off_counts_as_far_as_it_goes() {
        assert_eq!(read(&[]).plain(), "");
        assert_eq!(read(&[0]).plain(), "");
        assert_eq!(read(b"\xff\xffabc").plain(), "abc");
        let cut = sample(b"abc", &styl(&[(0, 3, BOLD)])[..15]);
        assert_eq!(read(&cut).plain(), "abc");
    }
}
