//! What a stream of a program is: its `stream_type` (ISO 13818-1, table 2-34) and its descriptors (2.6; ETSI EN 300 468, 6).

use super::super::facts::{Audio, Codec, Hdr, TrackKind, Video};
use crate::language::Language;

// ISO 13818-1, table 2-45
const REGISTRATION: u8 = 0x05;
const LANGUAGE: u8 = 0x0a;
// ETSI EN 300 468, table 12
const TELETEXT: u8 = 0x56;
const SUBTITLING: u8 = 0x59;
const AC3: u8 = 0x6a;
const ENHANCED_AC3: u8 = 0x7a;
const DTS: u8 = 0x7b;
const AAC: u8 = 0x7c;
// Dolby Vision in transport streams, version 1.2
const DOLBY_VISION: u8 = 0xb0;

/// ISO 13818-1, table 2-60
const HEARING_IMPAIRED: u8 = 2;

/// A list of descriptors: each a tag, a length and so many bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptors<'a>(pub(super) &'a [u8]);

impl<'a> Descriptors<'a> {
    /// The first with a tag. One that is longer than the list ends it.
    fn find(self, wanted: u8) -> Option<&'a [u8]> {
        let mut rest = self.0;
        while let Some((&[tag, length], behind)) = rest.split_first_chunk() {
            let (body, next) = behind.split_at_checked(usize::from(length))?;
            if tag == wanted {
                return Some(body);
            }
            rest = next;
        }
        None
    }

    fn has(self, tag: u8) -> bool {
        self.find(tag).is_some()
    }

    /// `format_identifier`
    pub(super) fn registration(self) -> Option<[u8; 4]> {
        self.find(REGISTRATION)?.first_chunk().copied()
    }
}

/// What is said of a stream before any of it is seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct About {
    pub(super) kind: TrackKind,
    pub(super) codec: Codec,
    pub(super) language: Option<Language>,
    pub(super) is_hearing_impaired: bool,
}

/// Of a stream's type and descriptors. `is_disc` says that types are those of Blu-ray discs.
pub(super) fn about(stream_type: u8, is_disc: bool, descriptors: Descriptors<'_>) -> About {
    let codec = typed(stream_type, is_disc).or_else(|| described(descriptors));
    let codec = codec.unwrap_or_else(|| Codec::Other(format!("stream type 0x{stream_type:02x}")));
    let (language, is_hearing_impaired) = audience(descriptors);
    let mut kind = kind(&codec);
    if let (TrackKind::Video(video), true) = (&mut kind, descriptors.has(DOLBY_VISION)) {
        video.hdr = Some(Hdr::DolbyVision);
    }
    About { kind, codec, language, is_hearing_impaired }
}

fn typed(stream_type: u8, is_disc: bool) -> Option<Codec> {
    Some(match stream_type {
        0x01 => Codec::Mpeg1,
        0x02 => Codec::Mpeg2,
        0x03 | 0x04 => Codec::Mp2,
        0x0f | 0x11 => Codec::Aac,
        0x10 => Codec::Mpeg4,
        0x1b => Codec::Avc,
        0x24 => Codec::Hevc,
        0x80 if is_disc => Codec::Pcm,
        // Where types aren't a disc's, this is how splices are announced (SCTE 35).
        0x86 if !is_disc => return None,
        0x81 => Codec::Ac3,
        0x82 | 0x85 | 0x86 | 0xa2 => Codec::Dts,
        0x83 => Codec::TrueHd,
        0x84 | 0x87 | 0xa1 => Codec::Eac3,
        0x90 => Codec::Pgs,
        0xea => Codec::Vc1,
        _ => return None,
    })
}

/// The codec of a stream whose type leaves it to descriptors.
fn described(descriptors: Descriptors<'_>) -> Option<Codec> {
    let registered = match descriptors.registration().as_ref() {
        Some(b"AC-3") => Some(Codec::Ac3),
        Some(b"EAC3") => Some(Codec::Eac3),
        Some(b"DTS1" | b"DTS2" | b"DTS3") => Some(Codec::Dts),
        Some(b"HEVC") => Some(Codec::Hevc),
        Some(b"AV01") => Some(Codec::Av1),
        Some(b"Opus") => Some(Codec::Opus),
        Some(b"VC-1") => Some(Codec::Vc1),
        Some(b"BSSD") => Some(Codec::Pcm),
        _ => None,
    };
    registered.or_else(|| {
        let tags = [
            (AC3, Codec::Ac3),
            (ENHANCED_AC3, Codec::Eac3),
            (DTS, Codec::Dts),
            (AAC, Codec::Aac),
            (SUBTITLING, Codec::DvbSub),
            (TELETEXT, Codec::Other("teletext".to_owned())),
        ];
        tags.into_iter().find_map(|(tag, codec)| descriptors.has(tag).then_some(codec))
    })
}

fn kind(codec: &Codec) -> TrackKind {
    match codec {
        Codec::Mpeg1 | Codec::Mpeg2 | Codec::Mpeg4 | Codec::Avc | Codec::Hevc | Codec::Av1 | Codec::Vc1 => {
            TrackKind::Video(Video::default())
        }
        Codec::DvbSub | Codec::Pgs => TrackKind::Subtitle,
        Codec::Other(name) if name == "teletext" => TrackKind::Subtitle,
        Codec::Other(_) => TrackKind::Other,
        _ => TrackKind::Audio(Audio::default()),
    }
}

/// Whom a stream is for: the first language that it names, and whether it is for people who don't hear well.
fn audience(descriptors: Descriptors<'_>) -> (Option<Language>, bool) {
    // Each begins with three letters and says what kind it is in the byte behind them.
    let told = [
        (LANGUAGE, (|kind| kind == HEARING_IMPAIRED) as fn(u8) -> bool),
        // component_type (EN 300 468, table 26)
        (SUBTITLING, |kind| matches!(kind, 0x20..=0x25)),
        // teletext_type in the upper five bits (table 100)
        (TELETEXT, |kind| kind >> 3 == 5),
    ];
    let mut audience = (None, false);
    for (tag, is_for_impaired) in told {
        let Some(&[a, b, c, kind]) = descriptors.find(tag).and_then(|body| body.first_chunk()) else {
            continue;
        };
        let language = str::from_utf8(&[a, b, c]).ok().and_then(Language::from_code);
        audience = (audience.0.or(language), audience.1 || is_for_impaired(kind));
    }
    audience
}
