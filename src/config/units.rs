//! Numbers as people write them: rates, sizes, counts and spans, with a sentence when they can't be read.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Bytes or bytes per second: digits with an optional `K`, `M` or `G` (1024-based) behind them.
pub fn bytes(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let (digits, shift) = match trimmed.char_indices().last() {
        Some((at, 'k' | 'K')) => (&trimmed[..at], 10),
        Some((at, 'm' | 'M')) => (&trimmed[..at], 20),
        Some((at, 'g' | 'G')) => (&trimmed[..at], 30),
        _ => (trimmed, 0),
    };
    let number: u64 = digits.parse().map_err(|_| allowed(text))?;
    number.checked_shl(shift).filter(|scaled| scaled >> shift == number).ok_or_else(|| allowed(text))
}

fn allowed(text: &str) -> String {
    format!(
        "{text:?} is no number of bytes: allowed are digits, with K, M or G behind them if you like (500K)"
    )
}

/// A checker for a whole number within bounds. `variable` is named in the message, because the value may have
/// come from there.
pub fn whole(
    variable: &'static str,
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| match text.trim().parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{variable} is {text:?}: allowed is a whole number from {least} to {most}")),
    }
}

/// Like [`whole`], for numbers that fit 32 bits.
pub fn count(
    variable: &'static str,
    least: u32,
    most: u32,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    let check = whole(variable, u64::from(least), u64::from(most));
    move |text| check(text).map(|number| number as u32)
}

/// Like [`whole`], for a TCP or UDP port; 0 lets the system choose.
pub fn port(variable: &'static str) -> impl Fn(&str) -> Result<u16, String> + Clone + Send + Sync + 'static {
    let check = whole(variable, 0, u64::from(u16::MAX));
    move |text| check(text).map(|number| number as u16)
}

/// A size in bytes within bounds, suffixes allowed; names the variable like [`whole`].
pub fn size(
    variable: &'static str,
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| match bytes(text) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!(
            "{variable} is {text:?}: allowed are {least} to {most} bytes, with K, M or G behind the digits if you like"
        )),
    }
}

/// `true` or `false`; names the variable like [`whole`].
pub fn truth(
    variable: &'static str,
) -> impl Fn(&str) -> Result<bool, String> + Clone + Send + Sync + 'static {
    move |text| match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{variable} is {text:?}: allowed are true and false")),
    }
}

/// Longest span: a hundred years, so that sums with any date can't overflow.
const SPAN_SECONDS_MAX: u64 = 100 * 366 * DAY;

/// A span of time: digits with an optional `s`, `m`, `h` or `d` behind them; without one they are seconds.
pub fn span(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let (digits, unit) = match trimmed.char_indices().last() {
        Some((at, 's')) => (&trimmed[..at], 1),
        Some((at, 'm')) => (&trimmed[..at], MINUTE),
        Some((at, 'h')) => (&trimmed[..at], HOUR),
        Some((at, 'd')) => (&trimmed[..at], DAY),
        _ => (trimmed, 1),
    };
    // The number's own parser takes a sign.
    let number = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let seconds =
        number.and_then(|digits| digits.parse::<u64>().ok()).and_then(|number| number.checked_mul(unit));
    let seconds = seconds.filter(|&seconds| seconds <= SPAN_SECONDS_MAX);
    seconds.map(Duration::from_secs).ok_or_else(|| {
        format!("{text:?} is no span of time: allowed are digits, with s, m, h or d behind them if you like (45m, 30d)")
    })
}

/// Like [`span`], within bounds; names the variable like [`whole`].
pub fn span_within(
    variable: &'static str,
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| match span(text)? {
        span if (least..=most).contains(&span) => Ok(span),
        _ => Err(format!("{variable} is {text:?}: allowed are {} to {}", show_span(least), show_span(most))),
    }
}

/// A span for people, in the largest unit that it is a whole number of: `30 days`.
pub fn show_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    let whole = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, "second"));
    let number = seconds / unit;
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

/// A [`span`] of at least so many seconds; names the variable like [`whole`].
pub fn span_from(
    variable: &'static str,
    least_seconds: u64,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| match span(text) {
        Ok(span) if span.as_secs() >= least_seconds => Ok(span),
        Ok(_) => Err(format!("{variable} is {text:?}: allowed are {least_seconds} seconds and more")),
        Err(sentence) => Err(format!("{variable}: {sentence}")),
    }
}

/// A ratio from 0 to 1000; names the variable like [`whole`].
pub fn ratio(variable: &'static str) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text| match text.trim().parse::<f64>() {
        Ok(number) if (0.0..=1000.0).contains(&number) => Ok(number),
        _ => Err(format!("{variable} is {text:?}: allowed is a number from 0 to 1000, such as 1.5")),
    }
}

/// Bytes for people: `3.4 MiB`.
pub fn show_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 || unit == "TiB" {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    unreachable!("the loop returns at its last unit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_take_suffixes_and_refuse_what_overflows() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("10K"), Ok(10 << 10));
        assert_eq!(bytes(" 2g "), Ok(2 << 30));
        for wrong in ["", "K", "-1", "1.5M", "1T", "18446744073709551615K", "1e3", "½M"] {
            assert!(bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_number_out_of_bounds_names_its_variable_and_what_is_allowed() {
        let error = count("MAX_PEERS", 1, 10)("11").unwrap_err();
        assert!(error.contains("MAX_PEERS") && error.contains("11") && error.contains("1 to 10"), "{error}");
    }

    #[test]
    fn spans_take_units_and_refuse_what_overflows() {
        for (text, seconds) in
            [("0", 0), ("3600", 3600), ("90s", 90), ("45m", 2700), (" 12h ", 43_200), ("30d", 2_592_000)]
        {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text:?}");
        }
        for wrong in ["", "d", "-1d", "+1d", "1.5h", "1w", "30D", "1 h", "1h30m", "½d", "213503982334602d"] {
            assert!(span(wrong).is_err_and(|error| error.contains("30d")), "{wrong:?}");
        }
    }

    #[test]
    fn a_span_out_of_bounds_names_its_variable_and_what_is_allowed() {
        let check = span_within("--ttl", Duration::from_secs(1), Duration::from_secs(366 * DAY));
        assert_eq!(check("366d"), Ok(Duration::from_secs(366 * DAY)));
        for wrong in ["0", "367d"] {
            let error = check(wrong).unwrap_err();
            assert!(error.contains("--ttl") && error.contains("1 second to 366 days"), "{error}");
        }
    }

    #[test]
    fn spans_are_shown_in_their_largest_whole_unit() {
        let shown = |seconds| show_span(Duration::from_secs(seconds));
        assert_eq!(
            [shown(0), shown(1), shown(90), shown(7200), shown(DAY), shown(30 * DAY)],
            ["0 seconds", "1 second", "90 seconds", "2 hours", "1 day", "30 days"]
        );
    }

    #[test]
    fn bytes_are_shown_with_their_unit() {
        assert_eq!(show_bytes(1023), "1023 B");
        assert_eq!(show_bytes(1536), "1.5 KiB");
        assert_eq!(show_bytes(u64::MAX), "16777216.0 TiB");
    }
}
