//! The headers: of the file (`avih`), of each stream (`strl`), and of OpenDML.

use super::super::facts::{Audio, Codec, Track, TrackKind, Video};
use super::super::inspect::{Budget, Fault};
use super::chunk::{self, u16_at, u32_at};
use super::codec;
use super::open_dml::{self, StandardIndex};
use crate::language::{Language, Tag};
use crate::limits::{FRAME_RATE_MAX, PICTURE_SIDE_MAX, TITLE_BYTES_MAX, TRACKS_MAX};

/// A file's headers.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) streams: Vec<Stream>,
    /// `dwMicroSecPerFrame` and `dwTotalFrames`, which is of the first RIFF.
    micros_a_frame: u32,
    frames: u32,
    /// `dwTotalFrames` of `dmlh`: of all RIFFs.
    all_frames: u32,
}

/// A stream's headers.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) kind: TrackKind,
    pub(super) codec: Codec,
    title: Option<String>,
    /// A second has `rate / scale` frames.
    scale: u32,
    rate: u32,
    frames: u32,
    pub(super) standard_indexes: Vec<StandardIndex>,
}

impl Stream {
    /// When its frame of that number begins; nothing says it where the rate is 0.
    pub(super) fn micros(&self, frame: u64) -> Option<u64> {
        let micros = u128::from(frame) * u128::from(self.scale) * 1_000_000;
        u64::try_from(micros.checked_div(u128::from(self.rate))?).ok()
    }

    /// Its own length, or that of all its standard indexes: some write only what is in the first RIFF.
    fn length(&self) -> Option<u64> {
        let indexed = self.standard_indexes.iter().map(|index| u64::from(index.duration)).sum();
        self.micros(u64::from(self.frames).max(indexed)).filter(|&micros| micros > 0)
    }
}

impl Header {
    /// Of what is in `hdrl`.
    pub(super) fn read(body: &[u8], budget: &mut Budget) -> Result<Self, Fault> {
        let mut header = Self { streams: Vec::new(), micros_a_frame: 0, frames: 0, all_frames: 0 };
        for chunk in chunk::all(body) {
            budget.element()?;
            match chunk.list() {
                Some((kind, body)) if &kind == b"strl" && header.streams.len() < TRACKS_MAX => {
                    header.streams.push(stream(body, budget)?);
                }
                Some((kind, body)) if &kind == b"odml" => {
                    let mut parts = chunk::all(body);
                    let main = parts.find(|part| &part.id == b"dmlh");
                    header.all_frames = main.and_then(|main| u32_at(main.body, 0)).unwrap_or(0);
                }
                None if &chunk.id == b"avih" => {
                    header.micros_a_frame = u32_at(chunk.body, 0).unwrap_or(0);
                    header.frames = u32_at(chunk.body, 16).unwrap_or(0);
                }
                _ => {}
            }
        }
        if header.streams.is_empty() { Err(Fault::Broken("an AVI without streams")) } else { Ok(header) }
    }

    /// The stream of pictures that counts, and its number.
    pub(super) fn pictures(&self) -> Option<(usize, &Stream)> {
        self.streams.iter().enumerate().find(|(_, stream)| matches!(stream.kind, TrackKind::Video(_)))
    }

    /// How long it lasts: as its pictures, or else as what is longest in it, or else as the file's own headers say.
    pub(super) fn micros(&self) -> Option<u64> {
        let of_pictures = self.pictures().and_then(|(_, stream)| stream.length());
        let longest = || self.streams.iter().filter_map(Stream::length).max();
        let of_file = || {
            // `dmlh` counts sound along in some files, so it comes last.
            let frames = if self.frames > 0 { self.frames } else { self.all_frames };
            Some(u64::from(self.micros_a_frame) * u64::from(frames))
        };
        let is_said = |micros: &u64| *micros > 0;
        of_pictures.or_else(longest).or_else(of_file).filter(is_said)
    }

    pub(super) fn tracks(&self, languages: &[Option<Tag>]) -> Vec<Track> {
        let mut of_sound = languages.iter().copied();
        let track = |(number, stream): (usize, &Stream)| {
            let is_sound = matches!(stream.kind, TrackKind::Audio(_));
            Track {
                id: number as u64,
                kind: stream.kind.clone(),
                codec: stream.codec.clone(),
                language: if is_sound { of_sound.next().flatten() } else { None },
                title: stream.title.clone(),
                is_default: false,
                is_forced: false,
                is_hearing_impaired: false,
            }
        };
        let mut tracks: Vec<Track> = self.streams.iter().enumerate().map(track).collect();
        super::super::mark_defaults(&mut tracks);
        tracks
    }
}

/// Of what is in a `strl`. What a stream doesn't say is left as nothing; its number counts all the same.
fn stream(body: &[u8], budget: &mut Budget) -> Result<Stream, Fault> {
    let (mut header, mut format, mut title, mut standard_indexes) = (&[][..], &[][..], None, Vec::new());
    for part in chunk::all(body) {
        budget.element()?;
        match &part.id {
            b"strh" => header = part.body,
            b"strf" => format = part.body,
            b"strn" => title = chunk::text(part.body).map(short),
            b"indx" => standard_indexes = open_dml::super_index(part.body),
            _ => {}
        }
    }
    let number = |at| u32_at(header, at).unwrap_or(0);
    let (scale, rate, frames) = (number(20), number(24), number(32));
    let four = |body: &[u8], at: usize| body.get(at..).and_then(|rest| rest.first_chunk().copied());
    let (kind, codec) = match &four(header, 0).unwrap_or_default() {
        b"vids" => pictures(four(header, 4).unwrap_or_default(), format, scale, rate),
        b"auds" => sound(format),
        b"txts" => (TrackKind::Subtitle, codec::pictures(four(header, 4).unwrap_or_default())),
        _ => (TrackKind::Other, codec::pictures(four(header, 4).unwrap_or_default())),
    };
    Ok(Stream { kind, codec, title, scale, rate, frames, standard_indexes })
}

/// `BITMAPINFOHEADER`
fn pictures(handler: [u8; 4], format: &[u8], scale: u32, rate: u32) -> (TrackKind, Codec) {
    let side = |at| {
        let side = u32_at(format, at).unwrap_or(0).cast_signed().unsigned_abs();
        // A picture from the bottom up has a negative height.
        if side <= PICTURE_SIDE_MAX { side } else { 0 }
    };
    let compression = format.get(16..).and_then(|rest| rest.first_chunk().copied()).unwrap_or(handler);
    if codec::is_subtitle(compression) {
        return (TrackKind::Subtitle, codec::pictures(compression));
    }
    let frame_rate = f64::from(rate) / f64::from(scale);
    let frame_rate = (frame_rate > 0.0 && frame_rate <= FRAME_RATE_MAX).then_some(frame_rate);
    let video = Video { width: side(4), height: side(8), hdr: None, frame_rate };
    (TrackKind::Video(video), codec::pictures(compression))
}

/// `WAVEFORMATEX`; an extensible one has its tag at the start of a GUID.
fn sound(format: &[u8]) -> (TrackKind, Codec) {
    const EXTENSIBLE: u16 = 0xfffe;
    let tag = u16_at(format, 0).unwrap_or(0);
    let tag = if tag == EXTENSIBLE { u16_at(format, 24).unwrap_or(tag) } else { tag };
    let audio =
        Audio { channels: u16_at(format, 2).unwrap_or(0), sample_rate: u32_at(format, 4).unwrap_or(0) };
    (TrackKind::Audio(audio), codec::sound(tag))
}

/// A language as people write it there: its name or its code.
pub(super) fn language(text: &str) -> Option<Tag> {
    text.parse().ok().or_else(|| Language::from_name(text).map(Tag::from))
}

fn short(mut title: String) -> String {
    title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
    title
}
