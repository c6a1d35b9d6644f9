//! The one byte ledger of the process: who holds payload memory, never more than the limit.
//!
//! It only counts. Memory itself comes from the [pool](crate::pool), which also knows what can be given up
//! when a charge does not fit. Whoever has to wait for memory waits here.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};

use crate::lock::{lock, wait};

/// A callback that tells of memory that came back.
pub type RoomHook = Arc<dyn Fn() + Send + Sync>;

/// Counts bytes; all clones are the same ledger.
#[derive(Clone)]
pub struct Ledger(Arc<Books>);

struct Books {
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    /// Threads in [`Ledger::wait_until`]; while zero, a refund costs no lock.
    waiting: AtomicUsize,
    /// Counts the times that memory came back while somebody waited.
    returns: Mutex<u64>,
    returned: Condvar,
    /// Somebody was refused and went away: the hook is due when memory comes back.
    refused: AtomicBool,
    hook: Mutex<Option<RoomHook>>,
}

/// Bytes that were granted; given back on drop.
#[derive(Debug)]
pub struct Charge {
    ledger: Ledger,
    bytes: usize,
}

impl Ledger {
    /// A ledger that never grants more than `limit_bytes` at once.
    pub fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Books {
            limit: limit_bytes,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            returns: Mutex::new(0),
            returned: Condvar::new(),
            refused: AtomicBool::new(false),
            hook: Mutex::new(None),
        }))
    }

    /// Grants `bytes`, or nothing at all if that went over the limit.
    pub fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let books = &self.0;
        let fits = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= books.limit);
        let before = books.used.fetch_update(SeqCst, SeqCst, fits).ok()?;
        books.peak.fetch_max(before + bytes, SeqCst);
        Some(Charge { ledger: self.clone(), bytes })
    }

    /// Bytes granted and not yet given back.
    pub fn used(&self) -> usize {
        self.0.used.load(SeqCst)
    }

    /// Most bytes that may be granted at once.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The most that was ever granted at once.
    pub fn peak(&self) -> usize {
        self.0.peak.load(SeqCst)
    }

    /// Called when something came back after somebody was refused: try again. It replaces the last such hook. It runs on
    /// whatever thread gave back, so it must be quick and must not block.
    pub fn on_room(&self, hook: RoomHook) {
        *lock(&self.0.hook) = Some(hook);
    }

    /// Notes that somebody was refused: the hook is called when memory comes back. To lose no return, the
    /// caller tries once more after this.
    pub(crate) fn note_refusal(&self) {
        self.0.refused.store(true, SeqCst);
    }

    /// Tries until `attempt` gives something or `stop` says so, sleeping until memory comes back in between.
    ///
    /// The attempt runs without a lock, so it may itself give memory back.
    pub(crate) fn wait_until<T>(
        &self,
        mut attempt: impl FnMut() -> Option<T>,
        stop: impl Fn() -> bool,
    ) -> Option<T> {
        let books = &self.0;
        books.waiting.fetch_add(1, SeqCst);
        let outcome = loop {
            let seen = *lock(&books.returns);
            let outcome = attempt();
            if outcome.is_some() || stop() {
                break outcome;
            }
            let mut returns = lock(&books.returns);
            while *returns == seen {
                returns = wait(&books.returned, returns);
            }
        };
        books.waiting.fetch_sub(1, SeqCst);
        // Those who were refused because somebody waited may try now.
        self.wake();
        outcome
    }

    /// Whether somebody waits for memory at the moment.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.waiting.load(SeqCst) > 0
    }

    /// Tells those who wait that memory came back, or became something that can be given up.
    pub(crate) fn wake(&self) {
        let books = &self.0;
        if books.waiting.load(SeqCst) > 0 {
            *lock(&books.returns) += 1;
            books.returned.notify_all();
        }
        if books.refused.load(SeqCst) && books.refused.swap(false, SeqCst) {
            let hook = lock(&books.hook).clone();
            if let Some(hook) = hook {
                hook();
            }
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ledger({} of {} bytes, peak {})", self.used(), self.limit(), self.peak())
    }
}

impl Charge {
    /// Bytes in this charge.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The ledger it belongs to.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes a part out into a charge of its own; `None` if there isn't so much.
    pub fn split(&mut self, bytes: usize) -> Option<Charge> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(Charge { ledger: self.ledger.clone(), bytes })
    }

    /// Adds another charge of the same ledger to this one.
    pub(crate) fn absorb(&mut self, mut other: Charge) {
        debug_assert!(Arc::ptr_eq(&self.ledger.0, &other.ledger.0), "charges of two ledgers");
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.ledger.0.used.fetch_sub(self.bytes, SeqCst);
            self.ledger.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_over_the_limit() {
        let ledger = Ledger::new(100);
        let first = ledger.try_charge(60).unwrap();
        assert!(ledger.try_charge(41).is_none());
        let second = ledger.try_charge(40).unwrap();
        assert_eq!((ledger.used(), ledger.peak()), (100, 100));
        drop(first);
        assert_eq!((ledger.used(), ledger.peak()), (40, 100));
        drop(second);
        assert_eq!(ledger.used(), 0);
        assert!(ledger.try_charge(usize::MAX).is_none(), "a sum that overflows does not fit");
    }

    #[test]
    fn parts_of_a_charge_are_counted_once() {
        let ledger = Ledger::new(100);
        let mut whole = ledger.try_charge(100).unwrap();
        let part = whole.split(30).unwrap();
        assert!(whole.split(71).is_none());
        assert_eq!((whole.bytes(), part.bytes(), ledger.used()), (70, 30, 100));
        drop(part);
        let part = ledger.try_charge(10).unwrap();
        whole.absorb(part);
        assert_eq!((whole.bytes(), ledger.used()), (80, 80));
        drop(whole);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn concurrent_charges_never_pass_the_limit() {
        let ledger = Ledger::new(10);
        std::thread::scope(|scope| {
            for bytes in [1, 2, 3, 4] {
                let ledger = &ledger;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let charge = ledger.try_charge(bytes);
                        assert!(ledger.used() <= 10);
                        drop(charge);
                    }
                });
            }
        });
        assert_eq!(ledger.used(), 0);
        assert!(ledger.peak() <= 10);
    }

    #[test]
    fn whoever_waits_is_woken_by_the_refund() {
        let ledger = Ledger::new(10);
        let all = ledger.try_charge(10).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| ledger.wait_until(|| ledger.try_charge(4), || false));
            while ledger.0.waiting.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            drop(all);
            assert_eq!(waiter.join().unwrap().unwrap().bytes(), 4);
        });
    }

    #[test]
    fn the_hook_is_called_once_per_refusal() {
        let ledger = Ledger::new(10);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        ledger.on_room(Arc::new(move || {
            counted.fetch_add(1, SeqCst);
        }));
        drop(ledger.try_charge(1));
        assert_eq!(calls.load(SeqCst), 0);
        ledger.note_refusal();
        drop(ledger.try_charge(1));
        drop(ledger.try_charge(1));
        assert_eq!(calls.load(SeqCst), 1);
    }
}
