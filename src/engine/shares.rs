//! How the memory there is (`STREAM_CACHE_SIZE`) is divided among the torrents that live in it, and the disk cache
//! among those that live there.
//!
//! Each needs room for two of its pieces, one to read and one to fetch; what is left over is divided evenly. A torrent
//! that kept more would leave others nothing to go on with, since only it knows which of its pieces can go. Torrents on
//! disk have no share: what they hold goes by itself once it's written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use afflux_storage::limits::HOLE_BYTES;

/// What is shared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    /// Memory. Bodies and uploads hold what they send a little longer than the cache does: an eighth is theirs.
    Memory,
    /// The disk cache; what is under way needs memory too.
    Disk {
        /// What of that there is for a torrent.
        open_bytes_max: u64,
    },
}

impl Use {
    /// What a piece takes.
    pub(super) fn place_bytes(self, piece_bytes: u64) -> u64 {
        match self {
            Self::Memory => piece_bytes,
            Self::Disk { .. } => piece_bytes.next_multiple_of(HOLE_BYTES),
        }
    }

    /// How a share is split between pieces under way and pieces kept for readers, where pieces have so many bytes.
    pub(super) fn split(self, share_bytes: u64, piece_bytes: u64) -> (u64, u64) {
        match self {
            Self::Memory => (share_bytes * 3 / 8, share_bytes / 2),
            Self::Disk { open_bytes_max } => {
                // Places are a little longer than odd pieces.
                let share_bytes = match piece_bytes {
                    0 => share_bytes,
                    _ => share_bytes / self.place_bytes(piece_bytes) * piece_bytes,
                };
                let open_bytes = (share_bytes * 3 / 8).min(open_bytes_max.max(2 * piece_bytes));
                // One piece may be under way whatever is said.
                (open_bytes, share_bytes.saturating_sub(open_bytes.max(piece_bytes)))
            }
        }
    }
}

/// All shares of the memory, or of the disk cache.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    budget_bytes: u64,
    what: Use,
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
    piece_bytes: u64,
    needed_bytes: u64,
}

impl Shares {
    /// Shares of `budget_bytes`.
    pub(super) fn new(budget_bytes: u64, what: Use) -> Self {
        Self { budget_bytes, what, book: Arc::default() }
    }

    /// A share for another torrent with pieces of so many bytes; the error is how many bytes are still free for its needs.
    pub(super) fn enter(&self, piece_bytes: u64) -> Result<Share, u64> {
        let needed_bytes = 2 * self.what.place_bytes(piece_bytes);
        let mut book = self.lock();
        let free_bytes = self.budget_bytes.saturating_sub(book.needs.values().sum());
        if needed_bytes > free_bytes {
            return Err(free_bytes);
        }
        let key = book.next;
        book.next += 1;
        book.needs.insert(key, needed_bytes);
        Ok(Share { shares: self.clone(), key, piece_bytes, needed_bytes })
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

    /// How so much of it is split between pieces under way and pieces kept for readers.
    pub(super) fn split(&self, share_bytes: u64) -> (u64, u64) {
        self.shares.what.split(share_bytes, self.piece_bytes)
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
        let shares = Shares::new(100, Use::Memory);
        let first = shares.enter(5).unwrap();
        assert_eq!(first.bytes(), 100);
        let second = shares.enter(30).unwrap();
        assert_eq!((first.bytes(), second.bytes()), (25, 75));
        assert_eq!(shares.enter(16).unwrap_err(), 30);
        drop(second);
        assert_eq!(first.bytes(), 100);
    }

    #[test]
    fn the_least_share_of_the_disk_cache_has_room_for_a_piece_under_way_and_one_kept() {
        let what = Use::Disk { open_bytes_max: 1000 };
        assert_eq!(what.split(2 * 4096, 4096), (3072, 4096));
        assert_eq!(what.split(2 * 4096, 4000), (3000, 4000), "an odd piece takes a whole place");
        assert_eq!(what.split(100 * 4096, 4096), (2 * 4096, 98 * 4096), "two large pieces");
        assert_eq!(
            Use::Disk { open_bytes_max: 1 << 20 }.split(1 << 30, 4096),
            (1 << 20, (1 << 30) - (1 << 20))
        );
    }
}
