//! mpv, to the frame.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::Player;
use super::film::Moment;
use super::screening::Screening;
use super::time_code;
use crate::harness::process::tool;
use crate::harness::wait_for;
use crate::mpv;

/// So long it plays on where it is.
const PLAYED_SECONDS: f64 = 1.0;

/// Every moment that is sought is further away.
const FAR_SECONDS: f64 = 8.0;

/// mpv, paused but for a second now and then.
pub(super) struct Mpv {
    mpv: mpv::Mpv,
    /// Where its pictures go.
    picture: PathBuf,
    /// Frames by which it may miss a moment.
    off_max: u32,
}

impl Mpv {
    fn seconds(&mut self) -> Option<f64> {
        self.mpv.property("time-pos").as_f64()
    }

    fn pause(&mut self, is_paused: bool) {
        assert_eq!(self.mpv.command(json!(["set_property", "pause", is_paused]))["error"], "success");
    }

    fn shows_line(&mut self, line: &str) {
        wait_for(&format!("mpv shows {line:?}"), || (self.mpv.property("sub-text") == line).then_some(()));
    }

    /// The frame that it shows.
    fn frame(&mut self) -> u32 {
        let taken = self.mpv.command(json!(["screenshot-to-file", self.picture, "video"]));
        assert_eq!(taken["error"], "success", "{taken}");
        time_code::number(&luma(&self.picture)).expect("a whole frame")
    }
}

impl Player for Mpv {
    fn open(screening: &Screening) -> Self {
        let more = match screening.container.has_subtitles() {
            true => "--sid=1".to_owned(),
            false => format!("--sub-file={}", screening.subtitles_url),
        };
        let mpv = mpv::Mpv::open(&screening.scratch, &screening.url, &["--pause", &more]);
        let picture = screening.scratch.path("mpv.png");
        Self { mpv, picture, off_max: screening.container.frames_off_max() }
    }

    fn play(&mut self) {
        let from = wait_for("mpv shows a picture", || self.seconds());
        self.pause(false);
        wait_for("mpv plays on", || (self.seconds()? > from + PLAYED_SECONDS).then_some(()));
        self.pause(true);
        // It stops by the sound, which may be a frame or two ahead of the picture.
        let (frame, seconds) = (self.frame(), self.seconds().expect("a place"));
        let behind = seconds * 25.0 - f64::from(frame);
        assert!((-1.0..3.0).contains(&behind), "frame {frame} at {seconds} s");
        if let Some(is_on) = Moment::line_is_on(frame) {
            let line = if is_on { Moment::around(frame).line() } else { String::new() };
            self.shows_line(&line);
        }
    }

    fn seek(&mut self, moment: Moment) {
        let from = self.seconds().expect("a place");
        let sought = self.mpv.command(json!(["seek", moment.seconds(), "absolute+exact"]));
        assert_eq!(sought["error"], "success", "{sought}");
        wait_for("mpv arrives", || {
            let has_left = self.seconds().is_some_and(|seconds| (seconds - from).abs() > FAR_SECONDS);
            (has_left && self.mpv.property("seeking") == false).then_some(())
        });
        let (frame, seconds) = (self.frame(), self.seconds().expect("a place"));
        assert!((seconds * 25.0 - f64::from(frame)).abs() < 0.6, "frame {frame} at {seconds} s");
        // It shows the first frame that isn't before the moment.
        assert!(frame.abs_diff(moment.frame() + 1) <= self.off_max, "frame {frame} at {moment:?}");
        if self.off_max == 0 {
            self.shows_line(&moment.line());
        }
    }

    fn end(mut self) {
        self.mpv.command(json!(["quit"]));
        self.mpv.end();
    }
}

/// The brightness of a picture in a file.
fn luma(picture: &Path) -> Vec<u8> {
    let mut ffmpeg = Command::new(tool("ffmpeg", "ffmpeg"));
    ffmpeg.args(["-v", "error", "-nostdin", "-i"]).arg(picture);
    let output = ffmpeg.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]).output().expect("ffmpeg starts");
    assert_eq!(output.stdout.len(), time_code::LUMA, "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
