//! MPEG-2 transport streams (ISO 13818-1), as recorders, discs and cameras write them: packets of 188 bytes, or of 192.
//!
//! A head tells what there is: the tables name the streams, and the streams say of themselves how large and how loud they are. How
//! long it lasts is the difference between the last time and the first. There is no index; a [`Seek`](super::Seek) finds a time.

mod demux;
mod descriptors;
mod elementary;
mod packet;
mod places;
mod section;
mod sound;
mod tables;
mod ticks;

pub(super) use places::Places;

use std::time::Duration;

use self::demux::{Demux, Times};
use self::packet::{Packets, Stride};
use self::ticks::micros;
use super::HEAD_BYTES;
use super::facts::{Container, Facts};
use super::inspect::{Budget, Fault, Halt, Parser};
use super::known::Known;
use crate::limits::{TS_HEAD_BYTES_MAX, TS_TAIL_BYTES_MAX, TS_WINDOW_BYTES};

/// The rules for a file that begins like a transport stream.
pub(super) fn begins(head: &[u8]) -> Option<MpegTs> {
    Stride::of_head(head).map(MpegTs::new)
}

/// What is known of one.
#[derive(Debug)]
pub(super) struct MpegTs {
    stride: Stride,
    demux: Demux,
    /// Where the first packet of the head is that wasn't looked at.
    head_end: u64,
    /// The end of the part of the head that is looked at next.
    window_end: u64,
    /// Times at the end of the file, and how much of it they were looked for in.
    tail: Times,
    tail_bytes: u64,
    /// More of the file can't be read.
    is_cut: bool,
}

impl Parser for MpegTs {
    fn advance(&mut self, file: &Known, budget: &mut Budget) -> Result<Facts, Halt> {
        self.read_head(file, budget)?;
        if self.demux.program().is_none() {
            return Err(Fault::Broken("no map of a program at the start of the transport stream").into());
        }
        self.read_tail(file, budget)?;
        Ok(self.facts())
    }

    fn go_without(&mut self) -> bool {
        let is_head_known = self.demux.program().is_some();
        // Whatever was missing, what comes behind it would be missing too.
        self.is_cut = true;
        is_head_known
    }
}

impl MpegTs {
    fn new(stride: Stride) -> Self {
        Self {
            stride,
            demux: Demux::default(),
            head_end: 0,
            window_end: HEAD_BYTES,
            tail: Times::default(),
            tail_bytes: 0,
            is_cut: false,
        }
    }

    fn read_head(&mut self, file: &Known, budget: &mut Budget) -> Result<(), Halt> {
        let end = file.length().min(TS_HEAD_BYTES_MAX);
        while self.head_end < end && !self.demux.is_settled() && !self.is_cut {
            let bytes = file.bytes_up_to(self.head_end..self.window_end)?;
            let mut packets = Packets::new(bytes, self.head_end, self.stride);
            for packet in packets.by_ref() {
                budget.element()?;
                self.demux.take(&packet);
            }
            // Nothing that is whole fits behind the last window.
            self.head_end = if self.window_end < end { packets.end() } else { end };
            self.window_end = (2 * self.window_end).max(TS_WINDOW_BYTES).min(end);
        }
        self.demux.finish();
        Ok(())
    }

    /// Goes back from the end in parts of growing size, until one has a time.
    fn read_tail(&mut self, file: &Known, budget: &mut Budget) -> Result<(), Halt> {
        let behind_head = file.length().saturating_sub(self.head_end);
        let all = behind_head.min(TS_TAIL_BYTES_MAX);
        while self.tail_bytes < all && !self.demux.ends_in(&self.tail) && !self.is_cut {
            let bytes = (2 * self.tail_bytes).max(TS_WINDOW_BYTES).min(all);
            let range = file.length() - bytes..file.length() - self.tail_bytes;
            let offset = range.start;
            for packet in Packets::new(file.bytes(range)?, offset, self.stride) {
                budget.element()?;
                self.tail.take(&packet);
            }
            self.tail_bytes = bytes;
        }
        Ok(())
    }

    fn facts(&self) -> Facts {
        // The last time of the head isn't the film's.
        let duration = self.demux.duration(&self.tail).filter(|_| !self.is_cut);
        Facts {
            container: Container::MpegTs,
            duration: duration.map(|ticks| Duration::from_micros(micros(ticks))),
            tracks: self.demux.tracks(),
            index: None,
            searchable: None,
            learnt: None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
