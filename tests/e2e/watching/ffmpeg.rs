//! ffprobe and ffmpeg, which open the film anew for everything that they are asked.

use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use serde_json::Value;

use super::Player;
use super::film::{Container, Moment};
use super::screening::Screening;
use super::time_code::{self, LUMA};
use crate::harness::Scratch;
use crate::harness::process::{Process, tool};

/// Frames that are decoded in a row.
const FRAMES: u32 = 25;
/// Seconds of the film that are read for a line.
const LINE_SECONDS: &str = "3";

/// What a decoder says that begins between key frames, as happens in a TS.
const NOISE: [&str; 2] = ["[h264 @ ", "Last message repeated"];

/// Where the film is, and what was asked last.
pub(super) struct Ffmpeg {
    scratch: Rc<Scratch>,
    container: Container,
    url: String,
    /// Where its subtitles are, if not in it.
    subtitles_url: Option<String>,
    at: Option<Moment>,
}

impl Ffmpeg {
    /// Runs a program of ffmpeg's to a good end, without a word on standard error.
    fn run(&self, command: &mut Command) -> String {
        let mut process = Process::start(&self.scratch, "ffmpeg", command);
        process.succeed();
        let said = process.stderr();
        let is_noise =
            |line: &str| self.container == Container::Ts && NOISE.iter().any(|word| line.contains(word));
        let said: Vec<&str> = said.lines().filter(|line| !is_noise(line)).collect();
        assert!(said.is_empty(), "{command:?} complains: {said:?}");
        process.stdout()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(tool("ffmpeg", "ffmpeg"));
        command.args(["-v", "error", "-nostdin", "-y"]);
        command
    }

    /// The numbers of the frames that are decoded from the last moment on.
    fn frames(&self) -> Vec<u32> {
        let path: PathBuf = self.scratch.path("pictures");
        let mut command = self.command();
        if let Some(moment) = self.at {
            command.args(["-ss", &moment.seconds().to_string()]);
        }
        command.args([
            "-i",
            &self.url,
            "-map",
            "0:v:0",
            "-frames:v",
            &FRAMES.to_string(),
            "-vsync",
            "passthrough",
        ]);
        self.run(command.args(["-f", "rawvideo", "-pix_fmt", "gray"]).arg(&path));
        let pictures = std::fs::read(path).expect("ffmpeg wrote it");
        let frames = pictures.chunks(LUMA).map(time_code::number);
        match self.container.frames_off_max() {
            0 => frames.map(|frame| frame.expect("a whole frame")).collect(),
            // What it decodes is torn until the next key frame.
            _ => frames.flatten().collect(),
        }
    }

    /// ffprobe jumps to a moment: to the key frame before it. A TS doesn't say where those are; there it comes close.
    fn probe(&self, moment: Moment) {
        let mut command = Command::new(tool("ffprobe", "ffmpeg"));
        let interval = format!("{}%+#5", moment.seconds());
        command.args(["-v", "error", "-of", "json", "-select_streams", "v:0", "-show_format"]);
        command.args([
            "-show_entries",
            "packet=pts_time,dts_time,flags",
            "-read_intervals",
            &interval,
            &self.url,
        ]);
        let said: Value = serde_json::from_str(&self.run(&mut command)).expect("ffprobe prints JSON");
        let number = |value: &Value| value.as_str()?.parse::<f64>().ok();
        let start = number(&said["format"]["start_time"]).expect("a time to begin at");
        let first = &said["packets"][0];
        let seconds =
            number(&first["pts_time"]).or_else(|| number(&first["dts_time"])).expect("a time") - start;
        if self.container == Container::Ts {
            assert!((seconds + start - moment.seconds()).abs() < 1.0, "{moment:?}: {said}");
        } else {
            assert!((seconds - moment.key_seconds()).abs() < 0.1, "{moment:?}: {said}");
            let is_key = first["flags"].as_str().is_some_and(|flags| flags.starts_with('K'));
            assert!(is_key, "{moment:?}: {said}");
        }
    }

    /// The lines from a moment's key frame on.
    fn lines(&self, moment: Moment) -> String {
        let mut command = self.command();
        let url = self.subtitles_url.as_ref().unwrap_or(&self.url);
        command.args([
            "-ss",
            &moment.key_seconds().to_string(),
            "-i",
            url,
            "-map",
            "0:s:0",
            "-t",
            LINE_SECONDS,
        ]);
        self.run(command.args(["-f", "srt", "-"]))
    }
}

impl Player for Ffmpeg {
    fn open(screening: &Screening) -> Self {
        let subtitles_url = (!screening.container.has_subtitles()).then(|| screening.subtitles_url.clone());
        Self {
            scratch: screening.scratch.clone(),
            container: screening.container,
            url: screening.url.clone(),
            subtitles_url,
            at: None,
        }
    }

    fn play(&mut self) {
        // It begins with the first frame that isn't before the moment.
        let first = self.at.map_or(0, |moment| moment.frame() + 1);
        let frames = self.frames();
        assert!(frames[0].abs_diff(first) <= self.container.frames_off_max(), "{frames:?} from {first} on");
        assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "{frames:?}");
    }

    fn seek(&mut self, moment: Moment) {
        self.probe(moment);
        self.at = Some(moment);
        let lines = self.lines(moment);
        assert!(lines.contains(&moment.line()), "{moment:?}: {lines}");
    }

    fn end(self) {}
}
