//! mpv, steered through its socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::process::{Process, tool};
use crate::harness::{Scratch, wait_for};

/// What it says whatever it plays: of its own sink for sound when it is paused, of the half of a packet that it has read when it
/// is told to go elsewhere, and of what a decoder misses that begins between key frames.
const NOISE: [&str; 5] = [
    "[ao/null] illegal state: start() while paused",
    "[ffmpeg] NULL: Invalid NAL unit size",
    "[ffmpeg] NULL: missing picture in access unit",
    ": partial file",
    "[ffmpeg/video] h264: mmco: unref short failure",
];

/// A running mpv without a screen.
pub(crate) struct Mpv {
    process: Process,
    replies: BufReader<UnixStream>,
    asked: u64,
}

impl Mpv {
    /// Opens `url`, with more options.
    pub(crate) fn open(scratch: &Scratch, url: &str, more: &[&str]) -> Self {
        let socket = scratch.path("mpv.socket");
        let mut command = Command::new(tool("mpv", "mpv"));
        command
            .args(["--no-config", "--load-scripts=no", "--vo=null", "--ao=null", "--msg-level=all=error"])
            .arg(format!("--input-ipc-server={}", socket.display()))
            .args(more)
            .arg(url);
        let process = Process::start(scratch, "mpv", &mut command);
        let stream = wait_for("mpv's socket", || UnixStream::connect(&socket).ok());
        stream.set_read_timeout(Some(crate::harness::PATIENCE)).expect("a timeout above zero");
        Self { process, replies: BufReader::new(stream), asked: 0 }
    }

    /// Its reply to a command.
    pub(crate) fn command(&mut self, words: Value) -> Value {
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

    /// What a property is; null if there is none now.
    pub(crate) fn property(&mut self, name: &str) -> Value {
        self.command(json!(["get_property", name]))["data"].take()
    }

    /// Waits for its end; it had nothing to complain of.
    pub(crate) fn end(mut self) {
        self.process.succeed();
        let said = self.process.stdout() + &self.process.stderr();
        let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let said: Vec<&str> =
            said.into_iter().filter(|line| !NOISE.iter().any(|noise| line.contains(noise))).collect();
        assert!(said.is_empty(), "mpv complains: {said:?}");
    }
}
