//! The receive side of a link: one vectored read at a time, payload straight into its blocks.
//!
//! A read is laid out over what will probably come: the rest of the block under way, the next `piece`
//! header, the next block, and so on in the order of our requests. Where the guess holds, the socket has
//! written each byte where it stays. Where it doesn't (a `have` came between, blocks came out of order) the
//! rest of that read is copied, and counted.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::time::Instant;

use afflux_metainfo::{BLOCK_LENGTH, BlockRef};
use afflux_peer::{Connection, Event, Expect, Violation};
use afflux_storage::{BlockBuffer, Store};
use thiserror::Error;
use tokio::net::TcpStream;

use super::attempts::Kept;

/// Blocks laid out in one read: 256 KiB, about what a loopback socket holds when it's read at full speed.
const BLOCKS_PER_READ: usize = 16;
/// A `piece` message up to its payload (BEP 3): length, id, index, begin.
const HEADER_BYTES: usize = 13;
/// Room behind the last block, and all there is for a peer that owes us none: small messages by the dozen.
const TAIL_BYTES: usize = 4096;

/// Why a link can't go on reading.
#[derive(Debug, Error)]
pub(super) enum ReceiveError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The peer broke a rule.
    #[error("{0}")]
    Violation(#[from] Violation),
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// So many bytes.
    Bytes(usize),
    /// The peer closed its side.
    End,
    /// Nothing is there now.
    Empty,
    /// The connection takes nothing until some of what waits to be sent has left.
    Held,
}

/// A block that a read may fill.
#[derive(Debug)]
struct Target {
    block: BlockRef,
    buffer: BlockBuffer,
    /// Bytes of it that are in place.
    filled: usize,
}

/// One part of the layout of a read, in the order of the stream; block parts follow the order of the targets.
#[derive(Clone, Copy, Debug)]
enum Part {
    Header { nth: usize, length: usize },
    Block { nth: usize, length: usize },
    Tail { length: usize },
}

impl Part {
    fn length(self) -> usize {
        match self {
            Self::Header { length, .. } | Self::Block { length, .. } | Self::Tail { length } => length,
        }
    }
}

/// Where the bytes go that aren't laid out over a block.
struct Scratch {
    headers: [[u8; HEADER_BYTES]; BLOCKS_PER_READ],
    tail: [u8; TAIL_BYTES],
}

/// The receive side of one link. An idle peer's holds no buffer at all.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    targets: VecDeque<Target>,
    /// The block under way has nowhere to go, or the store didn't take it: another copy was quicker, or nobody wants it
    /// now.
    unplaced: Option<BlockRef>,
    /// Read already, but not yet taken by a connection that holds; at most one read.
    held: Vec<u8>,
    /// Blocks that the store took since the last report.
    pub(super) kept: Vec<Kept>,
    /// Bytes that were copied because a guess was wrong.
    pub(super) copied_bytes: u64,
}

/// What a read works on.
pub(super) struct Turn<'a> {
    pub(super) stream: &'a TcpStream,
    pub(super) connection: &'a mut Connection,
    pub(super) store: Option<&'a Store>,
    pub(super) events: &'a mut Vec<Event>,
    pub(super) now: Instant,
}

impl Receiver {
    /// Reads once, not much more than `allowance` bytes, and puts what comes where it belongs.
    pub(super) fn receive(&mut self, turn: &mut Turn<'_>, allowance: usize) -> Result<Outcome, ReceiveError> {
        if !self.held.is_empty() || turn.connection.expects() == Expect::Hold {
            let held = std::mem::take(&mut self.held);
            self.absorb(turn, &held)?;
            if !self.held.is_empty() || turn.connection.expects() == Expect::Hold {
                return Ok(Outcome::Held);
            }
        }
        self.aim(turn, allowance);
        let parts = self.layout(turn.connection, allowance);
        let mut scratch = Scratch { headers: [[0; HEADER_BYTES]; BLOCKS_PER_READ], tail: [0; TAIL_BYTES] };
        match self.read(turn.stream, &parts, &mut scratch) {
            Ok(0) => Ok(Outcome::End),
            Ok(count) => {
                self.place(turn, &parts, &scratch, count)?;
                Ok(Outcome::Bytes(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Outcome::Empty),
            Err(error) => Err(error.into()),
        }
    }

    /// The turn is over: gives back every buffer that nothing has come for. Another peer may be quicker, and its
    /// copy of a block would find no place while a link that only waits holds the block's memory.
    pub(super) fn rest(&mut self, store: Option<&Store>) {
        let Some(store) = store else { return };
        while let Some(at) = self.targets.iter().position(|target| target.filled == 0) {
            if let Some(target) = self.targets.remove(at) {
                store.put_back(target.block, target.buffer);
            }
        }
    }

    /// Gives every buffer back, the one of a block under way too: the link ends, or the peer has fallen silent in the
    /// middle of a block that others are to deliver now. What still comes of it is thrown away.
    pub(super) fn release(&mut self, store: Option<&Store>) {
        for target in self.targets.drain(..) {
            if let Some(store) = store {
                store.put_back(target.block, target.buffer);
            }
        }
    }

    /// Makes the targets those blocks that will probably come next, keeping buffers that are held already.
    fn aim(&mut self, turn: &Turn<'_>, allowance: usize) {
        let Some(store) = turn.store else { return };
        let most = (allowance / BLOCK_LENGTH as usize).clamp(1, BLOCKS_PER_READ);
        let mut kept = 0;
        let current = match turn.connection.expects() {
            Expect::Payload { block, received, wanted } => {
                let begun = self.targets.iter().position(|target| target.block == block);
                // A block without a place can't be continued, and what lies behind it can't be laid out.
                if !wanted || (received > 0 && begun.is_none()) {
                    self.release(turn.store);
                    return;
                }
                if let Some(target) = begun.and_then(|at| self.targets.remove(at)) {
                    self.targets.push_front(target);
                }
                Some(block)
            }
            _ => None,
        };
        for block in current.into_iter().chain(turn.connection.predicted()).take(most) {
            let held = (kept..self.targets.len()).find(|&at| self.targets[at].block == block);
            let target = match held {
                Some(at) if at == kept => {
                    kept += 1;
                    continue;
                }
                Some(at) => self.targets.remove(at),
                None => store.take_buffer(block).map(|buffer| Target { block, buffer, filled: 0 }),
            };
            let Some(target) = target else { break };
            self.targets.insert(kept, target);
            kept += 1;
        }
        for target in self.targets.drain(kept..) {
            store.put_back(target.block, target.buffer);
        }
    }

    /// What the next read is laid out over.
    fn layout(&self, connection: &Connection, allowance: usize) -> Vec<Part> {
        let mut parts = Vec::with_capacity(2 * self.targets.len() + 1);
        let mut left = allowance.max(1);
        let expects = connection.expects();
        // Another message is half here: nothing can be said of what comes behind it.
        let first_header = match (connection.header_bytes_left(), expects) {
            (Some(length), _) => length,
            (None, Expect::Payload { .. }) => HEADER_BYTES,
            (None, _) => return vec![Part::Tail { length: TAIL_BYTES.min(left) }],
        };
        for (nth, target) in self.targets.iter().enumerate() {
            let under_way =
                nth == 0 && matches!(expects, Expect::Payload { block, .. } if block == target.block);
            if !under_way {
                let length = if nth == 0 { first_header } else { HEADER_BYTES };
                parts.push(Part::Header { nth, length: length.min(HEADER_BYTES) });
            }
            let length = (target.block.length as usize - target.filled).min(left);
            left -= length;
            parts.push(Part::Block { nth, length });
            if left == 0 {
                return parts;
            }
        }
        let all_laid_out = self.targets.len() >= connection.outstanding() as usize;
        if all_laid_out || self.targets.is_empty() {
            // Otherwise another block comes behind these, whose bytes would only have to be copied out of here.
            parts.push(Part::Tail { length: TAIL_BYTES.min(left) });
        }
        parts
    }

    fn read(&mut self, stream: &TcpStream, parts: &[Part], scratch: &mut Scratch) -> io::Result<usize> {
        let mut headers = scratch.headers.iter_mut().enumerate();
        let mut targets = self.targets.iter_mut();
        let mut tail = Some(&mut scratch.tail);
        let mut slices = Vec::with_capacity(parts.len());
        for part in parts {
            let slice = match *part {
                Part::Header { nth, length } => {
                    headers.find(|(at, _)| *at == nth).map(|(_, header)| &mut header[..length])
                }
                Part::Block { length, .. } => targets.next().map(|target| {
                    let filled = target.filled;
                    &mut target.buffer[filled..filled + length]
                }),
                Part::Tail { length } => tail.take().map(|tail| &mut tail[..length]),
            };
            slices.extend(slice.map(IoSliceMut::new));
        }
        stream.try_read_vectored(&mut slices)
    }

    /// Walks over the `count` bytes that were read, part by part, as long as the guess holds.
    fn place(
        &mut self,
        turn: &mut Turn<'_>,
        parts: &[Part],
        scratch: &Scratch,
        count: usize,
    ) -> Result<(), ReceiveError> {
        let mut left = count;
        let mut complete = 0;
        for (at, part) in parts.iter().enumerate() {
            let length = part.length().min(left);
            let taken = match *part {
                Part::Header { nth, .. } => self.control(turn, &scratch.headers[nth][..length])?,
                Part::Tail { .. } => self.control(turn, &scratch.tail[..length])?,
                Part::Block { nth, .. } => self.confirm(turn, nth, length, &mut complete)?,
            };
            left -= taken;
            if taken < length {
                let rest = self.gather(&parts[at..], scratch, taken, left);
                self.hand_over(turn, complete);
                return self.absorb(turn, &rest);
            }
            if left == 0 {
                break;
            }
        }
        self.hand_over(turn, complete);
        Ok(())
    }

    /// Bytes lie in a block's own buffer already: says whether they belong there.
    fn confirm(
        &mut self,
        turn: &mut Turn<'_>,
        nth: usize,
        length: usize,
        complete: &mut usize,
    ) -> Result<usize, ReceiveError> {
        let target = &mut self.targets[nth];
        match turn.connection.expects() {
            Expect::Payload { block, received, wanted: true }
                if block == target.block && received as usize == target.filled =>
            {
                target.filled += length;
                *complete += usize::from(target.filled == block.length as usize);
                turn.connection.handle_payload(length as u32, turn.now);
                self.drain(turn);
                Ok(length)
            }
            _ => Ok(0),
        }
    }

    /// Gives the first `complete` targets to the store. What it doesn't take (another copy was quicker, the piece was
    /// discarded meanwhile) never came, for the torrent.
    fn hand_over(&mut self, turn: &mut Turn<'_>, complete: usize) {
        for target in self.targets.drain(..complete) {
            let Some(store) = turn.store else { continue };
            if let Some(attempt) = store.fill(target.block, target.buffer) {
                self.kept.push(Kept { block: target.block, attempt });
                continue;
            }
            let told = turn
                .events
                .iter_mut()
                .rfind(|event| matches!(event, Event::BlockReceived { block, .. } if *block == target.block));
            if let Some(told) = told {
                *told = Event::RequestReturned(target.block);
            }
        }
    }

    /// copy: the guess was wrong, so these bytes lie where others belong.
    fn gather(&mut self, parts: &[Part], scratch: &Scratch, skip: usize, count: usize) -> Vec<u8> {
        let mut rest = Vec::with_capacity(count);
        let mut skip = skip;
        for part in parts {
            let bytes = match *part {
                Part::Header { nth, length } => &scratch.headers[nth][..length],
                Part::Tail { length } => &scratch.tail[..length],
                Part::Block { nth, length } => {
                    let target = &self.targets[nth];
                    &target.buffer[target.filled..target.filled + length]
                }
            };
            let bytes = &bytes[skip..];
            skip = 0;
            rest.extend_from_slice(&bytes[..bytes.len().min(count - rest.len())]);
        }
        self.copied_bytes += rest.len() as u64;
        rest
    }

    /// Puts bytes where they belong, one message after the other.
    fn absorb(&mut self, turn: &mut Turn<'_>, mut bytes: &[u8]) -> Result<(), ReceiveError> {
        while !bytes.is_empty() {
            let taken = match turn.connection.expects() {
                Expect::Payload { block, received, wanted } => {
                    let length = bytes.len().min((block.length - received) as usize);
                    if wanted {
                        self.copy(turn, block, received as usize, &bytes[..length]);
                    }
                    turn.connection.handle_payload(length as u32, turn.now);
                    self.drain(turn);
                    length
                }
                Expect::Control | Expect::Hold => self.control(turn, bytes)?,
            };
            bytes = &bytes[taken..];
            if taken == 0 {
                self.held = bytes.to_vec();
                break;
            }
        }
        Ok(())
    }

    fn copy(&mut self, turn: &Turn<'_>, block: BlockRef, received: usize, bytes: &[u8]) {
        let held = self.targets.iter().position(|target| target.block == block);
        let at = held.or_else(|| {
            let buffer = turn.store.filter(|_| received == 0)?.take_buffer(block)?;
            self.targets.push_back(Target { block, buffer, filled: 0 });
            Some(self.targets.len() - 1)
        });
        let Some(at) = at.filter(|&at| self.targets[at].filled == received) else {
            self.unplaced = Some(block);
            return;
        };
        let target = &mut self.targets[at];
        target.buffer[received..received + bytes.len()].copy_from_slice(bytes);
        target.filled += bytes.len();
        if target.filled == block.length as usize
            && let (Some(target), Some(store)) = (self.targets.remove(at), turn.store)
        {
            match store.fill(target.block, target.buffer) {
                Some(attempt) => self.kept.push(Kept { block, attempt }),
                None => self.unplaced = Some(block),
            }
        }
    }

    /// Gives bytes to the connection as messages, until one of them is payload or they are all taken.
    fn control(&mut self, turn: &mut Turn<'_>, bytes: &[u8]) -> Result<usize, ReceiveError> {
        let mut taken = 0;
        while taken < bytes.len() && !matches!(turn.connection.expects(), Expect::Payload { .. }) {
            let step = turn.connection.handle_control(&bytes[taken..], turn.now)?;
            taken += step;
            let drained = self.drain(turn);
            if step == 0 && !drained {
                break;
            }
        }
        Ok(taken)
    }

    /// Moves events out of the connection; says whether there were any.
    fn drain(&mut self, turn: &mut Turn<'_>) -> bool {
        let before = turn.events.len();
        while let Some(event) = turn.connection.poll_output() {
            turn.events.push(match event {
                // Its bytes were thrown away, so for the torrent it never came.
                Event::BlockReceived { block, .. } if self.unplaced == Some(block) => {
                    self.unplaced = None;
                    Event::RequestReturned(block)
                }
                event => event,
            });
        }
        turn.events.len() > before
    }
}

#[cfg(test)]
mod tests;
