//! Files of containers that ffprobe reads for us, with an ffprobe that does what a test wants: what is asked of it and what isn't,
//! what is told of it, what it may cost. What the real one says is `tests/e2e/foreign.rs`'s.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB};
use crate::harness::payload::noise;
use crate::harness::process::tool;
use crate::harness::{Scratch, wait_for};
use crate::http::Ask;

/// What a good ffprobe says of any file.
const ANSWER: &str = r#"echo '{"programs": [], "streams": [
    {"index": 0, "codec_name": "mpeg2video", "codec_type": "video", "width": 720, "height": 576, "avg_frame_rate": "25/1"},
    {"index": 1, "codec_name": "mp2", "codec_type": "audio", "channels": 2, "sample_rate": "48000"}
], "format": {"duration": "1234.5"}}'"#;

/// Begins as an MPEG program stream does, and goes on as noise.
fn program_stream(seed: u64, name: &str) -> Film {
    let mut bytes = noise(seed, 2 * MIB);
    bytes[..8].copy_from_slice(&[0, 0, 1, 0xBA, 0x21, 0, 1, 0]);
    Film::named(name, bytes)
}

/// An ffprobe that is this script.
fn ffprobe(scratch: &Scratch, script: &str) -> PathBuf {
    let folder = scratch.folder("programs");
    let path = folder.join("ffprobe");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("our own folder");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    folder
}

/// A daemon that finds this ffprobe before any other.
fn with(script: &str, options: Options) -> Daemon {
    let scratch = Scratch::new();
    let folder = ffprobe(&scratch, script);
    let path = std::env::var("PATH").expect("tests have one");
    Daemon::start(options.env("PATH", &format!("{}:{path}", folder.display())), scratch)
}

fn problem(person: &Person, film: &Film) -> String {
    let status = person.wait_status(film, "a problem", |status| !status["mediaProblem"].is_null());
    assert_eq!(status["durationSeconds"], Value::Null, "{status}");
    status["mediaProblem"].as_str().expect("a sentence").to_owned()
}

fn media(person: &Person, film: &Film) -> Value {
    person.get(&format!("/api/torrents/{}/info", film.hash)).value()["files"][0]["media"].clone()
}

#[test]
fn what_ffprobe_says_is_told_as_what_we_read_and_kept() {
    let film = program_stream(1, "film.mpg");
    let seeder = film.seeder("127.0.11.1");
    let mut daemon = with(ANSWER, Options::default().peers(&[&seeder]));
    let anna = daemon.viewer("anna");
    anna.watch(&film);
    let status = anna.wait_status(&film, "a duration", |status| !status["durationSeconds"].is_null());
    assert_eq!((&status["durationSeconds"], &status["mediaProblem"]), (&json!(1234.5), &Value::Null));
    let told = media(&anna, &film);
    assert_eq!((&told["container"], &told["durationSeconds"]), (&json!("mpegps"), &json!(1234.5)));
    assert_eq!(told["video"], json!({"codec": "mpeg2", "width": 720, "height": 576, "fps": 25.0}));
    assert_eq!(told["audio"][0]["codec"], "mp2");
    let sought = anna.post(&format!("/api/stream/{}/seek", film.hash), &json!({"seconds": 617.25})).value();
    assert_eq!(sought["method"], "linear", "{sought}");

    daemon.restart_after("TERM", |daemon| {
        std::fs::write(daemon.scratch.path("programs").join("ffprobe"), "#!/bin/sh\nexit 1\n")
            .expect("our own file");
    });
    let anna = daemon.bearer(&anna.token);
    assert_eq!(media(&anna, &film), told);
    anna.start(&film);
    anna.wait_status(&film, "a duration", |status| status["durationSeconds"] == json!(1234.5));
    daemon.end();
}

#[test]
fn without_ffprobe_everything_else_goes_on_and_the_status_says_what_is_missing() {
    let (film, other) = (program_stream(2, "film.mpg"), Film::new(3, MIB));
    let seeders = [film.seeder("127.0.11.2"), other.seeder("127.0.11.3")];
    let scratch = Scratch::new();
    let programs = scratch.folder("programs");
    std::os::unix::fs::symlink(tool("nice", "coreutils"), programs.join("nice")).expect("our own folder");
    let options = Options::default().peers(&seeders.each_ref()).env("PATH", &programs.display().to_string());
    let daemon = Daemon::start(options, scratch);
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let said = problem(&anna, &film);
    assert!(said.contains("ffprobe, which isn't installed") && said.contains("mpegps"), "{said}");
    assert!(Ask::get(&url).send().bytes() == film.bytes(), "it plays all the same");
    assert!(Ask::get(&anna.watch(&other)).send().bytes() == other.bytes());

    // It is there as soon as it is there.
    ffprobe(&daemon.scratch, ANSWER);
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    anna.start(&film);
    anna.wait_status(&film, "a duration", |status| status["durationSeconds"] == json!(1234.5));
    daemon.end();
}

#[test]
fn ffprobe_is_never_shown_a_playlist_nor_what_is_no_media() {
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
    let concat = "ffconcat version 1.0\nfile /etc/passwd\n";
    let description = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 0\r\n";
    for (nth, (name, text)) in (0..).zip([
        ("film.mkv", playlist),
        ("film.mpg", concat),
        ("film.wmv", description),
        ("film.ogv", playlist),
    ]) {
        let film = Film::named(name, text.repeat(100).into_bytes());
        let seeder = film.seeder(&format!("127.0.11.{}", 10 + nth));
        let daemon = with(ANSWER, Options::default().peers(&[&seeder]));
        let anna = daemon.viewer("anna");
        let url = anna.watch(&film);
        let said = problem(&anna, &film);
        assert!(said.contains("doesn't begin as any container"), "{name}: {said}");
        assert_eq!(media(&anna, &film), Value::Null);
        let raw = Ask::get(&format!("{url}?download=1")).send();
        assert!(raw.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
        assert!(raw.bytes() == film.bytes(), "it can be had as it is");
        daemon.end();
    }
}

#[test]
fn what_ffprobe_says_is_not_believed_beyond_its_limits() {
    let cases = [
        // An answer without an end.
        (
            "while :; do echo '{\"streams\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16'; done",
            "its limits",
        ),
        ("echo no JSON", "can't be read"),
        ("echo '{\"streams\": [], \"format\": {\"duration\": \"5\"}}'", "nothing in it that plays"),
        ("echo invalid data found >&2; exit 1", "nothing in it that plays"),
        // What the system does to a program beyond its limits.
        ("kill -KILL $$", "its limits"),
        ("ulimit -v unlimited || kill -KILL $$", "its limits"),
    ];
    for (nth, (script, expected)) in (0..).zip(cases) {
        let film = program_stream(20 + nth, "film.mpg");
        let seeder = film.seeder(&format!("127.0.11.{}", 20 + nth));
        let daemon = with(script, Options::default().peers(&[&seeder]));
        let anna = daemon.viewer("anna");
        let url = anna.watch(&film);
        let said = problem(&anna, &film);
        assert!(said.contains(expected), "{script}: {said}");
        assert!(Ask::get(&url).send().bytes() == film.bytes(), "it plays all the same");
        daemon.end();
    }
}

/// Processes of a group, by what the kernel says (field 5 of `stat`, proc(5)); what has ended and wasn't waited for isn't one.
fn members(group: &str) -> usize {
    let stats = std::fs::read_dir("/proc").expect("Linux").flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let is_member = |stat: &String| {
        let (_, rest) = stat.rsplit_once(')').expect("a name in brackets");
        let fields: Vec<&str> = rest.split_whitespace().collect();
        fields[2] == group && fields[0] != "Z"
    };
    stats.filter(is_member).count()
}

/// A daemon whose ffprobe never ends, and the number of its process group.
fn hanging(film: &Film, options: Options) -> (Daemon, Person, String) {
    let scratch = Scratch::new();
    let pipe = scratch.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("coreutils").success());
    let script = format!("sleep 1000 & sleep 1000 & echo $$ > '{}'; wait", pipe.display());
    let folder = ffprobe(&scratch, &script);
    let path = std::env::var("PATH").expect("tests have one");
    let daemon = Daemon::start(options.env("PATH", &format!("{}:{path}", folder.display())), scratch);
    let anna = daemon.viewer("anna");
    anna.watch(film);
    let group = read_once(&pipe);
    assert_eq!(members(&group), 3, "it and what it started");
    (daemon, anna, group)
}

/// What somebody writes into a pipe.
fn read_once(pipe: &Path) -> String {
    std::fs::read_to_string(pipe).expect("a pipe").trim().to_owned()
}

fn wait_for_the_end_of(group: &str) {
    wait_for("the process group ends", || (members(group) == 0).then_some(()));
}

#[test]
fn ffprobe_ends_with_all_that_it_started_when_its_session_ends_or_the_daemon_does() {
    let film = program_stream(40, "film.mpg");
    let seeder = film.seeder("127.0.11.40");
    let (daemon, anna, group) = hanging(&film, Options::default().peers(&[&seeder]));
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    wait_for_the_end_of(&group);
    daemon.end();

    let (daemon, _anna, group) = hanging(&film, Options::default().peers(&[&seeder]));
    daemon.end();
    wait_for_the_end_of(&group);
}

#[test]
fn media_of_another_kind_than_its_name_says_plays_and_is_told_for_what_it_is() {
    let film = program_stream(50, "film.mkv");
    let seeder = film.seeder("127.0.11.50");
    let daemon = with(ANSWER, Options::default().peers(&[&seeder]));
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    anna.wait_status(&film, "a duration", |status| status["durationSeconds"] == json!(1234.5));
    assert_eq!(media(&anna, &film)["container"], "mpegps");
    assert!(Ask::get(&url).send().bytes() == film.bytes());
    daemon.end();
}
