//! Framing of what comes: messages out of bytes that were cut anywhere, and the payload under way.
//!
//! A message that lies whole in what was read is decoded where it lies. Only the two ends of a read, where
//! a message is cut, are gathered in a buffer of our own, which grows as bytes come and not as a length
//! promises.

use afflux_metainfo::BlockRef;

use super::requests::Asked;

/// A gathering buffer larger than this isn't kept.
const KEPT_BUFFER_BYTES_MAX: usize = 1024;

/// The payload under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    pub(super) block: BlockRef,
    pub(super) received: u32,
    /// The request that it answers; `None`: nobody wants it.
    pub(super) asked: Option<Asked>,
    /// Whether it was asked for once, if it was taken back since or not.
    pub(super) solicited: bool,
    /// Whether it was taken back while it came: too late, but nobody waits for it.
    pub(super) called_off: bool,
}

/// The receive side between two reads.
#[derive(Debug, Default)]
pub(super) struct Receive {
    /// The start of a message that isn't whole yet.
    pub(super) partial: Vec<u8>,
    /// Bytes of an unknown message still to be passed over.
    pub(super) skip: u32,
    pub(super) incoming: Option<Incoming>,
}

impl Receive {
    /// Passes over what belongs to an unknown message; returns how much that was.
    pub(super) fn pass_over(&mut self, available: usize) -> usize {
        let step = available.min(self.skip as usize);
        self.skip -= step as u32;
        step
    }

    /// Gathers until `wanted` bytes are there, or there are no more; returns how many were taken.
    pub(super) fn gather(&mut self, bytes: &[u8], wanted: usize) -> usize {
        let step = wanted.saturating_sub(self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..step]); // copy: the head or tail of a message cut by a read
        step
    }

    /// Gives back the buffer of a message that was dealt with.
    pub(super) fn reuse(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT_BUFFER_BYTES_MAX {
            buffer.clear();
            self.partial = buffer;
        }
    }
}
