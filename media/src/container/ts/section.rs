//! Sections: tables in packets (ISO 13818-1, 2.4.4).

/// `table_id` and `section_length`.
const HEADER_BYTES: usize = 3;

/// No section begins with it: the rest of the packet is empty.
const STUFFING: u8 = 0xff;

const CRC_BYTES: usize = 4;

/// The sections of one PID, put together. It never holds more than one section and a packet: a length is of twelve bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections {
    bytes: Vec<u8>,
    is_inside: bool,
}

impl Sections {
    /// One more packet's payload; `take` is given each section that ends in it and isn't damaged, without its CRC.
    pub(super) fn push(&mut self, payload: &[u8], is_start: bool, mut take: impl FnMut(&[u8])) {
        if !is_start {
            return self.extend(payload, &mut take);
        }
        // pointer_field: bytes that belong to the section before.
        let Some((&pointer, rest)) = payload.split_first() else { return };
        let Some((end, begin)) = rest.split_at_checked(usize::from(pointer)) else { return self.reset() };
        self.extend(end, &mut take);
        self.reset();
        self.is_inside = true;
        self.extend(begin, &mut take);
    }

    fn reset(&mut self) {
        self.bytes.clear();
        self.is_inside = false;
    }

    fn extend(&mut self, bytes: &[u8], take: &mut impl FnMut(&[u8])) {
        if !self.is_inside {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(&[table, high, low]) = self.bytes[from..].first_chunk::<HEADER_BYTES>() {
            if table == STUFFING {
                return self.reset();
            }
            let length = usize::from(u16::from_be_bytes([high, low]) & 0x0fff);
            let Some(section) = self.bytes[from..].get(..HEADER_BYTES + length) else { break };
            from += section.len();
            if let Some(content) = checked(section) {
                take(content);
            }
        }
        self.bytes.drain(..from);
    }
}

/// A section without its CRC, if that is right. Some writers leave it out and put zeros or ones there.
fn checked(section: &[u8]) -> Option<&[u8]> {
    let content_bytes = section.len().checked_sub(CRC_BYTES)?;
    let (content, crc) = section.split_at(content_bytes);
    let is_whole = crc == crc32(content).to_be_bytes() || crc == [0; CRC_BYTES] || crc == [0xff; CRC_BYTES];
    (is_whole && content_bytes >= HEADER_BYTES).then_some(content)
}

/// Annex A.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            let carry = crc >> 31;
            (crc << 1) ^ (POLYNOMIAL * carry)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::section;
    use super::*;

    fn sections(payloads: &[(&[u8], bool)]) -> Vec<Vec<u8>> {
        let (mut sections, mut found) = (Sections::default(), Vec::new());
        for (payload, is_start) in payloads {
            sections.push(payload, *is_start, |section| found.push(section.to_vec()));
        }
        found
    }

    #[test]
    fn the_checksum_is_the_standards() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn a_section_over_several_packets_is_put_together() {
        let whole = section(2, &[7; 400]);
        let content = whole[..whole.len() - 4].to_vec();
        let first = [&[0][..], &whole[..183]].concat();
        let second_begins = [&[(whole.len() - 367) as u8][..], &whole[367..], &whole[..50]].concat();
        let rest = [&whole[50..], &[0xff; 20]].concat();
        let found =
            sections(&[(&first, true), (&whole[183..367], false), (&second_begins, true), (&rest, false)]);
        assert_eq!(found, [content.clone(), content]);
    }

    #[test]
    fn several_sections_in_one_packet_are_all_read() {
        let packet = [&[0][..], &section(0, &[1; 9]), &section(2, &[2; 9]), &[0xff; 30]].concat();
        assert_eq!(sections(&[(&packet, true)]).len(), 2);
    }

    #[test]
    fn a_damaged_section_is_left_out_and_the_next_is_read() {
        let mut damaged = section(0, &[1; 9]);
        damaged[5] ^= 1;
        let mut without = section(2, &[3; 9]);
        let end = without.len() - 4;
        without[end..].fill(0);
        let packet = [&[0][..], &damaged, &without].concat();
        assert_eq!(sections(&[(&packet, true)]), [without[..end].to_vec()]);
        assert_eq!(sections(&[(&[200, 1], true), (&[0, 0, 0], false)]), Vec::<Vec<u8>>::new());
    }
}
