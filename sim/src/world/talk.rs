//! One connection's work: bytes in, requests served, events to the swarm. What the engine's link tasks do.

use afflux_metainfo::{BLOCK_LENGTH, BlockIndex, BlockRef, PieceIndex};
use afflux_peer::{Event as PeerEvent, Expect};
use afflux_swarm::shaper::{Direction, Grant};
use afflux_swarm::{Gauges, Parting, Report};

use super::{Event, TIMER_MIN, World};
use crate::clock::Time;
use crate::disk::Stored;
use crate::invariants::{self, Broken, Step};
use crate::link::{End, EndId};
use crate::log::What;
use crate::scenario::Manner;
use crate::wire::{self, Run};

/// Reads for one peer's requests under way at once, as in the engine.
const UPLOAD_READS_MAX: u32 = 4;

/// Messages read at once: fewer bytes than make as many events as a connection holds at most.
const CONTROL_BYTES_MAX: u32 = 4 * 1024;

impl World<'_> {
    /// Bytes have come to this end.
    pub(super) fn deliver(&mut self, id: EndId, bytes: u32) -> Step {
        let Some(end) = self.links.get_mut(id).filter(|end| end.key.is_some()) else { return Ok(()) };
        end.held += bytes;
        let node = end.node;
        self.read(id)?;
        self.touch(id);
        self.turn(node)
    }

    /// A limit may be over.
    pub(super) fn look_again(&mut self, id: EndId) -> Step {
        let Some(node) = self.links.get(id).map(|end| end.node) else { return Ok(()) };
        self.touch(id);
        self.turn(node)
    }

    pub(super) fn connection_due(&mut self, id: EndId) -> Step {
        let (now, instant) = (self.now, self.instant);
        let Some(end) = self.links.get_mut(id).filter(|end| end.armed == now) else { return Ok(()) };
        end.armed = Time::NEVER;
        if end.connection.deadline().is_none_or(|due| due > instant) {
            self.arm(id);
            return Ok(());
        }
        end.connection.handle_timeout(instant);
        end.unreported = true;
        let node = end.node;
        self.touch(id);
        self.turn(node)
    }

    /// A block that was asked has been read.
    pub(super) fn handle_read(&mut self, id: EndId, piece: u32, begin: u32) -> Step {
        let instant = self.instant;
        let block = self.layout.block(PieceIndex(piece), BlockIndex(begin / BLOCK_LENGTH));
        let Some(end) = self.links.get_mut(id) else { return Ok(()) };
        end.reading -= 1;
        end.connection.send_block(block, [wire::payload(block.length)], instant);
        let node = end.node;
        self.touch(id);
        self.turn(node)
    }

    /// Everything that a connection has to do now.
    pub(super) fn work(&mut self, id: EndId) -> Step {
        let Some(end) = self.links.get_mut(id) else { return Ok(()) };
        end.touched = false;
        if end.key.is_none() {
            return Ok(());
        }
        if end.held > 0 {
            self.read(id)?;
        }
        self.upload(id)?;
        self.pump(id);
        self.hear(id)?;
        self.post(id);
        if let Some(end) = self.links.get(id) {
            invariants::none_dangling(end.node, end.peer, end.asked.len(), end.connection.outstanding())?;
            self.check_requests(end)?;
        }
        self.arm(id);
        Ok(())
    }

    /// Gives the connection what has come, as far as limits allow.
    fn read(&mut self, id: EndId) -> Step {
        let (now, instant) = (self.now, self.instant);
        loop {
            let Some(end) = self.links.get(id).filter(|end| end.held > 0 && end.read_at <= now) else {
                return Ok(());
            };
            if end.connection.expects() == Expect::Hold {
                self.hear(id)?;
                let holds = self.links.get(id).is_none_or(|end| end.connection.expects() == Expect::Hold);
                if holds {
                    return Ok(());
                }
            }
            let Some(most) = self.allowed_to_read(id) else { return Ok(()) };
            let Some((end, wire)) = self.links.reading(id) else { return Ok(()) };
            self.control.clear();
            let run = wire.take(most, &mut self.control);
            if let (Some(link), Some(Run::Control(length) | Run::Payload(length))) = (end.shaped, run)
                && let Some(node) = self.nodes.get_mut(end.node as usize).and_then(Option::as_deref_mut)
                && let Some(shaping) = &mut node.shaping
            {
                shaping.shaper.refund(link, Direction::Download, most - length);
            }
            match run {
                Some(Run::Payload(length)) => {
                    end.held -= length;
                    let expected = matches!(end.connection.expects(), Expect::Payload { .. });
                    invariants::in_step(end.peer, end.node, expected)?;
                    end.note_move(now)?;
                    end.connection.handle_payload(length, instant);
                    end.came_bytes += u64::from(length);
                }
                Some(Run::Control(length)) => {
                    end.held -= length;
                    let taken = end.connection.handle_control(&self.control, instant);
                    let rule = match taken {
                        Ok(taken) if taken == self.control.len() => {
                            // A block's header has come.
                            if matches!(end.connection.expects(), Expect::Payload { .. }) {
                                end.note_move(now)?;
                            }
                            continue;
                        }
                        Ok(taken) => format!("{taken} of {length} bytes were taken"),
                        Err(violation) => violation.to_string(),
                    };
                    return Err(Broken::Rude { node: end.peer, peer: end.node, rule });
                }
                None => return Ok(()),
            }
        }
    }

    /// How much may be read now; `None` is nothing yet.
    fn allowed_to_read(&mut self, id: EndId) -> Option<u32> {
        let (now, instant) = (self.now, self.instant);
        let end = self.links.get_mut(id)?;
        let want = end.held.min(match end.connection.expects() {
            Expect::Payload { block, received, .. } => block.length - received,
            Expect::Control | Expect::Hold => CONTROL_BYTES_MAX,
        });
        let Some(link) = end.shaped else { return Some(want) };
        let node = self.nodes.get_mut(end.node as usize)?.as_deref_mut()?;
        let shaping = node.shaping.as_mut()?;
        match shaping.shaper.take(link, Direction::Download, want, instant) {
            Grant::Now(bytes) => {
                if end.read_at > Time::default() {
                    end.connection.set_reading(true, instant);
                    (end.read_at, end.moved_at) = (Time::default(), now);
                }
                Some(bytes)
            }
            Grant::Later(at) => {
                end.connection.set_reading(false, instant);
                end.read_at = self.clock.time(at).max(now + TIMER_MIN);
                self.agenda.put(end.read_at, Event::Shaped { end: id });
                None
            }
        }
    }

    /// Starts to read what the peer has asked for.
    fn upload(&mut self, id: EndId) -> Step {
        let (now, instant) = (self.now, self.instant);
        let Some(number) = self.links.get(id).map(|end| end.node) else { return Ok(()) };
        let group = self.group_of(number);
        let (silent, latency) = (group.manner == Manner::Silent, group.disk.latency);
        if silent {
            return Ok(());
        }
        loop {
            let Some(end) = self.links.get_mut(id) else { return Ok(()) };
            if end.reading >= UPLOAD_READS_MAX || end.connection.uploads_waiting() == 0 || end.upload_at > now
            {
                return Ok(());
            }
            let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else {
                return Ok(());
            };
            // The rate is asked before the request is chosen: one that is cancelled while the rate makes us wait must not
            // have used it up.
            let mut shaping = node.shaping.as_mut().zip(end.shaped);
            if let Some((shaping, link)) = &mut shaping {
                match shaping.shaper.take(*link, Direction::Upload, BLOCK_LENGTH, instant) {
                    Grant::Now(bytes) => {
                        shaping.shaper.debit(*link, Direction::Upload, BLOCK_LENGTH - bytes, instant);
                    }
                    Grant::Later(at) => {
                        end.upload_at = self.clock.time(at).max(now + TIMER_MIN);
                        self.agenda.put(end.upload_at, Event::Shaped { end: id });
                        return Ok(());
                    }
                }
            }
            let block = end.connection.next_upload();
            if let Some((shaping, link)) = &mut shaping {
                let unused = BLOCK_LENGTH - block.map_or(0, |block| block.length);
                shaping.shaper.refund(*link, Direction::Upload, unused);
            }
            let Some(block) = block else { return Ok(()) };
            invariants::verified(number, block.index, node.proven.has(block.index))?;
            if latency.is_zero() {
                end.connection.send_block(block, [wire::payload(block.length)], instant);
            } else {
                end.reading += 1;
                let read = Event::Read { end: id, piece: block.index.0, begin: block.begin };
                self.agenda.put(now + latency, read);
            }
        }
    }

    /// Tells the swarm what the connection has seen.
    fn hear(&mut self, id: EndId) -> Step {
        let instant = self.instant;
        let Some(end) = self.links.get_mut(id) else { return Ok(()) };
        let Some(key) = end.key else { return Ok(()) };
        let mut events = std::mem::take(&mut self.events);
        while let Some(event) = end.connection.poll_output() {
            events.push(event);
        }
        let lingering = end.connection.lingering();
        if events.is_empty() && !end.unreported && lingering == end.told_lingering {
            self.events = events;
            return Ok(());
        }
        (end.unreported, end.told_lingering) = (false, lingering);
        let number = end.node;
        let closed = events.iter().any(|event| matches!(event, PeerEvent::Closed(_)));
        for event in &events {
            self.witness(id, event)?;
        }
        let node = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut);
        let (Some(end), Some(node)) = (self.links.get(id), node) else { return Ok(()) };
        let gauges = Gauges::of(&end.connection, instant);
        let report = Report { events: events.drain(..), gauges };
        node.swarm.handle_report(key, report, instant);
        self.events = events;
        if closed { self.part(id, Parting::TimedOut) } else { Ok(()) }
    }

    /// Takes down what an event means for the disk, the figures and the invariants.
    fn witness(&mut self, id: EndId, event: &PeerEvent) -> Step {
        let now = self.now;
        let Some(end) = self.links.get_mut(id) else { return Ok(()) };
        let (number, peer) = (end.node, end.peer);
        if End::is_moved_by(event) {
            end.note_move(now)?;
        }
        let Some(block) = End::ended_by(event) else { return Ok(()) };
        invariants::not_overdue(number, peer, end.quiet(now))?;
        let was_asked = end.ends_request(&block);
        invariants::ended_once(number, peer, &block, was_asked)?;
        if matches!(event, PeerEvent::BlockReceived { .. }) {
            end.whole_bytes += u64::from(block.length);
            self.keep(number, peer, block);
        } else {
            let what = What::Returned { other: peer, piece: block.index.0, begin: block.begin };
            self.journal.note(number, what);
        }
        Ok(())
    }

    /// A block has come.
    fn keep(&mut self, number: u32, peer: u32, block: BlockRef) {
        let (piece, begin) = (block.index.0, block.begin);
        let length = u64::from(block.length);
        let liar = (self.group_of(peer).manner == Manner::Corrupt).then_some(peer);
        let latency = self.group_of(number).disk.latency;
        self.outcome.delivered_bytes += length;
        self.stirred = true;
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        // What the swarm no longer waits for is thrown away unseen.
        let wanted = node.swarm.awaits_blocks(block.index);
        let stored = if wanted { node.disk.store(&self.layout, block, liar) } else { Stored::Again };
        let figures = &mut self.outcome.peers[number as usize];
        if stored == Stored::Again {
            figures.duplicate_bytes += length;
            self.journal.note(number, What::Duplicate { other: peer, piece, begin });
            return;
        }
        figures.received_bytes += length;
        self.journal.note(number, What::Block { other: peer, piece, begin });
        if let Stored::Whole { attempt } = stored {
            self.agenda.put(self.now + latency, Event::Verdict { node: number, piece, attempt });
        }
    }

    /// Sets the timer of a connection.
    fn arm(&mut self, id: EndId) {
        let clock = self.clock;
        let soonest = self.now + TIMER_MIN;
        let Some(end) = self.links.get_mut(id) else { return };
        let due = end.connection.deadline().map_or(Time::NEVER, |due| clock.time(due).max(soonest));
        if due < end.armed {
            end.armed = due;
            self.agenda.put(due, Event::Connection { end: id });
        }
    }

    /// An end is about to go, or the run to end: what it sent, got and threw away is counted. Bytes of a block that isn't
    /// whole yet; they are thrown away too if the end goes.
    pub(super) fn account(&mut self, id: EndId) -> Result<u64, Broken> {
        let instant = self.instant;
        let Some(end) = self.links.get(id) else { return Ok(0) };
        invariants::not_overdue(end.node, end.peer, end.quiet(self.now))?;
        let (node, totals) = (end.node, end.connection.facts(instant).totals);
        if let Some(other) = self.links.get(id.other()) {
            let theirs = other.connection.facts(instant).totals;
            let came = theirs.payload_received + theirs.wasted;
            invariants::conserved(node, end.peer, totals.payload_sent, came, self.links.flying(id))?;
            let came = totals.payload_received + totals.wasted;
            let flying = self.links.flying(id.other());
            invariants::conserved(end.peer, node, theirs.payload_sent, came, flying)?;
        }
        let partial = totals.payload_received - end.whole_bytes;
        self.outcome.sent_bytes += totals.payload_sent;
        self.outcome.came_bytes += totals.payload_received + totals.wasted;
        let figures = self.figures(node);
        figures.sent_bytes += totals.payload_sent;
        figures.duplicate_bytes += totals.wasted;
        Ok(partial)
    }
}
