//! Where we find times in films that have no index, beside where ffprobe sees key frames, for films that ffmpeg writes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use afflux_media::container::{Facts, Found, Search, Seek};

use super::containers::{ffprobe, inspect, number};
use crate::harness::Scratch;
use crate::harness::process::tool;

/// Long enough for more fragments than are looked at one by one.
const LENGTH_SECONDS: u32 = 100;

/// Pictures between two key frames: six seconds, longer than a Cluster.
const KEY_EVERY: &str = "150";

/// How films are written that have no index: a name, and what ffmpeg is told.
const CASES: [(&str, &str); 7] = [
    ("live.mkv", "-c copy -live 1"),
    ("live.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 600k -g 150 -c:a libvorbis -live 1"),
    ("frames.mp4", "-c copy -movflags frag_every_frame+empty_moov+default_base_moof+skip_trailer"),
    ("cmaf.mp4", "-c copy -movflags cmaf+skip_trailer -frag_duration 200000"),
    ("broadcast.ts", "-c copy"),
    ("camera.m2ts", "-c copy -mpegts_m2ts_mode 1"),
    ("audio.mkv", "-c copy -vn -live 1"),
];

fn ffmpeg(arguments: &[&str], path: &Path) {
    let mut ffmpeg = Command::new(tool("ffmpeg", "ffmpeg"));
    let output = ffmpeg.args(["-v", "error", "-nostdin", "-y"]).args(arguments).arg(path).output();
    let output = output.expect("ffmpeg starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", path.display());
}

/// A film whose rate is uneven, with an index.
fn film(folder: &Path) -> PathBuf {
    let path = folder.join("whole.mkv");
    let pictures = format!("testsrc2=size=320x180:rate=25:duration={LENGTH_SECONDS}");
    let sound = format!("sine=frequency=440:sample_rate=48000:duration={LENGTH_SECONDS}");
    let noise = "noise=alls=30:allf=t:enable='lt(mod(t,40),15)'";
    let inputs = ["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound, "-vf", noise];
    let codecs =
        ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", KEY_EVERY, "-c:a", "aac"];
    ffmpeg(&[&inputs[..], &codecs].concat(), &path);
    path
}

/// When key frames are shown, from the film's start as its container counts.
fn keys(path: &Path) -> Vec<f64> {
    let arguments = ["-select_streams", "v:0", "-show_entries", "packet=pts_time,flags"];
    let packets = ffprobe(path, &arguments);
    let packets = packets["packets"].as_array().expect("packets");
    let times: Vec<(f64, bool)> = packets
        .iter()
        .filter(|packet| !packet["pts_time"].is_null())
        .map(|packet| {
            (number(&packet["pts_time"]), packet["flags"].as_str().expect("flags").starts_with('K'))
        })
        .collect();
    // The clock of a transport stream begins anywhere, and we count from its first picture.
    let is_clock = path.extension().is_some_and(|extension| extension.to_string_lossy().ends_with("ts"));
    let first = times.iter().map(|(time, _)| *time).fold(f64::INFINITY, f64::min);
    let start = if is_clock { first } else { 0.0 };
    times.iter().filter(|(_, is_key)| *is_key).map(|(time, _)| time - start).collect()
}

/// What a search finds, and how many bytes that takes.
fn seek(file: &File, facts: &Facts, time: Duration) -> (Found, u64) {
    let length = file.metadata().expect("its length").len();
    let mut search = Seek::new(facts, length, time).expect("it has no index, and can be searched");
    let mut bytes_read = 0;
    loop {
        match search.step() {
            Search::Read(range) => {
                let mut bytes = vec![0; (range.end - range.start) as usize];
                file.read_exact_at(&mut bytes, range.start).expect("it asks for what is there");
                bytes_read += range.end - range.start;
                search.supply(range.start, &bytes);
            }
            Search::Found(found) => return (found, bytes_read),
            Search::Failed(fault) => panic!("{fault}"),
        }
    }
}

#[test]
fn searches_lead_to_the_key_frames_that_ffprobe_sees() {
    let scratch = Scratch::new();
    let folder = scratch.path("films");
    std::fs::create_dir(&folder).expect("a new folder");
    let whole = film(&folder);
    for (name, arguments) in CASES {
        let path = folder.join(name);
        let whole = whole.to_str().expect("a name of ours");
        let arguments: Vec<&str> = ["-i", whole].into_iter().chain(arguments.split_whitespace()).collect();
        ffmpeg(&arguments, &path);
        let (mut facts, _) = inspect(&path);
        let lasts = facts.duration.expect("its end says it").as_secs_f64();
        assert!((lasts - f64::from(LENGTH_SECONDS)).abs() < 0.3, "{name} lasts {lasts} s");
        let (file, keys) = (File::open(&path).expect("it was written"), keys_or_none(&path, &facts));
        for nth in 0..20 {
            let time = Duration::from_millis(nth * 4931 + 77);
            let (found, bytes_read) = seek(&file, &facts, time);
            let point = Duration::from_micros(found.point.micros);
            assert!(point <= time, "{name}: {found:?} for {time:?}");
            assert!(bytes_read < 6 << 20, "{name}: {bytes_read} bytes for {time:?}");
            let seconds = time.as_secs_f64();
            let (expected, tolerance) = match keys.iter().rfind(|key| **key <= seconds) {
                Some(&key) => (key, 0.15),
                None => (seconds, 6.0),
            };
            let is_key = found.is_key_frame || keys.is_empty();
            let is_near = (point.as_secs_f64() - expected).abs() < tolerance;
            assert!(is_key && is_near, "{name}: {found:?} for {time:?}, where {expected} s is right");
            // Every second search begins from what the others learnt.
            if nth % 2 == 0 {
                facts.learn(found.learnt);
            }
        }
        std::fs::remove_file(path).expect("it was written");
    }
}

/// Nothing where there are no pictures.
fn keys_or_none(path: &Path, facts: &Facts) -> Vec<f64> {
    if facts.video().is_some() { keys(path) } else { Vec::new() }
}
