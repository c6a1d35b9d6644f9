//! Players that people use open the stream of both containers while it arrives, seek twice to what isn't there yet, and
//! play to the end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::film::{Film, SECONDS, addresses};
use crate::harness::clients::Libtorrent;
use crate::harness::process::{Process, tool};
use crate::harness::wait_for;

/// Where the seeks go, in seconds, and the part of the file around each that must be missing before it.
const SEEKS: [(f64, std::ops::Range<f64>); 2] = [(36.0, 0.46..0.55), (58.0, 0.77..0.85)];
/// From here it isn't far to the end.
const NEAR_THE_END: f64 = SECONDS - 3.0;

/// mpv, steered through its socket.
struct Mpv {
    process: Process,
    replies: BufReader<UnixStream>,
    asked: u64,
}

impl Mpv {
    fn open(film: &Film, url: &str) -> Self {
        let socket = film.scratch.path("mpv.socket");
        let mut command = Command::new(tool("mpv", "mpv"));
        command
            .args(["--no-config", "--load-scripts=no", "--vo=null", "--ao=null", "--msg-level=all=error"])
            .arg(format!("--input-ipc-server={}", socket.display()))
            .arg(url);
        let process = Process::start(&film.scratch, "mpv", &mut command);
        let stream = wait_for("mpv's socket", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(crate::harness::PATIENCE)).expect("a timeout above zero");
        Self { process, replies: BufReader::new(stream), asked: 0 }
    }

    fn command(&mut self, words: Value) -> Value {
        self.asked += 1;
        let line = format!("{}\n", json!({"command": words, "request_id": self.asked}));
        self.replies.get_mut().write_all(line.as_bytes()).expect("mpv reads commands");
        loop {
            let mut line = String::new();
            let count = self.replies.read_line(&mut line).expect("mpv answers");
            assert!(count > 0, "mpv went away");
            let reply: Value = serde_json::from_str(&line).expect("mpv speaks JSON");
            if reply["request_id"] == self.asked {
                return reply;
            }
        }
    }

    /// Waits until it plays between `from` and a few seconds on.
    fn plays(&mut self, from: f64) {
        wait_for(&format!("mpv plays at {from} s"), || {
            let time = self.command(json!(["get_property", "time-pos"]))["data"].as_f64()?;
            (from + 0.3..from + 15.0).contains(&time).then_some(())
        });
    }

    fn seek(&mut self, seconds: f64) {
        // A seek may be refused while another one is under way.
        wait_for(&format!("mpv seeks to {seconds} s"), || {
            (self.command(json!(["seek", seconds, "absolute"]))["error"] == "success").then_some(())
        });
        self.plays(seconds - 0.3);
    }

    fn watch(film: &Film, more: &[&str]) {
        let seeders = film.two_slow_seeders();
        let stream = film.stream(&addresses(&seeders), more);
        let mut mpv = Self::open(film, &stream.url);
        mpv.plays(0.0);
        for (seconds, around) in SEEKS {
            film.assert_missing(around, &seeders);
            mpv.seek(seconds);
        }
        mpv.command(json!(["seek", NEAR_THE_END, "absolute"]));
        mpv.process.succeed();
        let said = mpv.process.stdout() + &mpv.process.stderr();
        assert!(said.trim().is_empty(), "mpv complains: {said}");
        stream.end();
    }
}

#[test]
fn mpv_watches_an_mp4_from_memory() {
    Mpv::watch(&Film::mp4(), &["--memory"]);
}

#[test]
fn mpv_watches_an_mkv_that_is_kept() {
    let film = Film::mkv();
    let kept = film.scratch.folder("kept").to_string_lossy().into_owned();
    Mpv::watch(&film, &["--keep", "-o", &kept]);
}

/// VLC without a display, steered by lines of text. It refuses to run as root.
struct Vlc {
    process: Process,
    /// Answers that were read already.
    seen: usize,
}

impl Vlc {
    fn open(film: &Film, url: &str) -> Self {
        let home = film.scratch.folder("vlc-home");
        let vlc = tool("cvlc", "vlc-bin vlc-plugin-base");
        let mut command = Command::new(tool("setpriv", "util-linux"));
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"])
            .arg(format!("HOME={}", home.display()))
            .arg(format!("XDG_RUNTIME_DIR={}", home.display()))
            .arg(vlc)
            .args(["-I", "oldrc", "--rc-fake-tty", "--vout=vdummy", "--aout=adummy", "--no-dbus", "--no-lua"])
            .args(["--verbose=0", "--play-and-exit", url]);
        Self { process: Process::start(&film.scratch, "vlc", &mut command), seen: 0 }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.process.stdin(), "{line}").expect("VLC reads commands");
    }

    /// Waits until it plays between `from` and a few seconds on.
    fn plays(&mut self, from: f64) {
        wait_for(&format!("VLC plays at {from} s"), || {
            self.say("get_time");
            std::thread::sleep(std::time::Duration::from_millis(200));
            let said = self.process.stdout();
            let numbers =
                said.lines().filter_map(|line| line.trim_start_matches("> ").trim().parse::<f64>().ok());
            let numbers: Vec<f64> = numbers.collect();
            let new = numbers.get(self.seen..).unwrap_or_default().last().copied();
            self.seen = numbers.len();
            new.filter(|time| (from..from + 15.0).contains(time))
        });
    }

    fn watch(film: &Film, more: &[&str]) {
        let seeders = film.two_slow_seeders();
        let stream = film.stream(&addresses(&seeders), more);
        let mut vlc = Self::open(film, &stream.url);
        vlc.plays(1.0);
        for (seconds, around) in SEEKS {
            film.assert_missing(around, &seeders);
            vlc.say(&format!("seek {seconds}"));
            vlc.plays(seconds);
        }
        vlc.say(&format!("seek {NEAR_THE_END}"));
        vlc.process.succeed();
        // Without a display there is no interface for hot keys, and a decoder that starts between key frames grumbles.
        let said = vlc.process.stderr();
        let noise = [" interface error: ", " libvlc error: ", " decoder error: "];
        let errors = said.lines().filter(|line| line.contains(" error: "));
        let errors: Vec<&str> = errors.filter(|line| !noise.iter().any(|kind| line.contains(kind))).collect();
        assert!(errors.is_empty(), "VLC complains: {errors:?}");
        stream.end();
    }
}

#[test]
fn vlc_watches_an_mp4_that_is_kept() {
    let film = Film::mp4();
    let kept = film.scratch.folder("kept").to_string_lossy().into_owned();
    Vlc::watch(&film, &["--keep", "-o", &kept]);
}

#[test]
fn vlc_watches_an_mkv_from_memory() {
    Vlc::watch(&Film::mkv(), &["--memory"]);
}

/// ffprobe reads the head, then packets after two seeks to what a rate-limited libtorrent hasn't sent yet.
fn ffprobe_reads(film: &Film) {
    let shared = film.path.parent().expect("samples are in a folder");
    let seeder = Libtorrent::seed(&film.scratch, &film.torrent, shared, &["--upload-limit", "150000"]);
    let stream = film.stream(std::slice::from_ref(&seeder.address), &[]);
    assert!(stream.progress() < 0.4, "the film is there before anyone watches it");
    let mut command = Command::new(tool("ffprobe", "ffmpeg"));
    command.args(["-v", "error", "-of", "json", "-show_format", "-show_entries", "packet=pts_time"]).args([
        "-select_streams",
        "v",
        "-read_intervals",
        "36%+#20,58%+#20",
        &stream.url,
    ]);
    let mut probe = Process::start(&film.scratch, "ffprobe", &mut command);
    probe.succeed();
    assert_eq!(probe.stderr(), "", "ffprobe complains");
    assert!(stream.progress() < 0.99, "everything was there: the seeks proved nothing");
    let read: Value = serde_json::from_str(&probe.stdout()).expect("ffprobe prints JSON");
    let duration: f64 =
        read["format"]["duration"].as_str().and_then(|text| text.parse().ok()).expect("a duration");
    assert!((duration - SECONDS).abs() < 2.0, "{duration}");
    let packets = read["packets"].as_array().expect("packets");
    let times: Vec<f64> =
        packets.iter().filter_map(|packet| packet["pts_time"].as_str()?.parse().ok()).collect();
    let near =
        |seconds: f64| times.iter().filter(|time| (seconds - 12.0..seconds + 5.0).contains(*time)).count();
    assert!(near(36.0) >= 15 && near(58.0) >= 15, "{times:?}");
    stream.end();
}

#[test]
fn ffprobe_reads_an_mp4_here_and_there() {
    ffprobe_reads(&Film::mp4());
}

#[test]
fn ffprobe_reads_an_mkv_here_and_there() {
    ffprobe_reads(&Film::mkv());
}
