//! Which tracker is told what, and when (BEP 3, BEP 12), as a machine.
//!
//! Inside a tier BEP 12 holds to the letter: shuffled once, asked in order until one answers, which then moves to the
//! front. Between tiers it doesn't: *every* tier is announced to, in parallel, where BEP 12 asks a tier only when all
//! before it have failed. Torrents list unrelated public trackers as tiers of one, and a stream can't wait for the
//! first to time out before the second is asked; most clients have come to do the same.
//!
//! A tier has at most one announce under way. Events are kept per tracker: each hears `started` first, `completed`
//! once and only if it saw us incomplete, and `stopped` at the end only if it may know us.
//! Not here: the announce itself; numbers of bytes, which the driver adds.

use std::time::{Duration, Instant};

use crate::announce::{Event, Reply};
use crate::limits;
use crate::random::Random;
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
    /// When it is asked again; `None` while it is being asked, or if another of its tier answers.
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

/// What a tracker knows of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// It answered a `started` (or a later announce); whether it knows that we have everything.
    Started {
        complete: bool,
    },
}

/// An announce under way.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    started_at: Instant,
    /// Whether the download was complete when it left.
    complete: bool,
}

#[derive(Debug)]
struct Tracker {
    url: TrackerUrl,
    tier: usize,
    told: Told,
    attempt: Option<Attempt>,
    /// Failures in a row.
    failures: u32,
    /// Not before this, after a failure.
    retry_at: Option<Instant>,
    attempted_at: Option<Instant>,
    tracker_id: Option<Vec<u8>>,
    message: Option<String>,
    peers: usize,
    complete: Option<u32>,
    incomplete: Option<u32>,
}

#[derive(Debug)]
struct Tier {
    /// In the order of asking.
    order: Vec<TrackerKey>,
    busy: bool,
    next_at: Instant,
    /// Earliest announce without an event, from the last success.
    not_before: Option<Instant>,
}

/// All trackers of one torrent.
///
/// Drive it so: call [`Self::due`] until `None`, start those announces, sleep until [`Self::deadline`] or until one
/// ends, tell [`Self::succeeded`] or [`Self::failed`], and again.
#[derive(Debug)]
pub struct Tiers {
    trackers: Vec<Tracker>,
    tiers: Vec<Tier>,
    complete: bool,
    random: Random,
    /// Trackers that are still to hear `stopped`, once we leave.
    leaving: Option<Vec<TrackerKey>>,
    refused: Vec<(String, UrlError)>,
}

impl Tiers {
    /// Takes the tiers as a torrent gives them: checks every URL, drops repeated ones and those beyond
    /// [`limits::TRACKERS_MAX`], shuffles inside each tier. All tiers are due at once.
    ///
    /// `complete`: nothing is left to download already, so `completed` is never to be said (BEP 3).
    pub fn new(tiers: &[Vec<String>], complete: bool, seed: u64, now: Instant) -> Self {
        let mut machine = Self {
            trackers: Vec::new(),
            tiers: Vec::new(),
            complete,
            random: Random::new(seed),
            leaving: None,
            refused: Vec::new(),
        };
        machine.add(tiers, now);
        machine
    }

    /// Takes further tiers, under the same rules: they come behind those that are there, and are due at once.
    pub fn add(&mut self, tiers: &[Vec<String>], now: Instant) {
        for urls in tiers {
            let mut order = self.adopt(urls);
            if !order.is_empty() {
                self.random.shuffle(&mut order);
                self.tiers.push(Tier { order, busy: false, next_at: now, not_before: None });
            }
        }
    }

    /// A tracker to announce to now, marked as under way. Call until `None`.
    pub fn due(&mut self, now: Instant) -> Option<(TrackerKey, Event)> {
        if let Some(leaving) = &mut self.leaving {
            return leaving.pop().map(|key| (key, Event::Stopped));
        }
        for tier in 0..self.tiers.len() {
            if self.tiers[tier].busy || self.tiers[tier].next_at > now {
                continue;
            }
            let order = &self.tiers[tier].order;
            match order.iter().copied().find(|&key| self.tracker(key).is_ready(now)) {
                Some(key) => return Some((key, self.begin(tier, key, now))),
                // A tier is never due before one of its trackers; if it were, the driver must not spin on it.
                None => self.tiers[tier].next_at = now + limits::RETRY_FIRST,
            }
        }
        None
    }

    /// The tracker answered. It moves to the front of its tier (BEP 12).
    pub fn succeeded(&mut self, key: TrackerKey, reply: &Reply, now: Instant) {
        let complete = self.complete;
        let tracker = self.tracker_mut(key);
        let Some(attempt) = tracker.attempt.take() else { return };
        tracker.told = Told::Started { complete: attempt.complete };
        tracker.failures = 0;
        tracker.retry_at = None;
        if reply.tracker_id.is_some() {
            tracker.tracker_id.clone_from(&reply.tracker_id);
        }
        tracker.message.clone_from(&reply.warning);
        tracker.peers = reply.peers.len();
        (tracker.complete, tracker.incomplete) = (reply.complete, reply.incomplete);
        let tier = tracker.tier;
        let tier = &mut self.tiers[tier];
        tier.busy = false;
        tier.not_before = Some(now + reply.min_interval);
        // The download may have ended while the announce was under way: that event doesn't wait.
        let owed = complete && !attempt.complete;
        tier.next_at = if owed { now } else { now + reply.interval };
        tier.order.retain(|&other| other != key);
        tier.order.insert(0, key);
    }

    /// The tracker refused, sent nonsense or didn't answer; `reason` is for people. The next one of its tier is due
    /// at once. This one rests 15 s · 2^n from the *start* of the attempt, so that a UDP tracker whose attempt timed
    /// out after 15 s is asked on the schedule of BEP 15 (0, 15, 45, 105 s …).
    pub fn failed(&mut self, key: TrackerKey, reason: String, now: Instant) {
        let tracker = self.tracker_mut(key);
        let Some(attempt) = tracker.attempt.take() else { return };
        let rest = retry_after(tracker.failures);
        tracker.failures = tracker.failures.saturating_add(1);
        tracker.retry_at = Some((attempt.started_at + rest).max(now));
        tracker.message = Some(reason);
        let tier = tracker.tier;
        self.tiers[tier].busy = false;
        // With another one ready that is now, else the first retry.
        let untried = self.tiers[tier].order.iter().any(|&other| self.tracker(other).retry_at.is_none());
        let next_at = if untried { now } else { self.first_retry(tier).unwrap_or(now) };
        self.tiers[tier].next_at = next_at.max(now);
    }

    /// The download became complete: every tracker that knows us as incomplete is told once, now.
    pub fn completed(&mut self, now: Instant) {
        if std::mem::replace(&mut self.complete, true) {
            return;
        }
        for tier in 0..self.tiers.len() {
            let front = self.tiers[tier].order.first().copied();
            if front.is_some_and(|key| self.tracker(key).owes_completed(true)) {
                self.tiers[tier].next_at = now;
            }
        }
    }

    /// More peers are wanted: announces as soon as each tracker's least wait allows, and retries failing ones
    /// that weren't asked within the last minute.
    pub fn announce_now(&mut self, now: Instant) {
        for tracker in &mut self.trackers {
            if let (Some(retry_at), Some(attempted_at)) = (tracker.retry_at, tracker.attempted_at) {
                let earliest = (attempted_at + limits::MIN_INTERVAL_MIN).max(now);
                tracker.retry_at = Some(retry_at.min(earliest));
            }
        }
        for tier in 0..self.tiers.len() {
            let all_failing = self.tiers[tier].order.iter().all(|&key| self.tracker(key).retry_at.is_some());
            let retry_at = if all_failing { self.first_retry(tier) } else { None };
            let tier = &mut self.tiers[tier];
            let earliest = retry_at.into_iter().chain(tier.not_before).fold(now, Instant::max);
            tier.next_at = tier.next_at.min(earliest);
        }
    }

    /// We leave: from here on [`Self::due`] yields one `Stopped` for each tracker that may know us, and nothing else.
    /// Announces under way are to be abandoned; a `started` among them may have arrived, so it counts.
    pub fn stop(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let knows_us = |tracker: &Tracker| tracker.told != Told::Nothing || tracker.attempt.is_some();
        let mut leaving: Vec<_> = self.keys().filter(|&key| knows_us(self.tracker(key))).collect();
        // `due` pops from the end; the first tiers are told first.
        leaving.reverse();
        self.leaving = Some(leaving);
    }

    /// When [`Self::due`] has something to say next; `None` if only the end of an announce can change anything.
    /// Meaningless after [`Self::stop`].
    pub fn deadline(&self) -> Option<Instant> {
        self.tiers.iter().filter(|tier| !tier.busy).map(|tier| tier.next_at).min()
    }

    /// The URL of a tracker.
    pub fn url(&self, key: TrackerKey) -> &TrackerUrl {
        &self.tracker(key).url
    }

    /// What this tracker told us to send back.
    pub fn tracker_id(&self, key: TrackerKey) -> Option<&[u8]> {
        self.tracker(key).tracker_id.as_deref()
    }

    /// Whether there is no tracker at all.
    pub fn is_empty(&self) -> bool {
        self.trackers.is_empty()
    }

    /// URLs that were refused, and why; at most [`limits::REFUSED_MAX`].
    pub fn refused(&self) -> &[(String, UrlError)] {
        &self.refused
    }

    /// Every tracker, tier by tier in the order of asking.
    pub fn status(&self) -> Vec<Status> {
        self.keys_in_order().map(|key| self.status_of(key)).collect()
    }

    /// Checks the URLs of a tier and keeps what is new and sound.
    fn adopt(&mut self, urls: &[String]) -> Vec<TrackerKey> {
        let mut order = Vec::new();
        for text in urls {
            if self.trackers.len() >= limits::TRACKERS_MAX {
                break;
            }
            match text.parse::<TrackerUrl>() {
                Ok(url) if self.trackers.iter().any(|tracker| tracker.url == url) => {}
                Ok(url) => {
                    // Below TRACKERS_MAX, so it fits.
                    order.push(TrackerKey(self.trackers.len() as u16));
                    self.trackers.push(Tracker::new(url, self.tiers.len()));
                }
                Err(error) if self.refused.len() < limits::REFUSED_MAX => {
                    self.refused.push((crate::announce::printable(text.as_bytes()), error));
                }
                Err(_) => {}
            }
        }
        order
    }

    fn begin(&mut self, tier: usize, key: TrackerKey, now: Instant) -> Event {
        let (event, complete) = (self.event_for(key), self.complete);
        self.tiers[tier].busy = true;
        let tracker = self.tracker_mut(key);
        tracker.attempt = Some(Attempt { started_at: now, complete });
        tracker.attempted_at = Some(now);
        event
    }

    fn event_for(&self, key: TrackerKey) -> Event {
        let tracker = self.tracker(key);
        match tracker.told {
            Told::Nothing => Event::Started,
            _ if tracker.owes_completed(self.complete) => Event::Completed,
            Told::Started { .. } => Event::None,
        }
    }

    fn first_retry(&self, tier: usize) -> Option<Instant> {
        self.tiers[tier].order.iter().filter_map(|&key| self.tracker(key).retry_at).min()
    }

    fn keys(&self) -> impl Iterator<Item = TrackerKey> + use<> {
        (0..self.trackers.len() as u16).map(TrackerKey)
    }

    fn keys_in_order(&self) -> impl Iterator<Item = TrackerKey> {
        self.tiers.iter().flat_map(|tier| tier.order.iter().copied())
    }

    /// Keys are only made by [`Self::adopt`], with the tracker, and trackers are never removed.
    fn tracker(&self, key: TrackerKey) -> &Tracker {
        &self.trackers[usize::from(key.0)]
    }

    fn tracker_mut(&mut self, key: TrackerKey) -> &mut Tracker {
        &mut self.trackers[usize::from(key.0)]
    }

    fn status_of(&self, key: TrackerKey) -> Status {
        let tracker = self.tracker(key);
        let tier = &self.tiers[tracker.tier];
        let is_next = !tier.busy && tier.order.first() == Some(&key);
        let health = match (tracker.attempt, tracker.attempted_at) {
            (Some(_), _) => Health::Announcing,
            (None, None) => Health::Untried,
            (None, Some(_)) if tracker.failures > 0 => Health::Failing,
            (None, Some(_)) => Health::Working,
        };
        Status {
            key,
            url: tracker.url.to_string(),
            tier: tracker.tier,
            health,
            next_at: tracker
                .retry_at
                .or(is_next.then_some(tier.next_at))
                .filter(|_| tracker.attempt.is_none()),
            failures: tracker.failures,
            message: tracker.message.clone(),
            peers: tracker.peers,
            complete: tracker.complete,
            incomplete: tracker.incomplete,
        }
    }
}

impl Tracker {
    fn new(url: TrackerUrl, tier: usize) -> Self {
        Self {
            url,
            tier,
            told: Told::Nothing,
            attempt: None,
            failures: 0,
            retry_at: None,
            attempted_at: None,
            tracker_id: None,
            message: None,
            peers: 0,
            complete: None,
            incomplete: None,
        }
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.attempt.is_none() && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Whether it knows us as incomplete although we are complete.
    fn owes_completed(&self, complete: bool) -> bool {
        complete && self.told == Told::Started { complete: false }
    }
}

/// The rest after a failure that follows `failures` others.
fn retry_after(failures: u32) -> Duration {
    (limits::RETRY_FIRST * (1 << failures.min(limits::RETRANSMISSIONS_MAX))).min(limits::RETRY_MAX)
}

#[cfg(test)]
mod tests;
