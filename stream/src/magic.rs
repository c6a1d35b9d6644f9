//! Whether a file is what its name says, by its first bytes; and whether a torrent as a whole looks like a trap.
//!
//! [`judge_head`] needs [`HEAD_BYTES`], which the first piece has. It is no parser: it tells media from what is never media, and
//! where a name says nothing it says nothing. [`judge_torrent`] looks at paths and sizes only. Archives are never unpacked.
//!
//! Not here: what a single path looks like (`verdict`), what containers say inside (`media`), who acts on it.

use crate::verdict::Verdict;

mod signatures;
#[cfg(test)]
mod tests;
mod torrent;

use signatures::{Never, Shape};

pub use torrent::{FileFacts, TorrentWarning, judge_torrent};

/// How many of a file's first bytes are needed; of a shorter file, all. Holds the headers of all formats, three packets of a
/// transport stream, and what text is told by.
pub const HEAD_BYTES: usize = 1024;

/// What the first bytes of a file say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadVerdict {
    /// They are what the name says.
    Matches,
    /// The name says nothing that could be checked, or the bytes are silent (a file may begin with zeros while it is written).
    NoOpinion,
    /// They aren't.
    Differs(HeadReason),
}

impl HeadVerdict {
    /// What to think of the file where `policy` rules.
    pub fn verdict(self, policy: ContentPolicy) -> Verdict {
        match (self, policy) {
            (HeadVerdict::Matches | HeadVerdict::NoOpinion, _) => Verdict::Ok,
            // What can't be told may be a codec of tomorrow, and a film in another container than its name says plays all the same.
            (HeadVerdict::Differs(HeadReason::Unknown | HeadReason::OtherMedia), _)
            | (_, ContentPolicy::Warn) => Verdict::Warn,
            (HeadVerdict::Differs(_), ContentPolicy::Block) => Verdict::Block,
        }
    }
}

/// What is done about a file that isn't what its name says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentPolicy {
    /// The session stops, and says why.
    #[default]
    Block,
    /// It goes on, and says so.
    Warn,
}

/// In what way a file isn't what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeadReason {
    /// A program, a library or a shortcut that starts one.
    Executable,
    /// A script.
    Script,
    /// An archive or a packed file.
    Archive,
    /// A document or a web page.
    Document,
    /// Media that a player buys a licence for, or is sent to a web page by.
    Drm,
    /// Media of another kind than the name says.
    OtherMedia,
    /// Nothing that is known.
    Unknown,
}

impl HeadReason {
    /// All there are.
    pub const ALL: [HeadReason; 7] = [
        HeadReason::Executable,
        HeadReason::Script,
        HeadReason::Archive,
        HeadReason::Document,
        HeadReason::Drm,
        HeadReason::OtherMedia,
        HeadReason::Unknown,
    ];

    /// The code of the HTTP API; never changes.
    pub fn code(self) -> &'static str {
        match self {
            HeadReason::Executable => "head_executable",
            HeadReason::Script => "head_script",
            HeadReason::Archive => "head_archive",
            HeadReason::Document => "head_document",
            HeadReason::Drm => "head_drm",
            HeadReason::OtherMedia => "head_other_media",
            HeadReason::Unknown => "head_unknown",
        }
    }

    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            HeadReason::Executable => {
                "this file is a program with a film's name: don't open it, and try another release"
            }
            HeadReason::Script => {
                "this file is a script with a film's name: don't open it, and try another release"
            }
            HeadReason::Archive => {
                "this file is an archive with a film's name, and can't be played: try another release"
            }
            HeadReason::Document => {
                "this file is a document with a film's name, and can't be played: try another release"
            }
            HeadReason::Drm => {
                "this file asks for a licence before it plays, as fakes do: try another release"
            }
            HeadReason::OtherMedia => {
                "this file is media of another kind than its name says: it may play all the same"
            }
            HeadReason::Unknown => {
                "this file doesn't begin as its name says, and may not play: try another release"
            }
        }
    }
}

/// Judges the file called `name` by its first bytes. Of a `head` shorter than [`HEAD_BYTES`] it is taken that the file ends there.
pub fn judge_head(name: &str, head: &[u8]) -> HeadVerdict {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let Some(shapes) = signatures::shapes_of(&crate::media_type::extension(name)) else {
        return HeadVerdict::NoOpinion;
    };
    if head.iter().all(|&byte| byte == 0) {
        return HeadVerdict::NoOpinion;
    }
    let drm = signatures::has_drm(head);
    if !drm && shapes.iter().any(|shape| shape.fits(head)) {
        return HeadVerdict::Matches;
    }
    let reason = match Never::of(head) {
        _ if drm => HeadReason::Drm,
        Some(Never::Executable) => HeadReason::Executable,
        Some(Never::Script) => HeadReason::Script,
        Some(Never::Archive) => HeadReason::Archive,
        Some(Never::Document) => HeadReason::Document,
        None if Shape::MEDIA.iter().any(|shape| shape.fits(head)) => HeadReason::OtherMedia,
        None => HeadReason::Unknown,
    };
    HeadVerdict::Differs(reason)
}
