//! What the tables of a transport stream say: which programs there are (2.4.4.3), and what each is made of (2.4.4.8).

use super::descriptors::{self, Descriptors};
use super::packet::PID_MAX;
use crate::limits::{PROGRAMS_MAX, TRACKS_MAX};

const PROGRAM_ASSOCIATION: u8 = 0;
const PROGRAM_MAP: u8 = 2;

/// The programs of an association section: the number of each, and the PID of its map.
pub(super) fn programs(section: &[u8]) -> Option<Vec<(u16, u16)>> {
    let rest = body(section, PROGRAM_ASSOCIATION)?;
    let maps = rest.chunks_exact(4).filter_map(|entry| {
        let (number, pid) = (number(entry, 0)?, number(entry, 2)? & PID_MAX);
        // Program 0 names the network's own table.
        (number != 0).then_some((number, pid))
    });
    Some(maps.take(PROGRAMS_MAX).collect())
}

/// A program: what its map says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Program {
    /// The PID whose packets carry its clock.
    pub(super) clock_pid: u16,
    pub(super) streams: Vec<Stream>,
}

/// One of its streams.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stream {
    pub(super) pid: u16,
    pub(super) about: descriptors::About,
}

/// What a map section says of the program of that number: several may share a PID. A stream whose entry is cut ends the list.
pub(super) fn program(section: &[u8], program_number: u16) -> Option<Program> {
    let rest = body(section, PROGRAM_MAP)?;
    if number(section, 3)? != program_number {
        return None;
    }
    let clock_pid = number(rest, 0)? & PID_MAX;
    let (info, mut rest) = with_length(rest.get(2..)?)?;
    let is_disc = Descriptors(info).registration() == Some(*b"HDMV");
    let mut streams = Vec::new();
    while let (Some(&kind), Some(pid), true) = (rest.first(), number(rest, 1), streams.len() < TRACKS_MAX) {
        let Some((info, next)) = with_length(&rest[3..]) else { break };
        streams
            .push(Stream { pid: pid & PID_MAX, about: descriptors::about(kind, is_disc, Descriptors(info)) });
        rest = next;
    }
    Some(Program { clock_pid, streams })
}

/// Behind the header of a section that counts now (`current_next_indicator`).
fn body(section: &[u8], table: u8) -> Option<&[u8]> {
    let (&[id, _, _, _, _, version, _, _], rest) = section.split_first_chunk()?;
    (id == table && version & 1 == 1).then_some(rest)
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
}

/// What twelve bits of length are in front of, and what follows.
fn with_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(number(bytes, 0)? & 0x0fff);
    bytes[2..].split_at_checked(length)
}
