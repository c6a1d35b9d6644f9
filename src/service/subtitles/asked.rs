//! What a player asks of a subtitle in the query.

use std::ops::Range;

/// A day, in milliseconds: far more than any film.
const MS_MAX: i64 = 86_400_000;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// `offset_ms`: by how much later cues are shown, or earlier.
    pub(super) offset_ms: i64,
    /// `from_ms` and `to_ms`: only what is seen in between.
    pub(super) window_ms: Option<Range<u64>>,
}

impl Asked {
    /// Of a query; an error says what it should be. What else is in it is for others.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, String> {
        let offset_ms = number(query, "offset_ms", -MS_MAX)?.unwrap_or(0);
        let window_ms = match (number(query, "from_ms", 0)?, number(query, "to_ms", 0)?) {
            (None, None) => None,
            (Some(from), Some(to)) if from < to => Some(from.unsigned_abs()..to.unsigned_abs()),
            _ => return Err("from_ms and to_ms go together, and the first is smaller".to_owned()),
        };
        Ok(Self { offset_ms, window_ms })
    }
}

fn number(query: Option<&str>, name: &str, least: i64) -> Result<Option<i64>, String> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let Some(value) = values.next_back() else { return Ok(None) };
    let number = value.parse().ok().filter(|number| (least..=MS_MAX).contains(number));
    let wrong = || format!("{name} is a number of milliseconds from {least} to {MS_MAX}, such as 1500");
    number.ok_or_else(wrong).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_number_of_milliseconds_or_refused() {
        let offset = |query| Asked::parse(query).map(|asked| asked.offset_ms);
        assert_eq!(offset(None), Ok(0));
        assert_eq!(offset(Some("download=1")), Ok(0));
        assert_eq!(offset(Some("a=b&offset_ms=-1500")), Ok(-1500));
        for wrong in ["offset_ms=", "offset_ms=1.5", "offset_ms=99999999999999999999", "offset_ms=-86400001"]
        {
            assert!(offset(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stretch_of_time_has_two_ends_in_their_order() {
        let window = |query| Asked::parse(Some(query)).map(|asked| asked.window_ms);
        assert_eq!(window("from_ms=1000&to_ms=2500"), Ok(Some(1000..2500)));
        assert_eq!(window("offset_ms=5"), Ok(None));
        for wrong in ["from_ms=1", "to_ms=1", "from_ms=2&to_ms=2", "from_ms=-1&to_ms=2", "from_ms=a&to_ms=2"]
        {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
