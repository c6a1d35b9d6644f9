//! What is due when. Of what is due at the same moment, what was put down first comes first: the order never depends on
//! anything but the run itself.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Time;

/// Events by time.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    heap: BinaryHeap<Reverse<Due<E>>>,
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
        Self { heap: BinaryHeap::new(), next: 0 }
    }

    /// Puts down an event. [`Time::NEVER`] is never.
    pub(crate) fn put(&mut self, at: Time, event: E) {
        if at != Time::NEVER {
            self.heap.push(Reverse(Due { at, turn: self.next, event }));
            self.next += 1;
        }
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self) -> Option<(Time, E)> {
        self.heap.pop().map(|Reverse(due)| (due.at, due.event))
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
}
