//! The process's rates: the one [`Shaper`] behind a leaf lock, and a link's way to ask it.
//!
//! Without any limit set nothing is asked and nothing locked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use afflux_swarm::shaper::{Direction, Grant, Limits, LinkKey, Shaper, TorrentKey};

/// What a link may read or send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing before this.
    Later(Instant),
}

/// All rates of an engine.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    shaper: Arc<Mutex<Shaper>>,
    limited: Arc<AtomicBool>,
}

/// The place of a torrent among the rates.
#[derive(Debug)]
pub(super) struct TorrentRates {
    rates: Rates,
    key: TorrentKey,
}

/// The place of a link among the rates.
#[derive(Debug)]
pub(super) struct PeerRates {
    rates: Rates,
    key: Option<LinkKey>,
}

impl Rates {
    /// Rates over all torrents, in bytes per second.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            shaper: Arc::new(Mutex::new(Shaper::new(limits, now))),
            limited: Arc::new(AtomicBool::new(limits != Limits::default())),
        }
    }

    /// A place for a torrent with limits of its own.
    pub(super) fn torrent(&self, limits: Limits, now: Instant) -> TorrentRates {
        if limits != Limits::default() {
            self.limited.store(true, Ordering::Relaxed);
        }
        TorrentRates { key: self.lock().add_torrent(None, limits, now), rates: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Shaper> {
        self.shaper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TorrentRates {
    /// A place for one of its links.
    pub(super) fn link(&self, now: Instant) -> PeerRates {
        let key = self.rates.lock().add_link(self.key, Limits::default(), now);
        PeerRates { rates: self.rates.clone(), key }
    }
}

impl PeerRates {
    /// Asks to read up to `want` bytes. Report with [`downloaded`](Self::downloaded) what became of it.
    pub(super) fn download(&self, want: usize, now: Instant) -> Allowance {
        self.take(Direction::Download, want, now)
    }

    /// `read` bytes came of an allowance of `allowed`. More may have come than was allowed: the tail of a read.
    pub(super) fn downloaded(&self, allowed: usize, read: usize, now: Instant) {
        let Some(key) = self.limited_key() else { return };
        let mut shaper = self.rates.lock();
        if read < allowed {
            shaper.refund(key, Direction::Download, (allowed - read) as u32);
        } else {
            shaper.debit(key, Direction::Download, (read - allowed) as u32, now);
        }
    }

    /// Asks to send a block of `length` bytes: all of it, or nothing yet.
    pub(super) fn upload(&self, length: usize, now: Instant) -> Allowance {
        match self.take(Direction::Upload, length, now) {
            Allowance::Bytes(granted) if granted < length => {
                // A block leaves as a whole: the rest is borrowed from the time after it.
                if let Some(key) = self.limited_key() {
                    self.rates.lock().debit(key, Direction::Upload, (length - granted) as u32, now);
                }
                Allowance::Bytes(length)
            }
            allowance => allowance,
        }
    }

    /// Gives back what [`upload`](Self::upload) allowed and wasn't sent.
    pub(super) fn upload_unused(&self, bytes: usize) {
        if let Some(key) = self.limited_key().filter(|_| bytes > 0) {
            self.rates.lock().refund(key, Direction::Upload, bytes as u32);
        }
    }

    /// Bytes left that nobody asked the rate for: control messages, and what a block has beyond the usual. Never delayed.
    pub(super) fn debit_upload(&self, bytes: usize, now: Instant) {
        if let Some(key) = self.limited_key().filter(|_| bytes > 0) {
            self.rates.lock().debit(key, Direction::Upload, bytes as u32, now);
        }
    }

    fn take(&self, direction: Direction, want: usize, now: Instant) -> Allowance {
        let Some(key) = self.limited_key() else { return Allowance::Bytes(want) };
        match self.rates.lock().take(key, direction, want.min(u32::MAX as usize) as u32, now) {
            Grant::Now(bytes) => Allowance::Bytes(bytes as usize),
            Grant::Later(at) => Allowance::Later(at),
        }
    }

    fn limited_key(&self) -> Option<LinkKey> {
        self.key.filter(|_| self.rates.limited.load(Ordering::Relaxed))
    }
}

impl Drop for TorrentRates {
    fn drop(&mut self) {
        self.rates.lock().remove_torrent(self.key);
    }
}

impl Drop for PeerRates {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.rates.lock().remove_link(key);
        }
    }
}
