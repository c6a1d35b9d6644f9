//! Who comes and goes, finds and dials whom.

use std::net::SocketAddr;
use std::time::Duration;

use afflux_peer::limits::HANDSHAKE_TIMEOUT;
use afflux_peer::{Connection, Direction};
use afflux_swarm::{Connected, Parting, PeerKey, Source, shaper};

use super::{Event, Home, World};
use crate::chance::Chance;
use crate::clock::Time;
use crate::discovery::{NODES_MAX, address_of, node_at};
use crate::invariants::Step;
use crate::link::{End, EndId};
use crate::log::What;
use crate::node::{Node, Origin, connection_config, handshake, peer_id};
use crate::outcome::PeerOutcome;
use crate::player::Player;
use crate::scenario::{Arrival, Group, Role, Stay};

impl World<'_> {
    /// Puts down when the peers of each group come.
    pub(super) fn expect_arrivals(&mut self) {
        for (group, kind) in self.scenario.groups.iter().enumerate() {
            let mut at = Time::default();
            for nth in 0..kind.count {
                at = match kind.arrival {
                    Arrival::At(moment) => Time::default() + moment,
                    Arrival::Spread(span) => {
                        Time::default() + span.mul_f64(f64::from(nth) / f64::from(kind.count))
                    }
                    Arrival::Poisson { rate } => {
                        at + self.chance.exponential(Duration::from_secs_f64((1.0 / rate).min(1e9)))
                    }
                };
                self.agenda.put(at, Event::Arrive { group: group as u32 });
            }
            if self.is_awaited(kind) {
                self.awaited += u64::from(kind.count);
            }
        }
    }

    pub(super) fn arrive(&mut self, group: usize) -> Step {
        let kind = &self.scenario.groups[group];
        let number = self.nodes.len() as u32;
        if self.nodes.len() >= NODES_MAX {
            return Ok(());
        }
        let lines = self.net.add_lines(&kind.access);
        let mut chance = Chance::new(self.chance.next());
        let dice = Chance::new(chance.next());
        let stay = match kind.stay {
            Stay::For(time) => Some(time),
            Stay::Churn(mean) => Some(chance.exponential(mean)),
            Stay::Always | Stay::AfterDone(_) => None,
        };
        let origin = Origin { number, group, kind, strategy: self.strategies[group], now: self.now };
        let mut node = Node::new(origin, &self.layout, chance, &self.clock);
        let content = &self.scenario.content;
        if let Role::Viewer(script) = &kind.role {
            let player = Player::new(script.clone(), content.length, content.media_rate, dice, self.now);
            node.player = Some(Box::new(player));
        }
        if kind.role != Role::Seed
            && let Some(have) = node.swarm.have()
        {
            self.diversity.enter(have);
        }
        self.nodes.push(Some(Box::new(node)));
        self.homes.push(Home { group: group as u32, lines });
        self.outcome.peers.push(PeerOutcome {
            group: kind.name.clone(),
            counted: kind.counted(),
            viewer: matches!(kind.role, Role::Viewer(_)),
            arrived: self.now.elapsed(),
            ..PeerOutcome::default()
        });
        self.tracker.enter(number);
        self.journal.note(number, What::Join);
        if let Some(stay) = stay {
            self.agenda.put(self.now + stay, Event::Leave { node: number });
        }
        self.play(number)?;
        self.check_done(number);
        self.turn(number)
    }

    pub(super) fn leave(&mut self, number: u32) -> Step {
        let Some(node) = self.node(number) else { return Ok(()) };
        let ends: Vec<EndId> = node.all_ends().collect();
        for end in ends {
            self.part(end, Parting::Closed)?;
        }
        self.touched.clear();
        self.count_stay(number);
        self.outcome.peers[number as usize].left = Some(self.now.elapsed());
        self.tracker.leave(number);
        self.journal.note(number, What::Part);
        self.outcome.peers[number as usize].left = Some(self.now.elapsed());
        let kind = self.group_of(number);
        let (awaited, churns, seed) =
            (self.is_awaited(kind), matches!(kind.stay, Stay::Churn(_)), kind.role == Role::Seed);
        let Some(node) = self.nodes[number as usize].take() else { return Ok(()) };
        self.audit(&node)?;
        if !seed
            && !node.complete
            && let Some(have) = node.swarm.have()
        {
            self.diversity.leave(have);
        }
        if churns {
            self.agenda.put(self.now, Event::Arrive { group: node.group as u32 });
        }
        // Its place in what the run waits for goes to whoever comes instead.
        if awaited && churns == node.done {
            self.awaited = if churns { self.awaited + 1 } else { self.awaited - 1 };
        }
        self.net.settle(self.now, &mut self.agenda);
        Ok(())
    }

    /// What a node could have sent while it was there; at its parting, or at the end of the run.
    pub(super) fn count_stay(&mut self, number: u32) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        let figures = &mut self.outcome.peers[number as usize];
        if let Some(player) = &mut node.player {
            player.finish(figures, now);
        }
        let arrived = node.arrived;
        let up = self.group_of(number).access.up;
        self.outcome.uplink_bytes += (up as f64 * now.seconds_since(arrived)) as u64;
    }

    pub(super) fn answer(&mut self, number: u32) -> Step {
        let instant = self.instant;
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else {
            return Ok(());
        };
        let others = self.tracker.answer(number, &mut node.chance);
        let addrs: Vec<SocketAddr> = others.into_iter().map(address_of).collect();
        node.swarm.add_candidates(&addrs, Source::Tracker, instant);
        self.turn(number)
    }

    pub(super) fn dial(&mut self, from: u32, addr: SocketAddr) {
        let reachable = node_at(addr).filter(|&to| self.node(to).is_some() && !self.group_of(to).nat);
        match reachable {
            // A connection, and then our handshake: three times the way.
            Some(to) => self.agenda.put(self.now + self.latency(from, to) * 3, Event::Accept { from, to }),
            None => {
                let to = node_at(addr).unwrap_or(u32::MAX);
                self.agenda.put(self.now + HANDSHAKE_TIMEOUT, Event::DialFailed { from, to });
            }
        }
    }

    pub(super) fn accept(&mut self, from: u32, to: u32) -> Step {
        let latency = self.latency(from, to);
        let failed = Event::DialFailed { from, to };
        let Some(key) = self.admit(to, from, afflux_swarm::Direction::Incoming) else {
            self.agenda.put(self.now + latency, failed);
            return self.turn_if_there(to);
        };
        let first = self.links.add(latency);
        let (dialler, acceptor) = (first, first.other());
        let there = self.end(acceptor, to, from, Direction::Incoming);
        let here = self.end(dialler, from, to, Direction::Outgoing);
        self.links.put(dialler, here);
        self.links.put(acceptor, there);
        self.admitted(to, acceptor, key);
        self.agenda.put(self.now + latency, Event::Connected { end: dialler });
        self.turn(to)
    }

    pub(super) fn connected(&mut self, id: EndId) -> Step {
        let Some(end) = self.links.get(id) else { return Ok(()) };
        let (from, to) = (end.node, end.peer);
        let key = self.admit(from, to, afflux_swarm::Direction::Outgoing);
        match key {
            Some(key) => {
                self.journal.note(from, What::Connect { other: to });
                self.admitted(from, id, key);
            }
            None => self.part(id, Parting::Closed)?,
        }
        self.turn_if_there(from)
    }

    pub(super) fn dial_failed(&mut self, from: u32, to: u32) -> Step {
        let instant = self.instant;
        let Some(node) = self.node_mut(from) else { return Ok(()) };
        node.swarm.handle_dial_failed(address_of(to), instant);
        self.turn(from)
    }

    /// The other end is closed.
    pub(super) fn parted(&mut self, id: EndId) -> Step {
        let Some(node) = self.links.get(id).map(|end| end.node) else { return Ok(()) };
        self.part(id, Parting::Closed)?;
        self.turn_if_there(node)
    }

    /// Closes an end. The other one hears of it, if it's still there.
    pub(super) fn part(&mut self, id: EndId, parting: Parting) -> Step {
        let (now, instant) = (self.now, self.instant);
        let Some(latency) = self.links.latency(id) else { return Ok(()) };
        let cut_off = self.account(id)?;
        let other_is_there = self.links.get(id.other()).is_some();
        let Some(end) = self.links.remove(id) else { return Ok(()) };
        self.figures(end.node).duplicate_bytes += cut_off;
        self.net.close(end.flow);
        if other_is_there {
            self.agenda.put(now + latency, Event::Parted { end: id.other() });
        }
        let Some(key) = end.key else { return Ok(()) };
        self.journal.note(end.node, What::Disconnect { other: end.peer });
        let Some(node) = self.node_mut(end.node) else { return Ok(()) };
        node.disconnect(key);
        if let (Some(shaping), Some(link)) = (&mut node.shaping, end.shaped) {
            shaping.shaper.remove_link(link);
        }
        node.swarm.handle_disconnected(key, parting, instant);
        Ok(())
    }

    pub(super) fn group_of(&self, number: u32) -> &Group {
        let group = self.homes.get(number as usize).map_or(0, |home| home.group);
        &self.scenario.groups[group as usize]
    }

    pub(super) fn is_seed(&self, number: u32) -> bool {
        self.group_of(number).role == Role::Seed
    }

    /// Whether the run goes on until such peers are done.
    pub(super) fn is_awaited(&self, kind: &Group) -> bool {
        let any_counted = self.scenario.groups.iter().any(Group::counted);
        if any_counted { kind.counted() } else { kind.role != Role::Seed }
    }

    fn turn_if_there(&mut self, number: u32) -> Step {
        if self.node(number).is_some() { self.turn(number) } else { Ok(()) }
    }

    fn latency(&self, one: u32, other: u32) -> Duration {
        self.group_of(one).access.latency + self.group_of(other).access.latency
    }

    fn admit(&mut self, number: u32, other: u32, direction: afflux_swarm::Direction) -> Option<PeerKey> {
        let instant = self.instant;
        let connected = Connected { addr: address_of(other), direction, peer_id: peer_id(other), fast: true };
        self.node_mut(number)?.swarm.handle_connected(connected, instant).ok()
    }

    fn admitted(&mut self, number: u32, id: EndId, key: PeerKey) {
        let instant = self.instant;
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        node.connect(key, id);
        self.stirred = true;
        let shaped = node
            .shaping
            .as_mut()
            .and_then(|shaping| shaping.shaper.add_link(shaping.torrent, shaper::Limits::default(), instant));
        if let Some(end) = self.links.get_mut(id) {
            (end.key, end.shaped) = (Some(key), shaped);
        }
        self.touch(id);
    }

    fn end(&mut self, id: EndId, node: u32, peer: u32, direction: Direction) -> End {
        let instant = self.instant;
        let config = connection_config(peer, direction);
        let layout = Some(self.layout.clone());
        let seed = self.chance.next();
        let connection = Connection::new(config, &handshake(peer), layout, None, seed, instant);
        let (from, to) = (self.homes[node as usize].lines, self.homes[peer as usize].lines);
        let latency = self.latency(node, peer);
        End {
            node,
            peer,
            key: None,
            connection,
            flow: self.net.open(id, from, to, latency),
            sending: false,
            flowing: false,
            debt: 0,
            frame_debt: 0,
            posted: 0,
            held: 0,
            asked: Default::default(),
            asked_bytes: 0,
            came_bytes: 0,
            moved_at: self.now,
            whole_bytes: 0,
            reading: 0,
            unreported: true,
            told_lingering: 0,
            touched: false,
            armed: Time::NEVER,
            shaped: None,
            upload_at: Time::default(),
            read_at: Time::default(),
        }
    }
}
