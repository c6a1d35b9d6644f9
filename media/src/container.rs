//! Containers: what a film's file says about itself, read from as few of its bytes as it takes.
//!
//! [`Inspection`] is a machine: it names the bytes that it needs, is given them, and ends with [`Facts`]. So it works on a
//! file of which only parts are there, and asks for those first. [`Seek`] is another: it finds a time in a file that has no index.
//! [`TextTracks`] reads the subtitles in a file, as its parts come.
//!
//! What it doesn't read may be a [`Foreign`] container, which [`ffprobe`] has its say about.
//!
//! Not here: decoding, and anything about what isn't a film.

mod avi;
mod ebml;
pub mod facts;
pub mod ffprobe;
mod foreign;
pub mod index;
pub mod inspect;
mod known;
pub mod matroska;
mod mp4;
pub mod parameter_sets;
pub mod search;
mod tail;
#[cfg(test)]
mod testing;
pub mod text_tracks;
mod ts;

pub use facts::{Audio, Codec, Container, Facts, Hdr, Track, TrackKind, Video};
pub use foreign::Foreign;
pub use index::{Index, Point};
pub use inspect::{Fault, Inspection, Step};
pub(crate) use mp4::boxes::{Boxes, Fields};
pub use search::{Found, Search, Searchable, Seek};
pub use text_tracks::{Refusal, TextForm, TextOptions, TextTrack, TextTracks};

use self::inspect::{Halt, Parser};
use self::known::Known;

/// As much of a file as tells its container: three packets of a transport stream, and the first boxes or elements of others.
pub const HEAD_BYTES: u64 = 1024;

/// The rules that a file goes by, as its first bytes say; its name isn't asked.
fn recognise(file: &Known) -> Result<Box<dyn Parser + Send>, Halt> {
    let head = file.bytes_up_to(0..HEAD_BYTES)?;
    if mp4::begins(head) {
        return Ok(Box::new(mp4::Mp4::new()));
    }
    if head.starts_with(&ebml::MAGIC) {
        return Ok(Box::<matroska::Matroska>::default());
    }
    if avi::begins(head) {
        return Ok(Box::new(avi::Avi::default()));
    }
    // Last, since three bytes at their places are less than what others begin with.
    if let Some(stream) = ts::begins(head) {
        return Ok(Box::new(stream));
    }
    Err(Fault::Unknown.into())
}

/// Marks the first pictures and the first sound, which players choose in containers that have no word for it.
fn mark_defaults(tracks: &mut [Track]) {
    let is_video: fn(&TrackKind) -> bool = |kind| matches!(kind, TrackKind::Video(_));
    let is_audio: fn(&TrackKind) -> bool = |kind| matches!(kind, TrackKind::Audio(_));
    for is_kind in [is_video, is_audio] {
        if let Some(track) = tracks.iter_mut().find(|track| is_kind(&track.kind)) {
            track.is_default = true;
        }
    }
}
