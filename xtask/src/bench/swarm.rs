//! The swarm of one run: seeders, each behind a slow link of its own, a tracker, and a .torrent that names it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use afflux_shim::{Config, Link};
use anyhow::{Context, Result};

use super::film::{Film, Ledger};
use super::seeder::{Manner, Seeder};
use super::tracker::Tracker;

/// 40 ms there and back.
pub(crate) const DELAY: Duration = Duration::from_millis(20);

/// Clients' requests and handshakes share a line that is never the bottleneck.
const RATE_UP: u64 = 1024 * 1024;

/// What may wait at a seeder's end of a line besides what its sockets hold: a block.
const QUEUE_BYTES: u64 = 16 * 1024;

/// What a seeder and its line are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeederPlan {
    /// Bytes per second that it sends.
    pub(crate) rate: u64,
    pub(crate) manner: Manner,
}

/// A film, ready to be shared.
#[derive(Clone, Debug)]
pub(crate) struct Reel {
    pub(crate) film: Arc<Film>,
    /// The bencoded info dictionary of its torrent.
    pub(crate) info: Arc<[u8]>,
}

/// A running swarm; ends when dropped.
#[derive(Debug)]
pub(crate) struct Swarm {
    pub(crate) film: Arc<Film>,
    pub(crate) ledger: Arc<Ledger>,
    /// In the order of the plans.
    pub(crate) links: Vec<Link>,
    pub(crate) torrent: PathBuf,
    _seeders: Vec<Seeder>,
    _tracker: Tracker,
}

impl Swarm {
    /// Starts seeders of the first `pieces` of the film, and puts the .torrent into `folder`.
    pub(crate) fn start(
        reel: &Reel,
        plans: &[SeederPlan],
        pieces: u64,
        seed: u64,
        folder: &Path,
    ) -> Result<Self> {
        let film = Arc::clone(&reel.film);
        let ledger = Arc::new(Ledger::new(&film));
        let (mut seeders, mut links, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for (nth, plan) in plans.iter().enumerate() {
            let seeder = Seeder::start(&film, &ledger, plan.manner, pieces).context("a seeder")?;
            // Hosts of their own: many clients keep one connection to each.
            let host = Ipv4Addr::new(127, 0, 0, 2 + nth as u8);
            let link = Link::start(Config {
                listen: IpAddr::V4(host),
                delay: DELAY,
                rate_up: Some(RATE_UP),
                rate_down: Some(plan.rate),
                queue_bytes: QUEUE_BYTES,
                seed,
                ..Config::new(seeder.addr)
            })
            .context("a link")?;
            if let SocketAddr::V4(address) = link.addr {
                addresses.push(address);
            }
            seeders.push(seeder);
            links.push(link);
        }
        let tracker = Tracker::start(&addresses).context("the tracker")?;
        let torrent = folder.join("film.torrent");
        fs::write(&torrent, torrent_bytes(&tracker.url(), &reel.info))
            .with_context(|| torrent.display().to_string())?;
        Ok(Self { film, ledger, links, torrent, _seeders: seeders, _tracker: tracker })
    }
}

/// A .torrent with this tracker.
pub(crate) fn torrent_bytes(announce: &str, info: &[u8]) -> Vec<u8> {
    let head = format!("d8:announce{}:{announce}4:info", announce.len());
    [head.as_bytes(), info, b"e"].concat()
}

/// The info dictionary of a .torrent in which nothing follows it.
pub(crate) fn info_of(torrent: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"4:infod";
    let place = torrent.windows(KEY.len()).position(|bytes| bytes == KEY)?;
    torrent.strip_suffix(b"e")?.get(place + KEY.len() - 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_info_dictionary_survives_another_tracker() {
        let made = b"d10:created by6:afflux4:infod6:lengthi5e4:name1:fee";
        let info = info_of(made).unwrap();
        assert_eq!(info, b"d6:lengthi5e4:name1:fe");
        assert_eq!(torrent_bytes("http://x", info), b"d8:announce8:http://x4:infod6:lengthi5e4:name1:fee");
    }
}
