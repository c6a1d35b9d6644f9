//! `media`: what a file's container says, in the JSON shape that scripts and users rely on.

use afflux_media::Tag;
use afflux_media::container::{Facts, Track, TrackKind, Video};
use serde::Serialize;
use utoipa::ToSchema;

/// What a file's container says.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "container": "matroska", "durationSeconds": 5400.04, "bitrate": 4_123_456,
    "video": {"codec": "h264", "width": 1920, "height": 1080, "fps": 23.976},
    "audio": [{"codec": "aac", "channels": 6, "language": "en"}], "subtitles": [{"codec": "subrip", "language": "de"}],
}))]
pub struct MediaInfo {
    /// `mp4`, `matroska`, `webm`, `avi` or `mpegts`; what ffprobe reads for us is `mpegps`, `mpegvideo`, `asf`, `ogg`, `flv`,
    /// `realmedia`, `mp3`, `aac`, `flac`, `wav`, `aiff`, `ac3`, `eac3`, `dts`, `wavpack`, `ape` or `tta`.
    container: &'static str,
    /// How long it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    /// Bits of the file for a second of the film.
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate: Option<u64>,
    /// The first video track.
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<VideoInfo>,
    /// All audio tracks.
    audio: Vec<AudioInfo>,
    /// All subtitle tracks within the file.
    subtitles: Vec<SubtitleInfo>,
}

/// A video track.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct VideoInfo {
    codec: String,
    width: u32,
    height: u32,
    /// Pictures in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    fps: Option<f64>,
    /// `hdr10`, `hdr10+`, `hlg` or `dv`.
    #[serde(skip_serializing_if = "Option::is_none")]
    hdr: Option<&'static str>,
}

/// An audio track.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AudioInfo {
    codec: String,
    channels: u16,
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

/// A subtitle track within the file.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SubtitleInfo {
    codec: String,
    /// BCP 47.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// Shown even to those who want no subtitles.
    forced: bool,
    /// For people who don't hear well.
    sdh: bool,
}

impl MediaInfo {
    /// What is told of a file of so many bytes.
    pub fn new(facts: &Facts, length: u64) -> Self {
        let duration_seconds =
            facts.duration.map(|duration| duration.as_secs_f64()).filter(|&seconds| seconds > 0.0);
        let (mut audio, mut subtitles) = (Vec::new(), Vec::new());
        for track in &facts.tracks {
            match &track.kind {
                TrackKind::Audio(known) => audio.push(AudioInfo {
                    codec: track.codec.as_str().to_owned(),
                    channels: known.channels,
                    language: track.language.map(|tag: Tag| tag.to_string()),
                    title: track.title.clone(),
                }),
                TrackKind::Subtitle => subtitles.push(SubtitleInfo {
                    codec: track.codec.as_str().to_owned(),
                    language: track.language.map(|tag: Tag| tag.to_string()),
                    title: track.title.clone(),
                    forced: track.is_forced,
                    sdh: track.is_hearing_impaired,
                }),
                TrackKind::Video(_) | TrackKind::Other => {}
            }
        }
        Self {
            container: facts.container.as_str(),
            duration_seconds,
            bitrate: duration_seconds.map(|seconds| (length as f64 * 8.0 / seconds) as u64),
            video: facts.video().map(|(track, video)| VideoInfo::new(track, video)),
            audio,
            subtitles,
        }
    }
}

impl VideoInfo {
    fn new(track: &Track, video: &Video) -> Self {
        Self {
            codec: track.codec.as_str().to_owned(),
            width: video.width,
            height: video.height,
            fps: video.frame_rate,
            hdr: video.hdr.map(|hdr| hdr.as_str()),
        }
    }
}
