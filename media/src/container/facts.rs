//! What is known of a film from its container.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::foreign::Foreign;
use super::index::{Index, Point};
use super::search::Searchable;
use crate::language::Tag;
use crate::limits::LEARNT_POINTS_MAX;

/// What a container says of what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Which it is.
    pub container: Container,
    /// How long it lasts, where that is said.
    pub duration: Option<Duration>,
    /// Its tracks, in the container's order; at most [`TRACKS_MAX`](crate::limits::TRACKS_MAX).
    pub tracks: Vec<Track>,
    /// Which byte is which time, where there is an index.
    pub index: Option<Index>,
    /// How a [`Seek`](super::Seek) finds a time in it, where there is no index and that can be done.
    #[serde(default)]
    pub searchable: Option<Searchable>,
    /// What such searches learnt so far: some points, with others between them.
    #[serde(default)]
    pub learnt: Option<Index>,
}

/// A kind of container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Container {
    /// MP4 (ISO 14496-12, 14496-14) or QuickTime, in one piece.
    Mp4,
    /// The same in fragments (`moof`).
    FragmentedMp4,
    /// Matroska (RFC 9559).
    Matroska,
    /// WebM.
    WebM,
    /// AVI, with OpenDML or without.
    Avi,
    /// An MPEG-2 transport stream (ISO 13818-1), of 188 or 192 bytes a packet.
    MpegTs,
    /// One that ffprobe reads for us.
    Foreign(Foreign),
}

/// One track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The number that the container knows it by.
    pub id: u64,
    /// What it is for.
    pub kind: TrackKind,
    /// How it is encoded.
    pub codec: Codec,
    /// Its language, if it says one that we know.
    pub language: Option<Tag>,
    /// What people called it; at most [`TITLE_BYTES_MAX`](crate::limits::TITLE_BYTES_MAX).
    pub title: Option<String>,
    /// Players choose it if nobody says otherwise.
    pub is_default: bool,
    /// It is shown even to those who want no subtitles.
    pub is_forced: bool,
    /// It is for people who don't hear well.
    pub is_hearing_impaired: bool,
}

/// What a track is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TrackKind {
    /// Pictures.
    Video(Video),
    /// Sound.
    Audio(Audio),
    /// Text or pictures over the film.
    Subtitle,
    /// Something else: chapters, time codes, attachments.
    Other,
}

/// What a video track says; 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Brighter than usual, if it is.
    pub hdr: Option<Hdr>,
    /// Pictures in a second, where that is said.
    pub frame_rate: Option<f64>,
}

/// What an audio track says; 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    /// How many.
    pub channels: u16,
    /// In hertz.
    pub sample_rate: u32,
}

/// A way to say brighter pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hdr {
    /// SMPTE ST 2084, with fixed metadata or none.
    Hdr10,
    /// SMPTE ST 2094-40.
    Hdr10Plus,
    /// Hybrid log-gamma (ARIB STD-B67).
    Hlg,
    /// Dolby Vision.
    DolbyVision,
}

/// How a track is encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codec {
    /// H.264.
    Avc,
    /// H.265.
    Hevc,
    /// AV1.
    Av1,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// MPEG-1 video.
    Mpeg1,
    /// MPEG-2 video (H.262).
    Mpeg2,
    /// MPEG-4 part 2: DivX, Xvid.
    Mpeg4,
    /// VC-1.
    Vc1,
    /// Theora.
    Theora,
    /// Motion JPEG.
    Mjpeg,
    /// AAC.
    Aac,
    /// AC-3.
    Ac3,
    /// E-AC-3.
    Eac3,
    /// DTS.
    Dts,
    /// Dolby TrueHD.
    TrueHd,
    /// MPEG audio, layer 1 or 2.
    Mp2,
    /// MPEG audio, layer 3.
    Mp3,
    /// FLAC.
    Flac,
    /// Apple Lossless.
    Alac,
    /// Opus.
    Opus,
    /// Vorbis.
    Vorbis,
    /// Samples as they are.
    Pcm,
    /// SubRip.
    Srt,
    /// SubStation Alpha, both versions.
    Ass,
    /// WebVTT.
    WebVtt,
    /// 3GPP timed text (`tx3g`).
    TimedText,
    /// Pictures of a Blu-ray disc.
    Pgs,
    /// Pictures of a DVD.
    VobSub,
    /// Pictures of a broadcast.
    DvbSub,
    /// What the container calls it; at most [`CODEC_BYTES_MAX`](crate::limits::CODEC_BYTES_MAX), printable.
    Other(String),
}

impl Facts {
    /// Keeps what a search learnt, so that the next begins from there: at most [`LEARNT_POINTS_MAX`] points.
    pub fn learn(&mut self, points: Vec<Point>) {
        self.learnt = match self.learnt.take() {
            Some(known) => Some(known.with(points)),
            None => Index::new(points),
        }
        .map(|learnt| learnt.thinned_out(LEARNT_POINTS_MAX));
    }

    /// The first video track.
    pub fn video(&self) -> Option<(&Track, &Video)> {
        self.tracks.iter().find_map(|track| match &track.kind {
            TrackKind::Video(video) => Some((track, video)),
            _ => None,
        })
    }
}

impl Container {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mp4 | Self::FragmentedMp4 => "mp4",
            Self::Matroska => "matroska",
            Self::WebM => "webm",
            Self::Avi => "avi",
            Self::MpegTs => "mpegts",
            Self::Foreign(foreign) => foreign.as_str(),
        }
    }
}

impl Hdr {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hdr10 => "hdr10",
            Self::Hdr10Plus => "hdr10+",
            Self::Hlg => "hlg",
            Self::DolbyVision => "dv",
        }
    }
}

impl Codec {
    /// What people call it; what the container calls it if we don't know it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Avc => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
            Self::Mpeg1 => "mpeg1",
            Self::Mpeg2 => "mpeg2",
            Self::Mpeg4 => "mpeg4",
            Self::Vc1 => "vc1",
            Self::Theora => "theora",
            Self::Mjpeg => "mjpeg",
            Self::Aac => "aac",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::Dts => "dts",
            Self::TrueHd => "truehd",
            Self::Mp2 => "mp2",
            Self::Mp3 => "mp3",
            Self::Flac => "flac",
            Self::Alac => "alac",
            Self::Opus => "opus",
            Self::Vorbis => "vorbis",
            Self::Pcm => "pcm",
            Self::Srt => "subrip",
            Self::Ass => "ass",
            Self::WebVtt => "webvtt",
            Self::TimedText => "mov_text",
            Self::Pgs => "pgs",
            Self::VobSub => "vobsub",
            Self::DvbSub => "dvbsub",
            Self::Other(name) => name,
        }
    }
}
