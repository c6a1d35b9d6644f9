//! What is measured: a case, the rows of its table, and figures with their units.

use std::collections::BTreeMap;

/// The figures of a run by their keys; nothing where what was waited for never came.
pub(crate) type Figures = BTreeMap<&'static str, Option<f64>>;

/// One table: what is done, and which figures of it are shown.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The figure of a run that it shows.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    /// The most that there is to have, where that is known without measuring.
    pub(crate) limit: Option<f64>,
}

impl Row {
    pub(crate) const fn new(key: &'static str, title: &'static str, unit: Unit) -> Self {
        Self { key, title, unit, limit: None }
    }
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Count,
    Share,
    Mib,
    MibPerSecond,
}

/// A figure with its unit.
pub(crate) fn show(unit: Unit, figure: f64) -> String {
    match unit {
        Unit::Seconds => format!("{figure:.2} s"),
        Unit::Milliseconds => format!("{figure:.1} ms"),
        Unit::Count => format!("{figure:.0}"),
        Unit::Share => format!("{:.1} %", 100.0 * figure),
        Unit::Mib if figure < 10.0 => format!("{figure:.1} MiB"),
        Unit::Mib => format!("{figure:.0} MiB"),
        Unit::MibPerSecond if figure < 10.0 => format!("{figure:.2} MiB/s"),
        Unit::MibPerSecond => format!("{figure:.0} MiB/s"),
    }
}

/// The middle one, in which what never came is the greatest; nothing if that is in the middle.
pub(crate) fn median(figures: &[Option<f64>]) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.iter().map(|figure| figure.unwrap_or(f64::INFINITY)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = match sorted.len() {
        0 => return None,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    };
    median.is_finite().then_some(median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_later_than_all_else() {
        assert_eq!(median(&[Some(3.0), None, Some(1.0)]), Some(3.0));
        assert_eq!(median(&[Some(3.0), Some(1.0)]), Some(2.0));
        assert_eq!(median(&[Some(3.0), None]), None);
        assert_eq!(median(&[]), None);
    }
}
