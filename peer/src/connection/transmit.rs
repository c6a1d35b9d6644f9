//! What waits to be sent: control messages gathered in one buffer, payload in shared segments between them.

use std::collections::VecDeque;
use std::io::IoSlice;

use afflux_metainfo::BlockRef;
use bytes::{Buf, Bytes, BytesMut};

use crate::wire::Message;

/// A control buffer larger than this isn't kept by a connection that has nothing to send.
const IDLE_BUFFER_BYTES_MAX: usize = 4 * 1024;

/// What a segment is, for the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Metadata too.
    Control,
    Payload,
}

/// A run of bytes in front of the control buffer.
#[derive(Debug)]
struct Segment {
    bytes: Bytes,
    kind: Kind,
    /// With the last byte of this segment the last of a block leaves.
    ends: Option<BlockRef>,
}

/// Bytes that left, by what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) control: u64,
    pub(super) payload: u64,
}

/// The send buffer.
#[derive(Debug, Default)]
pub(super) struct Transmit {
    segments: VecDeque<Segment>,
    /// Control messages behind all segments: all requests and haves of one turn gather here.
    tail: BytesMut,
    segment_bytes: usize,
    payload_bytes: usize,
    /// Scratch space of `push_block`, kept so that a block costs no allocation.
    gathered: Vec<Bytes>,
}

impl Transmit {
    #[inline]
    pub(super) fn push(&mut self, message: &Message<'_>) {
        message.encode(&mut self.tail);
    }

    /// An extension message with data behind its dictionary.
    pub(super) fn push_extended(&mut self, id: u8, head: &[u8], data: Bytes) {
        Message::encode_extended_head(id, head, data.len(), &mut self.tail);
        self.seal_tail();
        self.push_segment(data, Kind::Control);
    }

    /// A block: its header, and its payload as it is. `false`, and nothing is sent, if the payload isn't as
    /// long as the block: the stream would never find back to its messages.
    pub(super) fn push_block(&mut self, block: BlockRef, payload: impl IntoIterator<Item = Bytes>) -> bool {
        self.gathered.clear();
        self.gathered.extend(payload.into_iter().filter(|bytes| !bytes.is_empty()));
        let length: usize = self.gathered.iter().map(Bytes::len).sum();
        if length != block.length as usize || length == 0 {
            return false;
        }
        self.push(&Message::Piece(block));
        self.seal_tail();
        self.payload_bytes += length;
        let mut gathered = std::mem::take(&mut self.gathered);
        for bytes in gathered.drain(..) {
            self.push_segment(bytes, Kind::Payload);
        }
        self.gathered = gathered;
        if let Some(last) = self.segments.back_mut() {
            last.ends = Some(block);
        }
        true
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.segment_bytes + self.tail.len()
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Bytes that wait and aren't payload: what the peer's own messages have made us say.
    pub(super) fn answer_bytes(&self) -> usize {
        self.pending_bytes() - self.payload_bytes
    }

    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = std::iter::once(&self.tail[..]).filter(|tail| !tail.is_empty());
        let all = self.segments.iter().map(|segment| &segment.bytes[..]).chain(tail);
        let mut filled = 0;
        for (slot, bytes) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Drops `length` bytes from the front; tells of each block that is through.
    pub(super) fn advance(&mut self, mut length: usize, mut sent: impl FnMut(BlockRef)) -> Left {
        let mut left = Left::default();
        while let Some(front) = self.segments.front_mut() {
            if length == 0 {
                break;
            }
            let step = length.min(front.bytes.len());
            front.bytes.advance(step);
            length -= step;
            self.segment_bytes -= step;
            match front.kind {
                Kind::Payload => {
                    self.payload_bytes -= step;
                    left.payload += step as u64;
                }
                Kind::Control => left.control += step as u64,
            }
            if front.bytes.is_empty() {
                front.ends.map(&mut sent);
                self.segments.pop_front();
            }
        }
        let step = length.min(self.tail.len());
        self.tail.advance(step);
        left.control += step as u64;
        if self.tail.is_empty() && self.tail.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.tail = BytesMut::new();
        }
        left
    }

    fn seal_tail(&mut self) {
        let bytes = self.tail.split().freeze();
        self.push_segment(bytes, Kind::Control);
    }

    fn push_segment(&mut self, bytes: Bytes, kind: Kind) {
        self.segment_bytes += bytes.len();
        self.segments.push_back(Segment { bytes, kind, ends: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afflux_metainfo::PieceIndex;

    const BLOCK: BlockRef = BlockRef { index: PieceIndex(1), begin: 0, length: 6 };

    fn pending(transmit: &Transmit) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = transmit.slices(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn bytes_leave_in_order_whatever_the_steps_and_a_block_is_through_once() {
        for step in 1..40 {
            let mut transmit = Transmit::default();
            transmit.push(&Message::Unchoke);
            assert!(transmit.push_block(BLOCK, ["abc", "", "def"].map(Bytes::from)));
            transmit.push(&Message::KeepAlive);
            let all = pending(&transmit);
            assert_eq!(all, b"\0\0\0\x01\x01\0\0\0\x0f\x07\0\0\0\x01\0\0\0\0abcdef\0\0\0\0");
            let (mut gone, mut sent, mut total) = (0, Vec::new(), Left::default());
            while transmit.pending_bytes() > 0 {
                let length = step.min(transmit.pending_bytes());
                let left = transmit.advance(length, |block| sent.push(block));
                (total.control, total.payload) = (total.control + left.control, total.payload + left.payload);
                gone += length;
                assert_eq!(pending(&transmit), all[gone..]);
                assert_eq!(sent.is_empty(), gone < 24);
            }
            assert_eq!((sent, total), (vec![BLOCK], Left { control: 22, payload: 6 }));
            assert_eq!((transmit.payload_bytes(), transmit.answer_bytes()), (0, 0));
        }
    }

    #[test]
    fn payload_of_another_length_is_not_sent() {
        let mut transmit = Transmit::default();
        assert!(!transmit.push_block(BLOCK, [Bytes::from_static(b"abc")]));
        assert!(!transmit.push_block(BLOCK, []));
        assert_eq!(transmit.pending_bytes(), 0);
    }
}
