//! Finds the words of the trade, and decides which of those that are words of titles too are meant.

use std::ops::Range;

use super::table::{EDITIONS, Meaning, NETWORKS, QUALITIES, Row, Trust, look_up};
use super::tokens::{Claim, Name, number};
use super::tongues::TONGUES;
use super::vocabulary::{Audio, Hdr, Resolution};
use crate::language::Language;

/// What was found in which words.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) words: Range<usize>,
    pub(super) meaning: Meaning,
    /// It is one wherever it stands.
    pub(super) is_sure: bool,
    /// It is in capitals, or needs none.
    is_loud: bool,
}

/// Words that one thing has at most: "DTS-HD.MA.5.1" has five, of which two are channels.
const WORDS_MAX: usize = 4;

/// Claims the words of the trade, the unsure ones as [hints](Claim::Hint).
pub(super) fn find(name: &mut Name<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut key = String::new();
    let mut at = 0;
    while at < name.len() {
        let finding = name.is_free(at).then(|| find_at(name, at, &mut key)).flatten();
        let Some(finding) = finding else {
            at += 1;
            continue;
        };
        at = finding.words.end;
        // What isn't said aloud may be a word of anything; only its neighbours can tell.
        if finding.is_sure || finding.is_loud {
            name.claim(finding.words.clone(), if finding.is_sure { Claim::Quality } else { Claim::Hint });
        }
        found.push(finding);
    }
    found
}

fn find_at(name: &Name<'_>, at: usize, key: &mut String) -> Option<Finding> {
    if is_group(name, at) {
        return None;
    }
    if let Some((end, resolution)) = resolution(name, at) {
        return Some(sure(at..end, Meaning::Resolution(resolution)));
    }
    for count in (1..=WORDS_MAX).rev() {
        let words = at..at + count;
        let is_whole = words.clone().all(|word| name.is_free(word) && (word == at || name.is_next_to(word)));
        if !is_whole {
            continue;
        }
        key.clear();
        let letters = words.clone().flat_map(|word| name.word(word).chars());
        key.extend(letters.filter(|letter| !matches!(letter, '\'' | '’')));
        // Two short words are no abbreviation: "a.m." or "he is".
        if count > 1 && key.len() < 4 && !key.ends_with(|last: char| last.is_ascii_digit()) {
            continue;
        }
        if let Some(row) = row(key) {
            return Some(finding(name, words, row));
        }
    }
    with_channels(name, at)
}

/// The last word behind "x264-" is a group, even if it is called like a language.
fn is_group(name: &Name<'_>, at: usize) -> bool {
    let ends = at + 1 == name.len() || name.bracket(at + 1) != 0;
    let before = || look_up(QUALITIES, name.word(at - 1)).map(|row| row.1);
    let is_behind_codec = || {
        let is_channels = matches!(name.word(at - 1), "0" | "1" | "264" | "265");
        is_channels || matches!(before(), Some(Meaning::Video(_) | Meaning::Audio(_)))
    };
    let is_known = || {
        matches!(name.word(at), "hd" | "es" | "hr" | "ma" | "x" | "dl" | "rip" | "ray")
            || resolution(name, at).is_some()
    };
    ends && at > 0 && name.bracket(at) == 0 && name.gap(at) == "-" && is_behind_codec() && !is_known()
}

/// The language that a subtitle's name ends with, before what it is for: "Title.de.forced".
pub(super) fn language_at_end(name: &Name<'_>) -> Option<Language> {
    let is_beside =
        |word: &str| matches!(word, "sdh" | "forced" | "cc" | "hi" | "full" | "hans" | "hant" | "brazil");
    let at = (0..name.len()).rev().take(3).find(|&at| !is_beside(name.word(at)))?;
    match look_up(TONGUES, name.word(at)) {
        Some(&(_, Meaning::Language(code), _)) => Language::from_code(code),
        _ => Language::from_code(name.word(at)),
    }
}

fn row(key: &str) -> Option<&'static Row> {
    [QUALITIES, EDITIONS, NETWORKS, TONGUES].into_iter().find_map(|table| look_up(table, key))
}

impl Finding {
    /// What is told by no word of its own.
    pub(super) fn told(meaning: Meaning) -> Self {
        sure(0..0, meaning)
    }
}

fn sure(words: Range<usize>, meaning: Meaning) -> Finding {
    Finding { words, meaning, is_sure: true, is_loud: true }
}

fn finding(name: &Name<'_>, words: Range<usize>, row: &Row) -> Finding {
    let (_, mut meaning, trust) = *row;
    let written = name.written(words.end - 1);
    let has_plus = name.gap(words.end).starts_with('+');
    match meaning {
        Meaning::Hdr(Hdr::Hdr) if has_plus && name.word(words.end - 1).ends_with("10") => {
            meaning = Meaning::Hdr(Hdr::Hdr10Plus);
        }
        Meaning::Audio(Audio::Ac3) if has_plus && name.word(words.start) == "dd" => {
            meaning = Meaning::Audio(Audio::Eac3);
        }
        // The shop's own mark, not Italian.
        Meaning::Language("it") if written == "iT" => meaning = Meaning::Nothing,
        _ => {}
    }
    let is_loud = trust != Trust::Shouted || is_shouted(written);
    let end = if matches!(meaning, Meaning::Audio(_)) { channels(name, words.end) } else { words.end };
    let is_sure = trust == Trust::Sure || end > words.end;
    Finding { words: words.start..end, meaning, is_sure, is_loud }
}

/// In capitals, but for a first letter that people like small ("iP").
fn is_shouted(word: &str) -> bool {
    let mut letters = word.chars().filter(|letter| letter.is_alphabetic()).rev();
    letters.next().is_some_and(char::is_uppercase)
}

/// "AAC2.0", "DD51", "DDP5.1": a kind of sound with its channels at its end.
fn with_channels(name: &Name<'_>, at: usize) -> Option<Finding> {
    let word = name.word(at);
    let base = word.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let digits = &word[base.len()..];
    let row = look_up(QUALITIES, base).filter(|row| matches!(row.1, Meaning::Audio(_)))?;
    let end = match digits.as_bytes() {
        [b'1'..=b'9'] if matches!(name.word(at + 1), "0" | "1" | "2") && name.is_next_to(at + 1) => at + 2,
        [b'1'..=b'9'] | [b'1'..=b'9', b'0'..=b'2'] => at + 1,
        _ => return None,
    };
    Some(sure(at..end, row.1))
}

/// Where channels after a kind of sound end: "5.1", "7 1", "51".
fn channels(name: &Name<'_>, at: usize) -> usize {
    let is_near = |word: usize| matches!(name.gap(word), "." | " " | "-" | "_" | "+" | " - ");
    let is_many = |word: usize| matches!(name.number(word, 1), Some(1..=9)) && is_near(word);
    if is_many(at) && matches!(name.word(at + 1), "0" | "1" | "2") && is_near(at + 1) {
        return at + 2;
    }
    let is_short = matches!(name.word(at), "51" | "71" | "20" | "10") && is_near(at);
    if is_short { at + 1 } else { at }
}

/// "1080p", "1080p60", "1920x1080", "1280*720".
fn resolution(name: &Name<'_>, at: usize) -> Option<(usize, Resolution)> {
    let word = name.word(at);
    if let Some((width, height)) = word.split_once(['x', '×']) {
        return Some((at + 1, of_size(number(width)?, number(height.trim_end_matches(['p', 'i']))?)?));
    }
    if name.gap(at + 1) == "*" {
        return Some((at + 2, of_size(number(word)?, name.number(at + 1, 4)?)?));
    }
    let digits = word.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let lines = number(&word[..word.len() - digits.len()])?;
    let scan = digits.bytes().next();
    let is_rate =
        digits.get(1..).is_some_and(|rate| rate.len() <= 3 && (rate.is_empty() || number(rate).is_some()));
    match scan {
        Some(scan @ (b'p' | b'i')) if is_rate => Some((at + 1, of_lines(lines, scan == b'i')?)),
        None if is_bare(name, at) => Some((at + 1, of_lines(lines, false)?)),
        _ => None,
    }
}

/// A number without a letter is of lines only in brackets of its own, or next to what is of the trade.
fn is_bare(name: &Name<'_>, at: usize) -> bool {
    let is_alone = name.bracket(at) != 0
        && name.bracket(at) != name.bracket(at.wrapping_sub(1))
        && name.bracket(at) != name.bracket(at + 1);
    let is_one = matches!(name.word(at), "480" | "720" | "1080" | "2160");
    let near = |word: usize| {
        look_up(QUALITIES, name.word(word)).is_some_and(|row| row.2 != Trust::Shouted)
            && name.gap(word.max(at)).len() <= 1
    };
    let is_glued = name.gap(at).is_empty();
    is_one && at > 0 && (is_alone || is_glued || near(at + 1) || near(at - 1))
}

fn of_lines(lines: u16, is_interlaced: bool) -> Option<Resolution> {
    Some(match (lines, is_interlaced) {
        (480, true) => Resolution::I480,
        (576, true) => Resolution::I576,
        (1080, true) => Resolution::I1080,
        (240, false) => Resolution::P240,
        (360, false) => Resolution::P360,
        (480, false) => Resolution::P480,
        (540, false) => Resolution::P540,
        (576, false) => Resolution::P576,
        (720, false) => Resolution::P720,
        (1080, false) => Resolution::P1080,
        (1440, false) => Resolution::P1440,
        (1920, false) => Resolution::P1920,
        (2160, false) => Resolution::P2160,
        (4320, false) => Resolution::P4320,
        _ => return None,
    })
}

/// By the width where there is one to go by: films are wider than televisions and have fewer lines.
fn of_size(width: u16, height: u16) -> Option<Resolution> {
    if !(300..=8192).contains(&width) || !(20..=4608).contains(&height) {
        return None;
    }
    Some(match (width, height) {
        (7600.., _) => Resolution::P4320,
        (3200.., _) => Resolution::P2160,
        (2400.., _) => Resolution::P1440,
        (1800.., _) | (_, 1000..) => Resolution::P1080,
        (1200.., _) | (_, 700..) => Resolution::P720,
        (_, 570..) => Resolution::P576,
        (_, 530..) => Resolution::P540,
        (700.., _) | (_, 470..) => Resolution::P480,
        (_, 340..) => Resolution::P360,
        _ => Resolution::P240,
    })
}

/// Drops the hints that are words of the title or of an episode's; the rest is meant.
pub(super) fn settle(name: &mut Name<'_>, found: &mut Vec<Finding>, title: &Range<usize>) {
    // What wasn't said aloud may have become part of a date since: "May 23".
    found.retain(|one| {
        one.is_sure || one.words.clone().all(|at| matches!(name.claim_of(at), None | Some(Claim::Hint)))
    });
    let first_sure = found.iter().find(|one| one.is_sure && one.words.start >= title.end);
    let quality_from = first_sure.map_or(usize::MAX, |one| one.words.start);
    let mut is_meant: Vec<bool> = found.iter().map(|one| one.is_sure).collect();
    let is_outside = |one: &Finding| one.words.end <= title.start || one.words.start >= title.end;
    // From the right: before something meant, before the end of a bracket or of the name.
    for at in (0..found.len()).rev() {
        let one = &found[at];
        let next = one.words.end;
        let is_followed = match found.get(at + 1) {
            Some(after) if after.words.start == next => is_meant[at + 1],
            _ => !name.is_free(next) || name.bracket(next) != name.bracket(next - 1),
        };
        let is_behind = one.words.start > quality_from;
        is_meant[at] |= is_outside(one) && (is_followed || is_behind) && is_spoken(name, found, at);
    }
    // From the left: after something meant, or after the year.
    for at in 0..found.len() {
        let before = found[at].words.start.checked_sub(1);
        let is_led = before.is_some_and(|before| match at.checked_sub(1).map(|one| &found[one]) {
            Some(last) if last.words.end == before + 1 => is_meant[at - 1],
            _ => name.claim_of(before) == Some(Claim::Year),
        });
        is_meant[at] |= is_outside(&found[at]) && is_led && is_spoken(name, found, at);
    }
    for (one, is_meant) in found.iter().zip(&is_meant) {
        match is_meant {
            true if !one.is_sure => name.claim(one.words.clone(), Claim::Hint),
            true => {}
            false => name.release(one.words.clone()),
        }
    }
    let mut is_meant = is_meant.into_iter();
    found.retain(|_| is_meant.next().unwrap_or(false));
}

/// A word in small letters that wants capitals is meant only beside others: codes of two letters beside languages.
fn is_spoken(name: &Name<'_>, found: &[Finding], at: usize) -> bool {
    let one = &found[at];
    let Meaning::Language(_) = one.meaning else { return one.is_loud || name.bracket(one.words.start) != 0 };
    let is_code = name.word(one.words.start).len() == 2 && one.words.len() == 1;
    let touches = |other: Option<&Finding>| {
        other.is_some_and(|other| {
            let is_near = other.words.end == one.words.start || one.words.end == other.words.start;
            is_near && (!is_code || matches!(other.meaning, Meaning::Language(_)))
        })
    };
    let is_beside =
        touches(at.checked_sub(1).and_then(|before| found.get(before))) || touches(found.get(at + 1));
    one.is_loud || is_beside || (!is_code && !name.is_free(one.words.start.wrapping_sub(1)))
}
