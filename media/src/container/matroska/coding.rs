//! How a track's blocks are written, as far as those who read them need to know.

use std::time::Duration;

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::id;
use crate::container::ebml::{Elements, uint};
use crate::container::{Codec, Refusal};
use crate::limits::{SCRIPT_BYTES_MAX, STRIPPED_BYTES_MAX, SUBTITLE_BLOCK_BYTES_MAX};

/// The bit of `ContentEncodingScope` that stands for blocks (RFC 9559, section 5.1.4.1.31.3).
const SCOPE_BLOCKS: u64 = 1;

/// How a block becomes what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// It is that.
    Nothing,
    /// These bytes were taken from the front of each (header stripping).
    Stripped(Vec<u8>),
    /// It is compressed with zlib, as mkvmerge did with subtitles unless it was told not to.
    Zlib,
}

impl Undo {
    /// What a payload was. If it can't be undone, or is more than a text may be: how many bytes it took to see that.
    pub(super) fn apply(&self, payload: &[u8]) -> Result<Vec<u8>, usize> {
        match self {
            Self::Nothing => Ok(payload.to_vec()),
            Self::Stripped(bytes) => Ok([&bytes[..], payload].concat()),
            Self::Zlib => decompress_to_vec_zlib_with_limit(payload, SUBTITLE_BLOCK_BYTES_MAX as usize)
                .map_err(|failed| failed.output.len()),
        }
    }
}

/// `ContentEncodings`: what was done to the blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// What we undo.
    Known(Undo),
    /// What we don't.
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
            0 => Self::Known(Undo::Zlib),
            3 if settings.len() <= STRIPPED_BYTES_MAX => Self::Known(Undo::Stripped(settings.to_vec())),
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

    /// The form of their text, and what is to be undone.
    pub(super) fn text(&self) -> Result<(Form, Undo), Refusal> {
        let form = self.form.ok_or_else(|| Refusal::Unread("no text".to_owned()))?;
        match &self.encoding {
            None => Ok((form, Undo::Nothing)),
            Some(Encoding::Known(undo)) => Ok((form, undo.clone())),
            Some(Encoding::Refused(refusal)) => Err(refusal.clone()),
        }
    }
}
