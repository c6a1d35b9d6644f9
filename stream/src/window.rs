//! How far ahead of a reader to fetch: from where it is, how long it has been reading, and how fast, to a [`Window`].
//!
//! Players open a file several times before they play: a look at the head, one at the tail, sometimes a dozen more, most
//! of them closed after some 200 KiB. So a new reader gets little ahead of it until it has shown that it reads on; then the
//! window grows with the run, as a reader that stays is worth more than one that may leave. The tail is different:
//! it holds the index, is small, and is read to its end before anything plays. So is a seek: somebody waits for a picture,
//! and needs the next seconds at once, though not yet what comes after them.
//!
//! Pure: time comes in as `now`. Not here: pieces and deadlines, which the torrent's side makes of a window.

use std::ops::Range;
use std::time::{Duration, Instant};

/// What one reader wants, in bytes of its file. `position <= urgent_end <= soon_end <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The next byte that goes to the player; all before it was sent.
    pub position: u64,
    /// Up to here the player needs bytes at once.
    pub urgent_end: u64,
    /// Up to here a pause in arrivals would soon be felt.
    pub soon_end: u64,
    /// Up to here it's worth fetching at all; nothing beyond is wanted by this reader.
    pub end: u64,
    /// Bytes per second at which the position is expected to move; never 0.
    pub rate: u64,
    /// True while the response has nothing to send: the player's buffer is running dry.
    pub waiting: bool,
    /// True while the reader looks like a probe: it gets what it asks for, and no read-ahead.
    pub probe: bool,
}

/// How much a server reads ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowConfig {
    /// Least read-ahead of a reader that reads on (`STREAM_BUFFER_SIZE`).
    pub buffer_bytes: u64,
    /// Most read-ahead, however long the run. More keeps a film going through longer gaps, and holds memory that others want.
    pub ahead_bytes_max: u64,
}

impl Default for WindowConfig {
    fn default() -> WindowConfig {
        WindowConfig { buffer_bytes: 1024 * 1024, ahead_bytes_max: 32 * 1024 * 1024 }
    }
}

/// What a probe reads before it closes: up to 224 KiB in all players measured.
pub const PROBE_BYTES: u64 = 256 * 1024;

/// The sockets on both sides take the first megabytes at once, if they are here: until this time a reader has shown nothing
/// by having been sent a lot. Probes of local data close within 60 ms.
pub const PROBE_TIME: Duration = Duration::from_millis(100);

/// A reader still here after this time without its first [`PROBE_BYTES`] waits for a slow swarm, and gets its read-ahead, so that
/// no peer idles meanwhile.
pub const PROBE_WAIT: Duration = Duration::from_millis(250);

/// A reader that was sent this much isn't a probe however fast it went: no pair of sockets holds it.
pub const PROBE_SENT_MAX: u64 = 8 * 1024 * 1024;

/// A reader that begins this near the end of a file reads its index.
pub const TAIL_BYTES: u64 = 8 * 1024 * 1024;

/// Of a small file, the tail is this fraction: otherwise every seek in a clip would be one to its tail.
const TAIL_FRACTION: u64 = 8;

/// Least and most bytes that are urgent; between them, [`URGENT_SECONDS`] of the file.
const URGENT_BYTES: Range<u64> = 256 * 1024..4 * 1024 * 1024;
const URGENT_SECONDS: u64 = 2;

/// What a gap in arrivals may last unnoticed.
const SOON_SECONDS: u64 = 10;

/// Read-ahead in time. Beyond it the swarm is better served by rarest-first.
const AHEAD_SECONDS: u64 = 120;

/// The rate of a file of which nothing is known: a film in high definition, 8 Mbit/s.
const RATE_ASSUMED: u64 = 1024 * 1024;

/// Bounds of any rate: below is silence, above is a copy rather than a player.
const RATE_BOUNDS: Range<u64> = 16 * 1024..16 * 1024 * 1024;

/// How long one sample of the measured rate takes. Players read in bursts of a second or so.
const SAMPLE: Duration = Duration::from_secs(2);

/// One reader's run through a file, from its first byte on.
#[derive(Clone, Debug)]
pub struct Run {
    config: WindowConfig,
    opened: Instant,
    start: u64,
    position: u64,
    end: u64,
    tail: bool,
    waiting: bool,
    rate: u64,
    /// False where the media's own rate is known.
    measured: bool,
    sample: Sample,
}

/// A stretch of time in which the player's own pace is measured.
#[derive(Clone, Copy, Debug)]
struct Sample {
    since: Instant,
    bytes: u64,
    /// True when the swarm was what held the reader up: then it says nothing of the player.
    waited: bool,
}

impl Run {
    /// A reader of `range` of a file of `length` bytes, whose media has `bitrate` bits per second if known.
    pub fn new(
        config: WindowConfig,
        range: Range<u64>,
        length: u64,
        bitrate: Option<u64>,
        now: Instant,
    ) -> Run {
        let known = bitrate.filter(|bits| *bits > 0).map(|bits| bits.div_ceil(8));
        Run {
            config,
            opened: now,
            start: range.start,
            position: range.start,
            end: range.end.max(range.start),
            tail: is_tail(range.start, length),
            waiting: false,
            rate: bounded_rate(known.unwrap_or(RATE_ASSUMED)),
            measured: known.is_none(),
            sample: Sample { since: now, bytes: 0, waited: false },
        }
    }

    /// `bytes` went to the player.
    pub fn handle_sent(&mut self, bytes: u64, now: Instant) {
        self.position = self.position.saturating_add(bytes).min(self.end);
        self.waiting = false;
        self.sample.bytes = self.sample.bytes.saturating_add(bytes);
        let elapsed = now.saturating_duration_since(self.sample.since);
        if elapsed >= SAMPLE {
            self.finish_sample(elapsed, now);
        }
    }

    /// There is nothing to send at the position.
    pub fn handle_wait(&mut self) {
        self.waiting = true;
        self.sample.waited = true;
    }

    /// What the reader wants now.
    pub fn window(&self, now: Instant) -> Window {
        let probe = self.is_probe(now);
        let upto = |bytes: u64| self.position.saturating_add(bytes).min(self.end);
        let urgent = (self.rate * URGENT_SECONDS).clamp(URGENT_BYTES.start, URGENT_BYTES.end);
        let (urgent_end, soon_end, end) = if probe {
            (upto(PROBE_BYTES), upto(PROBE_BYTES), upto(PROBE_BYTES))
        } else if self.tail {
            (upto(URGENT_BYTES.end), self.end, self.end)
        } else if self.is_fresh(now) {
            (upto(urgent), upto(urgent), upto(urgent))
        } else {
            let ahead = self.ahead_bytes().max(urgent);
            let soon = (self.rate * SOON_SECONDS).max(self.config.buffer_bytes).clamp(urgent, ahead);
            (upto(urgent), upto(soon), upto(ahead))
        };
        let Run { position, rate, waiting, .. } = *self;
        Window { position, urgent_end, soon_end, end, rate, waiting, probe }
    }

    /// When the window changes though nothing is sent.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.is_fresh(now).then(|| self.opened + self.probe_time())
    }

    /// The next byte to send.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the run ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// A look at the file's head, which is where players and scanners look.
    fn is_probe(&self, now: Instant) -> bool {
        self.start == 0 && self.is_fresh(now)
    }

    /// Whether it hasn't shown yet that it reads on.
    fn is_fresh(&self, now: Instant) -> bool {
        !self.tail && now.saturating_duration_since(self.opened) < self.probe_time()
    }

    /// How long after its opening this reader may still close at once.
    fn probe_time(&self) -> Duration {
        match self.position - self.start {
            0..PROBE_BYTES => PROBE_WAIT,
            PROBE_BYTES..PROBE_SENT_MAX => PROBE_TIME,
            _ => Duration::ZERO,
        }
    }

    /// As much ahead as lies behind, within the bounds.
    fn ahead_bytes(&self) -> u64 {
        let run = self.position - self.start;
        let most = self.config.ahead_bytes_max.min(self.rate * AHEAD_SECONDS).max(self.config.buffer_bytes);
        run.clamp(self.config.buffer_bytes, most)
    }

    fn finish_sample(&mut self, elapsed: Duration, now: Instant) {
        if self.measured && !self.sample.waited {
            let rate = u128::from(self.sample.bytes) * 1000 / elapsed.as_millis().max(1);
            let rate = bounded_rate(u64::try_from(rate).unwrap_or(u64::MAX));
            // Three quarters old: a burst after a pause or a seek isn't the film's rate.
            self.rate = bounded_rate((self.rate * 3 + rate) / 4);
        }
        self.sample = Sample { since: now, bytes: 0, waited: false };
    }
}

/// Whether a reader that begins at `start` reads the index at the end of a file rather than the film.
pub(crate) fn is_tail(start: u64, length: u64) -> bool {
    start > 0 && length.saturating_sub(start) <= TAIL_BYTES.min(length / TAIL_FRACTION)
}

/// Within what any media has.
pub fn bounded_rate(rate: u64) -> u64 {
    rate.clamp(RATE_BOUNDS.start, RATE_BOUNDS.end)
}

const _: () = assert!(PROBE_BYTES < PROBE_SENT_MAX && PROBE_BYTES <= URGENT_BYTES.start);
const _: () = assert!(PROBE_TIME.as_millis() < PROBE_WAIT.as_millis());

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1024 * 1024;
    const FILM: u64 = 4096 * MIB;

    fn after(now: Instant, ms: u64) -> Instant {
        now + Duration::from_millis(ms)
    }

    /// Any instant will do: only differences count.
    fn run(range: Range<u64>, bitrate: Option<u64>) -> (Run, Instant) {
        let now = Instant::now();
        (Run::new(WindowConfig::default(), range, FILM, bitrate, now), now)
    }

    #[test]
    fn a_new_reader_asks_for_no_read_ahead() {
        let (run, now) = run(0..FILM, None);
        let window = run.window(now);
        assert!(window.probe);
        assert_eq!((window.position, window.urgent_end, window.end), (0, PROBE_BYTES, PROBE_BYTES));
    }

    #[test]
    fn a_probe_that_is_fed_from_memory_stays_one() {
        let (mut run, now) = run(0..FILM, None);
        run.handle_sent(MIB, after(now, 20));
        let window = run.window(after(now, 20));
        assert!(window.probe);
        assert_eq!(window.end, MIB + PROBE_BYTES);
    }

    #[test]
    fn a_reader_that_reads_on_gets_the_least_read_ahead_and_then_more() {
        let (mut run, now) = run(0..FILM, None);
        run.handle_sent(PROBE_BYTES, after(now, 50));
        assert!(run.window(after(now, 50)).probe);
        let window = run.window(after(now, 100));
        assert!(!window.probe);
        assert!(window.end - window.position >= MIB, "{window:?}");
        run.handle_sent(10 * MIB, after(now, 200));
        let window = run.window(after(now, 200));
        assert_eq!(window.end - window.position, 10 * MIB + PROBE_BYTES);
    }

    #[test]
    fn a_reader_held_up_by_a_slow_swarm_is_no_probe_for_long() {
        let (mut run, now) = run(0..FILM, None);
        run.handle_wait();
        let window = run.window(after(now, 249));
        assert!(window.probe && window.waiting);
        assert_eq!(run.deadline(now), Some(now + PROBE_WAIT));
        let window = run.window(now + PROBE_WAIT);
        assert!(!window.probe && window.waiting);
        assert!(window.end >= MIB);
        assert_eq!(run.deadline(now + PROBE_WAIT), None);
    }

    #[test]
    fn a_fast_copy_is_no_probe() {
        let (mut run, now) = run(0..FILM, None);
        run.handle_sent(PROBE_SENT_MAX, after(now, 1));
        assert!(!run.window(after(now, 1)).probe);
    }

    #[test]
    fn read_ahead_is_capped() {
        let (mut run, now) = run(0..FILM, None);
        run.handle_sent(1000 * MIB, after(now, 1000));
        let window = run.window(after(now, 1000));
        assert_eq!(window.end - window.position, WindowConfig::default().ahead_bytes_max);
    }

    #[test]
    fn read_ahead_of_a_slow_medium_is_capped_in_time() {
        let (mut run, now) = run(0..FILM, Some(320_000));
        run.handle_sent(100 * MIB, after(now, 1000));
        let window = run.window(after(now, 1000));
        assert_eq!(window.end - window.position, 40_000 * AHEAD_SECONDS);
        assert_eq!(window.rate, 40_000);
    }

    #[test]
    fn a_tail_reader_wants_all_of_the_tail_at_once() {
        let (run, now) = run(FILM - 380 * 1024..FILM, None);
        let window = run.window(now);
        assert!(!window.probe);
        assert_eq!((window.urgent_end, window.soon_end, window.end), (FILM, FILM, FILM));
    }

    #[test]
    fn a_seek_in_a_clip_is_not_its_tail() {
        let now = Instant::now();
        let half = Run::new(WindowConfig::default(), 2 * MIB..4 * MIB, 4 * MIB, None, now);
        assert!(half.deadline(now).is_some());
        let end = Run::new(WindowConfig::default(), 4 * MIB - 1000..4 * MIB, 4 * MIB, None, now);
        assert!(end.deadline(now).is_none());
    }

    #[test]
    fn a_seek_wants_its_first_seconds_at_once_and_no_more_until_it_reads_on() {
        let (mut run, now) = run(FILM / 2..FILM, Some(8_000_000));
        let window = run.window(now);
        assert!(!window.probe);
        assert_eq!((window.urgent_end - window.position, window.end), (2_000_000, window.urgent_end));
        run.handle_sent(4 * MIB, after(now, 4000));
        let window = run.window(after(now, 4000));
        assert_eq!(window.end - window.position, 4 * MIB, "as much ahead as lies behind");
    }

    #[test]
    fn nothing_beyond_the_range_is_wanted() {
        let (run, now) = run(0..2, None);
        let window = run.window(now + PROBE_WAIT);
        assert_eq!((window.urgent_end, window.soon_end, window.end), (2, 2, 2));
    }

    #[test]
    fn the_rate_follows_a_player_that_is_not_held_up() {
        let (mut run, mut now) = run(0..FILM, None);
        for _ in 0..40 {
            now = after(now, 2000);
            run.handle_sent(500_000, now);
        }
        assert!((240_000..=260_000).contains(&run.window(now).rate), "{}", run.window(now).rate);
    }

    #[test]
    fn a_reader_held_up_says_nothing_of_the_rate() {
        let (mut run, mut now) = run(0..FILM, None);
        for _ in 0..40 {
            run.handle_wait();
            now = after(now, 2000);
            run.handle_sent(10_000, now);
        }
        assert_eq!(run.window(now).rate, RATE_ASSUMED);
    }

    proptest! {
        #[test]
        fn windows_are_ordered_and_inside_their_range(
            length in 1u64..1 << 40, cut in 0u64..1 << 40, span in 1u64..1 << 40,
            buffer_bytes in 0u64..1 << 30, ahead_bytes_max in 0u64..1 << 30,
            bitrate in proptest::option::of(any::<u64>()),
            steps in proptest::collection::vec((0u64..1 << 26, 0u64..5000, any::<bool>()), 0..40),
        ) {
            let start = cut % length;
            let range = start..(start + span).min(length);
            let mut now = Instant::now();
            let config = WindowConfig { buffer_bytes, ahead_bytes_max };
            let mut run = Run::new(config, range.clone(), length, bitrate, now);
            let mut position = start;
            for (bytes, ms, waits) in steps {
                now = after(now, ms);
                if waits { run.handle_wait() } else { run.handle_sent(bytes, now) }
                let window = run.window(now);
                prop_assert!(window.position >= position && window.position <= range.end);
                prop_assert!(window.position <= window.urgent_end && window.urgent_end <= window.soon_end);
                prop_assert!(window.soon_end <= window.end && window.end <= range.end);
                prop_assert!(window.rate > 0 && window.waiting == waits);
                prop_assert!(run.deadline(now).is_none_or(|deadline| deadline > now));
                let most = PROBE_BYTES.max(buffer_bytes).max(ahead_bytes_max).max(URGENT_BYTES.end).max(TAIL_BYTES);
                prop_assert!(window.end - window.position <= most);
                position = window.position;
            }
        }
    }
}
