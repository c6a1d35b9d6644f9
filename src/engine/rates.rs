//! The process's rates: the one [`Shaper`] behind a leaf lock, and the ways to ask it and to change it.
//!
//! Without any limit set nothing is asked and nothing locked.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use afflux_swarm::shaper::{ClassKey, Direction, Grant, Limits, LinkKey, Need, Shaper, TorrentKey};
use tokio::sync::Notify;

/// What a link may read or send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing before this, unless it's [woken](PeerRates::woken).
    Later(Instant),
}

/// All rates of an engine.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    book: Arc<Mutex<Book>>,
    limited: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Book {
    shaper: Shaper,
    /// Of all torrents together.
    limits: Limits,
    /// How each link is woken.
    bells: BTreeMap<LinkKey, Arc<Notify>>,
}

/// The place of a torrent among the rates.
#[derive(Debug)]
pub(super) struct TorrentRates {
    dial: TorrentDial,
}

/// What a torrent's rates are changed with. Once the torrent is gone nothing happens.
#[derive(Clone, Debug)]
pub(super) struct TorrentDial {
    rates: Rates,
    key: TorrentKey,
}

/// The place of a link among the rates.
#[derive(Debug)]
pub(super) struct PeerRates {
    rates: Rates,
    key: Option<LinkKey>,
    bell: Arc<Notify>,
}

/// A user's place among the rates, until it is dropped.
///
/// Where the rate of all torrents together is limited, users share it evenly; and none gets more than its own limits.
/// Which torrents are for it is said by [`Torrent::set_shares`](super::Torrent::set_shares).
#[derive(Debug)]
pub struct UserShare {
    rates: Rates,
    key: ClassKey,
}

impl Rates {
    /// Rates over all torrents, in bytes per second.
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let book = Book { shaper: Shaper::new(limits, now), limits, bells: BTreeMap::new() };
        let limited = AtomicBool::new(book.shaper.is_limited());
        Self { book: Arc::new(Mutex::new(book)), limited: Arc::new(limited) }
    }

    /// Other rates over all torrents.
    pub(super) fn set(&self, limits: Limits, now: Instant) {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).limits = limits;
        self.change(|shaper| shaper.set_global(limits, now));
    }

    /// The rates over all torrents.
    pub(super) fn limits(&self) -> Limits {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).limits
    }

    /// A place for a torrent with limits of its own.
    pub(super) fn torrent(&self, limits: Limits, now: Instant) -> TorrentRates {
        let key = self.change(|shaper| shaper.add_torrent(None, limits, now));
        TorrentRates { dial: TorrentDial { rates: self.clone(), key } }
    }

    /// A place for a user with limits of its own.
    pub(super) fn user(&self, limits: Limits, now: Instant) -> UserShare {
        let key = self.change(|shaper| shaper.add_class(limits, now));
        UserShare { rates: self.clone(), key }
    }

    /// Changes limits. From now on links ask, or don't ask any more.
    fn change<R>(&self, change: impl FnOnce(&mut Shaper) -> R) -> R {
        self.with(|book| {
            let outcome = change(&mut book.shaper);
            self.limited.store(book.shaper.is_limited(), Ordering::Relaxed);
            outcome
        })
    }

    /// Does something to the shaper, then wakes those that this concerns.
    fn with<R>(&self, act: impl FnOnce(&mut Book) -> R) -> R {
        let mut woken = Vec::new();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = act(&mut book);
        while let Some(link) = book.shaper.poll_woken() {
            woken.extend(book.bells.get(&link).cloned());
        }
        drop(book);
        woken.into_iter().for_each(|bell| bell.notify_one());
        outcome
    }

    fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }
}

impl TorrentRates {
    /// A place for one of its links.
    pub(super) fn link(&self, now: Instant) -> PeerRates {
        let bell = Arc::new(Notify::new());
        let TorrentDial { rates, key } = &self.dial;
        let key = rates.with(|book| {
            let link = book.shaper.add_link(*key, Limits::default(), now)?;
            book.bells.insert(link, Arc::clone(&bell));
            Some(link)
        });
        PeerRates { rates: rates.clone(), key, bell }
    }

    /// What its rates are changed with.
    pub(super) fn dial(&self) -> TorrentDial {
        self.dial.clone()
    }
}

impl TorrentDial {
    /// Other rates for this torrent alone.
    pub(super) fn set(&self, limits: Limits, now: Instant) {
        self.rates.change(|shaper| shaper.set_torrent(self.key, limits, now));
    }

    /// Whom it is for.
    pub(super) fn set_shares(&self, shares: &[(ClassKey, Need)]) {
        self.rates.with(|book| book.shaper.set_torrent_classes(self.key, shares));
    }
}

impl UserShare {
    /// What [`Torrent::set_shares`](super::Torrent::set_shares) knows it by.
    pub fn key(&self) -> ClassKey {
        self.key
    }

    /// Other rates over all torrents that are for this user. Takes effect at once, also for what waits.
    pub fn set_limits(&self, limits: Limits) {
        self.rates.change(|shaper| shaper.set_class(self.key, limits, Instant::now()));
    }

    /// How many parts of a contended rate it gets where other users get one.
    pub fn set_weight(&self, weight: NonZeroU8) {
        self.rates.with(|book| book.shaper.set_class_weight(self.key, weight));
    }
}

impl PeerRates {
    /// Waits until the rates may allow what they didn't: ask again.
    pub(super) async fn woken(&self) {
        self.bell.notified().await;
    }

    /// Asks to read up to `want` bytes. Report with [`downloaded`](Self::downloaded) what became of it.
    pub(super) fn download(&self, want: usize, now: Instant) -> Allowance {
        self.take(Direction::Download, want, now)
    }

    /// `read` bytes came of an allowance of `allowed`. More may have come than was allowed: the tail of a read.
    pub(super) fn downloaded(&self, allowed: usize, read: usize, now: Instant) {
        let Some(key) = self.limited_key().filter(|_| read != allowed) else { return };
        self.rates.with(|Book { shaper, .. }| match allowed.checked_sub(read) {
            Some(unused) => shaper.refund(key, Direction::Download, unused as u32),
            None => shaper.overdraw(key, Direction::Download, (read - allowed) as u32, now),
        });
    }

    /// Asks to send a block of `length` bytes: all of it, or nothing yet.
    pub(super) fn upload(&self, length: usize, now: Instant) -> Allowance {
        match self.take(Direction::Upload, length, now) {
            Allowance::Bytes(granted) if granted < length => {
                // A block leaves as a whole: the rest is borrowed from the time after it.
                self.overdraw_upload(length - granted, now);
                Allowance::Bytes(length)
            }
            allowance => allowance,
        }
    }

    /// Gives back what [`upload`](Self::upload) allowed and wasn't sent.
    pub(super) fn upload_unused(&self, bytes: usize) {
        if let Some(key) = self.limited_key().filter(|_| bytes > 0) {
            self.rates.with(|book| book.shaper.refund(key, Direction::Upload, bytes as u32));
        }
    }

    /// Payload left beyond what [`upload`](Self::upload) allowed: what a block has beyond the usual.
    pub(super) fn overdraw_upload(&self, bytes: usize, now: Instant) {
        if let Some(key) = self.limited_key().filter(|_| bytes > 0) {
            self.rates.with(|book| book.shaper.overdraw(key, Direction::Upload, bytes as u32, now));
        }
    }

    /// Control messages left. They are never delayed, and payload waits the longer.
    pub(super) fn debit_upload(&self, bytes: usize, now: Instant) {
        if let Some(key) = self.limited_key().filter(|_| bytes > 0) {
            self.rates.with(|book| book.shaper.debit(key, Direction::Upload, bytes as u32, now));
        }
    }

    /// Nothing is asked for in this direction any more: what was waited for goes to others.
    pub(super) fn give_up_upload(&self) {
        if let Some(key) = self.limited_key() {
            self.rates.with(|book| book.shaper.give_up(key, Direction::Upload));
        }
    }

    fn take(&self, direction: Direction, want: usize, now: Instant) -> Allowance {
        let Some(key) = self.limited_key() else { return Allowance::Bytes(want) };
        let want = want.min(u32::MAX as usize) as u32;
        match self.rates.with(|book| book.shaper.take(key, direction, want, now)) {
            Grant::Now(bytes) => Allowance::Bytes(bytes as usize),
            Grant::Later(at) => Allowance::Later(at),
        }
    }

    fn limited_key(&self) -> Option<LinkKey> {
        self.key.filter(|_| self.rates.is_limited())
    }
}

impl Drop for TorrentRates {
    fn drop(&mut self) {
        let TorrentDial { rates, key } = &self.dial;
        rates.change(|shaper| shaper.remove_torrent(*key));
    }
}

impl Drop for UserShare {
    fn drop(&mut self) {
        self.rates.change(|shaper| shaper.remove_class(self.key));
    }
}

impl Drop for PeerRates {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.rates.with(|book| {
                book.shaper.remove_link(key);
                book.bells.remove(&key);
            });
        }
    }
}
