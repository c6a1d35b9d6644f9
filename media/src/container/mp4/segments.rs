//! Segment indexes (`sidx`, ISO 14496-12 section 8.16.3).

use std::num::NonZeroU32;

use super::super::index::Point;
use super::boxes::{Fields, column};
use super::timeline::micros;

/// One `sidx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentIndex {
    /// The track whose times it has.
    pub(super) track: u32,
    /// Where what it is of can be begun with.
    pub(super) points: Vec<Point>,
    /// Where there are further indexes, of parts of the same.
    pub(super) nested: Vec<u64>,
    /// Where what it is of ends in the file.
    pub(super) end: u64,
    /// And in time.
    pub(super) end_micros: u64,
}

/// One row: a segment, or an index of several.
struct Reference {
    is_index: bool,
    bytes: u64,
    ticks: u64,
    /// From the segment's start to its key frame in ticks, if it says that it has one.
    key_ticks: Option<u64>,
}

impl Reference {
    fn read(row: &[u8; 12]) -> Self {
        let (first, access) = (column(row, 0), column(row, 2));
        Self {
            is_index: first >> 31 == 1,
            bytes: (first & 0x7fff_ffff).into(),
            ticks: column(row, 1).into(),
            // It begins with one, or has one of the kinds that a player can begin with.
            key_ticks: (access >> 31 == 1 || matches!(access >> 28 & 7, 1..=3))
                .then_some((access & 0x0fff_ffff).into()),
        }
    }
}

impl SegmentIndex {
    /// Of the content of a `sidx` and where the box ends, from where its references count.
    pub(super) fn parse(content: &[u8], box_end: u64) -> Option<Self> {
        let mut fields = Fields(content);
        let (version, _) = fields.full()?;
        let (track, timescale) = (fields.u32()?, NonZeroU32::new(fields.u32()?)?);
        let mut ticks = fields.word(version != 0)?;
        let mut at = box_end.checked_add(fields.word(version != 0)?)?;
        fields.skip(2)?;
        let count = fields.u16()?;
        let rows = fields.0.as_chunks().0.iter().take(count.into()).map(Reference::read);
        // Some writers leave it unsaid everywhere; then each segment begins with a key frame, as a film cut in segments has it.
        let is_silent = rows.clone().all(|reference| reference.key_ticks.is_none());
        let mut index = Self { track, points: Vec::new(), nested: Vec::new(), end: at, end_micros: 0 };
        for reference in rows {
            let key_ticks = if is_silent { Some(0) } else { reference.key_ticks };
            match key_ticks {
                _ if reference.is_index => index.nested.push(at),
                Some(key_ticks) => {
                    let micros = micros(ticks.saturating_add(key_ticks), timescale);
                    index.points.push(Point { micros, offset: at });
                }
                None => {}
            }
            at = at.checked_add(reference.bytes)?;
            ticks = ticks.saturating_add(reference.ticks);
        }
        index.end = at;
        index.end_micros = micros(ticks, timescale);
        Some(index)
    }
}
