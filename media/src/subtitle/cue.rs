//! What every format comes down to: texts with a little markup, each for a time and at a place.

use std::sync::Arc;

use crate::limits::{CUE_BYTES_MAX, CUE_END_MS_MAX, CUES_MAX};

use super::SubtitleError;
use super::placement::Placement;

/// How long a cue stays whose end is missing or wrong, if none follows sooner: time to read two lines.
pub(super) const MENDED_MS: u64 = 3000;

/// A subtitle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// What is said, by when it begins.
    pub cues: Vec<Cue>,
    /// Comments, styles and regions as they were written, which only WebVTT has. ffmpeg 5 stops reading at a style or a region:
    /// for players that are built on it, clear this or write SubRip.
    pub preamble: Vec<String>,
}

/// A text for a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// When it appears, in milliseconds.
    pub start_ms: u64,
    /// When it goes, later than it appears.
    pub end_ms: u64,
    /// What the file calls it; at most [`CUE_NAME_BYTES_MAX`](crate::limits::CUE_NAME_BYTES_MAX).
    pub id: Option<String>,
    /// Where it is shown.
    pub placement: Placement,
    /// What it says.
    pub text: Text,
}

/// A cue's text in one form: no line is empty, begins or ends with a space or has two in a row; no control characters; no two
/// spans that follow each other look the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    spans: Vec<Span>,
}

/// Text of one look. Lines end with `\n`.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What it says, never empty.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// How text looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Heavier.
    pub is_bold: bool,
    /// Slanted.
    pub is_italic: bool,
    /// With a line below.
    pub is_underlined: bool,
    /// Who says it (WebVTT, section 4.2.2), at most [`CUE_NAME_BYTES_MAX`](crate::limits::CUE_NAME_BYTES_MAX).
    pub voice: Option<Arc<str>>,
    /// Classes for a style sheet (WebVTT, section 4.2.2) with dots between, as long at most.
    pub class: Option<Arc<str>>,
}

impl Text {
    /// Its parts.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The same without voices and classes.
    pub(super) fn without_names(&self) -> Self {
        let mut builder = TextBuilder::default();
        for Span { text, style } in &self.spans {
            builder.push_str(text, &Style { voice: None, class: None, ..style.clone() });
        }
        builder.build()
    }

    /// What it says without how.
    pub fn plain(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}

/// Makes a [`Text`] of what a format says, in order.
#[derive(Debug, Default)]
pub(super) struct TextBuilder {
    spans: Vec<Span>,
    /// Space that is written once something follows it in the cue, and in the line.
    gap: Gap,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Space,
    Line,
}

impl TextBuilder {
    pub(super) fn push_str(&mut self, text: &str, style: &Style) {
        text.chars().for_each(|letter| self.push(letter, style));
    }

    pub(super) fn push(&mut self, letter: char, style: &Style) {
        match letter {
            '\n' => self.gap = Gap::Line,
            ' ' | '\t' => self.gap = self.gap.max(Gap::Space),
            // A mark inside of a text is a space of no width, which nobody sees and which readers mistake for an encoding.
            '\u{feff}' => {}
            letter if letter.is_control() => {}
            letter => self.push_visible(letter, style),
        }
    }

    fn push_visible(&mut self, letter: char, style: &Style) {
        // For the gap and the letter.
        if self.bytes + 1 + letter.len_utf8() > CUE_BYTES_MAX {
            return;
        }
        let gap = std::mem::take(&mut self.gap);
        if let Some(last) = self.spans.last_mut() {
            // Space belongs to what is before it, so that there is one way to say it.
            match gap {
                Gap::None => {}
                Gap::Space => last.text.push(' '),
                Gap::Line => last.text.push('\n'),
            }
            self.bytes += usize::from(gap != Gap::None);
        }
        self.bytes += letter.len_utf8();
        match self.spans.last_mut() {
            Some(last) if last.style == *style => last.text.push(letter),
            _ => self.spans.push(Span { text: letter.into(), style: style.clone() }),
        }
    }

    pub(super) fn build(self) -> Text {
        Text { spans: self.spans }
    }
}

impl Document {
    /// One more cue, as the format has it: an end that isn't after the start is mended once all cues are there. Cues that say
    /// nothing or are beyond any film are dropped.
    pub(super) fn push(&mut self, cue: Cue) -> Result<(), SubtitleError> {
        if cue.text.is_empty() || cue.start_ms >= CUE_END_MS_MAX {
            return Ok(());
        }
        if self.cues.len() >= CUES_MAX {
            return Err(SubtitleError::TooManyCues);
        }
        self.cues.push(Cue { end_ms: cue.end_ms.min(CUE_END_MS_MAX), ..cue });
        Ok(())
    }

    /// Puts cues in order, and mends those that end before they begin.
    pub(super) fn settle(mut self) -> Self {
        // Stable: what is on screen together keeps the order it was written in, which is that of its lines.
        self.cues.sort_by_key(|cue| cue.start_ms);
        let mut later_ms = u64::MAX;
        let mut same_ms = u64::MAX;
        for cue in self.cues.iter_mut().rev() {
            if cue.start_ms != same_ms {
                later_ms = same_ms;
                same_ms = cue.start_ms;
            }
            if cue.end_ms <= cue.start_ms {
                cue.end_ms = (cue.start_ms + MENDED_MS).min(later_ms).min(CUE_END_MS_MAX);
            }
        }
        self
    }

    /// Moves all cues by so many milliseconds. Those that would end before the film begins are dropped.
    pub fn shift(&mut self, offset_ms: i64) {
        let moved = |ms: u64| ms.saturating_add_signed(offset_ms);
        self.cues.retain_mut(|cue| {
            (cue.start_ms, cue.end_ms) = (moved(cue.start_ms), moved(cue.end_ms).min(CUE_END_MS_MAX));
            cue.start_ms < cue.end_ms
        });
    }

    /// Keeps what is seen at some time of these, at the times it had.
    pub fn crop(&mut self, window_ms: std::ops::Range<u64>) {
        self.cues.retain(|cue| cue.start_ms < window_ms.end && cue.end_ms > window_ms.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parts: &[(&str, bool)]) -> Text {
        let mut builder = TextBuilder::default();
        for &(part, is_italic) in parts {
            builder.push_str(part, &Style { is_italic, ..Style::default() });
        }
        builder.build()
    }

    fn cue(start_ms: u64, end_ms: u64) -> Cue {
        Cue { start_ms, end_ms, id: None, placement: Placement::default(), text: text(&[("x", false)]) }
    }

    fn document(times: &[(u64, u64)]) -> Document {
        let mut document = Document::default();
        times.iter().for_each(|&(start_ms, end_ms)| document.push(cue(start_ms, end_ms)).unwrap());
        document.settle()
    }

    fn times(document: &Document) -> Vec<(u64, u64)> {
        document.cues.iter().map(|cue| (cue.start_ms, cue.end_ms)).collect()
    }

    #[test]
    fn a_text_has_one_form() {
        assert_eq!(text(&[("\n  a \t b \n\n \u{0}c\u{feff} \n", false)]).plain(), "a b\nc");
        let parts = text(&[("a", false), (" ", true), ("\nb", true), ("c", true), ("", false)]);
        let spans: Vec<_> = parts.spans().iter().map(|span| (&*span.text, span.style.is_italic)).collect();
        assert_eq!(spans, [("a\n", false), ("bc", true)]);
        assert!(text(&[(" \n\r ", true)]).is_empty());
    }

    #[test]
    fn a_text_ends_at_its_limit() {
        let long = text(&[(&"ж ".repeat(CUE_BYTES_MAX), false)]);
        let bytes = long.plain().len();
        assert!(bytes <= CUE_BYTES_MAX && bytes > CUE_BYTES_MAX - 4, "{bytes}");
    }

    #[test]
    fn cues_are_put_in_order_and_wrong_ends_are_mended() {
        let mended = document(&[(9000, 9500), (1000, 500), (1000, 1000), (2000, 8000), (20_000, 0)]);
        let expected = [(1000, 2000), (1000, 2000), (2000, 8000), (9000, 9500), (20_000, 23_000)];
        assert_eq!(times(&mended), expected);
    }

    #[test]
    fn what_is_beyond_any_film_is_dropped() {
        let end = CUE_END_MS_MAX;
        assert_eq!(
            times(&document(&[(end - 1, u64::MAX), (end, u64::MAX), (u64::MAX, 0)])),
            [(end - 1, end)]
        );
    }

    #[test]
    fn a_shift_moves_both_ways_and_drops_what_ends_before_the_film_begins() {
        let mut cues = document(&[(1000, 2000), (2000, 4000), (5000, 6000)]);
        cues.shift(-2500);
        assert_eq!(times(&cues), [(0, 1500), (2500, 3500)]);
        cues.shift(1000);
        assert_eq!(times(&cues), [(1000, 2500), (3500, 4500)]);
        cues.shift(i64::MAX);
        assert_eq!(times(&cues), []);
    }

    #[test]
    fn a_window_keeps_what_is_seen_in_it() {
        let mut cues = document(&[(0, 1000), (500, 1500), (1900, 3000), (2000, 3000)]);
        cues.crop(1000..2000);
        assert_eq!(times(&cues), [(500, 1500), (1900, 3000)]);
    }
}
