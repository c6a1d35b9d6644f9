//! Plots as SVG: for a scenario a small panel per figure, in it a line per strategy with the median as a dot, its interval as a
//! bar, and each run as a faint dot. Full dots are best, or can't be told from the best.

use super::show;
use crate::compare::{Cell, Row};
use crate::stats::{Better, Metric, Summary};

/// Panels beside each other.
const COLUMNS: usize = 3;
/// Around everything.
const MARGIN: f64 = 16.0;
/// For the strategies' names, left of each line of panels.
const LABELS: f64 = 92.0;
/// A panel's plot, and what lies right of it.
const PLOT: f64 = 230.0;
const GAP: f64 = 34.0;
/// For the scenario's name and its sentence.
const HEADING: f64 = 56.0;
/// For a panel's title, a strategy's line, and the axis.
const TITLE: f64 = 26.0;
const LINE: f64 = 20.0;
const AXIS: f64 = 40.0;
/// For what the signs mean.
const FOOTER: f64 = 18.0;

/// Colours that are readable on light and dark ground. What doesn't know the query shows the light ones.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}\
.name{font-size:17px;font-weight:600}.soft{fill:#59636e}.title{font-weight:600}.tick{font-size:11px;fill:#59636e}\
.paper{fill:#ffffff}.grid{stroke:#d1d9e0;stroke-width:1}.run{fill:#59636e;fill-opacity:.35}\
.bar{stroke:#818b98;stroke-width:2}.dot{fill:#ffffff;stroke:#59636e;stroke-width:2}\
.best .bar{stroke:#0a69da}.best .dot{fill:#0a69da;stroke:#0a69da}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.soft,.tick{fill:#9198a1}.paper{fill:#0d1117}.grid{stroke:#30363d}\
.run{fill:#9198a1}.bar{stroke:#6e7681}.dot{fill:#0d1117;stroke:#9198a1}\
.best .bar{stroke:#58a6ff}.best .dot{fill:#58a6ff;stroke:#58a6ff}}";

/// The plot of a scenario.
pub fn row(row: &Row) -> String {
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| row.has(*metric)).collect();
    let panel_height = TITLE + LINE * row.cells.len() as f64 + AXIS;
    let lines = metrics.len().div_ceil(COLUMNS);
    let width = 2.0 * MARGIN + LABELS + (PLOT + GAP) * COLUMNS as f64;
    let height = 2.0 * MARGIN + HEADING + panel_height * lines as f64 + FOOTER;
    let (name, about) = (escaped(&row.scenario), escaped(&row.about));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>{name}: {about}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    svg.push_str(&text(MARGIN, MARGIN + 16.0, "name", "start", &name));
    svg.push_str(&text(MARGIN, MARGIN + 36.0, "soft", "start", &about));
    for (index, metric) in metrics.into_iter().enumerate() {
        let (line, column) = (index / COLUMNS, index % COLUMNS);
        let top = MARGIN + HEADING + panel_height * line as f64;
        let left = MARGIN + LABELS + (PLOT + GAP) * column as f64;
        if column == 0 {
            svg.push_str(&labels(row, top));
        }
        svg.push_str(&panel(row, metric, left, top));
    }
    svg.push_str(&text(MARGIN, height - MARGIN, "tick", "start", &legend(row)));
    svg.push_str("</svg>\n");
    svg
}

fn legend(row: &Row) -> String {
    let most = row.cells.iter().map(|cell| cell.runs.len()).max().unwrap_or(0);
    let sure = Summary::of(&vec![0.0; most]).map_or(0.0, |summary| 100.0 * summary.confidence);
    format!(
        "Dots are medians of {most} runs, bars their {} % intervals, faint dots the runs. Full: best, or not to be told from the best.",
        show(sure)
    )
}

fn labels(row: &Row, top: f64) -> String {
    let numbered = row.cells.iter().enumerate();
    numbered
        .map(|(line, cell)| {
            text(MARGIN + LABELS - 12.0, middle(top, line) + 4.0, "", "end", cell.strategy.as_str())
        })
        .collect()
}

/// The height of a strategy's line.
fn middle(top: f64, line: usize) -> f64 {
    top + TITLE + LINE * (line as f64 + 0.5)
}

fn panel(row: &Row, metric: Metric, left: f64, top: f64) -> String {
    let scale = Scale::of(row, metric, left);
    let unit = if metric.unit().is_empty() { String::new() } else { format!(", {}", metric.unit()) };
    let good = if metric.better() == Better::Lower { "lower is better" } else { "higher is better" };
    let mut svg = text(left, top + 12.0, "title", "start", &format!("{}{unit}", metric.title()));
    svg.push_str(&text(left + PLOT, top + 12.0, "tick", "end", good));
    let bottom = top + TITLE + LINE * row.cells.len() as f64;
    for tick in scale.ticks() {
        let x = scale.x(tick);
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n",
            top + TITLE
        ));
        svg.push_str(&text(x, bottom + 15.0, "tick", "middle", &scale.label(tick)));
    }
    for (line, cell) in row.cells.iter().enumerate() {
        svg.push_str(&mark(row, cell, metric, &scale, middle(top, line)));
    }
    svg
}

/// One strategy's runs, interval and median.
fn mark(row: &Row, cell: &Cell, metric: Metric, scale: &Scale, y: f64) -> String {
    let Some(figure) = cell.figure(metric) else { return String::new() };
    let summary = figure.summary;
    let best = row.tells(metric) && figure.standing.leads();
    let mut svg = format!(
        "<g{}><title>{}: {} {} ({} to {})</title>\n",
        if best { " class=\"best\"" } else { "" },
        cell.strategy,
        show(summary.median),
        metric.unit(),
        show(summary.low),
        show(summary.high)
    );
    let index = Metric::ALL.iter().position(|other| *other == metric).unwrap_or(0);
    for value in cell.runs.iter().filter_map(|run| run.figures[index]).filter(|value| value.is_finite()) {
        svg.push_str(&format!(
            "<circle class=\"run\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"2\"/>\n",
            scale.x(value)
        ));
    }
    if summary.low < summary.high {
        svg.push_str(&format!(
            "<line class=\"bar\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>\n",
            scale.x(summary.low),
            scale.x(summary.high)
        ));
    }
    if summary.median.is_finite() {
        svg.push_str(&format!(
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n",
            scale.x(summary.median)
        ));
    } else {
        svg.push_str(&text(scale.left + PLOT, y + 4.0, "soft", "end", "never"));
    }
    svg.push_str("</g>\n");
    svg
}

/// Where a value lies on a panel's axis.
#[derive(Debug)]
struct Scale {
    left: f64,
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// The axis of a figure that holds all that is drawn. It begins at zero unless everything lies far away from there.
    fn of(row: &Row, metric: Metric, left: f64) -> Self {
        let index = Metric::ALL.iter().position(|other| *other == metric).unwrap_or(0);
        let values = || {
            let runs = row.cells.iter().flat_map(|cell| &cell.runs);
            runs.filter_map(move |run| run.figures[index]).filter(|value| value.is_finite())
        };
        let most = values().fold(0.0, f64::max);
        let least = values().fold(f64::INFINITY, f64::min).min(most);
        let from = if least > 0.7 * most { least - 0.5 * (most - least) } else { 0.0 };
        let step = step((most - from).max(most * 0.02));
        let low = (from / step).floor() * step;
        Self { left, low, high: ((most / step).ceil() * step).max(low + step), step }
    }

    /// The place of a value; what lies beyond the axis, infinity too, is at its end.
    fn x(&self, value: f64) -> f64 {
        self.left + PLOT * ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as u32;
        (0..=count).map(|tick| self.low + self.step * f64::from(tick)).collect()
    }

    /// A tick's figure with as many digits as tell it from the next.
    fn label(&self, tick: f64) -> String {
        let digits = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{tick:.digits$}")
    }
}

/// The distance of ticks that makes at most four of a span: 1, 2 or 5 of some decimal place.
fn step(span: f64) -> f64 {
    if span <= 0.0 {
        return 1.0;
    }
    let raw = span / 4.0;
    let decade = 10_f64.powf(raw.log10().floor());
    let rounded = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * decade >= raw * 0.999);
    rounded.unwrap_or(10.0) * decade
}

fn text(x: f64, y: f64, class: &str, anchor: &str, content: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<text{class} x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::comparison;

    #[test]
    fn every_figure_that_was_measured_has_a_panel_with_every_strategy() {
        let comparison = comparison();
        let svg = row(&comparison.rows[0]);
        assert_eq!(svg.matches("class=\"title\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("<g").count(), 6);
        assert_eq!(svg.matches("class=\"dot\"").count(), 5);
        assert_eq!(svg.matches(">never<").count(), 1);
        assert_eq!(svg.matches("class=\"best\"").count(), 3);
        assert!(svg.contains(">start-up, s<") && svg.contains(">sequential<"));
    }

    #[test]
    fn what_a_scenario_says_of_itself_does_not_break_the_plot() {
        let mut comparison = comparison();
        comparison.rows[0].about = "<script> & \"more\"".to_owned();
        let svg = row(&comparison.rows[0]);
        assert!(svg.contains("&lt;script&gt; &amp; \"more\""), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn axes_have_few_round_ticks_around_everything() {
        for (span, distance) in [(0.0, 1.0), (4.0, 1.0), (3.0, 1.0), (90.0, 50.0), (0.7, 0.2), (17.0, 5.0)] {
            assert!((step(span) - distance).abs() < 1e-9, "{span}: {}", step(span));
        }
        let comparison = comparison();
        let scale = Scale::of(&comparison.rows[0], Metric::Download, 0.0);
        assert!(scale.low <= 60.1 && scale.high >= 90.6, "{scale:?}");
        assert!((0.0..=PLOT).contains(&scale.x(f64::INFINITY)));
        assert!(scale.ticks().len() <= 6, "{scale:?}");
    }
}
