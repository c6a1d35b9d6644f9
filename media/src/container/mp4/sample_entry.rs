//! Sample entries (`stsd`, ISO 14496-12 section 8.5.2): how a track is encoded.

mod descriptor;
mod picture;
mod sound;

use super::super::facts::{Codec, TrackKind};
use super::boxes::{Boxes, Fields, Kind};
use crate::limits::CODEC_BYTES_MAX;

/// What a sample entry says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SampleEntry {
    pub(super) codec: Codec,
    pub(super) kind: TrackKind,
    /// All of it is shown to those who want no subtitles as well.
    pub(super) is_forced: bool,
}

/// A sample entry before it is known what kind of track it is of.
#[derive(Clone, Copy, Debug)]
struct Raw<'a> {
    kind: Kind,
    content: &'a [u8],
    /// The version of the `stsd`, which decides how one of sound goes on.
    table_version: u8,
}

/// The fields that all sample entries begin with.
const COMMON_BYTES: usize = 8;

impl SampleEntry {
    /// Of an `stsd` and the track's handler. The first entry is taken for all: later ones are for a change of parameters.
    pub(super) fn parse(content: &[u8], handler: &Kind) -> Self {
        Self::raw(content)
            .map_or_else(|| Self::unknown(Codec::Other(String::new()), handler), |raw| raw.read(handler))
    }

    /// What stands before the first cue of a WebVTT file, of an `stsd` (`vttC`, ISO 14496-30 section 6.5).
    pub(super) fn webvtt_head(content: &[u8]) -> &[u8] {
        let boxes = Self::raw(content).and_then(|raw| raw.content.get(COMMON_BYTES..));
        boxes.and_then(|boxes| Boxes(boxes).first(b"vttC")).unwrap_or_default()
    }

    fn raw(content: &[u8]) -> Option<Raw<'_>> {
        let mut fields = Fields(content);
        let (table_version, _) = fields.full()?;
        fields.u32()?;
        let (kind, content) = Boxes(fields.0).next()?;
        Some(Raw { kind, content, table_version })
    }

    fn unknown(codec: Codec, handler: &Kind) -> Self {
        let kind = match handler {
            b"vide" => TrackKind::Video(Default::default()),
            b"soun" => TrackKind::Audio(Default::default()),
            b"sbtl" | b"subt" | b"text" | b"clcp" | b"subp" => TrackKind::Subtitle,
            _ => TrackKind::Other,
        };
        Self { codec, kind, is_forced: false }
    }
}

impl Raw<'_> {
    fn read(&self, handler: &Kind) -> SampleEntry {
        match handler {
            b"vide" => picture::read(self),
            b"soun" => sound::read(self),
            _ => self.read_other(handler),
        }
    }

    fn read_other(&self, handler: &Kind) -> SampleEntry {
        let codec = match &self.kind {
            b"tx3g" | b"text" => Codec::TimedText,
            b"wvtt" => Codec::WebVtt,
            b"mp4s" => self
                .descriptor(COMMON_BYTES)
                .map_or_else(|| other(&self.kind), |found| found.codec(&self.kind)),
            kind => other(kind),
        };
        SampleEntry { is_forced: self.is_forced_text(), ..SampleEntry::unknown(codec, handler) }
    }

    /// `tx3g` alone can say so (3GPP TS 26.245 section 5.16; the flag is QuickTime's).
    fn is_forced_text(&self) -> bool {
        const ALL_SAMPLES_FORCED: u32 = 0x8000_0000;
        let mut fields = Fields(self.content);
        let flags = fields.skip(COMMON_BYTES).and_then(|()| fields.u32());
        self.kind == *b"tx3g" && flags.is_some_and(|flags| flags & ALL_SAMPLES_FORCED != 0)
    }

    /// The boxes behind so many bytes of fields.
    fn boxes(&self, fields_bytes: usize) -> Boxes<'_> {
        Boxes(self.content.get(fields_bytes..).unwrap_or_default())
    }

    /// The `esds` among those.
    fn descriptor(&self, fields_bytes: usize) -> Option<descriptor::Descriptor<'_>> {
        self.boxes(fields_bytes).first(b"esds").and_then(descriptor::Descriptor::parse)
    }

    /// What a protected entry was before (`sinf`, `frma`; section 8.12); itself if it isn't one.
    fn original(&self, fields_bytes: usize) -> Kind {
        let format =
            self.boxes(fields_bytes).first(b"sinf").and_then(|content| Boxes(content).first(b"frma"));
        format.and_then(|content| Fields(content).array()).unwrap_or(self.kind)
    }
}

/// A code that we don't know, as far as it can be printed.
fn other(kind: &Kind) -> Codec {
    let printable = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
    let mut name: String = kind.trim_ascii_end().iter().map(printable).collect();
    name.truncate(CODEC_BYTES_MAX);
    Codec::Other(name)
}
