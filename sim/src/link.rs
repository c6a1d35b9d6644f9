//! A connection between two nodes: both ends' machines, and what is under way between them.

use std::collections::VecDeque;
use std::time::Duration;

use afflux_metainfo::BlockRef;
use afflux_peer::{Connection, Event, Expect};
use afflux_swarm::PeerKey;
use afflux_swarm::shaper::LinkKey;

use crate::clock::Time;
use crate::invariants::{self, Step};
use crate::wire::Wire;

/// One end of a link. Its other end differs in the last bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId(pub(crate) u32);

impl EndId {
    pub(crate) fn other(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// A request without an end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    block: BlockRef,
    at: Time,
    /// Payload that was ever asked of the peer up to here, this block included, in bytes.
    upto: u64,
}

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: u32,
    /// The other end's node.
    pub(crate) peer: u32,
    /// What its node's swarm calls the peer; `None` before it is admitted, and after it parted.
    pub(crate) key: Option<PeerKey>,
    pub(crate) connection: Connection,
    /// The flow that carries what it sends.
    pub(crate) flow: u32,
    /// A frame is leaving, and: the flow has its share of the lines. Known to the network too, but that lies elsewhere in
    /// memory, and most looks at an end are at one that has nothing to send.
    pub(crate) sending: bool,
    pub(crate) flowing: bool,
    /// Bytes of messages that went for nothing so far: the next frame carries their weight.
    pub(crate) debt: u32,
    /// What of the frame under way is such weight.
    pub(crate) frame_debt: u32,
    /// Bytes put on the wire in this turn.
    pub(crate) posted: u32,
    /// Bytes that have come and may not be read yet.
    pub(crate) held: u32,
    /// Requests to the peer whose block has neither come nor been given up, in their order.
    pub(crate) asked: VecDeque<Asked>,
    /// Payload ever asked of the peer, and payload that ever came, in bytes.
    pub(crate) asked_bytes: u64,
    pub(crate) came_bytes: u64,
    /// When the peer last did something about requests, or reading went on after a limit of ours.
    pub(crate) moved_at: Time,
    /// Payload of the blocks that have come whole, in bytes.
    pub(crate) whole_bytes: u64,
    /// Blocks being read for the peer.
    pub(crate) reading: u32,
    /// The swarm doesn't know yet how many requests the connection wants.
    pub(crate) unreported: bool,
    /// How many cancelled blocks the swarm believes to be on their way.
    pub(crate) told_lingering: u32,
    /// It is in the list of those to be looked at.
    pub(crate) touched: bool,
    /// When its connection's timer is set to.
    pub(crate) armed: Time,
    /// Its place in its node's shaper, if that has limits.
    pub(crate) shaped: Option<LinkKey>,
    /// No upload, and no reading, before these.
    pub(crate) upload_at: Time,
    pub(crate) read_at: Time,
}

/// Both ends of a connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// One way.
    latency: Duration,
    ends: [Option<Box<End>>; 2],
    /// What is under way from each end. It outlives the end: what was sent before a close still comes.
    wires: [Wire; 2],
}

/// All connections. Numbers aren't given out again: an event that comes too late finds nobody.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: Vec<Option<Link>>,
}

impl End {
    /// Whether the block's bytes are arriving: then a cancel doesn't stop it.
    fn is_arriving(&self, block: &BlockRef) -> bool {
        matches!(self.connection.expects(), Expect::Payload { block: arriving, wanted: true, .. } if arriving == *block)
    }

    /// Puts down a request that is made now.
    pub(crate) fn begins_request(&mut self, block: BlockRef, now: Time) {
        self.asked_bytes += u64::from(block.length);
        self.asked.push_back(Asked { block, at: now, upto: self.asked_bytes });
    }

    /// Takes a request off the list of those that have no end yet. `false`: it wasn't there.
    pub(crate) fn ends_request(&mut self, block: &BlockRef) -> bool {
        let place = self.asked.iter().position(|asked| asked.block == *block);
        place.is_some_and(|place| self.asked.remove(place).is_some())
    }

    /// The same for a request that is taken back: the one whose bytes are arriving goes on.
    pub(crate) fn withdraws_request(&mut self, block: &BlockRef) -> bool {
        let same = self.asked.iter().filter(|asked| asked.block == *block).count();
        same > usize::from(self.is_arriving(block)) && self.ends_request(block)
    }

    /// How long the oldest request has waited for the peer to do anything at all.
    pub(crate) fn quiet(&self, now: Time) -> Duration {
        let reads = self.read_at == Time::default();
        let oldest = self.asked.front().filter(|_| reads);
        oldest.map_or(Duration::ZERO, |oldest| now - oldest.at.max(self.moved_at))
    }

    /// The peer does something about requests.
    pub(crate) fn note_move(&mut self, now: Time) -> Step {
        invariants::not_overdue(self.node, self.peer, self.quiet(now))?;
        self.moved_at = now;
        Ok(())
    }

    /// The payload that may come while the oldest request waits: what was asked up to it, in bytes.
    pub(crate) fn due_bytes(&self) -> u64 {
        self.asked.front().map_or(u64::MAX, |oldest| oldest.upto)
    }

    /// Whether an event is something that the peer does about requests; blocks are seen as they come.
    pub(crate) fn is_moved_by(event: &Event) -> bool {
        matches!(event, Event::Choked | Event::Unchoked | Event::RequestRejected(_))
    }

    /// The block that an event ends the request for.
    pub(crate) fn ended_by(event: &Event) -> Option<BlockRef> {
        match event {
            Event::BlockReceived { block, .. }
            | Event::RequestRejected(block)
            | Event::RequestLapsed(block)
            | Event::RequestReturned(block) => Some(*block),
            _ => None,
        }
    }
}

impl Links {
    /// Adds a link of which nobody has an end yet; its first end.
    pub(crate) fn add(&mut self, latency: Duration) -> EndId {
        self.links.push(Some(Link { latency, ends: [None, None], wires: Default::default() }));
        EndId(2 * (self.links.len() as u32 - 1))
    }

    /// The latency of the end's link; `None` once it is gone.
    pub(crate) fn latency(&self, end: EndId) -> Option<Duration> {
        Some(self.links.get(end.0 as usize / 2)?.as_ref()?.latency)
    }

    pub(crate) fn get(&self, end: EndId) -> Option<&End> {
        self.links.get(end.0 as usize / 2)?.as_ref()?.ends[end.0 as usize % 2].as_deref()
    }

    pub(crate) fn get_mut(&mut self, end: EndId) -> Option<&mut End> {
        self.links.get_mut(end.0 as usize / 2)?.as_mut()?.ends[end.0 as usize % 2].as_deref_mut()
    }

    /// The end, and what is under way from it.
    pub(crate) fn writing(&mut self, id: EndId) -> Option<(&mut End, &mut Wire)> {
        let link = self.links.get_mut(id.0 as usize / 2)?.as_mut()?;
        let side = id.0 as usize % 2;
        Some((link.ends[side].as_deref_mut()?, &mut link.wires[side]))
    }

    /// The end, and what is under way to it.
    pub(crate) fn reading(&mut self, id: EndId) -> Option<(&mut End, &mut Wire)> {
        let link = self.links.get_mut(id.0 as usize / 2)?.as_mut()?;
        let side = id.0 as usize % 2;
        Some((link.ends[side].as_deref_mut()?, &mut link.wires[1 - side]))
    }

    /// Payload under way from this end, in bytes.
    pub(crate) fn flying(&self, id: EndId) -> u64 {
        let link = self.links.get(id.0 as usize / 2).and_then(Option::as_ref);
        link.map_or(0, |link| link.wires[id.0 as usize % 2].payload_bytes())
    }

    /// Puts an end in its place.
    pub(crate) fn put(&mut self, id: EndId, end: End) {
        if let Some(Some(link)) = self.links.get_mut(id.0 as usize / 2) {
            link.ends[id.0 as usize % 2] = Some(Box::new(end));
        }
    }

    /// Takes an end away, and with the second one the link.
    pub(crate) fn remove(&mut self, id: EndId) -> Option<Box<End>> {
        let place = self.links.get_mut(id.0 as usize / 2)?;
        let link = place.as_mut()?;
        let end = link.ends[id.0 as usize % 2].take();
        if link.ends.iter().all(Option::is_none) {
            *place = None;
        }
        end
    }

    /// All ends there are.
    pub(crate) fn ids(&self) -> Vec<EndId> {
        let ends = (0..self.links.len() as u32 * 2).map(EndId);
        ends.filter(|&end| self.get(end).is_some()).collect()
    }
}
