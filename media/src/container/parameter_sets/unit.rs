//! NAL units: where each begins and ends, and its bytes without those that only keep start codes out of it.

use crate::limits::PARAMETER_SET_BYTES_MAX;

const START_CODE: [u8; 3] = [0, 0, 1];

/// The units of a byte stream (H.264 and H.265, Annex B). Zeros at their ends stay: no parameter set minds them.
pub(super) fn of_stream(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = behind_start_code(bytes);
    std::iter::from_fn(move || {
        let unit = rest?;
        rest = behind_start_code(unit);
        let behind = rest.map_or(0, |rest| rest.len() + START_CODE.len());
        Some(&unit[..unit.len() - behind])
    })
}

/// The bytes behind the first start code.
pub(super) fn behind_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(START_CODE.len()).position(|three| three == START_CODE)?;
    Some(&bytes[at + START_CODE.len()..])
}

/// Units with two bytes of length in front of each (ISO 14496-15).
pub(super) fn with_lengths(bytes: &[u8]) -> WithLengths<'_> {
    WithLengths(bytes)
}

pub(super) struct WithLengths<'a>(&'a [u8]);

impl<'a> WithLengths<'a> {
    /// What lies behind the units that were read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for WithLengths<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.0 = rest;
        Some(unit)
    }
}

/// A unit's payload without `emulation_prevention_three_byte` (7.4.1); of a long one, the beginning.
pub(super) fn payload(unit: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let is_payload = |&byte: &u8| {
        let prevents = zeros >= 2 && byte == 3;
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        !prevents
    };
    unit.iter().copied().take(PARAMETER_SET_BYTES_MAX).filter(is_payload).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_lie_between_start_codes_of_three_bytes_or_four() {
        let stream = [9, 0, 0, 0, 1, 7, 8, 0, 0, 1, 5, 0, 0, 1];
        let units: Vec<&[u8]> = of_stream(&stream).collect();
        assert_eq!(units, [&[7, 8][..], &[5], &[]]);
        assert_eq!(of_stream(&[0, 0, 2]).count(), 0);
    }

    #[test]
    fn a_unit_that_is_longer_than_its_record_ends_the_list() {
        let mut units = with_lengths(&[0, 1, 7, 0, 0, 0, 9, 1]);
        assert_eq!(units.by_ref().collect::<Vec<_>>(), [&[7][..], &[]]);
        assert_eq!(units.rest(), [0, 9, 1]);
    }

    #[test]
    fn bytes_that_keep_start_codes_out_are_taken_off() {
        assert_eq!(payload(&[1, 0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3]), [1, 0, 0, 1, 0, 0, 0, 0, 3]);
    }
}
