//! Reads WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format").
//!
//! Cues keep identifiers, settings, voices, classes and the three looks. Ruby is put in parentheses; languages and times inside of
//! a cue are dropped.

use std::sync::Arc;

use crate::limits::{CUE_DEPTH_MAX, CUE_LINES_MAX, CUE_NAME_BYTES_MAX, CUE_PREAMBLE_BYTES_MAX};

use crate::container::Boxes;

use super::SubtitleError;
use super::cue::{Cue, Document, Style, Text, TextBuilder};
use super::markup::{Tag, entity};
use super::placement::Placement;
use super::srt::lines;
use super::time::{ARROW, times};

/// What a style sheet may not say: it would have a browser ask a stranger for something, or hide that it does.
const FORBIDDEN_IN_STYLES: [&str; 5] = ["@", "url", "image", "src", "\\"];

/// Whether it begins as it must (section 4.1).
pub(super) fn is_vtt(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rest = text.strip_prefix("WEBVTT");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

/// Reads blocks, which empty lines divide (section 6.1).
pub(super) fn read(text: &str) -> Result<Document, SubtitleError> {
    let mut document = Document::default();
    let mut preamble_bytes = 0;
    let mut block: Vec<&str> = Vec::new();
    // The first line and what follows it up to an empty line is the file's header; streams' clocks are said there, files have
    // nothing to say.
    let mut is_header = true;
    for line in lines(text).chain([""]) {
        // A line of times begins a cue even without an empty line before it; only a name may be above it.
        let is_next =
            line.contains(ARROW) && (block.len() > 1 || block.iter().any(|line| line.contains(ARROW)));
        if line.is_empty() || is_next || (is_header && line.contains(ARROW)) {
            if !is_header {
                read_block(&block, &mut document, &mut preamble_bytes)?;
            }
            is_header = false;
            block.clear();
        }
        if !line.is_empty() && block.len() < CUE_LINES_MAX {
            block.push(line);
        }
    }
    Ok(document)
}

/// What is said before the first cue of a text that may lack its first line, as heads of tracks inside of films may.
pub(super) fn preamble(head: &str) -> Result<Vec<String>, SubtitleError> {
    let document = if is_vtt(head) { read(head)? } else { read(&format!("WEBVTT\n\n{head}"))? };
    Ok(document.preamble)
}

/// A cue of which all parts come apart from each other.
pub(super) fn cue((start_ms, end_ms): (u64, u64), id: Option<&str>, settings: &str, said: &str) -> Cue {
    let said: Vec<&str> = lines(said).take(CUE_LINES_MAX).collect();
    Cue {
        start_ms,
        end_ms,
        id: id.and_then(name),
        placement: Placement::parse(settings),
        text: payload(&said),
    }
}

/// The cues of a sample of an MP4 (ISO 14496-30, section 6.6), which are all shown for its time.
pub(super) fn cues_in_boxes(times: (u64, u64), sample: &[u8]) -> impl Iterator<Item = Cue> {
    Boxes(sample).filter(|(kind, _)| kind == b"vttc").map(move |(_, content)| {
        let part = |kind| Boxes(content).first(kind).map(String::from_utf8_lossy).unwrap_or_default();
        cue(times, Some(&part(b"iden")), &part(b"sttg"), &part(b"payl"))
    })
}

fn read_block(
    block: &[&str],
    document: &mut Document,
    preamble_bytes: &mut usize,
) -> Result<(), SubtitleError> {
    let [first, ..] = block else { return Ok(()) };
    let (id, said) = match (first.contains(ARROW), block) {
        (true, _) => (None, block),
        (false, [first, second, ..]) if second.contains(ARROW) => (Some(*first), &block[1..]),
        _ => {
            keep(block, document, preamble_bytes);
            return Ok(());
        }
    };
    let Some((start_ms, end_ms, settings)) = times(said[0]) else { return Ok(()) };
    let placement = Placement::parse(settings);
    let id = id.and_then(name);
    document.push(Cue { start_ms, end_ms, id, placement, text: payload(&said[1..]) })
}

/// Keeps what isn't a cue: comments anywhere, styles and regions before the first cue.
fn keep(block: &[&str], document: &mut Document, preamble_bytes: &mut usize) {
    let first = block.first().copied().unwrap_or_default();
    let is = |word: &str| first.strip_prefix(word).is_some_and(|rest| rest.trim().is_empty());
    let is_first = document.cues.is_empty();
    let is_kept = match () {
        () if is("STYLE") => is_first && is_harmless(block),
        () if is("REGION") => is_first,
        () => is("NOTE") || first.starts_with("NOTE ") || first.starts_with("NOTE\t"),
    };
    let bytes: usize = block.iter().map(|line| line.len() + 1).sum();
    if is_kept && *preamble_bytes + bytes <= CUE_PREAMBLE_BYTES_MAX {
        *preamble_bytes += bytes;
        document.preamble.push(block.join("\n").replace('\0', "?"));
    }
}

fn is_harmless(style: &[&str]) -> bool {
    let style = style.join("\n").to_ascii_lowercase();
    FORBIDDEN_IN_STYLES.iter().all(|word| !style.contains(word))
}

/// What a cue is called, if that is a name.
fn name(id: &str) -> Option<String> {
    let id = cut(id.trim());
    (!id.is_empty() && !id.contains(char::is_control)).then(|| id.to_owned())
}

/// As much of a name as is kept.
fn cut(name: &str) -> &str {
    name[..name.floor_char_boundary(CUE_NAME_BYTES_MAX)].trim_end()
}

fn payload(lines: &[&str]) -> Text {
    let mut reader = Payload::default();
    let text = lines.join("\n");
    let mut rest = text.as_str();
    while let Some(letter) = rest.chars().next() {
        if letter == '<' {
            // A tag that never ends is one nevertheless (section 6.4).
            let (inside, after) = rest[1..].split_once('>').unwrap_or((&rest[1..], ""));
            reader.tag(&Tag::parse(inside));
            rest = after;
            continue;
        }
        let (letter, bytes) = entity(rest).unwrap_or((letter, letter.len_utf8()));
        reader.builder.push(letter, &reader.style);
        rest = &rest[bytes..];
    }
    reader.builder.build()
}

#[derive(Default)]
struct Payload {
    builder: TextBuilder,
    style: Style,
    /// Tags that are open, and the style outside of each.
    open: Vec<(Name, Style)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Class,
    Bold,
    Italic,
    Underline,
    Voice,
    Language,
    Ruby,
    RubyText,
}

impl Name {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "c" => Self::Class,
            "b" => Self::Bold,
            "i" => Self::Italic,
            "u" => Self::Underline,
            "v" => Self::Voice,
            "lang" => Self::Language,
            "ruby" => Self::Ruby,
            "rt" => Self::RubyText,
            _ => return None,
        })
    }
}

impl Payload {
    /// A tag that isn't one is dropped, and one that ends what isn't innermost, too (section 6.4).
    fn tag(&mut self, tag: &Tag<'_>) {
        let Some(name) = Name::parse(tag.name) else { return };
        if !tag.is_end {
            self.begin(name, tag);
            return;
        }
        // The end of a ruby ends its text.
        if name == Name::Ruby && self.innermost() == Some(Name::RubyText) {
            self.end();
        }
        if self.innermost() == Some(name) {
            self.end();
        }
    }

    fn innermost(&self) -> Option<Name> {
        self.open.last().map(|(name, _)| *name)
    }

    fn begin(&mut self, name: Name, tag: &Tag<'_>) {
        if self.open.len() >= CUE_DEPTH_MAX {
            return;
        }
        self.open.push((name, self.style.clone()));
        if let Some(class) = class(tag.class) {
            self.style.class = Some(class);
        }
        match name {
            Name::Voice => self.style.voice = voice(tag.annotation),
            Name::RubyText => self.builder.push('(', &self.style),
            _ => {
                if let Some(look) = self.style.look_mut(tag.name) {
                    *look = true;
                }
            }
        }
    }

    fn end(&mut self) {
        let Some((name, outside)) = self.open.pop() else { return };
        if name == Name::RubyText {
            self.builder.push(')', &self.style);
        }
        self.style = outside;
    }
}

/// Classes with one dot between, of letters that need no escape.
fn class(text: &str) -> Option<Arc<str>> {
    let is_plain = |letter: char| !letter.is_control() && !letter.is_whitespace() && !"<>&".contains(letter);
    let parts = text.split('.').filter(|part| !part.is_empty() && part.chars().all(is_plain));
    let mut class = String::new();
    for part in parts {
        if class.len() + 1 + part.len() > CUE_NAME_BYTES_MAX {
            break;
        }
        if !class.is_empty() {
            class.push('.');
        }
        class.push_str(part);
    }
    (!class.is_empty()).then(|| class.into())
}

/// Who speaks, on one line.
fn voice(annotation: &str) -> Option<Arc<str>> {
    let mut name = String::new();
    let mut rest = annotation;
    while let Some(letter) = rest.chars().next() {
        let (letter, bytes) = entity(rest).unwrap_or((letter, letter.len_utf8()));
        name.push(if letter.is_control() { ' ' } else { letter });
        rest = &rest[bytes..];
        // Spaces that go again may have been many, but not so many.
        if name.len() > 4 * CUE_NAME_BYTES_MAX {
            break;
        }
    }
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(cut(&name)).filter(|name| !name.is_empty()).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cues(text: &str) -> Vec<Cue> {
        read(text).unwrap().cues
    }

    fn one(payload: &str) -> Vec<(String, Style)> {
        let cue = cues(&format!("WEBVTT\n\n00:01.000 --> 00:02.000\n{payload}\n")).remove(0);
        cue.text.spans().iter().map(|span| (span.text.clone(), span.style.clone())).collect()
    }

    fn plain(payload: &str) -> String {
        one(payload).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn it_is_known_by_its_first_line() {
        for text in ["WEBVTT", "WEBVTT\n", "\u{feff}WEBVTT - a film\r\n", "WEBVTT\tx"] {
            assert!(is_vtt(text), "{text:?}");
        }
        for text in ["", "WEBVTTX", "webvtt", "1\nWEBVTT"] {
            assert!(!is_vtt(text), "{text:?}");
        }
    }

    #[test]
    fn cues_have_names_times_settings_and_text() {
        let text = "WEBVTT\nKind: captions\n\nintro\n00:01.000 --> 00:02.500 line:0 align:left\nOne\nTwo\n\n\n\
            01:00:03.000-->01:00:04.000\nThree\n00:05.000 --> 00:06.000\nFour";
        let found = cues(text);
        let first = &found[0];
        assert_eq!((first.start_ms, first.end_ms, first.id.as_deref()), (1000, 2500, Some("intro")));
        assert_eq!(
            (first.placement.to_string().as_str(), first.text.plain()),
            (" line:0 align:left", "One\nTwo".into())
        );
        assert_eq!((found[1].start_ms, found[1].text.plain()), (3_603_000, "Three".into()));
        assert_eq!((found.len(), found[2].text.plain()), (3, "Four".into()));
        assert_eq!(cues(&text.replace('\n', "\r\n")), found);
    }

    #[test]
    fn a_cue_may_follow_the_first_line_without_an_empty_one() {
        assert_eq!(cues("WEBVTT\n00:01.000 --> 00:02.000\nOne\n").len(), 1);
    }

    #[test]
    fn tags_and_letters_are_understood() {
        let italic = Style { is_italic: true, ..Style::default() };
        assert_eq!(one("a<i>b</i>"), [("a".into(), Style::default()), ("b".into(), italic)]);
        let voiced =
            Style { voice: Some("Fred & Co".into()), class: Some("loud.far".into()), ..Style::default() };
        assert_eq!(one("<v.loud..far  Fred   &amp; Co>Hi"), [("Hi".into(), voiced)]);
        assert_eq!(plain("a &lt;b&gt; &amp;amp; &nope; &nbsp;."), "a <b> &amp; &nope; \u{a0}.");
        assert_eq!(plain("<00:01.500>a<lang en>b</lang><x>c</x></b>d<i"), "abcd");
        assert_eq!(plain("<ruby>漢<rt>kan</rt>字<rt>ji</ruby>."), "漢(kan)字(ji).");
        assert_eq!(one("<b>a</i>b</b>c").len(), 2);
    }

    #[test]
    fn comments_styles_and_regions_are_kept_unless_they_ask_strangers() {
        let text = "WEBVTT\n\nNOTE by hand\n\nSTYLE\n::cue(.a) { color: red }\n\nSTYLE\n::cue { background: URL(http://x) }\n\n\
            REGION\nid:fred\n\nNOTE\ntwo\nlines\n\n00:01.000 --> 00:02.000\nOne\n\nSTYLE\n::cue { color: red }\n\nNOTE late\n\nNOTES\n";
        let document = read(text).unwrap();
        let expected = [
            "NOTE by hand",
            "STYLE\n::cue(.a) { color: red }",
            "REGION\nid:fred",
            "NOTE\ntwo\nlines",
            "NOTE late",
        ];
        assert_eq!(document.preamble, expected);
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_left_out() {
        assert_eq!(one(&format!("{}a", "<b>".repeat(10_000))).len(), 1);
        let long = "x".repeat(10_000);
        let style = &one(&format!("<v.{long}.a {long}>a"))[0].1;
        assert_eq!(style.voice.as_ref().map(|voice| voice.len()), Some(CUE_NAME_BYTES_MAX));
        assert_eq!(style.class, None);
        let text = format!("WEBVTT\n\nNOTE {}\n\nNOTE short\n", "x".repeat(CUE_PREAMBLE_BYTES_MAX));
        assert_eq!(read(&text).unwrap().preamble, ["NOTE short"]);
    }
}
