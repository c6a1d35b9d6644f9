//! The sender's half of a TCP connection: what is under way, what is lost, how much may be sent. Reno with selective
//! acknowledgements and slow start (RFC 5681, 6675), timeouts after RFC 6298, an initial window of ten (RFC 6928).
//!
//! Left out: delayed acknowledgements, the receiver's window, connection set-up, lost acknowledgements. CUBIC behaves like
//! Reno on the short and lossy paths that this is for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Time;

/// Payload of a full segment, with timestamps, on Ethernet.
pub(super) const SEGMENT_BYTES: u32 = 1_448;

const INITIAL_WINDOW: f64 = 10.0 * SEGMENT_BYTES as f64;
const RTO_MIN: Duration = Duration::from_millis(200);
const RTO_MAX: Duration = Duration::from_secs(60);
const RTO_FIRST: Duration = Duration::from_secs(1);

/// Segments that were sent later and have come: so many, and one that hasn't is lost.
const REORDERED: u32 = 3;

/// What the send buffer holds at least, in bytes; at most it's twice the window, as Linux tunes it.
const BUFFER_MIN: u64 = 64 * 1024;

/// One segment that isn't acknowledged yet.
#[derive(Clone, Copy, Debug)]
struct Segment {
    bytes: u16,
    state: State,
    /// Its place in the order of transmissions.
    order: u32,
    sent_at: Time,
    again: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flying,
    Came,
    Lost,
}

/// The sender's state.
#[derive(Debug)]
pub(super) struct Window {
    /// Segments from number `base` on.
    segments: VecDeque<Segment>,
    base: u32,
    /// Bytes handed over and in no segment yet.
    waiting: u64,
    /// Bytes in segments that aren't acknowledged.
    unacknowledged: u64,
    /// Bytes believed to be in the network.
    flying: u64,
    size: f64,
    threshold: f64,
    transmissions: u32,
    /// The latest transmission that is known to have come.
    came_latest: u32,
    /// Losses of what was sent before this belong to one event.
    recovers_at: u32,
    lost: u32,
    smoothed: Option<(f64, f64)>,
    backoff: u32,
    /// The last time that something was sent or acknowledged.
    moved_at: Time,
}

/// A segment to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) number: u32,
    pub(super) bytes: u32,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            segments: VecDeque::new(),
            base: 0,
            waiting: 0,
            unacknowledged: 0,
            flying: 0,
            size: INITIAL_WINDOW,
            threshold: f64::INFINITY,
            transmissions: 0,
            came_latest: 0,
            recovers_at: 0,
            lost: 0,
            smoothed: None,
            backoff: 0,
            moved_at: Time::default(),
        }
    }

    /// Bytes that the send buffer takes.
    pub(super) fn room(&self) -> u32 {
        let limit = BUFFER_MIN.max((self.size * 2.0) as u64);
        limit.saturating_sub(self.waiting + self.unacknowledged).min(u64::from(u32::MAX)) as u32
    }

    /// Takes bytes into the send buffer.
    pub(super) fn write(&mut self, bytes: u32) {
        self.waiting += u64::from(bytes);
    }

    /// Bytes of a segment; 0 once it is acknowledged.
    pub(super) fn bytes(&self, number: u32) -> u32 {
        self.place(number).map_or(0, |place| u32::from(self.segments[place].bytes))
    }

    /// The next segment that may be sent now: first what is lost, then what is new.
    pub(super) fn next(&mut self, now: Time) -> Option<Sent> {
        if self.flying == 0 && self.segments.is_empty() && now - self.moved_at > self.timeout() {
            // After a rest the window says nothing about the path any more.
            self.size = self.size.min(INITIAL_WINDOW);
        }
        if self.flying as f64 + f64::from(SEGMENT_BYTES) > self.size.max(f64::from(SEGMENT_BYTES)) {
            return None;
        }
        let place = if self.lost > 0 {
            self.segments.iter().position(|segment| segment.state == State::Lost)?
        } else {
            let bytes = self.waiting.min(u64::from(SEGMENT_BYTES));
            if bytes == 0 {
                return None;
            }
            self.waiting -= bytes;
            self.unacknowledged += bytes;
            self.segments.push_back(Segment {
                bytes: bytes as u16,
                state: State::Flying,
                order: 0,
                sent_at: now,
                again: false,
            });
            self.segments.len() - 1
        };
        self.transmissions += 1;
        let segment = &mut self.segments[place];
        if segment.state == State::Lost {
            self.lost -= 1;
            (segment.state, segment.again) = (State::Flying, true);
        }
        (segment.order, segment.sent_at) = (self.transmissions, now);
        self.flying += u64::from(segment.bytes);
        self.moved_at = now;
        Some(Sent { number: self.base + place as u32, bytes: u32::from(segment.bytes) })
    }

    /// All segments before `next` have come, and `number` has.
    pub(super) fn handle_acknowledgement(&mut self, next: u32, number: u32, now: Time) {
        let limited = self.flying as f64 + 2.0 * f64::from(SEGMENT_BYTES) >= self.size;
        let mut came = 0;
        if let Some(place) = self.place(number) {
            came += self.comes(place, now);
        }
        while self.base < next && !self.segments.is_empty() {
            came += self.comes(0, now);
            if let Some(segment) = self.segments.pop_front() {
                self.unacknowledged -= u64::from(segment.bytes);
            }
            self.base += 1;
        }
        if came == 0 {
            return;
        }
        (self.moved_at, self.backoff) = (now, 0);
        if !self.find_lost() && limited && self.came_latest >= self.recovers_at {
            let came = came as f64;
            self.size +=
                if self.size < self.threshold { came } else { f64::from(SEGMENT_BYTES) * came / self.size };
        }
    }

    /// When nothing was acknowledged until then, all that is under way counts as lost.
    pub(super) fn deadline(&self) -> Time {
        if self.segments.is_empty() { Time::NEVER } else { self.moved_at + self.timeout() }
    }

    /// The deadline has come.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.threshold = (self.flying as f64 / 2.0).max(f64::from(2 * SEGMENT_BYTES));
        self.size = f64::from(SEGMENT_BYTES);
        for segment in self.segments.iter_mut().filter(|segment| segment.state == State::Flying) {
            segment.state = State::Lost;
            self.lost += 1;
        }
        self.flying = 0;
        self.recovers_at = self.transmissions + 1;
        self.backoff = (self.backoff + 1).min(8);
        self.moved_at = now;
    }

    /// A segment has come; returns its bytes if that is news.
    fn comes(&mut self, place: usize, now: Time) -> u64 {
        let segment = &mut self.segments[place];
        let before = std::mem::replace(&mut segment.state, State::Came);
        let bytes = u64::from(segment.bytes);
        match before {
            State::Came => return 0,
            State::Flying => self.flying -= bytes,
            State::Lost => self.lost -= 1,
        }
        self.came_latest = self.came_latest.max(segment.order);
        // Karn: a segment sent twice doesn't tell which of the two has come.
        if !segment.again {
            let measured = now.seconds_since(segment.sent_at);
            self.smoothed = Some(match self.smoothed {
                None => (measured, measured / 2.0),
                Some((mean, spread)) => {
                    (mean + (measured - mean) / 8.0, spread + ((measured - mean).abs() - spread) / 4.0)
                }
            });
        }
        bytes
    }

    /// Marks what must be lost by now; the first loss of a window halves it. Says whether there were any.
    fn find_lost(&mut self) -> bool {
        let (came, mut found, mut first) = (self.came_latest, false, u32::MAX);
        for segment in &mut self.segments {
            if segment.state == State::Flying && segment.order + REORDERED <= came {
                segment.state = State::Lost;
                self.flying -= u64::from(segment.bytes);
                self.lost += 1;
                first = first.min(segment.order);
                found = true;
            }
        }
        if found && first >= self.recovers_at {
            self.size = (self.size / 2.0).max(f64::from(2 * SEGMENT_BYTES));
            self.threshold = self.size;
            self.recovers_at = self.transmissions + 1;
        }
        found
    }

    fn timeout(&self) -> Duration {
        let usual = self.smoothed.map_or(RTO_FIRST, |(mean, spread)| {
            Duration::from_secs_f64((mean + 4.0 * spread).clamp(0.0, 60.0)).max(RTO_MIN)
        });
        (usual * (1 << self.backoff)).min(RTO_MAX)
    }

    fn place(&self, number: u32) -> Option<usize> {
        let place = number.checked_sub(self.base)? as usize;
        (place < self.segments.len()).then_some(place)
    }
}
