//! The sequence parameter set of H.265 (7.3.2.2.1) and its usability information (E.2.1).

use super::super::facts::{Hdr, Video};
use super::bits::Bits;
use super::{chroma_pixels, cropped, frame_rate, side, signal};

/// `profile_tier_level` without the level.
const PROFILE_BITS: usize = 88;
const LEVEL_BITS: usize = 8;

/// Of the bytes behind the unit's header of two bytes.
pub(super) fn sequence(payload: &[u8]) -> Option<Video> {
    let bits = &mut Bits::new(payload);
    // sps_video_parameter_set_id
    bits.skip(4)?;
    let sub_layers = bits.bits(3)?;
    // sps_temporal_id_nesting_flag
    bits.skip(1)?;
    skip_profile_tier_level(bits, sub_layers)?;
    let _id = bits.unsigned()?;
    let format = bits.unsigned()?;
    let chroma = chroma_pixels(bits, format)?;
    let (width, height) = (bits.unsigned()?, bits.unsigned()?);
    // conformance_window_flag
    let (across, down) = if bits.bit()? { cropped(bits)? } else { (0, 0) };
    let (width, height) = (side(width, across, chroma.0)?, side(height, down, chroma.1)?);
    // A set whose end is damaged still says how large the pictures are.
    let (hdr, frame_rate) =
        skip_to_usability(bits, sub_layers).and_then(|()| usability(bits)).unwrap_or_default();
    Some(Video { width, height, hdr, frame_rate })
}

/// 7.3.3
fn skip_profile_tier_level(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    bits.skip(PROFILE_BITS + LEVEL_BITS)?;
    let mut skipped = 0;
    for _ in 0..sub_layers {
        let (profile, level) = (bits.bit()?, bits.bit()?);
        skipped += usize::from(profile) * PROFILE_BITS + usize::from(level) * LEVEL_BITS;
    }
    if sub_layers > 0 {
        // Presence flags are padded to those of eight layers.
        skipped += 2 * (8 - sub_layers as usize);
    }
    bits.skip(skipped)
}

/// From the bit depths up to `vui_parameters_present_flag`.
fn skip_to_usability(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    // bit_depth_luma_minus8, bit_depth_chroma_minus8
    skip_codes(bits, 2)?;
    let order_bits = bits.unsigned()?.checked_add(4).filter(|&bits| bits <= 16)?;
    // sps_sub_layer_ordering_info_present_flag
    let layers = if bits.bit()? { sub_layers + 1 } else { 1 };
    skip_codes(bits, 3 * layers)?;
    // log2 of coding and transform blocks, transform hierarchy depths
    skip_codes(bits, 6)?;
    // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
    if bits.bit()? && bits.bit()? {
        skip_scaling_lists(bits)?;
    }
    // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    bits.skip(2)?;
    // pcm_enabled_flag
    if bits.bit()? {
        bits.skip(8)?;
        skip_codes(bits, 2)?;
        bits.skip(1)?;
    }
    skip_reference_pictures(bits, order_bits)?;
    // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    bits.skip(2)
}

fn skip_codes(bits: &mut Bits<'_>, count: u32) -> Option<()> {
    (0..count).try_for_each(|_| bits.unsigned().map(|_| ()))
}

/// 7.3.4
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            // scaling_list_pred_mode_flag: the list is another one's, or its differences.
            if !bits.bit()? {
                bits.unsigned()?;
                continue;
            }
            let direct = u32::from(size > 1);
            let coefficients = 64.min(1 << (4 + 2 * size));
            skip_codes(bits, direct + coefficients)?;
        }
    }
    Some(())
}

fn skip_reference_pictures(bits: &mut Bits<'_>, order_bits: u32) -> Option<()> {
    const SETS_MAX: u32 = 64;
    const LONG_TERM_MAX: u32 = 32;
    let sets = bits.unsigned().filter(|&sets| sets <= SETS_MAX)?;
    let mut before = Vec::new();
    for nth in 0..sets {
        before = if nth > 0 && bits.bit()? { predicted_set(bits, &before)? } else { plain_set(bits)? };
    }
    // long_term_ref_pics_present_flag
    if bits.bit()? {
        let pictures = bits.unsigned().filter(|&pictures| pictures <= LONG_TERM_MAX)?;
        bits.skip(pictures as usize * (order_bits as usize + 1))?;
    }
    Some(())
}

/// Pictures on one side of a set of reference pictures: `sps_max_dec_pic_buffering_minus1` is at most 15.
const SIDE_PICTURES_MAX: u32 = 16;

/// A set of reference pictures that stands for itself (7.3.7): how far each is away.
fn plain_set(bits: &mut Bits<'_>) -> Option<Vec<i32>> {
    let within = |count: &u32| *count <= SIDE_PICTURES_MAX;
    let negative = bits.unsigned().filter(within)?;
    let positive = bits.unsigned().filter(within)?;
    let mut distances = Vec::new();
    for (count, sign) in [(negative, -1), (positive, 1)] {
        let mut distance = 0i32;
        for _ in 0..count {
            let step = i32::try_from(bits.unsigned()?).ok()?.checked_add(1)?;
            distance = distance.checked_add(step.checked_mul(sign)?)?;
            distances.push(distance);
            // used_by_curr_pic_flag
            bits.skip(1)?;
        }
    }
    Some(distances)
}

/// A set that is told as its difference from the one before (7.3.7). How many it has depends on which of the other's it keeps, so
/// that they have to be known.
fn predicted_set(bits: &mut Bits<'_>, before: &[i32]) -> Option<Vec<i32>> {
    let is_negative = bits.bit()?;
    let step = i32::try_from(bits.unsigned()?).ok()?.checked_add(1)?;
    let step = if is_negative { -step } else { step };
    let mut distances = Vec::new();
    for distance in before.iter().copied().chain([0]) {
        // used_by_curr_pic_flag; where it is off, use_delta_flag.
        let keeps = bits.bit()? || bits.bit()?;
        let distance = distance.checked_add(step)?;
        if keeps && distance != 0 {
            distances.push(distance);
        }
    }
    // Those before the picture come first, and on either side the near ones (equations 7-61 and 7-62).
    distances.sort_unstable_by_key(|&distance| (distance > 0, distance.unsigned_abs()));
    (distances.len() <= 2 * SIDE_PICTURES_MAX as usize).then_some(distances)
}

fn usability(bits: &mut Bits<'_>) -> Option<(Option<Hdr>, Option<f64>)> {
    if !bits.bit()? {
        return None;
    }
    let hdr = signal(bits)?;
    let timing = |bits: &mut Bits<'_>| {
        // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
        bits.skip(3)?;
        // default_display_window_flag
        if bits.bit()? {
            skip_codes(bits, 4)?;
        }
        let tick = bits.bit()?.then(|| bits.bits(32))??;
        frame_rate(u64::from(bits.bits(32)?), u64::from(tick))
    };
    Some((hdr, timing(bits)))
}
