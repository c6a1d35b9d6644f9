//! The `Range` header (RFC 9110 section 14): text to ranges, and ranges to bytes of a file of known length.
//!
//! A header that makes no sense, or that asks for more work than a player ever needs, is ignored as the RFC allows:
//! the client gets the whole file. Not here: whether a range counts at all (`conditions`), and the answer (`reply`).

use std::cmp::Ordering;
use std::ops::Range;

use crate::limits::{RANGE_HEADER_BYTES_MAX, RANGE_TINY_BYTES, RANGES_MAX, RANGES_TINY_MAX};

/// One range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// `first-last`, both included.
    Between(u64, u64),
    /// `first-`: to the end.
    From(u64),
    /// `-n`: the last n bytes.
    Last(u64),
}

/// What a `Range` header asks for: 1 to [`RANGES_MAX`] ranges in the client's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges(Vec<Spec>);

/// What to send of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// All of it: the ranges are a flood, or the file is empty and its end was asked for.
    Full,
    /// One part, never empty.
    One(Range<u64>),
    /// Several parts, none empty, in the order in which they were asked for.
    Many(Vec<Range<u64>>),
    /// Nothing: no range touches the file.
    Unsatisfiable,
}

/// Reads a `Range` header; `None` means that it must be ignored.
///
/// Numbers that don't fit 64 bits count as the largest that does: no file reaches them, so nothing wraps.
pub fn parse(header: &str) -> Option<Ranges> {
    if header.len() > RANGE_HEADER_BYTES_MAX {
        return None;
    }
    let (unit, set) = header.trim_matches(BLANKS).split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    // Empty members are to be skipped by a recipient (RFC 9110 section 5.6.1.2).
    for member in set.split(',').map(|m| m.trim_matches(BLANKS)).filter(|m| !m.is_empty()) {
        if specs.len() == RANGES_MAX {
            return None;
        }
        specs.push(parse_spec(member)?);
    }
    (!specs.is_empty()).then_some(Ranges(specs))
}

/// What `ranges` means for a file of `length` bytes.
pub fn resolve(ranges: &Ranges, length: u64) -> Resolved {
    if length == 0 && ranges.0.iter().any(|spec| matches!(spec, Spec::Last(n) if *n > 0)) {
        // A suffix of an empty file is satisfiable, but `Content-Range` has no way to say so.
        return Resolved::Full;
    }
    let mut parts: Vec<Range<u64>> = ranges.0.iter().filter_map(|spec| spec.resolve(length)).collect();
    match parts.len() {
        0 => Resolved::Unsatisfiable,
        1 => Resolved::One(parts.swap_remove(0)),
        _ if is_flood(&parts, length) => Resolved::Full,
        _ => Resolved::Many(parts),
    }
}

impl Ranges {
    /// The ranges in the client's order.
    pub fn specs(&self) -> &[Spec] {
        &self.0
    }
}

impl Spec {
    /// The bytes meant, clamped to the file; `None` when it has none of them.
    fn resolve(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Spec::Between(first, last) => first..last.saturating_add(1).min(length),
            Spec::From(first) => first..length,
            Spec::Last(n) => length.saturating_sub(n)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Blanks allowed around list members. Some clients also put them round the dash, and servers have long let them.
const BLANKS: [char; 2] = [' ', '\t'];

fn parse_spec(member: &str) -> Option<Spec> {
    let (first, last) = member.split_once('-')?;
    let (first, last) = (first.trim_matches(BLANKS), last.trim_matches(BLANKS));
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Spec::Last(number(last)?)),
        (false, true) => Some(Spec::From(number(first)?)),
        (false, false) => {
            let spec = Spec::Between(number(first)?, number(last)?);
            // Compared as text: numbers beyond 64 bits were cut to the same value.
            (compare(last, first) != Ordering::Less).then_some(spec)
        }
    }
}

fn number(digits: &str) -> Option<u64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// Compares two runs of digits of any length by value.
fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Whether several parts together are worth refusing: more than two of them overlap, they add up to more than the file,
/// or many are tiny (RFC 9110 sections 14.2 and 17.15).
fn is_flood(parts: &[Range<u64>], length: u64) -> bool {
    let asked = parts.iter().map(|part| u128::from(part.end - part.start)).sum::<u128>();
    let tiny = parts.iter().filter(|part| part.end - part.start < RANGE_TINY_BYTES).count();
    let overlapping = parts
        .iter()
        .enumerate()
        .filter(|&(i, a)| parts.iter().enumerate().any(|(j, b)| i != j && a.start < b.end && b.start < a.end))
        .count();
    asked > u128::from(length) || tiny > RANGES_TINY_MAX || overlapping > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, length: u64) -> Option<Resolved> {
        parse(header).map(|ranges| resolve(&ranges, length))
    }

    fn one(range: Range<u64>) -> Option<Resolved> {
        Some(Resolved::One(range))
    }

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(of("bytes=0-9", 100), one(0..10));
        assert_eq!(of("bytes=90-", 100), one(90..100));
        assert_eq!(of("bytes=-5", 100), one(95..100));
        assert_eq!(of("bytes=0-1", 100), one(0..2));
    }

    #[test]
    fn an_end_beyond_the_file_is_clamped() {
        assert_eq!(of("bytes=0-99999999", 100), one(0..100));
        assert_eq!(of("bytes=-500", 100), one(0..100));
        assert_eq!(of("bytes=0-18446744073709551615", 100), one(0..100));
    }

    #[test]
    fn nothing_of_the_file_is_unsatisfiable() {
        for header in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=400-,500-"] {
            assert_eq!(of(header, 100), Some(Resolved::Unsatisfiable), "{header}");
        }
        assert_eq!(of("bytes=0-", 0), Some(Resolved::Unsatisfiable));
    }

    #[test]
    fn digits_beyond_64_bits_do_not_wrap() {
        assert_eq!(of("bytes=18446744073709551616-", 100), Some(Resolved::Unsatisfiable));
        assert_eq!(of("bytes=0-18446744073709551617", 100), one(0..100));
        assert_eq!(of("bytes=-340282366920938463463374607431768211456", 100), one(0..100));
        assert_eq!(of("bytes=99999999999999999999999-99999999999999999999998", 100), None);
        assert_eq!(of("bytes=00000000000000000000000000-000000000000000000009", 100), one(0..10));
    }

    #[test]
    fn what_makes_no_sense_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=7",
            "bytes=5-4",
            "bytes=0-2,5-4",
            "bytes=A-",
            "bytes=-Z",
            "bytes=--6",
            "bytes=-6-",
            "bytes=+0-5",
            "bytes=0-5-9",
            "bytes=0x1-",
            "bytes= , , ",
            "bytes:0-5",
            "items=0-5",
            "bytes =0-5",
            "bytes=٣-٥",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
    }

    #[test]
    fn the_unit_is_case_insensitive() {
        assert_eq!(of("BYTES=0-9", 100), one(0..10));
        assert_eq!(of("Bytes=0-9", 100), one(0..10));
    }

    #[test]
    fn blanks_and_empty_members_are_skipped() {
        assert_eq!(of(" bytes= 1 -2 ,,\t", 100), one(1..3));
        assert_eq!(of("bytes=,0-0 , -1,", 100), Some(Resolved::Many(vec![0..1, 99..100])));
    }

    #[test]
    fn several_ranges_keep_their_order() {
        assert_eq!(of("bytes=-10,0-9", 100), Some(Resolved::Many(vec![90..100, 0..10])));
        assert_eq!(of("bytes=0-49,50-99", 100), Some(Resolved::Many(vec![0..50, 50..100])));
    }

    #[test]
    fn one_satisfiable_range_of_several_is_a_single_part() {
        assert_eq!(of("bytes=150-,0-5", 100), one(0..6));
    }

    #[test]
    fn more_ranges_than_allowed_are_ignored() {
        let header = |n: usize| {
            let list: Vec<String> = (0..n).map(|i| format!("{}-{}", i * 1000, i * 1000 + 500)).collect();
            format!("bytes={}", list.join(","))
        };
        assert!(matches!(of(&header(RANGES_MAX), 1 << 20), Some(Resolved::Many(_))));
        assert_eq!(parse(&header(RANGES_MAX + 1)), None);
        assert_eq!(parse(&format!("bytes=0-5,{}", ",".repeat(RANGE_HEADER_BYTES_MAX))), None);
    }

    #[test]
    fn floods_get_the_whole_file() {
        assert_eq!(of("bytes=0-,0-", 100), Some(Resolved::Full), "more than the file");
        let most = u64::MAX;
        assert_eq!(of("bytes=0-18446744073709551614,0-18446744073709551614", most), Some(Resolved::Full));
        assert_eq!(of("bytes=0-200,100-300,200-400", 10_000), Some(Resolved::Full), "three overlap");
        assert_eq!(of("bytes=0-0,2-2,4-4,6-6,8-8", 10_000), Some(Resolved::Full), "tiny");
        assert_eq!(of("bytes=500-700,601-999", 10_000), Some(Resolved::Many(vec![500..701, 601..1000])));
    }

    #[test]
    fn a_suffix_of_an_empty_file_is_all_of_it() {
        assert_eq!(of("bytes=-5", 0), Some(Resolved::Full));
        assert_eq!(of("bytes=-0", 0), Some(Resolved::Unsatisfiable));
    }
}
