//! One direction of a link: what is sent leaves one quantum after another, at the link's rate. Pure.

use std::time::{Duration, Instant};

/// Bytes handed over at once, at the least: smaller steps cost wake-ups and change nothing.
const QUANTUM_BYTES_MIN: u64 = 4096;

/// And at most, so that several connections share a quick line fairly.
const QUANTUM_BYTES_MAX: u64 = 16 * 1024;

/// What a quantum takes on the line, between those bounds.
const QUANTUM_MS: u64 = 2;

/// A direction of a link, shared by all of its connections.
#[derive(Clone, Debug)]
pub struct Line {
    /// Bytes per second; nothing: as fast as it goes.
    rate: Option<u64>,
    queue_bytes: u64,
    /// When the last byte of what was sent has left.
    free_at: Instant,
}

impl Line {
    /// A free line. A rate of 0 counts as 1 byte per second.
    pub fn new(rate: Option<u64>, queue_bytes: u64, now: Instant) -> Self {
        Self { rate: rate.map(|rate| rate.max(1)), queue_bytes, free_at: now }
    }

    /// Sends at another rate from now on. What waits goes on waiting, for as long as it takes at the new rate.
    pub fn set_rate(&mut self, rate: Option<u64>, now: Instant) {
        let waiting = self.waiting_bytes(now);
        self.rate = rate.map(|rate| rate.max(1));
        self.free_at = now + self.span(waiting);
    }

    /// Takes `bytes` that were read at `now`; gives the moment at which the last of them has left.
    pub fn send(&mut self, bytes: u64, now: Instant) -> Instant {
        self.free_at = self.free_at.max(now) + self.span(bytes);
        self.free_at
    }

    /// When the queue has room again; a moment that has passed means now.
    pub fn opens_at(&self) -> Instant {
        let slack = self.span(self.queue_bytes);
        self.free_at.checked_sub(slack).unwrap_or(self.free_at)
    }

    /// The most to hand over at once.
    pub fn quantum(&self) -> u64 {
        let rate = self.rate.unwrap_or(u64::MAX);
        (rate / 1000).saturating_mul(QUANTUM_MS).clamp(QUANTUM_BYTES_MIN, QUANTUM_BYTES_MAX)
    }

    /// Bytes that may be under way on a path of this round trip: what fills it, the queue, and a quantum; nothing
    /// where the line has no rate.
    pub fn flight_bytes_max(&self, round_trip: Duration) -> Option<u64> {
        let rate = u128::from(self.rate?);
        let fill = rate * round_trip.as_nanos() / 1_000_000_000;
        Some(u64::try_from(fill).unwrap_or(u64::MAX).saturating_add(self.queue_bytes + self.quantum()))
    }

    /// Bytes that were taken and haven't left.
    fn waiting_bytes(&self, now: Instant) -> u64 {
        let Some(rate) = self.rate else { return 0 };
        let waiting =
            self.free_at.saturating_duration_since(now).as_nanos() * u128::from(rate) / 1_000_000_000;
        u64::try_from(waiting).unwrap_or(u64::MAX)
    }

    fn span(&self, bytes: u64) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// Sends through `line` whenever it is open, from `now` to `until`; the bytes that have left by then.
    fn saturate(line: &mut Line, mut now: Instant, until: Instant) -> u64 {
        let mut left = 0;
        while now < until {
            let quantum = line.quantum();
            if line.send(quantum, now) <= until {
                left += quantum;
            }
            now = now.max(line.opens_at());
        }
        left
    }

    #[test]
    fn a_busy_line_keeps_its_rate() {
        for rate in [10_000, 192 * 1024, MIB, 100 * MIB] {
            let start = Instant::now();
            let mut line = Line::new(Some(rate), 16 * 1024, start);
            let left = saturate(&mut line, start, start + Duration::from_secs(10));
            let ratio = left as f64 / (10 * rate) as f64;
            assert!((0.97..=1.0).contains(&ratio), "{rate}: {ratio}");
        }
    }

    #[test]
    fn an_idle_line_saves_nothing_up() {
        let start = Instant::now();
        let mut line = Line::new(Some(MIB), 16 * 1024, start);
        line.send(MIB, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(line.send(MIB / 2, later), later + Duration::from_millis(500));
    }

    #[test]
    fn two_senders_share_one_rate() {
        let start = Instant::now();
        let mut line = Line::new(Some(MIB), 64 * 1024, start);
        assert_eq!(line.send(MIB / 4, start), start + Duration::from_millis(250));
        assert_eq!(line.send(MIB / 4, start), start + Duration::from_millis(500));
    }

    #[test]
    fn a_full_queue_opens_when_there_is_room() {
        let start = Instant::now();
        let mut line = Line::new(Some(1000), 500, start);
        assert!(line.opens_at() <= start);
        line.send(1500, start);
        assert_eq!(line.opens_at(), start + Duration::from_secs(1));
    }

    #[test]
    fn what_waits_leaves_at_the_new_rate() {
        let start = Instant::now();
        let mut line = Line::new(Some(1000), 500, start);
        line.send(1000, start);
        let halfway = start + Duration::from_millis(500);
        line.set_rate(Some(100), halfway);
        assert_eq!(line.send(0, halfway), halfway + Duration::from_secs(5));
        line.set_rate(None, halfway);
        assert_eq!(line.send(MIB, halfway), halfway);
        line.set_rate(Some(0), halfway);
        assert_eq!(line.send(1, halfway), halfway + Duration::from_secs(1), "0 counts as 1");
    }

    #[test]
    fn enough_is_let_under_way_to_fill_the_path() {
        let line = Line::new(Some(MIB), 10_000, Instant::now());
        let flight = line.flight_bytes_max(Duration::from_millis(40)).unwrap();
        assert!((MIB * 40 / 1000 + 10_000..MIB / 10).contains(&flight), "{flight}");
        assert_eq!(Line::new(None, 10_000, Instant::now()).flight_bytes_max(Duration::from_millis(40)), None);
    }
}
