//! Dates of broadcasts, and the year of a film.

use std::fmt;
use std::ops::Range;

use super::tokens::{Claim, Name};

/// A day: when an episode was on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// In four digits.
    pub year: u16,
    /// From 1.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

impl fmt::Display for Date {
    /// As ISO 8601 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Date {
    fn new(year: u16, month: u16, day: u16) -> Option<Self> {
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 29,
            _ => return None,
        };
        let is_one = is_year(year) && (1..=days).contains(&day);
        is_one.then_some(Self { year, month: month as u8, day: day as u8 })
    }
}

/// Films are not older; none is dated further ahead than this in the life of this table.
fn is_year(year: u16) -> bool {
    (1895..=2049).contains(&year)
}

/// Claims the first date.
pub(super) fn date(name: &mut Name<'_>) -> Option<Date> {
    let (words, date) = (0..name.len()).find_map(|at| date_at(name, at))?;
    name.claim(words, Claim::Number);
    Some(date)
}

fn date_at(name: &Name<'_>, at: usize) -> Option<(Range<usize>, Date)> {
    if !name.is_free(at) {
        return None;
    }
    if let Some(date) = written_at_once(name.word(at)) {
        return Some((at..at + 1, date));
    }
    let are_free = name.is_free(at + 1) && name.is_free(at + 2);
    if !are_free || name.bracket(at) != name.bracket(at + 2) {
        return None;
    }
    let date = with_month(name, at).or_else(|| in_digits(name, at))?;
    Some((at..at + 3, date))
}

/// "20201013".
fn written_at_once(word: &str) -> Option<Date> {
    if word.len() != 8 || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |part: Range<usize>| word[part].parse().ok();
    let year = part(0..4).filter(|year| (1950..2049).contains(year))?;
    Date::new(year, part(4..6)?, part(6..8)?)
}

/// "4th December 2020", "16-Feb-2017", "May 23, 2014".
fn with_month(name: &Name<'_>, at: usize) -> Option<Date> {
    let [first, second, year] = [at, at + 1, at + 2].map(|word| name.word(word));
    let year = (year.len() == 4).then(|| year.parse().ok()).flatten()?;
    match (month(first), month(second)) {
        (None, Some(month)) => Date::new(year, month, day(first)?),
        (Some(month), None) => Date::new(year, month, day(second)?),
        _ => None,
    }
}

fn month(word: &str) -> Option<u16> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let is_it = |month: &&str| month.starts_with(word) && (word.len() == 3 || *month == word);
    (1..)
        .zip(&MONTHS)
        .find(|(_, month)| word.is_ascii() && is_it(month) || (word == "sept" && **month == "september"))
        .map(|(number, _)| number)
}

fn day(word: &str) -> Option<u16> {
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
    (digits.len() <= 2).then(|| digits.parse().ok()).flatten()
}

/// Three numbers with the same sign between: the year first or last, in two digits or four.
fn in_digits(name: &Name<'_>, at: usize) -> Option<Date> {
    let gap = name.gap(at + 1);
    let is_dated = matches!(gap, "." | "-" | "_" | " " | "/");
    if !is_dated || name.gap(at + 2) != gap {
        return None;
    }
    let words = [at, at + 1, at + 2];
    let [first, second, third] = words.map(|word| name.number(word, 4));
    let (first, second, third) = (first?, second?, third?);
    match words.map(|word| name.word(word).len()) {
        [4, 1..=2, 1..=2] => Date::new(first, second, third).or_else(|| Date::new(first, third, second)),
        // Days come first nearly everywhere; months where there is no such month.
        [1..=2, 1..=2, 4] => Date::new(third, second, first).or_else(|| Date::new(third, first, second)),
        // In two digits only where no fourth number makes it a list.
        [2, 2, 2] if gap != " " && name.number(at + 3, 2).is_none() => {
            let year = |digits: u16| if digits < 50 { 2000 + digits } else { 1900 + digits };
            Date::new(year(first), second, third)
                .or_else(|| Date::new(year(third), second, first))
                .or_else(|| Date::new(year(third), first, second))
        }
        _ => None,
    }
}

/// Claims the year: of several the one in brackets, or the last before what is of the trade; the first word of a name is a
/// title if there is no other.
pub(super) fn year(name: &mut Name<'_>) -> Option<u16> {
    let candidates: Vec<usize> = (0..name.len()).filter(|&at| year_at(name, at).is_some()).collect();
    let first = *candidates.first()?;
    let is_bracketed =
        |at: usize| at > 0 && name.bracket(at) != 0 && name.bracket(at) != name.bracket(at - 1);
    // What comes before the first word of the trade behind a year is the title with its year.
    let is_trade = |&at: &usize| matches!(name.claim_of(at), Some(Claim::Quality | Claim::Number));
    let end = (first + 1..name.len()).find(is_trade).unwrap_or(name.len());
    // A year alone is a title too, but one in brackets is a year.
    let is_word = |&at: &usize| matches!(name.claim_of(at), None | Some(Claim::Hint));
    let is_title = |&at: &usize| name.bracket(at) == 0 || year_at(name, at).is_none();
    let title = (0..name.len()).filter(is_word).find(is_title).unwrap_or(name.len());
    let candidates = || candidates.iter().copied();
    let at = candidates()
        .find(|&at| is_bracketed(at))
        .or_else(|| candidates().rfind(|&at| title < at && at < end))
        .or_else(|| candidates().find(|&at| title < at))
        .or_else(|| candidates().find(|&at| name.bracket(at) != 0))?;
    // "1983-1992": since when is the year, and until when is said as well.
    let is_range = |second: usize| name.gap(second) == "-" && year_at(name, second).is_some();
    let is_second = at > title + 1 && is_range(at) && year_at(name, at - 1).is_some();
    let at = at - usize::from(is_second);
    let year = year_at(name, at)?;
    let end = at + 1 + usize::from(is_range(at + 1));
    name.claim(at..end, Claim::Year);
    Some(year)
}

fn year_at(name: &Name<'_>, at: usize) -> Option<u16> {
    let is_whole = name.word(at).len() == 4 && name.is_free(at);
    name.number(at, 4).filter(|&year| is_whole && is_year(year))
}
