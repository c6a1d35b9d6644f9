//! Quantities as people write them, a number and a unit: `256 MiB`, `8 Mbit/s`, `40 ms`, `20 %`, `6 /min`.
//!
//! Numbers are read exactly, as nanounits in integers: the same text is the same scenario on any machine.

use std::time::Duration;

/// One billion: numbers may have nine digits behind the point.
const NANO: u128 = 1_000_000_000;
/// Longer numbers say nothing and might overflow.
const DIGITS_MAX: usize = 15;

/// A unit and what it is worth.
type Unit = (&'static str, u64);

/// Units of sizes, in bytes.
const SIZES: [Unit; 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Units of rates, in bits per second.
const RATES: [Unit; 10] = [
    ("B/s", 8),
    ("KiB/s", 8 << 10),
    ("MiB/s", 8 << 20),
    ("GiB/s", 8 << 30),
    ("kB/s", 8000),
    ("MB/s", 8_000_000),
    ("bit/s", 1),
    ("kbit/s", 1000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
];

/// Units of durations, in microseconds.
const DURATIONS: [Unit; 5] =
    [("us", 1), ("ms", 1000), ("s", 1_000_000), ("min", 60_000_000), ("h", 3_600_000_000)];

/// Units of arrival rates, per day.
const PACES: [Unit; 3] = [("/s", 86_400), ("/min", 1440), ("/h", 24)];

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It doesn't begin with a number.
    Number,
    /// The number has no unit, or none that is known; this one is close.
    Unit {
        /// The whole text with the unit that was probably meant.
        meant: Option<String>,
    },
}

/// Bytes.
pub(super) fn size(text: &str) -> Result<u64, Unreadable> {
    let (nano, unit) = parse(text, &SIZES)?;
    Ok(saturated(nano * u128::from(unit) / NANO))
}

/// Bytes per second.
pub(super) fn rate(text: &str) -> Result<u64, Unreadable> {
    let (nano, unit) = parse(text, &RATES)?;
    Ok(saturated(nano * u128::from(unit) / NANO / 8))
}

/// A time.
pub(super) fn duration(text: &str) -> Result<Duration, Unreadable> {
    let (nano, unit) = parse(text, &DURATIONS)?;
    Ok(Duration::from_nanos(saturated(nano * u128::from(unit) / (NANO / 1000))))
}

/// A fraction: `20 %` is 0.2.
pub(super) fn fraction(text: &str) -> Result<f64, Unreadable> {
    let (nano, unit) = parse(text, &[("%", 1)])?;
    Ok((nano * u128::from(unit)) as f64 / (100 * NANO) as f64)
}

/// Peers per second.
pub(super) fn pace(text: &str) -> Result<f64, Unreadable> {
    let (nano, unit) = parse(text, &PACES)?;
    Ok((nano * u128::from(unit)) as f64 / (86_400 * NANO) as f64)
}

/// The number in billionths, and what its unit is worth.
fn parse(text: &str, units: &[Unit]) -> Result<(u128, u64), Unreadable> {
    let text = text.trim();
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let nano = nano(number).ok_or(Unreadable::Number)?;
    let unit = unit.trim_start();
    match units.iter().find(|(name, _)| *name == unit) {
        Some((_, worth)) => Ok((nano, *worth)),
        None => {
            let mut names = units.iter().map(|(name, _)| *name);
            // "8 Mbit" is no slip of the pen for "8 MB/s".
            let per_second = format!("{unit}/s");
            let meant = names.clone().find(|name| name.eq_ignore_ascii_case(&per_second));
            let meant = meant.or_else(|| super::meant::closest(unit, &mut names));
            Err(Unreadable::Unit { meant: meant.map(|unit| format!("\"{number} {unit}\"")) })
        }
    }
}

/// A decimal number in billionths.
fn nano(text: &str) -> Option<u128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let readable = |digits: &str, most| {
        (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !readable(whole, DIGITS_MAX) || !readable(part, 9) {
        return None;
    }
    let part = format!("{part:0<9}");
    Some(whole.parse::<u128>().ok()? * NANO + part.parse::<u128>().ok()?)
}

/// What doesn't fit is above every limit anyway.
fn saturated(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_worth_what_they_say() {
        assert_eq!(size("256 MiB"), Ok(256 << 20));
        assert_eq!(size("1.5KiB"), Ok(1536));
        assert_eq!(size("3 MB"), Ok(3_000_000));
        assert_eq!(rate("8 Mbit/s"), Ok(1_000_000));
        assert_eq!(rate(" 192 KiB/s "), Ok(192 << 10));
        assert_eq!(duration("40 ms"), Ok(Duration::from_millis(40)));
        assert_eq!(duration("1.5 min"), Ok(Duration::from_secs(90)));
        assert_eq!(fraction("20 %"), Ok(0.2));
        assert_eq!(fraction("0.5%"), Ok(0.005));
        assert_eq!(pace("6 /min"), Ok(0.1));
    }

    #[test]
    fn a_unit_that_is_close_is_proposed() {
        let wrong = |text: &str| Unreadable::Unit { meant: Some(text.to_owned()) };
        assert_eq!(rate("1 MiB"), Err(wrong("\"1 MiB/s\"")));
        assert_eq!(rate("8 mbit/s"), Err(wrong("\"8 Mbit/s\"")));
        assert_eq!(rate("8 Mbit"), Err(wrong("\"8 Mbit/s\"")));
        assert_eq!(size("1 Mib"), Err(wrong("\"1 MiB\"")));
        assert_eq!(duration("3 fortnights"), Err(Unreadable::Unit { meant: None }));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in
            ["", "MiB", "-3 s", "1e9 B", "1..2 s", ".5 s", "5. s", "١ s", "1234567890123456 B", "0x10 B"]
        {
            assert!(size(text).is_err(), "{text}");
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_saturates() {
        assert_eq!(size("999999999999999 TiB"), Ok(u64::MAX));
        assert_eq!(duration("999999999999999 h"), Ok(Duration::from_nanos(u64::MAX)));
    }
}
