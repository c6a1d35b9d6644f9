//! How many channels and which rate: the headers of frames of sound. A container that carries bare frames says neither.

use super::super::facts::{Audio, Codec, TrackKind};
use super::super::parameter_sets::Bits;
use super::elementary::Understood;

/// What a frame says at the start of a packet, which is where one begins but for writers that don't align them: of those nothing
/// is said, since what begins like a frame comes up in the middle of others.
pub(super) fn understand(codec: &Codec, bytes: &[u8]) -> Option<Understood> {
    let mut bits = Bits::new(bytes);
    let (audio, codec) = match codec {
        Codec::Mp2 | Codec::Mp3 => mpeg(&mut bits)?,
        Codec::Aac => (adts(&mut bits)?, Codec::Aac),
        Codec::Ac3 | Codec::Eac3 => ac3(&mut bits)?,
        Codec::Dts => (dts(&mut bits)?, Codec::Dts),
        _ => return None,
    };
    Some(Understood { kind: TrackKind::Audio(audio), codec })
}

/// A frame of MPEG audio (ISO 11172-3, 2.4.1.3; ISO 13818-3, 2.4.2.3): its layer says which codec it is.
fn mpeg(bits: &mut Bits<'_>) -> Option<(Audio, Codec)> {
    const MONO: u32 = 3;
    const RATES: [u32; 3] = [44_100, 48_000, 32_000];
    if bits.bits(11)? != 0x7ff {
        return None;
    }
    let (version, layer) = (bits.bits(2)?, bits.bits(2)?);
    // protection_bit, bitrate_index
    bits.skip(1)?;
    let bit_rate = bits.bits(4)?;
    let rate = *RATES.get(bits.bits(2)? as usize)?;
    // padding_bit, private_bit
    bits.skip(2)?;
    let channels = if bits.bits(2)? == MONO { 1 } else { 2 };
    let divisor = match version {
        3 => 1,
        2 => 2,
        0 => 4,
        _ => return None,
    };
    let codec = match layer {
        1 => Codec::Mp3,
        2 | 3 => Codec::Mp2,
        _ => return None,
    };
    (bit_rate != 15).then_some((Audio { channels, sample_rate: rate / divisor }, codec))
}

/// A frame of AAC in ADTS (ISO 14496-3, 1.A.2.2). What doubles the rate while decoding (SBR) isn't said there.
fn adts(bits: &mut Bits<'_>) -> Option<Audio> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    // ID, then layer, which is 0
    if bits.bits(12)? != 0xfff || bits.bits(3)? & 3 != 0 {
        return None;
    }
    // protection_absent, profile
    bits.skip(3)?;
    let sample_rate = *RATES.get(bits.bits(4)? as usize)?;
    bits.skip(1)?;
    let channels = match bits.bits(3)? {
        7 => 8,
        channels => channels as u16,
    };
    Some(Audio { channels, sample_rate })
}

/// A frame of AC-3 or E-AC-3 (ETSI TS 102 366, 4.4 and E.1.3); `bsid` says which.
fn ac3(bits: &mut Bits<'_>) -> Option<(Audio, Codec)> {
    /// The highest `bsid` of AC-3.
    const AC3_MAX: u32 = 10;
    const ENHANCED_MAX: u32 = 16;
    let mut ahead = bits.clone();
    if ahead.bits(16)? != 0x0b77 {
        return None;
    }
    ahead.skip(24)?;
    match ahead.bits(5)? {
        ..=AC3_MAX => plain_ac3(bits).map(|audio| (audio, Codec::Ac3)),
        11..=ENHANCED_MAX => enhanced_ac3(bits).map(|audio| (audio, Codec::Eac3)),
        _ => None,
    }
}

const AC3_RATES: [u32; 3] = [48_000, 44_100, 32_000];

/// Channels of `acmod`, without the one for low frequencies.
const AC3_CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

fn plain_ac3(bits: &mut Bits<'_>) -> Option<Audio> {
    // syncword, crc1
    bits.skip(32)?;
    let sample_rate = *AC3_RATES.get(bits.bits(2)? as usize)?;
    // frmsizecod, bsid, bsmod
    bits.skip(14)?;
    let mode = bits.bits(3)?;
    let has_three_in_front = mode & 1 == 1 && mode != 1;
    // cmixlev, surmixlev, dsurmod
    bits.skip(2 * (usize::from(has_three_in_front) + usize::from(mode & 4 != 0) + usize::from(mode == 2)))?;
    let low = u16::from(bits.bit()?);
    Some(Audio { channels: AC3_CHANNELS[mode as usize] + low, sample_rate })
}

fn enhanced_ac3(bits: &mut Bits<'_>) -> Option<Audio> {
    // syncword, strmtyp, substreamid, frmsiz
    bits.skip(32)?;
    let code = bits.bits(2)? as usize;
    let second = bits.bits(2)? as usize;
    // fscod 3 says that the rate is half of what fscod2 says; otherwise the second is numblkscod.
    let sample_rate = match AC3_RATES.get(code) {
        Some(&rate) => rate,
        None => AC3_RATES.get(second)? / 2,
    };
    let mode = bits.bits(3)?;
    let low = u16::from(bits.bit()?);
    Some(Audio { channels: AC3_CHANNELS[mode as usize] + low, sample_rate })
}

/// A frame of the DTS core (ETSI TS 102 114, 5.3.1).
fn dts(bits: &mut Bits<'_>) -> Option<Audio> {
    /// Channels of `AMODE` (table 5-4); higher ones are the user's own.
    const CHANNELS: [u16; 16] = [1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8];
    /// `SFREQ` (table 5-5); 0 where it is reserved.
    const RATES: [u32; 16] =
        [0, 8_000, 16_000, 32_000, 0, 0, 11_025, 22_050, 44_100, 0, 0, 12_000, 24_000, 48_000, 0, 0];
    if bits.bits(32)? != 0x7ffe_8001 {
        return None;
    }
    // FTYPE, SHORT, CPF, NBLKS, FSIZE
    bits.skip(1 + 5 + 1 + 7 + 14)?;
    let channels = *CHANNELS.get(bits.bits(6)? as usize)?;
    let sample_rate = RATES[bits.bits(4)? as usize];
    // RATE, FixedBit, DYNF, TIMEF, AUXF, HDCD, EXT_AUDIO_ID, EXT_AUDIO, ASPF
    bits.skip(5 + 1 + 1 + 1 + 1 + 1 + 3 + 1 + 1)?;
    let low = u16::from(matches!(bits.bits(2)?, 1 | 2));
    Some(Audio { channels: channels + low, sample_rate })
}
