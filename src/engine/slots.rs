//! How many connections there may be: over all torrents, half-open, in handshake, per address.
//!
//! A slot is a guard: it is given back when it is dropped, whatever path led there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections that were asked for but haven't answered yet. More than this fills home routers' tables.
const HALF_OPEN_MAX: u32 = 64;
/// Accepted sockets that haven't sent their handshake yet. Beyond it nothing is accepted: the kernel's
/// backlog, not our memory, holds a flood.
const PENDING_HANDSHAKES_MAX: usize = 64;
/// Pending handshakes of one address: a slow-loris with one address can't take all places.
const PENDING_PER_ADDRESS_MAX: usize = 8;

/// Requests that we queue for a peer, told as `reqq`: 8 MiB, enough for 80 MiB/s at 100 ms.
const REQUEST_QUEUE: u32 = 512;

/// The counters of one engine.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    connected: Places,
    half_open: Places,
    request_queue: Arc<AtomicU32>,
    pending: Arc<Semaphore>,
    pending_by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A number of places that can be changed while they are held.
#[derive(Clone, Debug)]
struct Places(Arc<Count>);

#[derive(Debug)]
struct Count {
    held: Mutex<Held>,
    /// Rings for one who waits. Who gets a place passes it on if there is another.
    freed: Notify,
}

#[derive(Debug)]
struct Held {
    count: u32,
    max: u32,
}

/// A connection's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Slot(Places);

/// A place for a socket whose handshake hasn't come yet.
#[derive(Debug)]
pub(super) struct PendingSlot {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Slots {
    /// Counters for at most `connections_max` connections.
    pub(super) fn new(connections_max: u32) -> Self {
        Self {
            connected: Places::new(connections_max),
            half_open: Places::new(HALF_OPEN_MAX),
            request_queue: Arc::new(AtomicU32::new(REQUEST_QUEUE)),
            pending: Arc::new(Semaphore::new(PENDING_HANDSHAKES_MAX)),
            pending_by_address: Arc::default(),
        }
    }

    /// Another bound on all connections. Those beyond it stay, and no other comes in their place.
    pub(super) fn set_connections_max(&self, max: u32) {
        self.connected.set_max(max);
    }

    /// Another bound on dials under way.
    pub(super) fn set_half_open_max(&self, max: u32) {
        self.half_open.set_max(max);
    }

    /// Another length of the queue of a peer's requests, for those who come from now on.
    pub(super) fn set_request_queue_max(&self, max: u32) {
        self.request_queue.store(max.clamp(1, REQUEST_QUEUE), Ordering::Relaxed);
    }

    /// The bound on all connections.
    pub(super) fn connections_max(&self) -> u32 {
        self.connected.max()
    }

    /// The bound on dials under way.
    pub(super) fn half_open_max(&self) -> u32 {
        self.half_open.max()
    }

    /// How many requests we queue for a new peer.
    pub(super) fn request_queue_max(&self) -> u32 {
        self.request_queue.load(Ordering::Relaxed)
    }

    /// A place among all connections, if one is free.
    pub(super) fn connection(&self) -> Option<Slot> {
        self.connected.try_take()
    }

    /// Waits for a place among dials under way.
    pub(super) async fn half_open(&self) -> Slot {
        self.half_open.take().await
    }

    /// Waits until another socket may be accepted.
    pub(super) async fn accepting(&self) -> OwnedSemaphorePermit {
        permit(&self.pending).await
    }

    /// Makes a place out of a permit, unless the address has too many.
    pub(super) fn pending(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<PendingSlot> {
        let mut by_address = self.pending_by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_insert(0);
        if *count >= PENDING_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(PendingSlot { _permit: permit, address, by_address: Arc::clone(&self.pending_by_address) })
    }
}

impl Places {
    fn new(max: u32) -> Self {
        Self(Arc::new(Count { held: Mutex::new(Held { count: 0, max }), freed: Notify::new() }))
    }

    fn max(&self) -> u32 {
        self.lock().max
    }

    fn set_max(&self, max: u32) {
        self.lock().max = max;
        self.0.freed.notify_one();
    }

    fn try_take(&self) -> Option<Slot> {
        let mut held = self.lock();
        if held.count >= held.max {
            return None;
        }
        held.count += 1;
        let is_more = held.count < held.max;
        drop(held);
        if is_more {
            self.0.freed.notify_one();
        }
        Some(Slot(self.clone()))
    }

    async fn take(&self) -> Slot {
        loop {
            if let Some(slot) = self.try_take() {
                return slot;
            }
            self.0.freed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.lock().count -= 1;
        self.0.0.freed.notify_one();
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore).acquire_owned().await.expect("the semaphores here are never closed")
}

impl Drop for PendingSlot {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_slot_is_free_again() {
        let slots = Slots::new(1);
        let slot = slots.connection().expect("the first fits");
        assert!(slots.connection().is_none());
        drop(slot);
        assert!(slots.connection().is_some());
    }

    #[test]
    fn a_lower_bound_takes_nobodys_place_and_gives_none_until_below_it() {
        let slots = Slots::new(3);
        let mut held: Vec<_> = (0..3).filter_map(|_| slots.connection()).collect();
        slots.set_connections_max(2);
        held.pop();
        assert!(slots.connection().is_none(), "two are left, which is all there may be");
        held.pop();
        held.extend(slots.connection());
        assert_eq!(held.len(), 2);
        slots.set_connections_max(3);
        assert!(slots.connection().is_some());
    }

    #[tokio::test]
    async fn a_higher_bound_lets_all_in_who_wait() {
        let slots = Slots::new(1);
        slots.set_half_open_max(0);
        let waiting: Vec<_> = (0..3)
            .map(|_| slots.clone())
            .map(|slots| tokio::spawn(async move { slots.half_open().await }))
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        slots.set_half_open_max(3);
        for task in waiting {
            std::mem::forget(task.await.expect("it gets a place, though nobody gives one back"));
        }
    }

    #[tokio::test]
    async fn one_address_cannot_take_all_pending_handshakes() {
        let slots = Slots::new(1);
        let one: IpAddr = [192, 0, 2, 1].into();
        let mut held = Vec::new();
        for _ in 0..PENDING_PER_ADDRESS_MAX {
            held.push(slots.pending(slots.accepting().await, one).expect("within the limit"));
        }
        assert!(slots.pending(slots.accepting().await, one).is_none());
        assert!(slots.pending(slots.accepting().await, [192, 0, 2, 2].into()).is_some());
        held.pop();
        assert!(slots.pending(slots.accepting().await, one).is_some());
    }
}
