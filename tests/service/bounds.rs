//! What a user may have at once: streams, requests, connections, bytes of a day.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::daemon::{Options, Person, VIEWER};
use crate::film::{Film, MIB};
use crate::harness::wait_for;
use crate::http::{Answer, Ask};
use crate::wire::Seeder;

const TOO_MANY_STREAMS: &str = "too_many_streams";

/// Three films, and who has them.
fn films() -> [(Film, Seeder); 3] {
    [1, 2, 3].map(|nth| {
        let film = Film::new(100 + nth, MIB / 2);
        let seeder = film.seeder(&format!("127.0.6.{nth}"));
        (film, seeder)
    })
}

fn options(films: &[(Film, Seeder); 3]) -> Options {
    Options::default().peers(&films.each_ref().map(|(_, seeder)| seeder))
}

/// Starts streams of all films; the statuses of the answers.
fn start_all(person: &Person, films: &[(Film, Seeder); 3]) -> [u16; 3] {
    films.each_ref().map(|(film, _)| {
        person.parse(film);
        person.start(film).status
    })
}

#[test]
fn a_user_has_so_many_streams_at_once_and_no_more() {
    let films = films();
    let daemon = options(&films).env("MAX_CONCURRENT_STREAMS", "2").start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    assert_eq!(start_all(&anna, &films), [200, 200, 429]);
    let third = &films[2].0;
    assert_eq!(anna.start(third).problem(), (429, TOO_MANY_STREAMS.to_owned()));
    let media = anna.get(&format!("/api/stream/{}", third.hash));
    assert_eq!(media.problem(), (429, TOO_MANY_STREAMS.to_owned()), "nor without a session in between");
    assert_eq!(anna.start(&films[0].0).status, 200, "one that is open is joined");
    assert_eq!(start_all(&bob, &films), [200, 200, 429], "others have their own");
    assert_eq!(anna.delete(&format!("/api/stream/{}", films[0].0.hash)).status, 204);
    assert_eq!(anna.start(third).status, 200);
    // What was set for one user alone goes before what everybody has.
    let more = daemon.admin().ask("PATCH", "/api/users/anna").json(&json!({"maxStreams": 3})).send();
    assert_eq!(more.value()["maxStreams"], 3);
    assert_eq!(start_all(&anna, &films), [200, 200, 200]);
    daemon.end();
}

#[test]
fn a_token_may_have_fewer_streams_than_its_user() {
    let films = films();
    let daemon = options(&films).start();
    let narrow = daemon.person("anna", VIEWER, &["--max-streams", "1"]);
    assert_eq!(start_all(&narrow, &films), [200, 429, 429]);
    assert_eq!(start_all(&daemon.viewer("anna"), &films), [200, 200, 200], "her other token isn't narrowed");
    daemon.end();
}

#[test]
fn all_users_together_have_so_many_streams() {
    let films = films();
    let daemon = options(&films).arg(&["--max-streams", "2"]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    assert_eq!(start_all(&anna, &films), [200, 200, 429]);
    assert_eq!(start_all(&bob, &films), [429, 429, 429]);
    assert_eq!(anna.delete(&format!("/api/stream/{}", films[0].0.hash)).status, 204);
    assert_eq!(bob.start(&films[2].0).status, 200);
    daemon.end();
}

#[test]
fn streams_that_are_started_at_the_same_time_keep_the_limit_too() {
    let films = films();
    let daemon = options(&films).env("MAX_CONCURRENT_STREAMS", "1").start();
    let anna = daemon.viewer("anna");
    films.iter().for_each(|(film, _)| drop(anna.parse(film)));
    let open = std::thread::scope(|scope| {
        let asked = films.each_ref().map(|(film, _)| scope.spawn(|| anna.start(film).status));
        asked.map(|thread| thread.join().expect("an answer")).iter().filter(|status| **status == 200).count()
    });
    assert_eq!(open, 1);
    assert_eq!(anna.get("/api/stream").value().as_array().map(Vec::len), Some(1));
    daemon.end();
}

#[test]
fn requests_of_a_user_are_limited_and_the_answer_says_when_to_come_back() {
    let film = Film::new(104, MIB / 2);
    let seeder = film.seeder("127.0.6.4");
    let daemon = Options::default().peers(&[&seeder]).env("STREAM_RATE_LIMIT", "1").start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let url = anna.watch(&film);
    let refused = wait_for("too many requests", || {
        let answer = anna.get("/api/torrents");
        (answer.status != 200).then_some(answer)
    });
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("whole seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    assert_eq!(bob.get("/api/torrents").status, 200, "others aren't held up");
    for _ in 0..20 {
        assert_eq!(Ask::get(&url).range(0, 9).send().status, 206, "a player's reads have a cap of their own");
        assert_eq!(anna.ask("GET", &format!("/api/stream/{}", film.hash)).range(0, 9).send().status, 206);
    }
    wait_for("the time that was named", || {
        sleep(Duration::from_secs(wait));
        (anna.get("/api/torrents").status == 200).then_some(())
    });
    daemon.end();
}

#[test]
fn a_stream_is_read_by_so_many_connections_at_once() {
    let film = Film::new(105, 2 * MIB);
    let seeder = film.silent_seeder("127.0.6.5");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--readers-per-session", "3"]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let mut open: Vec<Answer> = (0..3).map(|_| Ask::get(&url).send()).collect();
    assert!(open.iter().all(|answer| answer.status == 200));
    assert_eq!(anna.status(&film)["readers"], 3);
    assert_eq!(Ask::get(&url).send().problem(), (429, "too_many_readers".to_owned()));
    let by_hash = anna.get(&format!("/api/stream/{}", film.hash));
    assert_eq!(by_hash.problem(), (429, TOO_MANY_STREAMS.to_owned()), "the other route counts the same");
    open.pop();
    wait_for("a place is free", || (Ask::get(&url).send().status == 200).then_some(()));
    daemon.end();
}

/// Those who come at the same moment are counted as well as those who come one after the other.
#[test]
fn connections_that_come_at_the_same_time_are_counted_too() {
    let film = Film::new(106, 2 * MIB);
    let seeder = film.silent_seeder("127.0.6.6");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--readers-per-session", "4"]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..24).map(|_| scope.spawn(|| Ask::get(&url).send())).collect();
        asked.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    let open = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(open, 4);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 429)));
    daemon.end();
}

#[test]
fn a_days_quota_ends_streams_and_says_until_when() {
    let film = Film::new(107, 3 * MIB);
    let seeder = film.seeder("127.0.6.7");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--daily-quota", "1M"]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let sent = Ask::get(&url).send().until_cut().len();
    assert!((MIB / 2..2 * MIB).contains(&sent), "{sent} bytes were sent of a quota of 1 MiB");
    let refused = Ask::get(&url).send();
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.problem(), (429, "slow_down".to_owned()));
    anna.wait_status(&film, "the quota is used up", |status| status["error"]["code"] == "quota");
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    let refused = anna.start(&film);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.problem(), (429, "quota_used".to_owned()));
    assert!(
        Ask::get(&daemon.viewer("bob").watch(&film)).range(0, 9).send().status == 206,
        "others have theirs"
    );
    daemon.end();
}
