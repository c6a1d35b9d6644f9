//! Finding the byte of a time where nothing has written it down.

use std::ops::Range;
use std::time::Duration;

use super::super::facts::{Container, Facts, TrackKind};
use super::super::index::Point;
use super::super::inspect::Fault;
use super::elementary;
use super::packet::{Packets, Stride};
use super::ticks::{TICKS_A_SECOND, Ticks, micros};
use crate::limits::{BISECTION_READS_MAX, PROBE_WINDOWS_MAX, TS_WINDOW_BYTES};

/// A place so little before the wanted one is good: players look for a key frame around there, and those are farther apart.
const NEAR_TICKS: i64 = TICKS_A_SECOND;

/// The same in bytes: what comes along with them anyway, since pieces are mostly larger.
const NEAR_BYTES: u64 = 4 * TS_WINDOW_BYTES;

/// The guess is moved towards the middle by this part of what is between the two places: measured on a film whose rate is ten
/// times as high every now and then, half and double took more reads.
const TOWARDS_MIDDLE: u64 = 32;

/// What a bisection does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// It needs these bytes of the file: [`Bisection::supply`].
    Read(Range<u64>),
    /// It has ended: a packet of pictures (or sound) that begins at the time, or a little before it.
    Found(Point),
    /// It has ended, and the file has no times at its start.
    Failed(Fault),
}

/// A place in the file and its time, in ticks from the start.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: u64,
    ticks: i64,
}

/// A search for one time in a transport stream.
///
/// Drive it as an [`Inspection`](crate::container::Inspection): what it needs is a window at the start and then three to seven
/// around the place, each nearer; where the rate is very uneven, as many as halving takes and one more. Times that aren't between
/// the film's start and its end, because the clock was set anew on the way, count for nothing.
#[derive(Debug)]
pub struct Bisection {
    /// Whose times are looked at; the first counts where it is there.
    pids: Vec<u16>,
    goal: i64,
    end: i64,
    /// The first packet's time.
    origin: Option<(Stride, Ticks)>,
    low: Place,
    high: Place,
    /// As many as halving takes to the end, and one more.
    probes_left: u32,
    /// Where the last probe began, and how many windows without a time it has.
    probe: u64,
    windows: u32,
    window: Range<u64>,
    reads_left: u32,
    ended: Option<Search>,
}

impl Bisection {
    /// Of a time in a file of which that is known, and of so many bytes. `None` if it is no transport stream, or nothing says how
    /// long it lasts.
    pub fn new(facts: &Facts, length: u64, time: Duration) -> Option<Self> {
        let end = ticks(facts.duration.filter(|_| facts.container == Container::MpegTs)?);
        let pids = pids(facts);
        let goal = ticks(time).min(end - 1);
        (end > 0 && !pids.is_empty()).then(|| Self {
            pids,
            goal,
            end,
            origin: None,
            low: Place { offset: 0, ticks: 0 },
            high: Place { offset: length, ticks: end },
            probes_left: (length / NEAR_BYTES).checked_ilog2().map_or(0, |halvings| halvings + 2),
            probe: 0,
            windows: 0,
            window: window(0, length),
            reads_left: BISECTION_READS_MAX,
            ended: None,
        })
    }

    /// What it does next. Says the same until it is given what it asks for.
    pub fn step(&self) -> Search {
        self.ended.clone().unwrap_or_else(|| Search::Read(self.window.clone()))
    }

    /// The bytes that it asked for last, which begin there.
    pub fn supply(&mut self, offset: u64, bytes: &[u8]) {
        if self.ended.is_some() {
            return;
        }
        self.reads_left -= 1;
        self.windows += 1;
        if self.origin.is_none() {
            self.origin = self.begin(offset, bytes);
        }
        match self.origin {
            Some((stride, first)) => self.look(offset, bytes, stride, first),
            None => self.look_on(),
        }
        if self.reads_left == 0 {
            self.end();
        }
    }

    /// What it asked for last can't be had.
    pub fn cannot_read(&mut self) {
        self.ended.get_or_insert(Search::Failed(Fault::Unreadable));
    }

    /// Where packets lie, and the first time there is.
    fn begin(&self, offset: u64, bytes: &[u8]) -> Option<(Stride, Ticks)> {
        let stride = Stride::of_head(bytes)?;
        let shown = self.times(offset, bytes, stride).map(|(_, _, time)| time.0);
        let first = shown.reduce(|first, time| if time.since(first) < 0 { time } else { first })?;
        Some((stride, first))
    }

    /// The times in a part of the file: where each is, of which PID, when that is shown and when it is decoded.
    fn times<'a>(
        &'a self,
        offset: u64,
        bytes: &'a [u8],
        stride: Stride,
    ) -> impl Iterator<Item = (u64, u16, (Ticks, Ticks))> + 'a {
        Packets::new(bytes, offset, stride).filter_map(|packet| {
            let header = elementary::header(packet.payload).filter(|_| packet.is_start)?;
            let shown = header.shown.filter(|_| self.pids.contains(&packet.pid))?;
            Some((packet.offset, packet.pid, (shown, header.decoded.unwrap_or(shown))))
        })
    }

    fn look(&mut self, offset: u64, bytes: &[u8], stride: Stride, first: Ticks) {
        // In the order of decoding times go up. The first picture is decoded a little before it is shown.
        let place = |(offset, pid, (_, decoded)): (u64, u16, (Ticks, Ticks))| {
            let ticks = decoded.since(first);
            let is_within = (-TICKS_A_SECOND..=self.end).contains(&ticks);
            is_within.then_some((pid, Place { offset, ticks: ticks.max(0) }))
        };
        let places: Vec<_> = self.times(offset, bytes, stride).filter_map(place).collect();
        let Some(pid) = self.pids.iter().find(|pid| places.iter().any(|(other, _)| other == *pid)) else {
            return self.look_on();
        };
        let (pid, mut is_early) = (*pid, false);
        for (_, place) in places.into_iter().filter(|(other, _)| *other == pid) {
            if place.ticks > self.goal {
                // Between the probe's start and its first time there is none.
                let offset = if is_early { place.offset } else { self.probe };
                self.high = Place { offset: offset.max(self.low.offset), ticks: place.ticks };
                break;
            }
            is_early = true;
            self.low = place;
        }
        self.next_probe();
    }

    /// Goes on behind a window without times, for a while.
    fn look_on(&mut self) {
        self.window = window(self.window.end, self.high.offset);
        if !self.window.is_empty() && self.windows < PROBE_WINDOWS_MAX {
            return;
        }
        if self.origin.is_none() {
            self.ended = Some(Search::Failed(Fault::Broken("no times at the start of the transport stream")));
            return;
        }
        // Before it there are times, and a place that is too early is better than one that is too late.
        self.high.offset = self.probe.max(self.low.offset);
        self.next_probe();
    }

    fn next_probe(&mut self) {
        // Whoever supplies other bytes than it asked for may turn the two places round.
        let bytes = self.high.offset.saturating_sub(self.low.offset);
        if bytes <= NEAR_BYTES || self.goal - self.low.ticks <= NEAR_TICKS {
            return self.end();
        }
        // The place is in the middle of what is read, and some of that is new.
        let into = self.part(bytes).saturating_sub(TS_WINDOW_BYTES / 2).clamp(1, bytes - TS_WINDOW_BYTES);
        self.probe = self.low.offset + into;
        self.windows = 0;
        self.probes_left = self.probes_left.saturating_sub(1);
        self.window = window(self.probe, self.high.offset);
    }

    /// How far between the two places to look next: where an even rate has the time, but a little nearer the middle, so that the
    /// time comes to lie between two places that are near each other; and not so far from the middle that halving what is left
    /// would have been done sooner by more than one probe (the ITP method of Oliveira and Takahashi, 2020).
    fn part(&self, bytes: u64) -> u64 {
        let (middle, guess) = (bytes / 2, self.guess(bytes));
        let towards_middle = (bytes / TOWARDS_MIDDLE).max(TS_WINDOW_BYTES).min(guess.abs_diff(middle));
        let could_halve = (NEAR_BYTES / 2).saturating_mul(1 << self.probes_left.min(32));
        let from_middle = (guess.abs_diff(middle) - towards_middle).min(could_halve.saturating_sub(middle));
        if guess < middle { middle - from_middle } else { middle + from_middle }
    }

    /// As if the rate were even between the two places.
    fn guess(&self, bytes: u64) -> u64 {
        let part = (self.goal - self.low.ticks).max(0) as u128;
        let whole = (self.high.ticks - self.low.ticks).max(1) as u128;
        u64::try_from(u128::from(bytes) * part / whole).unwrap_or(u64::MAX).min(bytes)
    }

    fn end(&mut self) {
        let found = Point { micros: micros(self.low.ticks), offset: self.low.offset };
        self.ended.get_or_insert(Search::Found(found));
    }
}

/// As much of a file from there on as one look takes.
fn window(from: u64, end: u64) -> Range<u64> {
    from..from.saturating_add(TS_WINDOW_BYTES).min(end)
}

fn ticks(time: Duration) -> i64 {
    let ticks = time.as_micros().saturating_mul(9) / 100;
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

/// The PIDs of pictures, then those of sound.
fn pids(facts: &Facts) -> Vec<u16> {
    let of = |is_kind: fn(&TrackKind) -> bool| {
        let tracks = facts.tracks.iter().filter(move |track| is_kind(&track.kind));
        tracks.filter_map(|track| u16::try_from(track.id).ok())
    };
    let video = of(|kind| matches!(kind, TrackKind::Video(_)));
    video.chain(of(|kind| matches!(kind, TrackKind::Audio(_)))).collect()
}
