//! Containers that we don't read, through the daemon and the real ffprobe; and hostile files of the kind.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::afflux::{ALONE, Afflux, create, info_hash};
use crate::harness::process::{Process, tool};
use crate::harness::{Scratch, http, wait_for};

/// What ffmpeg writes: the name, what it is told, and what we call container, pictures and sound.
const CASES: [(&str, &str, &str, &str, &str); 17] = [
    ("dvd.mpg", "-c:v mpeg2video -c:a mp2 -f dvd", "mpegps", "mpeg2", "mp2"),
    ("old.mpeg", "-c:v mpeg1video -c:a mp2 -f mpeg", "mpegps", "mpeg1", "mp2"),
    ("disc.vob", "-c:v mpeg2video -c:a ac3 -f vob", "mpegps", "mpeg2", "ac3"),
    ("bare.m2v", "-map 0 -c:v mpeg2video -f mpeg2video", "mpegvideo", "mpeg2", ""),
    ("film.wmv", "-c:v wmv2 -c:a wmav2", "asf", "wmv2", "wmav2"),
    ("film.asf", "-c:v msmpeg4 -c:a libmp3lame", "asf", "msmpeg4v3", "mp3"),
    ("film.ogv", "-c:v libtheora -c:a libvorbis", "ogg", "theora", "vorbis"),
    ("film.flv", "-c:v flv -c:a libmp3lame -ar 44100", "flv", "flv1", "mp3"),
    ("talk.opus", "-map 1 -c:a libopus", "ogg", "", "opus"),
    ("song.mp3", "-map 1 -c:a libmp3lame", "mp3", "", "mp3"),
    ("song.flac", "-map 1 -c:a flac", "flac", "", "flac"),
    ("song.wav", "-map 1 -c:a pcm_s16le", "wav", "", "pcm"),
    ("song.aiff", "-map 1 -c:a pcm_s16be", "aiff", "", "pcm"),
    ("song.aac", "-map 1 -c:a aac -f adts", "aac", "", "aac"),
    ("song.ac3", "-map 1 -c:a ac3", "ac3", "", "ac3"),
    ("song.eac3", "-map 1 -c:a eac3", "eac3", "", "eac3"),
    // It is read by what it is, whatever it's called.
    ("mistaken.mkv", "-c:v mpeg2video -c:a mp2 -f vob", "mpegps", "mpeg2", "mp2"),
];
const SECONDS: f64 = 6.0;

fn write(case: &(&str, &str, &str, &str, &str), folder: &Path) {
    let mut ffmpeg = Command::new(tool("ffmpeg", "ffmpeg"));
    ffmpeg.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"]);
    ffmpeg.arg(format!("testsrc2=size=320x180:rate=25:duration={SECONDS}"));
    ffmpeg.args(["-f", "lavfi", "-i", &format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}")]);
    ffmpeg.args(["-pix_fmt", "yuv420p", "-ac", "2"]).args(case.1.split_whitespace()).arg(folder.join(case.0));
    let output = ffmpeg.output().expect("ffmpeg starts");
    assert!(output.status.success(), "{}: {}", case.0, String::from_utf8_lossy(&output.stderr));
}

/// A daemon without accounts that has a folder of files on disk.
struct Daemon {
    /// Ends before its folder, which has what it said, for tests that fail.
    process: Process,
    scratch: Scratch,
    base: String,
    hash: String,
    /// The files' names and numbers.
    files: Vec<(String, u64)>,
}

impl Daemon {
    fn start(scratch: Scratch, folder: &Path) -> Self {
        let torrent = create(&scratch, folder, 65_536, &[]);
        let hash = info_hash(&scratch, &torrent);
        let place = scratch.folder("films").join(&hash);
        std::fs::create_dir(&place).expect("our own folder");
        std::fs::rename(folder, place.join(folder.file_name().expect("a name"))).expect("our own folder");
        let (process, base) = Self::run(&scratch, &[]);
        let torrent = std::fs::read(&torrent).expect("our own file");
        let parsed = http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", &torrent);
        let parsed: Value = serde_json::from_slice(&parsed.bytes()).expect("JSON");
        let files = parsed["files"].as_array().expect("files");
        let name = |file: &Value| {
            let path = file["path"].as_str().expect("a path");
            let name = path.rsplit('/').next().unwrap_or(path);
            (name.to_owned(), file["index"].as_u64().expect("a number"))
        };
        let files = files.iter().map(name).collect();
        Self { scratch, process, base, hash, files }
    }

    fn run(scratch: &Scratch, variables: &[(&str, &str)]) -> (Process, String) {
        let run = Afflux::new(scratch, "daemon")
            .args(["serve", "--port", "0", "--json", "--storage", "disk", "--download-dir"])
            .arg(scratch.path("films"))
            .args(ALONE)
            .args(["--ranges-per-second", "0"])
            .env("STREAM_AUTH_REQUIRED", "false")
            .env("STREAM_RATE_LIMIT", "100000");
        let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        let mut process = run.start();
        let base = process.event("listening")["url"].as_str().expect("a URL").to_owned();
        (process, base)
    }

    fn restart(&mut self, variables: &[(&str, &str)]) {
        self.end();
        (self.process, self.base) = Self::run(&self.scratch, variables);
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&http::get(&format!("{}{path}", self.base), None).bytes()).expect("JSON")
    }

    /// Watches a file until it is known, or known why it isn't; the status then.
    fn watch(&self, name: &str) -> Value {
        let nth = self.number(name);
        let path = format!("/api/stream/{}?file={nth}", self.hash);
        let begin = http::get(&format!("{}{path}", self.base), Some((0, 9)));
        assert_eq!(begin.status, 206, "{name}");
        begin.bytes();
        wait_for(&format!("{name} is known"), || {
            let status = self.get(&format!("/api/stream/{}/status", self.hash));
            let told = !self.media(name).is_null() || !status["mediaProblem"].is_null();
            told.then_some(status)
        })
    }

    fn media(&self, name: &str) -> Value {
        let (info, number) = (self.get(&format!("/api/torrents/{}/info", self.hash)), self.number(name));
        let mut files = info["files"].as_array().expect("files").iter();
        files.find(|file| file["index"] == number).expect("it is there")["media"].clone()
    }

    fn number(&self, name: &str) -> u64 {
        self.files.iter().find(|(known, _)| known == name).expect("it is in the torrent").1
    }

    fn end(&mut self) {
        self.process.signal("TERM");
        self.process.succeed();
    }
}

fn folder(scratch: &Scratch) -> PathBuf {
    let folder = scratch.path("Some files");
    std::fs::create_dir(&folder).expect("a new folder");
    folder
}

#[test]
fn what_ffprobe_reads_is_told_and_kept_without_it() {
    tool("ffprobe", "ffmpeg");
    let scratch = Scratch::new();
    let folder = folder(&scratch);
    CASES.iter().for_each(|case| write(case, &folder));
    let mut daemon = Daemon::start(scratch, &folder);
    let check = |daemon: &Daemon| {
        for (name, _, container, video, audio) in CASES {
            let status = daemon.watch(name);
            let media = daemon.media(name);
            assert_eq!(media["container"], container, "{name}: {status}");
            let seconds = media["durationSeconds"].as_f64();
            // Pictures alone have no time in them; where sound has none, ffprobe takes its length from its rate.
            let near = seconds.map_or(container == "mpegvideo", |seconds| (seconds - SECONDS).abs() < 1.0);
            assert!(near, "{name}: {media}");
            assert_eq!(media["video"]["codec"].as_str().unwrap_or_default(), video, "{name}");
            if !video.is_empty() {
                assert_eq!(
                    (&media["video"]["width"], &media["video"]["height"]),
                    (&json!(320), &json!(180)),
                    "{name}"
                );
            }
            assert_eq!(media["audio"][0]["codec"].as_str().unwrap_or_default(), audio, "{name}");
        }
    };
    check(&daemon);
    // What is known stays known where there is no ffprobe.
    daemon.restart(&[("PATH", "/nowhere")]);
    check(&daemon);
    daemon.end();
}

#[test]
fn hostile_files_cost_no_more_than_their_limits_and_lead_nowhere() {
    tool("ffprobe", "ffmpeg");
    let trap = TcpListener::bind("127.0.0.1:0").expect("loopback");
    trap.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/secret", trap.local_addr().expect("an address"));
    let playlist =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\nfile:///etc/passwd\n#EXT-X-ENDLIST\n");
    let concat = format!("ffconcat version 1.0\nfile {url}\n");
    let pack: &[u8] = &[0, 0, 1, 0xBA, 0x21, 0, 1, 0, 1, 0xA1, 0xA1, 0xAD];
    let after = |head: &[u8], rest: &[u8]| [head, rest].concat();
    let files: [(&str, Vec<u8>); 9] = [
        ("playlist.mkv", playlist.repeat(50).into_bytes()),
        ("concat.mpg", concat.repeat(50).into_bytes()),
        // What begins as media and goes on as something that names others.
        ("playlist.mpg", after(pack, playlist.repeat(50).as_bytes())),
        ("concat.ogv", after(b"OggS\0\x02\0\0", concat.repeat(50).as_bytes())),
        ("playlist.wmv", after(&ASF, playlist.repeat(50).as_bytes())),
        // Packs and nothing else: probing finds no stream, however far it reads.
        ("endless.mpg", pack.repeat(4 << 20 >> 2)),
        ("cut.flv", b"FLV\x01\x05\0\0\0\x09".to_vec()),
        ("long.wav", b"RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xff".to_vec()),
        ("huge.flac", after(b"fLaC\x06\xff\xff\xff", &[0xff; 70_000])),
    ];
    let scratch = Scratch::new();
    let folder = folder(&scratch);
    for (name, bytes) in &files {
        std::fs::write(folder.join(name), bytes).expect("our own folder");
    }
    let mut daemon = Daemon::start(scratch, &folder);
    for (name, bytes) in &files {
        let status = daemon.watch(name);
        assert!(status["mediaProblem"].is_string() && daemon.media(name).is_null(), "{name}: {status}");
        let path = format!("/api/stream/{}?file={}&download=1", daemon.hash, daemon.number(name));
        let raw = http::get(&format!("{}{path}", daemon.base), None);
        assert!(
            raw.header("content-disposition").is_some_and(|value| value.starts_with("attachment")),
            "{name}"
        );
        assert!(raw.bytes() == *bytes, "{name} can be had as it is");
    }
    assert_eq!(
        trap.accept().map(drop).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock),
        "somebody asked"
    );
    daemon.end();
}

/// How every ASF file begins.
const ASF: [u8; 30] = [
    0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11, 0xA6, 0xD9, 0x00, 0xAA, 0x00, 0x62, 0xCE, 0x6C, 0xFF,
    0xFF, 0xFF, 0x7F, 0, 0, 0, 0, 6, 0, 0, 0, 1, 2,
];
