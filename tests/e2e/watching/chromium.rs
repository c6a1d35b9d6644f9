//! Chromium, to the frame: a page with a video element, its subtitles as a track, and a canvas that reads the picture back.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Player;
use super::film::{Container, Moment};
use super::screening::Screening;
use super::time_code::{self, HEIGHT, WIDTH};
use crate::harness::process::{Process, tool};
use crate::harness::wait_for;

/// What the page does for us.
const SCRIPT: &str = include_str!("page.js");
/// Options that keep it to itself.
const ALONE: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
];

/// Chromium on a page of ours, which is of another origin than the film.
pub(super) struct Chromium {
    process: Process,
    asked: u64,
    session: Option<String>,
}

impl Chromium {
    fn start(screening: &Screening) -> Self {
        let profile = screening.scratch.folder("chromium");
        // It speaks on descriptors 3 and 4, and prints much on standard output.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 1>&2 </dev/null"])
            .arg(tool("chromium", "chromium"))
            .args(ALONE)
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(["--remote-debugging-pipe", "about:blank"]);
        Self {
            process: Process::start(&screening.scratch, "chromium", &mut command),
            asked: 0,
            session: None,
        }
    }

    /// Its answer to a command of the DevTools protocol: JSON that ends with a zero byte, both ways.
    fn command(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        write!(self.process.stdin(), "{message}\0").expect("Chromium reads commands");
        let asked = self.asked;
        let mut answer = wait_for(&format!("Chromium answers {message}"), || {
            let ended = self.process.ended();
            assert!(ended.is_none(), "Chromium ended: {ended:?}");
            let said = self.process.stdout();
            let answers = said.split_terminator('\0').filter_map(|text| serde_json::from_str(text).ok());
            answers.into_iter().find(|answer: &Value| answer["id"] == asked)
        });
        assert!(answer["error"].is_null(), "{message}: {answer}");
        answer["result"].take()
    }

    /// What an expression in the page comes to.
    fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut result = self.command("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// It opens a film, and has no use for what it is in.
    pub(super) fn refuses(container: Container) {
        let screening = Screening::of(container);
        let mut chromium = Self::open(&screening);
        let said = wait_for("Chromium refuses the film", || {
            let said = chromium.evaluate("complaints");
            said.as_array().is_some_and(|said| !said.is_empty()).then_some(said)
        });
        assert!(
            said[0].as_str().is_some_and(|said| said.starts_with("video 4: ")),
            "not unsupported: {said}"
        );
        screening.end();
    }

    /// The frame that a picture shows.
    fn frame(picture: &Value) -> u32 {
        let luma = BASE64_STANDARD.decode(picture.as_str().expect("a picture")).expect("Base64");
        time_code::number(&luma).expect("a whole frame")
    }
}

impl Player for Chromium {
    fn open(screening: &Screening) -> Self {
        let mut chromium = Self::start(screening);
        let url = serve_page(&screening.url, &screening.vtt_url);
        let target = chromium.command("Target.createTarget", json!({"url": url}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = chromium.command("Target.attachToTarget", attach);
        chromium.session = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        wait_for("the page is there", || (chromium.evaluate("typeof play") == "function").then_some(()));
        chromium
    }

    fn play(&mut self) {
        let played = self.evaluate("play()");
        let frames: Vec<u32> = played.as_array().expect("pictures").iter().map(Self::frame).collect();
        assert!(frames.windows(2).all(|pair| pair[0] < pair[1]), "{frames:?}");
    }

    fn seek(&mut self, moment: Moment) {
        let seen = self.evaluate(&format!("seek({})", moment.seconds()));
        assert_eq!(Self::frame(&seen["picture"]), moment.frame(), "{moment:?}");
        assert_eq!(seen["lines"], json!([moment.line()]), "{moment:?}");
    }

    fn end(mut self) {
        assert_eq!(self.evaluate("complaints"), json!([]));
        self.session = None;
        self.command("Browser.close", json!({}));
        self.process.succeed();
    }
}

/// Serves the page to whoever asks, as long as the test runs; its address.
fn serve_page(film: &str, subtitles: &str) -> String {
    let page = format!(
        "<!doctype html><meta charset=utf-8><link rel=icon href=data:,>\
         <video crossorigin muted preload=auto width={WIDTH} height={HEIGHT} src=\"{film}\">\
         <track default kind=subtitles src=\"{subtitles}\"></video><script>{SCRIPT}</script>"
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close",
        page.len()
    );
    let answer = format!("{head}\r\n\r\n{page}");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("a bound socket has an address");
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| serve(stream, &answer)));
    format!("http://{address}/")
}

/// Whatever is asked, this is the answer. Who goes away wants none.
fn serve(mut stream: TcpStream, answer: &str) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(answer.as_bytes());
}
