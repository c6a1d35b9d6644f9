//! What happened in a run, event by event.
//!
//! Every entry is one line of text (its `Display`) and one short binary record. The outcome's `log_hash` is taken of the records,
//! which costs a fraction of formatting the lines; they say the same.
//!
//! # Lines
//! `<seconds with nine digits> <peer> <what> [<other peer>] [<figures>]`, peers by their number in order of arrival:
//!
//! ```text
//! 12.500000000 4 request 1 piece 17 begin 16384
//! 12.731250000 4 block 1 piece 17 begin 16384
//! ```

use std::fmt;
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, since the start.
    pub at: Duration,
    /// To whom: the place in [`Outcome::peers`](crate::Outcome).
    pub peer: u32,
    /// What.
    pub what: What,
}

/// What happened to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It came.
    Join,
    /// It went.
    Part,
    /// A connection that it dialled is open.
    Connect {
        /// With whom.
        other: u32,
    },
    /// A connection ended.
    Disconnect {
        /// With whom.
        other: u32,
    },
    /// It serves the other from now on.
    Unchoke {
        /// Whom.
        other: u32,
    },
    /// It serves the other no more.
    Choke {
        /// Whom.
        other: u32,
    },
    /// It asked for a block.
    Request {
        /// Whom.
        other: u32,
        /// The piece.
        piece: u32,
        /// Where in it.
        begin: u32,
    },
    /// It took a request back.
    Cancel {
        /// From whom.
        other: u32,
        /// The piece.
        piece: u32,
        /// Where in it.
        begin: u32,
    },
    /// A block came.
    Block {
        /// From whom.
        other: u32,
        /// The piece.
        piece: u32,
        /// Where in it.
        begin: u32,
    },
    /// A block came that was there already.
    Duplicate {
        /// From whom.
        other: u32,
        /// The piece.
        piece: u32,
        /// Where in it.
        begin: u32,
    },
    /// A request ended without its block: rejected, lapsed, or void by a choke.
    Returned {
        /// By whom.
        other: u32,
        /// The piece.
        piece: u32,
        /// Where in it.
        begin: u32,
    },
    /// A piece's hash was right.
    Verified {
        /// The piece.
        piece: u32,
    },
    /// A piece's hash was wrong.
    Failed {
        /// The piece.
        piece: u32,
    },
    /// A piece was lost before it was verified: the disk's fault.
    Unstored {
        /// The piece.
        piece: u32,
    },
    /// It has all pieces.
    Complete,
    /// Its player shows the first frame, or goes on after a seek or a stall.
    Play {
        /// The byte it plays.
        position: u64,
    },
    /// Its player ran dry.
    Stall {
        /// The byte it lacks.
        position: u64,
    },
    /// Its player jumped.
    Seek {
        /// To which byte.
        position: u64,
    },
    /// Its player came to the film's end.
    End,
}

/// Takes what happens, in the order of time.
pub trait Log {
    /// One thing happened.
    fn entry(&mut self, entry: &Entry);
}

/// Takes nothing down.
impl Log for () {
    fn entry(&mut self, _entry: &Entry) {}
}

impl What {
    /// The word in a line.
    fn word(&self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Part => "part",
            Self::Connect { .. } => "connect",
            Self::Disconnect { .. } => "disconnect",
            Self::Unchoke { .. } => "unchoke",
            Self::Choke { .. } => "choke",
            Self::Request { .. } => "request",
            Self::Cancel { .. } => "cancel",
            Self::Block { .. } => "block",
            Self::Duplicate { .. } => "duplicate",
            Self::Returned { .. } => "returned",
            Self::Verified { .. } => "verified",
            Self::Failed { .. } => "failed",
            Self::Unstored { .. } => "unstored",
            Self::Complete => "complete",
            Self::Play { .. } => "play",
            Self::Stall { .. } => "stall",
            Self::Seek { .. } => "seek",
            Self::End => "end",
        }
    }

    /// Its number in records, and its figures: three 32-bit words, those it hasn't being zero.
    fn record(&self) -> (u8, [u32; 3]) {
        let halves = |position: u64| [(position >> 32) as u32, position as u32, 0];
        match *self {
            Self::Join => (1, [0; 3]),
            Self::Part => (2, [0; 3]),
            Self::Connect { other } => (3, [other, 0, 0]),
            Self::Disconnect { other } => (4, [other, 0, 0]),
            Self::Unchoke { other } => (5, [other, 0, 0]),
            Self::Choke { other } => (6, [other, 0, 0]),
            Self::Request { other, piece, begin } => (7, [other, piece, begin]),
            Self::Cancel { other, piece, begin } => (8, [other, piece, begin]),
            Self::Block { other, piece, begin } => (9, [other, piece, begin]),
            Self::Duplicate { other, piece, begin } => (10, [other, piece, begin]),
            Self::Returned { other, piece, begin } => (11, [other, piece, begin]),
            Self::Verified { piece } => (12, [piece, 0, 0]),
            Self::Failed { piece } => (13, [piece, 0, 0]),
            Self::Unstored { piece } => (14, [piece, 0, 0]),
            Self::Complete => (15, [0; 3]),
            Self::Play { position } => (16, halves(position)),
            Self::Stall { position } => (17, halves(position)),
            Self::Seek { position } => (18, halves(position)),
            Self::End => (19, [0; 3]),
        }
    }
}

impl Entry {
    /// Length of a record.
    pub const RECORD_BYTES: usize = 25;

    /// The binary record: time in nanoseconds, peer, kind, three figures; all big-endian.
    pub fn to_record(&self) -> [u8; Self::RECORD_BYTES] {
        let mut record = [0; Self::RECORD_BYTES];
        let (kind, figures) = self.what.record();
        record[..8].copy_from_slice(&(self.at.as_nanos() as u64).to_be_bytes());
        record[8..12].copy_from_slice(&self.peer.to_be_bytes());
        record[12] = kind;
        for (place, figure) in record[13..].chunks_exact_mut(4).zip(figures) {
            place.copy_from_slice(&figure.to_be_bytes());
        }
        record
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09} {} {}", self.at.as_secs(), self.at.subsec_nanos(), self.peer, self.what.word())?;
        match self.what {
            What::Join | What::Part | What::Complete | What::End => Ok(()),
            What::Connect { other }
            | What::Disconnect { other }
            | What::Unchoke { other }
            | What::Choke { other } => write!(f, " {other}"),
            What::Request { other, piece, begin }
            | What::Cancel { other, piece, begin }
            | What::Block { other, piece, begin }
            | What::Duplicate { other, piece, begin }
            | What::Returned { other, piece, begin } => write!(f, " {other} piece {piece} begin {begin}"),
            What::Verified { piece } | What::Failed { piece } | What::Unstored { piece } => {
                write!(f, " piece {piece}")
            }
            What::Play { position } | What::Stall { position } | What::Seek { position } => {
                write!(f, " position {position}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_its_record_says() {
        let entry = Entry {
            at: Duration::from_millis(12_500),
            peer: 4,
            what: What::Request { other: 1, piece: 17, begin: 16_384 },
        };
        assert_eq!(entry.to_string(), "12.500000000 4 request 1 piece 17 begin 16384");
        let record = entry.to_record();
        assert_eq!(record[..8], 12_500_000_000_u64.to_be_bytes());
        assert_eq!(record[8..], [0, 0, 0, 4, 7, 0, 0, 0, 1, 0, 0, 0, 17, 0, 0, 64, 0]);
    }
}
