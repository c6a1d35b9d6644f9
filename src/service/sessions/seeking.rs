//! A place in a file, from what a user said of it.

use crate::service::refusal::{Code, Refusal};
use crate::service::shapes::SeekWish;

/// A place in a file, from what a user said.
pub(super) struct Sought {
    pub(super) byte_offset: u64,
    pub(super) seconds: Option<f64>,
    pub(super) duration: Option<f64>,
    pub(super) method: &'static str,
}

pub(super) fn place_of(wish: &SeekWish, length: u64) -> Result<Sought, Refusal> {
    let outside = |what: &str| Refusal::new(Code::OutOfRange, format!("{what}; the file has {length} bytes"));
    let duration = wish.duration;
    if duration.is_some_and(|duration| !duration.is_finite() || duration <= 0.0) {
        return Err(outside("\"duration\" is the film's length in seconds, and no film has none"));
    }
    let by_part = |part: f64| ((length as f64 * part) as u64).min(length.saturating_sub(1));
    match (wish.bytes, wish.fraction, wish.seconds) {
        (Some(bytes), None, None) if bytes < length => {
            let seconds = duration.map(|duration| duration * bytes as f64 / length as f64);
            Ok(Sought { byte_offset: bytes, seconds, duration, method: "exact" })
        }
        (Some(_), None, None) => Err(outside("\"bytes\" lies beyond the end")),
        (None, Some(part), None) if (0.0..=1.0).contains(&part) => {
            let seconds = duration.map(|duration| duration * part);
            Ok(Sought { byte_offset: by_part(part), seconds, duration, method: "linear" })
        }
        (None, Some(_), None) => Err(outside("\"fraction\" is a number from 0 to 1")),
        (None, None, Some(seconds)) => {
            let Some(duration) = duration else {
                let detail = "the film's length isn't known: say \"duration\" in seconds as well, or seek by \"fraction\" or \"bytes\"";
                return Err(Refusal::new(Code::OutOfRange, detail));
            };
            if !(0.0..=duration).contains(&seconds) {
                return Err(outside("\"seconds\" lies outside of the film"));
            }
            let byte_offset = by_part(seconds / duration);
            Ok(Sought { byte_offset, seconds: Some(seconds), duration: Some(duration), method: "linear" })
        }
        _ => {
            Err(Refusal::new(Code::BadRequest, "say exactly one of \"seconds\", \"bytes\" and \"fraction\""))
        }
    }
}
