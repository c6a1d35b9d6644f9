//! How a track's blocks are written, as far as those who read them need to know.

use std::time::Duration;

use thiserror::Error;

use super::id;
use crate::container::Codec;
use crate::container::ebml::{Elements, uint};
use crate::limits::{SCRIPT_BYTES_MAX, STRIPPED_BYTES_MAX};

/// The bit of `ContentEncodingScope` that stands for blocks (RFC 9559, section 5.1.4.1.31.3).
const SCOPE_BLOCKS: u64 = 1;

/// Why a track's blocks can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is none of that number.
    #[error("the file has no such track")]
    NoSuchTrack,
    /// Its blocks aren't text.
    #[error("the track has no text: only SubRip, SubStation Alpha and WebVTT can be read")]
    NotText,
    /// They are compressed with zlib.
    #[error(
        "the subtitles are compressed with zlib, which isn't read; remux them with `mkvmerge --compression -1:none`"
    )]
    Zlib,
    /// They are compressed in a way that nobody uses for text.
    #[error(
        "the subtitles are compressed in a way that isn't read; remux them with `mkvmerge --compression -1:none`"
    )]
    Compressed,
    /// They are encrypted.
    #[error("the subtitles are encrypted")]
    Encrypted,
}

/// `ContentEncodings`: what was done to the blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// These bytes were taken from the front of each (header stripping).
    Stripped(Vec<u8>),
    /// What we don't undo.
    Refused(Refusal),
}

impl Encoding {
    /// `None`: the blocks are as they were.
    pub(super) fn read(mut encodings: Elements<'_, '_>) -> Option<Self> {
        let mut read = None;
        while let Some((id, body)) = encodings.next() {
            if id != id::CONTENT_ENCODING {
                continue;
            }
            let one = Self::read_one(encodings.within(body));
            read = match (read, one) {
                // One upon the other: possible, and seen by nobody.
                (Some(_), Some(_)) => Some(Self::Refused(Refusal::Compressed)),
                (read, one) => read.or(one),
            };
        }
        read
    }

    fn read_one(mut elements: Elements<'_, '_>) -> Option<Self> {
        let (mut scope, mut is_encryption, mut algorithm, mut settings) = (SCOPE_BLOCKS, false, 0, &[][..]);
        while let Some((id, body)) = elements.next() {
            match id {
                id::CONTENT_ENCODING_SCOPE => scope = uint(body).unwrap_or(scope),
                id::CONTENT_ENCODING_TYPE => is_encryption = uint(body).is_some_and(|kind| kind != 0),
                id::CONTENT_COMPRESSION => {
                    let mut elements = elements.within(body);
                    while let Some((id, body)) = elements.next() {
                        match id {
                            id::CONTENT_COMP_ALGO => algorithm = uint(body).unwrap_or(algorithm),
                            id::CONTENT_COMP_SETTINGS => settings = body,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if scope & SCOPE_BLOCKS == 0 {
            return None;
        }
        Some(match algorithm {
            _ if is_encryption => Self::Refused(Refusal::Encrypted),
            // Section 5.1.4.1.31.6.
            0 => Self::Refused(Refusal::Zlib),
            3 if settings.len() <= STRIPPED_BYTES_MAX => Self::Stripped(settings.to_vec()),
            _ => Self::Refused(Refusal::Compressed),
        })
    }
}

/// How text is written in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It is all that is in them.
    Plain,
    /// WebVTT of Matroska: the text, and beside it a BlockAdditional of the settings, the cue's name and comments, a line each.
    BesideSettings,
    /// WebVTT of WebM: the cue's name, its settings and then the text, each from a new line on.
    AfterSettings,
}

impl Form {
    /// `None`: it is no text.
    pub(super) fn of(id: &str, codec: &Codec) -> Option<Self> {
        match codec {
            Codec::Srt | Codec::Ass => Some(Self::Plain),
            Codec::WebVtt if id.starts_with("D_") => Some(Self::AfterSettings),
            Codec::WebVtt => Some(Self::BesideSettings),
            _ => None,
        }
    }
}

/// How the blocks of one track are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) number: u64,
    /// `None`: they are no text.
    pub(super) form: Option<Form>,
    /// `DefaultDuration`.
    pub(super) duration: Option<Duration>,
    pub(super) encoding: Option<Encoding>,
    /// `CodecPrivate` of text: the head of a script of SubStation Alpha, or of WebVTT.
    pub(super) script: Vec<u8>,
}

impl Coding {
    pub(super) fn new(
        number: u64,
        form: Option<Form>,
        duration_nanos: Option<u64>,
        encoding: Option<Encoding>,
        private: &[u8],
    ) -> Self {
        let is_script = form.is_some() && private.len() <= SCRIPT_BYTES_MAX;
        Self {
            number,
            form,
            duration: duration_nanos.filter(|&nanos| nanos != 0).map(Duration::from_nanos),
            encoding,
            script: if is_script { private.to_vec() } else { Vec::new() },
        }
    }

    /// The form of their text, and what was taken from the front of each.
    pub(super) fn text(&self) -> Result<(Form, Vec<u8>), Refusal> {
        let form = self.form.ok_or(Refusal::NotText)?;
        match &self.encoding {
            None => Ok((form, Vec::new())),
            Some(Encoding::Stripped(bytes)) => Ok((form, bytes.clone())),
            Some(Encoding::Refused(refusal)) => Err(*refusal),
        }
    }
}
