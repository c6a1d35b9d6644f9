//! The log of a run, hashed as it is written.

use sha1::{Digest, Sha1};

use crate::clock::Time;
use crate::log::{Entry, Log, What};

/// Records are hashed in batches of this many bytes.
const BATCH: usize = 64 * Entry::RECORD_BYTES;

/// The log, and the hash of what it was told.
pub(crate) struct Journal<'a> {
    log: &'a mut dyn Log,
    now: Time,
    batch: Vec<u8>,
    hash: Sha1,
}

impl<'a> Journal<'a> {
    pub(crate) fn new(log: &'a mut dyn Log) -> Self {
        Self { log, now: Time::default(), batch: Vec::with_capacity(BATCH), hash: Sha1::new() }
    }

    /// It is this moment now.
    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// This happened to a peer.
    pub(crate) fn note(&mut self, peer: u32, what: What) {
        let entry = Entry { at: self.now.elapsed(), peer, what };
        self.batch.extend_from_slice(&entry.to_record());
        if self.batch.len() >= BATCH {
            self.hash.update(&self.batch);
            self.batch.clear();
        }
        self.log.entry(&entry);
    }

    /// The hash of all records.
    pub(crate) fn hash(mut self) -> [u8; 20] {
        self.hash.update(&self.batch);
        self.hash.finalize().into()
    }
}
