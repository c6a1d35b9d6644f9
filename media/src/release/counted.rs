//! Episodes by a number that nothing marks: as fansubbers count ("Title - 07"), and as television once did ("Title.307").

use super::numbers::{Numbers, add};
use super::tokens::{Claim, Name, number};
use crate::limits::EPISODES_MAX;

/// What else the name says, by which a number is one of an episode or part of a title.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// It has a year: most likely a film.
    pub(super) is_dated: bool,
    /// It comes from television.
    pub(super) is_broadcast: bool,
}

/// Claims the number of an episode, if the name says none with a mark.
pub(super) fn find(name: &mut Name<'_>, numbers: &mut Numbers, context: Context) {
    let place = (0..name.len()).filter(|&at| is_candidate(name, at)).filter_map(|at| {
        let rank = rank(name, at, context)?;
        Some((rank, at))
    });
    if let Some((at, season, episode)) = (0..name.len()).find_map(|at| pair(name, at, context)) {
        numbers.seasons.push(season);
        numbers.episodes.push(episode);
        name.claim(at..at + 2, Claim::Number);
        return;
    }
    // The best place; of two that are as good the first.
    let Some((_, at)) = place.min_by_key(|&(rank, at)| (rank, at)) else { return };
    let Some(first) = number_of(name.word(at)) else { return };
    if is_compressed(name, at, numbers, context) {
        numbers.seasons.push(first / 100);
        numbers.episodes.push(first % 100);
        name.claim(at..at + 1, Claim::Number);
        return;
    }
    let (end, last) = range_end(name, at, first);
    numbers.add_episodes(first, last);
    name.claim(at..end, Claim::Number);
}

/// A number beside the marked ones counts from the first season on.
pub(super) fn beside_marks(name: &mut Name<'_>, numbers: &mut Numbers) {
    let is_mark = |at: usize| name.claim_of(at) == Some(Claim::Number);
    let is_it = |&at: &usize| {
        let is_number = name.is_free(at) && name.bracket(at) == 0 && name.number(at, 4).is_some();
        // "Title 29 S01E03" is a title with a number.
        let is_long = name.word(at).len() >= 3 || (name.word(at).len() == 2 && name.is_after_dash(at));
        is_number && (is_long || is_mark(at - 1) && name.word(at).len() == 2)
    };
    let range = |at: usize| {
        let first = name.number(at, 4)?;
        let (end, last) = range_end(name, at, first);
        // One number alone is a title's where nobody made the name as fansubbers do.
        let is_it = last > first || name.bracket(0) != 0;
        (is_it && (is_mark(end) || at.checked_sub(1).is_some_and(is_mark))).then_some((at..end, first, last))
    };
    if let Some((words, first, last)) = (1..name.len()).filter(is_it).find_map(range) {
        add(&mut numbers.absolute, first, last, EPISODES_MAX);
        name.claim(words, Claim::Number);
    }
}

/// "Title.02.09", "Title - 6.01", "4-13 Title": a season and an episode of two digits.
fn pair(name: &Name<'_>, at: usize, context: Context) -> Option<(usize, u16, u16)> {
    let (season, episode) = (name.number(at, 2)?, name.number(at + 1, 2)?);
    let are_free =
        name.is_free(at) && name.is_free(at + 1) && name.bracket(at) == 0 && name.bracket(at + 1) == 0;
    let is_alike = name.word(at).len() == 2 || name.is_after_dash(at);
    let is_pair = match name.gap(at + 1) {
        "." | "_" => at > 0 && is_alike && season > 0 && !name.gap(at).contains('#'),
        "-" => at == 0 && name.word(at).len() == 1,
        _ => false,
    };
    let is_whole = name.number(at + 2, 4).is_none() && name.word(at + 1).len() == 2 && !context.is_dated;
    (are_free && is_pair && is_whole && name.bracket(0) == 0).then_some((at, season, episode))
}

fn is_candidate(name: &Name<'_>, at: usize) -> bool {
    let is_year =
        name.word(at).len() == 4 && name.number(at, 4).is_some_and(|number| (1900..2050).contains(&number));
    name.is_free(at) && number_of(name.word(at)).is_some() && !is_year
}

/// "07", "07v2", "12END".
fn number_of(word: &str) -> Option<u16> {
    let word = word.strip_prefix('第').unwrap_or(word);
    let digits = word.len() - word.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let rest = &word[digits..];
    let is_version =
        rest.strip_prefix('v').is_some_and(|version| matches!(version.as_bytes(), [b'0'..=b'9']));
    let is_whole =
        rest.is_empty() || is_version || matches!(rest, "end" | "a" | "b" | "c" | "話" | "话" | "集");
    number(&word[..digits]).filter(|_| is_whole && (1..=4).contains(&digits))
}

/// How much a number looks like one of an episode, the best first.
fn rank(name: &Name<'_>, at: usize, context: Context) -> Option<u8> {
    let word = name.word(at);
    let has_maker = name.bracket(0) != 0;
    let is_padded = word.len() >= 2 && word.starts_with('0');
    let ends = ends_there(name, at);
    if name.gap(at).ends_with('#') {
        return Some(0);
    }
    if at > 0 && name.is_after_dash(at) && name.bracket(at) == 0 && (ends || is_padded) {
        return Some(1);
    }
    let is_alone = name.bracket(at) != 0
        && name.bracket(at) != name.bracket(at.wrapping_sub(1))
        && (name.bracket(at + 1) != name.bracket(at) || range_end(name, at, 0).0 > at + 1);
    if is_alone && has_maker && at > 0 && name.gap(at).ends_with(['[', '【']) && word.len() <= 4 {
        return Some(2);
    }
    // "Title 1.11" is no episode; nor is "Title 00 S01".
    let is_decimal = at > 0 && name.gap(at) == "." && name.number(at - 1, 2).is_some();
    let is_before_season = (at..name.len()).any(|after| name.claim_of(after) == Some(Claim::Number));
    if is_decimal || is_before_season {
        return None;
    }
    let is_first = at == 0 || (name.bracket(at) == 0 && (0..at).all(|before| name.bracket(before) != 0));
    let leads = is_first && name.bracket(at) == 0 && word.len() >= 2 && !context.is_dated;
    let next = range_end(name, at, 0).0;
    let is_set_off =
        name.is_after_dash(next) || name.gap(next) == ". " || (is_padded && name.gap(next) == "-");
    let is_padded_first = is_padded && has_maker;
    if leads && (is_set_off || is_padded_first) && next < name.len() {
        return Some(3);
    }
    if at == 0 || name.bracket(at) != 0 || context.is_dated && !has_maker {
        return None;
    }
    let is_range = range_end(name, at, number(word).unwrap_or(u16::MAX)).0 > at + 1;
    let is_long = word.len() >= 2 || is_range;
    if is_long && ends && (is_range || has_maker || context.is_broadcast || is_french(name, at + 1)) {
        // Later ones first: "Title 100 07".
        return Some(5);
    }
    let is_hundreds = context.is_broadcast && word.len() >= 3 && name.number(at, 4).is_some();
    (is_padded || is_hundreds).then_some(6)
}

/// Behind it comes what is no title: brackets, a dash, words of the trade, nothing.
fn ends_there(name: &Name<'_>, at: usize) -> bool {
    let end = range_end(name, at, number_of(name.word(at)).unwrap_or(0)).0;
    end == name.len()
        || name.claim_of(end).is_some()
        || name.bracket(end) != name.bracket(at)
        || name.is_after_dash(end)
        || matches!(name.word(end), "end" | "final" | "fin" | "v0" | "v1" | "v2" | "v3")
}

fn is_french(name: &Name<'_>, at: usize) -> bool {
    name.word(at) == "vostfr"
}

/// "16-20", "01~12", "01 - 12" in brackets.
fn range_end(name: &Name<'_>, at: usize, first: u16) -> (usize, u16) {
    let gap = name.gap(at + 1);
    let is_spaced = gap == " - " && name.word(at).len() == name.word(at + 1).len();
    let is_dash = matches!(gap, "-" | "~" | "–" | "-#" | " ~ ") || is_spaced;
    match name.number(at + 1, 4).filter(|&last| is_dash && name.is_free(at + 1) && last > first) {
        Some(last) => (at + 2, last),
        None => (at + 1, first),
    }
}

/// "307" or "0307" on television, where nothing says that it counts from the first.
fn is_compressed(name: &Name<'_>, at: usize, numbers: &Numbers, context: Context) -> bool {
    let Some(number) = name.number(at, 4) else { return false };
    let is_plain = name.bracket(0) == 0 && !name.is_after_dash(at) && numbers.seasons.is_empty();
    let has_form = match name.word(at).len() {
        3 => number >= 100,
        4 => name.word(at).starts_with('0'),
        _ => false,
    };
    is_plain && has_form && context.is_broadcast && (1..=40).contains(&(number % 100))
}
