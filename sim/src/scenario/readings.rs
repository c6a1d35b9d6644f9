//! What values may be: each reading knows its bounds and says them when a value lies outside.

use std::time::Duration;

use toml::de::DeValue;

use super::fields::Wrong;
use super::meant::closest;
use super::quantity::{self, Unreadable};

/// Text of some characters, none of them a control character.
pub(super) fn text(chars_max: usize) -> impl Fn(&DeValue<'_>) -> Result<String, Wrong> {
    move |value| {
        let wrong = || Wrong::new(format!("a text of 1 to {chars_max} characters is allowed"));
        let text = value.as_str().ok_or_else(wrong)?.trim();
        let fits = (1..=chars_max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(text.to_owned()) } else { Err(wrong()) }
    }
}

/// A name for tables, files and command lines.
pub(super) fn name(chars_max: usize) -> impl Fn(&DeValue<'_>) -> Result<String, Wrong> {
    move |value| {
        let wrong = || {
            Wrong::new(format!(
                "a name of 1 to {chars_max} lower-case letters, digits and hyphens is allowed, such as \"slow-seeds\""
            ))
        };
        let text = value.as_str().ok_or_else(wrong)?;
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=chars_max).contains(&text.len()) && text.bytes().all(legal) && !text.starts_with('-');
        if fits { Ok(text.to_owned()) } else { Err(wrong()) }
    }
}

/// One of some words.
pub(super) fn word<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&DeValue<'_>) -> Result<T, Wrong> {
    move |value| {
        let text = value.as_str().unwrap_or_default();
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*meaning);
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let meant = closest(text, words.iter().map(|(word, _)| *word)).map(|word| format!("{word:?}"));
        Err(Wrong::new(format!("allowed are {}", all.join(", "))).meant(meant))
    }
}

/// `true` or `false`.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| Wrong::new("true or false is allowed"))
}

/// A whole number.
pub(super) fn count(least: u32, most: u32) -> impl Fn(&DeValue<'_>) -> Result<u32, Wrong> {
    move |value| {
        let number = value.as_integer().and_then(|number| {
            u32::from_str_radix(number.as_str().trim_start_matches('+'), number.radix()).ok()
        });
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| Wrong::new(format!("a whole number from {least} to {most} is allowed")))
    }
}

/// Bytes.
pub(super) fn size(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Result<u64, Wrong> {
    let range = format!(
        "a size from {} to {} is allowed, with its unit, such as \"256 MiB\"",
        show_bytes(least),
        show_bytes(most)
    );
    move |value| within(value, quantity::size, least, most, &range)
}

/// Bytes per second.
pub(super) fn rate(least: u64, most: u64) -> impl Fn(&DeValue<'_>) -> Result<u64, Wrong> {
    let range = format!(
        "a rate from {}/s to {}/s is allowed, with its unit, such as \"1 MiB/s\" or \"8 Mbit/s\"",
        show_bytes(least),
        show_bytes(most)
    );
    move |value| within(value, quantity::rate, least, most, &range)
}

/// A time.
pub(super) fn duration(least: Duration, most: Duration) -> impl Fn(&DeValue<'_>) -> Result<Duration, Wrong> {
    let range = format!(
        "a time from {} to {} is allowed, with its unit, such as \"40 ms\" or \"10 min\"",
        show_time(least),
        show_time(most)
    );
    move |value| within(value, quantity::duration, least, most, &range)
}

/// A part of a whole.
pub(super) fn fraction(most: f64) -> impl Fn(&DeValue<'_>) -> Result<f64, Wrong> {
    let range = format!("a part from 0 % to {} % is allowed, such as \"20 %\"", show_number(most * 100.0));
    move |value| within(value, quantity::fraction, 0.0, most, &range)
}

/// How many come in some time.
pub(super) fn pace(least: f64, most: f64) -> impl Fn(&DeValue<'_>) -> Result<f64, Wrong> {
    let range = format!(
        "an arrival rate from {} /h to {} /s is allowed, with its unit, such as \"6 /min\"",
        show_number(least * 3600.0),
        show_number(most)
    );
    move |value| within(value, quantity::pace, least, most, &range)
}

fn within<T: PartialOrd>(
    value: &DeValue<'_>,
    parse: impl Fn(&str) -> Result<T, Unreadable>,
    least: T,
    most: T,
    range: &str,
) -> Result<T, Wrong> {
    let text = value.as_str().ok_or_else(|| Wrong::new(range))?;
    match parse(text) {
        Ok(quantity) if least <= quantity && quantity <= most => Ok(quantity),
        Ok(_) | Err(Unreadable::Number) => Err(Wrong::new(range)),
        Err(Unreadable::Unit { meant }) => Err(Wrong::new(range).meant(meant)),
    }
}

/// `0.0416667`: six digits at most. What binary makes of decimals stands behind those.
pub(super) fn show_number(number: f64) -> String {
    let rounded: f64 = format!("{number:.5e}").parse().unwrap_or(number);
    rounded.to_string()
}

/// `16 MiB`: the largest unit that leaves a whole number.
pub(super) fn show_bytes(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = units.iter().find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
    whole.map_or_else(|| format!("{bytes} B"), |(unit, shift)| format!("{} {unit}", bytes >> shift))
}

/// `10 min`: the largest unit that leaves a whole number.
pub(super) fn show_time(time: Duration) -> String {
    let millis = time.as_millis();
    let units = [("h", 3_600_000), ("min", 60_000), ("s", 1000)];
    let whole = units.iter().find(|(_, worth)| millis != 0 && millis.is_multiple_of(*worth));
    whole.map_or_else(|| format!("{millis} ms"), |(unit, worth)| format!("{} {unit}", millis / worth))
}
