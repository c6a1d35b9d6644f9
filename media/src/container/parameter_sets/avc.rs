//! The sequence parameter set of H.264 (7.3.2.1.1) and its usability information (E.1.1).

use super::super::facts::{Hdr, Video};
use super::bits::Bits;
use super::{chroma_pixels, cropped, frame_rate, side, signal};

/// Profiles whose sets say how colours are kept.
const WITH_CHROMA: [u32; 13] = [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];

/// 4:2:0, where a set doesn't say.
const CHROMA_USUAL: (u32, u32) = (2, 2);

const MACROBLOCK_PIXELS: u32 = 16;

/// Of the bytes behind the unit's header.
pub(super) fn sequence(payload: &[u8]) -> Option<Video> {
    let bits = &mut Bits::new(payload);
    let profile = bits.bits(8)?;
    // constraint flags, level_idc
    bits.skip(16)?;
    let _id = bits.unsigned()?;
    let chroma = if WITH_CHROMA.contains(&profile) { chroma_and_scaling(bits)? } else { CHROMA_USUAL };
    skip_picture_order(bits)?;
    // max_num_ref_frames, gaps_in_frame_num_value_allowed_flag
    bits.unsigned()?;
    bits.skip(1)?;
    let (width, height) = size(bits, chroma)?;
    // A set whose end is damaged still says how large the pictures are.
    let (hdr, frame_rate) = usability(bits).unwrap_or_default();
    Some(Video { width, height, hdr, frame_rate })
}

fn chroma_and_scaling(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    let format = bits.unsigned()?;
    let chroma = chroma_pixels(bits, format)?;
    // bit_depth_luma_minus8, bit_depth_chroma_minus8, qpprime_y_zero_transform_bypass_flag
    bits.unsigned()?;
    bits.unsigned()?;
    bits.skip(1)?;
    // seq_scaling_matrix_present_flag
    if bits.bit()? {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if bits.bit()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma)
}

/// 7.3.2.1.1.1
fn skip_scaling_list(bits: &mut Bits<'_>, length: u32) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..length {
        if next != 0 {
            next = (last + i64::from(bits.signed()?)).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    const CYCLE_MAX: u32 = 255;
    let _log2_max_frame_num = bits.unsigned()?;
    match bits.unsigned()? {
        0 => bits.unsigned().map(|_| ()),
        1 => {
            // delta_pic_order_always_zero_flag, offset_for_non_ref_pic, offset_for_top_to_bottom_field
            bits.skip(1)?;
            bits.signed()?;
            bits.signed()?;
            let cycle = bits.unsigned().filter(|&cycle| cycle <= CYCLE_MAX)?;
            (0..cycle).try_for_each(|_| bits.signed().map(|_| ()))
        }
        2 => Some(()),
        _ => None,
    }
}

fn size(bits: &mut Bits<'_>, chroma: (u32, u32)) -> Option<(u32, u32)> {
    let columns = bits.unsigned()?.checked_add(1)?;
    let rows = bits.unsigned()?.checked_add(1)?;
    // Where pictures may be fields, rows are counted in pairs.
    let fields = if bits.bit()? { 1 } else { 2 };
    if fields == 2 {
        // mb_adaptive_frame_field_flag
        bits.skip(1)?;
    }
    // direct_8x8_inference_flag
    bits.skip(1)?;
    let (across, down) = if bits.bit()? { cropped(bits)? } else { (0, 0) };
    let width = side(columns.checked_mul(MACROBLOCK_PIXELS)?, across, chroma.0)?;
    let height = side(rows.checked_mul(MACROBLOCK_PIXELS * fields)?, down, chroma.1 * fields)?;
    Some((width, height))
}

fn usability(bits: &mut Bits<'_>) -> Option<(Option<Hdr>, Option<f64>)> {
    if !bits.bit()? {
        return None;
    }
    let hdr = signal(bits)?;
    // timing_info: two ticks a frame, one for each field.
    let timing = |bits: &mut Bits<'_>| {
        let tick = bits.bit()?.then(|| bits.bits(32))??;
        frame_rate(u64::from(bits.bits(32)?), 2 * u64::from(tick))
    };
    Some((hdr, timing(bits)))
}
