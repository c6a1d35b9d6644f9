//! Audio sample entries (ISO 14496-12 section 12.2.3; QuickTime's sound descriptions, which have three forms).

use super::super::super::facts::{Audio, Codec, TrackKind};
use super::super::boxes::{Boxes, Fields};
use super::descriptor::{Bits, Descriptor};
use super::{Raw, SampleEntry, other};

pub(super) fn read(raw: &Raw) -> SampleEntry {
    let sound = Sound::parse(raw).unwrap_or_default();
    let descriptor = sound.find(raw, b"esds").and_then(Descriptor::parse);
    let audio = sound.exactly(raw, descriptor.as_ref()).unwrap_or(sound.audio);
    let codec = codec(raw, &sound, descriptor.as_ref());
    SampleEntry { codec, kind: TrackKind::Audio(audio), is_forced: false }
}

/// What all forms have.
#[derive(Clone, Copy, Debug, Default)]
struct Sound {
    audio: Audio,
    /// The fields before the boxes.
    fields_bytes: usize,
}

impl Sound {
    fn parse(raw: &Raw) -> Option<Self> {
        let mut fields = Fields(raw.content);
        fields.skip(8)?;
        let version = fields.u16()?;
        fields.skip(6)?;
        let channels = fields.u16()?;
        fields.skip(6)?;
        // 16 bits, and a fraction in 16 more.
        let sample_rate = fields.u32()? >> 16;
        let audio = Audio { channels, sample_rate };
        match version {
            // A table of version 1 has ISO's own entries of version 1, which have no further fields.
            1 if raw.table_version == 0 => Some(Self { audio, fields_bytes: 44 }),
            2 => Self::parse_long(fields),
            _ => Some(Self { audio, fields_bytes: 28 }),
        }
    }

    /// QuickTime's version 2: for rates and channels beyond 16 bits.
    fn parse_long(mut fields: Fields) -> Option<Self> {
        fields.skip(4)?;
        let rate = f64::from_bits(fields.u64()?);
        let channels = u16::try_from(fields.u32()?).unwrap_or(0);
        let sample_rate = if (1.0..=f64::from(u32::MAX)).contains(&rate) { rate as u32 } else { 0 };
        Some(Self { audio: Audio { channels, sample_rate }, fields_bytes: 64 })
    }

    /// A box of the entry, or of its `wave`, where QuickTime has those for the decoder.
    fn find<'a>(&self, raw: &'a Raw, kind: &[u8; 4]) -> Option<&'a [u8]> {
        let boxes = raw.boxes(self.fields_bytes);
        let in_wave = || Boxes(boxes.clone().first(b"wave")?).first(kind);
        boxes.clone().first(kind).or_else(in_wave)
    }

    /// What the decoder is told is right where the entry's own fields aren't: they say 2 channels of whatever there are
    /// (section 12.2.3.3), and hold no more than 16 bits of the rate.
    fn exactly(&self, raw: &Raw, descriptor: Option<&Descriptor>) -> Option<Audio> {
        let said = match &raw.kind {
            b"ac-3" | b"sac3" => ac3(self.find(raw, b"dac3")?)?,
            b"ec-3" => eac3(self.find(raw, b"dec3")?)?,
            b"Opus" => opus(self.find(raw, b"dOps")?)?,
            b"fLaC" => flac(self.find(raw, b"dfLa")?)?,
            b"alac" => alac(self.find(raw, b"alac")?)?,
            _ => {
                let config = descriptor?.audio_config()?;
                Audio { channels: config.channels, sample_rate: config.sample_rate }
            }
        };
        let here = self.audio;
        Some(Audio {
            channels: if said.channels == 0 { here.channels } else { said.channels },
            sample_rate: if said.sample_rate == 0 { here.sample_rate } else { said.sample_rate },
        })
    }
}

fn codec(raw: &Raw, sound: &Sound, descriptor: Option<&Descriptor>) -> Codec {
    match &raw.original(sound.fields_bytes) {
        kind @ b"mp4a" => descriptor.map_or(Codec::Aac, |found| found.codec(kind)),
        b"ac-3" | b"sac3" => Codec::Ac3,
        b"ec-3" => Codec::Eac3,
        b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" | b"DTS " => Codec::Dts,
        b"mlpa" => Codec::TrueHd,
        b"Opus" => Codec::Opus,
        b"fLaC" => Codec::Flac,
        b"alac" => Codec::Alac,
        b".mp1" | b".mp2" => Codec::Mp2,
        b".mp3" | b"mp3 " | b"ms\0U" => Codec::Mp3,
        b"raw " | b"NONE" | b"sowt" | b"twos" | b"lpcm" | b"ipcm" | b"fpcm" | b"in24" | b"in32" | b"fl32"
        | b"fl64" => Codec::Pcm,
        kind => other(kind),
    }
}

/// Channels of AC-3 by `acmod` (ETSI TS 102 366 table 4.3), without the one for low frequencies.
const AC3_CHANNELS: [u16; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
/// By `fscod`.
const AC3_RATES: [u32; 4] = [48_000, 44_100, 32_000, 0];

/// `dac3` (ETSI TS 102 366 annex F.4).
fn ac3(content: &[u8]) -> Option<Audio> {
    let mut bits = Bits { bytes: content, at: 0 };
    let rate = bits.take(2)?;
    bits.take(5 + 3)?;
    let (mode, low) = (bits.take(3)?, bits.take(1)?);
    Some(Audio { channels: AC3_CHANNELS[mode as usize] + low as u16, sample_rate: AC3_RATES[rate as usize] })
}

/// `dec3` (annex F.6), of its first independent substream. What dependent ones add to the channels is counted by their locations.
fn eac3(content: &[u8]) -> Option<Audio> {
    let mut bits = Bits { bytes: content, at: 0 };
    bits.take(13 + 3)?;
    let rate = bits.take(2)?;
    bits.take(5 + 1 + 1 + 3)?;
    let (mode, low) = (bits.take(3)?, bits.take(1)?);
    bits.take(3)?;
    let more = if bits.take(4)? > 0 { more_channels(bits.take(9)?) } else { 0 };
    let channels = AC3_CHANNELS[mode as usize] + low as u16 + more;
    Some(Audio { channels, sample_rate: AC3_RATES[rate as usize] })
}

/// `chan_loc` (table F.6.1), its bits counted from the lowest: pairs but for the centres and the second channel for low frequencies.
fn more_channels(locations: u32) -> u16 {
    const SINGLE: u32 = 0b1_1000_1100;
    (2 * (locations & !SINGLE).count_ones() + (locations & SINGLE).count_ones()) as u16
}

/// `dOps` (Encapsulation of Opus in ISOBMFF, section 4.3.2). Opus is always decoded to 48 kHz.
fn opus(content: &[u8]) -> Option<Audio> {
    Some(Audio { channels: (*content.get(1)?).into(), sample_rate: 48_000 })
}

/// `dfLa`: a full box, the head of a metadata block, and `STREAMINFO` (RFC 9639 section 8.2).
fn flac(content: &[u8]) -> Option<Audio> {
    let mut bits = Bits { bytes: content.get(4 + 4 + 10..)?, at: 0 };
    let sample_rate = bits.take(20)?;
    Some(Audio { channels: bits.take(3)? as u16 + 1, sample_rate })
}

/// `alac`: a full box, and `ALACSpecificConfig`.
fn alac(content: &[u8]) -> Option<Audio> {
    let mut fields = Fields(content);
    fields.skip(4 + 9)?;
    let channels = fields.u8()?.into();
    fields.skip(10)?;
    Some(Audio { channels, sample_rate: fields.u32()? })
}
