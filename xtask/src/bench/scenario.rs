//! The links and what is done on them: the rows of the table.

use std::sync::Arc;
use std::time::Duration;

use super::case::{Case, Row, Unit};
use super::film::FILM_BYTES_PER_SECOND;
use super::seeder::Manner;
use super::swarm::{DELAY, SeederPlan};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A link with its course.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) case: Arc<Case>,
    pub(crate) film_bytes: u64,
    pub(crate) piece_bytes: u64,
    pub(crate) seeders: Vec<SeederPlan>,
    pub(crate) course: Course,
}

/// What is done with a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Course {
    /// Start, then many seeks.
    Seeks,
    /// A film is watched; three seeks on the way.
    Watch { span: Duration },
    /// A film is watched while one seeder after another dies.
    Deaths { span: Duration },
    /// One reader, then the same beside many that wait.
    Waiting,
}

impl Course {
    /// Whether so little is carried that all clients can be measured at the same time, each in a swarm of its own.
    pub(crate) fn is_light(self) -> bool {
        matches!(self, Self::Watch { .. } | Self::Deaths { .. })
    }
}

/// All of them. `quick` shortens those in which a film is watched.
pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    vec![
        seeks("fast", "8 seeders x 1 MiB/s, 1 MiB pieces", MIB, MIB),
        seeks("fast-4mib", "8 seeders x 1 MiB/s, 4 MiB pieces", MIB, 4 * MIB),
        seeks("slow", "8 seeders x 192 KiB/s, 1 MiB pieces", 192 * KIB, MIB),
        tight(minutes(if quick { 2 } else { 10 })),
        waiting(),
        odd(minutes(if quick { 2 } else { 5 })),
    ]
}

fn honest(rate: u64) -> SeederPlan {
    SeederPlan { rate, manner: Manner::Honest }
}

fn case(name: &'static str, title: &str, rows: Vec<Row>) -> Arc<Case> {
    Arc::new(Case { name, title: title.to_owned(), rows })
}

fn row(key: &'static str, title: &'static str, unit: Unit, limit: Option<f64>) -> Row {
    Row { key, title, unit, limit }
}

/// The bytes of whole pieces at a rate, after some round trips: no client can be sooner where a piece has to be verified
/// before any of it is served.
fn least_seconds(pieces: u64, piece_bytes: u64, rate: u64, round_trips: u32) -> f64 {
    (pieces * piece_bytes) as f64 / rate as f64 + (2 * round_trips * DELAY).as_secs_f64()
}

/// Round trips until the first block is there: connection, handshake, unchoke, request.
const START_ROUND_TRIPS: u32 = 4;

fn seeks(name: &'static str, title: &'static str, rate: u64, piece_bytes: u64) -> Scenario {
    let total = 8 * rate;
    let least = |pieces, round_trips| Some(least_seconds(pieces, piece_bytes, total, round_trips));
    // A MiB from anywhere in a piece on ends in the next one, where pieces are as small.
    let mib_pieces = if piece_bytes <= MIB { 2 } else { 1 };
    let in_hand_pieces = (2 * FILM_BYTES_PER_SECOND).div_ceil(piece_bytes);
    Scenario {
        case: case(
            name,
            title,
            vec![
                row(
                    "start_first_byte",
                    "first byte after adding",
                    Unit::Seconds,
                    least(1, START_ROUND_TRIPS),
                ),
                row(
                    "start_in_hand",
                    "start-up with 2 s in hand",
                    Unit::Seconds,
                    least(in_hand_pieces, START_ROUND_TRIPS),
                ),
                row("seek_first_byte_p50", "seek, first byte p50", Unit::Seconds, least(1, 1)),
                row("seek_first_byte_worst", "seek, first byte worst of 20", Unit::Seconds, least(1, 1)),
                row("seek_first_mib_p50", "seek, first MiB p50", Unit::Seconds, least(mib_pieces, 1)),
                row("sent_again", "blocks sent more than once", Unit::Share, Some(0.0)),
            ],
        ),
        // A client that downloads all of it in the background leaves fresh places to the end.
        film_bytes: 1024 * MIB,
        piece_bytes,
        seeders: vec![honest(rate); 8],
        course: Course::Seeks,
    }
}

fn tight(span: Duration) -> Scenario {
    // Seven of one rate and one of a tenth of it give 1.1 times the film's rate.
    let total = FILM_BYTES_PER_SECOND * 11 / 10;
    let each = total * 10 / 71;
    let mut seeders = vec![honest(each); 8];
    seeders[3].rate = each / 10;
    Scenario {
        case: case(
            "tight",
            "1.1 times the film's rate in all, one of 8 seeders ten times slower, 1 MiB pieces",
            vec![
                row(
                    "startup",
                    "start-up",
                    Unit::Seconds,
                    Some(least_seconds(2, MIB, total, START_ROUND_TRIPS)),
                ),
                row("stalls", "stalls", Unit::Count, Some(0.0)),
                row("stalled_seconds", "stalled in all", Unit::Seconds, Some(0.0)),
                row(
                    "resume_p50",
                    "resume after a seek to a piece, p50 of 3",
                    Unit::Seconds,
                    Some(least_seconds(2, MIB, total, 1)),
                ),
                row(
                    "resume_worst",
                    "resume after a seek to a piece, worst of 3",
                    Unit::Seconds,
                    Some(least_seconds(2, MIB, total, 1)),
                ),
                row("sent_again", "blocks sent more than once", Unit::Share, Some(0.0)),
            ],
        ),
        film_bytes: 1024 * MIB,
        piece_bytes: MIB,
        seeders,
        course: Course::Watch { span },
    }
}

fn waiting() -> Scenario {
    let rate = 192 * KIB;
    let total = Some((8 * rate) as f64 / MIB as f64);
    Scenario {
        case: case(
            "waiting",
            "8 seeders x 192 KiB/s that lack the last quarter; one reader beside 64 that wait there",
            vec![
                row("rate_alone", "one reader alone", Unit::MibPerSecond, total),
                row("rate_beside", "beside 64 that wait", Unit::MibPerSecond, total),
                row("rate_kept", "of its rate alone", Unit::Share, Some(1.0)),
                row("waited", "of the 64, still waiting at the end", Unit::Count, Some(64.0)),
            ],
        ),
        film_bytes: 512 * MIB,
        piece_bytes: MIB,
        seeders: vec![honest(rate); 8],
        course: Course::Waiting,
    }
}

fn odd(span: Duration) -> Scenario {
    let mut seeders = vec![honest(2 * MIB)];
    seeders.extend([honest(64 * KIB); DYING]);
    seeders.extend([SeederPlan { rate: MIB, manner: Manner::Silent }; 2]);
    seeders.push(SeederPlan { rate: 192 * KIB, manner: Manner::Corrupt });
    Scenario {
        case: case(
            "odd",
            "one seeder of 2 MiB/s, six of 64 KiB/s of which one dies each minute, two silent, one corrupt",
            vec![
                row("startup", "start-up", Unit::Seconds, None),
                row("stalls", "stalls", Unit::Count, Some(0.0)),
                row("stalled_seconds", "stalled in all", Unit::Seconds, Some(0.0)),
                row("sent_again", "right blocks sent more than once", Unit::Share, Some(0.0)),
            ],
        ),
        film_bytes: 512 * MIB,
        piece_bytes: MIB,
        seeders,
        course: Course::Deaths { span },
    }
}

/// The slow seeders of `odd`, after the first: they die one by one.
pub(crate) const DYING: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, key: &str) -> f64 {
        let all = all(false);
        let scenario = all.iter().find(|scenario| scenario.case.name == name).unwrap();
        scenario.case.rows.iter().find(|row| row.key == key).unwrap().limit.unwrap()
    }

    #[test]
    fn the_limits_are_those_of_the_links() {
        for (name, key, seconds) in [
            ("fast", "seek_first_byte_p50", 0.165),
            ("fast", "seek_first_mib_p50", 0.29),
            ("fast", "start_first_byte", 0.285),
            ("fast-4mib", "seek_first_byte_p50", 0.54),
            ("slow", "seek_first_byte_p50", 0.707),
            ("slow", "start_in_hand", 1.493),
            ("tight", "startup", 2.066),
        ] {
            assert!((limit(name, key) - seconds).abs() < 0.001, "{name} {key}: {}", limit(name, key));
        }
    }

    #[test]
    fn the_tight_link_has_a_tenth_to_spare() {
        let total: u64 = tight(Duration::ZERO).seeders.iter().map(|seeder| seeder.rate).sum();
        assert!(total.abs_diff(FILM_BYTES_PER_SECOND * 11 / 10) < 20, "{total}");
    }
}
