//! From a track's ticks to the film's time, through its edit list (ISO 14496-12 section 8.6.6).

use std::num::NonZeroU32;

use super::boxes::{Fields, column};

pub(super) const MICROS: u64 = 1_000_000;

/// So many ticks of a clock in microseconds.
pub(super) fn micros(ticks: u64, timescale: NonZeroU32) -> u64 {
    let micros = u128::from(ticks) * u128::from(MICROS) / u128::from(timescale.get());
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// Parts of a film that are followed. Cameras write one, programs that cut without encoding a few.
const PARTS_MAX: usize = 8;

/// What an edit list shows of a track, one part after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edits {
    parts: [Edit; PARTS_MAX],
    count: usize,
    /// How long nothing is shown, if nothing else ever is; in ticks of the movie.
    delay: u64,
}

/// A part that is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Edit {
    /// When, and for how long, in ticks of the movie.
    begin: u64,
    duration: u64,
    /// What, in ticks of the track.
    media_time: u64,
}

/// A row of an `elst`.
struct Row {
    duration: u64,
    /// Nothing is shown if it is negative.
    media_time: i64,
    /// It is shown as fast as it was recorded.
    is_at_pace: bool,
}

impl Row {
    const PACE: u32 = 1 << 16;

    fn short(row: &[u8; 12]) -> Self {
        let [duration, media_time, rate] = [0, 1, 2].map(|nth| column(row, nth));
        let media_time = i64::from(media_time as i32);
        Self { duration: duration.into(), media_time, is_at_pace: rate == Self::PACE }
    }

    fn long(row: &[u8; 20]) -> Self {
        let long = |nth| u64::from(column(row, nth)) << 32 | u64::from(column(row, nth + 1));
        Self { duration: long(0), media_time: long(2) as i64, is_at_pace: column(row, 4) == Self::PACE }
    }
}

impl Edits {
    /// Of an `elst`. Where it goes back or changes the pace, what comes before that counts, and is never less than the first part.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content);
        let (version, _) = fields.full()?;
        let rows: Vec<Row> = if version == 1 {
            fields.table()?.iter().take(Self::LOOKED_AT).map(Row::long).collect()
        } else {
            fields.table()?.iter().take(Self::LOOKED_AT).map(Row::short).collect()
        };
        let (mut edits, mut begin, mut goes_on_from) = (Self::default(), 0u64, 0);
        for Row { duration, media_time, is_at_pace } in rows {
            if let Ok(media_time) = u64::try_from(media_time) {
                let is_simple = is_at_pace && media_time >= goes_on_from;
                if edits.count == PARTS_MAX || edits.count > 0 && !is_simple {
                    break;
                }
                edits.parts[edits.count] = Edit { begin, duration, media_time };
                edits.count += 1;
                goes_on_from = media_time.saturating_add(1);
            }
            begin = begin.saturating_add(duration);
        }
        edits.delay = begin;
        Some(edits)
    }

    fn parts(&self) -> &[Edit] {
        &self.parts[..self.count]
    }

    /// Edits of both kinds that are looked at.
    const LOOKED_AT: usize = 16;
}

/// A track's clock, and what of it is when in the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    timescale: NonZeroU32,
    parts: [Part; PARTS_MAX],
    /// At least one.
    count: usize,
}

/// A part of a film.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    /// In ticks of the track.
    media_time: u64,
    /// When in the film that is, and for how long.
    micros: u64,
    duration_micros: u64,
}

impl Timeline {
    pub(super) fn new(timescale: NonZeroU32, edits: Edits, movie_timescale: Option<NonZeroU32>) -> Self {
        let of_movie = |ticks| movie_timescale.map_or(0, |timescale| micros(ticks, timescale));
        let Some(first) = edits.parts().first() else {
            return Self::of_parts(timescale, 0, of_movie(edits.delay));
        };
        let mut timeline = Self::of_parts(timescale, first.media_time, of_movie(first.begin));
        // Without the movie's clock nobody knows how long a part is.
        if movie_timescale.is_some() {
            for (part, edit) in timeline.parts.iter_mut().zip(edits.parts()) {
                let (begin, end) = (of_movie(edit.begin), of_movie(edit.begin.saturating_add(edit.duration)));
                *part = Part { media_time: edit.media_time, micros: begin, duration_micros: end - begin };
            }
            timeline.count = edits.count;
        }
        timeline
    }

    /// Of one part, and what it is made of: its clock, the time that is shown first, and how long nothing is shown before it.
    pub(super) fn of_parts(timescale: NonZeroU32, media_time: u64, delay_micros: u64) -> Self {
        let mut parts = [Part::default(); PARTS_MAX];
        parts[0] = Part { media_time, micros: delay_micros, duration_micros: 0 };
        Self { timescale, parts, count: 1 }
    }

    /// What [`Self::of_parts`] makes a timeline of.
    pub(super) fn parts(&self) -> (NonZeroU32, u64, u64) {
        (self.timescale, self.parts[0].media_time, self.parts[0].micros)
    }

    pub(super) fn timescale(&self) -> NonZeroU32 {
        self.timescale
    }

    /// When in the film a time of the track is. What is before the film's start is at its start, and what is left out is where the
    /// part before it ends.
    pub(super) fn micros(&self, ticks: i128) -> u64 {
        let (part, is_last) = self.part(|part| i128::from(part.media_time) <= ticks);
        let into = ticks.saturating_sub(part.media_time.into()).saturating_mul(MICROS.into());
        let into = into.div_euclid(self.timescale.get().into());
        let into = if is_last { into } else { into.min(part.duration_micros.into()) };
        u64::try_from(into.saturating_add(part.micros.into()).max(0)).unwrap_or(u64::MAX)
    }

    /// The track's time at a time of the film.
    pub(super) fn ticks(&self, micros: u64) -> u64 {
        let (part, is_last) = self.part(|part| part.micros <= micros);
        let into = i128::from(micros) - i128::from(part.micros);
        let into = if is_last { into } else { into.min(part.duration_micros.into()) };
        let ticks =
            into * i128::from(self.timescale.get()) / i128::from(MICROS) + i128::from(part.media_time);
        u64::try_from(ticks.max(0)).unwrap_or(u64::MAX)
    }

    /// The last part that has begun, or else the first; and whether none comes after it.
    fn part(&self, has_begun: impl Fn(&Part) -> bool) -> (Part, bool) {
        let begun = self.parts[..self.count].iter().take_while(|part| has_begun(part)).count();
        let nth = begun.saturating_sub(1);
        (self.parts[nth], nth + 1 == self.count)
    }
}
