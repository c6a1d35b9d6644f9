//! The order and the times, with a clock turned by hand.

use proptest::prelude::*;

use super::*;
use crate::testing::epoch;

fn tiers_of(tiers: &[&[&str]], seed: u64, now: Instant) -> Tiers {
    let tiers: Vec<Vec<String>> = tiers
        .iter()
        .map(|tier| tier.iter().map(|name| format!("http://{name}/announce")).collect())
        .collect();
    Tiers::new(&tiers, false, seed, now)
}

fn reply() -> Reply {
    Reply::new(Some(1800), None)
}

/// Everything due now, as host names with events.
fn due(tiers: &mut Tiers, now: Instant) -> Vec<(String, Event)> {
    std::iter::from_fn(|| tiers.due(now).map(|(key, event)| (name(tiers, key), event))).collect()
}

fn name(tiers: &Tiers, key: TrackerKey) -> String {
    tiers.url(key).host().to_string()
}

fn key_of(tiers: &Tiers, wanted: &str) -> TrackerKey {
    tiers.keys().find(|&key| name(tiers, key) == wanted).unwrap()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn every_tier_is_asked_at_once_and_one_tracker_of_each() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a", "b"], &["c"], &["d"]], 1, now);
    let asked = due(&mut tiers, now);
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|(_, event)| *event == Event::Started));
    assert_eq!(due(&mut tiers, now), [], "one at a time in each tier");
    assert_eq!(tiers.deadline(), None);
}

#[test]
fn tiers_that_come_later_are_asked_at_once_and_nobody_twice() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a"]], 1, now);
    assert_eq!(due(&mut tiers, now).len(), 1);
    let later = now + s(5);
    let more = ["http://a/announce", "http://b/announce"].map(|url| vec![url.to_owned()]);
    tiers.add(&more, later);
    assert_eq!(tiers.deadline(), Some(later));
    assert_eq!(due(&mut tiers, later), [("b".to_owned(), Event::Started)]);
    let status = tiers.status();
    assert_eq!(status.iter().map(|status| status.tier).collect::<Vec<_>>(), [0, 1]);
    // A bomb is cut however it comes.
    for nth in 0..limits::TRACKERS_MAX {
        tiers.add(&[vec![format!("http://bomb{nth}/announce")]], later);
    }
    assert_eq!(tiers.status().len(), limits::TRACKERS_MAX);
}

#[test]
fn the_order_inside_a_tier_depends_on_the_seed() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let order = |seed| {
        let tiers = tiers_of(&[&names], seed, epoch());
        tiers.keys_in_order().map(|key| name(&tiers, key)).collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert!((2..10).any(|seed| order(seed) != order(1)));
}

#[test]
fn the_next_of_a_tier_is_asked_at_once_and_the_one_that_answers_moves_to_the_front() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a", "b", "c"]], 7, now);
    let (first, _) = tiers.due(now).unwrap();
    tiers.failed(first, "down".into(), now + s(1));
    let (second, event) = tiers.due(now + s(1)).unwrap();
    assert_ne!(first, second);
    assert_eq!(event, Event::Started);
    tiers.succeeded(second, &reply(), now + s(2));
    assert_eq!(tiers.keys_in_order().next(), Some(second));
    assert_eq!(
        tiers.deadline(),
        Some(now + s(2 + 1800)),
        "the failing one waits for the tier's next announce"
    );
    let (third, event) = tiers.due(now + s(1802)).unwrap();
    assert_eq!((third, event), (second, Event::None));
}

#[test]
fn a_lone_failing_tracker_is_retried_on_the_schedule_of_bep_15() {
    let start = epoch();
    let mut tiers = tiers_of(&[&["a"]], 1, start);
    let mut asked_at = Vec::new();
    let mut now = start;
    for _ in 0..10 {
        let (key, event) = tiers.due(now).unwrap();
        assert_eq!(event, Event::Started, "it was never heard");
        asked_at.push((now - start).as_secs());
        // Every attempt uses up its whole time.
        tiers.failed(key, "silent".into(), now + s(15));
        now = tiers.deadline().unwrap();
    }
    assert_eq!(asked_at, [0, 15, 45, 105, 225, 465, 945, 1905, 3825, 7425]);
}

#[test]
fn a_tracker_that_refuses_at_once_is_left_in_peace() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a"]], 1, now);
    let (key, _) = tiers.due(now).unwrap();
    tiers.failed(key, "unknown torrent".into(), now);
    assert_eq!(tiers.due(now + s(14)), None);
    assert_eq!(tiers.deadline(), Some(now + s(15)));
    assert_eq!(tiers.status()[0].message.as_deref(), Some("unknown torrent"));
    assert_eq!(tiers.status()[0].health, Health::Failing);
}

#[test]
fn completed_is_said_once_to_those_who_saw_us_incomplete() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a"], &["b"]], 1, now);
    due(&mut tiers, now);
    let (a, b) = (key_of(&tiers, "a"), key_of(&tiers, "b"));
    tiers.succeeded(a, &reply(), now);
    // b's `started` is still under way, with bytes left, when the download ends.
    tiers.completed(now + s(5));
    tiers.completed(now + s(6));
    assert_eq!(due(&mut tiers, now + s(6)), [("a".into(), Event::Completed)]);
    tiers.succeeded(b, &reply(), now + s(7));
    assert_eq!(due(&mut tiers, now + s(7)), [("b".into(), Event::Completed)]);
    tiers.succeeded(a, &reply(), now + s(8));
    tiers.succeeded(b, &reply(), now + s(8));
    let later = tiers.deadline().unwrap();
    assert!(later >= now + s(1800));
    assert!(due(&mut tiers, later).iter().all(|(_, event)| *event == Event::None));
}

#[test]
fn completed_is_tried_again_after_a_failure_and_never_said_by_a_seed() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a"]], 1, now);
    let (key, _) = tiers.due(now).unwrap();
    tiers.succeeded(key, &reply(), now);
    tiers.completed(now);
    assert_eq!(tiers.due(now), Some((key, Event::Completed)));
    tiers.failed(key, "down".into(), now);
    assert_eq!(tiers.due(now + s(15)), Some((key, Event::Completed)));

    let mut seed = Tiers::new(&[vec!["http://a/announce".into()]], true, 1, now);
    let (key, event) = seed.due(now).unwrap();
    assert_eq!(event, Event::Started);
    seed.succeeded(key, &reply(), now);
    seed.completed(now);
    assert_eq!(seed.due(now), None);
}

#[test]
fn stopped_goes_to_everyone_who_may_know_us_and_to_no_one_else() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a"], &["b"], &["c"]], 1, now);
    due(&mut tiers, now);
    tiers.succeeded(key_of(&tiers, "a"), &reply(), now);
    tiers.failed(key_of(&tiers, "b"), "down".into(), now);
    tiers.stop();
    tiers.stop();
    // c's `started` is under way and may have arrived.
    let stopped = due(&mut tiers, now);
    assert_eq!(stopped, [("a".into(), Event::Stopped), ("c".into(), Event::Stopped)]);
    assert_eq!(due(&mut tiers, now + s(100_000)), []);
}

#[test]
fn announcing_now_keeps_to_the_least_wait() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a"]], 1, now);
    let (key, _) = tiers.due(now).unwrap();
    tiers.succeeded(key, &Reply::new(Some(1800), Some(120)), now);
    tiers.announce_now(now + s(10));
    assert_eq!(tiers.deadline(), Some(now + s(120)));
    assert_eq!(tiers.due(now + s(119)), None);
    assert_eq!(tiers.due(now + s(120)), Some((key, Event::None)));
    tiers.succeeded(key, &reply(), now + s(120));
    tiers.announce_now(now + s(1000));
    assert_eq!(tiers.due(now + s(1000)), Some((key, Event::None)));
}

#[test]
fn announcing_now_shortens_a_long_rest_but_not_below_a_minute() {
    let mut now = epoch();
    let mut tiers = tiers_of(&[&["a"]], 1, now);
    for _ in 0..8 {
        let (key, _) = tiers.due(now).unwrap();
        tiers.failed(key, "down".into(), now);
        now = tiers.deadline().unwrap();
    }
    let (key, _) = tiers.due(now).unwrap();
    tiers.failed(key, "down".into(), now);
    assert!(tiers.deadline().unwrap() >= now + s(3000));
    tiers.announce_now(now + s(1));
    assert_eq!(tiers.deadline(), Some(now + s(60)));
    assert_eq!(tiers.due(now + s(60)), Some((key, Event::Started)));
}

#[test]
fn what_a_tracker_wants_back_is_kept_until_it_says_otherwise() {
    let now = epoch();
    let mut tiers = tiers_of(&[&["a"]], 1, now);
    let (key, _) = tiers.due(now).unwrap();
    tiers.succeeded(key, &Reply { tracker_id: Some(b"x".to_vec()), ..reply() }, now);
    assert_eq!(tiers.tracker_id(key), Some(&b"x"[..]));
    tiers.due(now + s(1800)).unwrap();
    tiers.succeeded(key, &reply(), now + s(1800));
    assert_eq!(tiers.tracker_id(key), Some(&b"x"[..]));
}

/// What may happen to a torrent's trackers.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Succeed(usize),
    Fail(usize),
    AnnounceNow,
    Completed,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u64..4000).prop_map(Step::Wait),
        (0usize..8).prop_map(Step::Succeed),
        (0usize..8).prop_map(Step::Fail),
        Just(Step::AnnounceNow),
        Just(Step::Completed),
    ]
}

proptest! {
    /// Whatever happens: no tracker is asked twice within 15 s without an event, none twice at once, each hears
    /// `started` first and `completed` at most once successfully, and a tier always has a next time.
    #[test]
    fn trackers_are_never_flooded(steps in prop::collection::vec(step(), 1..200), seed: u64) {
        let mut now = epoch();
        let mut tiers = tiers_of(&[&["a", "b", "c"], &["d"], &["e", "f"]], seed, now);
        let mut under_way: Vec<(TrackerKey, Event)> = Vec::new();
        let mut last_asked = [None; 6];
        let mut heard = [Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for step in steps {
            match step {
                Step::Wait(seconds) => now += s(seconds),
                Step::Succeed(at) if at < under_way.len() => {
                    let (key, event) = under_way.swap_remove(at);
                    heard[usize::from(key.0)].push(event);
                    tiers.succeeded(key, &reply(), now);
                }
                Step::Fail(at) if at < under_way.len() => {
                    let (key, _) = under_way.swap_remove(at);
                    tiers.failed(key, String::new(), now);
                }
                Step::AnnounceNow => tiers.announce_now(now),
                Step::Completed => tiers.completed(now),
                Step::Succeed(_) | Step::Fail(_) => {}
            }
            while let Some((key, event)) = tiers.due(now) {
                prop_assert!(under_way.iter().all(|&(other, _)| other != key));
                let last = last_asked[usize::from(key.0)].replace(now);
                if event != Event::Completed {
                    prop_assert!(last.is_none_or(|last| now >= last + s(15)));
                }
                under_way.push((key, event));
            }
            let busy = under_way.len();
            prop_assert!(busy == 3 || tiers.deadline().is_some_and(|at| at > now));
        }
        for events in heard {
            prop_assert!(events.first().is_none_or(|first| *first == Event::Started));
            prop_assert!(events.iter().filter(|event| **event == Event::Started).count() <= 1);
            prop_assert!(events.iter().filter(|event| **event == Event::Completed).count() <= 1);
        }
    }
}
