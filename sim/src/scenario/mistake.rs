//! What is wrong with a scenario's text, shown as compilers show it: the place, what is there, what is allowed.

use std::fmt;
use std::ops::Range;

use super::limits::{MISTAKES_MAX, SHOWN_CHARS_MAX};

/// A scenario that can't be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    mistakes: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What kind it is of.
    pub kind: Kind,
    /// Where it begins, from 1.
    pub line: usize,
    /// The character of the line where it begins, from 1.
    pub column: usize,
    /// Characters of the line that it spans, at least 1.
    pub width: usize,
    /// The field, with the tables around it: `group[2].up`. Empty where no field is meant.
    pub field: String,
    /// What is there.
    pub found: String,
    /// What is allowed.
    pub allowed: String,
    /// What was probably meant.
    pub meant: Option<String>,
    /// The line; empty where it is too long to show.
    pub source: String,
}

/// The kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It isn't TOML, or too long.
    Syntax,
    /// There is no field of that name.
    UnknownField,
    /// A field isn't there that has to be.
    MissingField,
    /// The value is of another type, or can't be read, or lies outside what is allowed.
    BadValue,
    /// Each value may be right, but not together with the others.
    Contradiction,
}

impl FileError {
    /// The mistakes in the order of the text; at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The whole report, with each place and line; `file` is what the text is called.
    pub fn render(&self, file: &str) -> String {
        let mut report = String::new();
        for mistake in &self.mistakes {
            let Mistake { line, column, source, width, .. } = mistake;
            report.push_str(&format!("{file}:{line}:{column}: {mistake}\n"));
            if source.is_empty() {
                continue;
            }
            let gutter = " ".repeat(line.to_string().len());
            let before = " ".repeat(column - 1);
            let mark = "^".repeat(*width);
            report.push_str(&format!("{gutter} |\n{line} | {source}\n{gutter} | {before}{mark}\n"));
        }
        report
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let break_before = if index == 0 { "" } else { "\n" };
            write!(f, "{break_before}line {}, column {}: {mistake}", mistake.line, mistake.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for FileError {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, found, allowed, .. } = self;
        match self.kind {
            Kind::Syntax => write!(f, "{found}: {allowed}")?,
            Kind::UnknownField => write!(f, "there is no field {found}: allowed are {allowed}")?,
            Kind::MissingField => write!(f, "{field} is missing: {allowed}")?,
            Kind::BadValue | Kind::Contradiction => write!(f, "{field} is {found}: {allowed}")?,
        }
        match &self.meant {
            Some(meant) => write!(f, "; did you mean {meant}?"),
            None => Ok(()),
        }
    }
}

/// Gathers mistakes while a text is read.
#[derive(Debug)]
pub(super) struct Mistakes<'a> {
    text: &'a str,
    /// With the byte where each begins, to sort them by.
    found: Vec<(usize, Mistake)>,
}

impl<'a> Mistakes<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes a mistake at `span`. Beyond a screenful more of them help nobody.
    pub(super) fn note(&mut self, span: Range<usize>, draft: Draft) {
        if self.found.len() >= MISTAKES_MAX {
            return;
        }
        let place = Place::of(self.text, &span);
        let Draft { kind, field, found, allowed, meant } = draft;
        let Place { line, column, width, source } = place;
        let mistake = Mistake { kind, line, column, width, field, found, allowed, meant, source };
        self.found.push((span.start, mistake));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// `value` if nothing was wrong.
    pub(super) fn verdict<T>(mut self, value: Option<T>) -> Result<T, FileError> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => {
                self.found.sort_by_key(|(start, _)| *start);
                Err(FileError { mistakes: self.found.into_iter().map(|(_, mistake)| mistake).collect() })
            }
        }
    }
}

/// A mistake whose place isn't worked out yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) field: String,
    pub(super) found: String,
    pub(super) allowed: String,
    pub(super) meant: Option<String>,
}

impl Draft {
    /// Something in the text that is as it may not be.
    pub(super) fn new(kind: Kind, field: &str, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { kind, field: field.to_owned(), found: found.into(), allowed: allowed.into(), meant: None }
    }
}

/// A span as a person finds it.
struct Place {
    line: usize,
    column: usize,
    width: usize,
    source: String,
}

impl Place {
    /// Spans come from a parser of hostile text: whatever they are, a place comes out.
    fn of(text: &str, span: &Range<usize>) -> Self {
        let start = floor(text, span.start);
        let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[..begin].matches('\n').count() + 1;
        let stop = floor(text, span.end).clamp(start, end);
        let column = text[begin..start].chars().count() + 1;
        let width = text[start..stop].chars().count().max(1);
        // Of a line that no terminal shows only the beginning is kept, and nothing if the place lies behind that.
        let shown = if column <= SHOWN_CHARS_MAX { SHOWN_CHARS_MAX } else { 0 };
        let source: String = text[begin..end].chars().take(shown).map(printable).collect();
        let width = width.min((SHOWN_CHARS_MAX + 1).saturating_sub(column)).max(1);
        Self { line, column, width, source: source.trim_end().to_owned() }
    }
}

/// A tab would move the mark, and other control characters might move the terminal's cursor.
pub(super) fn printable(char: char) -> char {
    if char.is_control() { ' ' } else { char }
}

/// The beginning of the character at a byte.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
