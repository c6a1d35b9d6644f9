//! Packets of elementary streams (ISO 13818-1, 2.4.3.6), and what the beginning of one says of its stream.

use super::super::facts::{Codec, TrackKind};
use super::super::parameter_sets::{avc_stream, hevc_stream, mpeg2_stream};
use super::sound;
use super::ticks::Ticks;
use crate::limits::ELEMENTARY_BYTES_MAX;

/// Where the flags are, behind the start code and the packet's length; and where what they announce begins.
const FLAGS: usize = 6;
const FIELDS: usize = 9;

/// The header of a packet of an elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// When it is shown (PTS).
    pub(super) shown: Option<Ticks>,
    /// When it is decoded (DTS), if that is another time.
    pub(super) decoded: Option<Ticks>,
    /// As much of the stream as lies in this packet.
    pub(super) data: &'a [u8],
}

/// The header that a payload begins with.
pub(super) fn header(payload: &[u8]) -> Option<Header<'_>> {
    let &[0, 0, 1, stream_id] = payload.first_chunk()? else { return None };
    // Stream ids without a header (table 2-21): maps, padding, private_stream_2, ECM, EMM, directory and others.
    if matches!(stream_id, 0..=0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff) {
        return None;
    }
    let &[marker, flags, length] = payload.get(FLAGS..)?.first_chunk()?;
    let (fields, data) = payload.get(FIELDS..)?.split_at_checked(usize::from(length))?;
    if marker & 0xc0 != 0x80 {
        return None;
    }
    let shown = if flags & 0x80 != 0 { time(fields) } else { None };
    let decoded = if flags & 0xc0 == 0xc0 { fields.get(5..).and_then(time) } else { None };
    Some(Header { shown, decoded, data })
}

/// 33 bits in five bytes with markers between them.
fn time(fields: &[u8]) -> Option<Ticks> {
    let &[a, b, c, d, e] = fields.first_chunk()?;
    if a & c & e & 1 == 0 {
        return None;
    }
    let high = u64::from(a >> 1 & 7) << 30;
    let middle = u64::from(u16::from_be_bytes([b, c]) >> 1) << 15;
    Some(Ticks::new(high | middle | u64::from(u16::from_be_bytes([d, e]) >> 1)))
}

/// Collects the beginning of each packet of an elementary stream until one says what the stream is like.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    bytes: Vec<u8>,
    is_collecting: bool,
    /// A packet's beginning was read, whatever came of it.
    is_tried: bool,
    understood: Option<Understood>,
}

/// What a stream says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Understood {
    pub(super) kind: TrackKind,
    pub(super) codec: Codec,
}

impl Beginning {
    /// A packet begins. What came of the one before is read now: its length isn't always said.
    pub(super) fn start(&mut self, codec: &Codec, data: &[u8]) {
        self.finish(codec);
        self.is_collecting = self.understood.is_none();
        self.extend(codec, data);
    }

    /// It goes on.
    pub(super) fn extend(&mut self, codec: &Codec, data: &[u8]) {
        if !self.is_collecting {
            return;
        }
        let room = ELEMENTARY_BYTES_MAX - self.bytes.len();
        self.bytes.extend_from_slice(&data[..data.len().min(room)]);
        if self.bytes.len() == ELEMENTARY_BYTES_MAX {
            self.finish(codec);
        }
    }

    /// Reads what is there of a packet.
    pub(super) fn finish(&mut self, codec: &Codec) {
        if self.is_collecting && !self.bytes.is_empty() {
            self.is_tried = true;
            self.understood = understand(codec, &self.bytes);
        }
        self.is_collecting = false;
        self.bytes.clear();
    }

    pub(super) fn understood(&self) -> Option<&Understood> {
        self.understood.as_ref()
    }

    /// Whether more of the stream would say no more. Pictures say it at key frames only, sound with every frame or never.
    pub(super) fn is_settled(&self, codec: &Codec) -> bool {
        match codec {
            Codec::Avc | Codec::Hevc | Codec::Mpeg1 | Codec::Mpeg2 => self.understood.is_some(),
            _ => self.is_tried,
        }
    }
}

fn understand(codec: &Codec, bytes: &[u8]) -> Option<Understood> {
    let video = match codec {
        Codec::Avc => avc_stream(bytes),
        Codec::Hevc => hevc_stream(bytes),
        Codec::Mpeg1 | Codec::Mpeg2 => mpeg2_stream(bytes),
        _ => return sound::understand(codec, bytes),
    };
    video.map(|video| Understood { kind: TrackKind::Video(video), codec: codec.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_33_bits_among_markers() {
        let header = |flags, fields: &[u8]| {
            let mut payload = vec![0, 0, 1, 0xe0, 0, 0, 0x80, flags, fields.len() as u8];
            payload.extend([fields, &[1, 2]].concat());
            let header = header(&payload)?;
            assert_eq!(header.data, [1, 2]);
            Some((header.shown, header.decoded))
        };
        let last = Some(Ticks::new((1 << 33) - 1));
        assert_eq!(header(0x80, &[0x2f, 0xff, 0xff, 0xff, 0xff]), Some((last, None)));
        let both = [0x31, 0, 1, 0, 0b11, 0x11, 0, 0b11, 0, 1];
        assert_eq!(header(0xc0, &both), Some((Some(Ticks::new(1)), Some(Ticks::new(1 << 15)))));
        assert_eq!(header(0x80, &[0x20, 0, 0, 0, 0]), Some((None, None)), "no markers");
        assert_eq!(header(0, &[]), Some((None, None)));
    }

    #[test]
    fn what_isnt_the_start_of_a_packet_has_no_header() {
        assert_eq!(header(&[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 9]), None, "longer than its payload");
        assert_eq!(header(&[0, 0, 1, 0xbe, 0, 0, 0x80, 0, 0]), None, "padding");
        assert_eq!(header(&[0, 0, 2, 0xe0, 0, 0, 0x80, 0, 0]), None);
    }
}
