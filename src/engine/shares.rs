//! How the memory there is (`STREAM_CACHE_SIZE`) is divided among the torrents that live in it.
//!
//! Each needs room for two of its pieces, one to read and one to fetch; what is left over is divided evenly. A torrent
//! that kept more would leave others nothing to go on with, since only it knows which of its pieces can go. Torrents on
//! disk have no share: what they hold goes by itself once it's written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All shares of an engine.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    budget_bytes: u64,
    book: Arc<Mutex<Book>>,
}

/// Who needs what.
#[derive(Debug, Default)]
struct Book {
    next: u64,
    /// What each torrent can't do without.
    needs: BTreeMap<u64, u64>,
}

/// One torrent's share; dropping it leaves it to the others.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    key: u64,
    needed_bytes: u64,
}

impl Shares {
    /// Shares of `budget_bytes`.
    pub(super) fn new(budget_bytes: u64) -> Self {
        Self { budget_bytes, book: Arc::default() }
    }

    /// A share for another torrent; the error is how many bytes are still free for its needs.
    pub(super) fn enter(&self, needed_bytes: u64) -> Result<Share, u64> {
        let mut book = self.lock();
        let free_bytes = self.budget_bytes.saturating_sub(book.needs.values().sum());
        if needed_bytes > free_bytes {
            return Err(free_bytes);
        }
        let key = book.next;
        book.next += 1;
        book.needs.insert(key, needed_bytes);
        Ok(Share { shares: self.clone(), key, needed_bytes })
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// How much it is at this moment.
    pub(super) fn bytes(&self) -> u64 {
        let book = self.shares.lock();
        let spare_bytes = self.shares.budget_bytes.saturating_sub(book.needs.values().sum());
        self.needed_bytes + spare_bytes / (book.needs.len().max(1) as u64)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.lock().needs.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_pass_the_budget_and_cover_every_need() {
        let shares = Shares::new(100);
        let first = shares.enter(10).unwrap();
        assert_eq!(first.bytes(), 100);
        let second = shares.enter(60).unwrap();
        assert_eq!((first.bytes(), second.bytes()), (25, 75));
        assert_eq!(shares.enter(31).unwrap_err(), 30);
        drop(second);
        assert_eq!(first.bytes(), 100);
    }
}
