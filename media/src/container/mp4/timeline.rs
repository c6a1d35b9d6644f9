//! From a track's ticks to the film's time, through its edit list (ISO 14496-12 section 8.6.6).

use std::num::NonZeroU32;

use super::boxes::{Fields, column};

pub(super) const MICROS: u64 = 1_000_000;

/// So many ticks of a clock in microseconds.
pub(super) fn micros(ticks: u64, timescale: NonZeroU32) -> u64 {
    let micros = u128::from(ticks) * u128::from(MICROS) / u128::from(timescale.get());
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// What of an edit list matters for where a film's time begins: what comes first in it. Cuts further on aren't followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edits {
    /// How long nothing is shown at first, in ticks of the movie.
    delay: u64,
    /// What is shown then, in ticks of the track.
    media_time: u64,
}

impl Edits {
    /// Of an `elst`.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content);
        let (version, _) = fields.full()?;
        let edits: Vec<(u64, i64)> = if version == 1 {
            let rows = fields.table::<20>()?;
            let long =
                |row: &[u8; 20], nth| u64::from(column(row, nth)) << 32 | u64::from(column(row, nth + 1));
            rows.iter().take(Self::LOOKED_AT).map(|row| (long(row, 0), long(row, 2) as i64)).collect()
        } else {
            let rows = fields.table::<12>()?;
            let short = |row: &[u8; 12]| (u64::from(column(row, 0)), i64::from(column(row, 1) as i32));
            rows.iter().take(Self::LOOKED_AT).map(short).collect()
        };
        let mut delay = 0u64;
        for (duration, media_time) in edits {
            match u64::try_from(media_time) {
                Ok(media_time) => return Some(Self { delay, media_time }),
                // Nothing is shown for that long.
                Err(_) => delay = delay.saturating_add(duration),
            }
        }
        Some(Self { delay, media_time: 0 })
    }

    /// Edits that say nothing is shown, before one that shows something. Files have one.
    const LOOKED_AT: usize = 16;
}

/// A track's clock and where it begins in the film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    timescale: NonZeroU32,
    media_time: u64,
    delay_micros: u64,
}

impl Timeline {
    pub(super) fn new(timescale: NonZeroU32, edits: Edits, movie_timescale: Option<NonZeroU32>) -> Self {
        let delay_micros = movie_timescale.map_or(0, |timescale| micros(edits.delay, timescale));
        Self { timescale, media_time: edits.media_time, delay_micros }
    }

    /// What it is made of: its clock, the time that is shown first, and how long nothing is shown before it.
    pub(super) fn parts(&self) -> (NonZeroU32, u64, u64) {
        (self.timescale, self.media_time, self.delay_micros)
    }

    pub(super) fn of_parts(timescale: NonZeroU32, media_time: u64, delay_micros: u64) -> Self {
        Self { timescale, media_time, delay_micros }
    }

    pub(super) fn timescale(&self) -> NonZeroU32 {
        self.timescale
    }

    /// When in the film a time of the track is; what is before the film's start is at its start.
    pub(super) fn micros(&self, ticks: i128) -> u64 {
        let ticks = ticks.saturating_sub(self.media_time.into());
        let micros = ticks.saturating_mul(MICROS.into()).div_euclid(self.timescale.get().into());
        u64::try_from(micros.saturating_add(self.delay_micros.into()).max(0)).unwrap_or(u64::MAX)
    }

    /// The track's time at a time of the film.
    pub(super) fn ticks(&self, micros: u64) -> u64 {
        let micros = i128::from(micros) - i128::from(self.delay_micros);
        let ticks =
            micros * i128::from(self.timescale.get()) / i128::from(MICROS) + i128::from(self.media_time);
        u64::try_from(ticks.max(0)).unwrap_or(u64::MAX)
    }
}
