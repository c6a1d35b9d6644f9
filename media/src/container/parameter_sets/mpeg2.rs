//! The sequence header of MPEG-1 and MPEG-2 video (ISO 13818-2, 6.2.2.1), and its extension (6.2.2.3).

use super::super::facts::Video;
use super::bits::Bits;
use super::unit::behind_start_code;
use super::{frame_rate, side};

const SEQUENCE_HEADER: u8 = 0xb3;
const EXTENSION: u8 = 0xb5;
const SEQUENCE_EXTENSION: u32 = 1;

/// `frame_rate_code` (table 6-4), as frames and in how many seconds.
const FRAME_RATES: [(u64, u64); 9] =
    [(0, 1), (24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60_000, 1001), (60, 1)];

/// What the header says, with what the extension adds.
#[derive(Clone, Copy)]
struct Sequence {
    width: u32,
    height: u32,
    rate: (u64, u64),
}

pub(super) fn sequence(bytes: &[u8]) -> Option<Video> {
    let mut rest = bytes;
    let mut sequence = None;
    while let Some(behind) = behind_start_code(rest) {
        rest = behind;
        match (behind.split_first(), sequence) {
            (Some((&SEQUENCE_HEADER, body)), None) => sequence = header(body),
            // The extension comes next to the header, and once, or not at all (MPEG-1).
            (Some((&EXTENSION, body)), Some(so_far)) => {
                sequence = extended(so_far, body).or(sequence);
                break;
            }
            (_, Some(_)) => break,
            _ => {}
        }
    }
    let Sequence { width, height, rate } = sequence?;
    let (width, height) = (side(width, 0, 1)?, side(height, 0, 1)?);
    Some(Video { width, height, hdr: None, frame_rate: frame_rate(rate.0, rate.1) })
}

fn header(body: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(body);
    let (width, height) = (bits.bits(12)?, bits.bits(12)?);
    // aspect_ratio_information
    bits.skip(4)?;
    let rate = *FRAME_RATES.get(bits.bits(4)? as usize)?;
    Some(Sequence { width, height, rate })
}

fn extended(header: Sequence, body: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(body);
    if bits.bits(4)? != SEQUENCE_EXTENSION {
        return None;
    }
    // profile_and_level_indication, progressive_sequence, chroma_format
    bits.skip(11)?;
    let (width, height) = (bits.bits(2)? << 12 | header.width, bits.bits(2)? << 12 | header.height);
    // bit_rate_extension, marker, vbv_buffer_size_extension, low_delay
    bits.skip(22)?;
    let (more, divisor) = (u64::from(bits.bits(2)?) + 1, u64::from(bits.bits(5)?) + 1);
    Some(Sequence { width, height, rate: (header.rate.0 * more, header.rate.1 * divisor) })
}
