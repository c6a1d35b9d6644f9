//! The bytes under way from one end of a connection to the other: control messages as they are, payload by its length.

use std::collections::VecDeque;
use std::io::IoSlice;

use afflux_metainfo::BLOCK_LENGTH;
use afflux_peer::Connection;
use bytes::Bytes;

/// What every block's payload is: nobody looks at it, and a slice of this very memory is known to be payload.
static PAYLOAD: [u8; BLOCK_LENGTH as usize] = [0; BLOCK_LENGTH as usize];

/// Slices looked at in one go: mostly a block's header and its payload. Filling more costs more than looking again.
const SLICES: usize = 2;

/// The payload of a block of this length, at most 16 KiB.
pub(crate) fn payload(length: u32) -> Bytes {
    Bytes::from_static(&PAYLOAD[..(length as usize).min(PAYLOAD.len())])
}

fn is_payload(slice: &[u8]) -> bool {
    PAYLOAD.as_ptr_range().contains(&slice.as_ptr())
}

/// A run of bytes of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// So many bytes of messages.
    Control(u32),
    /// So many bytes of a block.
    Payload(u32),
}

/// What is on its way, in order.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    runs: VecDeque<Run>,
    control: VecDeque<u8>,
    /// Payload under way, in bytes.
    payload_bytes: u64,
}

/// What a connection would send next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// Bytes of messages in front of the payload.
    pub(crate) control: u32,
    /// Bytes of payload behind them, up to a block.
    pub(crate) payload: u32,
}

/// What waits at the front of a connection's send buffer: messages, and the first payload behind them. With more small
/// slices than are looked at, the payload is left to the next time.
pub(crate) fn next(connection: &Connection) -> Next {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let count = connection.transmit_slices(&mut slices);
    let mut next = Next::default();
    for slice in &slices[..count] {
        if is_payload(slice) {
            next.payload = slice.len() as u32;
            break;
        }
        next.control += slice.len() as u32;
    }
    next
}

impl Wire {
    /// Puts the messages at the front of the send buffer on the wire, as far as they are looked at; the caller tells the
    /// connection. What they were, and the payload behind them.
    pub(crate) fn put_messages(&mut self, connection: &Connection) -> Next {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = connection.transmit_slices(&mut slices);
        let mut next = Next::default();
        for slice in &slices[..count] {
            if is_payload(slice) {
                next.payload = slice.len() as u32;
                break;
            }
            self.control.extend(&slice[..]);
            next.control += slice.len() as u32;
        }
        self.push(Run::Control(next.control));
        next
    }

    /// Puts the messages at the front of the send buffer on the wire; the caller tells the connection.
    pub(crate) fn put_control(&mut self, connection: &Connection, length: u32) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = connection.transmit_slices(&mut slices);
        let mut left = length as usize;
        for slice in &slices[..count] {
            let step = left.min(slice.len());
            self.control.extend(&slice[..step]);
            left -= step;
        }
        self.push(Run::Control(length - left as u32));
    }

    /// Puts payload on the wire.
    pub(crate) fn put_payload(&mut self, length: u32) {
        self.payload_bytes += u64::from(length);
        self.push(Run::Payload(length));
    }

    /// Takes what came first, up to `most` bytes; messages are appended to `control`.
    pub(crate) fn take(&mut self, most: u32, control: &mut Vec<u8>) -> Option<Run> {
        let run = match self.runs.front_mut()? {
            Run::Control(left) | Run::Payload(left) if *left > most => {
                *left -= most;
                match self.runs.front()? {
                    Run::Control(_) => Run::Control(most),
                    Run::Payload(_) => Run::Payload(most),
                }
            }
            _ => self.runs.pop_front()?,
        };
        match run {
            Run::Control(length) => self.take_control(length as usize, control),
            Run::Payload(length) => self.payload_bytes -= u64::from(length),
        }
        Some(run)
    }

    /// Moves bytes by the slice: one by one they would cost as much as the rest of a message's way.
    fn take_control(&mut self, length: usize, to: &mut Vec<u8>) {
        let (front, back) = self.control.as_slices();
        let split = length.min(front.len());
        to.extend_from_slice(&front[..split]);
        to.extend_from_slice(&back[..(length - split).min(back.len())]);
        self.control.drain(..length);
    }

    /// Payload under way, in bytes.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Runs of the same kind that touch become one. Two blocks never touch: a header lies between them.
    fn push(&mut self, run: Run) {
        match (self.runs.back_mut(), run) {
            (_, Run::Control(0) | Run::Payload(0)) => {}
            (Some(Run::Control(last)), Run::Control(more))
            | (Some(Run::Payload(last)), Run::Payload(more)) => {
                *last += more;
            }
            _ => self.runs.push_back(run),
        }
    }
}
