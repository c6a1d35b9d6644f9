//! Episodes by a number that nothing marks: as fansubbers count ("Title - 07"), and as television once did ("Title.307").

use super::numbers::{Numbers, add};
use super::tokens::{Claim, Name, is_year, number};
use crate::limits::EPISODES_MAX;

/// What else the name says, by which a number is one of an episode or part of a title.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// It has a year: most likely a film.
    pub(super) is_dated: bool,
    /// It comes from television.
    pub(super) is_broadcast: bool,
}

/// What is the same for all numbers of a name.
struct Scene {
    context: Context,
    /// The name begins with brackets: of who made it, as fansubbers do.
    has_maker: bool,
    /// The first word outside of brackets.
    first: usize,
    /// Behind the last mark of a season; a number before one is a title's.
    from: usize,
}

/// Claims the number of an episode, if the name says none with a mark.
pub(super) fn find(name: &mut Name<'_>, numbers: &mut Numbers, context: Context) {
    if let Some((at, season, episode)) = (0..name.len()).find_map(|at| pair(name, at, context)) {
        numbers.seasons.push(season);
        numbers.episodes.push(episode);
        name.claim(at..at + 2, Claim::Number);
        return;
    }
    let is_mark = |at: &usize| name.claim_of(*at) == Some(Claim::Number);
    let scene = Scene {
        context,
        has_maker: name.bracket(0) != 0,
        first: (0..name.len()).find(|&at| name.bracket(at) == 0).unwrap_or(name.len()),
        from: (0..name.len()).rev().find(is_mark).map_or(0, |mark| mark + 1),
    };
    // Of two places that are as good the first.
    let candidates = (0..name.len()).filter(|&at| is_candidate(name, at));
    let places = candidates.filter_map(|at| Some((rank(name, at, &scene)?, at)));
    let Some((_, at)) = places.min() else { return };
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
    let is_year = name.number(at, 4).is_some_and(is_year);
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
fn rank(name: &Name<'_>, at: usize, scene: &Scene) -> Option<Rank> {
    let is_outside = name.bracket(at) == 0;
    let is_padded = name.word(at).len() >= 2 && name.word(at).starts_with('0');
    if name.gap(at).ends_with('#') {
        return Some(Rank::Hash);
    }
    if at > 0 && is_outside && name.is_after_dash(at) && (is_padded || ends_there(name, at)) {
        return Some(Rank::Dash);
    }
    if scene.has_maker && at > 0 && is_alone(name, at) {
        return Some(Rank::Brackets);
    }
    // "Title 1.11" is no episode.
    let is_decimal = at > 0 && name.gap(at) == "." && name.number(at - 1, 2).is_some();
    if is_decimal || !is_outside || at < scene.from {
        return None;
    }
    if at == scene.first && leads(name, at, scene, is_padded) {
        return Some(Rank::First);
    }
    let is_long = name.word(at).len() >= 3 && name.number(at, 4).is_some();
    let is_hundreds = scene.context.is_broadcast && is_long;
    // "Title.2010.217.HDTV": the year is one of the show's.
    if at > 0 && is_hundreds && name.claim_of(at - 1) == Some(Claim::Year) {
        return Some(Rank::Last);
    }
    if at == 0 || (scene.context.is_dated && !scene.has_maker) {
        return None;
    }
    let is_range = range_end(name, at, number(name.word(at)).unwrap_or(u16::MAX)).0 > at + 1;
    let is_counted = scene.has_maker || scene.context.is_broadcast || name.word(at + 1) == "vostfr";
    if ends_there(name, at) && (is_range || (is_counted && name.word(at).len() >= 2)) {
        return Some(Rank::Last);
    }
    (is_padded || is_hundreds).then_some(Rank::Anywhere)
}

/// Where a number stands, the surest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// "Title #7".
    Hash,
    /// "Title - 07".
    Dash,
    /// "[Group][Title][07]".
    Brackets,
    /// "07 - Title".
    First,
    /// "Title 07 [720p]".
    Last,
    /// "Title.07.Its.Name", "Title.307.Its.Name".
    Anywhere,
}

/// A number, or a range, with square brackets of its own.
fn is_alone(name: &Name<'_>, at: usize) -> bool {
    let end = range_end(name, at, 0).0;
    name.gap(at).ends_with(['[', '【'])
        && name.bracket(at) != name.bracket(at.wrapping_sub(1))
        && name.bracket(end) != name.bracket(at)
}

/// "003. Title", "07 - Title", and behind a group "07 Title".
fn leads(name: &Name<'_>, at: usize, scene: &Scene, is_padded: bool) -> bool {
    let next = range_end(name, at, 0).0;
    let gap = name.gap(next);
    let is_set_off =
        name.is_after_dash(next) || gap == ". " || (is_padded && (gap == "-" || scene.has_maker));
    is_set_off && name.word(at).len() >= 2 && !scene.context.is_dated && next < name.len()
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
