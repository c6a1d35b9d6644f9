//! A run: nodes, the network between them, and what is due when.
//!
//! Every event belongs to one node. It gives the machines of that node their input, then the node's turn is played to the
//! end: outputs of its swarm go to its connections, events of its connections to its swarm, until neither says more. What
//! leaves for other nodes comes to them as events of their own, at least a path's latency later.
//!
//! Here: the loop, the turn and the figures. In `people`: who comes, goes, dials. In `talk`: one connection's work. In
//! `carry`: what it sends. In `store`: verdicts and players.

mod carry;
mod people;
mod store;
mod talk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::Layout;
use afflux_peer::{Command, Event as PeerEvent};
use afflux_swarm::{Output, StrategyName};

use crate::agenda::Agenda;
use crate::chance::Chance;
use crate::clock::{Clock, Time};
use crate::discovery::Tracker;
use crate::diversity::Diversity;
use crate::invariants::{self, Broken, Step};
use crate::journal::Journal;
use crate::link::{End, EndId, Links};
use crate::log::{Log, What};
use crate::net::Net;
use crate::node::Node;
use crate::outcome::{Outcome, PeerOutcome};
use crate::player::Act;
use crate::scenario::Scenario;

/// Figures over time are taken this often.
const SAMPLE: Duration = Duration::from_secs(1);

/// Every so many samples, and at the end, the budgets of all nodes are looked at. Those of a node that asks or gets
/// something are at the end of its turn, and once more when it leaves.
const AUDIT_EVERY: u64 = 10;

/// Whoever is watching is asked once in so many events whether to go on.
const ASK_EVERY: u64 = 1_024;

/// A timer that is due again at once waits this long: a machine that can't be satisfied must not stop time.
const TIMER_MIN: Duration = Duration::from_micros(100);

/// What is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A peer of this group comes.
    Arrive {
        group: u32,
    },
    /// A peer goes.
    Leave {
        node: u32,
    },
    /// The tracker's answer comes.
    Peers {
        node: u32,
    },
    /// A dial reaches the one who is dialled.
    Accept {
        from: u32,
        to: u32,
    },
    /// The answer to a dial reaches the dialler.
    Connected {
        end: EndId,
    },
    DialFailed {
        from: u32,
        to: u32,
    },
    /// The other end has closed the connection.
    Parted {
        end: EndId,
    },
    /// Bytes come to this end.
    Deliver {
        end: EndId,
        bytes: u32,
    },
    /// Something of the network's own.
    Network(crate::net::Due),
    /// A block that was asked has been read.
    Read {
        end: EndId,
        piece: u32,
        begin: u32,
    },
    /// A limit of the shaper's may be over.
    Shaped {
        end: EndId,
    },
    /// Timers.
    Swarm {
        node: u32,
    },
    Connection {
        end: EndId,
    },
    Player {
        node: u32,
    },
    /// A piece's hash is known.
    Verdict {
        node: u32,
        piece: u32,
        attempt: u32,
    },
    /// Figures are taken.
    Sample,
}

/// Where a node is at home; known of those too who have left.
#[derive(Clone, Copy, Debug)]
struct Home {
    group: u32,
    /// Its uplink and its downlink.
    lines: [u32; 2],
}

/// A run under way.
pub(crate) struct World<'a> {
    scenario: &'a Scenario,
    strategies: Vec<StrategyName>,
    layout: Arc<Layout>,
    clock: Clock,
    now: Time,
    /// The same moment as the machines know it.
    instant: Instant,
    agenda: Agenda<Event>,
    chance: Chance,
    nodes: Vec<Option<Box<Node>>>,
    /// Of every node that ever came: its group, and its lines.
    homes: Vec<Home>,
    links: Links,
    net: Net,
    tracker: Tracker,
    journal: Journal<'a>,
    diversity: Diversity,
    outcome: Outcome,
    /// Peers whose figures the run waits for and that haven't come, or aren't done.
    awaited: u64,
    samples: u64,
    /// Ends of the node whose turn it is that have to be looked at.
    touched: VecDeque<EndId>,
    /// In this turn a block came or was asked for, or a connection: the node's budgets are to be looked at when it ends.
    stirred: bool,
    events: Vec<PeerEvent>,
    acts: Vec<Act>,
    control: Vec<u8>,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        scenario: &'a Scenario,
        strategies: Vec<StrategyName>,
        layout: Layout,
        seed: u64,
        log: &'a mut dyn Log,
    ) -> Self {
        let mut chance = Chance::new(seed);
        let net = Net::new(scenario.network, chance.next());
        let clock = Clock::new();
        let mut world = Self {
            scenario,
            strategies,
            diversity: Diversity::new(layout.piece_count()),
            layout: Arc::new(layout),
            clock,
            now: Time::default(),
            instant: clock.instant(Time::default()),
            agenda: Agenda::new(),
            chance,
            nodes: Vec::new(),
            homes: Vec::new(),
            links: Links::default(),
            net,
            tracker: Tracker::default(),
            journal: Journal::new(log),
            outcome: Outcome { scenario: scenario.name.clone(), seed, ..Outcome::default() },
            awaited: 0,
            samples: 0,
            touched: VecDeque::new(),
            stirred: false,
            events: Vec::new(),
            acts: Vec::new(),
            control: Vec::new(),
        };
        world.expect_arrivals();
        world.agenda.put(Time::default() + SAMPLE, Event::Sample);
        world
    }

    /// Runs to the end, or until `stop` says so.
    pub(crate) fn run(mut self, stop: &dyn Fn() -> bool) -> Result<Outcome, (Time, Broken)> {
        loop {
            if self.outcome.events.is_multiple_of(ASK_EVERY) && stop() {
                self.outcome.interrupted = true;
                break;
            }
            if !self.step().map_err(|broken| (self.now, broken))? {
                break;
            }
        }
        let now = self.now;
        self.finish().map_err(|broken| (now, broken))
    }

    /// Does what is due next; `false` once the run is over.
    fn step(&mut self) -> Result<bool, Broken> {
        let limit = Time::default() + self.scenario.limit;
        if self.awaited == 0 {
            return Ok(false);
        }
        let Some((at, event)) = self.agenda.take() else { return Ok(false) };
        self.now = at.min(limit);
        self.instant = self.clock.instant(self.now);
        if at > limit {
            return Ok(false);
        }
        self.journal.set_now(at);
        self.outcome.events += 1;
        self.handle(event)?;
        Ok(true)
    }

    fn handle(&mut self, event: Event) -> Step {
        match event {
            Event::Arrive { group } => self.arrive(group as usize),
            Event::Leave { node } => self.leave(node),
            Event::Peers { node } => self.answer(node),
            Event::Accept { from, to } => self.accept(from, to),
            Event::Connected { end } => self.connected(end),
            Event::DialFailed { from, to } => self.dial_failed(from, to),
            Event::Parted { end } => self.parted(end),
            Event::Deliver { end, bytes } => self.deliver(end, bytes),
            Event::Network(due) => self.handle_network(due),
            Event::Read { end, piece, begin } => self.handle_read(end, piece, begin),
            Event::Shaped { end } => self.look_again(end),
            Event::Swarm { node } => self.swarm_due(node),
            Event::Connection { end } => self.connection_due(end),
            Event::Player { node } => self.player_due(node),
            Event::Verdict { node, piece, attempt } => self.judge(node, piece, attempt),
            Event::Sample => self.sample(),
        }
    }

    /// Plays a node's turn to its end.
    fn turn(&mut self, number: u32) -> Step {
        loop {
            while let Some(output) = self.node_mut(number).and_then(|node| node.swarm.poll_output()) {
                self.apply(number, output)?;
            }
            let Some(end) = self.touched.pop_front() else { break };
            self.work(end)?;
        }
        self.net.settle(self.now, &mut self.agenda);
        self.arm_swarm(number);
        if !std::mem::take(&mut self.stirred) {
            return Ok(());
        }
        self.node(number).map_or(Ok(()), |node| self.audit(node))
    }

    /// Does what a swarm says.
    fn apply(&mut self, number: u32, output: Output) -> Step {
        match output {
            Output::Send(key, command) => {
                let Some(end) = self.node(number).and_then(|node| node.end(key)) else { return Ok(()) };
                self.command(number, end, command)?;
            }
            Output::Dial(addr) => self.dial(number, addr),
            Output::Disconnect(key, _) => {
                if let Some(end) = self.node(number).and_then(|node| node.end(key)) {
                    self.part(end, afflux_swarm::Parting::Closed)?;
                }
            }
            Output::Discard(piece) => {
                if let Some(node) = self.node_mut(number) {
                    node.disk.discard(piece);
                }
            }
            Output::NeedPeers => {
                let latency = self.group_of(number).access.latency;
                self.agenda.put(self.now + latency * 2, Event::Peers { node: number });
            }
            // The swarm keeps to its bans itself, nothing is evicted from a disk, and metadata is known from the start.
            Output::Ban(_) | Output::Evict(_) | Output::MetadataComplete(_) | Output::Completed => {}
        }
        Ok(())
    }

    /// Gives a connection a command of its swarm.
    fn command(&mut self, number: u32, id: EndId, command: Command) -> Step {
        let instant = self.instant;
        let Some(end) = self.links.get_mut(id) else { return Ok(()) };
        let other = end.peer;
        match &command {
            Command::Request(block) => {
                end.begins_request(*block, self.now);
                self.stirred = true;
                self.journal.note(number, What::Request { other, piece: block.index.0, begin: block.begin });
                // A peer that has left without our knowing can't be looked into.
                let has = self.nodes[other as usize].as_ref().is_none_or(|peer| peer.has(block.index));
                invariants::peer_has(number, other, block.index, has)?;
            }
            Command::Cancel(block) => {
                end.unreported = true;
                if end.withdraws_request(block) {
                    self.journal
                        .note(number, What::Cancel { other, piece: block.index.0, begin: block.begin });
                }
            }
            Command::ReaderWaiting(_) => end.unreported = true,
            Command::Choke => self.journal.note(number, What::Choke { other }),
            Command::Unchoke => self.journal.note(number, What::Unchoke { other }),
            _ => {}
        }
        end.connection.handle_command(command, instant);
        self.touch(id);
        Ok(())
    }

    fn touch(&mut self, id: EndId) {
        if let Some(end) = self.links.get_mut(id)
            && !std::mem::replace(&mut end.touched, true)
        {
            self.touched.push_back(id);
        }
    }

    fn swarm_due(&mut self, number: u32) -> Step {
        let now = self.now;
        let instant = self.instant;
        let Some(node) = self.node_mut(number).filter(|node| node.armed == now) else { return Ok(()) };
        node.armed = Time::NEVER;
        if node.swarm.deadline().is_some_and(|due| due <= instant) {
            node.swarm.handle_timeout(instant);
        }
        self.turn(number)
    }

    fn arm_swarm(&mut self, number: u32) {
        let clock = self.clock;
        let soonest = self.now + TIMER_MIN;
        let Some(node) = self.node_mut(number) else { return };
        let due = node.swarm.deadline().map_or(Time::NEVER, |due| clock.time(due).max(soonest));
        if due < node.armed {
            node.armed = due;
            self.agenda.put(due, Event::Swarm { node: number });
        }
    }

    fn sample(&mut self) -> Step {
        let hungry = self
            .tracker
            .present()
            .iter()
            .any(|&number| !self.is_seed(number) && self.node(number).is_some_and(|node| !node.complete));
        if hungry {
            self.diversity.sample();
        }
        self.samples += 1;
        if self.samples.is_multiple_of(AUDIT_EVERY) {
            self.audit_all()?;
        }
        self.agenda.put(self.now + SAMPLE, Event::Sample);
        Ok(())
    }

    /// Every node's budgets and requests.
    fn audit_all(&self) -> Step {
        self.nodes.iter().flatten().try_for_each(|node| {
            let mut ends = node.all_ends().filter_map(|end| self.links.get(end));
            ends.try_for_each(|end| self.check_requests(end))?;
            self.audit(node)
        })
    }

    /// Requests of one connection: each is answered in its turn, or given up when nothing comes.
    fn check_requests(&self, end: &End) -> Step {
        invariants::not_overdue(end.node, end.peer, end.quiet(self.now))?;
        invariants::not_overtaken(end.node, end.peer, end.came_bytes, end.due_bytes())
    }

    /// What a node has counted, and what it is allowed.
    fn audit(&self, node: &Node) -> Step {
        let snapshot = node.swarm.snapshot(self.instant);
        let figures = &self.outcome.peers[node.number as usize];
        invariants::counted_once(node.number, snapshot.received_bytes, figures.received_bytes)?;
        let budget = invariants::duplicate_budget(snapshot.received_bytes);
        invariants::within_budget(node.number, snapshot.duplicate_bytes, budget)?;
        let allowed = self.scenario.groups[node.group].connections_max;
        invariants::not_crowded(node.number, node.all_ends().count(), allowed)
    }

    fn finish(mut self) -> Result<Outcome, Broken> {
        self.audit_all()?;
        for id in self.links.ids() {
            self.account(id)?;
        }
        for number in 0..self.nodes.len() as u32 {
            self.count_stay(number);
        }
        self.outcome.elapsed = self.now.elapsed();
        self.outcome.diversity = self.diversity.mean();
        self.outcome.duplicate_bytes = self.outcome.peers.iter().map(|peer| peer.duplicate_bytes).sum();
        self.outcome.log_hash = self.journal.hash();
        Ok(self.outcome)
    }

    fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)?.as_deref()
    }

    fn node_mut(&mut self, number: u32) -> Option<&mut Node> {
        self.nodes.get_mut(number as usize)?.as_deref_mut()
    }

    fn figures(&mut self, number: u32) -> &mut PeerOutcome {
        &mut self.outcome.peers[number as usize]
    }
}
