//! Containers that we tell by their first bytes and don't read: what each is called, and by which of its rules ffprobe has to read it.
//!
//! ffprobe left alone goes by what a file says and by its name, and some of what it then takes for a film names other files or
//! addresses to open: playlists (HLS, DASH, concat), sequences of pictures, subtitles in two files. So it is told which rules to
//! go by, and only ever one of these, none of which opens anything else.

use serde::{Deserialize, Serialize};

/// A container that others read for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Foreign {
    /// An MPEG program stream (ISO 13818-1, 11172-1): `.mpg`, `.vob`.
    MpegPs,
    /// MPEG-1 or MPEG-2 pictures and nothing else.
    MpegVideo,
    /// Advanced Systems Format: `.wmv`, `.wma`.
    Asf,
    /// Ogg (RFC 3533).
    Ogg,
    /// Flash video.
    Flv,
    /// RealMedia.
    RealMedia,
    /// MPEG audio.
    Mp3,
    /// AAC in ADTS.
    Aac,
    /// FLAC (RFC 9639).
    Flac,
    /// WAV, and RF64 for long ones.
    Wav,
    /// AIFF.
    Aiff,
    /// AC-3 (A/52).
    Ac3,
    /// E-AC-3 (A/52, annex E).
    Eac3,
    /// DTS.
    Dts,
    /// WavPack.
    WavPack,
    /// Monkey's Audio.
    Ape,
    /// True Audio.
    Tta,
}

/// The GUID of the header object that every ASF file begins with.
const ASF: [u8; 16] =
    [0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11, 0xA6, 0xD9, 0x00, 0xAA, 0x00, 0x62, 0xCE, 0x6C];

impl Foreign {
    /// All there are.
    pub const ALL: [Self; 17] = [
        Self::MpegPs,
        Self::MpegVideo,
        Self::Asf,
        Self::Ogg,
        Self::Flv,
        Self::RealMedia,
        Self::Mp3,
        Self::Aac,
        Self::Flac,
        Self::Wav,
        Self::Aiff,
        Self::Ac3,
        Self::Eac3,
        Self::Dts,
        Self::WavPack,
        Self::Ape,
        Self::Tta,
    ];

    /// Which one begins so; a few dozen bytes are enough. What isn't sure is none: text in particular never is one.
    pub fn recognise(head: &[u8]) -> Option<Self> {
        let known = match head {
            // A pack or a packet of a stream; the start code of a sequence.
            [0, 0, 1, 0xBA | 0xBD..=0xEF, ..] => Self::MpegPs,
            [0, 0, 1, 0xB3, ..] => Self::MpegVideo,
            [b'O', b'g', b'g', b'S', 0, ..] => Self::Ogg,
            [b'F', b'L', b'V', 1, ..] => Self::Flv,
            [b'.', b'R', b'M', b'F', 0, ..] => Self::RealMedia,
            [b'f', b'L', b'a', b'C', ..] => Self::Flac,
            [b'R', b'I' | b'F', b'F' | b'6', b'F' | b'4', _, _, _, _, b'W', b'A', b'V', b'E', ..] => {
                Self::Wav
            }
            [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', b'F' | b'C', ..] => Self::Aiff,
            // The stream's id is above 10 in the extended syntax.
            [0x0B, 0x77, _, _, _, fifth, ..] if fifth >> 3 > 10 => Self::Eac3,
            [0x0B, 0x77, _, _, _, _, ..] => Self::Ac3,
            // Sixteen bits to a word, of which all or fourteen are used, in either order.
            [0x7F, 0xFE, 0x80, 0x01, ..] | [0xFE, 0x7F, 0x01, 0x80, ..] => Self::Dts,
            [0x1F, 0xFF, 0xE8, 0x00, ..] | [0xFF, 0x1F, 0x00, 0xE8, ..] => Self::Dts,
            [b'w', b'v', b'p', b'k', ..] => Self::WavPack,
            [b'M', b'A', b'C', b' ', ..] => Self::Ape,
            [b'T', b'T', b'A', b'1', ..] => Self::Tta,
            // Tags come before other sound too, but hardly ever.
            [b'I', b'D', b'3', 2..=4, ..] => Self::Mp3,
            _ if head.starts_with(&ASF) => Self::Asf,
            _ => return sound(head),
        };
        Some(known)
    }

    /// ffprobe's name for its rules (`-f`).
    pub fn demuxer(self) -> &'static str {
        match self {
            Self::MpegPs => "mpeg",
            Self::MpegVideo => "mpegvideo",
            Self::RealMedia => "rm",
            Self::WavPack => "wv",
            _ => self.as_str(),
        }
    }

    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MpegPs => "mpegps",
            Self::MpegVideo => "mpegvideo",
            Self::Asf => "asf",
            Self::Ogg => "ogg",
            Self::Flv => "flv",
            Self::RealMedia => "realmedia",
            Self::Mp3 => "mp3",
            Self::Aac => "aac",
            Self::Flac => "flac",
            Self::Wav => "wav",
            Self::Aiff => "aiff",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::Dts => "dts",
            Self::WavPack => "wavpack",
            Self::Ape => "ape",
            Self::Tta => "tta",
        }
    }
}

/// MPEG audio or AAC by twelve bits of a frame's header, and by what no frame says: no bad rate, layer or sampling.
fn sound(head: &[u8]) -> Option<Foreign> {
    let &[0xFF, second, third, ..] = head else { return None };
    // The mark of text in UTF-16 would be sound of a kind that nobody makes.
    if second == 0xFE {
        return None;
    }
    let (layer, rate, sampling) = (second >> 1 & 3, third >> 4, third >> 2 & 3);
    match layer {
        // ADTS has the sampling's index at the same place, of four bits.
        0 if second & 0xF0 == 0xF0 && (third >> 2 & 0xF) < 13 => Some(Foreign::Aac),
        1..=3
            if second & 0xE0 == 0xE0 && second & 0x18 != 0x08 && (1..15).contains(&rate) && sampling < 3 =>
        {
            Some(Foreign::Mp3)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_by_how_it_begins() {
        for (head, expected) in [
            (&b"\0\0\x01\xBA!\0\x01\0"[..], Foreign::MpegPs),
            (b"\0\0\x01\xE0\x07\xec", Foreign::MpegPs),
            (b"\0\0\x01\xB3\x14\0\xb4", Foreign::MpegVideo),
            (&ASF, Foreign::Asf),
            (b"OggS\0\x02", Foreign::Ogg),
            (b"FLV\x01\x05", Foreign::Flv),
            (b".RMF\0\0\0\x12", Foreign::RealMedia),
            (b"ID3\x04\0\0", Foreign::Mp3),
            (b"\xFF\xFB\x90\x64", Foreign::Mp3),
            (b"\xFF\xF1\x4C\x40", Foreign::Aac),
            (b"fLaC\0\0\0\x22", Foreign::Flac),
            (b"RIFF\x46\xca\x08\0WAVEfmt ", Foreign::Wav),
            (b"RF64\xff\xff\xff\xffWAVEds64", Foreign::Wav),
            (b"FORM\0\x08\xca\x2eAIFFCOMM", Foreign::Aiff),
            (b"\x0b\x77\x48\x0d\x0c\x40", Foreign::Ac3),
            (b"\x0b\x77\0\xbf\x32\x87", Foreign::Eac3),
            (b"\x7f\xfe\x80\x01\xfc", Foreign::Dts),
            (b"wvpk\x94Y", Foreign::WavPack),
            (b"MAC \x96\x0f", Foreign::Ape),
            (b"TTA1\x01\0", Foreign::Tta),
        ] {
            assert_eq!(Foreign::recognise(head), Some(expected), "{head:x?}");
        }
    }

    #[test]
    fn nothing_that_names_other_files_is_one() {
        for head in [
            &b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"[..],
            b"ffconcat version 1.0\nfile /etc/passwd\n",
            b"[playlist]\nFile1=http://127.0.0.1/\n",
            b"<?xml version=\"1.0\"?><MPD>",
            b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
            b"# VobSub index file, v7\n",
            b"%03d.png",
            b"RTSPtext",
            b"",
            b"\xFF\xFE#\0E\0X\0T\0",
            b"\xFF\xFF\xFF\xFF",
            b"\0\0\0\x20ftypisom",
            b"\x1A\x45\xDF\xA3",
            b"\0\0\x01\x09",
        ] {
            assert_eq!(Foreign::recognise(head), None, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn no_rules_are_those_of_a_playlist() {
        for foreign in Foreign::ALL {
            let demuxer = foreign.demuxer();
            assert!(
                !["hls", "dash", "concat", "image2", "sdp", "vobsub", "imf", "webm_dash_manifest"]
                    .contains(&demuxer)
            );
            assert!(demuxer.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{demuxer}");
        }
    }
}
