//! What a torrent's task does with its links: starting them, hearing their reports, and one message to each per turn.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use afflux_peer::{Command, Connection, Direction, Event, Handshake, Totals as PeerTotals};
use afflux_swarm::{Connected, Gauges, Parting, PeerKey, Report};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tracing::debug;

use super::super::attempts::Kept;
use super::super::link::{self, COMMAND_BATCHES_MAX, Link, ToLink};
use super::super::reserves::Reserves;
use super::super::slots::Slot;
use super::{Input, OUTBOX_COMMANDS_MAX, STARVED, Task};

/// What a link saw since its last report.
#[derive(Debug)]
pub(in crate::engine) struct LinkReport {
    pub(in crate::engine) events: Vec<Event>,
    /// Of the blocks received, in which attempt at its piece each was.
    pub(in crate::engine) kept: Vec<Kept>,
    pub(in crate::engine) gauges: Gauges,
    pub(in crate::engine) totals: PeerTotals,
}

/// A connection whose handshakes are done.
#[derive(Debug)]
pub(in crate::engine) struct Greeted {
    pub(in crate::engine) stream: TcpStream,
    pub(in crate::engine) handshake: Handshake,
    pub(in crate::engine) addr: SocketAddr,
    pub(in crate::engine) direction: Direction,
    pub(in crate::engine) slot: Slot,
}

/// The torrent's side of a link.
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    /// We called it: whoever wants to meet it again finds it there.
    pub(super) dialled: bool,
    pub(super) commands: mpsc::Sender<ToLink>,
    pub(super) outbox: Vec<Command>,
    /// The numbers of its last report, for when we look again without it.
    pub(super) last: Gauges,
    pub(super) totals: PeerTotals,
    pub(super) reserves: Reserves,
}

impl Task {
    pub(super) fn welcome(&mut self, greeted: Greeted, now: Instant) {
        let Greeted { stream, handshake, addr, direction, slot } = greeted;
        let connected = Connected {
            addr,
            direction: match direction {
                Direction::Incoming => afflux_swarm::Direction::Incoming,
                Direction::Outgoing => afflux_swarm::Direction::Outgoing,
            },
            peer_id: handshake.peer_id,
            fast: handshake.reserved.fast(),
        };
        let peer = match self.config.swarm.handle_connected(connected, now) {
            Ok(peer) => peer,
            Err(refusal) => return debug!(%addr, %refusal, "connection refused"),
        };
        let config = self.config.shared.connection_config(addr, direction);
        let ready = self.ready.clone();
        let layout = ready.as_ref().map(|ready| Arc::clone(&ready.layout));
        // Known before storage is there: a peer that is refused metadata asks again only after a minute (libtorrent).
        let metadata = self.config.info.borrow().as_ref().map(|info| info.raw.clone());
        let metadata_size = metadata.as_ref().map(|raw| raw.len() as u32);
        let seed = self.config.shared.seed();
        let mut connection = Connection::new(config, &handshake, layout, metadata_size, seed, now);
        if let Some(raw) = metadata {
            connection.set_metadata(raw);
        }
        let (sender, commands) = mpsc::channel(COMMAND_BATCHES_MAX);
        tokio::spawn(link::run(Link {
            peer,
            stream,
            connection,
            ready,
            commands,
            torrent: self.config.to_self.clone(),
            rates: self.config.rates.link(now),
            _slot: slot,
        }));
        let last = Gauges::default();
        let (totals, reserves) = (PeerTotals::default(), Reserves::default());
        let dialled = direction == Direction::Outgoing;
        let outbox = Vec::new();
        self.peers.insert(peer, Peer { addr, dialled, commands: sender, outbox, last, totals, reserves });
    }

    /// Something for all links, at once.
    pub(super) fn tell_links(&mut self, message: &ToLink) {
        for peer in self.peers.values_mut() {
            // A link whose channel is full is closed at the next flush.
            if peer.commands.try_send(message.clone()).is_err() {
                peer.outbox.resize(OUTBOX_COMMANDS_MAX + 1, Command::NotInterested);
            }
        }
    }

    pub(super) fn hear(&mut self, peer: PeerKey, mut report: LinkReport, now: Instant) {
        for block in self.attempts.sift(&mut report.events, &report.kept) {
            self.config.swarm.handle_outdated(peer, block);
        }
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.totals = report.totals;
        known.last = report.gauges;
        for event in &report.events {
            if let Event::DhtPort(port) = event {
                self.config.discovery.add_node(known.addr.ip(), *port);
            }
            if let Some(ready) = &self.ready {
                known.reserves.settle(event, &ready.store);
            }
        }
        let room = if self.starved_until.is_some() { 0 } else { report.gauges.room };
        let report = Report { events: report.events.into_iter(), gauges: Gauges { room, ..report.gauges } };
        self.config.swarm.handle_report(peer, report, now);
    }

    /// The link has ended.
    pub(super) fn part(&mut self, peer: PeerKey, parting: Parting, copied_bytes: u64, now: Instant) {
        self.copied_bytes += copied_bytes;
        if let Some(mut gone) = self.peers.remove(&peer) {
            self.gone += gone.totals;
            self.with_store(|store| gone.reserves.release_all(store));
        }
        self.config.swarm.handle_disconnected(peer, parting, now);
    }

    pub(super) fn send(&mut self, peer: PeerKey, command: Command, now: Instant) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if let Some(ready) = &self.ready {
            if let Command::Request(block) = command {
                let Ok(attempt) = ready.store.reserve(block) else {
                    self.starved_until = Some(now + STARVED);
                    self.refused.push((peer, block));
                    return;
                };
                if let Some(attempt) = attempt {
                    self.attempts.begin(block.index, attempt);
                }
                known.reserves.add(block);
            }
            known.reserves.follow(&command, &ready.store);
        }
        known.outbox.push(command);
    }

    /// Tells the swarm that requests found no memory, and that nobody has room until some comes back.
    pub(super) fn return_refused(&mut self, now: Instant) {
        for (peer, block) in std::mem::take(&mut self.refused) {
            self.config.swarm.handle_no_memory(peer, block, now);
            self.report_again(peer, Some(0), now);
        }
        self.act(now);
    }

    pub(super) fn end_starvation(&mut self, now: Instant) {
        if self.starved_until.is_none_or(|until| until > now) {
            return;
        }
        self.starved_until = None;
        let peers: Vec<PeerKey> = self.peers.keys().copied().collect();
        for peer in peers {
            self.report_again(peer, None, now);
        }
    }

    fn report_again(&mut self, peer: PeerKey, room: Option<u32>, now: Instant) {
        let Some(known) = self.peers.get(&peer) else { return };
        let room = room.unwrap_or(known.last.room);
        let events = std::iter::empty::<Event>();
        let report = Report { events, gauges: Gauges { room, ..known.last } };
        self.config.swarm.handle_report(peer, report, now);
    }

    /// Tells the swarm how many peers it may serve, if that has changed: peers want something that didn't, here or elsewhere.
    pub(super) fn divide_unchokes(&mut self, now: Instant) {
        let slots = self.config.unchokes.slots(self.config.swarm.takers(), now);
        if slots != self.config.swarm.unchoke_slots() {
            self.config.swarm.set_unchoke_slots(slots, now);
        }
    }

    /// Gives each link what was said to it in this turn.
    pub(super) fn flush(&mut self) {
        let mut stuck = Vec::new();
        for (&key, peer) in &mut self.peers {
            if peer.outbox.is_empty() {
                continue;
            }
            if peer.outbox.len() > OUTBOX_COMMANDS_MAX {
                stuck.push(key);
                continue;
            }
            if let Ok(place) = peer.commands.try_reserve() {
                place.send(ToLink::Commands(std::mem::take(&mut peer.outbox)));
            }
        }
        stuck.into_iter().for_each(|peer| self.close(peer));
    }

    pub(super) fn close(&mut self, peer: PeerKey) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.outbox.clear();
            // The old sender is dropped, and with it the channel.
            known.commands = mpsc::channel(1).0;
        }
    }

    pub(super) fn dial(&self, addr: SocketAddr) {
        let shared = Arc::clone(&self.config.shared);
        let (to_self, info_hash) = (self.config.to_self.clone(), self.config.place.info_hash);
        tokio::spawn(async move {
            let input = match shared.dial(addr, info_hash).await {
                Some(greeted) => Input::Greeted(greeted),
                None => Input::DialFailed(addr),
            };
            let _ = to_self.send(input).await;
        });
    }
}
