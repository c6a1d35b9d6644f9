//! Which codec a `CodecID` names (RFC 9559, section 5.1.4.1.21; the Matroska codec specification lists them).

use crate::container::{Codec, ebml};
use crate::limits::CODEC_BYTES_MAX;

/// Of the id, and for two of them, which stand for what other containers say, of the `CodecPrivate`.
pub(super) fn codec(id: &str, private: &[u8]) -> Codec {
    let known = match id {
        "V_MS/VFW/FOURCC" => video_for_windows(private),
        "A_MS/ACM" => audio_compression_manager(private),
        _ => video(id).or_else(|| audio(id)).or_else(|| subtitle(id)),
    };
    known.unwrap_or_else(|| other(id))
}

fn other(id: &str) -> Codec {
    let printable = id.bytes().filter(|octet| octet.is_ascii_graphic()).collect::<Vec<_>>();
    Codec::Other(ebml::text(&printable, CODEC_BYTES_MAX).unwrap_or_default())
}

fn video(id: &str) -> Option<Codec> {
    Some(match id {
        "V_MPEG4/ISO/AVC" => Codec::Avc,
        "V_MPEGH/ISO/HEVC" => Codec::Hevc,
        "V_AV1" => Codec::Av1,
        "V_VP8" => Codec::Vp8,
        "V_VP9" => Codec::Vp9,
        "V_MPEG1" => Codec::Mpeg1,
        "V_MPEG2" => Codec::Mpeg2,
        "V_MPEG4/ISO/SP" | "V_MPEG4/ISO/ASP" | "V_MPEG4/ISO/AP" => Codec::Mpeg4,
        "V_THEORA" => Codec::Theora,
        "V_MJPEG" => Codec::Mjpeg,
        _ => return None,
    })
}

fn audio(id: &str) -> Option<Codec> {
    // What follows a slash is a profile or a form, for all but MPEG's layers.
    let family = id.split('/').next().unwrap_or(id);
    Some(match (id, family) {
        ("A_MPEG/L3", _) => Codec::Mp3,
        ("A_MPEG/L1" | "A_MPEG/L2", _) => Codec::Mp2,
        (_, "A_AAC") => Codec::Aac,
        (_, "A_AC3") => Codec::Ac3,
        (_, "A_EAC3") => Codec::Eac3,
        (_, "A_DTS") => Codec::Dts,
        (_, "A_TRUEHD") => Codec::TrueHd,
        (_, "A_FLAC") => Codec::Flac,
        (_, "A_ALAC") => Codec::Alac,
        (_, "A_OPUS") => Codec::Opus,
        (_, "A_VORBIS") => Codec::Vorbis,
        (_, "A_PCM") => Codec::Pcm,
        _ => return None,
    })
}

fn subtitle(id: &str) -> Option<Codec> {
    Some(match id {
        "S_TEXT/UTF8" | "S_TEXT/ASCII" => Codec::Srt,
        "S_TEXT/ASS" | "S_TEXT/SSA" | "S_ASS" | "S_SSA" => Codec::Ass,
        "S_TEXT/WEBVTT" => Codec::WebVtt,
        "D_WEBVTT/SUBTITLES" | "D_WEBVTT/CAPTIONS" | "D_WEBVTT/DESCRIPTIONS" | "D_WEBVTT/METADATA" => {
            Codec::WebVtt
        }
        "S_HDMV/PGS" => Codec::Pgs,
        "S_VOBSUB" => Codec::VobSub,
        "S_DVBSUB" => Codec::DvbSub,
        _ => return None,
    })
}

/// The `biCompression` of a `BITMAPINFOHEADER`.
fn video_for_windows(private: &[u8]) -> Option<Codec> {
    let four = private.get(16..20)?.to_ascii_uppercase();
    Some(match &four[..] {
        b"H264" | b"X264" | b"AVC1" | b"DAVC" => Codec::Avc,
        b"HEVC" | b"H265" | b"X265" | b"HVC1" => Codec::Hevc,
        b"AV01" => Codec::Av1,
        b"VP80" => Codec::Vp8,
        b"VP90" => Codec::Vp9,
        b"MPG1" | b"MPEG" => Codec::Mpeg1,
        b"MPG2" => Codec::Mpeg2,
        b"XVID" | b"DIVX" | b"DX50" | b"MP4V" | b"FMP4" => Codec::Mpeg4,
        b"WVC1" | b"WMV3" => Codec::Vc1,
        b"THEO" => Codec::Theora,
        b"MJPG" => Codec::Mjpeg,
        // What the four say is more use to somebody than that they came from Windows.
        _ => other(std::str::from_utf8(&four).ok()?),
    })
}

/// The `wFormatTag` of a `WAVEFORMATEX`.
fn audio_compression_manager(private: &[u8]) -> Option<Codec> {
    let tag = u16::from_le_bytes([*private.first()?, *private.get(1)?]);
    Some(match tag {
        0x0001 | 0x0003 => Codec::Pcm,
        0x0050 => Codec::Mp2,
        0x0055 => Codec::Mp3,
        0x00FF => Codec::Aac,
        0x2000 => Codec::Ac3,
        0x2001 => Codec::Dts,
        0xF1AC => Codec::Flac,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_by_the_name_of_their_codec() {
        for (id, codec_meant) in [
            ("V_MPEG4/ISO/AVC", Codec::Avc),
            ("V_MPEG4/ISO/ASP", Codec::Mpeg4),
            ("A_AAC", Codec::Aac),
            ("A_AAC/MPEG4/LC/SBR", Codec::Aac),
            ("A_AC3/BSID9", Codec::Ac3),
            ("A_DTS/LOSSLESS", Codec::Dts),
            ("A_MPEG/L2", Codec::Mp2),
            ("A_PCM/FLOAT/IEEE", Codec::Pcm),
            ("S_TEXT/SSA", Codec::Ass),
            ("S_TEXT/UTF8", Codec::Srt),
            ("D_WEBVTT/CAPTIONS", Codec::WebVtt),
        ] {
            assert_eq!(codec(id, &[]), codec_meant, "{id}");
        }
    }

    #[test]
    fn what_came_from_other_containers_is_told_by_their_codes() {
        let mut bitmap = [0; 40];
        bitmap[16..20].copy_from_slice(b"XviD");
        assert_eq!(codec("V_MS/VFW/FOURCC", &bitmap), Codec::Mpeg4);
        bitmap[16..20].copy_from_slice(b"qqqq");
        assert_eq!(codec("V_MS/VFW/FOURCC", &bitmap), Codec::Other("QQQQ".into()));
        assert_eq!(codec("V_MS/VFW/FOURCC", &bitmap[..19]), Codec::Other("V_MS/VFW/FOURCC".into()));
        assert_eq!(codec("A_MS/ACM", &[0x55, 0, 1, 2]), Codec::Mp3);
        assert_eq!(codec("A_MS/ACM", &[0x55]), Codec::Other("A_MS/ACM".into()));
    }

    #[test]
    fn an_unknown_codec_keeps_a_short_printable_name() {
        let long = format!("V_\u{7}X {}é", "Y".repeat(99));
        let Codec::Other(name) = codec(&long, &[]) else { panic!("nobody knows it") };
        assert!(name.starts_with("V_XYYY") && name.len() == CODEC_BYTES_MAX);
    }
}
