//! Figures of runs: what each measures, how it is taken from one run, and medians with intervals over the seeds.
//!
//! Intervals are of order statistics: the median of whatever distribution lies between the k-th smallest and the k-th largest of
//! n independent runs with a probability that follows from coin tosses alone. Nothing is assumed about the distribution, and
//! nothing is drawn at random. Six runs are the fewest that allow 95 %.

use std::cmp::Ordering;
use std::time::Duration;

use crate::outcome::{Outcome, PeerOutcome};

/// The probability that intervals are made for.
pub const CONFIDENCE: f64 = 0.95;
/// The fewest runs that allow it.
pub const RUNS_FOR_CONFIDENCE: usize = 6;

/// What is measured of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// From a viewer's arrival to its first frame, the median of viewers.
    Startup,
    /// Stalls per viewer that got to the first frame, the mean.
    Stalls,
    /// Seconds that such a viewer was stalled, the mean.
    Stalled,
    /// Pieces that were there in time for an uninterrupted player, of all that it needed.
    OnTime,
    /// From a seek until playing goes on, the median of all seeks, those among them that were given up.
    Seek,
    /// From a peer's arrival until it has everything, the median of peers.
    Download,
    /// All payload that was sent, of what all uplinks could have sent.
    Uplink,
    /// How evenly pieces are spread over the swarm.
    Diversity,
    /// Payload that came twice or was thrown away, of all payload that came.
    Duplicates,
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
}

impl Metric {
    /// All of them: those of viewers, then those of the swarm.
    pub const ALL: [Self; 9] = [
        Self::Startup,
        Self::Stalls,
        Self::Stalled,
        Self::OnTime,
        Self::Seek,
        Self::Download,
        Self::Uplink,
        Self::Diversity,
        Self::Duplicates,
    ];

    /// How many of [`ALL`](Self::ALL), from the first on, are figures of viewers.
    pub const OF_VIEWERS: usize = 5;

    /// The name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Startup => "startupSeconds",
            Self::Stalls => "stalls",
            Self::Stalled => "stalledSeconds",
            Self::OnTime => "onTimePercent",
            Self::Seek => "seekSeconds",
            Self::Download => "downloadSeconds",
            Self::Uplink => "uplinkPercent",
            Self::Diversity => "diversity",
            Self::Duplicates => "duplicatePercent",
        }
    }

    /// The name in tables and plots.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "start-up",
            Self::Stalls => "stalls",
            Self::Stalled => "stalled",
            Self::OnTime => "on time",
            Self::Seek => "seek",
            Self::Download => "download",
            Self::Uplink => "uplink use",
            Self::Diversity => "diversity",
            Self::Duplicates => "duplicates",
        }
    }

    /// The unit behind its figures; empty if it has none.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Startup | Self::Stalled | Self::Seek | Self::Download => "s",
            Self::OnTime | Self::Uplink | Self::Duplicates => "%",
            Self::Stalls | Self::Diversity => "",
        }
    }

    /// Which figures are good.
    pub fn better(self) -> Better {
        match self {
            Self::OnTime | Self::Uplink | Self::Diversity => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// The figure of one run. `None`: the run has nothing to measure there. Infinity: it never came to that, for half of
    /// the peers or seeks in question.
    pub fn of(self, outcome: &Outcome) -> Option<f64> {
        let counted = || outcome.peers.iter().filter(|peer| peer.counted);
        let viewers = || counted().filter(|peer| peer.viewer);
        let started = || viewers().filter(|peer| peer.startup.is_some());
        match self {
            Self::Startup => median_wait(viewers().map(|peer| wait(outcome, peer, peer.startup))),
            Self::Stalls => mean(started().map(|peer| f64::from(peer.stalls))),
            Self::Stalled => mean(started().map(|peer| peer.stalled.as_secs_f64())),
            Self::OnTime => {
                let (there, needed) = viewers().fold((0, 0), |(there, needed), peer| {
                    (there + u64::from(peer.on_time.0), needed + u64::from(peer.on_time.1))
                });
                percent(there, needed)
            }
            Self::Seek => {
                let seeks = viewers().flat_map(|peer| &peer.seeks);
                median_wait(seeks.map(|seek| (seek.waited.as_secs_f64(), seek.resumed)))
            }
            Self::Download => median_wait(counted().map(|peer| wait(outcome, peer, peer.download))),
            Self::Uplink => percent(outcome.sent_bytes, outcome.uplink_bytes),
            Self::Diversity => Some(outcome.diversity).filter(|diversity| diversity.is_finite()),
            Self::Duplicates => percent(outcome.duplicate_bytes, outcome.came_bytes),
        }
    }
}

/// Of several runs: the median and an interval that contains the true one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median of the runs.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// How many runs.
    pub runs: usize,
    /// The probability that the interval contains the median of the distribution: at least [`CONFIDENCE`] from
    /// [`RUNS_FOR_CONFIDENCE`] runs on, less with fewer.
    pub confidence: f64,
}

impl Summary {
    /// Sums up figures of runs; `None` if there are none. Infinite ones are allowed.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = median(sorted.clone())?;
        let (rank, confidence) = rank(sorted.len());
        let (low, high) = (sorted[rank - 1], sorted[sorted.len() - rank]);
        Some(Self { median, low, high, runs: sorted.len(), confidence })
    }

    /// Whether the intervals have a common point, so that the two can't be told apart.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }

    /// Orders by median, the better first.
    pub fn compare(&self, other: &Self, better: Better) -> Ordering {
        let ascending = self.median.total_cmp(&other.median);
        if better == Better::Lower { ascending } else { ascending.reverse() }
    }
}

/// The largest k for which the k-th smallest and the k-th largest of `runs` enclose the median often enough, and how often
/// that is. With too few runs it's 1: the least and the largest.
fn rank(runs: usize) -> (usize, f64) {
    // Each run lies below the median with probability 1/2. The interval from k on misses it when fewer than k do, or fewer
    // than k lie above: `missed` is that, from binomial coefficients that are built up term by term.
    let mut term = 0.5_f64.powi(i32::try_from(runs).unwrap_or(i32::MAX));
    let mut below = term;
    let mut best = (1, (1.0 - 2.0 * below).max(0.0));
    for k in 1..runs / 2 {
        term *= (runs + 1 - k) as f64 / k as f64;
        below += term;
        let confidence = 1.0 - 2.0 * below;
        if confidence < CONFIDENCE {
            break;
        }
        best = (k + 1, confidence);
    }
    best
}

/// How long a peer waited for something, and whether it came or the peer went without (or the run ended).
fn wait(outcome: &Outcome, peer: &PeerOutcome, came: Option<Duration>) -> (f64, bool) {
    let until = peer.left.unwrap_or(outcome.elapsed);
    came.map_or_else(
        || (until.saturating_sub(peer.arrived).as_secs_f64(), false),
        |after| (after.as_secs_f64(), true),
    )
}

/// The median of waits that may have been cut short, after Kaplan and Meier (1958): who went without counts as waiting as
/// long as it was there, and not at all after that. Infinite if it didn't come to half.
fn median_wait(waits: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    let mut waits: Vec<(f64, bool)> = waits.collect();
    // Of the same moment, those for whom it came count first.
    waits.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    if waits.is_empty() {
        return None;
    }
    let mut waiting = 1.0;
    for (index, (after, came)) in waits.iter().enumerate() {
        if *came {
            let left = (waits.len() - index) as f64;
            waiting *= (left - 1.0) / left;
        }
        // Halves of a few peers are hardly exact in binary.
        if waiting <= 0.5 + 1e-9 {
            return Some(*after);
        }
    }
    Some(f64::INFINITY)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Seek;

    fn viewer(startup: Option<u64>) -> PeerOutcome {
        PeerOutcome {
            counted: true,
            viewer: true,
            startup: startup.map(Duration::from_secs),
            ..PeerOutcome::default()
        }
    }

    fn outcome(peers: Vec<PeerOutcome>) -> Outcome {
        Outcome { elapsed: Duration::from_secs(100), peers, ..Outcome::default() }
    }

    #[test]
    fn intervals_are_those_of_the_tables() {
        // Conover, Practical Nonparametric Statistics: ranks for the median.
        for (runs, low, confidence) in
            [(5, 1, 0.9375), (6, 1, 0.96875), (8, 1, 0.9921875), (9, 2, 0.9609375), (20, 6, 0.958610535)]
        {
            let (rank, sure) = rank(runs);
            assert_eq!(rank, low, "{runs} runs");
            assert!((sure - confidence).abs() < 1e-9, "{runs} runs: {sure}");
        }
        assert_eq!(rank(1), (1, 0.0));
        let (wide, sure) = rank(1000);
        assert!((469..=470).contains(&wide) && sure >= CONFIDENCE, "{wide} {sure}");
    }

    #[test]
    fn a_summary_has_the_median_and_the_ends_of_its_interval() {
        let summary = Summary::of(&[5.0, 1.0, 9.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0]).unwrap();
        assert_eq!((summary.median, summary.low, summary.high, summary.runs), (5.0, 2.0, 8.0, 9));
        assert_eq!(Summary::of(&[2.0, 1.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of(&[]), None);
        let never = Summary::of(&[1.0, f64::INFINITY, f64::INFINITY]).unwrap();
        assert_eq!((never.median, never.low), (f64::INFINITY, 1.0));
    }

    #[test]
    fn who_left_early_says_only_that_it_had_waited_until_then() {
        let mut left = viewer(None);
        left.left = Some(Duration::from_secs(1));
        let waiting = outcome(vec![viewer(Some(2)), viewer(Some(4)), viewer(Some(6)), left.clone(), left]);
        assert_eq!(Metric::Startup.of(&waiting), Some(4.0));
        let hopeless = outcome(vec![viewer(Some(2)), viewer(None), viewer(None)]);
        assert_eq!(Metric::Startup.of(&hopeless), Some(f64::INFINITY));
        let halves = outcome(vec![viewer(Some(2)), viewer(Some(3)), viewer(Some(4)), viewer(Some(5))]);
        assert_eq!(Metric::Startup.of(&halves), Some(3.0));
    }

    #[test]
    fn a_seek_that_was_given_up_has_waited_at_least_so_long() {
        let seek = |seconds, resumed| Seek { waited: Duration::from_secs(seconds), resumed };
        let jumping = |seeks: &[Seek]| PeerOutcome { seeks: seeks.to_vec(), ..viewer(Some(1)) };
        let of = |peers: Vec<PeerOutcome>| Metric::Seek.of(&outcome(peers));
        assert_eq!(of(vec![jumping(&[seek(1, true), seek(3, true)]), jumping(&[seek(2, true)])]), Some(2.0));
        // The same seeks, and two that were given up later than half of them went on.
        let patient = jumping(&[seek(9, false), seek(8, false)]);
        assert_eq!(of(vec![jumping(&[seek(1, true), seek(3, true), seek(2, true)]), patient]), Some(3.0));
        assert_eq!(of(vec![jumping(&[seek(1, true), seek(9, false), seek(9, false)])]), Some(f64::INFINITY));
    }

    #[test]
    fn stalls_are_of_viewers_that_started_and_count() {
        let stalling = PeerOutcome { stalls: 3, stalled: Duration::from_secs(6), ..viewer(Some(1)) };
        let other = PeerOutcome { counted: false, ..stalling.clone() };
        let run = outcome(vec![stalling, viewer(Some(1)), viewer(None), other]);
        assert_eq!(Metric::Stalls.of(&run), Some(1.5));
        assert_eq!(Metric::Stalled.of(&run), Some(3.0));
    }

    #[test]
    fn what_a_run_has_not_got_is_not_measured() {
        let leecher =
            PeerOutcome { counted: true, download: Some(Duration::from_secs(9)), ..PeerOutcome::default() };
        let run = outcome(vec![leecher]);
        for metric in &Metric::ALL[..Metric::OF_VIEWERS] {
            assert_eq!(metric.of(&run), None, "{metric:?}");
        }
        assert_eq!(Metric::Download.of(&run), Some(9.0));
        assert_eq!(Metric::Uplink.of(&run), None);
    }

    #[test]
    fn shares_are_percentages() {
        let watching = PeerOutcome { on_time: (3, 4), ..viewer(Some(1)) };
        let run = Outcome {
            sent_bytes: 100,
            came_bytes: 50,
            delivered_bytes: 49,
            duplicate_bytes: 1,
            uplink_bytes: 200,
            ..outcome(vec![watching])
        };
        assert_eq!(Metric::OnTime.of(&run), Some(75.0));
        assert_eq!(Metric::Uplink.of(&run), Some(50.0));
        assert_eq!(Metric::Duplicates.of(&run), Some(2.0));
    }
}
