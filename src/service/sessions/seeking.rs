//! A place in a file, from what a user said of it.

use std::ops::Range;
use std::time::Duration;

use afflux_media::container::search::Found;

use crate::service::films::Film;
use crate::service::refusal::{Code, Refusal};
use crate::service::shapes::SeekWish;

/// What is fetched at a place that was sought, before the player asks: about two seconds of a film. Between two key frames there
/// may be more, which the player reads on its way to the picture.
const SEEK_BYTES: Range<u64> = 4 * 1024 * 1024..16 * 1024 * 1024;

/// A place in a file, from what a user said.
#[derive(Debug, PartialEq)]
pub(super) struct Sought {
    /// What is to be there first.
    pub(super) bytes: Range<u64>,
    pub(super) seconds: Option<f64>,
    /// When the key frame before it is shown, where the file's index says.
    pub(super) key_frame_seconds: Option<f64>,
    /// The film's length, as far as it is known.
    pub(super) duration: Option<f64>,
    pub(super) method: &'static str,
}

/// The time that a user means, if it is one of the film's.
pub(super) fn time_of(wish: &SeekWish, film: &Film) -> Option<Duration> {
    let duration = film.seconds()?;
    let seconds = match (wish.fraction, wish.seconds) {
        (Some(part), None) if (0.0..=1.0).contains(&part) => duration * part,
        (None, Some(seconds)) if (0.0..=duration).contains(&seconds) => seconds,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Finds the place that a user means in a file of so many bytes: by its index if that is known, or where a search has found it.
pub(super) fn place_of(
    wish: &SeekWish,
    length: u64,
    film: Option<&Film>,
    found: Option<&Found>,
) -> Result<Sought, Refusal> {
    let outside = |what: &str| Refusal::new(Code::OutOfRange, format!("{what}; the file has {length} bytes"));
    if wish.duration.is_some_and(|duration| !duration.is_finite() || duration <= 0.0) {
        return Err(outside("\"duration\" is the film's length in seconds, and no film has none"));
    }
    // The film knows better than the player.
    let duration = film.and_then(Film::seconds).or(wish.duration);
    match (wish.bytes, wish.fraction, wish.seconds) {
        (Some(bytes), None, None) if bytes < length => {
            let by_index = film.and_then(|film| film.seconds_at(bytes));
            let seconds = by_index.or_else(|| Some(duration? * bytes as f64 / length as f64));
            Ok(Sought::at(bytes, length, seconds, duration, "exact"))
        }
        (Some(_), None, None) => Err(outside("\"bytes\" lies beyond the end")),
        (None, Some(part), None) if (0.0..=1.0).contains(&part) => match duration {
            Some(duration) => Ok(by_time(duration * part, duration, length, (film, found))),
            None => Ok(Sought::at(by_part(part, length), length, None, None, "linear")),
        },
        (None, Some(_), None) => Err(outside("\"fraction\" is a number from 0 to 1")),
        (None, None, Some(seconds)) => {
            let Some(duration) = duration else {
                let detail = "the film's length isn't known: say \"duration\" in seconds as well, or seek by \"fraction\" or \"bytes\"";
                return Err(Refusal::new(Code::OutOfRange, detail));
            };
            if !(0.0..=duration).contains(&seconds) {
                return Err(outside(&format!(
                    "\"seconds\" lies outside of the film, which lasts {duration:.1} s"
                )));
            }
            Ok(by_time(seconds, duration, length, (film, found)))
        }
        _ => {
            Err(Refusal::new(Code::BadRequest, "say exactly one of \"seconds\", \"bytes\" and \"fraction\""))
        }
    }
}

/// By the index, which leads to a key frame; by what a search found; without either by proportion, which may be half a minute off.
fn by_time(
    seconds: f64,
    duration: f64,
    length: u64,
    (film, found): (Option<&Film>, Option<&Found>),
) -> Sought {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let indexed = film.and_then(|film| Some((film.method(), film.facts.index.as_ref()?)));
    let (method, point, is_key_frame, behind) = match (indexed, found) {
        (Some((method, index)), _) => (method, index.before(time), true, index.bytes_at(time, length).end),
        (None, Some(found)) => {
            // As far as the time is from the place, at the film's mean rate.
            let gap = seconds - Duration::from_micros(found.point.micros).as_secs_f64();
            let bytes = (gap.max(0.0) / duration * length as f64) as u64;
            ("search", found.point, found.is_key_frame, found.point.offset.saturating_add(bytes))
        }
        (None, None) => {
            let at = by_part(seconds / duration, length);
            return Sought::at(at, length, Some(seconds), Some(duration), "linear");
        }
    };
    let start = point.offset.min(length.saturating_sub(1));
    let bytes = behind.saturating_sub(start).clamp(SEEK_BYTES.start, SEEK_BYTES.end);
    Sought {
        bytes: start..length.min(start + bytes),
        seconds: Some(seconds),
        key_frame_seconds: is_key_frame.then(|| Duration::from_micros(point.micros).as_secs_f64()),
        duration: Some(duration),
        method,
    }
}

fn by_part(part: f64, length: u64) -> u64 {
    ((length as f64 * part) as u64).min(length.saturating_sub(1))
}

impl Sought {
    fn at(
        start: u64,
        length: u64,
        seconds: Option<f64>,
        duration: Option<f64>,
        method: &'static str,
    ) -> Self {
        let bytes = start..length.min(start.saturating_add(SEEK_BYTES.start));
        Self { bytes, seconds, key_frame_seconds: None, duration, method }
    }
}
