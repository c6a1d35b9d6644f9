//! Streams that outlive what they stand on: the tracker, the only peer, the daemon itself.

use serde_json::json;

use crate::daemon::Options;
use crate::film::{Film, MIB};
use crate::harness::wait_for;
use crate::http::Ask;
use crate::meeting::Meeting;
use crate::wire::{Manner, Seeder};

#[test]
fn a_stream_outlives_its_tracker() {
    let film = Film::new(1, 3 * MIB);
    let meeting = Meeting::start();
    let seeder = film.slow_seeder("127.0.5.1", 2 * MIB);
    let daemon = meeting.options().start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let mut player = Ask::get(&url).send();
    seeder.dial(meeting.daemon_port(&film));
    let mut read = player.next(MIB / 2);
    drop(meeting);
    read.extend(player.bytes());
    assert!(read == film.bytes(), "the film differs");
    assert!(Ask::get(&url).range(5, 99).send().bytes() == film.bytes()[5..100]);
    daemon.end();
}

#[test]
fn a_body_stays_open_while_the_only_peer_is_gone_and_goes_on_with_the_next() {
    let film = Film::new(2, 4 * MIB);
    let meeting = Meeting::start();
    let mortal = Seeder::start("127.0.5.2", &film.content, Manner::DiesAfter(MIB), 4 * MIB);
    let daemon = meeting.options().peers(&[&mortal]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let mut player = Ask::get(&url).send();
    let mut read = player.next(MIB / 2);
    anna.wait_status(&film, "nobody is left", |status| status["error"]["code"] == "no_peers");
    let heir = film.seeder("127.0.5.3");
    heir.dial(meeting.daemon_port(&film));
    read.extend(player.bytes());
    assert!(read == film.bytes(), "the film differs");
    assert!(heir.given_bytes() < film.bytes().len(), "what was there already isn't fetched again");
    let status = anna.wait_state(&film, "complete");
    assert!(status["error"].is_null(), "{status}");
    daemon.end();
}

/// What a player sees of a daemon that ends and comes back: the body is cut, and the same URL goes on at its byte.
fn goes_on_after(signal: &str, storage: &str, seeder_ip: &str) {
    let film = Film::new(3, 4 * MIB);
    let seeder = film.slow_seeder(seeder_ip, 2 * MIB);
    let mut daemon = Options::default().peers(&[&seeder]).arg(&["--storage", storage]).start();
    let anna = daemon.viewer("anna");
    let session = anna.stream(&film);
    let url = session["url"].as_str().expect("a URL");
    let mut player = Ask::get(url).send();
    let mut read = player.next(MIB);
    daemon.restart(signal);
    let more = player.until_cut();
    assert!(read.len() + more.len() < film.bytes().len(), "the body came to its end");
    read.extend(more);
    let rest = Ask::get(url).header("Range", &format!("bytes={}-", read.len())).send();
    assert_eq!(rest.status, 206, "the same URL, after {signal} with storage {storage}");
    read.extend(rest.bytes());
    assert!(read == film.bytes(), "the film differs");
    let status = anna.status(&film);
    assert_eq!(status["sessionId"], session["sessionId"], "it is the same session");
    assert_eq!(anna.start(&film).value()["sessionId"], session["sessionId"]);
    daemon.end();
}

#[test]
fn a_player_goes_on_after_the_daemon_ended_and_came_back() {
    goes_on_after("TERM", "memory", "127.0.5.4");
}

#[test]
fn a_player_goes_on_after_the_daemon_was_killed() {
    goes_on_after("KILL", "memory", "127.0.5.5");
}

#[test]
fn a_player_goes_on_after_a_kill_with_what_is_on_disk() {
    goes_on_after("KILL", "disk", "127.0.5.6");
}

#[test]
fn a_paused_stream_is_paused_after_a_restart_too() {
    let film = Film::new(7, 2 * MIB);
    let seeder = film.slow_seeder("127.0.5.7", MIB);
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    anna.stream(&film);
    let place = |what: &str| format!("/api/stream/{}{what}", film.hash);
    assert_eq!(anna.post(&place("/pause"), &json!({})).value()["state"], "paused");
    daemon.restart("TERM");
    assert_eq!(anna.status(&film)["state"], "paused");
    anna.post(&place("/resume"), &json!({})).value();
    let url = anna.start(&film).value()["url"].clone();
    assert!(Ask::get(url.as_str().expect("a URL")).send().bytes() == film.bytes(), "the film differs");
    daemon.end();
}

#[test]
fn an_ended_stream_stays_ended_after_a_restart() {
    let film = Film::new(8, MIB);
    let seeder = film.seeder("127.0.5.8");
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    for signal in ["TERM", "KILL"] {
        daemon.restart(signal);
        assert!(matches!(Ask::get(&url).send().status, 404 | 410), "after {signal}");
        assert_eq!(anna.get("/api/stream").value(), json!([]));
    }
    daemon.end();
}

/// Nobody may be kept out by streams that they can't see.
#[test]
fn streams_of_the_last_run_are_listed_and_end_when_nobody_comes_back() {
    let films = [9, 10].map(|seed| Film::new(seed, MIB));
    let seeders = [films[0].seeder("127.0.5.9"), films[1].seeder("127.0.5.10")];
    let options = Options::default().peers(&[&seeders[0], &seeders[1]]);
    let mut daemon = options.env("MAX_CONCURRENT_STREAMS", "1").arg(&["--idle-time", "3s"]).start();
    let anna = daemon.viewer("anna");
    anna.stream(&films[0]);
    daemon.restart("KILL");
    let listed = anna.get("/api/stream").value();
    assert_eq!(listed[0]["infoHash"], films[0].hash, "{listed}");
    anna.parse(&films[1]);
    wait_for("the stream that nobody came back to makes room", || {
        (anna.start(&films[1]).status == 200).then_some(())
    });
    daemon.end();
}

#[test]
fn what_users_were_sent_counts_after_a_restart() {
    let film = Film::new(11, MIB);
    let seeder = film.seeder("127.0.5.11");
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let admin = daemon.admin();
    assert!(Ask::get(&daemon.viewer("anna").watch(&film)).send().bytes() == film.bytes());
    daemon.restart("TERM");
    let users = admin.get("/api/users").value();
    let anna = users.as_array().and_then(|users| users.iter().find(|user| user["name"] == "anna"));
    assert_eq!(anna.expect("a user")["bytesToday"], MIB, "{users}");
    daemon.end();
}

/// A player that comes by a URL passes no gate that would look at its account.
#[test]
fn who_was_disabled_while_the_daemon_was_down_gets_nothing_by_an_old_url() {
    let film = Film::new(12, MIB);
    let seeder = film.seeder("127.0.5.12");
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let url = daemon.viewer("anna").watch(&film);
    daemon.restart_after("TERM", |daemon| drop(daemon.command(&["user", "disable", "anna"])));
    assert_eq!(Ask::get(&url).send().problem().0, 403);
    daemon.end();
}
