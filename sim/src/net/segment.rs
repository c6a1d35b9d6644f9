//! The network as segments: each waits in its sender's uplink queue, may be dropped there or lost on the way, waits once
//! more before the receiver's downlink, and is acknowledged.
//!
//! Queues are first in, first out, with tail drop. They need no list: a queue is known by when it will be empty.
//! Acknowledgements wait in the uplink queue of whoever sends them, and are never lost.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Due;
use super::window::Window;
use crate::agenda::Agenda;
use crate::chance::Chance;
use crate::clock::Time;
use crate::link::EndId;
use crate::world::Event;

/// IP and TCP headers with timestamps, in bytes.
const HEADER_BYTES: u32 = 52;

/// An acknowledgement for every second segment weighs half of one for each.
const ACKNOWLEDGEMENT_BYTES: u32 = HEADER_BYTES / 2;

/// What a provider queues before a downlink at least (ours: 50 ms at 20 Mbit/s).
pub(super) const DOWN_QUEUE_MIN: u64 = 128 * 1024;

/// A line's queue.
#[derive(Debug)]
struct Queue {
    rate: f64,
    bytes_max: f64,
    loss: f64,
    empty_at: Time,
}

/// One direction of a connection.
#[derive(Debug)]
struct Flow {
    sender: EndId,
    lines: [u32; 2],
    /// The uplink of the receiver, for its acknowledgements.
    back: u32,
    latency: Duration,
    window: Window,
    /// The first segment that hasn't come, and those behind it that have, with their bytes.
    expected: u32,
    early: BTreeMap<u32, u32>,
    /// When its timer is set to.
    armed: Time,
    closed: bool,
}

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    /// The next bytes in order have come to the other end.
    Came {
        sender: EndId,
        bytes: u32,
    },
    /// The sender may hand over more.
    Room {
        sender: EndId,
    },
}

/// All flows and queues.
#[derive(Debug)]
pub(crate) struct Segments {
    queues: Vec<Queue>,
    flows: Vec<Flow>,
    chance: Chance,
}

impl Segments {
    pub(crate) fn new(seed: u64) -> Self {
        Self { queues: Vec::new(), flows: Vec::new(), chance: Chance::new(seed) }
    }

    /// Adds a line with a queue before it, that loses this part of what goes over it.
    pub(crate) fn add_line(&mut self, rate: u64, queue_bytes: u64, loss: f64) -> u32 {
        // Less than two segments couldn't carry anything.
        let bytes_max = queue_bytes.max(4_096) as f64;
        self.queues.push(Queue { rate: rate.max(1) as f64, bytes_max, loss, empty_at: Time::default() });
        self.queues.len() as u32 - 1
    }

    /// A flow over two lines; acknowledgements go over a third.
    pub(crate) fn open(&mut self, sender: EndId, lines: [u32; 2], back: u32, latency: Duration) -> u32 {
        self.flows.push(Flow {
            sender,
            lines,
            back,
            latency,
            window: Window::new(),
            expected: 0,
            early: BTreeMap::new(),
            armed: Time::NEVER,
            closed: false,
        });
        self.flows.len() as u32 - 1
    }

    /// Nothing more is sent.
    pub(crate) fn close(&mut self, flow: u32) {
        self.flows[flow as usize].closed = true;
    }

    /// Bytes that the flow takes now.
    pub(crate) fn room(&self, flow: u32) -> u32 {
        self.flows[flow as usize].window.room()
    }

    /// Takes bytes to be sent.
    pub(crate) fn write(&mut self, flow: u32, bytes: u32) {
        self.flows[flow as usize].window.write(bytes);
    }

    /// Sends what the window allows.
    pub(crate) fn send(&mut self, flow: u32, now: Time, agenda: &mut Agenda<Event>) {
        let place = &mut self.flows[flow as usize];
        while !place.closed
            && let Some(sent) = place.window.next(now)
        {
            let queue = &mut self.queues[place.lines[0] as usize];
            let left = queue.push(sent.bytes + HEADER_BYTES, now);
            if let Some(left) = left.filter(|_| !self.chance.happens(queue.loss)) {
                let due = Due::Segment { flow, number: sent.number };
                agenda.put(left + place.latency, Event::Network(due));
            }
        }
        self.arm(flow, agenda);
    }

    /// Something is due.
    pub(crate) fn handle(&mut self, due: Due, now: Time, agenda: &mut Agenda<Event>) -> Effect {
        match due {
            Due::Segment { flow, number } => self.reach_downlink(flow, number, now, agenda),
            Due::Came { flow, number } => self.come(flow, number, now, agenda),
            Due::Acknowledged { flow, next, number } => {
                let place = &mut self.flows[flow as usize];
                place.window.handle_acknowledgement(next, number, now);
                let sender = place.sender;
                self.send(flow, now, agenda);
                Effect::Room { sender }
            }
            Due::Timeout { flow } => {
                let place = &mut self.flows[flow as usize];
                if place.armed == now && !place.closed {
                    place.armed = Time::NEVER;
                    if place.window.deadline() <= now {
                        place.window.handle_timeout(now);
                        self.send(flow, now, agenda);
                    } else {
                        self.arm(flow, agenda);
                    }
                }
                Effect::Nothing
            }
            Due::Plan { .. } => Effect::Nothing,
        }
    }

    fn reach_downlink(&mut self, flow: u32, number: u32, now: Time, agenda: &mut Agenda<Event>) -> Effect {
        let place = &self.flows[flow as usize];
        let bytes = place.window.bytes(number);
        if let Some(left) = self.queues[place.lines[1] as usize].push(bytes + HEADER_BYTES, now) {
            agenda.put(left, Event::Network(Due::Came { flow, number }));
        }
        Effect::Nothing
    }

    fn come(&mut self, flow: u32, number: u32, now: Time, agenda: &mut Agenda<Event>) -> Effect {
        let place = &mut self.flows[flow as usize];
        let bytes = place.window.bytes(number);
        if number >= place.expected {
            place.early.insert(number, bytes);
        }
        let mut came = 0;
        while let Some(bytes) = place.early.remove(&place.expected) {
            came += bytes;
            place.expected += 1;
        }
        let queue = &mut self.queues[place.back as usize];
        // A full queue delays an acknowledgement and doesn't drop it: the next ones would say the same.
        let left = queue.push(ACKNOWLEDGEMENT_BYTES, now).unwrap_or(queue.empty_at);
        let due = Due::Acknowledged { flow, next: place.expected, number };
        agenda.put(left + place.latency, Event::Network(due));
        if came == 0 { Effect::Nothing } else { Effect::Came { sender: place.sender, bytes: came } }
    }

    fn arm(&mut self, flow: u32, agenda: &mut Agenda<Event>) {
        let place = &mut self.flows[flow as usize];
        let due = place.window.deadline();
        if due < place.armed && !place.closed {
            place.armed = due;
            agenda.put(due, Event::Network(Due::Timeout { flow }));
        }
    }
}

impl Queue {
    /// Puts bytes at the end; when they will have left. `None`: there is no room, they are dropped.
    fn push(&mut self, bytes: u32, now: Time) -> Option<Time> {
        let waiting = self.rate * self.empty_at.seconds_since(now);
        if waiting + f64::from(bytes) > self.bytes_max {
            return None;
        }
        self.empty_at = self.empty_at.max(now).after_seconds(f64::from(bytes) / self.rate);
        Some(self.empty_at)
    }
}
