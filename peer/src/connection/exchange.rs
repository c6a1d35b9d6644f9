//! The exchange of metadata (BEP 9), seen from one connection: what we asked, what we serve, and how often.

use std::time::Instant;

use afflux_metainfo::limits::METADATA_BYTES_MAX;
use bytes::Bytes;

use crate::limits::{
    METADATA_ANSWER_MAX, METADATA_OUTSTANDING_MAX, METADATA_PIECE_BYTES, METADATA_REJECTS_MAX,
    METADATA_SERVED_TIMES_MAX,
};
use crate::metadata::{piece_count, piece_length};
use crate::violation::Violation;

/// Both sides of the exchange.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    info: Option<Bytes>,
    /// Pieces that we asked, and when, oldest first.
    asked: Vec<(u32, Instant)>,
    /// The size that this peer has committed itself to.
    agreed_size: Option<u32>,
    served: u32,
    rejected: u32,
}

impl Exchange {
    pub(super) fn set_info(&mut self, info: Bytes) {
        self.info = Some(info);
    }

    /// Notes a request of ours; `false` if there are too many.
    pub(super) fn ask(&mut self, piece: u32, now: Instant) -> bool {
        let fits = self.asked.len() < METADATA_OUTSTANDING_MAX;
        if fits {
            self.asked.push((piece, now));
        }
        fits
    }

    /// An answer came, or is given up; says whether it was asked.
    pub(super) fn take_asked(&mut self, piece: u32) -> bool {
        let place = self.asked.iter().position(|&(asked, _)| asked == piece);
        place.map(|place| self.asked.remove(place)).is_some()
    }

    /// The oldest request, once it has waited too long.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<u32> {
        let &(piece, at) = self.asked.first()?;
        (at + METADATA_ANSWER_MAX <= now && self.take_asked(piece)).then_some(piece)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.asked.first().map(|&(_, at)| at + METADATA_ANSWER_MAX)
    }

    /// The peer says how large the metadata is: it may say so only once.
    pub(super) fn agree_size(&mut self, size: u32) -> Result<(), Violation> {
        if *self.agreed_size.get_or_insert(size) == size { Ok(()) } else { Err(Violation::MetadataSize) }
    }

    /// Judges data that we asked: its size is agreed, and the piece has as many bytes as it must have.
    pub(super) fn check_data(&mut self, piece: u32, total_size: u32, length: usize) -> Result<(), Violation> {
        if total_size as usize > METADATA_BYTES_MAX {
            return Err(Violation::MetadataSize);
        }
        self.agree_size(total_size)?;
        let expected = piece_length(total_size, piece);
        if expected.is_some_and(|expected| expected as usize == length) {
            Ok(())
        } else {
            Err(Violation::MetadataSize)
        }
    }

    /// What a request of the peer gets: the piece and the whole's size, or `None` for a reject.
    pub(super) fn serve(&mut self, piece: u32, crowded: bool) -> Result<Option<(Bytes, u32)>, Violation> {
        let answer = self.info.as_ref().filter(|_| !crowded).and_then(|info| {
            let size = u32::try_from(info.len()).ok()?;
            let length = piece_length(size, piece)? as usize;
            let start = (piece * METADATA_PIECE_BYTES) as usize;
            let in_bounds = self.served < piece_count(size).saturating_mul(METADATA_SERVED_TIMES_MAX);
            in_bounds.then(|| (info.slice(start..start + length), size))
        });
        let counter = if answer.is_some() { &mut self.served } else { &mut self.rejected };
        *counter += 1;
        if self.rejected > METADATA_REJECTS_MAX { Err(Violation::MetadataFlood) } else { Ok(answer) }
    }
}
