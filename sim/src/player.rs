//! A film's player and the range server that feeds it, as one machine in virtual time.
//!
//! The server makes windows the way `stream` does: a new reader at the head is a probe, one elsewhere wants the next seconds
//! only, one that stays reads ahead as much as it has read, a reader at the file's end gets all of the tail. The player pulls until it holds some seconds of film, starts once
//! its start rule is met, plays at the film's rate, stalls when it runs dry, and jumps where its script says.
//!
//! Beside it runs a player that never stalls: what it would have needed and when is what "on time" is measured by.

use std::ops::Range;
use std::time::Duration;

use afflux_metainfo::{Layout, PieceIndex};
use afflux_swarm::ReaderKey;

use crate::chance::Chance;
use crate::clock::Time;
use crate::log::What;
use crate::outcome::{PeerOutcome, Seek};
use crate::scenario::{Player as Script, Seeks};

mod reader;

pub(crate) use reader::{Reader, Wish};

/// Film that a player keeps in its own memory ahead of what it shows, beyond its start rule (ours: what VLC and browsers
/// read ahead of a stream, within a factor of two).
const HELD: Duration = Duration::from_secs(10);

/// What a player looks for an index in, at the end of the file.
const TAIL_BYTES: u64 = 512 * 1024;

/// Readers with more to pull pull this often.
const PULL: Duration = Duration::from_millis(200);

/// Random jumps don't go into the last part of a film: there would be nothing left to play.
const JUMP_PART: f64 = 0.9;

/// What the player does.
///
/// ```text
/// Filling --start rule met--> Playing --dry--> Filling
///    ^                          |  '--end--> Ended
///    '----------jump------------'
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits for the start rule.
    Filling,
    /// It shows the film since then, from `base` on.
    Playing {
        since: Time,
    },
    Ended,
}

/// Why it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Startup,
    Seek,
    Stall,
}

/// What it does to the torrent and the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    Wish(Wish),
    Log(What),
}

/// One viewer's player.
#[derive(Debug)]
pub(crate) struct Player {
    script: Script,
    chance: Chance,
    length: u64,
    rate: u64,
    arrived: Time,
    state: State,
    wait: Wait,
    /// When it began to wait.
    waits_since: Time,
    /// The byte that it shows, or showed when `state` began.
    base: u64,
    reader: Reader,
    tail: Option<Reader>,
    readers: u64,
    /// Playing time up to when `state` began, in all and since playing last began after a jump.
    played: Duration,
    played_here: Duration,
    jumps: usize,
    ideal: Option<Ideal>,
}

/// The player that never stalls: it began to play a stretch at `since`, and reaches `piece` next.
#[derive(Clone, Copy, Debug)]
struct Ideal {
    since: Time,
    base: u64,
    piece: u32,
}

impl Player {
    /// A player that opens the film now.
    pub(crate) fn new(script: Script, length: u64, rate: u64, chance: Chance, now: Time) -> Self {
        let base = place(length, script.start);
        let tail_first = script.tail_first && length > TAIL_BYTES;
        let tail =
            tail_first.then(|| Reader::new(ReaderKey(2), length - TAIL_BYTES..length, length, rate, now));
        Self {
            reader: Reader::new(ReaderKey(1), base..length, length, rate, now),
            tail,
            readers: 2,
            script,
            chance,
            length,
            rate: rate.max(1),
            arrived: now,
            state: State::Filling,
            wait: Wait::Startup,
            waits_since: now,
            base,
            played: Duration::ZERO,
            played_here: Duration::ZERO,
            jumps: 0,
            ideal: None,
        }
    }

    /// Looks at what is there; `contiguous` says where the run of verified bytes from an offset on ends, `has` whether a
    /// piece is there. To be called whenever a piece was verified, and when [`Self::deadline`] comes.
    pub(crate) fn handle(
        &mut self,
        layout: &Layout,
        contiguous: impl Fn(u64) -> u64,
        has: impl Fn(PieceIndex) -> bool,
        figures: &mut PeerOutcome,
        now: Time,
        acts: &mut Vec<Act>,
    ) {
        self.judge(layout, has, figures, now);
        if let Some(tail) = &mut self.tail {
            let end = tail.end();
            tail.pull(contiguous(tail.position()), end, now, acts);
        }
        self.tail = self.tail.take().filter(|tail| !tail.is_done());
        self.play(now);
        self.pull(&contiguous, now, acts);
        self.step(figures, now, acts);
        if let Some(jump) = self.due_jump(now) {
            self.jump(jump, figures, now, acts);
            self.pull(&contiguous, now, acts);
            self.step(figures, now, acts);
        }
    }

    /// When [`Self::handle`] is due though nothing was verified.
    pub(crate) fn deadline(&self, layout: &Layout, now: Time) -> Time {
        let mut at =
            self.reader.deadline(now).min(self.tail.as_ref().map_or(Time::NEVER, |t| t.deadline(now)));
        if let Some(ideal) = self.ideal {
            at = at.min(ideal.next_at(layout, self.rate));
        }
        if let State::Playing { since } = self.state {
            // At the latest when it has shown all that it holds; then more may be there to be pulled.
            at = at.min(since.after_seconds(self.seconds_of(self.reader.position() - self.base)));
            if let Some(left) = self.jump_in() {
                at = at.min(since + left);
            }
            if !self.reader.is_waiting() && !self.reader.is_done() {
                at = at.min(now + PULL);
            }
        }
        at.max(now)
    }

    /// Whether the film has been played to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Ended
    }

    /// The run is over, the viewer goes or jumps elsewhere: what it waited for counts as far as it did. That it never
    /// got to the first frame shows in what is missing.
    pub(crate) fn finish(&mut self, figures: &mut PeerOutcome, now: Time) {
        if self.state != State::Filling {
            return;
        }
        let waited = now - self.waits_since;
        match self.wait {
            Wait::Startup => {}
            Wait::Seek => figures.seeks.push(Seek { waited, resumed: false }),
            Wait::Stall => figures.stalled += waited,
        }
    }

    /// Bytes that were given to the player are verified up to here.
    pub(crate) fn position(&self) -> u64 {
        self.reader.position()
    }

    /// The byte the reader began at.
    pub(crate) fn start(&self) -> u64 {
        self.reader.start()
    }

    /// Moves what is shown to this moment.
    fn play(&mut self, now: Time) {
        let State::Playing { since } = self.state else { return };
        let elapsed = now - since;
        let shown = (u128::from(self.rate) * elapsed.as_nanos() / 1_000_000_000) as u64;
        let held = self.reader.position() - self.base;
        if shown == 0 && held > 0 {
            // Less than a byte: time isn't lost to rounding, as `since` stays.
            return;
        }
        let step = shown.min(held);
        self.base += step;
        let took = if shown >= held { elapsed } else { Duration::from_secs_f64(self.seconds_of(step)) };
        self.played += took;
        self.played_here += took;
        self.state = State::Playing { since: since + took };
    }

    /// Takes what is there, up to what it holds at most.
    fn pull(&mut self, contiguous: impl Fn(u64) -> u64, now: Time, acts: &mut Vec<Act>) {
        let held = self.bytes_of(HELD + self.script.start_buffer);
        let most = self.base.saturating_add(held).min(self.length);
        self.reader.pull(contiguous(self.reader.position()), most, now, acts);
    }

    /// Begins, stalls, ends.
    fn step(&mut self, figures: &mut PeerOutcome, now: Time, acts: &mut Vec<Act>) {
        match self.state {
            State::Filling => {
                let enough =
                    self.base.saturating_add(self.bytes_of(self.script.start_buffer)).min(self.length);
                if self.reader.position() >= enough && self.tail.is_none() {
                    self.begin(figures, now);
                    acts.push(Act::Log(What::Play { position: self.base }));
                }
            }
            State::Playing { .. } if self.base >= self.length => {
                self.state = State::Ended;
                acts.push(Act::Log(What::End));
            }
            State::Playing { .. } if self.base >= self.reader.position() => {
                self.state = State::Filling;
                (self.wait, self.waits_since) = (Wait::Stall, now);
                figures.stalls += 1;
                acts.push(Act::Log(What::Stall { position: self.base }));
            }
            State::Playing { .. } | State::Ended => {}
        }
    }

    fn begin(&mut self, figures: &mut PeerOutcome, now: Time) {
        let waited = now - self.waits_since;
        match self.wait {
            Wait::Startup => figures.startup = Some(now - self.arrived),
            Wait::Seek => figures.seeks.push(Seek { waited, resumed: true }),
            Wait::Stall => figures.stalled += waited,
        }
        if self.wait != Wait::Stall {
            self.played_here = Duration::ZERO;
            self.ideal = Some(Ideal { since: now, base: self.base, piece: u32::MAX });
        }
        self.state = State::Playing { since: now };
    }

    /// Playing time left to the next jump.
    fn jump_in(&self) -> Option<Duration> {
        match &self.script.seeks {
            Seeks::None => None,
            Seeks::Every(time) => Some(time.saturating_sub(self.played_here)),
            Seeks::At(times) => times.get(self.jumps).map(|(at, _)| at.saturating_sub(self.played)),
        }
    }

    fn due_jump(&mut self, now: Time) -> Option<u64> {
        let State::Playing { since } = self.state else { return None };
        self.jump_in().filter(|&left| since + left <= now)?;
        let part = match &self.script.seeks {
            Seeks::None => return None,
            Seeks::Every(_) => self.chance.unit() * JUMP_PART,
            Seeks::At(times) => times.get(self.jumps)?.1,
        };
        self.jumps += 1;
        Some(place(self.length, part))
    }

    fn jump(&mut self, position: u64, figures: &mut PeerOutcome, now: Time, acts: &mut Vec<Act>) {
        // A script that counts playing time jumps only from playing; one that doesn't mustn't lose a wait.
        self.finish(figures, now);
        acts.push(Act::Log(What::Seek { position }));
        self.reader.close(acts);
        self.readers += 1;
        let key = ReaderKey(self.readers);
        self.reader = Reader::new(key, position..self.length, self.length, self.rate, now);
        (self.state, self.base, self.ideal) = (State::Filling, position, None);
        (self.wait, self.waits_since) = (Wait::Seek, now);
    }

    /// Judges the pieces that the player that never stalls has reached by now.
    fn judge(
        &mut self,
        layout: &Layout,
        has: impl Fn(PieceIndex) -> bool,
        figures: &mut PeerOutcome,
        now: Time,
    ) {
        let Some(ideal) = &mut self.ideal else { return };
        if ideal.piece == u32::MAX {
            ideal.piece = layout.pieces_of(ideal.base..self.length).start;
        }
        while ideal.next_at(layout, self.rate) <= now {
            figures.on_time.0 += u32::from(has(PieceIndex(ideal.piece)));
            figures.on_time.1 += 1;
            ideal.piece += 1;
        }
        if ideal.piece >= layout.piece_count() {
            self.ideal = None;
        }
    }

    fn bytes_of(&self, time: Duration) -> u64 {
        (u128::from(self.rate) * time.as_nanos() / 1_000_000_000) as u64
    }

    fn seconds_of(&self, bytes: u64) -> f64 {
        bytes as f64 / self.rate as f64
    }
}

impl Ideal {
    /// When it needs its next piece.
    fn next_at(&self, layout: &Layout, rate: u64) -> Time {
        if self.piece == u32::MAX {
            return self.since;
        }
        if self.piece >= layout.piece_count() {
            return Time::NEVER;
        }
        let ahead = layout.piece_offset(PieceIndex(self.piece)).saturating_sub(self.base);
        self.since.after_seconds(ahead as f64 / rate as f64)
    }
}

/// The byte at this part of a film.
fn place(length: u64, part: f64) -> u64 {
    ((length as f64 * part.clamp(0.0, 1.0)) as u64).min(length.saturating_sub(1))
}

/// A part of a file.
pub(crate) type Bytes = Range<u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_while_it_waits_for_the_last_one_gives_that_up() {
        let script = Script {
            start: 0.0,
            start_buffer: Duration::from_secs(2),
            tail_first: false,
            seeks: Seeks::None,
        };
        let (at, mut figures, mut acts) = (Time::default(), PeerOutcome::default(), Vec::new());
        let mut player = Player::new(script, 1 << 30, 1 << 20, Chance::new(1), at);
        for (position, seconds) in [(100, 0), (200, 3), (300, 7)] {
            player.jump(position, &mut figures, at + Duration::from_secs(seconds), &mut acts);
        }
        player.finish(&mut figures, at + Duration::from_secs(12));
        let given_up = |seconds| Seek { waited: Duration::from_secs(seconds), resumed: false };
        assert_eq!(figures.seeks, [given_up(3), given_up(4), given_up(5)]);
        assert_eq!(figures.startup, None);
    }
}
