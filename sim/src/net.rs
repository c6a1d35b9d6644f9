//! The network between nodes, in one of two grains. It moves byte counts; which bytes they are, `wire` knows.

mod fluid;
mod share;

use crate::agenda::Agenda;
use crate::clock::Time;
use crate::link::EndId;
use crate::scenario::Network;
use crate::world::Event;

pub(crate) use fluid::Fluid;

/// Something of the network's own that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// A fluid flow is to be looked at, if this is still its plan.
    Plan { flow: u32, plan: u32 },
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
}

impl Net {
    pub(crate) fn new(kind: Network, _seed: u64) -> Self {
        match kind {
            Network::Fluid | Network::Segment => Self::Fluid(Fluid::default()),
        }
    }

    /// Adds a line of so many bytes per second.
    pub(crate) fn add_line(&mut self, rate: u64) -> u32 {
        match self {
            Self::Fluid(fluid) => fluid.add_line(rate),
        }
    }

    /// Opens the flow that carries what `sender` sends.
    pub(crate) fn open(&mut self, sender: EndId, up: u32, down: u32) -> u32 {
        match self {
            Self::Fluid(fluid) => fluid.open(sender, up, down),
        }
    }

    /// Its sender is gone.
    pub(crate) fn close(&mut self, flow: u32) {
        match self {
            Self::Fluid(fluid) => fluid.close(flow),
        }
    }

    /// After changes: puts down what follows from them.
    pub(crate) fn settle(&mut self, now: Time, agenda: &mut Agenda<Event>) {
        match self {
            Self::Fluid(fluid) => {
                fluid.settle(now);
                while let Some((at, flow, plan)) = fluid.take_plan(now) {
                    agenda.put(at, Event::Network(Due::Plan { flow, plan }));
                }
            }
        }
    }
}
