//! Codecs by the names that AVI has for them: four letters for pictures, a number for sound.

use super::super::facts::Codec;
use crate::limits::CODEC_BYTES_MAX;

/// Of `biCompression` or `fccHandler`, in any case.
pub(super) fn pictures(four: [u8; 4]) -> Codec {
    match &four.map(|letter| letter.to_ascii_uppercase()) {
        b"H264" | b"X264" | b"AVC1" | b"DAVC" | b"VSSH" | b"Q264" => Codec::Avc,
        b"H265" | b"X265" | b"HEVC" | b"HVC1" | b"HEV1" => Codec::Hevc,
        b"AV01" => Codec::Av1,
        b"VP80" => Codec::Vp8,
        b"VP90" => Codec::Vp9,
        b"MPG1" | b"MPEG" | b"PIM1" => Codec::Mpeg1,
        b"MPG2" | b"MP2V" | b"EM2V" | b"PIM2" | b"MMES" => Codec::Mpeg2,
        b"XVID" | b"DIVX" | b"DX50" | b"MP4V" | b"FMP4" | b"MP4S" | b"M4S2" | b"3IV2" | b"XVIX" | b"RMP4"
        | b"SEDG" | b"DM4V" | b"BLZ0" => Codec::Mpeg4,
        b"WVC1" | b"WMVA" => Codec::Vc1,
        b"THEO" => Codec::Theora,
        b"MJPG" | b"AVRN" | b"JPEG" | b"LJPG" | b"DMB1" => Codec::Mjpeg,
        _ => Codec::Other(name(four)),
    }
}

/// Subtitles of DivX, which are pictures: a codec of a stream of video.
pub(super) fn is_subtitle(four: [u8; 4]) -> bool {
    matches!(&four, b"DXSB" | b"DXSA")
}

/// Of `wFormatTag` (RFC 2361).
pub(super) fn sound(tag: u16) -> Codec {
    match tag {
        // PCM, IEEE float
        0x0001 | 0x0003 => Codec::Pcm,
        0x0050 => Codec::Mp2,
        0x0055 => Codec::Mp3,
        0x00ff | 0x1600 | 0x1602 | 0x706d | 0xa106 => Codec::Aac,
        0x2000 => Codec::Ac3,
        0x2001 => Codec::Dts,
        0x566f | 0x674f..=0x6751 | 0x676f..=0x6771 => Codec::Vorbis,
        0x704f => Codec::Opus,
        0xf1ac => Codec::Flac,
        _ => Codec::Other(format!("0x{tag:04x}")),
    }
}

/// Four letters as they are, where they can be printed.
fn name(four: [u8; 4]) -> String {
    const _: () = assert!(CODEC_BYTES_MAX >= 4 * 3);
    let is_printable = four.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') && four != *b"    ";
    match four {
        [0, 0, 0, 0] => "uncompressed".to_owned(),
        _ if is_printable => four.map(char::from).iter().collect::<String>().trim().to_owned(),
        _ => format!("0x{:08x}", u32::from_be_bytes(four)),
    }
}
