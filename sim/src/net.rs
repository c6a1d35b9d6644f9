//! The network between nodes, in one of two grains. It moves byte counts; which bytes they are, `wire` knows.

mod fluid;
mod segment;
mod share;
mod window;

use std::time::Duration;

use crate::agenda::Agenda;
use crate::clock::Time;
use crate::link::EndId;
use crate::scenario::{Access, Network};
use crate::world::Event;

pub(crate) use fluid::Fluid;
pub(crate) use segment::{Effect, Segments};

/// Something of the network's own that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// A fluid flow is to be looked at, if this is still its plan.
    Plan { flow: u32, plan: u32 },
    /// A segment reaches its receiver's downlink.
    Segment { flow: u32, number: u32 },
    /// It comes to the receiver.
    Came { flow: u32, number: u32 },
    /// The sender learns that it came, and all before `next`.
    Acknowledged { flow: u32, next: u32, number: u32 },
    /// The sender has waited long for that.
    Timeout { flow: u32 },
}

/// Bytes that have left their sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) bytes: u32,
    /// The frame is through.
    pub(crate) done: bool,
}

/// The network.
#[derive(Debug)]
pub(crate) enum Net {
    Fluid(Fluid),
    Segments(Segments),
}

impl Net {
    pub(crate) fn new(kind: Network, seed: u64) -> Self {
        match kind {
            Network::Fluid => Self::Fluid(Fluid::default()),
            Network::Segment => Self::Segments(Segments::new(seed)),
        }
    }

    /// Adds the uplink and the downlink of a node.
    pub(crate) fn add_lines(&mut self, access: &Access) -> [u32; 2] {
        match self {
            Self::Fluid(fluid) => [fluid.add_line(access.up), fluid.add_line(access.down)],
            Self::Segments(segments) => {
                let up = segments.add_line(access.up, access.queue, access.loss);
                [up, segments.add_line(access.down, access.queue.max(segment::DOWN_QUEUE_MIN), 0.0)]
            }
        }
    }

    /// Opens the flow that carries what `sender` sends from its lines to those of its peer.
    pub(crate) fn open(&mut self, sender: EndId, from: [u32; 2], to: [u32; 2], latency: Duration) -> u32 {
        match self {
            Self::Fluid(fluid) => fluid.open(sender, from[0], to[1]),
            Self::Segments(segments) => segments.open(sender, [from[0], to[1]], to[0], latency),
        }
    }

    /// Its sender is gone.
    pub(crate) fn close(&mut self, flow: u32) {
        match self {
            Self::Fluid(fluid) => fluid.close(flow),
            Self::Segments(segments) => segments.close(flow),
        }
    }

    /// After changes: puts down what follows from them.
    pub(crate) fn settle(&mut self, now: Time, agenda: &mut Agenda<Event>) {
        if let Self::Fluid(fluid) = self {
            fluid.settle(now);
            while let Some((at, flow, plan)) = fluid.take_plan(now) {
                agenda.put(at, Event::Network(Due::Plan { flow, plan }));
            }
        }
    }
}
