//! The table as bars.

use std::fmt::Write;

use super::case::{Case, Row, show};
use super::report::Report;

const WIDTH: u32 = 960;
/// Where bars begin, and the longest of them ends.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 840.0;
const LINE: u32 = 16;
const COLOURS: [&str; 7] = ["#1b6ca8", "#7fb2d6", "#c0392b", "#e08a80", "#d68910", "#239b56", "#7d3c98"];

/// An SVG: for each figure of each case a bar per subject, and the limit as a line across them.
pub(crate) fn draw(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 10;
    for case in &report.cases {
        y += 2 * LINE;
        let _ =
            writeln!(body, r#"<text x="10" y="{y}" font-weight="bold">{}: {}</text>"#, case.name, case.title);
        for row in &case.rows {
            y = group(&mut body, report, case, row, y + LINE);
        }
    }
    let height = y + 2 * LINE;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// The bars of one figure; where the next ones begin.
fn group(body: &mut String, report: &Report, case: &Case, row: &Row, top: u32) -> u32 {
    let bars: Vec<(usize, &str, Option<f64>)> = report
        .subjects
        .iter()
        .enumerate()
        .filter_map(|(nth, subject)| report.cell(case, row, subject).map(|cell| (nth, *subject, cell.median)))
        .collect();
    let longest = bars.iter().filter_map(|bar| bar.2).chain(row.limit).fold(0.0, f64::max);
    let scale = if longest > 0.0 { (RIGHT - LEFT) / longest } else { 0.0 };
    let mut y = top;
    let _ = writeln!(body, r#"<text x="20" y="{}">{}</text>"#, y + 12, row.title);
    for (nth, name, figure) in &bars {
        let length = figure.map_or(RIGHT - LEFT, |figure| figure * scale).max(1.0);
        let colour = if figure.is_some() { COLOURS[nth % COLOURS.len()] } else { "#dddddd" };
        let label = figure.map_or_else(|| "never".to_owned(), |figure| show(row.unit, figure));
        let _ = writeln!(
            body,
            r#"<text x="{}" y="{}" text-anchor="end">{name}</text><rect x="{LEFT}" y="{}" width="{length:.1}" height="12" fill="{colour}"/><text x="{:.1}" y="{}">{label}</text>"#,
            LEFT - 6.0,
            y + 11,
            y + 1,
            LEFT + length + 5.0,
            y + 11,
        );
        y += LINE;
    }
    if let Some(limit) = row.limit {
        let x = LEFT + limit * scale;
        let _ = writeln!(
            body,
            r#"<line x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{y}" stroke="black" stroke-dasharray="3 2"/>"#
        );
    }
    y.max(top + LINE)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::bench::report::Run;
    use crate::bench::scenario;

    #[test]
    fn each_figure_has_its_bar() {
        let report = Report {
            name: "stream",
            cases: scenario::all(true).into_iter().map(|scenario| scenario.case).collect(),
            subjects: vec!["afflux"],
            missing: BTreeMap::new(),
            runs: vec![Run {
                round: 1,
                case: "tight",
                subject: "afflux",
                outcome: Ok(BTreeMap::from([("startup", Some(2.5)), ("resume_p50", None)])),
                status: None,
                load: 0.0,
            }],
            notes: BTreeSet::new(),
        };
        let svg = draw(&report);
        assert!(svg.contains("2.50 s") && svg.contains("never"));
        assert_eq!(svg.matches("height=\"12\"").count(), 2);
    }
}
