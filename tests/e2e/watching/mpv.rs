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

/// mpv, paused but for a second now and then.
pub(super) struct Mpv {
    mpv: mpv::Mpv,
    /// Where its pictures go.
    picture: PathBuf,
}

impl Mpv {
    fn seconds(&mut self) -> Option<f64> {
        self.mpv.property("time-pos").as_f64()
    }

    fn pause(&mut self, is_paused: bool) {
        assert_eq!(self.mpv.command(json!(["set_property", "pause", is_paused]))["error"], "success");
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
        Self { mpv, picture: screening.scratch.path("mpv.png") }
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
    }

    fn seek(&mut self, moment: Moment) {
        let sought = self.mpv.command(json!(["seek", moment.seconds(), "absolute+exact"]));
        assert_eq!(sought["error"], "success", "{sought}");
        wait_for("mpv arrives", || {
            let is_there = self.seconds().is_some_and(|seconds| (seconds - moment.seconds()).abs() < 0.2);
            (is_there && self.mpv.property("seeking") == false).then_some(())
        });
        // It shows the first frame that isn't before the moment.
        assert_eq!(self.frame(), moment.frame() + 1, "{moment:?}");
        let line = moment.line();
        wait_for("mpv shows the line", || (self.mpv.property("sub-text") == line.as_str()).then_some(()));
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
