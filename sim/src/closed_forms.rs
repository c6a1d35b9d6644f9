//! What theory says of a swarm: the figures that the simulator is checked against.
//!
//! Sources, and how far each formula is theirs:
//! - R. Kumar, K. W. Ross, "Peer-Assisted File Distribution: The Minimum Distribution Time", HotWeb 2006:
//!   [`distribution_time_min`], as published.
//! - D. Qiu, R. Srikant, "Modeling and Performance Analysis of BitTorrent-Like Peer-to-Peer Networks", SIGCOMM 2004, and
//!   K. N. Parvez, C. Williamson, A. Mahanti, N. Carlsson, "Analysis of BitTorrent-like Protocols for On-Demand Stored Media
//!   Streaming", SIGMETRICS 2008 (longer: IEEE/ACM ToN 20(3), 2012): the fluid balance behind [`Population`]. The term of a
//!   permanent seed is derived here.
//! - Parvez et al. also for the method of [`Law`]: how long the run of pieces from the start is after so many pieces, and from
//!   it the least delay without a stall. Their printed formulas weren't at hand; the ones here are derived below and
//!   checked against the picking process itself in this file's tests.
//! - N. Carlsson, D. L. Eager, "Peer-Assisted On-Demand Streaming of Stored Media Using BitTorrent-Like Protocols",
//!   Networking 2007: what portion and Zipf pick.
//!
//! All of them leave out what the simulator has: choking, round trips, blocks, pieces that nobody near has, the last pieces'
//! stragglers. `tests/closed_forms.rs` says how far they agree.

use std::time::Duration;

use crate::chance::Chance;

/// The least time in which everybody can have all `length` bytes: the seeds' sum must have sent it once, the slowest must
/// have received it, and all together must have sent a copy per leecher.
///
/// `leechers` are pairs of upload and download rate. All rates are in bytes per second.
pub fn distribution_time_min(length: u64, seeds_up: u64, leechers: &[(u64, u64)]) -> Duration {
    let Some(slowest) = leechers.iter().map(|&(_, down)| down).min() else { return Duration::ZERO };
    let all_up = leechers.iter().fold(seeds_up as f64, |sum, &(up, _)| sum + up as f64);
    let copies = length as f64 * leechers.len() as f64;
    let bounds = [(length as f64, seeds_up as f64), (length as f64, slowest as f64), (copies, all_up)];
    seconds(bounds.into_iter().map(|(bytes, rate)| bytes / rate).fold(0.0, f64::max))
}

/// How long one peer takes to send another all of it: the slower line's rate from the first byte to the last, after the
/// round trip of the first request.
pub fn transfer_time(length: u64, up: u64, down: u64, round_trip: Duration) -> Duration {
    round_trip.saturating_add(seconds(length as f64 / up.min(down) as f64))
}

/// A swarm in its steady state: peers that are alike arrive as others go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Population {
    /// What is shared, in bytes.
    pub length: u64,
    /// What each peer sends, in bytes per second.
    pub up: u64,
    /// What each can receive.
    pub down: u64,
    /// Peers that arrive per second.
    pub arrivals: f64,
    /// How long each stays as a seed, on average.
    pub seeding: Duration,
    /// What seeds send together that are always there, in bytes per second.
    pub always_up: u64,
}

impl Population {
    /// How long a download takes.
    ///
    /// With `x` leechers and `y` seeds, what is needed is what is sent: `arrivals * length = (x + y) * up + always_up`. By Little's
    /// law `x = arrivals * time` and `y = arrivals * seeding`, so `time = length / up - seeding - always_up / (arrivals * up)`,
    /// but no less than `length / down`.
    pub fn download_time(&self) -> Duration {
        let up = self.up as f64;
        let sent = self.length as f64 / up - self.seeding.as_secs_f64();
        let time = sent - self.always_up as f64 / (self.arrivals * up);
        seconds(time.max(self.length as f64 / self.down as f64))
    }

    /// How many download at once, on average.
    pub fn leechers(&self) -> f64 {
        self.arrivals * self.download_time().as_secs_f64()
    }
}

/// In which order a peer takes pieces, seen as chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Ascending.
    InOrder,
    /// Any of the missing with equal chance: what rarest first comes to when all are equally frequent.
    Rarest,
    /// With chance `p` the first missing, else as [`Law::Rarest`].
    Portion {
        /// From 0 to 1.
        p: f64,
    },
    /// The missing piece at distance `d` from the first missing with a chance proportional to `1 / (d + 1)^theta`.
    Zipf {
        /// The more, the closer to in order.
        theta: f64,
    },
}

impl Law {
    /// The expected length of the run of pieces from the start, for every number of pieces from 0 to `pieces`.
    ///
    /// For portion: of `n` missing pieces, `m` of them or of those behind the run's end, a share `n / m` of the places ahead is
    /// empty, so whenever the first missing piece comes the run grows by `m / n`. It comes with `p`, and with `1 - p` by
    /// accident once in `n + 1`. From `dm / dn = (m / n) (p + (1 - p) / (n + 1))` and `m = pieces` at the start:
    /// `m = n ((pieces + 1) / (n + 1))^(1 - p)`. `p = 1` is in order, and `p = 0` is exactly `k / (pieces - k + 1)`.
    pub fn runs(self, pieces: u32) -> Vec<f64> {
        match self {
            Self::InOrder => portion_runs(1.0, pieces),
            Self::Rarest => portion_runs(0.0, pieces),
            Self::Portion { p } => portion_runs(p.clamp(0.0, 1.0), pieces),
            Self::Zipf { theta } => zipf_runs(theta.max(0.0), pieces),
        }
    }

    /// One order in which a peer takes pieces that are always to be had.
    pub fn order(self, pieces: u32, seed: u64) -> Vec<u32> {
        let mut chance = Chance::new(seed);
        let mut missing: Vec<u32> = (0..pieces).collect();
        let mut order = Vec::with_capacity(missing.len());
        while !missing.is_empty() {
            order.push(missing.remove(self.throw(&missing, &mut chance)));
        }
        order
    }

    fn throw(self, missing: &[u32], chance: &mut Chance) -> usize {
        let any = |chance: &mut Chance| (chance.unit() * missing.len() as f64) as usize;
        match self {
            Self::InOrder => 0,
            Self::Rarest => any(chance),
            Self::Portion { p } if chance.unit() < p => 0,
            Self::Portion { .. } => any(chance),
            Self::Zipf { theta } => {
                let weight = |piece: u32| f64::from(piece - missing[0] + 1).powf(-theta);
                let mut rest = chance.unit() * missing.iter().map(|&piece| weight(piece)).sum::<f64>();
                let thrown = missing.iter().position(|&piece| {
                    rest -= weight(piece);
                    rest < 0.0
                });
                thrown.unwrap_or(0)
            }
        }
    }

    /// When the first `run` of `pieces` are there, if pieces come evenly over `download`.
    pub fn time_of_run(self, run: u32, pieces: u32, download: Duration) -> Duration {
        let runs = self.runs(pieces);
        seconds(count_at(&runs, f64::from(run)) / f64::from(pieces.max(1)) * download.as_secs_f64())
    }

    /// The least delay after which a film of `pieces`, that plays for `playing`, plays without a stall, if pieces come
    /// evenly over `download`: no piece may be due before it is there.
    ///
    /// That is the delay of the mean run, as in the papers. The mean of the delays of single runs is longer, since in each
    /// of them the unluckiest piece counts: [`startup_of`] of each [`Law::order`].
    pub fn startup(self, pieces: u32, download: Duration, playing: Duration) -> Duration {
        let runs = self.runs(pieces);
        let (every, due_every) = (
            download.as_secs_f64() / f64::from(pieces.max(1)),
            playing.as_secs_f64() / f64::from(pieces.max(1)),
        );
        let delay = |piece: u32| count_at(&runs, f64::from(piece + 1)) * every - f64::from(piece) * due_every;
        seconds((0..pieces).map(delay).fold(0.0, f64::max))
    }
}

/// The least delay after which a film plays for `playing` without a stall, if its piece `n` is there at `there[n]`.
pub fn startup_of(there: &[Duration], playing: Duration) -> Duration {
    let every = playing.as_secs_f64() / there.len().max(1) as f64;
    let delay = |(piece, there): (u32, &Duration)| there.as_secs_f64() - f64::from(piece) * every;
    seconds((0u32..).zip(there).map(delay).fold(0.0, f64::max))
}

/// [`Law::startup`] of portion when pieces are many and small, as a formula.
///
/// The fluid limit of the run is `1 - (1 - t / T)^p` of the film, so its part `z` is there at `T (1 - (1 - z)^(1 / p))` and
/// needed at `z L` after the start. The difference is greatest at `1 - z = (p L / T)^(p / (1 - p))`, which gives
/// `T - L + (1 - p) L (p L / T)^(p / (1 - p))`; nothing if the film plays for longer than `T / p`.
pub fn portion_startup(p: f64, download: Duration, playing: Duration) -> Duration {
    let (time, film) = (download.as_secs_f64(), playing.as_secs_f64());
    let ratio = p * film / time;
    if ratio >= 1.0 {
        return Duration::ZERO;
    }
    if p >= 1.0 {
        return seconds(time - film);
    }
    seconds(time - film + (1.0 - p) * film * ratio.powf(p / (1.0 - p)))
}

fn portion_runs(p: f64, pieces: u32) -> Vec<f64> {
    let all = f64::from(pieces);
    let run = |missing: f64| all - missing * ((all + 1.0) / (missing + 1.0)).powf(1.0 - p);
    (0..=pieces).map(|count| run(f64::from(pieces - count)).max(0.0)).collect()
}

/// The mean field of Zipf: how likely each place behind the first missing piece is empty, seen from that piece, a pick a
/// step. It is picked itself with a chance of `1 / sum`; then the next empty place becomes the first, and all others are seen
/// from there. Places are taken as independent of each other.
fn zipf_runs(theta: f64, pieces: u32) -> Vec<f64> {
    let weights: Vec<f64> = (2..=pieces).map(|place| f64::from(place).powf(-theta)).collect();
    let mut empty = vec![1.0f64; weights.len()];
    let mut runs = Vec::with_capacity(pieces as usize + 1);
    let mut run = 0.0f64;
    runs.push(run);
    for count in 1..=pieces {
        let sum: f64 = 1.0 + empty.iter().zip(&weights).map(|(empty, weight)| empty * weight).sum::<f64>();
        let first = 1.0 / sum;
        let gaps = gaps(&empty);
        let moved = |place: usize| -> f64 {
            let seen = gaps.iter().zip(empty.get(place + 1..).unwrap_or_default());
            seen.map(|(gap, empty)| gap * empty).sum()
        };
        let next = empty.iter().zip(&weights).enumerate().map(|(place, (empty, weight))| {
            // It stays the first, and one of the others may be picked instead.
            (1.0 - first) * empty - empty * weight / sum + first * moved(place)
        });
        let next: Vec<f64> = next.map(|empty| empty.clamp(0.0, 1.0)).collect();
        // The run ends before the missing pieces begin, so it's never longer than what is there.
        let mean: f64 = gaps.iter().zip(1u32..).map(|(gap, length)| gap * f64::from(length)).sum();
        run = (run + mean * first).min(f64::from(count));
        empty = next;
        runs.push(run);
    }
    if let Some(last) = runs.last_mut() {
        *last = f64::from(pieces);
    }
    runs
}

/// How likely the next empty place is the first one behind, the second, and so on.
fn gaps(empty: &[f64]) -> Vec<f64> {
    let full = empty.iter().scan(1.0f64, |full, empty| {
        let gap = *full * empty;
        *full *= 1.0 - empty;
        (*full + gap > 1e-9).then_some(gap)
    });
    full.collect()
}

/// How many pieces there are when the run is so long, between whole numbers too.
fn count_at(runs: &[f64], run: f64) -> f64 {
    let place = runs.partition_point(|&at| at < run);
    let (Some(&high), Some(&low)) = (runs.get(place), runs.get(place.wrapping_sub(1))) else {
        return place.min(runs.len().saturating_sub(1)) as f64;
    };
    (place - 1) as f64 + (run - low) / (high - low)
}

/// Negative and endless times become none and the longest there is.
fn seconds(seconds: f64) -> Duration {
    if seconds.is_nan() {
        Duration::ZERO
    } else {
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests;
