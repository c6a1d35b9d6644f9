//! What no viewer does, and what follows: each pattern crosses its threshold, and what the settings say is done, to whom it
//! concerns and nobody else.

use serde_json::{Value, json};

use crate::daemon::{Options, Person};
use crate::film::{Film, MIB};
use crate::harness::Scratch;
use crate::harness::afflux::{ALONE, Afflux};
use crate::http::{Answer, Ask};
use crate::isolation::listen;

/// More than any of these thresholds.
const MANY: usize = 500;

/// What is counted of a user, pattern by pattern.
fn suspicions(person: &Person) -> Vec<(String, String)> {
    let answer = person.get("/api/analytics").value();
    let rows = answer["suspicions"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    rows.map(|row| (text(&row["user"]), text(&row["pattern"]))).collect()
}

fn one(user: &str, pattern: &str) -> Vec<(String, String)> {
    vec![(user.to_owned(), pattern.to_owned())]
}

/// The answer is a refusal that says for how long at most so many seconds.
#[track_caller]
fn assert_held(answer: Answer, code: &str, seconds_max: u64) {
    let wait: u64 = answer.header("retry-after").expect("when to come back").parse().expect("seconds");
    assert_eq!(answer.problem(), (429, code.to_owned()));
    assert!((1..=seconds_max).contains(&wait), "{wait} s");
}

fn magnet(n: u8) -> Value {
    json!({"magnet": format!("magnet:?xt=urn:btih:{}", format!("{n:02x}").repeat(20))})
}

fn parse(person: &Person, body: &Value) -> Answer {
    person.post("/api/torrents/parse?fetch=false", body)
}

#[test]
fn who_adds_torrent_after_torrent_is_refused_more() {
    let daemon = Options::default().arg(&["--torrents-per-hour", "3:refuse"]).start();
    let (anna, bob, admin) = (daemon.viewer("anna"), daemon.viewer("bob"), daemon.admin());
    let heard = [listen(&anna, ""), listen(&admin, "?all=true")];
    for _ in 0..10 {
        assert_eq!(parse(&anna, &magnet(1)).status, 200, "the same again is no other torrent");
    }
    for n in 2..=4 {
        assert_eq!(parse(&anna, &magnet(n)).status, 200);
    }
    assert_held(parse(&anna, &magnet(5)), "suspicious", 600);
    assert_eq!(parse(&bob, &magnet(5)).status, 200);
    assert_eq!(anna.get("/api/torrents").status, 200, "all else goes on");
    assert_eq!(suspicions(&anna), one("anna", "torrents_added"));
    assert_eq!(suspicions(&admin), one("anna", "torrents_added"));
    assert_eq!(suspicions(&bob), []);
    for mut heard in heard {
        assert!(heard.until("torrents_added"), "who does it and admins are told");
        assert!(heard.events().iter().any(|(name, data)| {
            name == "suspicious" && data["pattern"] == "torrents_added" && data["action"] == "refuse"
        }));
    }
}

#[test]
fn who_sends_what_is_no_torrent_is_refused_more() {
    let daemon = Options::default().arg(&["--parse-failures-per-hour", "2:refuse"]).start();
    let anna = daemon.viewer("anna");
    for _ in 0..3 {
        assert_eq!(parse(&anna, &json!({"magnet": "magnet:?xt=urn:btih:xyz"})).problem().1, "bad_source");
    }
    assert_held(parse(&anna, &magnet(1)), "suspicious", 600);
    assert_eq!(suspicions(&anna), one("anna", "parse_failures"));
}

#[test]
fn who_starts_stream_after_stream_is_slowed_down() {
    let films = [Film::new(1, MIB), Film::new(2, MIB), Film::new(3, MIB)];
    let seeders = [films[0].seeder("127.0.10.1"), films[1].seeder("127.0.10.2")];
    let options = Options::default().peers(&[&seeders[0], &seeders[1]]);
    let daemon = options.arg(&["--stream-starts-per-minute", "1:throttle"]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let urls = [anna.watch(&films[0]), anna.watch(&films[1])];
    anna.parse(&films[2]);
    assert_held(anna.start(&films[2]), "suspicious", 60);
    assert_eq!(anna.start(&films[0]).status, 200, "joining one's own is no start");
    for (film, url) in films.iter().zip(&urls) {
        assert_eq!(Ask::get(url).send().bytes(), film.bytes());
    }
    bob.watch(&films[0]);
    assert_eq!(suspicions(&anna), one("anna", "stream_starts"));
}

#[test]
fn a_token_that_is_revoked_for_what_was_done_with_it_stays_revoked() {
    let mut daemon = Options::default().arg(&["--torrents-per-hour", "1:revoke"]).start();
    let (anna, other) = (daemon.viewer("anna"), daemon.viewer("anna"));
    for n in 1..=2 {
        assert_eq!(parse(&anna, &magnet(n)).status, 200);
    }
    assert_eq!(anna.get("/api/torrents").problem(), (401, "token_revoked".to_owned()));
    assert_eq!(other.get("/api/torrents").status, 200, "another token of the same user");
    daemon.restart("TERM");
    assert_eq!(anna.get("/api/torrents").problem(), (401, "token_revoked".to_owned()));
    assert_eq!(suspicions(&other), one("anna", "torrents_added"));
}

#[test]
fn a_flood_of_requests_is_held_back_and_other_streams_arent() {
    let film = Film::new(4, MIB);
    let seeder = film.seeder("127.0.10.4");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--ranges-per-second", "5:refuse"]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let (flooded, quiet) = (anna.watch(&film), bob.watch(&film));
    let refused =
        (0..MANY).map(|_| Ask::get(&flooded).range(0, 9).send()).find(|answer| answer.status != 206);
    assert_held(refused.expect("a flood that is noticed"), "slow_down", 60);
    assert_eq!(Ask::get(&quiet).range(0, 9).send().bytes(), &film.bytes()[..10]);
    assert_eq!(suspicions(&anna), one("anna", "range_flood"));
}

/// Asks as if from an address, by way of a proxy that is believed.
fn from(address: &str, ask: Ask) -> Answer {
    ask.header("X-Forwarded-For", address).send()
}

#[test]
fn a_url_that_was_passed_on_ends_with_its_session() {
    let film = Film::new(5, MIB);
    let seeder = film.seeder("127.0.10.5");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--trusted-proxy", "127.0.0.1"]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    for address in ["192.0.2.1", "192.0.2.99", "198.51.100.1", "203.0.113.1"] {
        assert_eq!(from(address, Ask::get(&url).range(0, 9)).status, 206, "{address}");
    }
    for address in ["100.64.0.1", "192.0.2.1"] {
        let answer = from(address, Ask::get(&url).range(0, 9));
        assert!(matches!(answer.status, 404 | 410), "{address}: {}", answer.status);
    }
    assert_eq!(suspicions(&anna), one("anna", "many_networks"));
    let again = anna.watch(&film);
    assert_eq!(Ask::get(&again).range(0, 9).send().status, 206, "its owner starts anew");
}

#[test]
fn a_token_that_was_passed_on_is_revoked() {
    let daemon = Options::default().arg(&["--trusted-proxy", "127.0.0.1"]).start();
    let (anna, other) = (daemon.viewer("anna"), daemon.viewer("anna"));
    let ask = || anna.ask("GET", "/api/torrents");
    for address in ["192.0.2.1", "192.0.2.99", "198.51.100.1", "203.0.113.1"] {
        assert_eq!(from(address, ask()).status, 200, "{address}");
    }
    assert_eq!(from("100.64.0.1", ask()).problem(), (429, "suspicious".to_owned()));
    assert_eq!(from("192.0.2.1", ask()).problem(), (401, "token_revoked".to_owned()));
    assert_eq!(suspicions(&other), one("anna", "many_networks"));
}

/// The player has said how long the film is, so that reading it all at once is told from watching it.
#[test]
fn a_stream_that_is_copied_is_held_back() {
    let film = Film::new(6, 4 * MIB);
    let seeder = film.seeder("127.0.10.6");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--bulk-factor", "3:refuse"]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let wish = json!({"seconds": 0, "duration": 36_000});
    anna.post(&format!("/api/stream/{}/seek", film.hash), &wish).value();
    assert_eq!(Ask::get(&url).send().bytes(), film.bytes());
    assert_held(Ask::get(&url).range(0, 9).send(), "slow_down", 600);
    let saved = Ask::get(&format!("{url}?download=1")).range(0, 9).send();
    assert_held(saved, "slow_down", 600);
    crate::harness::wait_for("it is written down", || {
        (suspicions(&anna) == one("anna", "bulk_read")).then_some(())
    });
}

#[test]
fn settings_that_could_never_do_anything_stop_the_start() {
    let refused = |name: &str, arguments: &[&str], variable: (&str, &str)| {
        let scratch = Scratch::new();
        let run = Afflux::new(&scratch, name).arg("serve").args(ALONE).args(["--port", "0"]).args(arguments);
        let mut process = run.env(variable.0, variable.1).start();
        assert_eq!(process.wait().code(), Some(2), "{arguments:?}");
        process.stderr()
    };
    let nothing = ("STREAM_TIMEOUT", "30000");
    let sentence = refused("networks", &["--networks-per-token", "20:warn"], nothing);
    assert!(sentence.contains("--networks-per-token 20"), "{sentence}");
    let open = ("STREAM_AUTH_REQUIRED", "false");
    let sentence = refused("revoke", &["--torrents-per-hour", "5:revoke"], open);
    assert!(sentence.contains("--torrents-per-hour 5:revoke"), "{sentence}");
}
