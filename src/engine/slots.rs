//! How many connections there may be: over all torrents, half-open, in handshake, per address.
//!
//! A slot is a guard: it is given back when it is dropped, whatever path led there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections that were asked for but haven't answered yet. More than this fills home routers' tables.
const HALF_OPEN_MAX: usize = 64;
/// Accepted sockets that haven't sent their handshake yet. Beyond it nothing is accepted: the kernel's
/// backlog, not our memory, holds a flood.
const PENDING_HANDSHAKES_MAX: usize = 64;
/// Pending handshakes of one address: a slow-loris with one address can't take all places.
const PENDING_PER_ADDRESS_MAX: usize = 8;

/// The counters of one engine.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    connected: Arc<Semaphore>,
    half_open: Arc<Semaphore>,
    pending: Arc<Semaphore>,
    pending_by_address: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A connection's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
}

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
            connected: Arc::new(Semaphore::new(connections_max as usize)),
            half_open: Arc::new(Semaphore::new(HALF_OPEN_MAX)),
            pending: Arc::new(Semaphore::new(PENDING_HANDSHAKES_MAX)),
            pending_by_address: Arc::default(),
        }
    }

    /// A place among all connections, if one is free.
    pub(super) fn connection(&self) -> Option<Slot> {
        Arc::clone(&self.connected).try_acquire_owned().ok().map(|permit| Slot { _permit: permit })
    }

    /// Waits for a place among dials under way.
    pub(super) async fn half_open(&self) -> Slot {
        Slot { _permit: permit(&self.half_open).await }
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
