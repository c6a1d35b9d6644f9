//! The announcer: a task that keeps one torrent known to its trackers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use afflux_metainfo::{InfoHash, PeerId};
use afflux_tracker::tiers::Status;
use tokio::sync::{mpsc, watch};

use crate::fetch::Fetcher;

/// What a torrent has moved, as trackers want to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Payload bytes sent in this session.
    pub uploaded: u64,
    /// Payload bytes received in this session.
    pub downloaded: u64,
    /// Bytes still to download.
    pub left: u64,
}

/// What all announcers of a process share.
#[derive(Debug)]
pub struct Shared {
    _private: (),
}

impl Shared {
    /// `bind`: local address for UDP announces.
    pub fn new(fetcher: Arc<Fetcher>, bind: Option<IpAddr>) -> Arc<Self> {
        let _ = (fetcher, bind);
        Arc::new(Self { _private: () })
    }
}

/// One torrent's announces.
#[derive(Clone, Debug)]
pub struct AnnounceConfig {
    /// Trackers as the torrent gives them.
    pub tiers: Vec<Vec<String>>,
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who we are.
    pub peer_id: PeerId,
    /// Port on which we take peers.
    pub port: u16,
    /// `ANNOUNCE_TIMEOUT`.
    pub timeout: Duration,
}

/// The way to a running announcer.
#[derive(Debug)]
pub struct AnnouncerHandle {
    _private: (),
}

/// Namespace of [`Announcer::start`].
#[derive(Debug)]
pub struct Announcer;

impl Announcer {
    /// Starts the task.
    pub fn start(
        config: AnnounceConfig,
        shared: Arc<Shared>,
        totals: watch::Receiver<Totals>,
        peers: mpsc::Sender<Vec<SocketAddr>>,
    ) -> AnnouncerHandle {
        let _ = (config, shared, totals, peers);
        todo!()
    }
}

impl AnnouncerHandle {
    /// More peers are wanted soon.
    pub fn announce_now(&self) {}

    /// The download became complete.
    pub fn completed(&self) {}

    /// Every tracker and how it does.
    pub fn status(&self) -> Vec<Status> {
        todo!()
    }

    /// Tells the trackers that we leave; bounded in time.
    pub async fn stop(self) {}
}
