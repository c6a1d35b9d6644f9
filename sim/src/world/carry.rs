//! From a connection's send buffer into the network, and out of the network to the other end.

use super::{Event, World};
use crate::invariants::Step;
use crate::link::{End, EndId};
use crate::net::{Due, Effect, Net};
use crate::wire::{self, Next};

/// Messages that weigh less go at no cost, and make the next frame that much heavier.
const DEBT_MAX: u32 = 16 * 1024;

impl World<'_> {
    /// Something of the network's own is due.
    pub(super) fn handle_network(&mut self, due: Due) -> Step {
        let now = self.now;
        let instant = self.instant;
        let Net::Fluid(fluid) = &mut self.net else { return self.handle_segments(due) };
        let Due::Plan { flow, plan } = due else { return Ok(()) };
        let Some((id, moved)) = fluid.handle_plan(flow, plan, now) else { return Ok(()) };
        let Some((end, wire)) = self.links.writing(id) else { return Ok(()) };
        let weight = end.frame_debt.min(moved.bytes);
        end.frame_debt -= weight;
        end.sending = !moved.done;
        let payload = moved.bytes - weight;
        if payload > 0 {
            wire.put_payload(payload);
            end.connection.transmitted(payload as usize, instant);
            end.posted += payload;
        }
        let node = end.node;
        if moved.done {
            self.touch(id);
            return self.turn(node);
        }
        self.post(id);
        self.net.settle(now, &mut self.agenda);
        Ok(())
    }

    /// Lets the network have what waits to be sent, as far as it takes it.
    pub(super) fn pump(&mut self, id: EndId) {
        let (now, instant) = (self.now, self.instant);
        let fluid = match &mut self.net {
            Net::Fluid(fluid) => fluid,
            Net::Segments(_) => return self.pump_segments(id),
        };
        let Some((end, wire)) = self.links.writing(id) else { return };
        while !end.sending {
            let next = if end.connection.pending_bytes() > 0 {
                wire.put_messages(&end.connection)
            } else {
                Next::default()
            };
            if next.control > 0 {
                end.connection.transmitted(next.control as usize, instant);
                end.posted += next.control;
                end.debt += next.control;
            }
            if next.payload > 0 || end.debt >= DEBT_MAX {
                end.frame_debt = std::mem::take(&mut end.debt);
                fluid.send(end.flow, next.payload + end.frame_debt, now);
                (end.sending, end.flowing) = (true, true);
            } else if next.control == 0 {
                if std::mem::take(&mut end.flowing) {
                    fluid.idle(end.flow);
                }
                return;
            }
        }
    }

    /// The same for a network of segments: they take what fits their send buffer.
    fn pump_segments(&mut self, id: EndId) {
        let (now, instant) = (self.now, self.instant);
        let Net::Segments(segments) = &mut self.net else { return };
        let Some((end, wire)) = self.links.writing(id) else { return };
        loop {
            let next = wire::next(&end.connection);
            let room = segments.room(end.flow);
            let bytes = if next.control > 0 { next.control } else { next.payload }.min(room);
            if bytes == 0 {
                break;
            }
            if next.control > 0 {
                wire.put_control(&end.connection, bytes);
            } else {
                wire.put_payload(bytes);
            }
            end.connection.transmitted(bytes as usize, instant);
            segments.write(end.flow, bytes);
        }
        segments.send(end.flow, now, &mut self.agenda);
    }

    fn handle_segments(&mut self, due: Due) -> Step {
        let Net::Segments(segments) = &mut self.net else { return Ok(()) };
        match segments.handle(due, self.now, &mut self.agenda) {
            Effect::Nothing => Ok(()),
            Effect::Came { sender, bytes } => self.deliver(sender.other(), bytes),
            Effect::Room { sender } => {
                let waits = |end: &End| end.connection.pending_bytes() > 0;
                if self.links.get(sender).is_some_and(waits) { self.look_again(sender) } else { Ok(()) }
            }
        }
    }

    /// What was put on the wire comes to the other end after the latency.
    pub(super) fn post(&mut self, id: EndId) {
        let Some(latency) = self.links.latency(id) else { return };
        let Some(end) = self.links.get_mut(id) else { return };
        let bytes = std::mem::take(&mut end.posted);
        if bytes > 0 {
            self.agenda.put(self.now + latency, Event::Deliver { end: id.other(), bytes });
        }
    }
}
