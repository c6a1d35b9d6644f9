//! What it costs the swarm when a media library looks into a film: it wants to know how long it is and what is in it, and asks
//! that of every film it is told of.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha1_smol::Sha1;

use crate::harness::process::{Process, tool};
use crate::harness::{Scratch, wait_for};
use crate::served::Served;
use crate::wire::{Content, Manner, Seeder};

/// What a look at a film may fetch.
const PROBE_BYTES_MAX: usize = 20_000_000;
/// A film of two hours in a quality that is common.
const FILM_BYTES: u64 = 2 << 30;
/// As long as people make them for such films: each place that is looked at costs one.
const PIECE_LENGTH: u64 = 4 << 20;
/// A minute of it; the rest is the same again.
const CLIP_SECONDS: u32 = 60;
const CLIP_RATE: &str = "2360k";
/// As quick as any test reads.
const UNHURRIED: usize = 1 << 30;

fn ffmpeg(arguments: &[&str], to: &Path) {
    let mut ffmpeg = Command::new(tool("ffmpeg", "ffmpeg"));
    let output = ffmpeg.args(["-v", "error", "-nostdin", "-y"]).args(arguments).arg(to).output();
    let output = output.expect("ffmpeg starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two hours of film with sound and subtitles.
fn film(scratch: &Scratch, extension: &str) -> PathBuf {
    let (clip, text) = (scratch.path("clip.mkv"), scratch.path("text.srt"));
    let cues =
        (0..CLIP_SECONDS).map(|at| format!("{at}\n00:00:{at:02},000 --> 00:00:{at:02},900\nLine {at}\n\n"));
    std::fs::write(&text, cues.collect::<String>()).expect("our own folder");
    let pictures = format!("testsrc2=size=320x180:rate=24:duration={CLIP_SECONDS}");
    let sound = format!("sine=frequency=440:sample_rate=48000:duration={CLIP_SECONDS}");
    let steady =
        format!("nal-hrd=cbr:filler=1:vbv-maxrate={0}:vbv-bufsize={0}", CLIP_RATE.trim_end_matches('k'));
    let text = text.to_string_lossy();
    let arguments: [&[&str]; 4] = [
        &["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound, "-i", &text],
        &["-map", "0", "-map", "1", "-map", "2", "-pix_fmt", "yuv420p", "-c:v", "libx264"],
        &["-preset", "ultrafast", "-g", "48", "-b:v", CLIP_RATE, "-x264-params", &steady],
        &["-c:a", "aac", "-c:s", "srt"],
    ];
    ffmpeg(&arguments.concat(), &clip);
    let path = scratch.folder("shared").join(format!("film.{extension}"));
    let rounds = FILM_BYTES / clip.metadata().expect("it was written").len();
    let subtitles = if extension == "mp4" { "mov_text" } else { "copy" };
    let (rounds, clip) = (rounds.to_string(), clip.to_string_lossy());
    ffmpeg(&["-stream_loop", &rounds, "-i", &clip, "-map", "0", "-c", "copy", "-c:s", subtitles], &path);
    path
}

/// How media libraries ask: Jellyfin in its words, and a script in its own.
const QUESTIONS: [&[&str]; 2] = [
    &[
        "-analyzeduration",
        "200M",
        "-probesize",
        "1G",
        "-threads",
        "0",
        "-v",
        "warning",
        "-print_format",
        "json",
    ],
    &["-v", "error", "-print_format", "json"],
];

fn probe(scratch: &Scratch, url: &str, question: &[&str]) -> Value {
    let mut command = Command::new(tool("ffprobe", "ffmpeg"));
    command.args(question).args(["-show_streams", "-show_chapters", "-show_format", "-i", url]);
    let mut probe = Process::start(scratch, "ffprobe", &mut command);
    probe.succeed();
    serde_json::from_str(&probe.stdout()).expect("ffprobe prints JSON")
}

/// Its torrent, made here: `afflux create` is patient with slow disks, and the tests aren't with it.
fn torrent(scratch: &Scratch, path: &Path) -> (PathBuf, String) {
    let file = File::open(path).expect("it was written");
    let length = file.metadata().expect("it was written").len();
    let piece = |start: u64| {
        let mut bytes = vec![0; PIECE_LENGTH.min(length - start) as usize];
        file.read_exact_at(&mut bytes, start).expect("it was written");
        Sha1::from(&bytes).digest().bytes()
    };
    let hashes: Vec<u8> = (0..length).step_by(PIECE_LENGTH as usize).flat_map(piece).collect();
    let name = path.file_name().expect("a name").to_string_lossy();
    let mut info =
        format!("d6:lengthi{length}e4:name{}:{name}12:piece lengthi{PIECE_LENGTH}e", name.len()).into_bytes();
    info.extend(format!("6:pieces{}:", hashes.len()).as_bytes());
    info.extend(hashes);
    info.push(b'e');
    let torrent = scratch.path("film.torrent");
    std::fs::write(&torrent, [b"d4:info".as_slice(), &info, b"e"].concat()).expect("our own folder");
    (torrent, Sha1::from(&info).digest().to_string())
}

fn looks_at(extension: &str) {
    let scratch = Scratch::new();
    let path = film(&scratch, extension);
    let length = path.metadata().expect("it was written").len();
    assert!(length > FILM_BYTES / 100 * 95, "{length}");
    let (torrent, hash) = torrent(&scratch, &path);
    let content = Content::of_file(&hash, PIECE_LENGTH as usize, &path);
    for (nth, question) in QUESTIONS.into_iter().enumerate() {
        let seeder = Seeder::start("127.0.0.2", &content, Manner::Honest, UNHURRIED);
        let name = format!("library-{nth}");
        let served = Served::start(&scratch, &name, &torrent, &[seeder.address.to_string()], &[]);
        let told = probe(&scratch, &served.url, question);
        let seconds: f64 = told["format"]["duration"].as_str().expect("a length").parse().expect("a number");
        assert!((5400.0..9000.0).contains(&seconds), "{seconds}");
        assert_eq!(told["streams"].as_array().map(Vec::len), Some(3), "{told}");
        // What is on its way when the probe is over still comes.
        wait_for("nobody reads any more", || (served.status()["readers"] == 0).then_some(()));
        served.end();
        let fetched = seeder.given_bytes();
        println!("{extension}, ffprobe {}: {fetched} bytes from the swarm", question.join(" "));
        assert!(fetched < PROBE_BYTES_MAX, "{extension}, {question:?}: {fetched} bytes");
    }
}

#[test]
fn a_librarys_look_at_a_long_mkv_costs_the_swarm_little() {
    looks_at("mkv");
}

#[test]
fn a_librarys_look_at_a_long_mp4_costs_the_swarm_little() {
    looks_at("mp4");
}
