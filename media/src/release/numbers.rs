//! Seasons and episodes, as names of the trade count them.

use super::marks::{Mark, Rest, mark};
use super::tokens::{Claim, Name, is_year, number};
use crate::limits::{EPISODES_MAX, SEASONS_MAX};

/// What a name counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) seasons: Vec<u16>,
    pub(super) episodes: Vec<u16>,
    /// Counted from the first season on.
    pub(super) absolute: Vec<u16>,
    /// It counts in hundreds, as Spaniards do.
    pub(super) is_spanish: bool,
    /// It is an extra of a season.
    pub(super) is_extra: bool,
}

impl Numbers {
    fn add_seasons(&mut self, first: u16, last: u16) {
        add(&mut self.seasons, first, last, SEASONS_MAX);
    }

    pub(super) fn add_episodes(&mut self, first: u16, last: u16) {
        add(&mut self.episodes, first, last, EPISODES_MAX);
    }
}

/// Adds a range, in order; one that is too long counts as its first.
pub(super) fn add(numbers: &mut Vec<u16>, first: u16, last: u16, max: usize) {
    let is_short = usize::from(last.saturating_sub(first)) < max;
    let last = if is_short { last } else { first };
    numbers.extend((first..=last).take(max.saturating_sub(numbers.len())));
    // Two runs that are in order cost no more than their length.
    numbers.sort();
    numbers.dedup();
}

/// Claims all that is marked as a season or an episode.
pub(super) fn marked(name: &mut Name<'_>) -> Numbers {
    let mut numbers = Numbers::default();
    let mut at = 0;
    while at < name.len() {
        let end = if name.is_free(at) { number_at(name, at, &mut numbers) } else { None };
        match end {
            Some(end) => {
                name.claim(at..end.min(name.len()), Claim::Number);
                at = end;
            }
            None => at += 1,
        }
    }
    numbers
}

fn number_at(name: &Name<'_>, at: usize, numbers: &mut Numbers) -> Option<usize> {
    by_mark(name, at, numbers)
        .or_else(|| by_keyword(name, at, numbers))
        .or_else(|| by_ordinal(name, at, numbers))
        .or_else(|| of_all(name, at, numbers))
        .or_else(|| in_bracket(name, at, numbers))
}

fn by_mark(name: &Name<'_>, at: usize, numbers: &mut Numbers) -> Option<usize> {
    let mut mark = mark(name.word(at))?;
    let mut end = at + 1;
    // A letter alone is a mark only with its number: "S 1", "E 05".
    let is_first = numbers.seasons.is_empty() && numbers.episodes.is_empty();
    if !is_first && mark.season.is_some() && mark.first.is_some() {
        // The same once more ("S01E01-S01E03") is a range; another ("10x14" behind "S01E01") is a title's.
        let is_same = mark.season.is_some_and(|season| numbers.seasons.contains(&season));
        if !is_same {
            return None;
        }
    }
    if mark.first.is_none() && mark.season.is_some() && !mark.is_extra {
        let next =
            super::marks::mark(name.word(end)).filter(|next| next.season.is_none() && name.is_free(end));
        if let Some(next) = next {
            (mark.first, mark.last) = (next.first, next.last);
            end += 1;
        }
    }
    numbers.is_extra |= mark.is_extra;
    let Some(first) = mark.first else {
        let season = mark.season?;
        let word = name.word(end);
        if let Some(episode) =
            name.number(end, 3).filter(|_| name.gap(end) == "-" && word.len() > name.word(at).len() - 1)
        {
            numbers.add_seasons(season, season);
            numbers.add_episodes(episode, episode);
            return Some(end + 1);
        }
        let last = last_of(name, &mut end, season, |next| next.season.filter(|_| next.first.is_none()));
        numbers.add_seasons(season, last);
        return Some(end);
    };
    if mark.season.is_none() && name.word(at).starts_with('x') {
        // "x02": behind "1x01" more of it, else something beside a film.
        numbers.is_extra |= is_first;
        return (is_first && at > 0).then_some(end);
    }
    let season = mark.season;
    if let Some(season) = season {
        numbers.add_seasons(season, season);
    }
    let from = mark.last.unwrap_or(first);
    let last = last_of(name, &mut end, from, |next| {
        next.first
            .filter(|_| next.season.is_none() || next.season == season)
            .map(|first| next.last.unwrap_or(first))
    });
    numbers.add_episodes(first, last);
    Some(end)
}

/// Where a range or a list that began with a number ends: "-05", "-E05", " & E05".
fn last_of(name: &Name<'_>, end: &mut usize, first: u16, of_mark: impl Fn(&Mark) -> Option<u16>) -> u16 {
    let mut last = first;
    while name.is_free(*end) {
        let gap = name.gap(*end);
        let is_range = matches!(gap, "-" | "--" | "–" | " - " | "~" | "_" | ".-.");
        let marked = mark(name.word(*end)).and_then(|mark| of_mark(&mark));
        let is_list = is_range || matches!(gap, "." | " " | "+" | "&" | ", " | "," | " & " | " + ");
        let bare = number(name.word(*end)).filter(|_| is_range && gap != "_" && name.word(*end).len() <= 4);
        // "S01E01 - 1000 Ways": beyond what a pack has, it is something else.
        let bare = bare.filter(|&next| gap != " - " && next < 1000 && (last == first || next == last + 1));
        let next = marked.filter(|_| is_list).or(bare);
        match next.filter(|&next| next > last && usize::from(next - last) < EPISODES_MAX) {
            Some(next) => last = next,
            None => break,
        }
        *end += 1;
    }
    last
}

/// What a number is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Season,
    Episode,
    /// "Cap. 102" is the second of the first season.
    Chapter,
}

#[rustfmt::skip]
const KEYWORDS: &[(&str, Of)] = &[
    ("season", Of::Season), ("seasons", Of::Season), ("saison", Of::Season), ("saisons", Of::Season),
    ("temporada", Of::Season), ("temporadas", Of::Season), ("temp", Of::Season), ("tem", Of::Season),
    ("stagione", Of::Season), ("stagioni", Of::Season), ("staffel", Of::Season), ("sezon", Of::Season),
    ("sezona", Of::Season), ("seizoen", Of::Season), ("sæson", Of::Season), ("säsong", Of::Season),
    ("sezonul", Of::Season), ("сезон", Of::Season), ("Сезон", Of::Season), ("сезона", Of::Season),
    ("сезоны", Of::Season), ("Сезоны", Of::Season), ("СЕЗОН", Of::Season), ("s", Of::Season), ("t", Of::Season),
    ("episode", Of::Episode), ("episodes", Of::Episode), ("épisode", Of::Episode), ("épisodes", Of::Episode),
    ("ep", Of::Episode), ("eps", Of::Episode), ("episodio", Of::Episode), ("episodios", Of::Episode),
    ("folge", Of::Episode), ("odcinek", Of::Episode), ("odc", Of::Episode), ("avsnitt", Of::Episode),
    ("afsnit", Of::Episode), ("aflevering", Of::Episode), ("bolum", Of::Episode), ("bölüm", Of::Episode),
    ("blm", Of::Episode), ("серия", Of::Episode), ("Серия", Of::Episode), ("серии", Of::Episode),
    ("Серии", Of::Episode), ("серий", Of::Episode), ("серії", Of::Episode), ("seriya", Of::Episode),
    ("эпизод", Of::Episode), ("Эпизод", Of::Episode), ("сер", Of::Episode), ("seria", Of::Episode),
    ("serii", Of::Episode), ("e", Of::Episode),
    ("cap", Of::Chapter), ("caps", Of::Chapter), ("capitulo", Of::Chapter), ("capítulo", Of::Chapter),
    ("capitulos", Of::Chapter),
];

fn keyword(word: &str) -> Option<Of> {
    KEYWORDS.iter().find(|(keyword, _)| *keyword == word).map(|&(_, of)| of)
}

/// "Season 1-8", "Temporadas 1 2 3", "Cap.102_104", "Temporada1".
fn by_keyword(name: &Name<'_>, at: usize, numbers: &mut Numbers) -> Option<usize> {
    let word = name.word(at);
    let digits = word.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let letters = &word[..word.len() - digits.len()];
    let of = keyword(letters)?;
    let is_short = letters.len() == 1;
    let (from, first) = match digits {
        "" => (at + 1, number_of(name.word(at + 1)).filter(|_| name.is_free(at + 1))?),
        digits => (at, number(digits).filter(|_| letters.len() > 3)?),
    };
    // A letter alone with a number behind it is one in capitals only, as "S 1", and not "t 1000".
    if is_short && (!name.written(at).starts_with(char::is_uppercase) || at == 0 || name.gap(from) != " ") {
        return None;
    }
    if of == Of::Season && (first > 100 && !(1900..2050).contains(&first)) {
        return None;
    }
    let gap = name.gap(from);
    if digits.is_empty()
        && (gap.chars().count() > 3
            || (gap.starts_with('-') && gap.len() == 1 && of == Of::Season && is_short))
    {
        return None;
    }
    let mut end = from + 1;
    // "Episode 1.22", "Season 4.16".
    if let Some(episode) =
        name.number(end, 2).filter(|_| name.gap(end) == "." && name.word(end).len() == 2 && first < 100)
    {
        numbers.add_seasons(first, first);
        numbers.add_episodes(episode, episode);
        return Some(end + 1);
    }
    let last = list_end(name, &mut end, first);
    match of {
        Of::Season => numbers.add_seasons(first, last),
        Of::Episode if numbers.episodes.is_empty() => numbers.add_episodes(first, last),
        Of::Chapter if numbers.episodes.is_empty() => add_chapters(numbers, first, last),
        _ => {}
    }
    Some(end)
}

/// The number that a word is, with a version or "th" behind it.
fn number_of(word: &str) -> Option<u16> {
    let mut rest = Rest(word);
    let number = rest.number(4)?;
    rest.version();
    (rest.0.is_empty() || matches!(rest.0, "end" | "a" | "b")).then_some(number)
}

/// Where a list that began with a number ends: "-8", " to 8", ",2,3,4&5", " 2 3 4".
fn list_end(name: &Name<'_>, end: &mut usize, first: u16) -> u16 {
    let mut last = first;
    loop {
        let is_to = matches!(name.word(*end), "to" | "al" | "a" | "à" | "по" | "и" | "and" | "bis" | "thru");
        let is_dash = name.gap(*end).contains(['-', '–', '~', '_']);
        let at = if is_to { *end + 1 } else { *end };
        let next = name.number(at, 4).filter(|_| name.is_free(at) && (name.gap(at).len() <= 4 || is_dash));
        // "Season 2 - 08" is an episode, "Season 1 - 4" are seasons.
        let is_alike = !name.is_after_dash(at) || name.word(at).len() == name.word(*end - 1).len();
        let next = next.filter(|_| is_alike);
        let counted = next.filter(|&next| {
            let is_range = (is_to || is_dash) && next > last;
            is_range && next - last < 1000 && !is_year(next) || next == last.saturating_add(1)
        });
        let Some(next) = counted else { return last };
        (last, *end) = (next, at + 1);
    }
}

/// Spanish names count in hundreds: 102 is the second of the first.
fn add_chapters(numbers: &mut Numbers, first: u16, last: u16) {
    numbers.is_spanish = true;
    if first < 100 {
        numbers.add_episodes(first, last);
        return;
    }
    let season = first / 100;
    numbers.seasons.clear();
    numbers.add_seasons(season, season);
    numbers.add_episodes(first % 100, if last / 100 == season { last % 100 } else { first % 100 });
}

/// "10th season", "1a Temporada", "11 серия", "60.Bolum", "08.seriya".
fn by_ordinal(name: &Name<'_>, at: usize, numbers: &mut Numbers) -> Option<usize> {
    let word = name.word(at);
    let mut rest = Rest(word);
    let number = rest.number(4)?;
    if !matches!(rest.0, "" | "st" | "nd" | "rd" | "th" | "a" | "ª" | "º" | "°" | "e" | "ème" | "-я") {
        return None;
    }
    // "10 th season".
    let at_keyword =
        if matches!(name.word(at + 1), "th" | "й" | "я" | "nd" | "rd") { at + 2 } else { at + 1 };
    let is_ordinal = !rest.0.is_empty() || at_keyword > at + 1;
    let of = keyword(name.word(at_keyword))
        .filter(|_| name.word(at_keyword).len() > 2 && name.is_free(at_keyword))?;
    let is_near = matches!(name.gap(at_keyword), " " | "." | "_" | ". " | "-");
    // "Season 2 Episode 4": the number is the word's before it.
    let after = at_keyword + 1;
    let is_taken = !is_ordinal
        && number_of(name.word(after)).is_some_and(|number| !is_year(number))
        && name.bracket(after) == name.bracket(at_keyword)
        && keyword(name.word(after + 1)).is_none_or(|_| name.word(after + 1).len() < 3);
    if !is_near || is_taken {
        return None;
    }
    match of {
        Of::Season if number <= 100 => numbers.add_seasons(number, number),
        Of::Season => return None,
        Of::Episode | Of::Chapter => numbers.add_episodes(number, number),
    }
    Some(at_keyword + 1)
}

/// "01 of 10", "[01/24]", "(5 из 10)".
fn of_all(name: &Name<'_>, at: usize, numbers: &mut Numbers) -> Option<usize> {
    if let Some((part, all)) = name.word(at).split_once("of") {
        let part = number(part).filter(|_| number(all).is_some() && numbers.episodes.is_empty())?;
        numbers.add_episodes(part, part);
        return Some(at + 1);
    }
    let number = name.number(at, 4)?;
    let is_of = matches!(name.word(at + 1), "of" | "из" | "von" | "de" | "sur");
    let is_part = is_of && name.number(at + 2, 4).is_some_and(|all| all >= number && !is_year(all));
    let is_alone = name.bracket(at) != 0 && name.gap(at + 1) == "/" && name.gap(at).ends_with(['[', '(']);
    let is_fraction = is_alone && name.number(at + 1, 4).is_some_and(|all| all >= number);
    if !(is_part || is_fraction) || is_year(number) || !numbers.episodes.is_empty() {
        return None;
    }
    numbers.add_episodes(number, number);
    Some(if is_part { at + 3 } else { at + 2 })
}

/// "[401]" and "[5.134]" in brackets of their own.
fn in_bracket(name: &Name<'_>, at: usize, numbers: &mut Numbers) -> Option<usize> {
    let is_first = at > 0 && name.gap(at).ends_with('[') && numbers.episodes.is_empty();
    if !is_first {
        return None;
    }
    let (first, second) = (name.number(at, 3)?, name.number(at + 1, 3));
    let ends_at = |word: usize| name.gap(word).starts_with(']');
    if let Some(second) = second.filter(|_| name.gap(at + 1) == "." && ends_at(at + 2) && first < 100) {
        numbers.add_seasons(first, first);
        numbers.add_episodes(second, second);
        return Some(at + 2);
    }
    let is_compressed = ends_at(at + 1) && name.word(at).len() == 3 && !name.gap(at).contains(']');
    let is_spaced = name.gap(at) == " [" && name.gap(at + 1).starts_with("] ");
    if is_compressed && is_spaced && (1..=40).contains(&(first % 100)) && first >= 100 && name.bracket(0) == 0
    {
        numbers.add_seasons(first / 100, first / 100);
        numbers.add_episodes(first % 100, first % 100);
        return Some(at + 1);
    }
    None
}
