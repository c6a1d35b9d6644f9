//! Why a reader waited, as JSON and as a sentence.
//!
//! The facts are kept by [`afflux_swarm::trace`]. Times inside of a wait are milliseconds since it began; what was asked
//! before has negative ones.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use afflux_metainfo::Layout;
use afflux_swarm::trace::{Ask, Fate, Hindrance, Obstacle, Stall};
use serde_json::{Value, json};

/// A block that comes so long after it was expected held its piece up; less is the noise of any network.
const LATE: Duration = Duration::from_millis(100);

/// A wait with all that is known of it.
pub fn stall_json(stall: &Stall, layout: &Layout, now: Instant) -> Value {
    let inside = layout.file_slices(stall.position..stall.position + 1).next();
    let ms = |at: Instant| signed_ms(stall.since, at);
    let asks = stall.asks.iter().map(|ask| {
        json!({
            "block": ask.block.0,
            "peer": ask.peer.to_string(),
            "askedMs": ms(ask.at),
            "expectedMs": ms(ask.expected_at),
            "endedMs": ask.ended.map(ms),
            "fate": ask.fate.as_str(),
        })
    });
    let obstacles = stall
        .obstacles
        .iter()
        .map(|obstacle| json!({"what": obstacle.kind.as_str(), "atMs": ms(obstacle.at)}));
    json!({
        "file": inside.map(|slice| slice.file.0),
        "positionBytes": inside.map(|slice| slice.offset),
        "piece": stall.piece.0,
        "at": unix_seconds(stall.since, now),
        "waitedMs": waited(stall, now).as_millis() as u64,
        "ended": stall.until.is_some(),
        "why": why(stall, now),
        "blocks": stall.blocks,
        "blocksThere": stall.blocks_there,
        "asks": asks.collect::<Vec<_>>(),
        "asksLeftOut": stall.asks_left_out,
        "obstacles": obstacles.collect::<Vec<_>>(),
    })
}

/// The one sentence about it: what stood in the way, or who was late, or that nobody was.
pub fn why(stall: &Stall, now: Instant) -> String {
    let piece = stall.piece;
    if let Some(obstacle) = stall.obstacles.last().filter(|obstacle| decided(stall, obstacle, now)) {
        return match obstacle.kind {
            Hindrance::NobodyHas => format!("no connected peer has piece {piece}"),
            Hindrance::AllChoke => format!("every peer that has piece {piece} chokes us"),
            Hindrance::NoMemory => {
                format!("there was no memory for piece {piece}: STREAM_CACHE_SIZE is held by other pieces")
            }
            Hindrance::WrongHash => format!("piece {piece} came with a wrong hash and was fetched again"),
        };
    }
    if let Some((ask, late)) = latest(stall, now).filter(|(_, late)| *late > LATE) {
        let expected = ask.expected_at.saturating_duration_since(ask.at).as_millis();
        let took = late.as_millis() + expected;
        return match ask.fate {
            Fate::Pending => {
                format!("{} has owed a block for {took} ms, {expected} ms were expected", ask.peer)
            }
            Fate::Delivered => {
                format!("{} took {took} ms for a block, {expected} ms were expected", ask.peer)
            }
            fate => format!("{} was asked for a block, and that came of it: {}", ask.peer, fate.as_str()),
        };
    }
    match stall.asks.first() {
        None if stall.blocks_there == stall.blocks => {
            "all of the piece was there, and its hash was awaited".to_owned()
        }
        None => format!("nobody could be asked for piece {piece} yet"),
        Some(first) if first.at >= stall.since => {
            "nothing of it had been asked for before: a start, a seek, or too little read-ahead".to_owned()
        }
        Some(_) => "every block came as expected: the peers together are slower than the reader".to_owned(),
    }
}

/// Whether an obstacle is what the wait was mostly for: it was there for most of it, before anybody could be asked, or what was
/// done before it was in vain.
fn decided(stall: &Stall, obstacle: &Obstacle, now: Instant) -> bool {
    let asked_at = stall.asks.iter().map(|ask| ask.at).find(|at| *at >= obstacle.at);
    let held = asked_at.or(stall.until).unwrap_or(now).saturating_duration_since(stall.since);
    obstacle.kind == Hindrance::WrongHash || held * 2 >= waited(stall, now)
}

/// The request that ended, or still goes on, longest after it should have.
fn latest(stall: &Stall, now: Instant) -> Option<(&Ask, Duration)> {
    let counted = stall.asks.iter().filter(|ask| !matches!(ask.fate, Fate::Cancelled | Fate::TooLate));
    let late = counted.map(|ask| {
        let ended = ask.ended.or(stall.until).unwrap_or(now);
        (ask, ended.saturating_duration_since(ask.expected_at))
    });
    late.max_by_key(|(_, late)| *late)
}

fn waited(stall: &Stall, now: Instant) -> Duration {
    stall.until.unwrap_or(now).saturating_duration_since(stall.since)
}

fn signed_ms(from: Instant, to: Instant) -> i64 {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match to.checked_duration_since(from) {
        Some(after) => ms(after),
        None => -ms(from.saturating_duration_since(to)),
    }
}

/// Seconds since 1970 of a moment of the monotonic clock.
fn unix_seconds(at: Instant, now: Instant) -> f64 {
    let ago = now.saturating_duration_since(at);
    SystemTime::now()
        .checked_sub(ago)
        .and_then(|then| then.duration_since(UNIX_EPOCH).ok())
        .map_or(0.0, |since| (since.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use afflux_metainfo::{BlockIndex, PieceIndex};
    use afflux_swarm::ReaderKey;

    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn stall(since: Instant) -> Stall {
        Stall {
            reader: ReaderKey(1),
            position: 40_000,
            piece: PieceIndex(2),
            since,
            until: Some(since + ms(800)),
            blocks: 2,
            blocks_there: 0,
            asks: Vec::new(),
            asks_left_out: 0,
            obstacles: Vec::new(),
        }
    }

    fn ask(block: u32, at: Instant, took: u64, expected: u64) -> Ask {
        Ask {
            block: BlockIndex(block),
            peer: "10.0.0.7:6881".parse().unwrap(),
            at,
            expected_at: at + ms(expected),
            fate: Fate::Delivered,
            ended: Some(at + ms(took)),
        }
    }

    #[test]
    fn the_peer_that_was_late_is_named_with_how_late_it_was() {
        let now = Instant::now();
        let before = now - ms(200);
        let mut stall = stall(now);
        stall.asks = vec![ask(0, before, 250, 200), ask(1, before, 900, 300)];
        assert_eq!(why(&stall, now + ms(900)), "10.0.0.7:6881 took 900 ms for a block, 300 ms were expected");
        stall.asks.truncate(1);
        assert!(why(&stall, now + ms(900)).contains("slower than the reader"));
        stall.asks = vec![ask(0, now, 200, 200)];
        assert!(why(&stall, now + ms(900)).contains("a seek"));
    }

    #[test]
    fn an_obstacle_explains_more_than_a_late_peer() {
        let now = Instant::now();
        let mut stall = stall(now);
        stall.asks = vec![ask(0, now, 700, 100)];
        stall.obstacles = vec![Obstacle { kind: Hindrance::AllChoke, at: now + ms(100) }];
        assert_eq!(why(&stall, now), "every peer that has piece 2 chokes us");
        // It was soon over, and then somebody was late.
        stall.asks = vec![ask(0, now + ms(150), 650, 100)];
        assert!(why(&stall, now).contains("took 650 ms"));
    }

    #[test]
    fn a_wait_is_told_in_its_files_bytes_and_in_time_since_it_began() {
        let now = Instant::now();
        let mut stall = stall(now);
        stall.asks = vec![ask(0, now - ms(50), 250, 200)];
        let files = [(vec!["a".to_owned()], 30_000, false), (vec!["b".to_owned()], 30_000, false)];
        let layout = Layout::new(16_384, files).unwrap();
        let told = stall_json(&stall, &layout, now + ms(2_000));
        assert_eq!((&told["file"], &told["positionBytes"]), (&json!(1), &json!(10_000)));
        assert_eq!((&told["waitedMs"], &told["ended"]), (&json!(800), &json!(true)));
        let ask = &told["asks"][0];
        assert_eq!(
            (&ask["askedMs"], &ask["endedMs"], &ask["fate"]),
            (&json!(-50), &json!(200), &json!("delivered"))
        );
    }
}
