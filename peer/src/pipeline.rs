//! How many requests to keep outstanding with one peer. It follows the bandwidth-delay product.
//!
//! The depth in bytes is `rate * time`. The *rate* is measured only while something is outstanding, over
//! windows of at least a round trip, so that it tells what the peer can do and not what we happened to want.
//! The *time* is the shortest round trip seen plus a slack, which pays for the scheduling of both ends and
//! lets the rate grow:
//!
//! - no reader waits: the round trip plus 500 ms, or one and a half of it plus 250 ms if that is more;
//! - a reader waits: the round trip plus 50 ms, and two blocks at least. What was asked can't be taken
//!   back, so a deep queue would be what a seek waits for;
//! - the peer is snubbed: one block, to see whether it still lives.
//!
//! Beyond 8 MiB it is two round trips at most: what a near and fast peer would send in half a second fills our memory and
//! speeds nothing up.
//!
//! A window in which it ran out of requests says what we asked for, not what it can send: it may raise the rate, never
//! lower it (what BBR calls limited by the application). A player that sips from eight peers would else have forgotten
//! what they can do by its next seek.
//!
//! Before the rate is known it starts slowly, as TCP does: a block more for each block that comes, which
//! doubles the depth every round trip, until the rate no longer grows.

use std::time::{Duration, Instant};

use afflux_metainfo::BLOCK_LENGTH;

use crate::decay::decay;
use crate::limits::PEER_REQQ_DEFAULT;

/// Blocks asked of a peer that we know nothing of: what TCP's initial window (RFC 6928) carries several
/// times over.
const INITIAL_DEPTH: u32 = 4;

/// Fewer than two, and the peer idles for a round trip after every block.
const DEPTH_MIN: u32 = 2;

const SLACK: Duration = Duration::from_millis(500);
const SLACK_SMALL: Duration = Duration::from_millis(250);
const SLACK_READER: Duration = Duration::from_millis(50);

/// A queue of so many blocks (8 MiB) bridges a few scheduling periods of any peer; it gets longer only for a long round trip.
const NEAR_DEPTH_MAX: u32 = 512;

/// While starting slowly, no more than this much time's worth of what was measured.
const SLOW_START_TIME_MAX: Duration = Duration::from_secs(2);

/// A start goes on until so many windows in a row haven't beaten the best one by this. Windows and round
/// trips aren't in step, so one flat window says nothing.
const STILL_GROWING: f64 = 1.25;
const FLAT_WINDOWS_MAX: u32 = 3;

/// A window of measurement is at least this long, and holds this much or lasts `WINDOW_MAX`.
const WINDOW_MIN: Duration = Duration::from_millis(100);
const WINDOW_BYTES_MIN: u64 = 4 * BLOCK_LENGTH as u64;
const WINDOW_MAX: Duration = Duration::from_secs(1);

/// Weight of the past when the rate falls: windows older than this count for little.
const MEMORY: Duration = Duration::from_millis(500);

/// The rate grows at most by this with each window.
const GROWTH_MAX: f64 = 1.25;

/// Over so many seconds what the peer can send is averaged.
const USUAL_SECONDS: f64 = 1.0;

/// Assumed until the first answer.
const ROUND_TRIP_GUESS: Duration = Duration::from_millis(100);

/// A shortest round trip this old gives way to a newer one: routes change.
const ROUND_TRIP_AGE_MAX: Duration = Duration::from_secs(60);

/// A peer is late after so many times its own smoothed answer time, but never before `LATE_MIN`.
const LATE_FACTOR: u32 = 4;
const LATE_MIN: Duration = Duration::from_secs(2);

/// The same for a peer that has never answered: a payload byte within this time is little to ask of one that unchoked us, and
/// all that a snub costs is that others get what it was asked for.
const LATE_UNKNOWN: Duration = Duration::from_secs(5);

/// The state of the measurement.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    reqq: u32,
    reader_waiting: bool,
    snubbed: bool,
    /// Bytes per second; `None` until the first window is over.
    rate: Option<f64>,
    /// The same over a longer time, for those who reckon with it; and how much of that time was seen, up to 1.
    usual_rate: f64,
    usual_seen: f64,
    /// The depth while starting slowly, `None` afterwards.
    slow_start: Option<u32>,
    best_window: f64,
    flat_windows: u32,
    window_bytes: u64,
    /// Whether nothing was outstanding at some moment of this window.
    ran_dry: bool,
    /// Time of this window in which something was outstanding, but for the stretch since `busy_since`.
    window_busy: Duration,
    busy_since: Option<Instant>,
    round_trip: Option<(Duration, Instant)>,
    /// Smoothed time from a request to its whole block.
    answer_time: Option<Duration>,
}

impl Pipeline {
    pub(crate) fn new() -> Self {
        Self {
            reqq: PEER_REQQ_DEFAULT,
            reader_waiting: false,
            snubbed: false,
            rate: None,
            usual_rate: 0.0,
            usual_seen: 0.0,
            slow_start: Some(INITIAL_DEPTH),
            best_window: 0.0,
            flat_windows: 0,
            window_bytes: 0,
            ran_dry: false,
            window_busy: Duration::ZERO,
            busy_since: None,
            round_trip: None,
            answer_time: None,
        }
    }

    /// The peer said how many requests it queues.
    pub(crate) fn set_reqq(&mut self, reqq: u32) {
        self.reqq = reqq.max(1);
    }

    pub(crate) fn set_reader_waiting(&mut self, waiting: bool) {
        self.reader_waiting = waiting;
    }

    /// Something is outstanding from now on, and nothing was before.
    pub(crate) fn handle_busy(&mut self, now: Instant) {
        self.busy_since = Some(now);
    }

    /// Nothing is outstanding any more.
    pub(crate) fn handle_idle(&mut self, now: Instant) {
        if let Some(since) = self.busy_since.take() {
            self.window_busy += now.saturating_duration_since(since);
            self.ran_dry = true;
        }
    }

    /// The first byte of a requested block came. `alone`: nothing was outstanding when it was asked, so
    /// that this is the round trip and no queue.
    #[inline]
    pub(crate) fn handle_first_byte(&mut self, waited: Duration, alone: bool, now: Instant) {
        // With requests ahead of it a wait is longer than the round trip, never shorter.
        let better = self.round_trip.is_none_or(|(shortest, since)| {
            waited <= shortest || (alone && now.saturating_duration_since(since) > ROUND_TRIP_AGE_MAX)
        });
        if better {
            self.round_trip = Some((waited, now));
        }
    }

    /// Payload that was asked came.
    #[inline]
    pub(crate) fn handle_bytes(&mut self, bytes: u32, now: Instant) {
        self.window_bytes += u64::from(bytes);
        let stretch = self.busy_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let busy = self.window_busy + stretch;
        let long_enough = busy >= WINDOW_MIN.max(self.round_trip().unwrap_or_default());
        if long_enough && (self.window_bytes >= WINDOW_BYTES_MIN || busy >= WINDOW_MAX) {
            self.close_window(busy.as_secs_f64());
            self.busy_since = self.busy_since.map(|_| now);
        }
    }

    /// A requested block is whole, so long after its request.
    #[inline]
    pub(crate) fn handle_block(&mut self, elapsed: Duration) {
        if self.snubbed {
            self.restart();
        }
        self.answer_time = Some(self.answer_time.map_or(elapsed, |smoothed| (smoothed * 7 + elapsed) / 8));
        if let Some(depth) = &mut self.slow_start {
            *depth = (*depth + 1).min(self.reqq.max(INITIAL_DEPTH));
        }
    }

    /// The peer is far later than its history says.
    pub(crate) fn snub(&mut self) {
        self.snubbed = true;
    }

    pub(crate) fn snubbed(&self) -> bool {
        self.snubbed
    }

    /// Requests to keep outstanding.
    pub(crate) fn depth(&self) -> u32 {
        if self.snubbed {
            return 1;
        }
        let depth = match (self.reader_waiting, self.slow_start) {
            (true, started) => self.blocks_in(self.time_with_reader(started.is_some())),
            (false, Some(depth)) => match self.rate {
                Some(_) => depth.min(self.blocks_in(SLOW_START_TIME_MAX).max(INITIAL_DEPTH)),
                None => depth,
            },
            (false, None) => self.blocks_in(self.time_without_reader()),
        };
        depth.min(self.depth_of_use()).max(DEPTH_MIN).min(self.reqq)
    }

    /// More than this shortens nothing.
    fn depth_of_use(&self) -> u32 {
        self.blocks_in(self.round_trip_or_guess() * 2).max(NEAR_DEPTH_MAX)
    }

    /// What the peer can send, in bytes per second, as far as it was asked to; `None` until that is measured.
    pub(crate) fn usual_rate(&self) -> Option<u64> {
        (self.usual_seen > 0.0).then_some(self.usual_rate as u64)
    }

    /// Shortest time from a request to its first byte.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.map(|(shortest, _)| shortest)
    }

    /// After this much silence a peer that owes us blocks is snubbed.
    pub(crate) fn late_after(&self, peer_timeout: Duration) -> Duration {
        let usual = self.answer_time.map_or(LATE_UNKNOWN, |smoothed| smoothed * LATE_FACTOR);
        usual.max(LATE_MIN).min(peer_timeout)
    }

    fn close_window(&mut self, seconds: f64) {
        let measured = self.window_bytes as f64 / seconds;
        if measured >= self.best_window * STILL_GROWING {
            (self.best_window, self.flat_windows) = (measured, 0);
        } else {
            self.flat_windows = self.flat_windows.saturating_add(1);
        }
        if self.flat_windows == FLAT_WINDOWS_MAX {
            self.slow_start = None;
        }
        self.rate = Some(match self.rate {
            Some(rate) if self.ran_dry && measured < rate => rate,
            // While starting, the newest window is the best guess at what comes next.
            Some(rate) if self.slow_start.is_none() && measured < rate => {
                rate + (measured - rate) * seconds / (seconds + MEMORY.as_secs_f64())
            }
            // Growth is followed at once: a depth that lags behind would hold the rate down. But a burst
            // after a stall is no growth.
            Some(rate) if self.slow_start.is_none() => measured.min(rate * GROWTH_MAX),
            _ => measured,
        });
        self.average(measured, seconds);
        self.begin_window();
    }

    fn average(&mut self, measured: f64, seconds: f64) {
        let kept = decay(seconds / USUAL_SECONDS);
        let (old, new) = (self.usual_seen * kept, 1.0 - kept);
        let usual = (self.usual_rate * old + measured * new) / (old + new);
        if usual > self.usual_rate || !self.ran_dry {
            (self.usual_rate, self.usual_seen) = (usual, old + new);
        }
    }

    fn begin_window(&mut self) {
        (self.window_bytes, self.window_busy, self.ran_dry) = (0, Duration::ZERO, false);
    }

    /// A snubbed peer has come back: what was measured before is of no use.
    fn restart(&mut self) {
        self.snubbed = false;
        (self.rate, self.slow_start) = (None, Some(INITIAL_DEPTH));
        (self.usual_rate, self.usual_seen) = (0.0, 0.0);
        (self.best_window, self.flat_windows) = (0.0, 0);
        self.begin_window();
    }

    fn time_without_reader(&self) -> Duration {
        let round_trip = self.round_trip_or_guess();
        (round_trip + SLACK).max(round_trip * 3 / 2 + SLACK_SMALL)
    }

    /// While starting slowly the rate doubles every round trip, so twice the round trip at the measured
    /// rate is one at the coming rate. That only matters for far peers: near ones grow by the slack alone.
    fn time_with_reader(&self, starting: bool) -> Duration {
        let round_trip = self.round_trip_or_guess();
        let time = round_trip + SLACK_READER;
        if starting { time.max(round_trip * 2) } else { time }
    }

    fn round_trip_or_guess(&self) -> Duration {
        self.round_trip().unwrap_or(ROUND_TRIP_GUESS)
    }

    /// Blocks that come in this time, as measured; rounded up, so that a small depth can grow.
    fn blocks_in(&self, time: Duration) -> u32 {
        let bytes = self.rate.unwrap_or(0.0) * time.as_secs_f64();
        (bytes / f64::from(BLOCK_LENGTH)).ceil() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipeline that got so many bytes per second for three seconds, over a path of 40 ms.
    fn measured(rate: u32) -> Pipeline {
        #[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
        let mut now = Instant::now();
        let mut pipeline = Pipeline::new();
        pipeline.set_reqq(10_000);
        pipeline.handle_busy(now);
        pipeline.handle_first_byte(Duration::from_millis(40), true, now);
        for _ in 0..300 {
            now += Duration::from_millis(10);
            pipeline.handle_bytes(rate / 100, now);
        }
        pipeline
    }

    #[test]
    fn depth_is_rate_times_time_within_the_peers_queue() {
        let mut pipeline = measured(10 << 20);
        assert_eq!(pipeline.depth(), 346, "540 ms at 640 blocks/s");
        pipeline.set_reader_waiting(true);
        assert_eq!(pipeline.depth(), 58, "90 ms");
        pipeline.set_reqq(20);
        assert_eq!(pipeline.depth(), 20);
        pipeline.snub();
        assert_eq!(pipeline.depth(), 1);
        pipeline.handle_block(Duration::from_secs(5));
        assert!(!pipeline.snubbed() && pipeline.depth() == DEPTH_MIN, "nothing measured holds any more");
    }

    #[test]
    fn a_near_and_fast_peer_is_asked_no_more_than_bridges_a_pause() {
        let mut pipeline = measured(400 << 20);
        assert_eq!(pipeline.depth(), 2048, "two round trips of 40 ms at 25,600 blocks/s");
        pipeline.handle_first_byte(Duration::from_millis(1), true, pipeline.busy_since.unwrap());
        assert_eq!(pipeline.depth(), NEAR_DEPTH_MAX);
    }

    #[test]
    fn idle_time_does_not_lower_the_rate() {
        let mut pipeline = measured(10 << 20);
        let depth = pipeline.depth();
        let busy = pipeline.busy_since.unwrap();
        pipeline.handle_idle(busy);
        let later = busy + Duration::from_secs(3600);
        pipeline.handle_busy(later);
        pipeline.handle_bytes(16_384, later + Duration::from_millis(1));
        assert_eq!(pipeline.depth(), depth);
    }

    #[test]
    fn a_peer_that_is_asked_for_little_keeps_its_rate() {
        let mut pipeline = measured(10 << 20);
        let before = pipeline.usual_rate().unwrap();
        let mut now = pipeline.busy_since.unwrap();
        pipeline.handle_idle(now);
        for _ in 0..100 {
            now += Duration::from_millis(500);
            pipeline.handle_busy(now);
            now += Duration::from_millis(40);
            pipeline.handle_bytes(BLOCK_LENGTH, now);
            pipeline.handle_idle(now);
        }
        assert_eq!(pipeline.usual_rate(), Some(before), "a block at a time, each after a round trip");
        pipeline.handle_busy(now);
        for _ in 0..200 {
            now += Duration::from_millis(40);
            pipeline.handle_bytes(BLOCK_LENGTH, now);
        }
        assert!(pipeline.usual_rate().unwrap() < 500_000, "always busy, and no faster than that");
    }

    #[test]
    fn a_longer_wait_behind_other_requests_is_no_round_trip() {
        let mut pipeline = measured(1 << 20);
        let much_later = pipeline.busy_since.unwrap() + Duration::from_secs(100);
        pipeline.handle_first_byte(Duration::from_millis(900), false, much_later);
        assert_eq!(pipeline.round_trip(), Some(Duration::from_millis(40)));
        pipeline.handle_first_byte(Duration::from_millis(80), true, much_later);
        assert_eq!(pipeline.round_trip(), Some(Duration::from_millis(80)));
    }
}
