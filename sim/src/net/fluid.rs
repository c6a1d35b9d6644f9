//! The network as a fluid: flows share lines max-min fairly and at once, and bytes take a path's latency.
//!
//! No losses, no windows, no queues but the senders' own: what a network of long flows with fair queues does on average.

use super::Moved;
use super::share::Share;
use crate::clock::Time;
use crate::link::EndId;

/// Bytes of a frame under way are told at least this often, so that slow peers are seen to move: no peer counts as late
/// before two seconds.
const TELL_SECONDS: f64 = 1.0;

/// One direction of a connection. It sends frames, one after the other.
#[derive(Debug, Default)]
struct Flow {
    sender: EndId,
    lines: [u32; 2],
    /// Bytes of the frame that are still to leave.
    left: f64,
    /// Whole bytes of the frame that weren't told as gone yet; 0 between frames.
    untold: u32,
    rate: f64,
    since: Time,
    active: bool,
    /// Its next event is to be put down anew.
    replanned: bool,
    /// Grows with each change of plan: an older one is void.
    plan: u32,
}

/// All flows.
#[derive(Debug, Default)]
pub(crate) struct Fluid {
    share: Share,
    flows: Vec<Flow>,
    free: Vec<u32>,
    /// Flows whose next event has to be put down anew.
    replanned: Vec<u32>,
}

impl Fluid {
    /// Adds a line of so many bytes per second.
    pub(crate) fn add_line(&mut self, rate: u64) -> u32 {
        self.share.add_line(rate.max(1) as f64)
    }

    /// A flow from one line to another; nothing is sent yet.
    pub(crate) fn open(&mut self, sender: EndId, up: u32, down: u32) -> u32 {
        let flow = self.free.pop().unwrap_or_else(|| {
            self.flows.push(Flow::default());
            self.flows.len() as u32 - 1
        });
        let place = &mut self.flows[flow as usize];
        let plan = place.plan;
        *place = Flow { sender, lines: [up, down], plan, replanned: place.replanned, ..Flow::default() };
        flow
    }

    /// The flow is gone, with what it was sending.
    pub(crate) fn close(&mut self, flow: u32) {
        self.idle(flow);
        self.free.push(flow);
    }

    /// Begins to send `bytes`.
    pub(crate) fn send(&mut self, flow: u32, bytes: u32, now: Time) {
        let place = &mut self.flows[flow as usize];
        // What the last frame overshot by, less than a byte, is this one's.
        place.left = f64::from(bytes) + place.left.clamp(-1.0, 0.0);
        place.untold = bytes;
        place.since = now;
        if place.active {
            self.replan(flow);
        } else {
            place.active = true;
            place.left = f64::from(bytes);
            let [up, down] = place.lines;
            self.share.start(flow, up, down);
        }
    }

    /// Nothing is to be sent any more: the line is the others'.
    pub(crate) fn idle(&mut self, flow: u32) {
        let place = &mut self.flows[flow as usize];
        place.untold = 0;
        place.plan = place.plan.wrapping_add(1);
        if std::mem::take(&mut place.active) {
            self.share.stop(flow);
        }
    }

    /// The moment of a plan has come; `None` if it's void. Whoever gets `done` sends more, or says that it's idle.
    pub(crate) fn handle_plan(&mut self, flow: u32, plan: u32, now: Time) -> Option<(EndId, Moved)> {
        let place =
            self.flows.get_mut(flow as usize).filter(|place| place.plan == plan && place.untold > 0)?;
        place.advance(now);
        // Times are whole nanoseconds and rates aren't: a thousandth of a byte is none.
        let still = (place.left - 1e-3).max(0.0).ceil() as u32;
        let bytes = place.untold.saturating_sub(still);
        place.untold -= bytes;
        let sender = place.sender;
        let done = place.untold == 0;
        if !done {
            self.replan(flow);
        }
        Some((sender, Moved { bytes, done }))
    }

    /// Shares the lines anew after changes. Afterwards [`Self::take_plan`] says what to put down.
    pub(crate) fn settle(&mut self, now: Time) {
        self.share.settle();
        while let Some(flow) = self.share.take_changed() {
            let place = &mut self.flows[flow as usize];
            if place.active {
                place.advance(now);
                place.rate = self.share.rate(flow);
                self.replan(flow);
            }
        }
    }

    /// The next plan to put down: when to look at which flow, and which plan that is.
    pub(crate) fn take_plan(&mut self, now: Time) -> Option<(Time, u32, u32)> {
        loop {
            let flow = self.replanned.pop()?;
            let place = &mut self.flows[flow as usize];
            place.replanned = false;
            if !place.active || place.untold == 0 {
                continue;
            }
            place.advance(now);
            place.plan = place.plan.wrapping_add(1);
            let seconds = (place.left / place.rate).clamp(0.0, TELL_SECONDS);
            return Some((now.after_seconds(seconds), flow, place.plan));
        }
    }

    fn replan(&mut self, flow: u32) {
        if !std::mem::replace(&mut self.flows[flow as usize].replanned, true) {
            self.replanned.push(flow);
        }
    }
}

impl Flow {
    fn advance(&mut self, now: Time) {
        self.left -= self.rate * now.seconds_since(self.since);
        self.since = now;
    }
}
