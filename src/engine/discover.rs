//! Where one torrent's peers come from: its trackers, the DHT, host names in its magnet.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use afflux_metainfo::InfoHash;
use afflux_metainfo::limits::{MAGNET_PEERS_MAX, TRACKERS_MAX};
use afflux_swarm::Source;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::status::TrackerCount;
use super::torrent::Input;
use crate::announce::{self, AnnounceConfig, Announcer, AnnouncerHandle, Totals};
use crate::dht::DhtHandle;

/// Time between DHT lookups at first: until the node has found its neighbours, lookups find nothing.
const LOOKUP_INTERVAL_MIN: Duration = Duration::from_secs(3);
/// Time between DHT lookups in the long run; an announce lives 30 minutes on nodes.
const LOOKUP_INTERVAL_MAX: Duration = Duration::from_secs(10 * 60);
/// Messages of peers that wait for the torrent; whoever finds more waits.
const FOUND_MAX: usize = 16;
/// Tasks of one torrent beyond which no more of what links name is looked up: a link names a dozen peers, and the same torrent is
/// named again and again.
const TASKS_MAX: usize = 2 * MAGNET_PEERS_MAX;

/// One torrent's sources of peers.
#[derive(Debug)]
pub(super) struct Discovery {
    announcer: Option<AnnouncerHandle>,
    /// What an announcer will need, until there is one.
    trackers: Option<Trackers>,
    /// What is left is known, so that trackers can be told. Those that come later are asked at once.
    is_told: bool,
    dht: Option<Lookups>,
    tasks: Vec<JoinHandle<()>>,
}

/// What an announcer needs.
#[derive(Debug)]
pub(super) struct Trackers {
    pub(super) config: AnnounceConfig,
    pub(super) shared: Arc<announce::Shared>,
    pub(super) totals: watch::Receiver<Totals>,
    pub(super) torrent: mpsc::Sender<Input>,
}

/// The DHT's side.
#[derive(Debug)]
struct Lookups {
    node: DhtHandle,
    wanted: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Discovery {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { announcer: None, trackers: None, is_told: false, dht: None, tasks: Vec::new() }
    }

    /// Knows its trackers, if it has any, but doesn't ask them yet.
    pub(super) fn set_trackers(&mut self, trackers: Trackers) {
        self.trackers = Some(trackers);
    }

    /// Announces from now on, as soon as there is a tracker.
    pub(super) fn start_trackers(&mut self) {
        self.is_told = true;
        let has_some = |trackers: &mut Trackers| !trackers.config.tiers.is_empty();
        let Some(Trackers { config, shared, totals, torrent }) = self.trackers.take_if(has_some) else {
            return;
        };
        let (sender, found) = mpsc::channel(FOUND_MAX);
        // Without it the announcer would work for nothing, so it counts against no bound.
        self.tasks.push(tokio::spawn(forward(found, torrent, Source::Tracker)));
        let announcer = Announcer::start(config, shared, totals, sender);
        for (url, reason) in announcer.refused() {
            warn!(%url, %reason, "a tracker is left out");
        }
        self.announcer = Some(announcer);
    }

    /// Has further trackers: somebody else names the same torrent by them.
    pub(super) fn add_trackers(&mut self, tiers: Vec<Vec<String>>) {
        if let Some(announcer) = &self.announcer {
            return self.spawn(announcer.add(tiers));
        }
        let Some(trackers) = &mut self.trackers else { return };
        for tier in tiers {
            if trackers.config.tiers.len() < TRACKERS_MAX && !trackers.config.tiers.contains(&tier) {
                trackers.config.tiers.push(tier);
            }
        }
        if self.is_told {
            self.start_trackers();
        }
    }

    /// Looks in the DHT from now on, and announces `port` there.
    pub(super) fn join_dht(
        &mut self,
        node: DhtHandle,
        info_hash: InfoHash,
        port: u16,
        torrent: mpsc::Sender<Input>,
    ) {
        let wanted = Arc::new(Notify::new());
        let task = tokio::spawn(look_up(node.clone(), info_hash, port, Arc::clone(&wanted), torrent));
        self.dht = Some(Lookups { node, wanted, task });
    }

    /// BEP 27: a private torrent's peers come from its trackers alone.
    pub(super) fn leave_dht(&mut self) {
        if let Some(lookups) = self.dht.take() {
            lookups.task.abort();
        }
    }

    /// Resolves a host name that the source gives for a peer (`x.pe`).
    pub(super) fn resolve(&mut self, host: String, port: u16, torrent: mpsc::Sender<Input>) {
        self.spawn(async move {
            match tokio::net::lookup_host((host.as_str(), port)).await {
                Ok(addrs) => {
                    let addrs = addrs.take(FOUND_MAX).collect();
                    let _ = torrent.send(Input::Candidates { addrs, source: Source::Magnet }).await;
                }
                Err(error) => debug!(%host, %error, "the magnet's peer can't be resolved"),
            }
        });
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.retain(|task| !task.is_finished());
        if self.tasks.len() < TASKS_MAX {
            self.tasks.push(tokio::spawn(task));
        } else {
            debug!("what a link names is left out: too much is looked up for this torrent already");
        }
    }

    /// A peer's DHT node (BEP 5, `port`).
    pub(super) fn add_node(&self, address: IpAddr, port: u16) {
        if let Some(lookups) = &self.dht {
            lookups.node.add_node(SocketAddr::new(address, port));
        }
    }

    /// More peers are wanted soon.
    pub(super) fn need_peers(&self) {
        self.announce_again();
        self.look_up_again();
    }

    /// Asks trackers as soon as they allow it.
    pub(super) fn announce_again(&self) {
        if let Some(announcer) = &self.announcer {
            announcer.announce_now();
        }
    }

    /// Looks in the DHT soon.
    pub(super) fn look_up_again(&self) {
        if let Some(lookups) = &self.dht {
            lookups.wanted.notify_one();
        }
    }

    /// How its trackers do.
    pub(super) fn trackers(&self) -> TrackerCount {
        let Some(announcer) = &self.announcer else { return TrackerCount::default() };
        let status = announcer.status();
        let failing = status.iter().filter(|tracker| tracker.failures > 0).count();
        TrackerCount { known: status.len() as u32, failing: failing as u32 }
    }

    /// The download is complete.
    pub(super) async fn completed(&self) {
        if let Some(announcer) = &self.announcer {
            announcer.completed().await;
        }
    }

    /// Tells trackers that we leave, and ends everything here.
    pub(super) fn stop(&mut self) -> impl Future<Output = ()> + use<> {
        self.leave_dht();
        self.tasks.drain(..).for_each(|task| task.abort());
        let announcer = self.announcer.take();
        async move {
            if let Some(announcer) = announcer {
                announcer.stop().await;
            }
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.leave_dht();
        self.tasks.drain(..).for_each(|task| task.abort());
    }
}

async fn forward(mut found: mpsc::Receiver<Vec<SocketAddr>>, torrent: mpsc::Sender<Input>, source: Source) {
    while let Some(addrs) = found.recv().await {
        if torrent.send(Input::Candidates { addrs, source }).await.is_err() {
            return;
        }
    }
}

/// Looks up again and again: often at first, seldom in the long run, at once (but not too often) when peers
/// are missing.
async fn look_up(
    node: DhtHandle,
    info_hash: InfoHash,
    port: u16,
    wanted: Arc<Notify>,
    torrent: mpsc::Sender<Input>,
) {
    let mut interval = LOOKUP_INTERVAL_MIN;
    loop {
        forward(node.lookup(info_hash, Some(port)), torrent.clone(), Source::Dht).await;
        tokio::time::sleep(LOOKUP_INTERVAL_MIN).await;
        let rest = interval - LOOKUP_INTERVAL_MIN;
        let _ = tokio::time::timeout(rest, wanted.notified()).await;
        interval = (interval * 2).min(LOOKUP_INTERVAL_MAX);
    }
}
