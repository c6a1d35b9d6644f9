//! Bits in the order of H.264 and H.265: the highest of each byte first, with Exp-Golomb codes (clause 9.1, clause 9.2).

/// A place in bytes. Behind the end there is `None`, never a panic.
#[derive(Clone, Debug)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `u(count)` of at most 32 bits.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= u32::BITS);
        (0..count).try_fold(0, |value: u32, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// `ue(v)` below 2^32 - 1.
    pub(crate) fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros == u32::BITS {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        Some((1u32 << zeros) - 1 + rest)
    }

    /// `se(v)`.
    pub(crate) fn signed(&mut self) -> Option<i32> {
        let code = i64::from(self.unsigned()?);
        let value = if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) };
        i32::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_the_standards_table_has_them() {
        // 1 010 011 00100 00101, then 00110 00111 0001000
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1001_1000, 0b1110_0010, 0b0000_0000]);
        assert_eq!([0; 5].map(|_| bits.unsigned().unwrap()), [0, 1, 2, 3, 4]);
        assert_eq!([0; 3].map(|_| bits.signed().unwrap()), [3, -3, 4]);
        assert_eq!(bits.unsigned(), None, "zeros to the end");
    }

    #[test]
    fn what_lies_behind_the_end_isnt_there() {
        let mut bits = Bits::new(&[0xff]);
        assert_eq!((bits.bits(4), bits.skip(4), bits.bit(), bits.skip(1)), (Some(15), Some(()), None, None));
        assert_eq!(Bits::new(&[0; 8]).unsigned(), None, "too long a code");
        assert_eq!(Bits::new(&[]).skip(usize::MAX), None);
    }
}
