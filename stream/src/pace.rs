//! How quickly a session is sent bytes: a burst, then a little more than its media needs.
//!
//! Without a pace, a player that opens `bytes=N-`, hangs up and opens again (Safari does so every three seconds) is sent what
//! the sockets hold each time, and throws it away: five times as many bytes as are played. So one bucket paces all readers of
//! a session together:
//!
//! - It holds a burst, and fills at half as much again as the media's mean rate. A player reads less in the long run, so for most it
//!   is always full.
//! - A reader that **stays** for some seconds gets [`FLOOR`] at least: it shows that it isn't one that hangs up and opens again. Before
//!   that, what it is sent beyond its need may all be thrown away.
//! - A **seek** fills it at once: somebody waits for a picture. Seeks in quick succession use up a small budget of such bursts.
//! - A reader that opens **again** where bytes have just been sent gets no burst. What was sent beyond its first byte was wasted:
//!   for the next minute the floor is gone, and the session is paced by its media's rate, or, where that isn't known, by how far its
//!   player comes from one opening to the next. The third time within a minute it's a habit, and little more than that rate is left.
//!   The pace is always above what was measured, so a player that was held up is measured quicker the next time.
//!
//! Where the media's rate isn't known, a reader that hasn't stayed yet gets [`FLOOR`], or what a film of an hour needs; later anything
//! that a film of a minute could. Once the rate is known, it is given what is missing of its burst.
//!
//! Downloads aren't paced. A user's own limit ([`PaceConfig::max_rate`]) holds for everything.
//!
//! Pure: time comes in as `now`. Asked, not drained. Not here: the timer that sleeps until [`Allowance::Later`].

use std::time::{Duration, Instant};

use crate::session::{NEAR_AHEAD, NEAR_BEHIND, Place};

mod bucket;
#[cfg(test)]
mod tests;

use bucket::Bucket;

/// No film is shorter: where nothing is known of a file's rate, it is at most its length over this time.
pub const SHORTEST_FILM: Duration = Duration::from_secs(60);

/// Most large files last longer: what is taken for the rate of one of which nothing is known, while its reader may hang up at once.
const LIKELY_FILM: Duration = Duration::from_secs(3600);

/// Bytes per second that a session gets however slow its media is, once its reader stays.
pub const FLOOR: u64 = 1_500_000;

/// A reader stays that is still here after this time. Those that open again and again do so every three seconds.
const STAYS: Duration = Duration::from_secs(6);

/// A burst lasts for this long at the media's rate, within bounds: what players want before they show a picture.
const BURST_SECONDS: u64 = 8;
const BURST_BYTES_MIN: u64 = 1024 * 1024;
const BURST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The least while the rate isn't known: browsers look round in a file with half a dozen readers first.
const BURST_BYTES_UNSURE: u64 = 2 * 1024 * 1024;

/// The same for a player that keeps opening again.
const FRUGAL_SECONDS: u64 = 2;
const FRUGAL_BYTES_MIN: u64 = 128 * 1024;

/// Bounds of a media rate: below is speech, above no disk goes.
const RATE_MIN: u64 = 16 * 1024;
const RATE_MAX: u64 = 1024 * 1024 * 1024;

/// What a player is taken to need at least while it is measured.
const KEPT_RATE_MIN: u64 = 32 * 1024;

/// A player's own progress is measured over at least this time.
const KEPT_SAMPLE: Duration = Duration::from_secs(1);

/// Least `max_rate`: with less, a session would time out rather than be slow.
const MAX_RATE_MIN: u64 = 4 * 1024;

/// Bursts for seeks: so many at once, and one more every three seconds. A user who drags the slider has them all; a program
/// that seeks without end is sent little more by it.
const SEEKS_AT_ONCE: u64 = 8;
const SEEK_SECONDS: u64 = 3;

/// A reader that opens again this soon after the last did so on purpose. Later, it's a seek back or a lost connection.
const AGAIN_SOON: Duration = Duration::from_secs(15);

/// Readers that follow each other more quickly look round in a file, and leave little in its sockets.
const LOOK_ROUND: Duration = Duration::from_millis(500);

/// Waste that counts, of readers that look round and of others.
const WASTE_BYTES_LOOKING: u64 = 1024 * 1024;
const WASTE_BYTES: u64 = 64 * 1024;

/// For how long waste is remembered.
const WASTE_MEMORY: Duration = Duration::from_secs(60);

/// So many wastes within that time are a habit.
const WASTES_HABIT: usize = 3;

/// A reader that opens so little before the last one's first byte isn't elsewhere: browsers align what they ask for.
const ALIGNMENT: u64 = 256 * 1024;

/// Stretches remembered: head, tail, and two places between which a player goes back and forth.
const STRETCHES_MAX: usize = 4;

/// A stretch that nobody read for this long is a place like any other, unless it's the newest.
const STRETCH_LIFE: Duration = Duration::from_secs(10);

/// Least bytes worth a frame, as a part of a second and in bounds.
const GRAIN_PARTS: u64 = 4;
const GRAIN_BYTES_MIN: u64 = 4 * 1024;
const GRAIN_BYTES_MAX: u64 = 64 * 1024;

/// What is known of a session's media and its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaceConfig {
    /// Bytes of the file that is watched.
    pub file_length: u64,
    /// The media's mean bytes per second, where known.
    pub rate: Option<u64>,
    /// Bytes per second that the session's user or token may have, where that is limited.
    pub max_rate: Option<u64>,
}

/// What bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// They are watched as they come.
    Play,
    /// A client wants all of them as quickly as it can have them (`?download=1`).
    Download,
}

/// An answer to [`Pace::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many bytes may be sent now: at most what was asked for, and 0 only if that was 0.
    Bytes(u64),
    /// Ask again then; it's later than now.
    Later(Instant),
}

/// How a reader's opening was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// At a new place: with a burst, if there is one left.
    Seek,
    /// Where bytes have just been sent: no burst.
    Again {
        /// Bytes that were sent from there on, in vain.
        wasted: u64,
    },
}

/// The pace of one session.
#[derive(Clone, Debug)]
pub struct Pace {
    config: PaceConfig,
    play: Bucket,
    limit: Option<Bucket>,
    /// Of units of which a seek takes [`SEEK_SECONDS`].
    seeks: Bucket,
    /// The newest is last.
    stretches: Vec<Stretch>,
    /// When bytes were wasted in the last while, at most [`WASTES_HABIT`].
    wastes: Vec<Instant>,
    /// How fast the player goes from one opening to the next, in bytes per second.
    kept_rate: Option<u64>,
}

/// A part of a file that was sent without a gap.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    file: u32,
    /// Where its newest reader began, and when.
    opened: u64,
    opened_at: Instant,
    /// The end of what was sent.
    end: u64,
    touched: Instant,
    /// Where the player's progress is measured from.
    measured: (u64, Instant),
}

impl Pace {
    /// A session's pace, with a burst to begin with.
    pub fn new(config: PaceConfig, now: Instant) -> Pace {
        let mut pace = Pace {
            config,
            play: Bucket::new(0, 0, now),
            limit: None,
            seeks: Bucket::new(1, SEEKS_AT_ONCE * SEEK_SECONDS, now),
            stretches: Vec::with_capacity(STRETCHES_MAX),
            wastes: Vec::with_capacity(WASTES_HABIT),
            kept_rate: None,
        };
        pace.set_max_rate(config.max_rate, now);
        pace.adjust(now);
        pace.play.fill(pace.burst_bytes(now));
        pace
    }

    /// A reader was opened at `place`.
    pub fn handle_open(&mut self, place: Place, now: Instant) -> Opened {
        self.forget(now);
        let opened = match self.stretches.iter().rposition(|stretch| stretch.is_near(place, now)) {
            Some(nth) => {
                // The one that is read is the newest.
                let stretch = self.stretches.remove(nth);
                self.stretches.push(stretch);
                self.open_again(place.offset, now)
            }
            None => {
                self.open_elsewhere(place, now);
                Opened::Seek
            }
        };
        // Progress that was measured without any waste says nothing.
        self.forget(now);
        self.adjust(now);
        opened
    }

    /// The user seeks: wherever the next reader opens, it is a seek.
    pub fn handle_seek(&mut self, now: Instant) {
        self.stretches.clear();
        self.forget(now);
        self.adjust(now);
    }

    /// Asks to send `want` bytes from `place` on.
    pub fn take(&mut self, purpose: Purpose, place: Place, want: u64, now: Instant) -> Allowance {
        self.forget(now);
        self.adjust(now);
        if let Some(limit) = &mut self.limit {
            limit.refill(now);
        }
        let play = (purpose == Purpose::Play).then_some(&mut self.play);
        let mut buckets: Vec<&mut Bucket> = play.into_iter().chain(&mut self.limit).collect();
        let allowed = buckets.iter().fold(want, |allowed, bucket| allowed.min(bucket.level()));
        let least = |bucket: &Bucket| grain(bucket.rate()).min(want);
        let later = buckets.iter().filter(|bucket| bucket.level() < least(bucket));
        if let Some(later) = later.map(|bucket| bucket.ready_at(least(bucket), now)).max() {
            return Allowance::Later(later);
        }
        for bucket in &mut buckets {
            bucket.spend(allowed);
        }
        self.note_sent(place, allowed, now);
        Allowance::Bytes(allowed)
    }

    /// Gives back the last `bytes` of what was taken, which weren't sent after all: `place` is the first of them.
    pub fn refund(&mut self, purpose: Purpose, place: Place, bytes: u64) {
        if purpose == Purpose::Play {
            self.play.refund(bytes);
        }
        if let Some(limit) = &mut self.limit {
            limit.refund(bytes);
        }
        let end = place.offset.saturating_add(bytes);
        let taken =
            self.stretches.iter_mut().find(|stretch| stretch.file == place.file && stretch.end == end);
        if let Some(stretch) = taken {
            stretch.end = place.offset.max(stretch.opened);
        }
    }

    /// The media's rate became known, or another file of `file_length` bytes is watched.
    pub fn set_media(&mut self, file_length: u64, rate: Option<u64>, now: Instant) {
        let is_news = self.config.rate.is_none() && rate.is_some();
        self.config = PaceConfig { file_length, rate, ..self.config };
        self.adjust(now);
        if is_news && self.wastes.is_empty() && !self.stays(now) {
            let sent = self.stretches.last().map_or(0, |stretch| stretch.end - stretch.opened);
            self.play.fill(self.burst_bytes(now).saturating_sub(sent));
        }
    }

    /// The user's own limit changed.
    pub fn set_max_rate(&mut self, max_rate: Option<u64>, now: Instant) {
        self.config.max_rate = max_rate;
        let Some(rate) = max_rate.map(|rate| rate.clamp(MAX_RATE_MIN, RATE_MAX)) else {
            self.limit = None;
            return;
        };
        // A second's worth at once.
        match &mut self.limit {
            Some(limit) => limit.set(rate, rate, now),
            None => self.limit = Some(Bucket::new(rate, rate, now)),
        }
    }

    /// Bytes per second at which a reader that takes all it gets is sent them in the long run.
    pub fn rate(&self) -> u64 {
        self.limit.map_or(self.play.rate(), |limit| self.play.rate().min(limit.rate()))
    }

    /// A place that wasn't sent lately.
    fn open_elsewhere(&mut self, place: Place, now: Instant) {
        if self.stretches.len() == STRETCHES_MAX {
            self.stretches.remove(0);
        }
        let Place { file, offset } = place;
        let measured = (offset, now);
        self.stretches.push(Stretch {
            file,
            opened: offset,
            opened_at: now,
            end: offset,
            touched: now,
            measured,
        });
        self.seeks.refill(now);
        if self.seeks.level() >= SEEK_SECONDS {
            self.seeks.spend(SEEK_SECONDS);
            self.play.fill(self.burst_bytes(now));
        }
    }

    /// The newest stretch is opened again.
    fn open_again(&mut self, offset: u64, now: Instant) -> Opened {
        let Some(stretch) = self.stretches.last_mut() else { return Opened::Seek };
        let wasted = stretch.end.saturating_sub(offset);
        let after = now.saturating_duration_since(stretch.opened_at);
        let least = if after < LOOK_ROUND { WASTE_BYTES_LOOKING } else { WASTE_BYTES };
        let soon = after < AGAIN_SOON;
        let sample = stretch.measure(offset, now);
        stretch.opened = offset.min(stretch.end);
        stretch.end = stretch.end.max(offset);
        (stretch.opened_at, stretch.touched) = (now, now);
        if let Some(rate) = sample.filter(|_| soon) {
            self.kept_rate = Some(self.kept_rate.map_or(rate, |kept| kept.midpoint(rate)));
        }
        if soon && (wasted >= least || (wasted > 0 && !self.wastes.is_empty())) {
            if self.wastes.len() == WASTES_HABIT {
                self.wastes.remove(0);
            }
            self.wastes.push(now);
        }
        Opened::Again { wasted }
    }

    fn note_sent(&mut self, place: Place, bytes: u64, now: Instant) {
        let end = place.offset.saturating_add(bytes);
        let read = self.stretches.iter_mut().rfind(|stretch| stretch.holds(place));
        if let Some(stretch) = read {
            stretch.end = stretch.end.max(end);
            stretch.touched = now;
        }
    }

    fn forget(&mut self, now: Instant) {
        self.wastes.retain(|&at| now.saturating_duration_since(at) < WASTE_MEMORY);
        if self.wastes.is_empty() {
            self.kept_rate = None;
        }
    }

    /// Sets the bucket as what is known now says.
    fn adjust(&mut self, now: Instant) {
        let (rate, burst) = (self.media_rate(now), self.burst_bytes(now));
        let (more, little_more) = (rate + rate / 2, rate + rate / 5);
        let (rate, capacity) = match self.wastes.len() {
            0 if self.stays(now) || self.config.rate.is_none() => (more.max(FLOOR), burst),
            0..WASTES_HABIT => (more, burst),
            _ => (little_more, (rate * FRUGAL_SECONDS).max(FRUGAL_BYTES_MIN).min(burst)),
        };
        self.play.set(rate, capacity, now);
    }

    /// Whether the newest reader has been here for some time.
    fn stays(&self, now: Instant) -> bool {
        let newest = self.stretches.last();
        newest.is_some_and(|stretch| now.saturating_duration_since(stretch.opened_at) >= STAYS)
    }

    /// Bytes per second that the media needs, as far as is known.
    fn media_rate(&self, now: Instant) -> u64 {
        let lasts = if self.stays(now) { SHORTEST_FILM } else { LIKELY_FILM };
        let assumed = self.config.file_length / lasts.as_secs();
        let rate = match (self.config.rate, self.kept_rate) {
            // A stretch may need twice the mean; more is a player that fills its buffer.
            (Some(known), kept) => known.max(kept.unwrap_or(0).min(known.saturating_mul(2))),
            (None, Some(kept)) => kept.max(KEPT_RATE_MIN),
            (None, None) => assumed,
        };
        rate.clamp(RATE_MIN, RATE_MAX)
    }

    fn burst_bytes(&self, now: Instant) -> u64 {
        let least = if self.config.rate.is_none() { BURST_BYTES_UNSURE } else { BURST_BYTES_MIN };
        (self.media_rate(now) * BURST_SECONDS).clamp(least, BURST_BYTES_MAX)
    }
}

impl Stretch {
    /// Whether a reader that opens at `place` goes on here: between where the last one began and a little beyond what was sent.
    /// One that comes much later, and from far behind the end, seeks back.
    fn is_near(&self, place: Place, now: Instant) -> bool {
        let from = self.opened.saturating_sub(ALIGNMENT);
        let inside = (from..=self.end.saturating_add(NEAR_AHEAD)).contains(&place.offset);
        let soon = now.saturating_duration_since(self.opened_at) < AGAIN_SOON;
        let lives = now.saturating_duration_since(self.touched) < STRETCH_LIFE;
        let lost = self.end.saturating_sub(place.offset) <= NEAR_BEHIND;
        self.file == place.file && inside && (lost || soon) && (lives || lost)
    }

    fn holds(&self, place: Place) -> bool {
        let from = self.opened.saturating_sub(ALIGNMENT);
        self.file == place.file && (from..=self.end.saturating_add(NEAR_AHEAD)).contains(&place.offset)
    }

    /// How fast the player came to `offset`, once enough time went by.
    fn measure(&mut self, offset: u64, now: Instant) -> Option<u64> {
        let (from, since) = self.measured;
        let time = now.saturating_duration_since(since);
        if time < KEPT_SAMPLE {
            return None;
        }
        self.measured = (offset, now);
        let rate = u128::from(offset.saturating_sub(from)) * 1000 / time.as_millis();
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

fn grain(rate: u64) -> u64 {
    (rate / GRAIN_PARTS).clamp(GRAIN_BYTES_MIN, GRAIN_BYTES_MAX)
}

const _: () = assert!(FRUGAL_BYTES_MIN < BURST_BYTES_MIN && GRAIN_BYTES_MAX <= FRUGAL_BYTES_MIN);
const _: () = assert!(FRUGAL_SECONDS < BURST_SECONDS && MAX_RATE_MIN >= GRAIN_BYTES_MIN);
