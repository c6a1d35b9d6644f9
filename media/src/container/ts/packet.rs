//! Packets (ISO 13818-1, 2.4.3.2) and where they lie: every 188 bytes, or every 192 as discs and recorders keep them.

use super::ticks::Ticks;

const PACKET_BYTES: usize = 188;
const SYNC: u8 = 0x47;

/// Sync bytes in a row that make a stream, where there is room for so many.
const SYNCS: usize = 5;

/// The fewest, in what is looked at of a file to recognise it.
const SYNCS_MIN: usize = 3;

/// A PID is of 13 bits.
pub(super) const PID_MAX: u16 = 0x1fff;

/// Bytes from one packet to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stride {
    /// Packets and nothing else.
    Plain,
    /// Each with the time at which it arrived in four bytes before it.
    Timed,
}

impl Stride {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Plain => PACKET_BYTES,
            Self::Timed => PACKET_BYTES + 4,
        }
    }

    /// The stride at which sync bytes follow each other from one of the first places on.
    pub(super) fn of_head(head: &[u8]) -> Option<Self> {
        let lasts = |stride: Self| {
            (0..stride.bytes()).any(|from| stride.syncs(head, from) >= SYNCS_MIN && stride.holds(head, from))
        };
        [Self::Plain, Self::Timed].into_iter().find(|&stride| lasts(stride))
    }

    /// Sync bytes in a row from there on.
    fn syncs(self, bytes: &[u8], from: usize) -> usize {
        let every = bytes.iter().skip(from).step_by(self.bytes());
        every.take(SYNCS).take_while(|&&byte| byte == SYNC).count()
    }

    /// Whether there is a sync byte there and at each of the next places, as far as the bytes go.
    fn holds(self, bytes: &[u8], from: usize) -> bool {
        let places = bytes.len().saturating_sub(from).div_ceil(self.bytes()).min(SYNCS);
        places > 0 && self.syncs(bytes, from) == places
    }
}

/// One packet, as far as we look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Of its sync byte in the file.
    pub(super) offset: u64,
    pub(super) pid: u16,
    /// A section or a packet of an elementary stream begins in it (`payload_unit_start_indicator`).
    pub(super) is_start: bool,
    /// What begins in it needs nothing before it (`random_access_indicator`).
    pub(super) is_key: bool,
    /// `program_clock_reference_base`
    pub(super) clock: Option<Ticks>,
    /// Nothing where it is scrambled.
    pub(super) payload: &'a [u8],
}

/// The packets in a part of a file. What isn't at its place is looked for again, so a part may begin anywhere.
#[derive(Debug)]
pub(super) struct Packets<'a> {
    bytes: &'a [u8],
    /// Of the first byte in the file.
    offset: u64,
    stride: Stride,
    at: usize,
    is_aligned: bool,
}

impl<'a> Packets<'a> {
    pub(super) fn new(bytes: &'a [u8], offset: u64, stride: Stride) -> Self {
        Self { bytes, offset, stride, at: 0, is_aligned: false }
    }

    /// Where the first packet begins that isn't whole here.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.at as u64
    }

    fn align(&mut self) {
        let is_lost = !self.is_aligned || self.bytes.get(self.at).is_some_and(|&byte| byte != SYNC);
        if is_lost {
            let from = (self.at..self.bytes.len()).find(|&from| self.stride.holds(self.bytes, from));
            self.at = from.unwrap_or(self.bytes.len());
            self.is_aligned = true;
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        loop {
            self.align();
            let bytes = self.bytes.get(self.at..)?.get(..PACKET_BYTES)?;
            let offset = self.offset + self.at as u64;
            self.at = (self.at + self.stride.bytes()).min(self.bytes.len());
            if let Some(packet) = read(bytes, offset) {
                return Some(packet);
            }
        }
    }
}

/// A packet that has no error and isn't padding.
fn read(bytes: &[u8], offset: u64) -> Option<Packet<'_>> {
    let (&[_, high, low, control], rest) = bytes.split_first_chunk()?;
    let pid = u16::from_be_bytes([high, low]) & PID_MAX;
    // transport_error_indicator
    if high & 0x80 != 0 || pid == PID_MAX {
        return None;
    }
    let (is_scrambled, has_adaptation, has_payload) =
        (control & 0xc0 != 0, control & 0x20 != 0, control & 0x10 != 0);
    let (adaptation, payload) = if has_adaptation {
        let (&length, rest) = rest.split_first()?;
        rest.split_at_checked(usize::from(length))?
    } else {
        (&[][..], rest)
    };
    let payload = if has_payload && !is_scrambled { payload } else { &[] };
    let is_key = adaptation.first().is_some_and(|flags| flags & 0x40 != 0);
    Some(Packet { offset, pid, is_start: high & 0x40 != 0, is_key, clock: clock(adaptation), payload })
}

/// 2.4.3.4
fn clock(adaptation: &[u8]) -> Option<Ticks> {
    let (&flags, rest) = adaptation.split_first()?;
    let base = rest.first_chunk::<5>().filter(|_| flags & 0x10 != 0)?;
    let base = base.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
    Some(Ticks::new(base >> 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(stride: Stride, count: u8) -> Vec<u8> {
        let one = |nth| {
            let mut packet = vec![0xee; stride.bytes()];
            let at = stride.bytes() - PACKET_BYTES;
            packet[at..at + 4].copy_from_slice(&[SYNC, 0, nth, 0x10]);
            packet
        };
        (0..count).flat_map(one).collect()
    }

    fn pids(bytes: &[u8], stride: Stride) -> Vec<u16> {
        Packets::new(bytes, 0, stride).map(|packet| packet.pid).collect()
    }

    #[test]
    fn the_stride_is_found_wherever_the_first_packet_begins() {
        for stride in [Stride::Plain, Stride::Timed] {
            for cut in [0, 1, 5, 100, 187] {
                let bytes = &packets(stride, 8)[cut..];
                assert_eq!(Stride::of_head(&bytes[..1024]), Some(stride), "{cut}");
            }
        }
        assert_eq!(Stride::of_head(&[0; 1024]), None);
        assert_eq!(Stride::of_head(&packets(Stride::Plain, 2)), None, "chance makes two");
    }

    #[test]
    fn packets_are_found_again_behind_bytes_that_are_lost() {
        let whole = packets(Stride::Plain, 20);
        assert_eq!(pids(&whole, Stride::Plain), (0..20).collect::<Vec<_>>());
        let mut cut = whole.clone();
        cut.drain(5 * 188 + 7..5 * 188 + 100);
        let found = pids(&cut, Stride::Plain);
        assert_eq!(found[..5], [0, 1, 2, 3, 4]);
        assert_eq!(found.last(), Some(&19));
        assert_eq!(pids(&whole[150..], Stride::Plain), (1..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_part_ends_where_its_last_packet_isnt_whole() {
        let bytes = packets(Stride::Timed, 6);
        let mut parts = Packets::new(&bytes[..5 * 192 + 20], 1000, Stride::Timed);
        assert_eq!(parts.by_ref().count(), 5);
        assert_eq!(parts.end(), 1000 + 5 * 192 + 4);
    }

    #[test]
    fn damaged_and_empty_packets_are_passed_over() {
        let mut bytes = packets(Stride::Plain, 6);
        bytes[188 + 1] = 0x80;
        bytes[2 * 188 + 1..2 * 188 + 3].copy_from_slice(&[0x1f, 0xff]);
        bytes[3 * 188 + 3..3 * 188 + 5].copy_from_slice(&[0x30, 200]);
        assert_eq!(pids(&bytes, Stride::Plain), [0, 4, 5]);
    }
}
