//! Real players watch through a proxy that writes down what they ask; then the same is asked of a fresh daemon, and every byte held
//! against the film. With `AFFLUX_RECORD=tests/traces` what is recorded here replaces what the quick tests replay.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::film::{Film, SECONDS, addresses};
use crate::harness::process::{Process, tool};
use crate::harness::wait_for;
use crate::served::Served;
use crate::traces::recorder::Recorder;
use crate::traces::replay::{Tempo, replay};
use crate::traces::{End, Trace};

/// A daemon that sends as fast as it can: how a session is paced isn't what this is about.
fn serve(film: &Film, name: &str) -> (Served, [crate::wire::Seeder; 2]) {
    let seeders = ["127.0.0.2", "127.0.0.3"].map(|ip| film.seeder(ip, crate::wire::Manner::Honest, 300_000));
    let more = ["--pace", "false"];
    (Served::start(&film.scratch, name, &film.torrent, &addresses(&seeders), &more), seeders)
}

/// What a player does with a film, in words and in deeds.
struct Player {
    file: &'static str,
    name: String,
    action: &'static str,
    watch: fn(&Film, &str),
}

impl Player {
    /// Records it.
    fn record(&self, film: &Film) -> Trace {
        let (served, seeders) = serve(film, "recorded");
        let recorder = Recorder::start(&served.base);
        (self.watch)(film, &recorder.url(&served.url));
        let requests = recorder.finish();
        assert!(!requests.is_empty(), "{} asked for nothing", self.name);
        let cut: Vec<_> = requests.iter().filter(|request| request.end == End::ServerClosed).collect();
        assert!(cut.is_empty(), "the daemon hung up: {cut:?}");
        drop(seeders);
        served.end();
        let file = film.path.file_name().expect("a name").to_string_lossy().into_owned();
        Trace {
            player: self.name.clone(),
            file,
            size: film.length() as u64,
            seconds: SECONDS,
            action: self.action.to_owned(),
            requests,
        }
    }

    /// Records it with each film, and asks the same of a daemon that has nothing yet.
    fn records_and_replays(&self, films: &[fn() -> Film]) {
        let mut lines = String::new();
        for film in films {
            let film = film();
            let trace = self.record(&film);
            let seen: u64 = trace.requests.iter().map(|request| request.bytes_written).sum();
            let (served, _seeders) = serve(&film, "replayed");
            let told = replay(&trace, &served.url, &film.content.bytes, Tempo::AtOnce);
            assert_eq!((told.wrong, &told.faults), (0, &Vec::new()), "{trace:?}");
            assert_eq!((told.requests, told.received), (trace.requests.len(), seen), "{trace:?}");
            served.end();
            // What is written is read as it was.
            let line = serde_json::to_string(&trace).expect("a sequence is JSON");
            assert_eq!(crate::traces::parse(&line).expect("a sequence")[0].requests.len(), told.requests);
            lines.push_str(&line);
            lines.push('\n');
        }
        if let Some(folder) = std::env::var_os("AFFLUX_RECORD") {
            std::fs::write(Path::new(&folder).join(self.file), lines).expect("the folder is there");
        }
    }
}

/// Runs a player that ends by itself.
fn to_its_end(film: &Film, command: &mut Command) {
    Process::start(&film.scratch, "player", command).succeed();
}

/// What a program says of its version: the first line.
fn version(program: &str, package: &str, option: &str) -> String {
    let output = Command::new(tool(program, package)).arg(option).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = said.split_whitespace().filter(|word| *word != "version");
    words.take(2).collect::<Vec<_>>().join(" ")
}

const FILMS: [fn() -> Film; 2] = [Film::mp4, Film::mkv];

/// Where mpv goes, each time after two seconds of film.
const MPV_SEEKS: &str = r#"
local places, from = { 44, 20 }, 0
mp.observe_property("time-pos", "number", function(_, at)
    -- After a seek the old time may be told once more.
    if not at or at < from + 2 or at > from + 10 then return end
    from = table.remove(places, 1)
    if from then mp.commandv("seek", from, "absolute") else mp.command("quit") end
end)
"#;

#[test]
fn what_mpv_asks_is_recorded_and_replayed() {
    let player = Player {
        file: "mpv.jsonl",
        name: version("mpv", "mpv", "--version"),
        action: "play 2 s; seek to 44 s, play 2 s; seek to 20 s, play 2 s; quit",
        watch: |film, url| {
            let script = film.scratch.path("seeks.lua");
            std::fs::write(&script, MPV_SEEKS).expect("our own folder");
            let mut command = Command::new(tool("mpv", "mpv"));
            command.args([
                "--no-config",
                "--load-scripts=no",
                "--vo=null",
                "--ao=null",
                "--msg-level=all=error",
            ]);
            command.arg(format!("--script={}", script.display())).arg(url);
            to_its_end(film, &mut command);
        },
    };
    player.records_and_replays(&FILMS);
}

#[test]
fn what_vlc_asks_is_recorded_and_replayed() {
    let player = Player {
        file: "vlc.jsonl",
        name: "VLC 3.0".to_owned(),
        action: "open at 40 s, play 3 s; open at 20 s, play 3 s",
        watch: |film, url| {
            let home = film.scratch.folder("vlc-home");
            let mut command = Command::new(tool("setpriv", "util-linux"));
            command
                .args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"])
                .arg(format!("HOME={}", home.display()))
                .arg(format!("XDG_RUNTIME_DIR={}", home.display()))
                .arg(tool("cvlc", "vlc-bin vlc-plugin-base"))
                .args(["--vout=vdummy", "--aout=adummy", "--no-dbus", "--no-lua", "--verbose=0"])
                .args(["--play-and-exit", url, ":start-time=40", ":run-time=3"])
                .args([url, ":start-time=20", ":run-time=3"]);
            to_its_end(film, &mut command);
        },
    };
    player.records_and_replays(&FILMS);
}

#[test]
fn what_ffprobe_asks_is_recorded_and_replayed() {
    let player = Player {
        file: "ffprobe.jsonl",
        name: version("ffprobe", "ffmpeg", "-version"),
        action: "read the head, then packets at 36 % and 58 %",
        watch: |film, url| {
            let mut command = Command::new(tool("ffprobe", "ffmpeg"));
            command.args(["-v", "error", "-show_format", "-show_entries", "packet=pts_time"]);
            command.args(["-select_streams", "v", "-read_intervals", "36%+#20,58%+#20", url]);
            to_its_end(film, &mut command);
        },
    };
    player.records_and_replays(&FILMS);
}

#[test]
fn what_ffmpeg_asks_is_recorded_and_replayed() {
    let player = Player {
        file: "ffmpeg.jsonl",
        name: version("ffmpeg", "ffmpeg", "-version"),
        action: "-ss 40 -t 5 -c copy",
        watch: |film, url| {
            let mut command = Command::new(tool("ffmpeg", "ffmpeg"));
            command.args(["-v", "error", "-nostdin", "-ss", "40", "-i", url]);
            command.args(["-t", "5", "-c", "copy", "-f", "null", "-"]);
            to_its_end(film, &mut command);
        },
    };
    player.records_and_replays(&FILMS);
}

#[test]
fn what_curl_asks_is_recorded_and_replayed() {
    let player = Player {
        file: "curl.jsonl",
        name: version("curl", "curl", "--version"),
        action: "the head, two parts and the last bytes on one connection, then all from the middle",
        watch: |film, url| {
            let mut command = Command::new(tool("curl", "curl"));
            let middle = format!("{}-", film.length() / 2);
            for (nth, more) in [
                &["-I"][..],
                &["-r", "0-99999"],
                &["-r", "1000000-1199999"],
                &["-r", "-5000"],
                &["-r", &middle],
            ]
            .into_iter()
            .enumerate()
            {
                if nth > 0 {
                    command.arg("--next");
                }
                command.args(["-sS", "--fail", "-o", "/dev/null"]).args(more).arg(url);
            }
            to_its_end(film, &mut command);
        },
    };
    player.records_and_replays(&[Film::mp4]);
}

/// A page with a film, and a server for it on loopback.
struct Page {
    address: SocketAddr,
    /// What the page has told, by asking for it.
    told: Arc<Mutex<Vec<String>>>,
}

/// Where the page goes, each time after two seconds of film; then it asks for `/done`.
const PAGE: &str = r#"<!doctype html><title>A film</title><video muted preload="auto" src="{url}"></video><script>
const film = document.querySelector("video"), places = [44, 20];
let from = 0;
film.ontimeupdate = () => {
    if (film.seeking || film.currentTime < from + 2 || film.currentTime > from + 10) return;
    from = places.shift();
    if (from === undefined) { film.ontimeupdate = null; fetch("/done"); } else film.currentTime = from;
};
film.onerror = () => fetch("/failed/" + film.error.message);
film.play();
</script>"#;

impl Page {
    fn serve(url: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (told, page) = (Arc::new(Mutex::new(Vec::new())), PAGE.replace("{url}", url));
        let telling = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mut line, mut reader) = (String::new(), BufReader::new(&stream));
                let _ = reader.read_line(&mut line);
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                // The rest of its head: a browser takes a connection that is closed before it was read for a broken one.
                while reader.read_line(&mut line).is_ok_and(|count| count > 2) {}
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                    page.len()
                );
                let _ = (&stream).write_all(answer.as_bytes());
                telling.lock().expect("no holder panics").push(path);
            }
        });
        Self { address, told }
    }

    /// Waits until the film was seen at all places.
    fn is_done(&self) {
        wait_for("Chromium has seen the film", || {
            let told = self.told.lock().expect("no holder panics");
            let failed = told.iter().find(|path| path.starts_with("/failed"));
            assert!(failed.is_none(), "Chromium complains: {failed:?}");
            told.iter().any(|path| path == "/done").then_some(())
        });
    }
}

#[test]
fn what_chromium_asks_is_recorded_and_replayed() {
    let player = Player {
        file: "chromium.jsonl",
        name: version("chromium", "chromium", "--version"),
        action: "play 2 s; seek to 44 s, play 2 s; seek to 20 s, play 2 s; close",
        watch: |film, url| {
            let page = Page::serve(url);
            let mut command = Command::new(tool("chromium", "chromium"));
            command
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run"])
                .args(["--autoplay-policy=no-user-gesture-required", "--disable-background-networking"])
                .arg(format!("--user-data-dir={}", film.scratch.folder("chromium").display()))
                .arg(format!("http://{}/", page.address));
            let mut browser = Process::start(&film.scratch, "chromium", &mut command);
            page.is_done();
            browser.signal("TERM");
            browser.wait();
        },
    };
    player.records_and_replays(&FILMS);
}
