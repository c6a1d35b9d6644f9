//! How a stream is going, seen from its readers: state, buffer ahead, stalls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{FileIndex, PieceIndex};
use afflux_swarm::{Kind, Window};

use crate::config::Tuning;
use crate::engine::torrent::Ready;
use crate::engine::{State, Status, Torrent};

/// What a stream is at, in the words of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// The metadata is being fetched, or files are being checked.
    Metadata,
    /// Less than the least buffer is there.
    Buffering,
    /// Enough is there to start, and nobody reads.
    Ready,
    /// Somebody reads.
    Playing,
    /// A reader has waited longer than `STREAM_TIMEOUT`.
    Stalled,
    /// The whole file is there.
    Complete,
    /// It can't go on.
    Error,
}

impl StreamState {
    /// The word of the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Buffering => "buffering",
            Self::Ready => "ready",
            Self::Playing => "playing",
            Self::Stalled => "stalled",
            Self::Complete => "complete",
            Self::Error => "error",
        }
    }
}

/// One look at a stream.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// What it is at.
    pub state: StreamState,
    /// The newest playing reader's place in the file, or the last one that was seen.
    pub position: u64,
    /// Verified bytes from there on.
    pub buffered_bytes: u64,
    /// Readers at this moment.
    pub readers: usize,
    /// Waits of readers that were longer than `STREAM_TIMEOUT`.
    pub stalls: u32,
    /// How long those took together.
    pub stalled_ms: u64,
    /// A stall began with this look.
    pub newly_stalled: bool,
}

/// Watches one file of a torrent.
#[derive(Debug)]
pub struct Watch {
    torrent: Torrent,
    ready: Arc<Ready>,
    file: FileIndex,
    buffer_bytes: u64,
    timeout: Duration,
    position: u64,
    /// Since when a reader waits, and for which byte.
    waiting: Option<(Instant, u64)>,
    stalled: bool,
    stalls: u32,
    stalled_ms: u64,
}

impl Watch {
    /// A watch over `file`.
    pub fn new(torrent: Torrent, ready: Arc<Ready>, file: FileIndex, tuning: &Tuning) -> Self {
        Self {
            torrent,
            ready,
            file,
            buffer_bytes: tuning.buffer_bytes,
            timeout: tuning.stream_timeout,
            position: 0,
            waiting: None,
            stalled: false,
            stalls: 0,
            stalled_ms: 0,
        }
    }

    /// Looks now.
    pub fn look(&mut self, status: &Status, now: Instant) -> Watched {
        let Some(file) = self.ready.layout.file(self.file) else {
            return self.watched(StreamState::Error, 0, 0, false);
        };
        let range = file.range();
        let windows = self.torrent.windows();
        let here = |window: &&Window| range.contains(&window.position) && window.file_end == range.end;
        let newest = windows.iter().filter(here).rfind(|window| window.kind == Kind::Play);
        if let Some(window) = newest {
            self.position = window.position - range.start;
        }
        let newly_stalled = self.time_stall(newest.filter(|window| window.waiting), now);
        let buffered = self.buffered(range.start + self.position, range.end);
        let enough = buffered >= self.buffer_bytes.min(range.end - range.start - self.position);
        let state = match status.state {
            State::Error => StreamState::Error,
            State::Metadata | State::Checking => StreamState::Metadata,
            _ if self.stalled => StreamState::Stalled,
            _ if self.is_complete() => StreamState::Complete,
            _ if newest.is_some_and(|window| !window.waiting) => StreamState::Playing,
            _ if newest.is_none() && enough => StreamState::Ready,
            _ => StreamState::Buffering,
        };
        self.watched(state, buffered, windows.len(), newly_stalled)
    }

    fn watched(
        &self,
        state: StreamState,
        buffered_bytes: u64,
        readers: usize,
        newly_stalled: bool,
    ) -> Watched {
        let (position, stalls, stalled_ms) = (self.position, self.stalls, self.stalled_ms);
        Watched { state, position, buffered_bytes, readers, stalls, stalled_ms, newly_stalled }
    }

    /// Follows how long the reader waits; says whether that has just become a stall.
    fn time_stall(&mut self, waiting: Option<&Window>, now: Instant) -> bool {
        let since = match (waiting, self.waiting) {
            (Some(window), Some((since, at))) if at == window.position => since,
            (Some(window), _) => {
                self.end_stall(now);
                self.waiting = Some((now, window.position));
                now
            }
            (None, _) => {
                self.end_stall(now);
                return false;
            }
        };
        let begins = !self.stalled && now.duration_since(since) >= self.timeout;
        self.stalled |= begins;
        self.stalls += u32::from(begins);
        begins
    }

    fn end_stall(&mut self, now: Instant) {
        if let Some((since, _)) = self.waiting.take().filter(|_| self.stalled) {
            self.stalled_ms += now.duration_since(since).as_millis() as u64;
        }
        self.stalled = false;
    }

    /// Verified bytes from `offset` of the torrent on, up to `end`.
    fn buffered(&self, offset: u64, end: u64) -> u64 {
        let layout = &self.ready.layout;
        let missing = layout.pieces_of(offset..end).find(|&piece| !self.ready.store.have(PieceIndex(piece)));
        missing.map_or(end, |piece| layout.piece_offset(PieceIndex(piece)).clamp(offset, end)) - offset
    }

    fn is_complete(&self) -> bool {
        let range = self.ready.layout.file(self.file).map_or(0..0, |file| file.range());
        self.buffered(range.start, range.end) == range.end - range.start
    }
}
