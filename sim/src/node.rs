//! One simulated peer: the engine's own `Swarm`, and around it what the engine's tasks are on a real machine.

use std::sync::Arc;
use std::time::Duration;

use afflux_metainfo::{Bitfield, InfoHash, InfoHashes, Layout, PeerId, PieceIndex};
use afflux_peer::{Direction, Handshake, Reserved};
use afflux_swarm::shaper::{self, Shaper, TorrentKey};
use afflux_swarm::{Config, PeerKey, StrategyName, Swarm};

use crate::chance::Chance;
use crate::clock::{Clock, Time};
use crate::discovery::address_of;
use crate::disk::Disk;
use crate::link::EndId;
use crate::player::Player;
use crate::proven::Proven;
use crate::scenario::{Group, Manner, Role};

/// The torrent's name; all runs share it.
const INFO_HASH: InfoHash = InfoHash(*b"afflux simulated run");

/// Requests that a node queues for each peer, as the engine does.
const REQUEST_QUEUE: u32 = 512;

/// After this a request that brought nothing is given to others, as in the engine.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(30);

/// Slots of a peer that unchokes everybody.
const ALL_SLOTS: u32 = 2_000;

/// One peer.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: u32,
    /// Its group's place in the scenario.
    pub(crate) group: usize,
    pub(crate) swarm: Swarm,
    /// The ends of its connections, by the places of their keys.
    ends: Vec<Option<(PeerKey, EndId)>>,
    /// Those whose place has been given out again before they were closed.
    displaced: Vec<(PeerKey, EndId)>,
    pub(crate) disk: Disk,
    /// What is on its disk and right. Its swarm should think the same.
    pub(crate) proven: Proven,
    pub(crate) player: Option<Box<Player>>,
    pub(crate) shaping: Option<Box<Shaping>>,
    pub(crate) chance: Chance,
    pub(crate) arrived: Time,
    /// When its swarm's and its player's timers are set to.
    pub(crate) armed: Time,
    pub(crate) player_armed: Time,
    /// It has all pieces, and (a viewer) has played to the end.
    pub(crate) complete: bool,
    pub(crate) done: bool,
}

/// The shaper of a node that limits itself.
#[derive(Debug)]
pub(crate) struct Shaping {
    pub(crate) shaper: Shaper,
    pub(crate) torrent: TorrentKey,
}

/// Where a node comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) number: u32,
    /// Its group's place in the scenario, and the group.
    pub(crate) group: usize,
    pub(crate) kind: &'a Group,
    pub(crate) strategy: StrategyName,
    pub(crate) now: Time,
}

impl Node {
    /// A node that comes now; it has what its group has at first.
    pub(crate) fn new(origin: Origin<'_>, layout: &Arc<Layout>, mut chance: Chance, clock: &Clock) -> Self {
        let Origin { number, group, kind, strategy, now } = origin;
        let have = have_at_first(kind, layout, &mut chance);
        let complete = have.is_full();
        let proven = Proven::new(have.clone());
        let slots = if kind.manner == Manner::Silent { ALL_SLOTS } else { kind.unchoke_slots };
        let config = Config {
            peers_max: kind.connections_max,
            strategy,
            unchoke_slots: slots,
            serve: kind.manner != Manner::FreeRider,
            ..Config::new(peer_id(number))
        };
        let info = Some((Arc::clone(layout), have));
        let hashes = InfoHashes::V1(INFO_HASH);
        let instant = clock.instant(now);
        let limits = shaper::Limits { download: kind.limits.down, upload: kind.limits.up };
        let shaping = (limits != shaper::Limits::default()).then(|| {
            let mut shaper = Shaper::new(limits, instant);
            let torrent = shaper.add_torrent(None, shaper::Limits::default(), instant);
            Box::new(Shaping { shaper, torrent })
        });
        Self {
            number,
            group,
            swarm: Swarm::new(config, hashes, info, chance.next(), instant),
            ends: Vec::new(),
            displaced: Vec::new(),
            disk: Disk::default(),
            proven,
            player: None,
            shaping,
            arrived: now,
            armed: Time::NEVER,
            player_armed: Time::NEVER,
            complete,
            done: false,
            chance,
        }
    }

    /// Whether a piece is there and verified, as its swarm sees it and has told others.
    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        self.swarm.have().is_some_and(|have| have.contains(piece))
    }

    /// The end of the connection with this peer.
    pub(crate) fn end(&self, key: PeerKey) -> Option<EndId> {
        match self.ends.get(key.index() as usize) {
            Some(Some((placed, end))) if *placed == key => Some(*end),
            _ => self.displaced.iter().find(|(known, _)| *known == key).map(|(_, end)| *end),
        }
    }

    /// The peer's connection ends here.
    pub(crate) fn connect(&mut self, key: PeerKey, end: EndId) {
        let place = key.index() as usize;
        if self.ends.len() <= place {
            self.ends.resize(place + 1, None);
        }
        self.displaced.extend(self.ends[place].replace((key, end)));
    }

    /// The peer is gone.
    pub(crate) fn disconnect(&mut self, key: PeerKey) {
        self.displaced.retain(|(known, _)| *known != key);
        if let Some(place) = self.ends.get_mut(key.index() as usize)
            && place.is_some_and(|(known, _)| known == key)
        {
            *place = None;
        }
    }

    /// The ends of all its connections.
    pub(crate) fn all_ends(&self) -> impl Iterator<Item = EndId> + '_ {
        self.ends.iter().flatten().chain(&self.displaced).map(|(_, end)| *end)
    }
}

/// What a node calls itself.
pub(crate) fn peer_id(node: u32) -> PeerId {
    let mut id = *b"-AF0100-simulated000";
    id[16..].copy_from_slice(&node.to_be_bytes());
    PeerId(id)
}

/// What a node says first.
pub(crate) fn handshake(node: u32) -> Handshake {
    Handshake { reserved: Reserved::ours(false), info_hash: INFO_HASH, peer_id: peer_id(node) }
}

/// What a connection to this node is told at its birth.
pub(crate) fn connection_config(remote: u32, direction: Direction) -> afflux_peer::Config {
    afflux_peer::Config {
        direction,
        remote: address_of(remote),
        reqq: REQUEST_QUEUE,
        client: String::new(),
        // Who dials does so from where it listens: there is nothing more to tell.
        listen_port: None,
        peer_timeout: PEER_TIMEOUT,
        dht_port: None,
        upload_only: false,
    }
}

fn have_at_first(kind: &Group, layout: &Layout, chance: &mut Chance) -> Bitfield {
    let count = layout.piece_count();
    match kind.role {
        Role::Seed => Bitfield::full(count),
        Role::Leecher { have } => {
            let mut pieces: Vec<u32> = (0..count).collect();
            let wanted = (f64::from(count) * have.clamp(0.0, 1.0)) as usize;
            let mut bitfield = Bitfield::new(count);
            for place in 0..wanted {
                let drawn = place + chance.below(pieces.len() - place);
                pieces.swap(place, drawn);
                bitfield.insert(PieceIndex(pieces[place]));
            }
            bitfield
        }
        Role::Viewer(_) => Bitfield::new(count),
    }
}
