//! Subtitles: from a file's bytes to cues, and to what browsers and players show.
//!
//! [`convert`] does all of it; [`decode`](charset::decode), [`recognise`] and [`read`] are its steps. Read are SubRip, SubStation
//! Alpha, WebVTT, MicroDVD, SubViewer and SAMI; written are WebVTT and SubRip. What a file is is told by its content, then by its extension.
//!
//! Not here: pictures (PGS, VobSub), which only a player or an encoder can show, and how tracks inside of containers are
//! found: [`TextTracks`](crate::container::TextTracks) gives those.

mod ass;
pub mod charset;
mod cue;
pub(crate) mod embedded;
mod markup;
mod microdvd;
mod placement;
mod sami;
mod srt;
mod subviewer;
mod time;
mod timed_text;
mod vtt;
mod write;

#[cfg(test)]
mod tests;

use std::ops::Range;

use thiserror::Error;

use crate::language::Tag;
use crate::limits::{CUES_MAX, SUBTITLE_BYTES_MAX};

pub use charset::{Decoded, Evidence};
pub use cue::{Cue, Document, Span, Style, Text};
pub use placement::{Align, Line, LineAlign, Percent, Placement, PositionAlign, Vertical};

/// A kind of subtitle file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// SubRip, `.srt`.
    Srt,
    /// SubStation Alpha, `.ssa` and `.ass`.
    Ass,
    /// WebVTT, `.vtt`.
    WebVtt,
    /// MicroDVD, `.sub` or `.txt`.
    MicroDvd,
    /// SubViewer, `.sub` or `.sbv`.
    SubViewer,
    /// SAMI, `.smi`.
    Sami,
    /// Timed Text Markup Language, `.ttml` or `.dfxp`: not read.
    Ttml,
    /// A DVD's pictures, `.sub` with `.idx`: no text.
    VobSub,
    /// A Blu-ray disc's pictures, `.sup`: no text.
    Pgs,
}

/// Why a file can't be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubtitleError {
    /// Longer than [`SUBTITLE_BYTES_MAX`], or far longer once it is written.
    #[error("the subtitle has more than {SUBTITLE_BYTES_MAX} bytes; a film's has a few hundred thousand")]
    TooLong,
    /// More than [`CUES_MAX`].
    #[error("the subtitle has more than {CUES_MAX} cues")]
    TooManyCues,
    /// It is like nothing we know.
    #[error("this is no subtitle we know: SubRip, SubStation Alpha, WebVTT, MicroDVD, SubViewer or SAMI")]
    Unknown,
    /// It has no text.
    #[error("{0} subtitles are pictures: choose a text subtitle, or a player that shows them")]
    Pictures(Format),
    /// It is known but not read.
    #[error("{0} subtitles can't be read: convert the file to SubRip")]
    Unread(Format),
}

/// What is known of a file beside its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint<'a> {
    /// Its name's extension without the dot, in any case.
    pub extension: Option<&'a str>,
    /// What it is probably written in.
    pub language: Option<Tag>,
    /// The video's pictures in a second: MicroDVD counts those.
    pub frame_rate: Option<f64>,
}

/// What to make of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// In which format.
    pub target: Target,
    /// How much later everything is shown, in milliseconds. Cues that would end before the film begins are dropped.
    pub offset_ms: i64,
    /// Only what is seen at some time of these, after the offset, at the times it has in the film.
    pub window_ms: Option<Range<u64>>,
}

/// A format that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// WebVTT, for browsers and HLS.
    #[default]
    WebVtt,
    /// SubRip, for everything else.
    Srt,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The file in the target's format, in UTF-8 without a mark.
    pub text: String,
    /// What it was.
    pub format: Format,
    /// What it was written in (WHATWG Encoding's name).
    pub encoding: &'static str,
    /// What speaks for that.
    pub evidence: Evidence,
    /// How many cues there are now.
    pub cues: usize,
}

/// Converts a subtitle. WebVTT that this has written stays what it is.
pub fn convert(bytes: &[u8], hint: &Hint<'_>, options: &Options) -> Result<Converted, SubtitleError> {
    if bytes.len() > SUBTITLE_BYTES_MAX {
        return Err(SubtitleError::TooLong);
    }
    if let Some(pictures) = Format::of_pictures(bytes) {
        return Err(SubtitleError::Pictures(pictures));
    }
    let decoded = charset::decode(bytes, hint.language);
    let format = recognise(&decoded.text, hint).ok_or(SubtitleError::Unknown)?;
    let mut document = read(&decoded.text, format, hint)?;
    if options.offset_ms != 0 {
        document.shift(options.offset_ms);
    }
    if let Some(window_ms) = &options.window_ms {
        document.crop(window_ms.clone());
    }
    let text = document.write(options.target)?;
    let (encoding, evidence) = (decoded.encoding, decoded.evidence);
    Ok(Converted { text, format, encoding, evidence, cues: document.cues.len() })
}

/// Tells a text's format by the first line that only one of them has, else by its extension.
pub fn recognise(text: &str, hint: &Hint<'_>) -> Option<Format> {
    if vtt::is_vtt(text) {
        return Some(Format::WebVtt);
    }
    let first = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
    let begins = |word: &str| first.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    match () {
        () if begins("<sami") => return Some(Format::Sami),
        () if begins("<?xml") || begins("<tt") => return Some(Format::Ttml),
        () if begins("# VobSub index") => return Some(Format::VobSub),
        () if microdvd::is_microdvd(text) => return Some(Format::MicroDvd),
        () => {}
    }
    let its_line = |line: &str| match () {
        () if time::times(line).is_some() => Some(Format::Srt),
        () if ass::is_its(line) => Some(Format::Ass),
        () if subviewer::is_its(line) => Some(Format::SubViewer),
        () => None,
    };
    srt::lines(text).find_map(its_line).or_else(|| hint.extension.and_then(Format::from_extension))
}

/// Reads a text's cues: in order of time, each ending after it begins.
pub fn read(text: &str, format: Format, hint: &Hint<'_>) -> Result<Document, SubtitleError> {
    let document = match format {
        Format::Srt => srt::read(text)?,
        Format::Ass => ass::read(text)?,
        Format::WebVtt => vtt::read(text)?,
        Format::MicroDvd => microdvd::read(text, hint.frame_rate)?,
        Format::SubViewer => subviewer::read(text)?,
        Format::Sami => sami::read(text, hint.language)?,
        Format::Ttml => return Err(SubtitleError::Unread(format)),
        Format::VobSub | Format::Pgs => return Err(SubtitleError::Pictures(format)),
    };
    Ok(document.settle())
}

impl Document {
    /// The document as a file; it fails if that would be longer than
    /// [`SUBTITLE_WRITTEN_BYTES_MAX`](crate::limits::SUBTITLE_WRITTEN_BYTES_MAX).
    pub fn write(&self, target: Target) -> Result<String, SubtitleError> {
        match target {
            Target::WebVtt => write::vtt(self),
            Target::Srt => write::srt(self),
        }
    }
}

impl Format {
    /// By a name's extension without the dot, in any case. `.sub` and `.txt` may be several and are none.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "srt" => Self::Srt,
            "ass" | "ssa" => Self::Ass,
            "vtt" | "webvtt" => Self::WebVtt,
            "sbv" => Self::SubViewer,
            "smi" | "sami" => Self::Sami,
            "ttml" | "dfxp" => Self::Ttml,
            "idx" => Self::VobSub,
            "sup" => Self::Pgs,
            _ => return None,
        })
    }

    /// By the first bytes of what isn't text.
    fn of_pictures(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // A packet's start: "PG" and a time.
            [b'P', b'G', ..] if bytes.get(10).is_some_and(|&kind| kind >= 0x80 || kind == 0x16) => {
                Some(Self::Pgs)
            }
            // A pack header of an MPEG program stream (ISO 13818-1, section 2.5.3.3).
            [0, 0, 1, 0xba, ..] => Some(Self::VobSub),
            _ => None,
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Srt => "SubRip",
            Self::Ass => "SubStation Alpha",
            Self::WebVtt => "WebVTT",
            Self::MicroDvd => "MicroDVD",
            Self::SubViewer => "SubViewer",
            Self::Sami => "SAMI",
            Self::Ttml => "TTML",
            Self::VobSub => "VobSub",
            Self::Pgs => "PGS",
        })
    }
}
