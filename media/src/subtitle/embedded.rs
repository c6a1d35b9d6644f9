//! Texts as films have them inside, each with its time beside it: of Matroska, WebM and MP4.
//!
//! Not here: how they are found in a film; that is [`TextTracks`](crate::container::TextTracks).

use std::fmt::Write;
use std::ops::Range;

use crate::limits::CUE_LINES_MAX;

use super::ass;
use super::cue::{Cue, Document, MENDED_MS};
use super::srt::{lines, styled};
use super::{Format, SubtitleError, timed_text, vtt};

/// How a track has its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The lines of a SubRip file's cue.
    Srt,
    /// An event of SubStation Alpha without its times: where it stood among the others, the layer, the style, and so on.
    Ass,
    /// The lines of a WebVTT file's cue.
    WebVtt,
    /// The same in boxes of an MP4.
    WebVttBoxes,
    /// 3GPP timed text.
    TimedText,
}

impl Kind {
    /// What file it may have been before. Timed text was none; SubRip says what it can say.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Srt | Self::TimedText => Format::Srt,
            Self::Ass => Format::Ass,
            Self::WebVtt | Self::WebVttBoxes => Format::WebVtt,
        }
    }
}

/// What is said of a track as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// What stood before the first cue of the file: styles, most of all.
    pub(crate) text: String,
}

/// A text of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample<'a> {
    pub(crate) start_ms: u64,
    /// When it goes, if that is said.
    pub(crate) end_ms: Option<u64>,
    pub(crate) payload: &'a [u8],
    /// Of WebVTT, where the payload hasn't them.
    pub(crate) settings: &'a [u8],
}

impl Sample<'_> {
    /// Before the start where nothing is said: whoever puts cues in order mends that.
    fn end_ms(&self) -> u64 {
        self.end_ms.unwrap_or(0)
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.payload);
        // Some writers end texts as C does.
        text.trim_end_matches('\0').to_owned()
    }
}

/// What texts in order of time mean.
pub(crate) fn read(head: &Head, samples: &[Sample<'_>]) -> Result<Document, SubtitleError> {
    let document = match head.kind {
        Kind::Srt => read_each(samples, |sample, document| {
            let text = sample.text();
            let said: Vec<&str> = lines(&text).take(CUE_LINES_MAX).collect();
            let (text, placement) = styled(&said);
            let (start_ms, end_ms) = (sample.start_ms, sample.end_ms());
            document.push(Cue { start_ms, end_ms, id: None, placement, text })
        })?,
        Kind::TimedText => read_each(samples, |sample, document| {
            let (start_ms, end_ms) = (sample.start_ms, sample.end_ms());
            let text = timed_text::read(sample.payload);
            document.push(Cue { start_ms, end_ms, id: None, placement: Default::default(), text })
        })?,
        Kind::WebVtt => {
            let mut document = read_each(samples, |sample, document| {
                let settings = String::from_utf8_lossy(sample.settings);
                let times = (sample.start_ms, sample.end_ms());
                document.push(vtt::cue(times, None, &settings, &sample.text()))
            })?;
            document.preamble = vtt::preamble(&head.text)?;
            document
        }
        Kind::WebVttBoxes => {
            let mut document = read_each(samples, |sample, document| {
                let times = (sample.start_ms, sample.end_ms());
                vtt::cues_in_boxes(times, sample.payload).try_for_each(|cue| go_on(document, cue))
            })?;
            document.preamble = vtt::preamble(&head.text)?;
            document
        }
        Kind::Ass => {
            let texts: Vec<String> = samples.iter().map(Sample::text).collect();
            let packets = samples
                .iter()
                .zip(&texts)
                .filter_map(|(sample, text)| ass::Packet::parse((sample.start_ms, sample.end_ms()), text));
            let mut packets: Vec<ass::Packet<'_>> = packets.collect();
            packets.sort_by_key(|packet| packet.nth);
            ass::read_packets(&head.text, &packets)?
        }
    };
    Ok(document.settle())
}

fn read_each(
    samples: &[Sample<'_>],
    mut read: impl FnMut(&Sample<'_>, &mut Document) -> Result<(), SubtitleError>,
) -> Result<Document, SubtitleError> {
    let mut document = Document::default();
    samples.iter().try_for_each(|sample| read(sample, &mut document))?;
    Ok(document)
}

/// Cues that are on screen at once in an MP4, of which one may go on in the next sample (ISO 14496-30, section 6.6).
const AT_ONCE: usize = 16;

/// One more cue; of one that goes on where another came, the other lasts longer.
fn go_on(document: &mut Document, cue: Cue) -> Result<(), SubtitleError> {
    let is_same = |other: &&mut Cue| {
        other.end_ms == cue.start_ms
            && (&other.id, &other.placement, &other.text) == (&cue.id, &cue.placement, &cue.text)
    };
    match document.cues.iter_mut().rev().take(AT_ONCE).find(is_same) {
        Some(other) => other.end_ms = cue.end_ms.max(other.end_ms),
        None => document.push(cue)?,
    }
    Ok(())
}

/// When each of them goes: if that isn't said, when the next comes, and soon.
fn ends(samples: &[Sample<'_>]) -> Vec<u64> {
    let (mut next_ms, mut same_ms) = (u64::MAX, u64::MAX);
    let end = |sample: &Sample<'_>| {
        if sample.start_ms != same_ms {
            (next_ms, same_ms) = (same_ms, sample.start_ms);
        }
        let mended = sample.start_ms.saturating_add(MENDED_MS).min(next_ms);
        sample.end_ms.filter(|&end| end > sample.start_ms).unwrap_or(mended)
    };
    let mut ends: Vec<u64> = samples.iter().rev().map(end).collect();
    ends.reverse();
    ends
}

/// What stands before the events of a script.
const EVENTS: &str =
    "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";

/// The script of SubStation Alpha that texts in order of time were, as it was but for comments: its events in the order that they
/// stood in. Shown later by so much, and only those that are seen in a time.
pub(crate) fn script(
    head: &Head,
    samples: &[Sample<'_>],
    offset_ms: i64,
    window_ms: Option<Range<u64>>,
) -> String {
    let mut events = Vec::new();
    for (sample, end_ms) in samples.iter().zip(ends(samples)) {
        let (start_ms, end_ms) =
            (sample.start_ms.saturating_add_signed(offset_ms), end_ms.saturating_add_signed(offset_ms));
        let is_seen = window_ms.as_ref().is_none_or(|span| start_ms < span.end && end_ms > span.start);
        let text = sample.text();
        if start_ms >= end_ms || !is_seen {
            continue;
        }
        let Some(packet) = ass::Packet::parse((start_ms, end_ms), &text) else { continue };
        let mut line = String::new();
        // A string takes everything.
        let _ = writeln!(line, "{packet}");
        events.push((packet.nth, line));
    }
    events.sort_by_key(|(nth, _)| *nth);
    let mut script = ass::without_events(&head.text);
    script.push_str(EVENTS);
    events.iter().for_each(|(_, line)| script.push_str(line));
    script
}
