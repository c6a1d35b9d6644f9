//! What one user's watching of one torrent is at: the word of its status, why it waits, and the figures of it.
//!
//! [`Session`] hears of its readers (the answers under way, whichever connections they are on), and takes a look at the torrent a
//! few times a second. Players open several readers for one viewing and drop most of them at once, so no reader stands for the
//! session: what counts is whether any of them is sent bytes.
//!
//! ```text
//!              the files are known                 the least buffer is there
//!   Metadata ──────────────────────► Buffering ◄─────────────────────────────► Ready
//!                                     │  ▲  │ ▲                                 │ ▲
//!            a reader that reads on   │  │  │ │ nobody waits                    │ │ nobody reads
//!            is sent bytes            ▼  │  │ │ any more                        ▼ │ any more
//!                                   Playing │ │                               Playing
//!                 a reader waits ────────┘  ▼ │
//!                 (longer than a moment)  Stalled ── bytes come ──► Playing, Ready
//!                                           ▲
//!                     a reader has waited ──┘
//!                     for the stall's timeout
//!
//!   any ── checked again ──► Metadata      any ── pause ──► Paused      any ── trouble ──► Error
//!   any ── the whole file is there ──► Complete ── pieces went, another file ──► Buffering, Ready, Playing
//!                                      Complete ── a reader has waited for the stall's timeout: a disk hangs ──► Stalled
//!   Metadata, Paused, Error ── resumed, over ──► whatever the rest says, but Stalled: the wait is counted anew
//! ```
//!
//! A player that is satisfied, or paused by its user, holds its connection open and reads nothing. Its reader doesn't wait then,
//! for there is something to send; the session stays `Playing`.
//!
//! Inputs are `handle_*`, commands are verbs. After each of them, and at [`Session::deadline`], drain [`Session::poll_output`].
//! Not here: connections, torrents, tokens, how quickly bytes are sent (`pace`), what an escalation does.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::limits::{CLIENT_BYTES_MAX, SESSION_OUTPUTS_MAX, SESSION_READERS_MAX};

mod figures;
mod reader;
mod recovery;
mod run;
#[cfg(test)]
mod tests;
mod trouble;

pub use figures::{Figures, Seeks, Stalls};
pub use reader::{Opening, ReaderKey, ReaderKind};
pub use recovery::Step;
pub use run::{HELD_BYTES_MAX, Run, WATCHED_MIN};
pub use trouble::Trouble;

use reader::Reader;
use recovery::Recovery;
use run::Watched;

/// Playing goes on through waits up to this: a piece that comes a moment late is no news, since players hold seconds.
pub const MOMENT: Duration = Duration::from_secs(1);

/// Playing goes on for this long after the last reader closed: a seek closes one connection and opens another, and Safari does so
/// every three seconds.
pub const LINGER: Duration = Duration::from_secs(5);

/// How long a seek that was announced waits for the player to open the new place.
const SEEK_ANNOUNCED_MAX: Duration = Duration::from_secs(30);

/// A reader that opens at most so far before the place that was sent last doesn't seek: what lay in the sockets was lost with
/// the last connection.
pub const NEAR_BEHIND: u64 = 8 * 1024 * 1024;

/// Nor does one that opens at most so far beyond it.
pub const NEAR_AHEAD: u64 = 1024 * 1024;

/// What a session is at, in the words of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The metadata is being fetched, or files are being checked.
    Metadata,
    /// Less than the least buffer is there, or a reader waits.
    Buffering,
    /// Enough is there to start, and nobody plays.
    Ready,
    /// A player reads, or is satisfied for now.
    Playing,
    /// The user said so.
    Paused,
    /// A reader has waited for the stall's timeout.
    Stalled,
    /// The whole file is there.
    Complete,
    /// It can't go on.
    Error,
}

impl State {
    /// The word of the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Metadata => "metadata",
            State::Buffering => "buffering",
            State::Ready => "ready",
            State::Playing => "playing",
            State::Paused => "paused",
            State::Stalled => "stalled",
            State::Complete => "complete",
            State::Error => "error",
        }
    }

    /// Whether the diagram has an arrow from here to `next`.
    pub fn leads_to(self, next: State) -> bool {
        use State::{Buffering, Complete, Error, Metadata, Paused, Playing, Ready, Stalled};
        match (self, next) {
            (from, to) if from == to => false,
            (_, Metadata | Paused | Error | Complete) => true,
            (Metadata | Paused | Error, Stalled) => false,
            (Ready | Playing, Stalled) => false,
            (Metadata | Paused | Error | Complete, _) => true,
            (Buffering | Ready | Playing | Stalled, Buffering | Ready | Playing | Stalled) => true,
        }
    }
}

/// A byte of one of the torrent's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's index in the torrent.
    pub file: u32,
    /// The byte in it.
    pub offset: u64,
}

/// How patient a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Bytes ahead that are enough to start (`STREAM_BUFFER_SIZE`).
    pub buffer_bytes: u64,
    /// How long a reader waits before that is a stall (`STREAM_TIMEOUT`).
    pub stall_timeout: Duration,
    /// How long a session lives that nobody reads.
    pub idle_time: Duration,
    /// The same of one that was paused by a command: somebody means to come back.
    pub idle_paused_time: Duration,
}

impl Default for SessionConfig {
    fn default() -> SessionConfig {
        SessionConfig {
            buffer_bytes: 1024 * 1024,
            stall_timeout: Duration::from_secs(30),
            idle_time: Duration::from_secs(15 * 60),
            idle_paused_time: Duration::from_secs(12 * 3600),
        }
    }
}

/// A look at the torrent, from the session's [`Session::place`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The metadata is there.
    pub metadata: bool,
    /// What lies in the files is being checked.
    pub checking: bool,
    /// What is wrong with the torrent, if anything. One that doesn't [end](Trouble::is_fatal) the stream only explains its waits.
    pub trouble: Option<Trouble>,
    /// The place that was looked at.
    pub place: Place,
    /// Verified bytes from that place on, without a gap.
    pub buffered_bytes: u64,
    /// The length of that file.
    pub file_length: u64,
    /// All of that file is there.
    pub complete: bool,
}

/// What the session's owner does or tells next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The state changed; with the reason, where the new one needs one.
    StateChanged {
        /// What it was at.
        from: State,
        /// What it is at.
        to: State,
        /// Why it stalled or stopped.
        trouble: Option<Trouble>,
    },
    /// It is still stalled or stopped, but now for another reason.
    TroubleChanged(Trouble),
    /// Nobody was sent anything for the stall's timeout though somebody waits.
    Stalled {
        /// When that wait began.
        since: Instant,
    },
    /// The stall that was told of is over: bytes came, nobody waits any more, or the session was paused or stopped.
    Recovered {
        /// How long it took in all.
        after: Duration,
    },
    /// Try harder to get bytes.
    Escalate(Step),
    /// Nobody has read or asked for the idle time: end the session. Said once until somebody does again.
    Idle,
}

/// Why a reader can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReaderRefused {
    /// The session has as many as it may have.
    #[error(
        "this stream has {SESSION_READERS_MAX} connections open, which is all it may have: close some of them first"
    )]
    TooMany,
    /// The session was ended.
    #[error("this stream has ended: start it again for a new address")]
    Ended,
}

/// Since when the session has been as it is about its troubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TroubleSince {
    /// What is wrong.
    pub trouble: Trouble,
    /// Since when.
    pub since: Instant,
}

/// One user's watching of one torrent.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    look: Option<Look>,
    trouble: Option<TroubleSince>,
    /// The reason told with the present state.
    told: Option<Trouble>,
    paused: bool,
    ended: bool,
    readers: BTreeMap<ReaderKey, Reader>,
    /// Counts openings, so that the newest reader is known.
    openings: u64,
    /// Where the player is: where its newest reader is that stayed, or stopped.
    place: Place,
    watched: Watched,
    /// When the last reader that read on closed.
    lingers_from: Option<Instant>,
    /// A seek that was announced, and that no reader has made yet.
    seek_announced: Option<Instant>,
    /// When anybody was last sent a byte.
    last_sent: Option<Instant>,
    /// Waits count, and do so from here on: no pause and no trouble is in the way.
    waits_count: bool,
    waits_from: Instant,
    /// The wait under way, as it was seen last.
    wait: Option<Wait>,
    idle_told: bool,
    idle_from: Instant,
    figures: Figures,
    outputs: VecDeque<Output>,
}

/// A wait of the whole session: somebody waits, and nobody is sent anything.
#[derive(Clone, Copy, Debug)]
struct Wait {
    since: Instant,
    /// Set once it is a stall.
    recovery: Option<Recovery>,
}

impl Session {
    /// A session that begins now, of which nothing is known.
    pub fn new(config: SessionConfig, now: Instant) -> Session {
        Session {
            config,
            state: State::Metadata,
            look: None,
            trouble: None,
            told: None,
            paused: false,
            ended: false,
            readers: BTreeMap::new(),
            openings: 0,
            place: Place::default(),
            watched: Watched::default(),
            lingers_from: None,
            seek_announced: None,
            last_sent: None,
            waits_count: false,
            waits_from: now,
            wait: None,
            idle_told: false,
            idle_from: now,
            figures: Figures::new(now),
            outputs: VecDeque::new(),
        }
    }

    /// What the torrent looks like: every quarter of a second, or on news.
    pub fn handle_look(&mut self, look: Look, now: Instant) {
        if !self.wakes(now) {
            return;
        }
        if self.trouble.map(|known| known.trouble) != look.trouble {
            self.trouble = look.trouble.map(|trouble| TroubleSince { trouble, since: now });
        }
        self.look = Some(look);
        self.settle(now);
    }

    /// A reader was opened: an answer with bytes of a file begins. A key that is known already begins anew.
    pub fn handle_reader_opened(
        &mut self,
        key: ReaderKey,
        opening: Opening<'_>,
        now: Instant,
    ) -> Result<(), ReaderRefused> {
        if !self.wakes(now) {
            return Err(ReaderRefused::Ended);
        }
        self.handle_reader_closed(key, now);
        if self.readers.len() >= SESSION_READERS_MAX {
            return Err(ReaderRefused::TooMany);
        }
        self.openings += 1;
        let tail = self.is_tail(opening.place);
        self.readers.insert(key, Reader::new(&opening, tail, self.openings, now));
        self.figures.handle_opened(now);
        if let Some(client) = opening.client {
            self.figures.client = Some(printable(client));
        }
        self.act(now);
        self.settle(now);
        Ok(())
    }

    /// `bytes` of a reader went to its client.
    pub fn handle_sent(&mut self, key: ReaderKey, bytes: u64, now: Instant) {
        self.wakes(now);
        let Some(reader) = self.readers.get_mut(&key).filter(|_| bytes > 0) else { return };
        reader.handle_sent(bytes, now);
        self.figures.handle_sent(bytes, now);
        self.last_sent = self.last_sent.max(Some(now));
        self.act(now);
        self.settle(now);
    }

    /// A reader has nothing to send at `offset` of its file. Said again for the same byte, the wait goes on.
    pub fn handle_waiting(&mut self, key: ReaderKey, offset: u64, now: Instant) {
        self.wakes(now);
        if let Some(reader) = self.readers.get_mut(&key) {
            reader.handle_waiting(offset, now);
            self.settle(now);
        }
    }

    /// A reader is gone: its answer is whole, or its client hung up.
    pub fn handle_reader_closed(&mut self, key: ReaderKey, now: Instant) {
        self.wakes(now);
        let Some(reader) = self.readers.remove(&key) else { return };
        if reader.reads_on(now) {
            self.lingers_from = Some(now);
        }
        self.act(now);
        self.settle(now);
    }

    /// To be called at [`Self::deadline`]; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wakes(now);
    }

    /// The user pauses: nobody fetches for this session, and nobody's wait counts.
    pub fn pause(&mut self, now: Instant) {
        self.set_paused(true, now);
    }

    /// The user goes on. Only this ends a pause: a player that reconnects by itself doesn't.
    pub fn resume(&mut self, now: Instant) {
        self.set_paused(false, now);
    }

    /// The user seeks: the session is there from now on, and the next reader that reads on is that seek.
    pub fn seek(&mut self, place: Place, now: Instant) {
        if !self.wakes(now) {
            return;
        }
        self.place = place;
        self.seek_announced = Some(now);
        self.act(now);
        self.settle(now);
    }

    /// Another file is watched from now on, from its start until a player reads elsewhere.
    pub fn turn_to(&mut self, file: u32, now: Instant) {
        if self.place.file != file && self.wakes(now) {
            self.place = Place { file, offset: 0 };
            self.settle(now);
        }
    }

    /// Somebody asks about the session: it isn't forgotten.
    pub fn touch(&mut self, now: Instant) {
        if self.wakes(now) {
            self.act(now);
        }
    }

    /// The session is over: nothing changes any more, and nothing more is said.
    pub fn end(&mut self, now: Instant) {
        self.wakes(now);
        self.end_wait(now);
        self.readers.clear();
        self.figures.readers = 0;
        self.outputs.clear();
        self.ended = true;
    }

    /// What to do next; call until `None` after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due: a wait becomes news or a stall, a stall needs its next step, a reader has shown
    /// that it stays, playing has lingered, or the session is idle.
    pub fn deadline(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        let wait = self.wait.map(|wait| match wait.recovery {
            Some(recovery) => recovery.next_at(),
            None if matches!(self.state, State::Playing | State::Ready) => {
                wait.since + MOMENT.min(self.config.stall_timeout)
            }
            None => wait.since + self.config.stall_timeout,
        });
        let lingers = self.lingers_from.filter(|_| self.state == State::Playing).map(|from| from + LINGER);
        let settling = self.readers.values().filter_map(Reader::settles_at).min();
        let idle = (self.readers.is_empty() && !self.idle_told).then(|| self.idle_from + self.idle_time());
        [wait, lingers, settling, idle].into_iter().flatten().min()
    }

    /// What it is at.
    pub fn state(&self) -> State {
        self.state
    }

    /// Where the player is, as far as its readers show: the place to look at.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What was watched last, for long enough to be called so.
    pub fn watched(&self) -> Option<Run> {
        self.watched.lasting()
    }

    /// Verified bytes from [`Self::place`] on, as of the last look.
    pub fn buffered_bytes(&self) -> u64 {
        let Some(look) = self.look.filter(|look| look.place.file == self.place.file) else { return 0 };
        let end = look.place.offset.saturating_add(look.buffered_bytes);
        if self.place.offset < look.place.offset { 0 } else { end.saturating_sub(self.place.offset) }
    }

    /// What is wrong, if anything, and since when: also where it doesn't stop the stream.
    pub fn trouble(&self) -> Option<TroubleSince> {
        self.trouble
    }

    /// The figures of the session up to now.
    pub fn figures(&self, now: Instant) -> Figures {
        let mut figures = self.figures.clone();
        if let Some(wait) = self.wait.filter(|wait| wait.recovery.is_some()) {
            figures.stalls.since = Some(wait.since);
            figures.stalls.total += now.saturating_duration_since(wait.since);
        }
        figures
    }

    /// Whether it was ended.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    fn set_paused(&mut self, paused: bool, now: Instant) {
        if !self.wakes(now) {
            return;
        }
        if self.paused != paused {
            self.paused = paused;
            self.act(now);
        }
        self.settle(now);
    }

    /// Somebody did something with the session.
    fn act(&mut self, now: Instant) {
        self.figures.readers = self.readers.len();
        self.figures.last_activity = self.figures.last_activity.max(now);
        self.idle_from = self.idle_from.max(now);
        self.idle_told = false;
    }

    /// Every input begins here: what should have happened before it happens now, so that a late driver doesn't change what is
    /// counted. False once the session is over.
    fn wakes(&mut self, now: Instant) -> bool {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.settle(now);
        }
        !self.ended
    }

    /// Draws the conclusions from what is known.
    fn settle(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        self.lingers_from = self.lingers_from.filter(|&from| now < from + LINGER);
        self.follow_readers(now);
        self.follow_wait(now);
        let state = self.judge(now);
        self.enter(state);
        self.follow_stall(now);
        if self.readers.is_empty() && !self.idle_told && now >= self.idle_from + self.idle_time() {
            self.idle_told = true;
            self.push(Output::Idle);
        }
    }

    /// Finds where the player is, and which readers turned out to be seeks.
    fn follow_readers(&mut self, now: Instant) {
        let mut by_age: Vec<ReaderKey> = self.readers.keys().copied().collect();
        by_age.sort_by_key(|key| self.readers[key].opening);
        for key in by_age {
            let Some(reader) = self.readers.get_mut(&key) else { continue };
            let (sought, announced) = (is_away(reader.begun, self.place), self.seek_announced.is_some());
            if !reader.settle(now) {
                continue;
            }
            reader.run = Some(self.watched.join(reader.begun, announced, now));
            // The very first reader begins; it doesn't seek.
            if (sought && self.figures.has_played) || announced {
                reader.is_seek = true;
                self.seek_announced = None;
            }
        }
        let seeks = self.readers.values_mut().filter_map(Reader::take_seek);
        for latency in seeks {
            self.figures.seeks.count(latency);
        }
        self.seek_announced = self.seek_announced.filter(|&at| now < at + SEEK_ANNOUNCED_MAX);
        let newest =
            self.readers.values().filter(|reader| reader.shows_place()).max_by_key(|reader| reader.opening);
        if let Some(reader) = newest {
            self.figures.has_played |= reader.sent > 0;
            self.place = reader.place;
        }
        self.follow_runs(now);
    }

    /// Reckons what is watched: by the newest reader that plays, or, when all are gone, by what was left to play.
    fn follow_runs(&mut self, now: Instant) {
        let look = self.look;
        let length_of = |file: u32| {
            look.filter(|look| look.place.file == file && look.is_known()).map(|look| look.file_length)
        };
        for reader in self.readers.values_mut() {
            reader.follow_run(length_of(reader.place.file), now);
        }
        let newest =
            self.readers.values().filter(|reader| reader.run.is_some()).max_by_key(|reader| reader.opening);
        let run = newest.and_then(|reader| reader.run).or_else(|| {
            let mut run = self.watched.current()?;
            let is_at_end = length_of(run.begun.file).is_some_and(|length| run.sent_to >= length);
            run.follow(self.lingers_from.is_some(), is_at_end, now);
            Some(run)
        });
        if let Some(run) = run {
            self.watched.set(run);
        }
    }

    /// Notices that a wait began, moved on or ended.
    fn follow_wait(&mut self, now: Instant) {
        let counts = !self.paused && !self.is_stopped() && self.look.is_some_and(|look| look.is_known());
        if counts && !self.waits_count {
            self.waits_from = now;
        }
        self.waits_count = counts;
        let oldest = self.readers.values().filter_map(|reader| reader.waits_since).min().filter(|_| counts);
        let since = oldest.map(|since| since.max(self.waits_from).max(self.last_sent.unwrap_or(since)));
        if self.wait.map(|wait| wait.since) == since {
            return;
        }
        // Who waited longest is gone, others wait on, and nothing was sent: the session is held up as before.
        let held_on = self.wait.is_some_and(|wait| {
            let began = wait.since;
            since.is_some_and(|since| since > began)
                && self.waits_from <= began
                && self.last_sent.is_none_or(|sent| sent <= began)
        });
        if held_on {
            return;
        }
        // Whoever waited still does, and others were sent bytes meanwhile: the session wasn't held up.
        let overtaken = self.wait.is_some_and(|wait| oldest.is_some_and(|oldest| oldest <= wait.since));
        if overtaken && self.wait.is_some_and(|wait| wait.recovery.is_none()) {
            self.wait = None;
        }
        self.end_wait(now);
        self.wait = since.map(|since| Wait { since, recovery: None });
    }

    fn end_wait(&mut self, now: Instant) {
        let Some(wait) = self.wait.take() else { return };
        let after = now.saturating_duration_since(wait.since);
        if wait.recovery.is_some() {
            self.figures.stalls.total += after;
            self.push(Output::Recovered { after });
        } else {
            self.figures.waited += after;
        }
    }

    /// What the facts come to, stalls aside. Playing goes on through moments in which nothing is sent.
    fn judge(&self, now: Instant) -> State {
        let Some(look) = self.look else { return if self.paused { State::Paused } else { State::Metadata } };
        let was_playing = self.state == State::Playing;
        let plays = self.readers.values().any(|reader| reader.reads_on(now));
        let moment = self.wait.is_none_or(|wait| {
            let overtaken = self.last_sent == Some(wait.since);
            now < wait.since + MOMENT.min(self.config.stall_timeout) && (was_playing || overtaken)
        });
        let lingers = was_playing && self.lingers_from.is_some();
        let still_ready = self.state == State::Ready
            && self.wait.is_none_or(|wait| now < wait.since + MOMENT.min(self.config.stall_timeout));
        if self.is_stopped() {
            State::Error
        } else if self.paused {
            State::Paused
        } else if !look.is_known() {
            State::Metadata
        } else if self.wait.is_some_and(|wait| wait.recovery.is_some()) {
            State::Stalled
        } else if look.complete && look.place.file == self.place.file {
            State::Complete
        } else if (plays || lingers) && moment {
            State::Playing
        } else if (self.wait.is_none() || still_ready) && self.is_enough(&look) {
            State::Ready
        } else {
            State::Buffering
        }
    }

    /// Makes a stall of a wait that lasted, and takes the steps against it.
    fn follow_stall(&mut self, now: Instant) {
        let Some(wait) = &mut self.wait else { return };
        let step = match &mut wait.recovery {
            Some(recovery) => recovery.step(now),
            None if now < wait.since + self.config.stall_timeout => return,
            None => {
                let (recovery, step) = Recovery::begin(now);
                wait.recovery = Some(recovery);
                let since = wait.since;
                self.figures.stalls.count += 1;
                self.push(Output::Stalled { since });
                self.enter(State::Stalled);
                Some(step)
            }
        };
        if let Some(step) = step {
            self.push(Output::Escalate(step));
        }
    }

    fn enter(&mut self, to: State) {
        let known = self.trouble.map(|known| known.trouble);
        let trouble = match to {
            State::Error => known,
            State::Stalled => Some(known.unwrap_or(Trouble::SlowSwarm)),
            _ => None,
        };
        let from = std::mem::replace(&mut self.state, to);
        let told = std::mem::replace(&mut self.told, trouble);
        if from != to {
            self.push(Output::StateChanged { from, to, trouble });
        } else if let Some(trouble) = trouble.filter(|_| trouble != told) {
            self.push(Output::TroubleChanged(trouble));
        }
    }

    /// Nobody loses by it who drains after every input; who doesn't loses the oldest.
    fn push(&mut self, output: Output) {
        if self.outputs.len() >= SESSION_OUTPUTS_MAX {
            self.outputs.pop_front();
        }
        self.outputs.push_back(output);
    }

    fn is_stopped(&self) -> bool {
        self.trouble.is_some_and(|known| known.trouble.is_fatal())
    }

    fn is_enough(&self, look: &Look) -> bool {
        let left = look.file_length.saturating_sub(self.place.offset);
        look.place.file == self.place.file && self.buffered_bytes() >= self.config.buffer_bytes.min(left)
    }

    fn is_tail(&self, place: Place) -> bool {
        let length =
            self.look.filter(|look| look.place.file == place.file).map_or(0, |look| look.file_length);
        crate::window::is_tail(place.offset, length)
    }

    fn idle_time(&self) -> Duration {
        if self.paused { self.config.idle_paused_time } else { self.config.idle_time }
    }
}

impl Look {
    /// Whether the torrent is far enough to be read.
    fn is_known(&self) -> bool {
        self.metadata && !self.checking
    }
}

/// Whether a reader that begins at `begun` leaves where the player was.
fn is_away(begun: Place, was: Place) -> bool {
    begun.file == was.file
        && (begun.offset < was.offset.saturating_sub(NEAR_BEHIND)
            || begun.offset > was.offset.saturating_add(NEAR_AHEAD))
}

/// What a client calls itself, fit for logs and tables.
fn printable(client: &str) -> String {
    let mut text = String::new();
    for c in client.chars().filter(|c| !c.is_control()) {
        if text.len() + c.len_utf8() > CLIENT_BYTES_MAX {
            break;
        }
        text.push(c);
    }
    text
}
