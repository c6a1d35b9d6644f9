//! The side-by-side benchmark: Afflux and other clients do the same work in turn, beside what the machine itself can do.
//!
//! Two runners share reports and programs: [`stream`] plays films over slow links, and [`work`] measures everything
//! else, each in a file of its own. [`work`]'s documentation says how something is added.

mod arguments;
mod case;
mod chart;
mod cheap_seeder;
mod client;
mod contender;
mod course;
mod daemon;
mod download;
mod film;
mod floor;
mod http;
mod http_load;
mod idle;
mod idle_peers;
mod install;
mod machine;
mod magnet;
mod part;
mod payload;
mod playback;
mod player;
mod process;
mod range_server;
mod recheck;
mod report;
mod scenario;
mod scratch;
mod seed;
mod seeder;
mod service;
mod serving;
mod sink;
mod start;
mod stream;
mod subject;
mod swarm;
mod tracker;
mod viewers;
mod vitals;
mod work;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

pub(crate) use self::arguments::Arguments;
pub(crate) use self::part::{WORD as PART, run as run_part};
use self::work::Make;
use crate::house::House;

/// What is measured by its own runner.
const STREAM: &str = "stream";

/// A work's name and maker, and what `--help` says of it.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    make: Make,
}

/// Everything that [`work`] measures, in the order in which it does.
pub(crate) const WORKS: [Entry; 10] = [
    Entry {
        name: "download",
        about: "a GiB from a seeder that costs nothing, and from 1 and 4 libtorrents, to memory and disk (12 min a round)",
        make: download::work,
    },
    Entry { name: "seed", about: "a GiB to 1 and 4 leechers (3 min a round)", make: seed::work },
    Entry { name: "recheck", about: "a GiB verified (1 min a round)", make: recheck::work },
    Entry {
        name: "start",
        about: "until a program says its version, and until it listens (20 s a round)",
        make: start::work,
    },
    Entry {
        name: "http",
        about: "a complete file read over HTTP by 1, 16 and 64 at once, beside nginx (2 min a round)",
        make: range_server::work,
    },
    Entry {
        name: "serve",
        about: "the daemon with accounts: 200 sessions, 64 open readers, requests per second, beside nginx (3 min a round)",
        make: service::work,
    },
    Entry {
        name: "playback",
        about: "a film over an open link: read as it comes, and watched at 8 Mbit/s (6 min a round)",
        make: playback::work,
    },
    Entry {
        name: "magnet",
        about: "a magnet link's metadata from one seeder (20 s a round)",
        make: magnet::work,
    },
    Entry {
        name: "idle",
        about: "a daemon with nothing to do, with 1,000 torrents, with 500 peers (25 min a round)",
        make: idle::work,
    },
    Entry { name: "machine", about: "loopback, SHA-1, memory (10 s a round)", make: machine::work },
];

/// Measures what is asked for.
pub(crate) fn run(house: &House, arguments: &Arguments) -> Result<()> {
    let works: Vec<&Entry> = WORKS.iter().filter(|work| arguments.has(work.name)).collect();
    if !works.is_empty() {
        work::run(house, arguments, &works)?;
    }
    if arguments.has(STREAM) { stream::run(house, arguments) } else { Ok(()) }
}

/// Other bytes each time.
fn seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The load average over a minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}
