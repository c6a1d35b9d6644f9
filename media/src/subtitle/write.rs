//! Writes what was read, as WebVTT (section 4) or SubRip.

use std::fmt::{Display, Write};

use crate::limits::SUBTITLE_WRITTEN_BYTES_MAX;

use super::SubtitleError;
use super::cue::{Cue, Document, Style, Text};
use super::markup::entity;

/// A space of no width at which no line breaks (U+2060). SubRip has no way to say what would be a tag: this keeps it from being
/// one, and nobody sees it.
const JOINER: char = '\u{2060}';

/// As WebVTT.
pub(super) fn vtt(document: &Document) -> Result<String, SubtitleError> {
    let mut out = String::from("WEBVTT\n");
    for block in &document.preamble {
        add(&mut out, format_args!("\n{block}\n"));
    }
    for cue in &document.cues {
        out.push('\n');
        if let Some(id) = &cue.id {
            add(&mut out, format_args!("{id}\n"));
        }
        let (start, end) = (Clock(cue.start_ms, '.'), Clock(cue.end_ms, '.'));
        add(&mut out, format_args!("{start} --> {end}{}\n", cue.placement));
        write_text(&mut out, &cue.text, escape);
        out.push('\n');
        check_length(&out)?;
    }
    Ok(out)
}

/// As SubRip, whose texts are bold, italic and underlined, and in one of nine places.
pub(super) fn srt(document: &Document) -> Result<String, SubtitleError> {
    let mut out = String::new();
    for (number, cue) in (1..).zip(&document.cues) {
        let (start, end) = (Clock(cue.start_ms, ','), Clock(cue.end_ms, ','));
        add(&mut out, format_args!("{number}\n{start} --> {end}\n"));
        if let Some(anchor) = srt_anchor(cue) {
            add(&mut out, format_args!("{{\\an{anchor}}}"));
        }
        write_text(&mut out, &cue.text.without_names(), defuse);
        out.push_str("\n\n");
        check_length(&out)?;
    }
    Ok(out)
}

fn check_length(out: &str) -> Result<(), SubtitleError> {
    if out.len() > SUBTITLE_WRITTEN_BYTES_MAX { Err(SubtitleError::TooLong) } else { Ok(()) }
}

fn srt_anchor(cue: &Cue) -> Option<u8> {
    cue.placement.anchor().filter(|&anchor| anchor != 2)
}

fn add(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = out.write_fmt(arguments);
}

/// Milliseconds as hours, minutes, seconds and decimals behind this.
pub(super) struct Clock(pub(super) u64, pub(super) char);

impl Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(ms, point) = self;
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}{point}{:03}", ms % 1000)
    }
}

/// A tag that a part of a text is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element<'a> {
    Voice(&'a str),
    Class(&'a str),
    Look(char),
}

impl Element<'_> {
    fn begin(self, out: &mut String) {
        match self {
            Self::Voice(name) => {
                out.push_str("<v ");
                escape(out, name);
                out.push('>');
            }
            Self::Class(class) => add(out, format_args!("<c.{class}>")),
            Self::Look(letter) => add(out, format_args!("<{letter}>")),
        }
    }

    fn end(self, out: &mut String) {
        let letter = match self {
            Self::Voice(_) => 'v',
            Self::Class(_) => 'c',
            Self::Look(letter) => letter,
        };
        add(out, format_args!("</{letter}>"));
    }
}

/// What a style takes, from the outside in. It is always the same order, so that most of it stays open.
fn elements(style: &Style) -> impl Iterator<Item = Element<'_>> {
    let voice = style.voice.as_deref().map(Element::Voice);
    let class = style.class.as_deref().map(Element::Class);
    let looks = [(style.is_bold, 'b'), (style.is_italic, 'i'), (style.is_underlined, 'u')];
    let looks = looks.into_iter().filter(|(is_on, _)| *is_on).map(|(_, letter)| Element::Look(letter));
    voice.into_iter().chain(class).chain(looks)
}

/// Writes a text with its tags; `say` writes what is between them.
fn write_text(out: &mut String, text: &Text, say: fn(&mut String, &str)) {
    let mut open: Vec<Element<'_>> = Vec::new();
    let mut gap = "";
    for span in text.spans() {
        let next: Vec<Element<'_>> = elements(&span.style).collect();
        let kept = open.iter().zip(&next).take_while(|(old, new)| old == new).count();
        open[kept..].iter().rev().for_each(|element| element.end(out));
        // Space between parts is in neither.
        out.push_str(gap);
        next[kept..].iter().for_each(|element| element.begin(out));
        let said = span.text.trim_end_matches([' ', '\n']);
        gap = &span.text[said.len()..];
        say(out, said);
        open = next;
    }
    open.iter().rev().for_each(|element| element.end(out));
}

/// Writes text so that WebVTT takes it for nothing else (section 4.2.2); `-->` goes with its `>`.
fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            letter => out.push(letter),
        }
    }
}

/// Writes text so that readers of SubRip take it for nothing else.
fn defuse(out: &mut String, text: &str) {
    let mut before = ' ';
    for (at, letter) in text.char_indices() {
        let rest = &text[at + letter.len_utf8()..];
        let next = rest.chars().next();
        if letter == '>' && before == '-' {
            out.push(JOINER);
        }
        out.push(letter);
        let is_read = match letter {
            // At the end a tag may follow.
            '<' => next.is_none_or(|next| next.is_alphabetic() || next == '/'),
            '{' => next == Some('\\'),
            '&' => entity(&text[at..]).is_some(),
            _ => false,
        };
        if is_read {
            out.push(JOINER);
        }
        before = letter;
    }
}
