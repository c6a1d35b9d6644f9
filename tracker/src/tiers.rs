//! Which tracker is told what, and when (BEP 12, BEP 3).

use std::time::Instant;

use crate::announce::{Event, Reply};
use crate::url::{TrackerUrl, UrlError};

/// One tracker of a torrent; stays the same while the order changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackerKey(u16);

/// How a tracker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not asked yet.
    Untried,
    /// Being asked now.
    Announcing,
    /// Answered last time.
    Working,
    /// Failed last time.
    Failing,
}

/// One tracker for people to look at.
#[derive(Clone, Debug)]
pub struct Status {
    /// Which.
    pub key: TrackerKey,
    /// Its URL without credentials.
    pub url: String,
    /// Its tier, 0 first.
    pub tier: usize,
    /// How it does.
    pub health: Health,
    /// When it is due again, if it is the one its tier will ask.
    pub next_at: Option<Instant>,
    /// Failures since it last answered.
    pub failures: u32,
    /// What went wrong last, or what it warned of.
    pub message: Option<String>,
    /// Peers in its last reply.
    pub peers: usize,
    /// Peers it knows to have everything.
    pub complete: Option<u32>,
    /// Peers it knows that don't.
    pub incomplete: Option<u32>,
}

/// All trackers of one torrent.
#[derive(Debug)]
pub struct Tiers {
    refused: Vec<(String, UrlError)>,
}

impl Tiers {
    /// Takes the tiers as a torrent gives them: checks every URL, drops repeated ones, shuffles inside each tier.
    pub fn new(tiers: &[Vec<String>], seed: u64, now: Instant) -> Self {
        let _ = (tiers, seed, now);
        todo!()
    }

    /// A tracker to announce to now, marked as under way. Call until `None`.
    pub fn due(&mut self, now: Instant) -> Option<(TrackerKey, Event)> {
        let _ = now;
        todo!()
    }

    /// The tracker answered.
    pub fn succeeded(&mut self, key: TrackerKey, reply: &Reply, now: Instant) {
        let _ = (key, reply, now);
        todo!()
    }

    /// The tracker refused, sent nonsense or didn't answer; `reason` is for people.
    pub fn failed(&mut self, key: TrackerKey, reason: String, now: Instant) {
        let _ = (key, reason, now);
        todo!()
    }

    /// The download became complete: every tracker that heard of us is told once.
    pub fn completed(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// More peers are wanted: announces as soon as each tracker's least wait allows.
    pub fn announce_now(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// We leave: from here on [`Self::due`] yields one `Stopped` per tracker that heard of us.
    pub fn stop(&mut self) {
        todo!()
    }

    /// When [`Self::due`] has something to say next.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// The URL of a tracker.
    pub fn url(&self, key: TrackerKey) -> &TrackerUrl {
        let _ = key;
        todo!()
    }

    /// What this tracker told us to send back.
    pub fn tracker_id(&self, key: TrackerKey) -> Option<&[u8]> {
        let _ = key;
        todo!()
    }

    /// URLs that were refused, and why.
    pub fn refused(&self) -> &[(String, UrlError)] {
        &self.refused
    }

    /// Every tracker, tier by tier in the order of asking.
    pub fn status(&self) -> Vec<Status> {
        todo!()
    }
}
