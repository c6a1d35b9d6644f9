//! SubRip. Nobody wrote its rules down; these are what players agree on.

use crate::limits::CUE_LINES_MAX;

use super::SubtitleError;
use super::cue::{Cue, Document, Style, Text, TextBuilder};
use super::markup::{Tag, entity};
use super::placement::{Anchor, Placement};
use super::time::times;

/// Tags that mean nothing here, or nothing that a cue can say. What else is between angle brackets is text: people do write "<3".
const DROPPED_TAGS: [&str; 14] =
    ["font", "s", "strike", "span", "p", "div", "c", "v", "ruby", "rt", "lang", "center", "em", "strong"];

/// Bytes between angle brackets that may be a tag: fonts have names.
const TAG_BYTES_MAX: usize = 256;

/// Lines as SubRip's many writers end them.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// A cue begins with a line of times, and ends before the next one or that one's number: so empty lines in it and numbers that
/// are missing do no harm.
pub(super) fn read(text: &str) -> Result<Document, SubtitleError> {
    let mut document = Document::default();
    let mut open: Option<(u64, u64)> = None;
    let mut said: Vec<&str> = Vec::new();
    // Said, too, unless it turns out to be the next one's number.
    let mut last: Option<&str> = None;
    for line in lines(text) {
        let Some((start_ms, end_ms, _)) = times(line) else {
            said.extend(last.replace(line).filter(|_| said.len() < CUE_LINES_MAX));
            continue;
        };
        said.extend(last.take().filter(|line| !is_number(line)));
        close(open, &said, &mut document)?;
        said.clear();
        open = Some((start_ms, end_ms));
    }
    said.extend(last);
    close(open, &said, &mut document)?;
    Ok(document)
}

fn is_number(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
}

fn close(open: Option<(u64, u64)>, said: &[&str], document: &mut Document) -> Result<(), SubtitleError> {
    let Some((start_ms, end_ms)) = open else { return Ok(()) };
    let (text, placement) = styled(said);
    document.push(Cue { start_ms, end_ms, id: None, placement, text })
}

/// A cue's lines with their tags understood.
pub(super) fn styled(lines: &[&str]) -> (Text, Placement) {
    let mut builder = TextBuilder::default();
    let mut style = Style::default();
    let mut anchor = Anchor::DEFAULT;
    for line in lines {
        let mut rest = *line;
        while let Some(letter) = rest.chars().next() {
            let bytes = match letter {
                '<' => tag(rest, &mut style),
                '{' => override_block(rest, &mut anchor),
                _ => None,
            };
            if let Some(bytes) = bytes {
                rest = &rest[bytes..];
                continue;
            }
            if let Some(bytes) = line_break(rest) {
                builder.push('\n', &style);
                rest = &rest[bytes..];
                continue;
            }
            let (letter, bytes) = entity(rest).unwrap_or((letter, letter.len_utf8()));
            builder.push(letter, &style);
            rest = &rest[bytes..];
        }
        builder.push('\n', &style);
    }
    (builder.build(), Placement::anchored(anchor))
}

/// The bytes of a tag that the text begins with.
fn tag(text: &str, style: &mut Style) -> Option<usize> {
    let end = end_of_block(text, b'>')?;
    let tag = Tag::parse(&text[1..end]);
    if let Some(look) = style.look_mut(tag.name) {
        *look = !tag.is_end;
        return Some(end + 1);
    }
    let is_dropped = DROPPED_TAGS.iter().any(|name| tag.name.eq_ignore_ascii_case(name));
    is_dropped.then_some(end + 1)
}

/// Where what the text begins with ends. It isn't looked for beyond another beginning, which would take long where there are many.
fn end_of_block(text: &str, end: u8) -> Option<usize> {
    let start = text.as_bytes().first()?;
    let mut bytes = text.bytes().take(TAG_BYTES_MAX).enumerate().skip(1);
    bytes.find(|(_, byte)| *byte == end || byte == start).filter(|(_, byte)| *byte == end).map(|(at, _)| at)
}

/// The bytes of a `<br>` that the text begins with.
fn line_break(text: &str) -> Option<usize> {
    let is_head = |tag: &&str| text.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag));
    ["<br>", "<br/>", "<br />"].into_iter().find(is_head).map(str::len)
}

/// The bytes of a block of SubStation Alpha's overrides that the text begins with; of those, players of SubRip know the place.
fn override_block(text: &str, anchor: &mut Anchor) -> Option<usize> {
    if !text.starts_with("{\\") {
        return None;
    }
    let end = end_of_block(text, b'}')?;
    for tag in text[2..end].split('\\') {
        let number = tag.trim().strip_prefix("an").and_then(|number| number.parse().ok());
        *anchor = number.and_then(Anchor::from_number).unwrap_or(*anchor);
    }
    Some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file says: times, the place's anchor and the text with * for bold, / for italic and _ for underlined parts.
    fn said(text: &str) -> Vec<(u64, u64, u8, String)> {
        let document = read(text).unwrap().settle();
        let cues = document.cues.iter().map(|cue| {
            let spans = cue.text.spans().iter().map(|span| {
                let marks =
                    [(span.style.is_bold, "*"), (span.style.is_italic, "/"), (span.style.is_underlined, "_")];
                let marks: String = marks.iter().filter(|(is_on, _)| *is_on).map(|(_, mark)| *mark).collect();
                format!("{marks}{}", span.text)
            });
            let text = spans.collect::<Vec<_>>().join("|");
            (cue.start_ms, cue.end_ms, cue.placement.anchor().unwrap_or(0), text)
        });
        cues.collect()
    }

    fn one(text: &str) -> String {
        said(&format!("1\n00:00:01,000 --> 00:00:02,000\n{text}\n")).remove(0).3
    }

    #[test]
    fn cues_have_times_and_lines() {
        let text = "1\n00:00:01,000 --> 00:00:02,500\nOne\nTwo\n\n2\n00:00:03,000 --> 00:00:04,000\nThree\n";
        let expected = [(1000, 2500, 2, "One\nTwo".to_owned()), (3000, 4000, 2, "Three".to_owned())];
        assert_eq!(said(text), expected);
        assert_eq!(said(&text.replace('\n', "\r\n")), expected);
        assert_eq!(said(&text.replace('\n', "\r")), expected);
    }

    #[test]
    fn numbers_may_be_missing_and_hours_short_and_decimals_behind_a_dot() {
        let text = "0:00:01.0 --> 0:00:02.5\nOne\n00:00:03,000 --> 00:00:04,000 X1:10 X2:20 Y1:3 Y2:4\nTwo";
        assert_eq!(said(text), [(1000, 2500, 2, "One".to_owned()), (3000, 4000, 2, "Two".to_owned())]);
    }

    #[test]
    fn empty_lines_inside_and_missing_between_cues_do_no_harm() {
        let text = "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n \nstill one\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n\n\n\n";
        assert_eq!(said(text)[0].3, "One\nstill one");
        assert_eq!(said(text)[1].3, "Two");
    }

    #[test]
    fn a_year_that_is_said_is_no_number_of_a_cue() {
        let text = "1\n00:00:01,000 --> 00:00:02,000\n1984\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n";
        assert_eq!(said(text)[0].3, "1984");
    }

    #[test]
    fn tags_are_understood_or_dropped_and_the_rest_is_text() {
        assert_eq!(one("<i>Hello</i>, <b>you</B> <u>there"), "/Hello|, |*you |_there");
        assert_eq!(one("<i>One\nTwo</i>"), "/One\nTwo");
        assert_eq!(one("<font color=\"#ffff00\">Yellow</font><s>x</s>"), "Yellowx");
        assert_eq!(one("I <3 you, a < x > c, <unknown> < i >"), "I <3 you, a < x > c, <unknown> < i >");
        assert_eq!(one("Tom &amp; Jerry & co &#39;"), "Tom & Jerry & co '");
        assert_eq!(one("<i"), "<i");
        assert_eq!(one("One<br>Two<BR />three"), "One\nTwo\nthree");
    }

    #[test]
    fn a_place_is_told_by_its_number() {
        let text = |block| format!("1\n00:00:01,000 --> 00:00:02,000\n{block}Up\n");
        assert_eq!(said(&text("{\\an8}"))[0].2, 8);
        assert_eq!(said(&text("{\\an1\\fs20}"))[0].2, 1);
        assert_eq!(said(&text("{\\an0}"))[0].2, 2);
        assert_eq!(said(&text("{curly}"))[0].3, "{curly}Up");
        assert_eq!(said(&text("{\\an"))[0].3, "{\\anUp");
    }

    #[test]
    fn what_comes_out_of_order_or_ends_too_soon_is_put_right() {
        let text = "00:00:05,000 --> 00:00:04,000\nB\n00:00:01,000 --> 00:00:02,000\nA\n";
        assert_eq!(said(text), [(1000, 2000, 2, "A".to_owned()), (5000, 8000, 2, "B".to_owned())]);
    }

    #[test]
    fn what_has_no_times_has_no_cues() {
        assert!(said("Just\na text\n").is_empty());
    }
}
