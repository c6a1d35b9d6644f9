//! Indexes of OpenDML: a super index among a stream's headers (`indx`), and the standard indexes that it names (`ix##`).

use super::super::index::Point;
use super::chunk::{u16_at, u32_at, u64_at};
use super::header::Stream;
use crate::limits::AVI_STANDARD_INDEXES_MAX;

/// `bIndexType`
const OF_INDEXES: u8 = 0;
const OF_CHUNKS: u8 = 1;

/// Both kinds have a head of this length: longs per entry, subtype, type, entries in use, chunk id, and three more longs.
const HEAD_BYTES: usize = 24;

/// A chunk's name and length, in front of what it holds. Standard indexes point behind it.
const CHUNK_HEADER_BYTES: u64 = 8;

/// An entry of a super index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StandardIndex {
    /// Of the chunk in the file.
    pub(super) offset: u64,
    /// Of the chunk, with its header.
    pub(super) bytes: u32,
    /// In the stream's frames.
    pub(super) duration: u32,
}

/// The standard indexes that a super index names. What isn't one names none: a single index that is among the headers belongs to
/// files that have an `idx1` as well.
pub(super) fn super_index(body: &[u8]) -> Vec<StandardIndex> {
    const LONGS_AN_ENTRY: u16 = 4;
    let Some(entries) = entries(body, OF_INDEXES, LONGS_AN_ENTRY) else { return Vec::new() };
    let entry = |entry: &[u8]| {
        Some(StandardIndex {
            offset: u64_at(entry, 0)?,
            bytes: u32_at(entry, 8)?,
            duration: u32_at(entry, 12)?,
        })
    };
    entries.filter_map(entry).take(AVI_STANDARD_INDEXES_MAX).collect()
}

/// Adds the key frames of a standard index, a whole chunk, whose first frame has that number. How many frames it is of.
pub(super) fn points(chunk: &[u8], stream: &Stream, first: u64, length: u64, points: &mut Vec<Point>) -> u64 {
    const LONGS_AN_ENTRY: u16 = 2;
    const NO_KEY_FRAME: u32 = 1 << 31;
    let body = chunk.get(CHUNK_HEADER_BYTES as usize..).unwrap_or_default();
    let Some(entries) = entries(body, OF_CHUNKS, LONGS_AN_ENTRY) else { return 0 };
    let Some(base) = u64_at(body, 12) else { return 0 };
    let mut frame = first;
    for entry in entries {
        let (Some(offset), Some(size)) = (u32_at(entry, 0), u32_at(entry, 4)) else { break };
        let offset = base.saturating_add(u64::from(offset)).saturating_sub(CHUNK_HEADER_BYTES);
        if let Some(micros) = stream.micros(frame).filter(|_| size & NO_KEY_FRAME == 0 && offset < length) {
            points.push(Point { micros, offset });
        }
        frame += 1;
    }
    frame - first
}

/// The entries in use, if the index is of that kind.
fn entries(body: &[u8], kind: u8, longs_an_entry: u16) -> Option<impl Iterator<Item = &[u8]>> {
    let is_kind = u16_at(body, 0)? == longs_an_entry && *body.get(3)? == kind;
    let in_use = usize::try_from(u32_at(body, 4)?).ok()?;
    let entries = body.get(HEAD_BYTES..)?.chunks_exact(4 * usize::from(longs_an_entry));
    is_kind.then_some(entries.take(in_use))
}
