//! The hash by which opensubtitles.org knows a film: cheap, since it takes only a file's ends, which players fetch anyway.

/// Bytes of each end.
pub const END_BYTES: usize = 64 << 10;

/// The file's length and the 64-bit little-endian words of both ends, added up; sums wrap.
///
/// A file that is shorter than both ends has them overlap; one shorter than [`END_BYTES`] has no hash. It is written as sixteen
/// hexadecimal digits.
pub fn hash(length: u64, head: &[u8; END_BYTES], tail: &[u8; END_BYTES]) -> u64 {
    let words = |end: &[u8; END_BYTES]| {
        let (words, _) = end.as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).fold(0, u64::wrapping_add)
    };
    length.wrapping_add(words(head)).wrapping_add(words(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_have_their_length() {
        assert_eq!(hash(0x1_0000, &[0; END_BYTES], &[0; END_BYTES]), 0x1_0000);
    }

    #[test]
    fn words_are_little_endian() {
        let mut head = [0; END_BYTES];
        head[0] = 0x34;
        head[1] = 0x12;
        head[8] = 1;
        let mut tail = [0; END_BYTES];
        tail[END_BYTES - 1] = 0x80;
        // 0x20000 + 0x1234 + 1, and the last byte is the highest of its word.
        assert_eq!(hash(0x2_0000, &head, &tail), 0x8000_0000_0002_1235);
    }

    #[test]
    fn sums_wrap() {
        // 16 384 words of -1, and the length.
        assert_eq!(hash(0x2_0000, &[0xff; END_BYTES], &[0xff; END_BYTES]), 0x2_0000 - 0x4000);
    }
}
