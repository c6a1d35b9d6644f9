//! What a stream of pictures says of itself in front of them: H.264 and H.265 sequence parameter sets, MPEG-2 sequence headers.
//!
//! Each function takes what a container carries (a byte stream as in Annex B, or a decoder configuration record of ISO
//! 14496-15) and looks for the first parameter set that can be understood. Not here: slices, and anything of a picture itself.

mod avc;
mod bits;
mod hevc;
mod mpeg2;
mod sei;
mod unit;

pub(super) use self::bits::Bits;
use super::facts::{Hdr, Video};
use crate::limits::{FRAME_RATE_MAX, PARAMETER_SETS_MAX, PICTURE_SIDE_MAX};

/// The type of a NAL unit that is a sequence parameter set (H.264, table 7-1).
const AVC_SPS: u8 = 7;

/// The same of H.265 (table 7-1).
const HEVC_SPS: u8 = 33;

/// Of a byte stream of H.264 (Annex B).
pub fn avc_stream(bytes: &[u8]) -> Option<Video> {
    first(unit::of_stream(bytes), avc_unit)
}

/// Of a byte stream of H.265 (Annex B). Pictures in the manner of ST 2084 may come with messages that make them HDR10+.
pub fn hevc_stream(bytes: &[u8]) -> Option<Video> {
    let video = first(unit::of_stream(bytes), hevc_unit)?;
    let is_dynamic = || unit::of_stream(bytes).take(PARAMETER_SETS_MAX).any(sei::is_hdr10_plus);
    let hdr = if video.hdr == Some(Hdr::Hdr10) && is_dynamic() { Some(Hdr::Hdr10Plus) } else { video.hdr };
    Some(Video { hdr, ..video })
}

/// Of a byte stream of MPEG-1 or MPEG-2 video (ISO 13818-2, 6.2.2).
pub fn mpeg2_stream(bytes: &[u8]) -> Option<Video> {
    mpeg2::sequence(bytes)
}

/// Of an `AVCDecoderConfigurationRecord` (ISO 14496-15, 5.3.3.1), as `avcC` and Matroska's `V_MPEG4/ISO/AVC` have it.
pub fn avc_configuration(record: &[u8]) -> Option<Video> {
    let (&count, sets) = record.get(5..)?.split_first()?;
    first(unit::with_lengths(sets).take(usize::from(count & 0x1f)), avc_unit)
}

/// Of an `HEVCDecoderConfigurationRecord` (ISO 14496-15, 8.3.3.1), as `hvcC` and Matroska's `V_MPEGH/ISO/HEVC` have it.
pub fn hevc_configuration(record: &[u8]) -> Option<Video> {
    let (&arrays, mut rest) = record.get(22..)?.split_first()?;
    for _ in 0..arrays {
        let (&[_, high, low], sets) = rest.split_first_chunk()?;
        let mut units = unit::with_lengths(sets);
        let count = usize::from(u16::from_be_bytes([high, low]));
        if let Some(video) = first(units.by_ref().take(count.min(PARAMETER_SETS_MAX)), hevc_unit) {
            return Some(video);
        }
        rest = units.rest();
    }
    None
}

/// A kind of brightness by its number among transfer characteristics (H.273, table 3).
pub(super) fn hdr_of_transfer(characteristics: u32) -> Option<Hdr> {
    match characteristics {
        16 => Some(Hdr::Hdr10),
        18 => Some(Hdr::Hlg),
        _ => None,
    }
}

fn first<'a>(
    units: impl Iterator<Item = &'a [u8]>,
    read: impl FnMut(&'a [u8]) -> Option<Video>,
) -> Option<Video> {
    units.take(PARAMETER_SETS_MAX).find_map(read)
}

fn avc_unit(unit: &[u8]) -> Option<Video> {
    let (&header, set) = unit.split_first()?;
    (header & 0x9f == AVC_SPS).then(|| avc::sequence(&unit::payload(set)))?
}

fn hevc_unit(unit: &[u8]) -> Option<Video> {
    let (&[header, _], set) = unit.split_first_chunk()?;
    (header & 0xfe == HEVC_SPS << 1).then(|| hevc::sequence(&unit::payload(set)))?
}

/// How many pixels of brightness a pixel of colour covers, across and down (H.264 table 6-1, H.265 table 6-1); 1 where colours are
/// not subsampled or not there. Cropping is counted in these.
fn chroma_pixels(bits: &mut Bits<'_>, format: u32) -> Option<(u32, u32)> {
    match format {
        0 => Some((1, 1)),
        1 => Some((2, 2)),
        2 => Some((2, 1)),
        // separate_colour_plane_flag
        3 => bits.bit().map(|_| (1, 1)),
        _ => None,
    }
}

/// Four distances to the left, right, top and bottom: what they take of the width and of the height.
fn cropped(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    let (left, right) = (bits.unsigned()?, bits.unsigned()?);
    let (top, bottom) = (bits.unsigned()?, bits.unsigned()?);
    Some((left.checked_add(right)?, top.checked_add(bottom)?))
}

/// A side of a picture less what is cropped, if it is one that pictures have.
fn side(whole: u32, cropped: u32, unit: u32) -> Option<u32> {
    let side = whole.checked_sub(cropped.checked_mul(unit)?)?;
    (1..=PICTURE_SIDE_MAX).contains(&side).then_some(side)
}

fn frame_rate(ticks_a_second: u64, ticks_a_frame: u64) -> Option<f64> {
    let rate = ticks_a_second as f64 / ticks_a_frame as f64;
    // Division by zero gives what isn't finite.
    (rate.is_finite() && rate > 0.0 && rate <= FRAME_RATE_MAX).then_some(rate)
}

/// The part of the usability information that H.264 (E.1.1) and H.265 (E.2.1) share: up to `chroma_loc_info`. Of it, whether the
/// pictures are brighter than usual.
fn signal(bits: &mut Bits<'_>) -> Option<Option<Hdr>> {
    const EXTENDED_SAR: u32 = 255;
    if bits.bit()? && bits.bits(8)? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    // overscan_info
    if bits.bit()? {
        bits.skip(1)?;
    }
    let mut hdr = None;
    // video_signal_type, and in it colour_description
    if bits.bit()? {
        bits.skip(4)?;
        if bits.bit()? {
            let (_primaries, transfer, _matrix) = (bits.bits(8)?, bits.bits(8)?, bits.bits(8)?);
            hdr = hdr_of_transfer(transfer);
        }
    }
    // chroma_loc_info
    if bits.bit()? {
        bits.unsigned()?;
        bits.unsigned()?;
    }
    Some(hdr)
}

#[cfg(test)]
pub(super) mod tests;
