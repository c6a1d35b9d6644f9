//! The end of a file, read back from there until something in it says how long the film is.

use super::inspect::Halt;
use super::known::Known;
use crate::limits::TAIL_BYTES_MAX;

/// What is read first.
const FIRST_BYTES: u64 = 64 << 10;

/// As much of the end as was read so far.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Makes it twice as long, but no longer than what is between two offsets. Whether it has grown.
    pub(super) fn grow(&mut self, file: &Known, begin: u64, end: u64) -> Result<bool, Halt> {
        let known = self.bytes.len() as u64;
        let all = end.saturating_sub(begin).min(TAIL_BYTES_MAX);
        let length = (2 * known).max(FIRST_BYTES).min(all);
        if length <= known {
            return Ok(false);
        }
        let before = file.bytes(end - length..end - known)?;
        // copy: a sequence that crosses parts is found only in one piece; all copies together are twice what was read.
        self.bytes = [before, &self.bytes].concat();
        Ok(true)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
