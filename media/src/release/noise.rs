//! What says nothing of the film: addresses of sites, checksums, sizes.

use super::tokens::{Claim, Name};

/// Claims all of it.
pub(super) fn claim(name: &mut Name<'_>) {
    let mut at = 0;
    while at < name.len() {
        let next = site(name, at).or_else(|| size(name, at));
        match next {
            Some((end, claim)) => {
                name.claim(at..end, claim);
                at = end;
            }
            None => {
                // "January's new programmes", as Chinese fansubbers begin.
                if is_checksum(name, at) || name.word(at).ends_with("新番") {
                    name.claim(at..at + 1, Claim::Noise);
                }
                at += 1;
            }
        }
    }
}

/// Ends of the addresses that people put into names; sorted.
const DOMAINS: &[&str] = &[
    "biz", "cc", "club", "co", "com", "eu", "fr", "free", "in", "info", "me", "mx", "net", "nl", "nu", "org",
    "pics", "pl", "pw", "ru", "se", "site", "to", "top", "tv", "tw", "uk", "ws", "xyz",
];

/// "www.example.com", or "example.com" with nothing else in its brackets or before the first dash.
fn site(name: &Name<'_>, at: usize) -> Option<(usize, Claim)> {
    let starts = name.bracket(at) != name.bracket(at.wrapping_sub(1)) || at == 0;
    if !starts && name.word(at) != "www" {
        return None;
    }
    let mut end = at + 1;
    while end < name.len() && matches!(name.gap(end), "." | "") {
        end += 1;
    }
    if name.word(at) == "www" && end > at + 1 {
        // Where dots stand between all words, the address ends with its domain.
        let domain = (at + 2..end).find(|&word| DOMAINS.binary_search(&name.word(word)).is_ok());
        let domain = domain.map(|word| word + 1);
        let longer = domain.filter(|&word| word < end && matches!(name.word(word), "ru" | "uk" | "me"));
        return Some((longer.map(|word| word + 1).or(domain).unwrap_or(end), Claim::Noise));
    }
    let ends = end == name.len() || name.bracket(end) != name.bracket(at) || name.is_after_dash(end);
    let is_one = end > at + 1 && end - at <= 3 && ends && DOMAINS.binary_search(&name.word(end - 1)).is_ok();
    let is_apart = name.bracket(at) != 0 || (at == 0 && end < name.len());
    (is_one && is_apart).then_some((end, Claim::Noise))
}

/// CRC-32 as eight hexadecimal digits, in brackets or the last word.
fn is_checksum(name: &Name<'_>, at: usize) -> bool {
    let word = name.word(at).as_bytes();
    if word.len() != 8 || !word.iter().all(u8::is_ascii_hexdigit) {
        return false;
    }
    let is_alone = name.bracket(at) != 0
        && name.bracket(at) != name.bracket(at.wrapping_sub(1))
        && name.bracket(at) != name.bracket(at + 1);
    let is_mixed = word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic);
    is_alone || (is_mixed && at + 1 == name.len())
}

const UNITS: &[&str] = &["ch", "fps", "gb", "gib", "kbit", "kbps", "khz", "mb", "mbps", "mib"];

/// "1.4GB", "800 MB", "6ch", "24fps", "384kbps".
fn size(name: &Name<'_>, at: usize) -> Option<(usize, Claim)> {
    if !name.word(at).starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    (at..at + 3).take_while(|&word| word == at || name.is_next_to(word)).find_map(|word| {
        let text = name.word(word);
        let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let is_it = UNITS.contains(&unit);
        let is_part = unit.is_empty() || word == at && unit.is_empty();
        match (is_it, is_part) {
            (true, _) => Some(Some((word + 1, Claim::Quality))),
            (false, true) => None,
            (false, false) => Some(None),
        }
    })?
}
