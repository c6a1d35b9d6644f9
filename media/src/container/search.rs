//! Finding the byte of a time in a file that has no index.
//!
//! What is alike in all containers is here: where to look next. What places with times look like is each container's own business:
//! packets of a transport stream, Clusters of Matroska, fragments of MP4. AVI without an index can't be searched: its chunks don't
//! say when they are shown.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{Container, Facts};
use super::index::Point;
use super::inspect::Fault;
use super::{matroska, mp4, ts};
use crate::limits::{
    LOOK_BACK_BYTES_MAX, PROBE_BYTES_MAX, SEARCH_BYTES_MAX, SEARCH_READS_MAX, SEARCH_WINDOW_BYTES_MAX,
    TS_PROBE_BYTES_MAX, TS_WINDOW_BYTES,
};

/// A place so little before the wanted one is good: players look for a key frame around there, and those are farther apart.
const NEAR_MICROS: u64 = 1_000_000;

/// The same in bytes, for packets, which are everywhere: what comes along with them anyway, since pieces are mostly larger.
const NEAR_BYTES: u64 = 4 * TS_WINDOW_BYTES;

/// What is read first at a place.
const WINDOW_BYTES: u64 = TS_WINDOW_BYTES;

/// What is read beyond a place that is known to be too late, so that one which begins right before it is seen whole.
const OVERLAP_BYTES: u64 = 64;

/// The same on the way back to a key frame: as far from the start of a Cluster as writers leave one, and a small fragment's `moof`.
const BACK_OVERLAP_BYTES: u64 = 8 << 10;

/// How long a Cluster or a fragment is, until one has shown it: programs end them after five seconds at the most.
const SPACING_MICROS: u64 = 5_000_000;

/// So far away, the next place is gone to from one whose end is known, which takes a window each; looking for a place anywhere
/// takes half of what is between two.
const HOPS: u64 = 2;

/// The guess is moved towards the middle by this part of what is between the two places: measured on a film whose rate is ten
/// times as high every now and then, half and double took more reads.
const TOWARDS_MIDDLE: u64 = 32;

/// After so many guesses that were all too late, or all too early, the rate is nothing to guess by.
const ONE_SIDED_MAX: u32 = 3;

/// What a search does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// It needs these bytes of the file: [`Seek::supply`].
    Read(Range<u64>),
    /// It has ended with a place.
    Found(Found),
    /// It has ended with nothing.
    Failed(Fault),
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// From where a player reaches the time: at it or before it.
    pub point: Point,
    /// The pictures there are known to need no others. Players that start elsewhere wait for such.
    pub is_key_frame: bool,
    /// What it met on the way, for [`Facts::learn`]. Not all of them begin with a key frame.
    pub learnt: Vec<Point>,
}

/// What a search needs to know of a file besides its tracks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searchable(pub(super) Layout);

/// How places with times lie in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Layout {
    /// In Clusters, between those offsets, of which the last may lie beyond the end of a file that was cut off; with ticks of so many nanoseconds; the number of the pictures' track.
    Clusters { begin: u64, end: u64, tick_nanos: u64, pictures: Option<u64> },
    /// In fragments, from an offset on.
    Fragments { begin: u64, track: FragmentedTrack },
}

/// What fragments don't say of the track whose times they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FragmentedTrack {
    pub(super) id: u32,
    pub(super) timescale: NonZeroU32,
    /// The track's time that is shown first, in ticks, and how long nothing is shown before it.
    pub(super) media_time: u64,
    pub(super) delay_micros: u64,
    pub(super) sample_ticks: u32,
    pub(super) sample_flags: u32,
}

/// A place in the file that has a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) micros: u64,
    /// No other begins before that, if it says so.
    pub(super) end: Option<u64>,
    /// Whether it begins with a key frame, as far as that can be told.
    pub(super) is_key: Option<bool>,
}

/// What there is in a part of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// In the file's order.
    pub(super) places: Vec<Place>,
    /// From where to look on: something may begin there that isn't whole.
    pub(super) resume: u64,
    /// As many bytes as that takes, if it says so.
    pub(super) wanted: u64,
}

/// How places are recognised.
#[derive(Debug)]
enum Signs {
    Packets(ts::Places),
    Clusters(matroska::Places),
    Fragments(mp4::Places),
}

impl Signs {
    /// For a file of so many bytes: how, and between which offsets; the last is behind the file's end if that was cut off.
    fn of(facts: &Facts, length: u64, end_micros: u64) -> Option<(Self, Range<u64>)> {
        match &facts.searchable {
            None if facts.container == Container::MpegTs => {
                Some((Self::Packets(ts::Places::new(facts, end_micros)?), 0..length))
            }
            &Some(Searchable(Layout::Clusters { begin, end, tick_nanos, pictures })) => {
                let within = begin..end.min(length);
                Some((Self::Clusters(matroska::Places::new(within, tick_nanos, pictures)), begin..end))
            }
            &Some(Searchable(Layout::Fragments { begin, track })) => {
                Some((Self::Fragments(mp4::Places::new(track, length)), begin..length))
            }
            None => None,
        }
    }

    fn look(&self, offset: u64, bytes: &[u8]) -> Looked {
        match self {
            Self::Packets(packets) => packets.look(offset, bytes),
            Self::Clusters(clusters) => clusters.look(offset, bytes),
            Self::Fragments(fragments) => fragments.look(offset, bytes),
        }
    }

    fn are_everywhere(&self) -> bool {
        matches!(self, Self::Packets(_))
    }

    /// As much of the file as may have none.
    fn probe_bytes_max(&self) -> u64 {
        if self.are_everywhere() { TS_PROBE_BYTES_MAX } else { PROBE_BYTES_MAX }
    }
}

/// What a window is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The start of a transport stream, whose first time the others are counted from.
    Start,
    /// A place between one that is too early and one that is too late.
    Between,
    /// A key frame before the place that was found; what begins from there on was looked at.
    Back { from: u64 },
}

/// A search for one time in a file without an index.
///
/// Drive it as an [`Inspection`](crate::container::Inspection): it reads at a place where an even rate would have the time, goes
/// on there until it meets a place that has one, and so comes nearer from both sides. That takes two to seven places in an
/// honest film, of mostly one read each. Points that were learnt before narrow it from the start.
///
/// Whatever a file is, it ends within [`SEARCH_READS_MAX`] reads and [`SEARCH_BYTES_MAX`] bytes, with a place that isn't behind
/// the time.
#[derive(Debug)]
pub struct Seek {
    signs: Signs,
    within: Range<u64>,
    goal: u64,
    phase: Phase,
    /// The last place that isn't too late. None begins between it and `clear`.
    low: Place,
    clear: u64,
    /// Whatever begins there or behind it is too late.
    high: Point,
    /// From there to `low` everything was looked at, and this is the last key frame in it.
    region: u64,
    key: Option<Place>,
    /// About how far places are from each other.
    spacing: u64,
    /// As many as halving takes to the end, and one more.
    probes_left: u32,
    /// How many guesses in a row were too late, and how many too early.
    too_late: u32,
    too_early: u32,
    probe: u64,
    window: Range<u64>,
    reads_left: u32,
    bytes_left: u64,
    learnt: Vec<Point>,
    ended: Option<Search>,
}

impl Seek {
    /// For a time in a file of which that is known, and of so many bytes. `None` if it has an index, or nothing to search by.
    pub fn new(facts: &Facts, length: u64, time: Duration) -> Option<Self> {
        let end_micros = u64::try_from(facts.duration?.as_micros()).ok().filter(|&micros| micros > 0)?;
        let is_indexed = facts.index.is_some();
        let (signs, whole) = Signs::of(facts, length, end_micros).filter(|_| !is_indexed)?;
        let goal = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).min(end_micros - 1);
        let within = whole.start..whole.end.min(length);
        if within.is_empty() {
            return None;
        }
        let start = Point { micros: 0, offset: within.start };
        let learnt = facts.learnt.as_ref().map_or(&[][..], |learnt| learnt.points());
        let known = || learnt.iter().filter(|point| within.contains(&point.offset));
        let low = known().rfind(|point| point.micros <= goal).copied().unwrap_or(start);
        let cut_micros = part_of(end_micros, within.end - within.start, whole.end - whole.start);
        let end = Point { micros: cut_micros, offset: within.end };
        let high = known().find(|point| point.micros > goal).copied().unwrap_or(end);
        let bytes_of = |micros| part_of(whole.end - whole.start, micros, end_micros);
        let spacing = if signs.are_everywhere() { 0 } else { bytes_of(SPACING_MICROS).min(PROBE_BYTES_MAX) };
        let halvings = ((within.end - within.start) / NEAR_BYTES).checked_ilog2();
        let mut seek = Self {
            phase: if signs.are_everywhere() { Phase::Start } else { Phase::Between },
            window: within.start..within.end.min(within.start.saturating_add(WINDOW_BYTES)),
            signs,
            goal,
            low: Place { offset: low.offset, micros: low.micros, end: None, is_key: None },
            clear: low.offset,
            high,
            region: low.offset,
            key: None,
            spacing: spacing.max(WINDOW_BYTES / 2),
            probes_left: halvings.map_or(0, |halvings| halvings + 2),
            too_late: 0,
            too_early: 0,
            probe: within.start,
            within,
            reads_left: SEARCH_READS_MAX,
            bytes_left: SEARCH_BYTES_MAX,
            learnt: vec![start],
            ended: None,
        };
        if seek.phase == Phase::Between {
            seek.next_probe();
        }
        Some(seek)
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
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        match self.phase {
            Phase::Start => self.begin(offset, bytes),
            Phase::Between => self.look(offset, bytes),
            Phase::Back { from } => self.look_back(offset, bytes, from),
        }
        if self.reads_left == 0 || self.window.end - self.window.start > self.bytes_left {
            self.tell(self.low);
        }
    }

    /// What it asked for last can't be had.
    pub fn cannot_read(&mut self) {
        match self.phase {
            // What was found is good, if not the best.
            Phase::Back { .. } => self.tell(self.low),
            Phase::Start | Phase::Between => {
                self.ended.get_or_insert(Search::Failed(Fault::Unreadable));
            }
        }
    }

    fn begin(&mut self, offset: u64, bytes: &[u8]) {
        let Signs::Packets(packets) = &mut self.signs else { return };
        if packets.begin(offset, bytes) {
            self.phase = Phase::Between;
            return if self.low.offset == self.within.start {
                self.look(offset, bytes)
            } else {
                self.next_probe()
            };
        }
        let next = self.window.end;
        if next - self.within.start < TS_PROBE_BYTES_MAX && next < self.within.end {
            self.window = next..self.within.end.min(next + WINDOW_BYTES);
        } else {
            let fault = Fault::Broken("no times at the start of the transport stream");
            self.ended = Some(Search::Failed(fault));
        }
    }

    fn look(&mut self, offset: u64, bytes: &[u8]) {
        let looked = self.signs.look(offset, bytes);
        // Whoever supplies other bytes than it asked for may show places anywhere.
        let between = self.low.offset..self.high.offset;
        let places = || looked.places.iter().filter(|place| between.contains(&place.offset));
        self.measure(&looked.places);
        let late = places().find(|place| place.micros > self.goal);
        let is_early = |place: &&Place| late.is_none_or(|late| place.offset < late.offset);
        let early = places().rfind(is_early).copied();
        let key = places().filter(is_early).rfind(|place| place.is_key == Some(true)).copied();
        if early.is_none() && late.is_none() {
            return self.look_on(&looked);
        }
        if self.probe > self.clear {
            (self.too_late, self.too_early) = match early {
                Some(_) => (0, self.too_early + 1),
                None => (self.too_late + 1, 0),
            };
        }
        if let Some(early) = early {
            self.region = if self.probe > self.clear { self.probe } else { self.region };
            self.key = key.or(self.key);
            self.low = early;
            self.clear = early.end.unwrap_or(looked.resume).max(early.offset + 1);
            self.learnt.push(early.point());
        }
        if let Some(late) = late {
            self.learnt.push(late.point());
            // Between the probe's start and its first place there is none.
            let offset = if early.is_some() { late.offset } else { self.probe.max(self.low.offset) };
            self.high = Point { offset, micros: late.micros };
        }
        self.next_probe();
    }

    /// How far places are from each other there.
    fn measure(&mut self, places: &[Place]) {
        if self.signs.are_everywhere() {
            return;
        }
        let by_ends = places.iter().filter_map(|place| Some((place.end?).saturating_sub(place.offset)));
        let by_starts = places.windows(2).map(|two| two[1].offset.saturating_sub(two[0].offset));
        if let Some(spacing) = by_ends.chain(by_starts).max() {
            self.spacing = spacing.clamp(WINDOW_BYTES / 2, PROBE_BYTES_MAX);
        }
    }

    /// Goes on behind a window without places, for a while.
    fn look_on(&mut self, looked: &Looked) {
        let is_too_long = looked.wanted > self.window.end - self.window.start;
        let goes_on = looked.resume > self.window.start || is_too_long;
        let next = if goes_on { looked.resume } else { self.window.end };
        let seen = next.saturating_sub(self.probe);
        if next < self.high.offset && seen < self.signs.probe_bytes_max() {
            let twice = (2 * (self.window.end - self.window.start)).min(SEARCH_WINDOW_BYTES_MAX);
            return self.read(next, twice, looked.wanted);
        }
        // Before it there are places, and one that is too early is better than one that is too late.
        self.high.offset = self.probe.max(self.low.offset);
        self.next_probe();
    }

    fn next_probe(&mut self) {
        let bytes = self.high.offset.saturating_sub(self.low.offset);
        let near_bytes = if self.signs.are_everywhere() { NEAR_BYTES } else { 0 };
        let is_near = bytes <= near_bytes || self.goal.saturating_sub(self.low.micros) <= NEAR_MICROS;
        let is_looked_at = self.region < self.clear;
        // What is near may have the key frame in it, which is far better than the one before.
        let is_good = is_near && is_looked_at && self.low.is_key != Some(false);
        if self.clear >= self.high.offset || is_good {
            return self.settle();
        }
        let aim = (self.low.offset + self.part(bytes)).saturating_sub(self.spacing);
        let before_high = self.high.offset.saturating_sub(WINDOW_BYTES);
        let is_wide = self.low.end.is_some() && self.spacing >= SEARCH_WINDOW_BYTES_MAX;
        let is_hop = is_wide && aim <= self.clear.saturating_add(HOPS * self.spacing);
        self.probe = if is_near || is_hop { self.clear } else { aim.min(before_high).max(self.clear) };
        self.probes_left = self.probes_left.saturating_sub(1);
        // What is on the way from there to the guess is read at once.
        let to_guess = (self.low.offset + self.guess(bytes)).saturating_sub(self.probe);
        let window =
            if self.probe == self.clear && !is_wide { to_guess + WINDOW_BYTES / 2 } else { WINDOW_BYTES };
        self.read(self.probe, window.clamp(WINDOW_BYTES, SEARCH_WINDOW_BYTES_MAX), 0);
    }

    /// Reads so many bytes, but for those that are too late; what wants more to be whole gets it.
    fn read(&mut self, from: u64, bytes: u64, wanted: u64) {
        let end = self.high.offset.saturating_add(OVERLAP_BYTES).min(from.saturating_add(bytes));
        self.window = from..end.max(from.saturating_add(wanted)).min(self.within.end);
    }

    /// How far between the two places to look next: where an even rate has the time, but a little nearer the middle, so that the
    /// time comes to lie between two places that are near each other; and not so far from the middle that halving what is left
    /// would have been done sooner by more than one probe (the ITP method of Oliveira and Takahashi, 2020).
    fn part(&self, bytes: u64) -> u64 {
        let (middle, guess) = (bytes / 2, self.guess(bytes));
        if self.too_late.max(self.too_early) >= ONE_SIDED_MAX {
            return middle;
        }
        let towards_middle = (bytes / TOWARDS_MIDDLE).max(WINDOW_BYTES).min(guess.abs_diff(middle));
        let could_halve = (NEAR_BYTES / 2).saturating_mul(1 << self.probes_left.min(32));
        let from_middle = (guess.abs_diff(middle) - towards_middle).min(could_halve.saturating_sub(middle));
        if guess < middle { middle - from_middle } else { middle + from_middle }
    }

    /// As if the rate were even between the two places.
    fn guess(&self, bytes: u64) -> u64 {
        let part = self.goal.saturating_sub(self.low.micros);
        part_of(bytes, part, self.high.micros.saturating_sub(self.low.micros)).min(bytes)
    }

    /// There is no later place before the time. If it isn't one that a player can begin with, an earlier one is looked for.
    fn settle(&mut self) {
        let key = self.key.filter(|key| key.offset >= self.region);
        match key {
            _ if self.low.is_key != Some(false) => self.tell(self.low),
            Some(key) => self.tell(key),
            None => self.go_back(self.region),
        }
    }

    fn go_back(&mut self, from: u64) {
        let floor = self.within.start.max(self.region.saturating_sub(LOOK_BACK_BYTES_MAX));
        if from <= floor {
            return self.tell(self.low);
        }
        let begin = from.saturating_sub(SEARCH_WINDOW_BYTES_MAX - BACK_OVERLAP_BYTES).max(floor);
        self.phase = Phase::Back { from };
        self.window = begin..from.saturating_add(BACK_OVERLAP_BYTES).min(self.within.end);
    }

    fn look_back(&mut self, offset: u64, bytes: &[u8], from: u64) {
        let looked = self.signs.look(offset, bytes);
        let is_before = |place: &&Place| place.offset < from && place.micros <= self.low.micros;
        let key = looked.places.iter().filter(is_before).rfind(|place| place.is_key == Some(true));
        match key {
            Some(&key) => self.tell(key),
            None => self.go_back(self.window.start),
        }
    }

    fn tell(&mut self, place: Place) {
        self.learnt.push(place.point());
        let learnt = std::mem::take(&mut self.learnt);
        let is_key_frame = place.is_key == Some(true);
        self.ended.get_or_insert(Search::Found(Found { point: place.point(), is_key_frame, learnt }));
    }
}

impl Place {
    fn point(self) -> Point {
        Point { micros: self.micros, offset: self.offset }
    }
}

/// So much of something as a part is of a whole.
fn part_of(of: u64, part: u64, whole: u64) -> u64 {
    let product = u128::from(of) * u128::from(part);
    u64::try_from(product / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}
