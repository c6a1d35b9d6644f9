//! VLC, to the frame: what it shows goes to a file.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::Player;
use super::film::{Container, Moment, SECONDS};
use super::screening::Screening;
use super::time_code::{self, LUMA};
use crate::harness::{http, wait_for};
use crate::vlc;

/// What begins a picture in the file; its brightness follows, and its colours.
const MARK: &[u8] = b"FRAME\n";
const PICTURE: usize = LUMA * 3 / 2;
/// Frames that it plays on: two seconds and a half, in which a line goes.
const PLAYED_FRAMES: usize = 63;
/// Frames between those that follow each other: it leaves out those it has no time for.
const LEFT_OUT_MAX: u32 = 50;

/// A picture as it was shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    frame: u32,
    has_text: bool,
}

/// VLC, which plays all the time.
pub(super) struct Vlc {
    vlc: vlc::Vlc,
    path: PathBuf,
    /// Opened once it is there.
    file: Option<File>,
    /// What was read and isn't a whole picture yet.
    rest: Vec<u8>,
    shown: Vec<Shown>,
    /// Frames by which it may miss a moment, one way and the other.
    early_max: u32,
    late_max: u32,
    is_ts: bool,
}

impl Vlc {
    /// Takes in what was shown since.
    fn look(&mut self) {
        let Some(file) = self.file.as_mut() else {
            self.file = File::open(&self.path).ok();
            return;
        };
        file.read_to_end(&mut self.rest).expect("a file of ours");
        while let Some(start) = self.rest.windows(MARK.len()).position(|window| window == MARK) {
            let picture = start + MARK.len()..start + MARK.len() + PICTURE;
            let Some(luma) = self.rest.get(picture.clone()) else { return };
            match time_code::number(luma) {
                Some(frame) => self.shown.push(Shown { frame, has_text: time_code::has_text(luma) }),
                None => assert!(self.late_max > 0, "a torn picture after {:?}", self.shown.last()),
            }
            self.rest.drain(..picture.end);
        }
    }

    /// Where in `shown` it went on from another place than the one before, after `from`.
    fn jump(&self, from: usize) -> Option<usize> {
        let follows = |pair: &[Shown]| (pair[0].frame..pair[0].frame + LEFT_OUT_MAX).contains(&pair[1].frame);
        self.shown[from..].windows(2).position(|pair| !follows(pair)).map(|at| from + at + 1)
    }
}

impl Player for Vlc {
    fn open(screening: &Screening) -> Self {
        let path = screening.scratch.folder("vlc").join("pictures");
        let pictures = format!("--yuv-file={}", path.display());
        // Of a TS with a file of subtitles beside it, a local one too, it shows no picture: there it does without.
        let is_ts = screening.container == Container::Ts;
        let subtitles = match screening.container.has_subtitles() || is_ts {
            true => "--sub-track=0".to_owned(),
            false => {
                // It takes files only.
                let file = screening.scratch.path("vlc.srt");
                let text = http::get(&screening.subtitles_url, None).bytes();
                std::fs::write(&file, text).expect("our own folder");
                format!("--sub-file={}", file.display())
            }
        };
        let more = [
            "--vout=yuv",
            "--yuv-chroma=I420",
            &pictures,
            "--no-video-title-show",
            "--no-osd",
            // Thick enough to be told from an encoder's faults.
            "--freetype-fontsize=24",
            "--freetype-bold",
            &subtitles,
        ];
        let off_max = screening.container.frames_off_max();
        // It looks for no key frame in fragments, of a local file either: what it shows is torn until the next one.
        let late_max = if screening.container == Container::Mp4Fragmented { 50 } else { off_max };
        // Where sound begins before the picture, the second begins before the frame.
        let early_max = off_max.max(1);
        let vlc = vlc::Vlc::open(&screening.scratch, &screening.url, &more);
        Self { vlc, path, file: None, rest: Vec::new(), shown: Vec::new(), early_max, late_max, is_ts }
    }

    fn play(&mut self) {
        let from = self.shown.len();
        wait_for("VLC plays on", || {
            self.look();
            (self.shown.len() >= from + PLAYED_FRAMES).then_some(())
        });
        assert_eq!(self.jump(from), None, "{:?}", &self.shown[from..]);
        let wrong = self.shown[from..].iter().find(|shown| {
            Moment::line_is_on(shown.frame).is_some_and(|is_on| (is_on && !self.is_ts) != shown.has_text)
        });
        assert!(
            wrong.is_none(),
            "a line is on when it shouldn't be, or isn't: {wrong:?} of {:?}",
            &self.shown[from..]
        );
    }

    fn seek(&mut self, moment: Moment) {
        let from = self.shown.len() - 1;
        let place = match self.is_ts {
            // In a TS that comes over HTTP it finds no time, from whatever server.
            true => format!("{:.0}%", moment.seconds() * 100.0 / f64::from(SECONDS)),
            // It takes whole seconds.
            false => format!("{:.0}", moment.seconds().floor()),
        };
        self.vlc.say(&format!("seek {place}"));
        let left = self.shown[from].frame;
        // On the way it shows what it had decoded ahead.
        let at = wait_for("VLC arrives", || {
            self.look();
            let is_there = |shown: &Shown| shown.frame.abs_diff(moment.frame()) < shown.frame.abs_diff(left);
            self.shown[from..].iter().position(is_there).map(|at| from + at)
        });
        let frame = self.shown[at].frame;
        let right = moment.frame() - self.early_max..=moment.frame() + self.late_max;
        assert!(right.contains(&frame), "{frame}: {:?}", &self.shown[from..]);
        self.shown.drain(..at);
    }

    fn end(mut self) {
        self.vlc.say("quit");
        self.vlc.end();
    }
}
