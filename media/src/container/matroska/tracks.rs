//! Tracks (RFC 9559, section 5.1.4): what is told of each, and how its blocks are written.

use super::coding::{Coding, Encoding, Form};
use super::{codec, id};
use crate::container::ebml::{Elements, float, text, uint};
use crate::container::inspect::Budget;
use crate::container::{Audio, Hdr, Track, TrackKind, Video};
use crate::language::Tag;
use crate::limits::{TITLE_BYTES_MAX, TRACKS_MAX};

/// Longer than any id or tag that means something.
const NAME_BYTES_MAX: usize = 64;

/// `TransferCharacteristics` of SMPTE ST 2084 and of ARIB STD-B67.
const TRANSFER_PQ: u64 = 16;
const TRANSFER_HLG: u64 = 18;

/// `BlockAddIDType` of the Dolby Vision configurations, four letters each, and of ITU-T T.35 metadata: HDR10+ is the only
/// kind of that which muxers put there.
const ADDITION_DVCC: u64 = u32::from_be_bytes(*b"dvcC") as u64;
const ADDITION_DVVC: u64 = u32::from_be_bytes(*b"dvvC") as u64;
const ADDITION_T35: u64 = 4;

/// Pictures in a second that somebody may mean.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 0.1..=1000.0;

/// All that are sound. One that isn't (it has no number or another's, or no codec) is left out alone.
pub(super) fn read(body: &[u8], budget: &mut Budget) -> (Vec<Track>, Vec<Coding>) {
    let (mut tracks, mut codings) = (Vec::<Track>::new(), Vec::new());
    let mut elements = Elements::of(body, budget);
    while let Some((id, body)) = elements.next() {
        let entry =
            (id == id::TRACK_ENTRY && tracks.len() < TRACKS_MAX).then(|| Entry::read(elements.within(body)));
        let Some((track, coding)) = entry.and_then(Entry::tell) else { continue };
        if tracks.iter().all(|other| other.id != track.id) {
            tracks.push(track);
            codings.push(coding);
        }
    }
    (tracks, codings)
}

/// A `TrackEntry` as it is written.
#[derive(Debug, Default)]
struct Entry<'a> {
    number: Option<u64>,
    kind: Option<u64>,
    codec: Option<String>,
    private: Option<&'a [u8]>,
    language: Option<String>,
    tag: Option<String>,
    name: Option<String>,
    is_default: Option<u64>,
    is_forced: Option<u64>,
    is_hearing_impaired: Option<u64>,
    default_duration: Option<u64>,
    video: Option<Video>,
    audio: Option<Audio>,
    addition: Option<Hdr>,
    encoding: Option<Encoding>,
}

/// The first of its kind counts.
fn keep<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

impl<'a> Entry<'a> {
    fn read(mut elements: Elements<'a, '_>) -> Self {
        let mut entry = Self::default();
        while let Some((id, body)) = elements.next() {
            match id {
                id::TRACK_NUMBER => keep(&mut entry.number, uint(body)),
                id::TRACK_TYPE => keep(&mut entry.kind, uint(body)),
                id::CODEC_ID => keep(&mut entry.codec, text(body, NAME_BYTES_MAX)),
                id::CODEC_PRIVATE => keep(&mut entry.private, Some(body)),
                id::LANGUAGE => keep(&mut entry.language, text(body, NAME_BYTES_MAX)),
                id::LANGUAGE_BCP47 => keep(&mut entry.tag, text(body, NAME_BYTES_MAX)),
                id::NAME => keep(&mut entry.name, text(body, TITLE_BYTES_MAX)),
                id::FLAG_DEFAULT => keep(&mut entry.is_default, uint(body)),
                id::FLAG_FORCED => keep(&mut entry.is_forced, uint(body)),
                id::FLAG_HEARING_IMPAIRED => keep(&mut entry.is_hearing_impaired, uint(body)),
                id::DEFAULT_DURATION => keep(&mut entry.default_duration, uint(body)),
                id::VIDEO => keep(&mut entry.video, Some(video(elements.within(body)))),
                id::AUDIO => keep(&mut entry.audio, Some(audio(elements.within(body)))),
                // A film in Dolby Vision may say HDR10+ besides; the first of the two is the one that players look for.
                id::BLOCK_ADDITION_MAPPING => match addition(elements.within(body)) {
                    Some(Hdr::DolbyVision) => entry.addition = Some(Hdr::DolbyVision),
                    other => keep(&mut entry.addition, other),
                },
                id::CONTENT_ENCODINGS => keep(&mut entry.encoding, Encoding::read(elements.within(body))),
                _ => {}
            }
        }
        entry
    }

    fn tell(self) -> Option<(Track, Coding)> {
        // Section 5.1.4.1.1: never 0.
        let number = self.number.filter(|&number| number != 0)?;
        let private = self.private.unwrap_or_default();
        let codec = codec::codec(self.codec.as_deref()?, private);
        let kind = self.kind_of_track();
        let form = (kind == TrackKind::Subtitle).then(|| Form::of(self.codec.as_deref()?, &codec)).flatten();
        let coding = Coding::new(number, form, self.default_duration, self.encoding, private);
        let track = Track {
            id: number,
            kind,
            codec,
            language: language(self.tag.as_deref(), self.language.as_deref()),
            title: self.name,
            // The defaults of sections 5.1.4.1.5 and 5.1.4.1.6; a flag that isn't there says nothing of who hears.
            is_default: self.is_default != Some(0),
            is_forced: self.is_forced.is_some_and(|flag| flag != 0),
            is_hearing_impaired: self.is_hearing_impaired.is_some_and(|flag| flag != 0),
        };
        Some((track, coding))
    }

    /// Section 5.1.4.1.3.
    fn kind_of_track(&self) -> TrackKind {
        match self.kind {
            Some(1) => {
                let video = self.video.unwrap_or_default();
                TrackKind::Video(Video {
                    hdr: self.addition.or(video.hdr),
                    frame_rate: self.default_duration.and_then(frame_rate),
                    ..video
                })
            }
            Some(2) => TrackKind::Audio(self.audio.unwrap_or(AUDIO_UNSAID)),
            Some(17) => TrackKind::Subtitle,
            _ => TrackKind::Other,
        }
    }
}

/// `LanguageBCP47` counts where it is there; without either it is English (section 5.1.4.1.19).
fn language(tag: Option<&str>, code: Option<&str>) -> Option<Tag> {
    tag.or(code).unwrap_or("eng").parse().ok()
}

/// Of the nanoseconds of a picture, which are cut to whole ones: 41 666 666 are meant as 24, 41 708 333 as 24000/1001.
fn frame_rate(nanos: u64) -> Option<f64> {
    let nanos = nanos as f64;
    let said = 1e9 / nanos;
    let usual = [said.round(), (said * 1.001).round() / 1.001];
    let rate = usual.into_iter().find(|usual| (1e9 / usual - nanos).abs() <= 1.0).unwrap_or(said);
    FRAME_RATES.contains(&rate).then_some(rate)
}

fn video(mut elements: Elements<'_, '_>) -> Video {
    let (mut width, mut height, mut hdr) = (None, None, None);
    while let Some((id, body)) = elements.next() {
        match id {
            id::PIXEL_WIDTH => keep(&mut width, uint(body)),
            id::PIXEL_HEIGHT => keep(&mut height, uint(body)),
            id::COLOUR => keep(&mut hdr, transfer(elements.within(body))),
            _ => {}
        }
    }
    let pixels = |said: Option<u64>| said.and_then(|said| u32::try_from(said).ok()).unwrap_or_default();
    Video { width: pixels(width), height: pixels(height), hdr, frame_rate: None }
}

fn transfer(mut elements: Elements<'_, '_>) -> Option<Hdr> {
    let mut characteristics = None;
    while let Some((id, body)) = elements.next() {
        if id == id::TRANSFER_CHARACTERISTICS {
            keep(&mut characteristics, uint(body));
        }
    }
    match characteristics? {
        TRANSFER_PQ => Some(Hdr::Hdr10),
        TRANSFER_HLG => Some(Hdr::Hlg),
        _ => None,
    }
}

fn addition(mut elements: Elements<'_, '_>) -> Option<Hdr> {
    let mut kind = None;
    while let Some((id, body)) = elements.next() {
        if id == id::BLOCK_ADD_ID_TYPE {
            keep(&mut kind, uint(body));
        }
    }
    match kind? {
        ADDITION_DVCC | ADDITION_DVVC => Some(Hdr::DolbyVision),
        ADDITION_T35 => Some(Hdr::Hdr10Plus),
        _ => None,
    }
}

/// The defaults of section 5.1.4.1.29.
const AUDIO_UNSAID: Audio = Audio { channels: 1, sample_rate: 8000 };

fn audio(mut elements: Elements<'_, '_>) -> Audio {
    let (mut channels, mut rate, mut output_rate) = (None, None, None);
    while let Some((id, body)) = elements.next() {
        match id {
            id::CHANNELS => keep(&mut channels, uint(body)),
            id::SAMPLING_FREQUENCY => keep(&mut rate, float(body)),
            id::OUTPUT_SAMPLING_FREQUENCY => keep(&mut output_rate, float(body)),
            _ => {}
        }
    }
    // What is heard is the output: twice the other for AAC with spectral band replication.
    let rate = output_rate.or(rate).filter(|rate| (1.0..=u32::MAX.into()).contains(rate));
    Audio {
        channels: channels.map_or(AUDIO_UNSAID.channels, |said| u16::try_from(said).unwrap_or_default()),
        sample_rate: rate.map_or(AUDIO_UNSAID.sample_rate, |rate| rate as u32),
    }
}
