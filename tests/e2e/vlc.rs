//! VLC without a display, steered by lines of text. It refuses to run as root.

use std::io::Write;
use std::process::Command;

use crate::harness::Scratch;
use crate::harness::process::{Process, tool};

/// What it grumbles of whatever it plays: without a display there is no interface for hot keys; a decoder that starts between key
/// frames isn't content, nor is one of TS packets that weren't next to each other; pictures that a graphics card decodes are
/// tried first, and don't go to a file.
const NOISE: [&str; 10] = [
    " interface error: ",
    " libvlc error: ",
    " decoder error: ",
    " demux error: option sub-original-fps does not exist",
    " ts demux error: libdvbpsi error (PSI decoder): TS discontinuity",
    " filter error: Too high level of recursion",
    " filter error: Failed to create video converter",
    " vout display error: Failed to create video converter",
    " vout display error: Failed to adapt decoder format to display",
    " video output error: video output creation failed",
];

/// A running VLC.
pub(crate) struct Vlc {
    process: Process,
}

impl Vlc {
    /// Opens `url`, with more options.
    pub(crate) fn open(scratch: &Scratch, url: &str, more: &[&str]) -> Self {
        let home = scratch.folder("vlc-home");
        let vlc = tool("cvlc", "vlc-bin vlc-plugin-base");
        let mut command = Command::new(tool("setpriv", "util-linux"));
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"])
            .arg(format!("HOME={}", home.display()))
            .arg(format!("XDG_RUNTIME_DIR={}", home.display()))
            .arg(vlc)
            .args(["-I", "oldrc", "--rc-fake-tty", "--aout=adummy", "--no-dbus", "--no-lua", "--verbose=0"])
            .args(more)
            .args(["--play-and-exit", url]);
        Self { process: Process::start(scratch, "vlc", &mut command) }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.process.stdin(), "{line}").expect("VLC reads commands");
    }

    /// What it has answered so far.
    pub(crate) fn said(&self) -> String {
        self.process.stdout()
    }

    /// Waits for its end; it had nothing to complain of.
    pub(crate) fn end(mut self) {
        self.process.succeed();
        let said = self.process.stderr();
        let errors = said.lines().filter(|line| line.contains(" error: "));
        let errors: Vec<&str> = errors.filter(|line| !NOISE.iter().any(|kind| line.contains(kind))).collect();
        assert!(errors.is_empty(), "VLC complains: {errors:?}");
    }
}
