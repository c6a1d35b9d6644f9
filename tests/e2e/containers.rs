//! What we read of a container beside what ffprobe reads of it, for four dozen files that ffmpeg writes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use afflux_media::container::{Facts, Inspection, Step, Track, TrackKind};
use serde_json::Value;

use crate::harness::Scratch;
use crate::harness::process::tool;

/// How a file is written: its name and what ffmpeg is told beyond the inputs. Input 0 is the pictures, 1 and 2 are sounds, 3
/// subtitles.
struct Case {
    name: String,
    arguments: Vec<&'static str>,
}

const LENGTH: &str = "6";
const SUBTITLES: &str = "1\n00:00:01,000 --> 00:00:02,000\nOne\n\n2\n00:00:03,000 --> 00:00:04,000\nTwo\n";

/// Words of a line.
fn words(line: &'static str) -> impl Iterator<Item = &'static str> {
    line.split_whitespace()
}

fn cases() -> Vec<Case> {
    let (avc, hevc) = (
        "-c:v libx264 -preset ultrafast -bf 2 -g 50",
        "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=50",
    );
    let (xvid, mpeg2, vp8, vp9) = (
        "-c:v mpeg4 -g 25",
        "-c:v mpeg2video -g 15",
        "-c:v libvpx -deadline realtime -g 50",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 50",
    );
    let (mjpeg, av1) = ("-c:v mjpeg", "-c:v libsvtav1 -preset 12 -g 50");
    let (aac, mp3, mp2, ac3, eac3) = ("-c:a aac", "-c:a libmp3lame", "-c:a mp2", "-c:a ac3", "-c:a eac3");
    let (opus, vorbis, flac, pcm, alac) =
        ("-c:a libopus", "-c:a libvorbis", "-c:a flac", "-c:a pcm_s16le", "-c:a alac");
    let (both, all) =
        ("-map 0 -map 1", "-map 0 -map 1 -map 2 -metadata:s:a:0 language=eng -metadata:s:a:1 language=ger");
    let text = "-map 0 -map 1 -map 3 -metadata:s:s:0 language=fre";
    let rows = [
        ("mp4", both, avc, aac, ""),
        ("mp4", both, avc, aac, "-movflags +faststart"),
        ("mp4", both, avc, mp3, ""),
        ("mp4", both, avc, ac3, "-movflags +faststart"),
        ("mp4", both, avc, eac3, ""),
        ("mp4", both, avc, opus, ""),
        ("mp4", both, avc, flac, "-strict -2"),
        ("mp4", both, hevc, aac, "-tag:v hvc1"),
        ("mp4", both, hevc, aac, "-tag:v hev1 -movflags +faststart"),
        ("mp4", both, xvid, aac, ""),
        ("mp4", both, vp9, opus, ""),
        ("mp4", both, av1, aac, ""),
        ("mp4", all, avc, aac, ""),
        ("mp4", text, avc, aac, "-c:s mov_text"),
        ("mp4", both, avc, aac, "-movflags frag_keyframe+empty_moov"),
        ("mp4", both, avc, aac, "-movflags frag_keyframe+empty_moov+default_base_moof"),
        ("mp4", both, avc, aac, "-movflags frag_keyframe+empty_moov+global_sidx"),
        ("mov", both, avc, aac, ""),
        ("mov", both, avc, pcm, ""),
        ("mov", both, avc, alac, "-movflags +faststart"),
        ("mov", both, mjpeg, pcm, ""),
        ("m4v", both, avc, aac, "-ss 0.5"),
        ("mkv", both, avc, aac, ""),
        ("mkv", both, avc, ac3, ""),
        ("mkv", both, avc, eac3, "-cues_to_front 1"),
        ("mkv", both, avc, flac, "-write_crc32 0"),
        ("mkv", both, avc, opus, "-cluster_time_limit 500"),
        ("mkv", both, avc, vorbis, ""),
        ("mkv", both, avc, mp3, ""),
        ("mkv", both, hevc, aac, ""),
        ("mkv", both, xvid, mp3, ""),
        ("mkv", both, mpeg2, ac3, ""),
        ("mkv", both, av1, opus, ""),
        ("mkv", both, vp9, opus, ""),
        ("mkv", all, avc, aac, ""),
        ("mkv", text, avc, aac, "-c:s srt"),
        ("mkv", text, avc, aac, "-c:s ass"),
        ("mkv", both, avc, aac, "-reserve_index_space 4096"),
        ("mkv", both, avc, pcm, "-live 1"),
        ("webm", both, vp8, vorbis, ""),
        ("webm", both, vp9, opus, ""),
        ("webm", text, vp9, opus, "-c:s webvtt"),
        ("avi", both, xvid, mp3, ""),
        ("avi", both, avc, ac3, "-bf 0"),
        ("avi", both, mjpeg, pcm, ""),
        ("avi", all, xvid, mp3, ""),
        ("ts", both, avc, aac, ""),
        ("ts", both, avc, ac3, ""),
        ("ts", both, mpeg2, mp2, ""),
        ("ts", both, hevc, aac, ""),
        ("ts", all, avc, aac, ""),
        ("m2ts", both, avc, ac3, "-mpegts_m2ts_mode 1"),
    ];
    let cases = rows.into_iter().enumerate().map(|(nth, (extension, map, video, audio, more))| Case {
        name: format!("{nth:02}.{extension}"),
        arguments: [map, video, audio, more].into_iter().flat_map(words).collect(),
    });
    cases.collect()
}

impl Case {
    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join(&self.name);
        let mut ffmpeg = Command::new(tool("ffmpeg", "ffmpeg"));
        ffmpeg.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"]);
        ffmpeg.arg(format!("testsrc2=size=320x180:rate=25:duration={LENGTH}"));
        for hertz in [440, 880] {
            ffmpeg.args([
                "-f",
                "lavfi",
                "-i",
                &format!("sine=frequency={hertz}:sample_rate=48000:duration={LENGTH}"),
            ]);
        }
        ffmpeg.arg("-i").arg(folder.join("text.srt"));
        // Some containers say two channels whatever there are.
        ffmpeg.args(["-pix_fmt", "yuv420p", "-ac", "2"]).args(&self.arguments).arg(&path);
        let output = ffmpeg.output().expect("ffmpeg starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {:?}: {said}", self.name, self.arguments);
        path
    }
}

pub(super) fn ffprobe(path: &Path, arguments: &[&str]) -> Value {
    let mut probe = Command::new(tool("ffprobe", "ffmpeg"));
    let output = probe.args(["-v", "error", "-of", "json"]).args(arguments).arg(path).output();
    serde_json::from_slice(&output.expect("ffprobe starts").stdout).expect("JSON")
}

/// What we read, and of how many bytes.
pub(super) fn inspect(path: &Path) -> (Facts, u64) {
    let file = File::open(path).expect("it was written");
    let mut inspection = Inspection::new(file.metadata().expect("its length").len());
    let mut bytes_read = 0;
    loop {
        match inspection.step() {
            Step::Read(range) => {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start).expect("it asks for what is there");
                bytes_read += bytes.len() as u64;
                inspection.supply(range.start, bytes);
            }
            Step::Done(facts) => return (*facts, bytes_read),
            Step::Failed(fault) => panic!("{}: {fault}", path.display()),
        }
    }
}

pub(super) fn number(value: &Value) -> f64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .or_else(|| value.as_f64())
        .unwrap_or_else(|| panic!("{value}"))
}

/// Our word for ffprobe's.
fn codec(theirs: &str) -> &str {
    match theirs {
        "mpeg2video" => "mpeg2",
        pcm if pcm.starts_with("pcm_") => "pcm",
        other => other,
    }
}

/// A track as a line, in the words of both.
fn ours(track: &Track) -> String {
    let facts = match &track.kind {
        TrackKind::Video(video) => format!("video {}x{}", video.width, video.height),
        TrackKind::Audio(audio) => format!("audio {} at {}", audio.channels, audio.sample_rate),
        TrackKind::Subtitle => "subtitle".to_owned(),
        TrackKind::Other => "other".to_owned(),
    };
    let language = track.language.map_or("und", |tag| tag.language.alpha3_b());
    format!("{facts} {} {language}", track.codec.as_str())
}

fn theirs(stream: &Value, has_languages: bool) -> String {
    let kind = stream["codec_type"].as_str().expect("a kind");
    let facts = match kind {
        "video" => format!("video {}x{}", stream["width"], stream["height"]),
        "audio" => format!("audio {} at {}", stream["channels"], number(&stream["sample_rate"])),
        other => other.to_owned(),
    };
    let language = stream["tags"]["language"].as_str().filter(|_| has_languages).unwrap_or("und");
    format!("{facts} {} {language}", codec(stream["codec_name"].as_str().expect("a codec")))
}

fn compare(case: &Case, path: &Path) {
    let (facts, bytes_read) = inspect(path);
    let what = format!("{} ({})", case.name, case.arguments.join(" "));
    let about = ffprobe(path, &["-show_format", "-show_streams"]);
    let streams = about["streams"].as_array().expect("streams");
    // AVI has a place for languages that ffmpeg writes and ffprobe doesn't read.
    let has_languages = !case.name.ends_with("avi");
    let tracks: Vec<String> = facts.tracks.iter().map(ours).collect();
    let tracks: Vec<String> = match has_languages {
        true => tracks,
        false => facts.tracks.iter().map(|track| ours(&Track { language: None, ..track.clone() })).collect(),
    };
    let expected: Vec<String> = streams.iter().map(|stream| theirs(stream, has_languages)).collect();
    assert_eq!(tracks, expected, "{what}");
    // Of what was recorded live ffprobe doesn't say it; we take it from the end.
    let is_live = case.arguments.contains(&"-live");
    let theirs = if is_live { number(&Value::from(LENGTH)) } else { number(&about["format"]["duration"]) };
    let duration = facts.duration.unwrap_or_else(|| panic!("{what}: no duration, {theirs} s is right"));
    let duration = duration.as_secs_f64();
    assert!((duration - theirs).abs() < 0.1, "{what}: {duration} s, and {theirs} s is right");
    let length = path.metadata().expect("it is there").len();
    assert!(
        bytes_read < 1 << 20 && bytes_read <= 2 * length,
        "{what}: {bytes_read} bytes were read of {length}"
    );
    // With a `sidx` over two tracks ffprobe knows one key frame and no more.
    if !case.arguments.iter().any(|argument| argument.ends_with("global_sidx")) {
        points_are_key_frames(&facts, path, &what);
    }
}

/// Each point of an index is a key frame's time, and lies at it or before it.
fn points_are_key_frames(facts: &Facts, path: &Path, what: &str) {
    let Some(index) = &facts.index else { return };
    let packets =
        ffprobe(path, &["-select_streams", "v:0", "-show_entries", "packet=pts_time,dts_time,pos,flags"]);
    let packets = packets["packets"].as_array().expect("packets");
    let keys: Vec<(f64, u64)> = packets
        .iter()
        .filter(|packet| packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K')))
        .map(|packet| {
            let time = if packet["pts_time"].is_null() { &packet["dts_time"] } else { &packet["pts_time"] };
            (number(time), number(&packet["pos"]) as u64)
        })
        .collect();
    assert!(!keys.is_empty() && !index.points().is_empty(), "{what}: no key frames");
    for point in index.points() {
        let seconds = point.micros as f64 / 1e6;
        let near = keys.iter().any(|&(time, offset)| {
            // ffprobe says where a chunk's content begins, AVI's index where its header does.
            (time - seconds).abs() < 0.1 && point.offset <= offset + 8
        });
        assert!(near, "{what}: {seconds} s at {} is no key frame's: {keys:?}", point.offset);
    }
}

#[test]
fn containers_say_to_us_what_they_say_to_ffprobe() {
    let scratch = Scratch::new();
    let folder = scratch.path("films");
    std::fs::create_dir(&folder).expect("a new folder");
    std::fs::write(folder.join("text.srt"), SUBTITLES).expect("room");
    let cases = cases();
    assert!(cases.len() >= 40);
    for case in &cases {
        let path = case.write(&folder);
        compare(case, &path);
        std::fs::remove_file(path).expect("it was written");
    }
}
