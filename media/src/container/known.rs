//! What of a file was given to an inspection so far.

use std::collections::BTreeMap;
use std::ops::Range;

use super::inspect::Halt;

/// Parts of a file, by where they begin; none overlaps another's start.
#[derive(Debug)]
pub(super) struct Known {
    length: u64,
    parts: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

impl Known {
    pub(super) fn new(length: u64) -> Self {
        Self { length, parts: BTreeMap::new(), bytes: 0 }
    }

    /// Bytes of the file in all.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, offset: u64, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        if let Some(old) = self.parts.insert(offset, bytes) {
            self.bytes -= old.len();
        }
    }

    /// The bytes of a range, whole; [`Halt::Missing`] names it if it has to be read first, [`Halt::Truncated`] says that the file
    /// ends before it.
    pub(super) fn bytes(&self, range: Range<u64>) -> Result<&[u8], Halt> {
        if range.end > self.length || range.start > range.end {
            return Err(Halt::Truncated);
        }
        let part = self.parts.range(..=range.start).next_back();
        part.and_then(|(&start, part)| {
            let from = usize::try_from(range.start - start).ok()?;
            let to = usize::try_from(range.end - start).ok()?;
            part.get(from..to)
        })
        .ok_or(Halt::Missing(range))
    }

    /// The same, but as far as the file goes.
    pub(super) fn bytes_up_to(&self, range: Range<u64>) -> Result<&[u8], Halt> {
        self.bytes(range.start.min(self.length)..range.end.min(self.length))
    }
}
