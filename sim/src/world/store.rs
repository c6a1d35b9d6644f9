//! Verdicts on pieces, what players make of them, and who is done.

use afflux_metainfo::PieceIndex;

use super::{Event, World};
use crate::clock::Time;
use crate::invariants::{self, Step};
use crate::log::What;
use crate::player::{Act, Wish};
use crate::scenario::{Role, Stay};

impl World<'_> {
    /// A piece's hash is known.
    pub(super) fn judge(&mut self, number: u32, piece: u32, attempt: u32) -> Step {
        let instant = self.instant;
        let faults = self.group_of(number).disk.faults;
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else {
            return Ok(());
        };
        let index = PieceIndex(piece);
        let Some(verdict) = node.disk.judge(index, attempt) else { return Ok(()) };
        if node.chance.happens(faults) {
            node.swarm.handle_unstored(index, instant);
            self.journal.note(number, What::Unstored { piece });
        } else if verdict.right {
            node.proven.insert(index);
            node.swarm.handle_verified(index, Some(&verdict.digests), instant);
            self.journal.note(number, What::Verified { piece });
            self.diversity.gain(index);
            self.play(number)?;
            self.check_done(number);
        } else {
            node.swarm.handle_failed(index, &verdict.digests, instant);
            self.journal.note(number, What::Failed { piece });
        }
        self.turn(number)
    }

    pub(super) fn player_due(&mut self, number: u32) -> Step {
        let now = self.now;
        let Some(node) = self.node_mut(number).filter(|node| node.player_armed == now) else { return Ok(()) };
        node.player_armed = Time::NEVER;
        self.play(number)?;
        self.check_done(number);
        self.turn(number)
    }

    /// Lets a viewer's player look at what is there.
    pub(super) fn play(&mut self, number: u32) -> Step {
        let (now, instant) = (self.now, self.instant);
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else {
            return Ok(());
        };
        let Some(player) = &mut node.player else { return Ok(()) };
        let (swarm, figures) = (&mut node.swarm, &mut self.outcome.peers[number as usize]);
        let mut acts = std::mem::take(&mut self.acts);
        let has = |piece| swarm.have().is_some_and(|have| have.contains(piece));
        player.handle(&self.layout, |offset| swarm.contiguous_from(offset), has, figures, now, &mut acts);
        let verified = node.proven.run_from(&self.layout, player.start());
        invariants::read_verified(number, player.position(), verified)?;
        // Readers that left go before those that want, so that a jump frees before it asks.
        for act in &acts {
            if let Act::Wish(Wish::Forget(reader)) = act {
                swarm.forget(*reader, instant);
            }
        }
        for act in acts.drain(..) {
            match act {
                Act::Wish(Wish::Want(reader, window)) => swarm.want(reader, window, instant),
                Act::Wish(Wish::Forget(_)) => {}
                Act::Log(what) => self.journal.note(number, what),
            }
        }
        self.acts = acts;
        let due = player.deadline(&self.layout, now).max(now + super::TIMER_MIN);
        if !player.is_done() && due < node.player_armed {
            node.player_armed = due;
            self.agenda.put(due, Event::Player { node: number });
        }
        Ok(())
    }

    /// Takes down when a node is complete, and done.
    pub(super) fn check_done(&mut self, number: u32) {
        let now = self.now;
        let kind = self.group_of(number);
        let (awaited, seed) = (self.is_awaited(kind), kind.role == Role::Seed);
        let stay = kind.stay;
        let Some(node) = self.nodes.get_mut(number as usize).and_then(Option::as_deref_mut) else { return };
        if node.done {
            return;
        }
        let Some(have) = node.swarm.have() else { return };
        if !node.complete && have.is_full() {
            node.complete = true;
            self.diversity.leave(have);
            self.outcome.peers[number as usize].download = Some(now - node.arrived);
            self.journal.note(number, What::Complete);
        }
        if !node.complete || node.player.as_ref().is_some_and(|player| !player.is_done()) {
            return;
        }
        node.done = true;
        if awaited && !seed {
            self.awaited -= 1;
        }
        if let Stay::AfterDone(time) = stay {
            self.agenda.put(now + time, Event::Leave { node: number });
        }
    }
}
