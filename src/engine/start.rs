//! How a torrent's task comes to be: its swarm, its channels, and what finds its peers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use afflux_metainfo::info::Info;
use afflux_storage::Kind;
use afflux_swarm::Swarm;
use afflux_swarm::shaper::Limits;
use tokio::sync::{mpsc, watch};

use super::discover::{Discovery, Trackers};
use super::handle::Torrent;
use super::open::Place;
use super::readers::Readers;
use super::status::Status;
use super::torrent::{self, Input, TaskConfig};
use super::{AddOptions, Shared, UNREAD_MAX};
use crate::announce::{AnnounceConfig, Totals};
use crate::source::Source;

/// Dials of one torrent under way at once.
const DIALS_MAX: u32 = 20;
/// Connections of one address to one torrent. More are a swarm behind one router, or a test on loopback.
const PEERS_PER_ADDRESS_MAX: u32 = 16;

pub(super) fn start(
    shared: &Arc<Shared>,
    source: &Source,
    info: Option<Info>,
    options: AddOptions,
) -> Torrent {
    let info_hash = source.hashes().wire();
    let private = source.private() || info.as_ref().is_some_and(|info| info.private);
    let (open_bytes_max, keep_bytes_max) = shared.first_split(&options.kind);
    let now = Instant::now();
    let unchokes = shared.unchokes.torrent();
    let config = afflux_swarm::Config {
        peers_max: shared.torrent_connections_max.load(Ordering::Relaxed),
        dials_max: DIALS_MAX,
        peers_per_address_max: PEERS_PER_ADDRESS_MAX,
        open_bytes_max,
        keep_bytes_max,
        unread_max: matches!(options.kind, Kind::Memory).then_some(UNREAD_MAX),
        strategy: options.strategy,
        duplicate_percent: shared.config.tuning.duplicate_percent,
        unchoke_slots: unchokes.slots(0, now),
        local_peer_id: shared.peer_id,
        private,
        serve: true,
    };
    let mut swarm = Swarm::new(config, source.hashes(), None, shared.seed(), now);
    swarm.add_candidates(&shared.config.swarm.peers, afflux_swarm::Source::Given, now);
    let named = shared.config.swarm.peers_allowed(source.peers(), afflux_swarm::Source::Magnet);
    swarm.add_candidates(&named, afflux_swarm::Source::Magnet, now);
    let (inbox_sender, inbox) = mpsc::channel(torrent::INBOX_MAX);
    let (info_sender, info_known) = watch::channel(None);
    let (ready_sender, ready) = watch::channel(None);
    let (status_sender, status) = watch::channel(Status::default());
    let (totals_sender, totals) =
        watch::channel(Totals { left: torrent::BYTES_LEFT_UNKNOWN, ..Totals::default() });
    let readers = Arc::new(Readers::default());
    let streamed = options.kind.is_evictable();
    let discovery = discovery(shared, source, private, &inbox_sender, totals);
    let rates = shared.rates.torrent(Limits::default(), now);
    let dial = rates.dial();
    let task = TaskConfig {
        shared: Arc::clone(shared),
        place: Place {
            info_hash,
            resume_dir: shared.resume_dir(&options.kind),
            kind: options.kind,
            read_only: options.read_only,
            recheck: options.recheck,
            overwrite: options.overwrite,
            allocation: options.allocation,
        },
        hold: options.hold,
        inbox,
        to_self: inbox_sender.clone(),
        swarm,
        rates,
        unchokes,
        readers: Arc::clone(&readers),
        info: info_sender,
        ready: ready_sender,
        status: status_sender,
        totals: totals_sender,
        discovery,
    };
    torrent::start(task, info);
    let name = source.name().into();
    let inbox = inbox_sender;
    Torrent { info_hash, name, streamed, inbox, info: info_known, ready, status, readers, rates: dial }
}

fn discovery(
    shared: &Arc<Shared>,
    source: &Source,
    private: bool,
    torrent: &mpsc::Sender<Input>,
    totals: watch::Receiver<Totals>,
) -> Discovery {
    let info_hash = source.hashes().wire();
    let mut discovery = Discovery::new();
    let mut tiers = source.trackers();
    tiers.extend(shared.config.swarm.trackers.iter().map(|url| vec![url.clone()]));
    let config = AnnounceConfig {
        tiers,
        info_hash,
        peer_id: shared.peer_id,
        port: shared.port,
        timeout: shared.config.tuning.announce_timeout,
    };
    let (announces, to_torrent) = (Arc::clone(&shared.announces), torrent.clone());
    discovery.set_trackers(Trackers { config, shared: announces, totals, torrent: to_torrent });
    // With a .torrent it is soon known what is left, and the first announce says it. A magnet can't wait.
    if matches!(source, Source::Magnet(_)) {
        discovery.start_trackers();
    }
    if let Some(dht) = shared.dht.clone().filter(|_| !private) {
        for (host, port) in source.nodes() {
            if let Ok(address) = host.parse::<IpAddr>() {
                dht.add_node(SocketAddr::new(address, port));
            }
        }
        discovery.join_dht(dht, info_hash, shared.port, torrent.clone());
    }
    for (host, port) in source.named_peers() {
        discovery.resolve(host, port, torrent.clone());
    }
    discovery
}
