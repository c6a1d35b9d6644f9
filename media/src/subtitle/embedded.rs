//! Texts as films have them inside, each with its time beside it: of Matroska, WebM and MP4.
//!
//! Not here: how they are found in a film; that is [`TextTracks`](crate::container::TextTracks).

use std::fmt::Write;
use std::ops::Range;

use crate::limits::{CUE_END_MS_MAX, CUE_LINES_MAX};

use super::cue::{Cue, Document, MENDED_MS};
use super::srt::{lines, styled};
use super::time::ARROW;
use super::write::Clock;
use super::{Format, SubtitleError, ass, timed_text, vtt};

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

/// Texts in order of time, shown later by so much, and only those that are seen in a time. Each says when it goes.
pub(crate) fn seen<'a>(
    samples: &[Sample<'a>],
    offset_ms: i64,
    window_ms: Option<Range<u64>>,
) -> Vec<Sample<'a>> {
    let moved = |ms: u64| ms.saturating_add_signed(offset_ms).min(CUE_END_MS_MAX);
    let moved = |(sample, end_ms): (&Sample<'a>, u64)| Sample {
        start_ms: moved(sample.start_ms),
        end_ms: Some(moved(end_ms)),
        ..*sample
    };
    let is_seen = |sample: &Sample<'a>| {
        let (start_ms, end_ms) = (sample.start_ms, sample.end_ms());
        start_ms < end_ms && window_ms.as_ref().is_none_or(|span| start_ms < span.end && end_ms > span.start)
    };
    samples.iter().zip(ends(samples)).map(moved).filter(is_seen).collect()
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

/// The script of SubStation Alpha that texts were, as it was but for comments: its events in the order that they stood in.
pub(crate) fn script(head: &Head, samples: &[Sample<'_>]) -> String {
    let mut events = Vec::new();
    for sample in samples {
        let text = sample.text();
        let Some(packet) = ass::Packet::parse((sample.start_ms, sample.end_ms()), &text) else { continue };
        events.push((packet.nth, packet.to_string()));
    }
    events.sort_by_key(|(nth, _)| *nth);
    let mut script = ass::without_events(&head.text);
    script.push_str(EVENTS);
    for (_, line) in events {
        script.push_str(&line);
        script.push('\n');
    }
    script
}

/// The SubRip file that texts were, with whatever tags they have.
pub(crate) fn subrip(samples: &[Sample<'_>]) -> String {
    let mut file = String::new();
    let mut number = 0;
    for sample in samples {
        let text = sample.text();
        // An empty line would end the cue, and what looks like times would begin one.
        let said = lines(&text).map(|line| line.trim_end().replace(ARROW, "--\u{2060}>"));
        let said: Vec<String> = said.filter(|line| !line.is_empty()).collect();
        if !said.is_empty() {
            number += 1;
            let (start, end) = (Clock(sample.start_ms, ','), Clock(sample.end_ms(), ','));
            // A string takes everything.
            let _ = write!(file, "{number}\n{start} --> {end}\n{}\n\n", said.join("\n"));
        }
    }
    file
}
