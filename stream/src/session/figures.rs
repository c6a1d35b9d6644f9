//! The figures of a session. Counts and totals only grow.

use std::time::{Duration, Instant};

/// What a session was like, up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// When it began.
    pub began: Instant,
    /// From its begin to the first byte that anybody was sent.
    pub ttfb: Option<Duration>,
    /// From its first reader's opening to that byte.
    pub reader_ttfb: Option<Duration>,
    /// Seeks that got bytes.
    pub seeks: Seeks,
    /// Waits of at least the stall's timeout.
    pub stalls: Stalls,
    /// The time of all shorter waits that are over, those of starts and seeks included.
    pub waited: Duration,
    /// Bytes sent to all readers.
    pub bytes_sent: u64,
    /// Readers at this moment.
    pub readers: usize,
    /// Readers there ever were.
    pub readers_opened: u64,
    /// When a reader or a command last did anything.
    pub last_activity: Instant,
    /// What the newest client that said so calls itself: printable, and of bounded length.
    pub client: Option<String>,
    /// Somebody has been where a film plays: from now on going elsewhere is a seek.
    pub(super) has_played: bool,
    first_opened: Option<Instant>,
}

/// The seeks of a session, each from its reader's opening to the first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeks {
    /// How many.
    pub count: u32,
    /// What they took together.
    pub total: Duration,
    /// What the slowest took.
    pub max: Duration,
}

/// The stalls of a session, each from the begin of its wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// How many, that which is going on included.
    pub count: u32,
    /// What they took together so far.
    pub total: Duration,
    /// When the wait began that is going on and has become a stall.
    pub since: Option<Instant>,
}

impl Figures {
    pub(super) fn new(now: Instant) -> Figures {
        Figures {
            began: now,
            ttfb: None,
            reader_ttfb: None,
            seeks: Seeks::default(),
            stalls: Stalls::default(),
            waited: Duration::ZERO,
            bytes_sent: 0,
            readers: 0,
            readers_opened: 0,
            last_activity: now,
            client: None,
            has_played: false,
            first_opened: None,
        }
    }

    pub(super) fn handle_opened(&mut self, now: Instant) {
        self.first_opened.get_or_insert(now);
        self.readers_opened += 1;
    }

    pub(super) fn handle_sent(&mut self, bytes: u64, now: Instant) {
        self.bytes_sent = self.bytes_sent.saturating_add(bytes);
        let opened = self.first_opened.unwrap_or(now);
        self.ttfb.get_or_insert(now.saturating_duration_since(self.began));
        self.reader_ttfb.get_or_insert(now.saturating_duration_since(opened));
    }
}

impl Seeks {
    pub(super) fn count(&mut self, latency: Duration) {
        self.count = self.count.saturating_add(1);
        self.total += latency;
        self.max = self.max.max(latency);
    }
}
