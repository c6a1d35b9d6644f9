//! What was read of one track.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Text, TextForm, TextOptions};
use crate::language::Tag;
use crate::limits::{CUES_MAX, TEXT_OVERHEAD_BYTES, TEXT_TRACK_BYTES_MAX};
use crate::subtitle::charset::decode_all;
use crate::subtitle::embedded::{self, Head, Kind, Sample};
use crate::subtitle::{Format, SubtitleError, Target};

/// The texts of a track.
#[derive(Debug)]
pub(super) struct Kept {
    head: Head,
    language: Option<Tag>,
    /// By when they are shown, and where they are: the same bytes are the same text, however often they are read.
    texts: BTreeMap<(u64, u64), Text>,
    /// What they cost, those that were dropped too.
    bytes: usize,
    cost: usize,
}

impl Kept {
    pub(super) fn new(head: Head, language: Option<Tag>) -> Self {
        Self { head, language, texts: BTreeMap::new(), bytes: 0, cost: 0 }
    }

    pub(super) fn add(&mut self, at: u64, text: Text) {
        self.texts.insert((text.micros, at), text);
    }

    /// A text of so many bytes is added. Says what it costs.
    pub(super) fn charge(&mut self, bytes: usize) -> usize {
        self.bytes += bytes;
        self.cost += bytes + TEXT_OVERHEAD_BYTES;
        bytes + TEXT_OVERHEAD_BYTES
    }

    pub(super) fn is_too_much(&self) -> bool {
        self.bytes > TEXT_TRACK_BYTES_MAX || self.texts.len() > CUES_MAX
    }

    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn count(&self) -> usize {
        self.texts.len()
    }

    /// What it is as it was.
    pub(super) fn format(&self) -> Format {
        self.head.kind.format()
    }

    pub(super) fn write(&self, options: &TextOptions) -> Result<String, SubtitleError> {
        let payloads: Vec<&[u8]> = self.texts.values().map(|text| &text.payload[..]).collect();
        let decoded: Vec<Cow<'_, str>>;
        let payloads = match self.head.kind {
            Kind::TimedText | Kind::WebVttBoxes => payloads,
            // They should be UTF-8, but whoever put an old file into a film may not have known.
            Kind::Srt | Kind::Ass | Kind::WebVtt => {
                decoded = decode_all(&payloads, self.language);
                decoded.iter().map(|text| text.as_bytes()).collect()
            }
        };
        let samples = self.texts.values().zip(payloads).map(|(text, payload)| sample(text, payload));
        let samples: Vec<Sample<'_>> = samples.collect();
        let seen = || embedded::seen(&samples, options.offset_ms, options.window_ms.clone());
        let target = match (options.form, self.head.kind) {
            (TextForm::Raw, Kind::Ass) => return Ok(embedded::script(&self.head, &seen())),
            (TextForm::Raw, Kind::Srt) => return Ok(embedded::subrip(&seen())),
            (TextForm::WebVtt, _) | (TextForm::Raw, Kind::WebVtt | Kind::WebVttBoxes) => Target::WebVtt,
            (TextForm::Srt, _) | (TextForm::Raw, Kind::TimedText) => Target::Srt,
        };
        let mut document = embedded::read(&self.head, &samples)?;
        document.shift(options.offset_ms);
        if let Some(window_ms) = &options.window_ms {
            document.crop(window_ms.clone());
        }
        document.write(target)
    }
}

fn sample<'a>(text: &'a Text, payload: &'a [u8]) -> Sample<'a> {
    // To the nearest: clocks of films that don't count milliseconds are cut to microseconds.
    let ms = |micros: u64| micros.saturating_add(500) / 1000;
    Sample {
        start_ms: ms(text.micros),
        end_ms: text.duration_micros.map(|duration| ms(text.micros.saturating_add(duration))),
        payload,
        settings: &text.settings,
    }
}
