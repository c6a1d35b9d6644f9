//! Preconditions (RFC 9110 section 13): `If-Match`, `If-Unmodified-Since`, `If-None-Match`, `If-Modified-Since` and
//! `If-Range`, in the order of section 13.2.2, against a strong entity tag.
//!
//! VLC sends `If-Match` with every request after its first, and Chromium `If-Range`: a tag that changes between two
//! requests stops them in mid-film.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName};

use crate::limits::ETAGS_MAX;

/// What a file can be compared by.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The strong entity tag, in its quotes.
    pub etag: &'a str,
    /// When the file last changed, where that is known.
    pub modified: Option<SystemTime>,
}

/// What the preconditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answer; `ranges` tells whether a `Range` header counts.
    Proceed {
        /// False when `If-Range` names another version of the file.
        ranges: bool,
    },
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Weighs the preconditions of a GET or HEAD request.
pub fn evaluate(headers: &HeaderMap, validators: Validators<'_>) -> Outcome {
    if headers.contains_key(header::IF_MATCH) {
        if !any_tag_matches(headers, header::IF_MATCH, validators.etag, Comparison::Strong) {
            return Outcome::Failed;
        }
    } else if let (Some(modified), Some(date)) =
        (validators.modified, date_in(headers, header::IF_UNMODIFIED_SINCE))
        && whole_seconds(modified) > date
    {
        return Outcome::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if any_tag_matches(headers, header::IF_NONE_MATCH, validators.etag, Comparison::Weak) {
            return Outcome::NotModified;
        }
    } else if let (Some(modified), Some(date)) =
        (validators.modified, date_in(headers, header::IF_MODIFIED_SINCE))
        && whole_seconds(modified) <= date
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed { ranges: if_range_holds(headers, validators) }
}

/// How two tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags holds ours. A tag that can't be read, or a list beyond the bound, ends the search.
fn any_tag_matches(headers: &HeaderMap, name: HeaderName, etag: &str, comparison: Comparison) -> bool {
    let mut left = ETAGS_MAX;
    for value in headers.get_all(name) {
        let Ok(mut list) = value.to_str() else { return false };
        if list.trim() == "*" {
            return true;
        }
        loop {
            list = list.trim_start_matches([' ', '\t', ',']);
            let Some((tag, rest)) = split_tag(list) else { break };
            if left == 0 {
                return false;
            }
            left -= 1;
            if tag.text == etag && (comparison == Comparison::Weak || !tag.weak) {
                return true;
            }
            list = rest;
        }
    }
    false
}

/// An entity tag as sent: its text keeps the quotes and has no `W/`.
struct Tag<'a> {
    weak: bool,
    text: &'a str,
}

/// Takes one tag from the front of a list. Tags may hold commas, so a list can't be split at them.
fn split_tag(list: &str) -> Option<(Tag<'_>, &str)> {
    let (weak, text) = match list.strip_prefix("W/") {
        Some(text) => (true, text),
        None => (false, list),
    };
    let end = text.strip_prefix('"')?.find('"')? + 2;
    let (text, rest) = text.split_at(end);
    Some((Tag { weak, text }, rest))
}

/// Whether `If-Range` is absent or names this very version. A date must equal ours exactly; a weak tag never does.
fn if_range_holds(headers: &HeaderMap, validators: Validators<'_>) -> bool {
    let mut values = headers.get_all(header::IF_RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return !headers.contains_key(header::IF_RANGE);
    };
    let Ok(text) = value.to_str().map(str::trim) else { return false };
    if text.starts_with('"') || text.starts_with("W/") {
        return text == validators.etag;
    }
    match (httpdate::parse_http_date(text), validators.modified) {
        (Ok(date), Some(modified)) => whole_seconds(modified) == date,
        _ => false,
    }
}

/// A date header; one that can't be read, or is there twice, is ignored as the RFC says.
fn date_in(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
}

/// A time as precise as HTTP can say it.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ETAG: &str = "\"0123abcd-4\"";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const GO: Outcome = Outcome::Proceed { ranges: true };
    const WHOLE: Outcome = Outcome::Proceed { ranges: false };

    fn weigh(modified: Option<SystemTime>, headers: &[(&'static str, &str)]) -> Outcome {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        evaluate(&map, Validators { etag: ETAG, modified })
    }

    fn tagged(headers: &[(&'static str, &str)]) -> Outcome {
        weigh(None, headers)
    }

    fn dated(headers: &[(&'static str, &str)]) -> Outcome {
        weigh(Some(UNIX_EPOCH + Duration::from_millis(784_111_777_500)), headers)
    }

    #[test]
    fn without_conditions_ranges_count() {
        assert_eq!(tagged(&[]), GO);
    }

    #[test]
    fn if_match_compares_strongly() {
        assert_eq!(tagged(&[("if-match", ETAG)]), GO);
        assert_eq!(tagged(&[("if-match", "*")]), GO);
        assert_eq!(tagged(&[("if-match", "\"x,y\", \"0123abcd-4\"")]), GO);
        assert_eq!(tagged(&[("if-match", "\"x\""), ("if-match", ETAG)]), GO);
        assert_eq!(tagged(&[("if-match", "\"other\"")]), Outcome::Failed);
        assert_eq!(tagged(&[("if-match", "W/\"0123abcd-4\"")]), Outcome::Failed);
        assert_eq!(tagged(&[("if-match", "0123abcd-4")]), Outcome::Failed, "no quotes is no tag");
        assert_eq!(tagged(&[("if-match", "")]), Outcome::Failed);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        assert_eq!(tagged(&[("if-none-match", ETAG)]), Outcome::NotModified);
        assert_eq!(tagged(&[("if-none-match", "W/\"0123abcd-4\"")]), Outcome::NotModified);
        assert_eq!(tagged(&[("if-none-match", "\"a\",\"b\"")]), GO);
        assert_eq!(tagged(&[("if-none-match", "*")]), Outcome::NotModified);
    }

    #[test]
    fn if_range_needs_the_very_same_tag() {
        assert_eq!(tagged(&[("if-range", ETAG)]), GO);
        assert_eq!(tagged(&[("if-range", "\"other\"")]), WHOLE);
        assert_eq!(tagged(&[("if-range", "W/\"0123abcd-4\"")]), WHOLE);
        assert_eq!(tagged(&[("if-range", "nonsense")]), WHOLE);
        assert_eq!(tagged(&[("if-range", ETAG), ("if-range", ETAG)]), WHOLE);
    }

    #[test]
    fn if_range_takes_a_date_only_when_it_is_exact() {
        assert_eq!(dated(&[("if-range", EXACT)]), GO);
        assert_eq!(dated(&[("if-range", BEFORE)]), WHOLE);
        assert_eq!(dated(&[("if-range", AFTER)]), WHOLE);
        assert_eq!(tagged(&[("if-range", EXACT)]), WHOLE, "no date known");
    }

    #[test]
    fn dates_are_compared_in_whole_seconds() {
        assert_eq!(dated(&[("if-unmodified-since", EXACT)]), GO);
        assert_eq!(dated(&[("if-unmodified-since", BEFORE)]), Outcome::Failed);
        assert_eq!(dated(&[("if-modified-since", EXACT)]), Outcome::NotModified);
        assert_eq!(dated(&[("if-modified-since", BEFORE)]), GO);
    }

    #[test]
    fn dates_are_ignored_when_unknown_or_unreadable() {
        assert_eq!(tagged(&[("if-unmodified-since", BEFORE)]), GO);
        assert_eq!(tagged(&[("if-modified-since", AFTER)]), GO);
        assert_eq!(dated(&[("if-unmodified-since", "yesterday")]), GO);
        assert_eq!(dated(&[("if-modified-since", AFTER), ("if-modified-since", AFTER)]), GO);
    }

    #[test]
    fn tags_go_before_dates() {
        assert_eq!(dated(&[("if-match", ETAG), ("if-unmodified-since", BEFORE)]), GO);
        assert_eq!(dated(&[("if-none-match", "\"a\""), ("if-modified-since", AFTER)]), GO);
    }

    #[test]
    fn a_failed_match_goes_before_not_modified() {
        assert_eq!(tagged(&[("if-match", "\"a\""), ("if-none-match", ETAG)]), Outcome::Failed);
    }

    #[test]
    fn a_flood_of_tags_is_cut() {
        let mut list = "\"a\",".repeat(ETAGS_MAX);
        list.push_str(ETAG);
        assert_eq!(tagged(&[("if-none-match", &list)]), GO);
    }
}
