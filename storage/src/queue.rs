//! A queue from tasks to threads: the sender never waits, the receiver does.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use crate::lock::{lock, wait, wait_timeout};

pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { items: VecDeque::new(), closed: false }), filled: Condvar::new() }
    }

    /// For senders whose items are bounded by something else.
    pub(crate) fn push(&self, item: T) {
        lock(&self.state).items.push_back(item);
        self.filled.notify_one();
    }

    /// Gives the item back if `length_max` items wait.
    pub(crate) fn try_push(&self, item: T, length_max: usize) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.items.len() >= length_max {
            return Err(item);
        }
        state.items.push_back(item);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for an item; `None` when the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = lock(&self.state);
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = wait(&self.filled, state);
        }
    }

    /// An item that is there before `until`.
    pub(crate) fn pop_before(&self, until: Instant) -> Option<T> {
        let mut state = lock(&self.state);
        loop {
            let item = state.items.pop_front();
            let left = until.saturating_duration_since(Instant::now());
            if item.is_some() || left.is_zero() || state.closed {
                return item;
            }
            state = wait_timeout(&self.filled, state, left);
        }
    }

    /// Lets receivers finish what is there and end.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_then_the_end() {
        let queue = Queue::new();
        queue.push(1);
        assert_eq!(queue.try_push(2, 2), Ok(()));
        assert_eq!(queue.try_push(3, 2), Err(3));
        queue.close();
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(1), Some(2), None]);
    }
}
