//! One track (`trak`, ISO 14496-12 section 8.3).

use std::num::NonZeroU32;

use super::super::facts::{Codec, Track, TrackKind};
use super::boxes::{Boxes, Fields, Kind, column, text};
use super::points::Timed;
use super::sample_entry::SampleEntry;
use super::tables::Tables;
use super::text::TextTrack;
use super::timeline::{Edits, Timeline};
use crate::Tag;
use crate::language::Language;
use crate::limits::{SCRIPT_BYTES_MAX, TITLE_BYTES_MAX};

/// What a `trak` says, as its boxes have it; nothing of it is copied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trak<'a> {
    pub(super) id: u32,
    is_enabled: bool,
    /// In pixels, as it is shown.
    shown_size: (u32, u32),
    /// It is shown turned by a quarter, as films of phones held upright are.
    is_turned: bool,
    edits: Edits,
    timescale: u32,
    /// In ticks of its own.
    media_duration: u64,
    language: Option<Tag>,
    extended_language: Option<Tag>,
    handler: Kind,
    handler_name: &'a [u8],
    user_name: &'a [u8],
    role: Role,
    /// The `stsd`.
    descriptions: &'a [u8],
    pub(super) tables: Tables<'a>,
    /// Tracks that have this one's chapters, as the content of a `chap`.
    pub(super) chapters: &'a [u8],
}

/// What a `kind` box says a track is for (section 8.10.4), by the roles of DASH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Role {
    is_forced: bool,
    is_hearing_impaired: bool,
}

impl<'a> Trak<'a> {
    pub(super) fn parse(content: &'a [u8]) -> Self {
        let mut trak = Self::default();
        for (kind, content) in Boxes(content) {
            // A box that ends early leaves unsaid what it would have said.
            let _ = match &kind {
                b"tkhd" => trak.header(content),
                b"edts" => trak.edits(content),
                b"tref" => trak.references(content),
                b"mdia" => trak.media(content),
                b"udta" => trak.user_data(content),
                _ => None,
            };
        }
        trak
    }

    fn header(&mut self, content: &[u8]) -> Option<()> {
        const ENABLED: u32 = 1;
        let mut fields = Fields(content);
        let (version, flags) = fields.full()?;
        let is_long = version == 1;
        fields.skip(if is_long { 16 } else { 8 })?;
        self.id = fields.u32()?;
        self.is_enabled = flags & ENABLED != 0;
        fields.u32()?;
        fields.word(is_long)?;
        // Place among the others and volume.
        fields.skip(16)?;
        let matrix: [u8; 36] = fields.array()?;
        let [across_by_across, down_by_across, across_by_down, down_by_down] =
            [0, 1, 3, 4].map(|nth| column(&matrix, nth));
        // A quarter turn either way leads across to down and down to across, and neither to itself.
        self.is_turned =
            across_by_across == 0 && down_by_down == 0 && down_by_across != 0 && across_by_down != 0;
        self.shown_size = (fields.u32()? >> 16, fields.u32()? >> 16);
        Some(())
    }

    fn edits(&mut self, content: &[u8]) -> Option<()> {
        self.edits = Edits::parse(Boxes(content).first(b"elst")?)?;
        Some(())
    }

    fn references(&mut self, content: &'a [u8]) -> Option<()> {
        self.chapters = Boxes(content).first(b"chap")?;
        Some(())
    }

    fn media(&mut self, content: &'a [u8]) -> Option<()> {
        for (kind, content) in Boxes(content) {
            let _ = match &kind {
                b"mdhd" => self.media_header(content),
                b"hdlr" => self.handler(content),
                b"elng" => self.language(content),
                b"minf" => self.samples(content),
                _ => None,
            };
        }
        Some(())
    }

    fn media_header(&mut self, content: &[u8]) -> Option<()> {
        let mut fields = Fields(content);
        let (version, _) = fields.full()?;
        let is_long = version == 1;
        fields.skip(if is_long { 16 } else { 8 })?;
        self.timescale = fields.u32()?;
        let duration = fields.word(is_long)?;
        // All ones are a length that isn't known.
        let is_unknown = if is_long { duration == u64::MAX } else { duration == u64::from(u32::MAX) };
        self.media_duration = if is_unknown { 0 } else { duration };
        self.language = packed_language(fields.u16()?);
        Some(())
    }

    fn handler(&mut self, content: &'a [u8]) -> Option<()> {
        let mut fields = Fields(content);
        fields.full()?;
        fields.u32()?;
        self.handler = fields.array()?;
        fields.skip(12)?;
        self.handler_name = fields.0;
        Some(())
    }

    /// `elng` (section 8.4.6).
    fn language(&mut self, content: &[u8]) -> Option<()> {
        let mut fields = Fields(content);
        fields.full()?;
        let end = fields.0.iter().position(|byte| *byte == 0).unwrap_or(fields.0.len());
        self.extended_language = str::from_utf8(&fields.0[..end]).ok()?.parse().ok();
        Some(())
    }

    fn samples(&mut self, content: &'a [u8]) -> Option<()> {
        let content = Boxes(content).first(b"stbl")?;
        self.descriptions = Boxes(content).first(b"stsd").unwrap_or_default();
        self.tables = Tables::parse(content);
        Some(())
    }

    fn user_data(&mut self, content: &'a [u8]) -> Option<()> {
        for (kind, content) in Boxes(content) {
            match &kind {
                b"name" => self.user_name = content,
                b"kind" => self.role.add(content),
                _ => {}
            }
        }
        Some(())
    }

    /// Its clock, if it has one.
    pub(super) fn timeline(&self, movie_timescale: Option<NonZeroU32>) -> Option<Timeline> {
        Some(Timeline::new(NonZeroU32::new(self.timescale)?, self.edits, movie_timescale))
    }

    /// When it ends in the film, by its own header.
    pub(super) fn end_micros(&self, movie_timescale: Option<NonZeroU32>) -> u64 {
        self.timeline(movie_timescale).map_or(0, |timeline| timeline.micros(self.media_duration.into()))
    }

    /// What an index needs of it; `track` is what [`Self::track`] told.
    pub(super) fn timed(&self, track: &Track, movie_timescale: Option<NonZeroU32>) -> Option<Timed<'a>> {
        let timeline = self.timeline(movie_timescale)?;
        let by_chunk = track.codec == Codec::Pcm && self.tables.sizes_are_one();
        Some(Timed { tables: self.tables, timeline, by_chunk })
    }

    /// Where its texts are, if it has any that can be read; `track` is what [`Self::track`] told. So many
    /// samples are left to be looked at.
    pub(super) fn texts(
        &self,
        track: &Track,
        movie_timescale: Option<NonZeroU32>,
        samples_left: &mut u64,
    ) -> Option<TextTrack> {
        let is_text =
            track.kind == TrackKind::Subtitle && matches!(track.codec, Codec::TimedText | Codec::WebVtt);
        let timeline = self.timeline(movie_timescale).filter(|_| is_text)?;
        let head = SampleEntry::webvtt_head(self.descriptions);
        let head = &head[..head.len().min(SCRIPT_BYTES_MAX)];
        Some(TextTrack::new(self.id, &track.codec, head, (&self.tables, timeline), samples_left))
    }

    /// What is told of it.
    pub(super) fn track(&self) -> Track {
        let entry = SampleEntry::parse(self.descriptions, &self.handler);
        let mut kind = entry.kind;
        if let TrackKind::Video(video) = &mut kind {
            video.frame_rate = self.tables.constant_rate(self.timescale);
            if video.width == 0 || video.height == 0 {
                (video.width, video.height) = self.shown_size;
            }
            if self.is_turned {
                (video.width, video.height) = (video.height, video.width);
            }
        }
        Track {
            id: self.id.into(),
            kind,
            codec: entry.codec,
            language: self.extended_language.or(self.language),
            title: self.title(),
            is_default: self.is_enabled,
            is_forced: entry.is_forced || self.role.is_forced,
            is_hearing_impaired: self.role.is_hearing_impaired,
        }
    }

    /// What people called it. Most programs write their own name or "SoundHandler" into the handler's, which says nothing.
    fn title(&self) -> Option<String> {
        const OF_PROGRAMS: [&str; 7] =
            ["handler", "core media", "iso media", "gpac", "l-smash", "mainconcept", "apple"];
        text(self.user_name, TITLE_BYTES_MAX).or_else(|| {
            let name = text(self.pascal_or_c_string(), TITLE_BYTES_MAX)?;
            let lower = name.to_ascii_lowercase();
            (!OF_PROGRAMS.iter().any(|words| lower.contains(words))).then_some(name)
        })
    }

    /// QuickTime counts the handler's name, ISO ends it with a zero.
    fn pascal_or_c_string(&self) -> &'a [u8] {
        match self.handler_name.split_first() {
            Some((&count, rest)) if usize::from(count) == rest.len() => rest,
            _ => self.handler_name,
        }
    }
}

impl Role {
    fn add(&mut self, content: &[u8]) {
        let mut parts = content.get(4..).unwrap_or_default().split(|byte| *byte == 0);
        if parts.next() != Some(b"urn:mpeg:dash:role:2011") {
            return;
        }
        match parts.next() {
            Some(b"caption") => self.is_hearing_impaired = true,
            Some(b"forced-subtitle" | b"forced_subtitle") => self.is_forced = true,
            _ => {}
        }
    }
}

/// The language of an `mdhd`: three letters of five bits (section 8.4.2.3), or in old QuickTime a number of the Macintosh's.
fn packed_language(packed: u16) -> Option<Tag> {
    /// The first numbers; what a few files have beyond them isn't told.
    #[rustfmt::skip]
    const MACINTOSH: [&str; 34] = [
        "en", "fr", "de", "it", "nl", "sv", "es", "da", "pt", "nb", "he", "ja", "ar", "fi", "el", "is", "mt",
        "tr", "hr", "zh-Hant", "ur", "hi", "th", "ko", "lt", "pl", "hu", "et", "lv", "se", "fo", "fa", "ru", "zh-Hans",
    ];
    if packed < 0x400 {
        return MACINTOSH.get(usize::from(packed)).and_then(|code| code.parse().ok());
    }
    let letter = |shift: u32| ((packed >> shift & 0x1f) as u8).wrapping_add(0x60);
    let letters = [letter(10), letter(5), letter(0)];
    Language::from_code(str::from_utf8(&letters).ok()?).map(Tag::from)
}
