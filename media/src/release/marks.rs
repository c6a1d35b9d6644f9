//! Words that are marks of seasons and episodes by themselves: "s01e02", "1x02".

use super::tokens::{is_year, number};

/// A word such as "s01e02e03", "1x02", "e05v2".
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    pub(super) season: Option<u16>,
    pub(super) first: Option<u16>,
    pub(super) last: Option<u16>,
    pub(super) is_extra: bool,
}

/// Reads a mark; the whole word has to be one.
pub(super) fn mark(word: &str) -> Option<Mark> {
    let mut rest = Rest(word);
    let mut mark = Mark::default();
    if rest.letters(&["season", "s"]) {
        mark.season = Some(rest.number(4)?);
        if matches!(rest.0, "extras" | "extra" | "bonus" | "special" | "specials") {
            return Some(Mark { is_extra: true, ..mark });
        }
        if rest.letters(&["d", "disc"]) {
            rest.number(2)?;
            return rest.0.is_empty().then_some(mark);
        }
        if rest.0.is_empty() {
            return Some(mark);
        }
    } else if rest.0.starts_with(|first: char| first.is_ascii_digit()) {
        // "1x02"; a picture has more than two digits before its "x".
        mark.season = Some(rest.number(4).filter(|&season| season < 100 || is_year(season))?);
        if rest.0 == "xall" {
            return Some(mark);
        }
        if !rest.0.starts_with(['x', 'х']) {
            return None;
        }
    } else if !rest.0.starts_with(['e', 'x']) {
        return None;
    }
    while rest.letters(&["episode", "xep", "xe", "ep", "e", "x", "х"]) {
        let number = rest.number(5)?;
        mark.first.get_or_insert(number);
        mark.last = Some(mark.last.map_or(number, |last| last.max(number)));
    }
    rest.version();
    let is_whole = rest.0.is_empty() || matches!(rest.0, "a" | "b" | "c" | "end" | "fin");
    (is_whole && mark.first.is_some()).then_some(mark)
}

/// What is left of a word.
pub(super) struct Rest<'a>(pub(super) &'a str);

impl<'a> Rest<'a> {
    /// Takes the first of these that comes with a digit behind it.
    fn letters(&mut self, those: &[&str]) -> bool {
        let is_digit = |rest: &&'a str| rest.starts_with(|next: char| next.is_ascii_digit());
        let rest = those.iter().find_map(|&letters| self.0.strip_prefix(letters).filter(is_digit));
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Takes a number of at most so many digits.
    pub(super) fn number(&mut self, digits_max: usize) -> Option<u16> {
        let rest = self.0.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let digits = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        number(digits).filter(|_| digits.len() <= digits_max)
    }

    /// "v2".
    pub(super) fn version(&mut self) {
        if let Some([b'0'..=b'9']) = self.0.strip_prefix('v').map(str::as_bytes) {
            self.0 = "";
        }
    }
}
