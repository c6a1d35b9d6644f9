//! What ffprobe says of a container that we don't read ourselves, as facts.
//!
//! ffprobe runs on a stranger's file, and may say anything: what it says is cut to the same limits as what we read. How it is run, and
//! its JSON read, isn't here.

use std::time::Duration;

use serde::Deserialize;

use super::facts::{Audio, Codec, Container, Facts, Hdr, Track, TrackKind, Video};
use super::{Foreign, ebml};
use crate::language::Tag;
use crate::limits::{
    CODEC_BYTES_MAX, FRAME_RATE_MAX, MICROS_MAX, PICTURE_SIDE_MAX, TITLE_BYTES_MAX, TRACKS_MAX,
};

/// What ffprobe has to be asked for (`-show_entries`): nothing but what is read here, so that long tags make no long answer.
pub const ENTRIES: &str = "format=duration:\
    stream=index,id,codec_type,codec_name,width,height,avg_frame_rate,color_transfer,sample_rate,channels:\
    stream_tags=language,title:stream_disposition=default,forced,hearing_impaired,attached_pic";

/// What ffprobe answers to [`ENTRIES`] as JSON (`-of json`).
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Report {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Format {
    duration: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Stream {
    index: u64,
    /// What the container calls it, in hexadecimal digits after `0x`.
    id: Option<String>,
    codec_type: Option<String>,
    codec_name: Option<String>,
    width: i64,
    height: i64,
    avg_frame_rate: Option<String>,
    color_transfer: Option<String>,
    sample_rate: Option<String>,
    channels: i64,
    tags: Tags,
    disposition: Disposition,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Tags {
    language: Option<String>,
    title: Option<String>,
}

/// 0 or 1 each.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Disposition {
    default: u8,
    forced: u8,
    hearing_impaired: u8,
    attached_pic: u8,
}

impl Report {
    /// The facts of a file that begins as this container does; `None` if there is nothing in it.
    pub fn facts(&self, foreign: Foreign) -> Option<Facts> {
        let mut tracks: Vec<Track> = self.streams.iter().take(TRACKS_MAX).map(Stream::track).collect();
        if !tracks.iter().any(|track| matches!(track.kind, TrackKind::Video(_) | TrackKind::Audio(_))) {
            return None;
        }
        if tracks.iter().all(|track| !track.is_default) {
            super::mark_defaults(&mut tracks);
        }
        let duration = self.format.duration.as_deref().and_then(duration);
        let container = Container::Foreign(foreign);
        Some(Facts { container, duration, tracks, index: None, searchable: None, learnt: None })
    }
}

impl Stream {
    fn track(&self) -> Track {
        let hexadecimal = self.id.as_deref().and_then(|id| id.strip_prefix("0x"));
        let id = hexadecimal.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let text = |text: &Option<String>, most| ebml::text(text.as_deref()?.as_bytes(), most);
        Track {
            id: id.unwrap_or(self.index),
            kind: self.kind(),
            codec: codec(self.codec_name.as_deref().unwrap_or_default()),
            language: self.tags.language.as_deref().and_then(|code| code.parse::<Tag>().ok()),
            title: text(&self.tags.title, TITLE_BYTES_MAX),
            is_default: self.disposition.default != 0,
            is_forced: self.disposition.forced != 0,
            is_hearing_impaired: self.disposition.hearing_impaired != 0,
        }
    }

    fn kind(&self) -> TrackKind {
        match self.codec_type.as_deref() {
            // A cover, not a film.
            Some("video") if self.disposition.attached_pic != 0 => TrackKind::Other,
            Some("video") => TrackKind::Video(Video {
                width: side(self.width),
                height: side(self.height),
                hdr: self.hdr(),
                frame_rate: self.avg_frame_rate.as_deref().and_then(frame_rate),
            }),
            Some("audio") => TrackKind::Audio(Audio {
                channels: u16::try_from(self.channels).unwrap_or(0),
                sample_rate: self.sample_rate.as_deref().and_then(|hertz| hertz.parse().ok()).unwrap_or(0),
            }),
            Some("subtitle") => TrackKind::Subtitle,
            _ => TrackKind::Other,
        }
    }

    fn hdr(&self) -> Option<Hdr> {
        match self.color_transfer.as_deref()? {
            "smpte2084" => Some(Hdr::Hdr10),
            "arib-std-b67" => Some(Hdr::Hlg),
            _ => None,
        }
    }
}

fn side(pixels: i64) -> u32 {
    u32::try_from(pixels).ok().filter(|&pixels| pixels <= PICTURE_SIDE_MAX).unwrap_or(0)
}

/// "30000/1001"; "0/0" where it isn't known.
fn frame_rate(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/')?;
    let rate = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0 && rate <= FRAME_RATE_MAX).then_some(rate)
}

/// Seconds.
fn duration(text: &str) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    (!duration.is_zero() && duration <= Duration::from_micros(MICROS_MAX)).then_some(duration)
}

/// Our word for ffprobe's.
fn codec(name: &str) -> Codec {
    match name {
        "h264" => Codec::Avc,
        "hevc" => Codec::Hevc,
        "av1" => Codec::Av1,
        "vp8" => Codec::Vp8,
        "vp9" => Codec::Vp9,
        "mpeg1video" => Codec::Mpeg1,
        "mpeg2video" => Codec::Mpeg2,
        "mpeg4" => Codec::Mpeg4,
        "vc1" => Codec::Vc1,
        "theora" => Codec::Theora,
        "mjpeg" => Codec::Mjpeg,
        "aac" => Codec::Aac,
        "ac3" => Codec::Ac3,
        "eac3" => Codec::Eac3,
        "dts" => Codec::Dts,
        "truehd" => Codec::TrueHd,
        "mp1" | "mp2" => Codec::Mp2,
        "mp3" => Codec::Mp3,
        "flac" => Codec::Flac,
        "alac" => Codec::Alac,
        "opus" => Codec::Opus,
        "vorbis" => Codec::Vorbis,
        "subrip" => Codec::Srt,
        "ass" => Codec::Ass,
        "webvtt" => Codec::WebVtt,
        "mov_text" => Codec::TimedText,
        "hdmv_pgs_subtitle" => Codec::Pgs,
        "dvd_subtitle" => Codec::VobSub,
        "dvb_subtitle" => Codec::DvbSub,
        pcm if pcm.starts_with("pcm_") => Codec::Pcm,
        other => {
            let printable: Vec<u8> = other.bytes().filter(u8::is_ascii_graphic).collect();
            Codec::Other(ebml::text(&printable, CODEC_BYTES_MAX).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(json: &str) -> Option<Facts> {
        serde_json::from_str::<Report>(json).unwrap().facts(Foreign::MpegPs)
    }

    #[test]
    fn a_film_is_told_as_one_that_we_read() {
        let told = facts(
            r#"{"programs": [], "streams": [
                {"index": 0, "codec_name": "mpeg2video", "codec_type": "video", "width": 720, "height": 576, "id": "0x1e0",
                 "avg_frame_rate": "25/1", "disposition": {"default": 0, "forced": 0}, "side_data_list": [{}]},
                {"index": 1, "codec_name": "ac3", "codec_type": "audio", "sample_rate": "48000", "channels": 6, "id": "0x80",
                 "avg_frame_rate": "0/0", "tags": {"language": "ger", "title": "Kommentar\u0000"}},
                {"index": 2, "codec_name": "dvd_subtitle", "codec_type": "subtitle", "id": "0x20"},
                {"index": 3, "codec_type": "data"}
            ], "format": {"duration": "5400.040000"}}"#,
        )
        .unwrap();
        assert_eq!(told.container, Container::Foreign(Foreign::MpegPs));
        assert_eq!(told.duration, Some(Duration::from_millis(5_400_040)));
        let (track, video) = told.video().unwrap();
        assert_eq!((track.id, &track.codec, track.is_default), (0x1e0, &Codec::Mpeg2, true));
        assert_eq!((video.width, video.height, video.frame_rate), (720, 576, Some(25.0)));
        let sound = &told.tracks[1];
        assert_eq!(sound.kind, TrackKind::Audio(Audio { channels: 6, sample_rate: 48_000 }));
        assert_eq!((sound.language, sound.title.as_deref()), ("de".parse().ok(), Some("Kommentar")));
        assert_eq!((&told.tracks[2].kind, &told.tracks[2].codec), (&TrackKind::Subtitle, &Codec::VobSub));
        assert_eq!(told.tracks[3].kind, TrackKind::Other);
    }

    #[test]
    fn what_no_film_has_is_left_out() {
        let told = facts(
            r#"{"streams": [{"codec_type": "video", "codec_name": "a b\u001b[31m", "width": -1, "height": 99999999999,
                 "avg_frame_rate": "1/0", "id": "0xfffffffffffffffffffff", "color_transfer": "x"},
                {"codec_type": "audio", "channels": 70000, "sample_rate": "-5", "tags": {"language": "<b>"}}],
                "format": {"duration": "1e300"}}"#,
        )
        .unwrap();
        let (track, video) = told.video().unwrap();
        assert_eq!((*video, track.id), (Video::default(), 0));
        assert_eq!(track.codec, Codec::Other("ab[31m".to_owned()));
        assert_eq!(told.tracks[1].kind, TrackKind::Audio(Audio::default()));
        assert_eq!((told.tracks[1].language, told.duration), (None, None));
        for wrong in ["nan", "inf", "-1", "0", "0.0", "N/A", ""] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn many_tracks_are_cut_and_a_file_without_any_says_nothing() {
        let stream = r#"{"codec_type": "audio"}"#;
        let many = format!(r#"{{"streams": [{}]}}"#, vec![stream; TRACKS_MAX + 1].join(","));
        assert_eq!(facts(&many).unwrap().tracks.len(), TRACKS_MAX);
        let cover = r#"{"streams": [{"codec_type": "video", "disposition": {"attached_pic": 1}}]}"#;
        for nothing in ["{}", r#"{"streams": [{}], "format": {"duration": "3"}}"#, cover] {
            assert_eq!(facts(nothing), None);
        }
    }
}
