//! What is due when. Of what is due at the same moment, what was put down first comes first: the order never depends on
//! anything but the run itself.
//!
//! Large runs have a hundred thousand events waiting, and a heap of them would miss the processor's caches with each one. So
//! the next seconds lie in slots of a millisecond, unsorted; only the slot whose time has come is a heap, and a small one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Time;

/// Width of a slot, as a power of two in nanoseconds: about a millisecond.
const SLOT_BITS: u32 = 20;

/// Slots: about four seconds. What is due later waits in a heap.
const SLOTS: u64 = 4_096;

/// Events by time.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    /// What is due in the current slot.
    current: BinaryHeap<Reverse<Due<E>>>,
    /// The current slot's number, counted from the start.
    slot: u64,
    /// The slots behind it, each at its number modulo their count; the current one's is empty.
    slots: Vec<Vec<Reverse<Due<E>>>>,
    /// Events in slots.
    near: usize,
    later: BinaryHeap<Reverse<Due<E>>>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Due<E> {
    at: Time,
    turn: u64,
    event: E,
}

impl<E> Agenda<E> {
    pub(crate) fn new() -> Self {
        Self {
            current: BinaryHeap::new(),
            slot: 0,
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            near: 0,
            later: BinaryHeap::new(),
            next: 0,
        }
    }

    /// Puts down an event. [`Time::NEVER`] is never.
    pub(crate) fn put(&mut self, at: Time, event: E) {
        if at != Time::NEVER {
            let due = Reverse(Due { at, turn: self.next, event });
            self.next += 1;
            self.place(due);
        }
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self) -> Option<(Time, E)> {
        while self.current.is_empty() {
            self.turn_page()?;
        }
        self.current.pop().map(|Reverse(due)| (due.at, due.event))
    }

    fn place(&mut self, due: Reverse<Due<E>>) {
        let slot = due.0.at.0 >> SLOT_BITS;
        if slot <= self.slot {
            self.current.push(due);
        } else if slot < self.slot + SLOTS {
            self.slots[(slot % SLOTS) as usize].push(due);
            self.near += 1;
        } else {
            self.later.push(due);
        }
    }

    /// Goes on to the next slot, or where there is none in sight, to the next event; `None`: there is nothing any more.
    fn turn_page(&mut self) -> Option<()> {
        self.slot += 1;
        if self.near == 0 {
            self.slot = self.later.peek()?.0.at.0 >> SLOT_BITS;
        }
        while self.later.peek().is_some_and(|due| due.0.at.0 >> SLOT_BITS < self.slot + SLOTS) {
            let due = self.later.pop()?;
            self.place(due);
        }
        let page = &mut self.slots[(self.slot % SLOTS) as usize];
        self.near -= page.len();
        self.current.extend(page.drain(..));
        Some(())
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.turn) == (other.at, other.turn)
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.turn).cmp(&(other.at, other.turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_they_were_put() {
        let mut agenda = Agenda::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (u64::MAX, 'x'), (3, 'b')] {
            agenda.put(Time(at), event);
        }
        let order: String = std::iter::from_fn(|| agenda.take()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcd");
    }

    #[test]
    fn near_and_far_events_come_in_the_order_of_a_sorted_list() {
        let mut chance = crate::chance::Chance::new(3);
        let (mut agenda, mut sorted, mut now) = (Agenda::new(), std::collections::BTreeMap::new(), 0);
        for nth in 0..50_000u64 {
            // From nanoseconds to minutes ahead, and nothing before now.
            let ahead = chance.next() >> (28 + chance.below(36));
            agenda.put(Time(now + ahead), nth);
            sorted.insert((now + ahead, nth), nth);
            if chance.happens(0.6) {
                let (at, event) = agenda.take().expect("something is due");
                let ((due, _), first) = sorted.pop_first().expect("the same is due here");
                assert_eq!((at, event), (Time(due), first));
                now = due;
            }
        }
        let rest: Vec<u64> = std::iter::from_fn(|| agenda.take()).map(|(_, event)| event).collect();
        assert!(rest.into_iter().eq(sorted.into_values()));
    }
}
