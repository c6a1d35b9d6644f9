//! The film that players watch: the same one in each container, written once.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::time_code::{HEIGHT, WIDTH, frames};
use crate::harness::process::tool;

/// Frames per second.
const RATE: u32 = 25;
/// From a key frame to the next, and from a line of the subtitles to the next.
const CUE_SECONDS: u32 = 4;
/// Lines of the subtitles.
const CUES: u32 = 24;
/// How long it plays.
pub(crate) const SECONDS: u32 = CUES * CUE_SECONDS;
/// Seconds after its key frame at which a line is shown. What lies outside is the gap between lines.
const LINE: Range<f64> = 0.5..3.5;
/// A moment is so long after its key frame: no player shows it without decoding what comes before. It is between frames for
/// all: containers shift a film by up to 21 ms, since the sound begins before the picture.
const AFTER_KEY: f64 = 2.03;

/// Of the seconds before a moment, so many count: players look at the heads of all fragments, and read on from there a bit.
const NEEDED_SECONDS: f64 = 0.5;

/// Bits per second of picture. Noise makes use of all of it.
const ENCODER: &str = "-g 100 -keyint_min 100 -b:v 400k -minrate 400k -maxrate 400k -bufsize 400k";
const AVC: &str = "-c:v libx264 -preset ultrafast -bf 2 -sc_threshold 0 -c:a aac -b:a 64k";
/// AVI says no times: sound that begins before the picture, as most encoders' does, would move the picture by a frame.
const XVID: &str = "-c:v mpeg4 -sc_threshold 1000000000 -c:a pcm_mulaw -ar 8000 -ac 1";
const VP9: &str =
    "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -c:a libopus -b:a 64k -c:s webvtt";

/// What the film is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Mp4IndexLast,
    Mp4IndexFirst,
    Mp4Fragmented,
    MkvCuesLast,
    MkvWithoutCues,
    Webm,
    Ts,
    Avi,
}

impl Container {
    const COUNT: usize = Self::Avi as usize + 1;

    /// Its name ends in.
    fn extension(self) -> &'static str {
        match self {
            Self::Mp4IndexLast | Self::Mp4IndexFirst | Self::Mp4Fragmented => "mp4",
            Self::MkvCuesLast | Self::MkvWithoutCues => "mkv",
            Self::Webm => "webm",
            Self::Ts => "ts",
            Self::Avi => "avi",
        }
    }

    /// How ffmpeg makes it of what is encoded already.
    fn muxer(self) -> &'static str {
        match self {
            Self::Mp4IndexLast => "-c:s mov_text",
            Self::Mp4IndexFirst => "-c:s mov_text -movflags +faststart",
            Self::Mp4Fragmented => "-sn -movflags frag_keyframe+delay_moov+default_base_moof",
            // A head without checksums can be changed.
            Self::MkvWithoutCues => "-write_crc32 0",
            Self::MkvCuesLast | Self::Webm => "",
            Self::Ts | Self::Avi => "-sn",
        }
    }

    /// Frames by which players miss a moment. A TS doesn't say where its key frames are: they look at times here and there, and
    /// begin with one nearby, of a local file too.
    pub(crate) fn frames_off_max(self) -> u32 {
        if self == Self::Ts { CUE_SECONDS * RATE } else { 0 }
    }

    /// Whether players can only read their way to a moment, through all that comes before.
    pub(crate) fn is_read_through(self) -> bool {
        self == Self::MkvWithoutCues
    }

    /// Whether the subtitles are in the film itself. TS and AVI know none that are text, and mpv shows none that are in fragments,
    /// of a local file either.
    pub(crate) fn has_subtitles(self) -> bool {
        !matches!(self, Self::Ts | Self::Avi | Self::Mp4Fragmented)
    }
}

/// A film in a container.
pub(crate) struct Film {
    pub(crate) path: PathBuf,
    /// Of each packet of the picture: its time in seconds, and where it lies.
    packets: Vec<(f64, u64)>,
}

/// What is sought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    cue: u32,
}

impl Moment {
    pub(crate) fn of_cue(cue: u32) -> Self {
        Self { cue }
    }

    /// Where a player is told to go.
    pub(crate) fn seconds(self) -> f64 {
        self.key_seconds() + AFTER_KEY
    }

    /// The key frame before it.
    pub(crate) fn key_seconds(self) -> f64 {
        f64::from(self.cue * CUE_SECONDS)
    }

    /// The frame that is on screen then.
    pub(crate) fn frame(self) -> u32 {
        self.cue * CUE_SECONDS * RATE + (AFTER_KEY * f64::from(RATE)) as u32
    }

    /// The line that is shown then.
    pub(crate) fn line(self) -> String {
        format!("Line {}", self.cue)
    }

    /// The moment that is nearest to a frame.
    pub(crate) fn around(frame: u32) -> Self {
        Self::of_cue(frame / (CUE_SECONDS * RATE))
    }

    /// Whether a line is shown while a frame is; `None` where it begins or ends.
    pub(crate) fn line_is_on(frame: u32) -> Option<bool> {
        let seconds = f64::from(frame % (CUE_SECONDS * RATE)) / f64::from(RATE);
        let edges = [LINE.start, LINE.end, 0.0, f64::from(CUE_SECONDS)];
        let at_an_edge = edges.iter().any(|edge| (edge - seconds).abs() < 0.15);
        (!at_an_edge).then(|| LINE.contains(&seconds))
    }
}

impl Film {
    /// The film in this container, made when it is asked for first.
    pub(crate) fn in_a(container: Container) -> &'static Self {
        static FILMS: [OnceLock<Film>; Container::COUNT] = [const { OnceLock::new() }; Container::COUNT];
        FILMS[container as usize].get_or_init(|| Self::make(container))
    }

    fn make(container: Container) -> Self {
        let name = format!("{container:?}.{}", container.extension());
        let path = written(&name, |path| match container {
            Container::Webm => encode(VP9, path),
            Container::Avi => encode(XVID, path),
            Container::MkvWithoutCues => {
                remux(container, path);
                without_cues(path);
            }
            _ => remux(container, path),
        });
        Self { packets: packets(&path), path }
    }

    /// Bytes without which no player shows a moment: those of its picture and of what comes right before it.
    pub(crate) fn bytes_of(&self, moment: Moment) -> Range<u64> {
        let times = moment.seconds() - NEEDED_SECONDS..moment.seconds();
        let places = self.packets.iter().filter(|(seconds, _)| times.contains(seconds)).map(|&(_, at)| at);
        let (start, end) = (places.clone().min(), places.max());
        start.expect("a moment of the film")..end.expect("a moment of the film") + 1
    }
}

/// A file of this name, in a folder that stays: the tests end without a word to us. Each run writes its own, and takes the
/// place of the one before when it is whole.
fn written(name: &str, write: impl FnOnce(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("watching");
    std::fs::create_dir_all(&folder).expect("the build's own folder");
    let (draft, path) = (folder.join(format!("{}.{name}", std::process::id())), folder.join(name));
    write(&draft);
    std::fs::rename(draft, &path).expect("the build's own folder");
    path
}

/// Puts what is encoded into a container.
fn remux(container: Container, path: &Path) {
    static ENCODED: OnceLock<PathBuf> = OnceLock::new();
    let encoded = ENCODED.get_or_init(|| written("encoded.mkv", |path| encode(AVC, path)));
    let mut ffmpeg = Command::new(tool("ffmpeg", "ffmpeg"));
    ffmpeg.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(encoded).args(["-map", "0", "-c", "copy"]);
    let output = ffmpeg.args(container.muxer().split_whitespace()).arg(path).output().expect("ffmpeg starts");
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
}

/// Encodes the film, with its subtitles where the container has a place for them.
fn encode(how: &str, path: &Path) {
    let subtitles = path.with_extension("srt");
    std::fs::write(&subtitles, self::subtitles()).expect("the build's own folder");
    let mut ffmpeg = Command::new(tool("ffmpeg", "ffmpeg"));
    ffmpeg.args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"]);
    ffmpeg.args(["-s", &format!("{WIDTH}x{HEIGHT}"), "-r", &RATE.to_string(), "-i", "-"]);
    ffmpeg.args(["-f", "lavfi", "-i", &format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}")]);
    ffmpeg.arg("-i").arg(&subtitles).args(["-map", "0", "-map", "1"]);
    if path.extension().is_none_or(|extension| extension != "avi") {
        ffmpeg.args(["-map", "2"]);
    }
    ffmpeg.args(["-pix_fmt", "yuv420p", "-ac", "2"]).args(ENCODER.split_whitespace());
    ffmpeg.args(how.split_whitespace()).arg(path).stdin(Stdio::piped());
    let mut child = ffmpeg.spawn().expect("ffmpeg starts");
    let mut pictures = child.stdin.take().expect("standard input is a pipe");
    frames(SECONDS * RATE).for_each(|frame| pictures.write_all(&frame).expect("ffmpeg takes pictures"));
    drop(pictures);
    assert!(child.wait().expect("ffmpeg ends").success(), "{}", path.display());
    std::fs::remove_file(subtitles).expect("it was written");
}

/// The subtitles as SubRip.
pub(crate) fn subtitles() -> String {
    let stamp = |cue: u32, seconds: f64| {
        let ms = cue * CUE_SECONDS * 1000 + (seconds * 1000.0) as u32;
        format!("00:{:02}:{:02},{:03}", ms / 60_000, ms / 1000 % 60, ms % 1000)
    };
    let text = |cue: u32| {
        let line = Moment::of_cue(cue).line();
        format!("{}\n{} --> {}\n{line}\n\n", cue + 1, stamp(cue, LINE.start), stamp(cue, LINE.end))
    };
    (0..CUES).map(text).collect()
}

/// Makes padding of the Cues of an mkv and of the word in its head on where they are: what is left is what a recorder leaves
/// whose end was never written, but for its length.
fn without_cues(path: &Path) {
    const CUES_ID: [u8; 4] = [0x1c, 0x53, 0xbb, 0x6b];
    /// `SeekID` of 4 bytes. Before it are the ID of `Seek` and a byte with its length.
    const SEEK_ID: [u8; 3] = [0x53, 0xab, 0x84];
    const VOID: u8 = 0xec;
    let mut bytes = std::fs::read(path).expect("it was written");
    let word = [&SEEK_ID[..], &CUES_ID].concat();
    let word = bytes.windows(word.len()).position(|window| window == word).expect("a word on the Cues");
    // The ID of padding is a byte shorter.
    (bytes[word - 3], bytes[word - 2]) = (VOID, bytes[word - 1] + 1);
    let cues = bytes.windows(4).rposition(|window| window == CUES_ID).expect("the Cues");
    // Nothing comes after them: the rest is one element of padding, its length in eight bytes.
    let rest = (bytes.len() - cues - 9) as u64 | 1 << 56;
    bytes[cues] = VOID;
    bytes[cues + 1..cues + 9].copy_from_slice(&rest.to_be_bytes());
    std::fs::write(path, bytes).expect("it was written");
}

fn packets(path: &Path) -> Vec<(f64, u64)> {
    let mut probe = Command::new(tool("ffprobe", "ffmpeg"));
    probe.args(["-v", "error", "-of", "json", "-select_streams", "v:0", "-show_format"]);
    let output = probe.args(["-show_entries", "packet=pts_time,dts_time,pos"]).arg(path).output();
    let output = output.expect("ffprobe starts");
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).expect("ffprobe prints JSON");
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    let start = number(&read["format"]["start_time"]).expect("a time to begin at");
    let packets = read["packets"].as_array().expect("packets").iter();
    // AVI has times of decoding only.
    let time = |packet: &Value| number(&packet["pts_time"]).or_else(|| number(&packet["dts_time"]));
    packets
        .map(|packet| {
            (time(packet).expect("a time") - start, number(&packet["pos"]).expect("a place") as u64)
        })
        .collect()
}
