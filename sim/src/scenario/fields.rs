//! Reads tables field by field: each has to be asked for, and what nobody asked for is a mistake.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::limits::SHOWN_CHARS_MAX;
use super::meant::closest;
use super::mistake::{Draft, Kind, Mistakes, printable};

/// A table of the file while it is read.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// The table's own name, with a dot behind it; empty at the top.
    prefix: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    known: BTreeSet<&'static str>,
}

/// Why a value can't be used.
#[derive(Debug)]
pub(super) struct Wrong {
    allowed: String,
    meant: Option<String>,
}

impl Wrong {
    /// `allowed` says what could stand there.
    pub(super) fn new(allowed: impl Into<String>) -> Self {
        Self { allowed: allowed.into(), meant: None }
    }

    pub(super) fn meant(mut self, meant: Option<impl Into<String>>) -> Self {
        self.meant = meant.map(Into::into);
        self
    }
}

/// A value somewhere inside of a field that can't be used.
#[derive(Debug)]
pub(super) struct Misfit<'v> {
    /// Where in the field: `[2][1]`; empty where it's the field itself.
    place: String,
    value: &'v Spanned<DeValue<'v>>,
    wrong: Wrong,
}

impl<'v> Misfit<'v> {
    pub(super) fn new(place: impl Into<String>, value: &'v Spanned<DeValue<'v>>, wrong: Wrong) -> Self {
        Self { place: place.into(), value, wrong }
    }

    /// Notes it; `field` is the field that it is in.
    pub(super) fn note(self, field: &str, mistakes: &mut Mistakes<'_>) {
        note_wrong(&format!("{field}{}", self.place), self.value, self.wrong, mistakes);
    }
}

/// What a field may be: the value that a TOML value stands for.
pub(super) type Reading<'r, T> = &'r dyn Fn(&DeValue<'_>) -> Result<T, Wrong>;

impl<'a> Fields<'a> {
    /// The whole file.
    pub(super) fn top(table: &'a Spanned<DeTable<'a>>) -> Self {
        // A missing field is missing at the first line, not everywhere.
        Self { prefix: String::new(), table: table.get_ref(), span: 0..0, known: BTreeSet::new() }
    }

    /// A table inside of another.
    pub(super) fn of(name: &str, table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self { prefix: format!("{name}."), table, span, known: BTreeSet::new() }
    }

    /// A field's name with the tables around it.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Where the value of a field stands, or else the table.
    pub(super) fn span(&self, name: &str) -> Range<usize> {
        self.table.get(name).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// The value of a field, if it's there.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.insert(name);
        self.table.get(name)
    }

    /// A field that has to be there; `None`: it isn't, or is wrong, which is noted.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        reading: Reading<'_, T>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<T> {
        match self.raw(name) {
            Some(value) => self.read(name, value, reading, mistakes),
            None => {
                let allowed = match reading(&DeValue::Boolean(false)) {
                    Err(wrong) => wrong.allowed,
                    Ok(_) => "true or false is allowed".to_owned(),
                };
                self.missing(name, allowed, mistakes);
                None
            }
        }
    }

    /// A field that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        reading: Reading<'_, T>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<T> {
        let value = self.raw(name)?;
        self.read(name, value, reading, mistakes)
    }

    fn read<T>(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        reading: Reading<'_, T>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<T> {
        match reading(value.get_ref()) {
            Ok(value) => Some(value),
            Err(wrong) => {
                note_wrong(&self.path(name), value, wrong, mistakes);
                None
            }
        }
    }

    /// Notes that a field isn't there.
    pub(super) fn missing(&self, name: &str, allowed: impl Into<String>, mistakes: &mut Mistakes<'_>) {
        mistakes
            .note(self.span.clone(), Draft::new(Kind::MissingField, &self.path(name), "missing", allowed));
    }

    /// Notes that a field's value is right by itself, but not here.
    pub(super) fn contradiction(&self, name: &str, allowed: impl Into<String>, mistakes: &mut Mistakes<'_>) {
        let found =
            self.table.get(name).map_or_else(|| "its default".to_owned(), |value| shown(value.get_ref()));
        mistakes.note(self.span(name), Draft::new(Kind::Contradiction, &self.path(name), found, allowed));
    }

    /// Refuses a field that makes sense elsewhere only.
    pub(super) fn refuse(&mut self, name: &'static str, allowed: &str, mistakes: &mut Mistakes<'_>) {
        if self.raw(name).is_some() {
            self.contradiction(name, allowed, mistakes);
        }
    }

    /// Notes the fields that nobody asked for.
    pub(super) fn finish(self, mistakes: &mut Mistakes<'_>) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.known.contains(name) {
                continue;
            }
            let allowed: Vec<&str> = self.known.iter().copied().collect();
            let path = shortened(&self.path(name));
            let mut draft = Draft::new(Kind::UnknownField, &path, path.clone(), allowed.join(", "));
            draft.meant = closest(name, self.known.iter().copied()).map(str::to_owned);
            mistakes.note(key.span(), draft);
        }
    }
}

/// Notes that the value of the field `path` can't be used.
pub(super) fn note_wrong(
    path: &str,
    value: &Spanned<DeValue<'_>>,
    wrong: Wrong,
    mistakes: &mut Mistakes<'_>,
) {
    let mut draft = Draft::new(Kind::BadValue, path, shown(value.get_ref()), wrong.allowed);
    draft.meant = wrong.meant;
    mistakes.note(value.span(), draft);
}

/// A value as messages show it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => shortened(&format!("{text:?}")),
        DeValue::Integer(number) => shortened(number.as_str()),
        DeValue::Float(number) => shortened(number.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(values) if values.len() == 1 => "an array of 1 value".to_owned(),
        DeValue::Array(values) => format!("an array of {} values", values.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The beginning of a long text, without what would move a terminal's cursor.
fn shortened(text: &str) -> String {
    let mut chars = text.chars();
    let shown: String = chars.by_ref().take(SHOWN_CHARS_MAX).map(printable).collect();
    if chars.next().is_some() { shown + "…" } else { shown }
}
