//! `multipart/byteranges` (RFC 9110 section 14.6): the bytes between the parts, and how long it all is.

use std::ops::Range;

use bytes::Bytes;

/// The framing of a multipart body: what goes before each part, and at the end. Its length is known before any byte of the
/// file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Each part's head and its bytes of the file, in order.
    pub parts: Vec<(Bytes, Range<u64>)>,
    /// The closing boundary.
    pub close: Bytes,
}

impl Framing {
    /// Frames `parts` of a file of `length` bytes and type `content_type`.
    ///
    /// Nobody may be able to guess `boundary`: a file could otherwise carry it and forge parts.
    pub fn new(boundary: &str, content_type: &str, parts: Vec<Range<u64>>, length: u64) -> Framing {
        let head = |i: usize, part: &Range<u64>| {
            let before = if i == 0 { "" } else { "\r\n" };
            Bytes::from(format!(
                "{before}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {}-{}/{length}\r\n\r\n",
                part.start,
                part.end - 1
            ))
        };
        let parts = parts.into_iter().enumerate().map(|(i, part)| (head(i, &part), part)).collect();
        Framing { parts, close: Bytes::from(format!("\r\n--{boundary}--\r\n")) }
    }

    /// Bytes of the whole body.
    pub fn length(&self) -> u64 {
        let parts = self.parts.iter().map(|(head, part)| head.len() as u64 + (part.end - part.start));
        // Saturates only for a file of nearly 2^64 bytes, of which there is none.
        parts.fold(self.close.len() as u64, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_framed_as_the_rfc_shows() {
        let framing = Framing::new("B", "video/mp4", vec![0..2, 98..100], 100);
        assert_eq!(
            framing.parts[0].0,
            "--B\r\nContent-Type: video/mp4\r\nContent-Range: bytes 0-1/100\r\n\r\n"
        );
        assert_eq!(
            framing.parts[1].0,
            "\r\n--B\r\nContent-Type: video/mp4\r\nContent-Range: bytes 98-99/100\r\n\r\n"
        );
        assert_eq!(framing.close, "\r\n--B--\r\n");
    }

    #[test]
    fn the_length_counts_heads_parts_and_close() {
        let framing = Framing::new("B", "video/mp4", vec![0..2, 98..100], 100);
        let heads: usize = framing.parts.iter().map(|(head, _)| head.len()).sum();
        assert_eq!(framing.length(), (heads + 4 + framing.close.len()) as u64);
    }
}
