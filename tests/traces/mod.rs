//! What players ask for, written down and asked again: a sequence of requests with their ranges, headers and how each ended.
//!
//! A file of them has one JSON object per line. `tests/e2e/recordings.rs` records real players through a [`recorder`] and replays
//! them against a fresh daemon; what it recorded once is in the `.jsonl` files beside this one, which `tests/service/traces.rs`
//! replays without any player. `cargo xtask replay FILE` does the same with a file of somebody else's, in its own time.

pub(crate) mod recorder;
pub(crate) mod replay;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Requests in one sequence; the longest of a real player has a dozen.
const REQUESTS_MAX: usize = 1000;
/// Bytes of a file that is made up for a sequence: it is in memory.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What a player did with one file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Trace {
    pub(crate) player: String,
    /// What kind of file, or which.
    pub(crate) file: String,
    /// Bytes of it.
    pub(crate) size: u64,
    #[serde(rename = "duration_s")]
    pub(crate) seconds: f64,
    pub(crate) action: String,
    pub(crate) requests: Vec<Request>,
}

/// One request and what became of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Request {
    /// Seconds since the first one.
    pub(crate) at: f64,
    /// Which connection; several requests may share one.
    pub(crate) conn: usize,
    pub(crate) method: String,
    pub(crate) range: Option<String>,
    pub(crate) status: u16,
    /// Bytes of the body that the client's side took.
    pub(crate) bytes_written: u64,
    pub(crate) end: End,
    /// Without those that name the server.
    pub(crate) headers: BTreeMap<String, String>,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum End {
    #[serde(rename = "complete")]
    Complete,
    #[serde(rename = "client closed")]
    ClientClosed,
    #[serde(rename = "server closed")]
    ServerClosed,
}

/// Reads a file of sequences; whatever isn't one is told with its line.
pub(crate) fn parse(text: &str) -> Result<Vec<Trace>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(nth, line)| one(line).map_err(|error| format!("line {}: {error}", nth + 1))).collect()
}

fn one(line: &str) -> Result<Trace, String> {
    let trace: Trace = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if trace.requests.is_empty() || trace.requests.len() > REQUESTS_MAX {
        return Err(format!("{} requests, and 1 to {REQUESTS_MAX} are allowed", trace.requests.len()));
    }
    if trace.size == 0 || trace.size > FILE_BYTES_MAX {
        return Err(format!("a file of {} bytes, and 1 to {FILE_BYTES_MAX} are allowed", trace.size));
    }
    if !trace.requests.iter().is_sorted_by(|one, next| one.at <= next.at) {
        return Err("the requests aren't in the order of their times".to_owned());
    }
    Ok(trace)
}
