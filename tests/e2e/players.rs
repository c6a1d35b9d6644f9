//! Players that people use open the stream of both containers while it arrives, seek twice to what isn't there yet, and
//! play to the end.

use std::process::Command;

use serde_json::{Value, json};

use crate::film::{Film, SECONDS, addresses};
use crate::harness::clients::Libtorrent;
use crate::harness::process::{Process, tool};
use crate::harness::wait_for;
use crate::mpv::Mpv;
use crate::vlc::Vlc;

/// Parts of the film that the seeks go to.
const SEEKS: [std::ops::Range<f64>; 2] = [0.44..0.62, 0.72..0.9];
/// From here it isn't far to the end.
const NEAR_THE_END: f64 = SECONDS - 3.0;

/// Waits until it plays between `from` and a few seconds on.
fn mpv_plays(mpv: &mut Mpv, from: f64) {
    wait_for(&format!("mpv plays at {from} s"), || {
        let time = mpv.property("time-pos").as_f64()?;
        (from + 0.3..from + 15.0).contains(&time).then_some(())
    });
}

fn mpv_seeks(mpv: &mut Mpv, seconds: f64) {
    // A seek may be refused while another one is under way.
    wait_for(&format!("mpv seeks to {seconds} s"), || {
        (mpv.command(json!(["seek", seconds, "absolute"]))["error"] == "success").then_some(())
    });
    mpv_plays(mpv, seconds - 0.3);
}

fn mpv_watches(film: &Film, more: &[&str]) {
    let seeders = film.two_slow_seeders();
    let stream = film.stream(&addresses(&seeders), more);
    let mut mpv = Mpv::open(&film.scratch, &stream.url, &[]);
    mpv_plays(&mut mpv, 0.0);
    for part in SEEKS {
        mpv_seeks(&mut mpv, film.missing_moment(part, &seeders));
    }
    mpv.command(json!(["seek", NEAR_THE_END, "absolute"]));
    mpv.end();
    stream.end();
}

#[test]
fn mpv_watches_an_mp4_from_memory() {
    mpv_watches(&Film::mp4(), &["--memory"]);
}

#[test]
fn mpv_watches_an_mkv_that_is_kept() {
    let film = Film::mkv();
    let kept = film.scratch.folder("kept").to_string_lossy().into_owned();
    mpv_watches(&film, &["--keep", "-o", &kept]);
}

/// Waits until it plays between `from` and a few seconds on; `seen` of its answers were read already.
fn vlc_plays(vlc: &mut Vlc, seen: &mut usize, from: f64) {
    wait_for(&format!("VLC plays at {from} s"), || {
        vlc.say("get_time");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let said = vlc.said();
        let numbers =
            said.lines().filter_map(|line| line.trim_start_matches("> ").trim().parse::<f64>().ok());
        let numbers: Vec<f64> = numbers.collect();
        let new = numbers.get(*seen..).unwrap_or_default().last().copied();
        *seen = numbers.len();
        new.filter(|time| (from..from + 15.0).contains(time))
    });
}

fn vlc_watches(film: &Film, more: &[&str]) {
    let seeders = film.two_slow_seeders();
    let stream = film.stream(&addresses(&seeders), more);
    let mut vlc = Vlc::open(&film.scratch, &stream.url, &["--vout=vdummy"]);
    let mut seen = 0;
    vlc_plays(&mut vlc, &mut seen, 1.0);
    for part in SEEKS {
        // VLC takes and tells whole seconds.
        let seconds = film.missing_moment(part, &seeders).round();
        vlc.say(&format!("seek {seconds}"));
        vlc_plays(&mut vlc, &mut seen, seconds);
    }
    vlc.say(&format!("seek {NEAR_THE_END}"));
    vlc.end();
    stream.end();
}

#[test]
fn vlc_watches_an_mp4_that_is_kept() {
    let film = Film::mp4();
    let kept = film.scratch.folder("kept").to_string_lossy().into_owned();
    vlc_watches(&film, &["--keep", "-o", &kept]);
}

#[test]
fn vlc_watches_an_mkv_from_memory() {
    vlc_watches(&Film::mkv(), &["--memory"]);
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
