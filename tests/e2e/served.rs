//! `afflux serve` with one torrent, as a player or a media library is pointed at it: nobody has to say who they are.

use std::path::Path;

use serde_json::Value;

use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::process::Process;
use crate::harness::{Scratch, http};

/// A running daemon, and the URL of a film.
pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) base: String,
    pub(crate) hash: String,
    /// The signed one, as players get it.
    pub(crate) url: String,
}

impl Served {
    /// Starts it under a name of its own and begins a session for the torrent's film, fetched from these peers.
    pub(crate) fn start(
        scratch: &Scratch,
        name: &str,
        torrent: &Path,
        peers: &[String],
        more: &[&str],
    ) -> Self {
        let mut process = Afflux::new(scratch, name)
            .args(["serve", "--port", "0", "--json", "--ranges-per-second", "0"])
            .args(ALONE)
            .args(peers.iter().flat_map(|peer| ["--peer", peer]))
            .args(more)
            .env("STREAM_AUTH_REQUIRED", "false")
            .start();
        let base = process.event("listening")["url"].as_str().expect("a URL").to_owned();
        let torrent = std::fs::read(torrent).expect("our own file");
        let parsed = http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", &torrent);
        let parsed: Value = serde_json::from_slice(&parsed.bytes()).expect("JSON");
        let hash = parsed["infoHash"].as_str().unwrap_or_else(|| panic!("{parsed}")).to_owned();
        let session = http::json(&format!("{base}/api/stream/{hash}"));
        let url = session["url"].as_str().expect("a URL").to_owned();
        Self { process, base, hash, url }
    }

    /// What the daemon says of the session.
    pub(crate) fn status(&self) -> Value {
        http::json(&format!("{}/api/stream/{}/status", self.base, self.hash))
    }

    /// Ends it as a person does; it must end well.
    pub(crate) fn end(mut self) {
        self.process.signal("TERM");
        self.process.succeed();
    }
}
