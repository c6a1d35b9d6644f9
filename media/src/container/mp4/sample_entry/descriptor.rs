//! Elementary stream descriptors (`esds`; ISO 14496-1 section 7.2.6, 14496-14).

use super::super::super::facts::Codec;
use super::super::boxes::{Fields, Kind};
use super::other;

/// What a `DecoderConfigDescriptor` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor<'a> {
    /// The object type, as registered with the MP4 registration authority.
    object_type: u8,
    /// What the decoder is told first.
    pub(super) specific: &'a [u8],
}

const ES_DESCRIPTOR: u8 = 0x03;
const DECODER_CONFIG: u8 = 0x04;
const DECODER_SPECIFIC: u8 = 0x05;

impl<'a> Descriptor<'a> {
    pub(super) fn parse(content: &'a [u8]) -> Option<Self> {
        let mut fields = Fields(content);
        fields.full()?;
        let mut stream = Fields(tagged(&mut fields, ES_DESCRIPTOR)?);
        stream.skip(2)?;
        let flags = stream.u8()?;
        if flags & 0x80 != 0 {
            stream.skip(2)?;
        }
        if flags & 0x40 != 0 {
            let url_bytes = stream.u8()?;
            stream.skip(url_bytes.into())?;
        }
        if flags & 0x20 != 0 {
            stream.skip(2)?;
        }
        let mut config = Fields(tagged(&mut stream, DECODER_CONFIG)?);
        let object_type = config.u8()?;
        let specific = config.skip(12).and_then(|()| tagged(&mut config, DECODER_SPECIFIC));
        Some(Self { object_type, specific: specific.unwrap_or_default() })
    }

    pub(super) fn codec(&self, kind: &Kind) -> Codec {
        match self.object_type {
            0x20 => Codec::Mpeg4,
            0x21 => Codec::Avc,
            0x23 => Codec::Hevc,
            0x40 => self.mpeg4_audio(),
            0x60..=0x65 => Codec::Mpeg2,
            0x66..=0x68 => Codec::Aac,
            // MPEG-2 and MPEG-1 audio of any layer; files have layer 3.
            0x69 | 0x6b => Codec::Mp3,
            0x6a => Codec::Mpeg1,
            0x6c => Codec::Mjpeg,
            0xa3 => Codec::Vc1,
            0xa5 => Codec::Ac3,
            0xa6 => Codec::Eac3,
            0xa9..=0xac => Codec::Dts,
            0xad => Codec::Opus,
            0xb1 => Codec::Vp9,
            // Private; what ffmpeg and Nero put there.
            0xdd => Codec::Vorbis,
            0xe0 => Codec::VobSub,
            _ => other(kind),
        }
    }

    fn mpeg4_audio(&self) -> Codec {
        match self.audio_config() {
            Some(AudioConfig { object_type: 32 | 33, .. }) => Codec::Mp2,
            Some(AudioConfig { object_type: 34, .. }) => Codec::Mp3,
            _ => Codec::Aac,
        }
    }

    /// The `AudioSpecificConfig` (ISO 14496-3 section 1.6.2.1) of MPEG-4 audio.
    pub(super) fn audio_config(&self) -> Option<AudioConfig> {
        if self.object_type == 0x40 { AudioConfig::parse(self.specific) } else { None }
    }
}

/// What MPEG-4 audio says of itself; 0 where it says nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AudioConfig {
    object_type: u8,
    pub(super) sample_rate: u32,
    pub(super) channels: u16,
}

impl AudioConfig {
    const RATES: [u32; 13] =
        [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
    /// By `channelConfiguration` (table 1.19).
    const CHANNELS: [u16; 8] = [0, 1, 2, 3, 4, 5, 6, 8];

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let object_type = match bits.take(5)? {
            31 => 32 + bits.take(6)?,
            object_type => object_type,
        };
        let sample_rate = match bits.take(4)? {
            15 => bits.take(24)?,
            nth => Self::RATES.get(nth as usize).copied().unwrap_or(0),
        };
        let channels = Self::CHANNELS.get(bits.take(4)? as usize).copied().unwrap_or(0);
        Some(Self { object_type: u8::try_from(object_type).ok()?, sample_rate, channels })
    }
}

/// Bits, the highest of each byte first.
pub(super) struct Bits<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Bits<'_> {
    pub(super) fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

/// The content of a descriptor, if the next has that tag (ISO 14496-1 section 8.3.3: seven bits of length in a byte).
fn tagged<'a>(fields: &mut Fields<'a>, tag: u8) -> Option<&'a [u8]> {
    if fields.u8()? != tag {
        return None;
    }
    let mut bytes = 0usize;
    for _ in 0..4 {
        let part = fields.u8()?;
        bytes = bytes << 7 | usize::from(part & 0x7f);
        if part & 0x80 == 0 {
            break;
        }
    }
    let (content, rest) = fields.0.split_at(bytes.min(fields.0.len()));
    fields.0 = rest;
    Some(content)
}
