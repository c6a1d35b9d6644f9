//! Subtitles inside of a film, which come as its pieces come.

use serde_json::{Value, json};

use crate::daemon::{Options, Person};
use crate::film::{Film, PIECE_LENGTH};
use crate::http::Ask;
use crate::matroska::{SECONDS, film};
use crate::wire::{Manner, Seeder};

fn listed(person: &Person, film: &Film) -> Vec<Value> {
    let listed = person.get(&format!("/api/stream/{}/subtitles", film.hash)).value();
    listed.as_array().expect("a list").clone()
}

/// Waits for what is said of the first text track.
fn wait_first(person: &Person, film: &Film, what: &str, satisfies: impl Fn(&Value) -> bool) -> Value {
    crate::harness::wait_for(what, || listed(person, film).first().filter(|first| satisfies(first)).cloned())
}

fn text(subtitle: &Value, query: &str) -> String {
    let url = subtitle["vttUrl"].as_str().expect("a URL");
    let answer = Ask::get(&format!("{url}{query}")).send();
    assert_eq!(answer.header("content-type"), Some("text/vtt; charset=utf-8"));
    String::from_utf8(answer.bytes()).expect("UTF-8")
}

fn has_line(text: &str, second: u8) -> bool {
    text.lines().any(|line| line == format!("line <i>{second}</i>"))
}

#[test]
fn texts_inside_of_a_film_are_given_as_far_as_its_pieces_have_come() {
    let film = film();
    let half = film.content.bytes.len() / PIECE_LENGTH / 2;
    let first_half = Seeder::start("127.0.11.1", &film.content, Manner::HasFirst(half), 200 << 20);
    let daemon = Options::default().peers(&[&first_half]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let middle = film.bytes().len() / 2 - 4 * PIECE_LENGTH;
    let read = Ask::get(&format!("{url}?download=1")).range(0, middle).send().bytes();
    assert!(read == film.bytes()[..=middle]);
    let covers = |seconds: f64| {
        move |track: &Value| {
            track["coveredSeconds"].as_array().is_some_and(|ranges| {
                ranges.iter().any(|range| range[0] == 0.0 && range[1].as_f64() >= Some(seconds))
            })
        }
    };
    let english = wait_first(&anna, &film, "half of the texts", covers(25.0));
    assert_eq!((&english["language"], &english["format"]), (&json!("en"), &json!("SubRip")), "{english}");
    assert_eq!(english["complete"], false);
    let some = text(&english, "");
    assert!(some.starts_with("WEBVTT\n") && has_line(&some, 0) && has_line(&some, 25), "{some}");
    assert!(!has_line(&some, 45), "nobody has that yet");
    assert!(some.contains("00:00:25.100 --> 00:00:25.900"), "{some}");
    let window = text(&english, "?from_ms=20000&to_ms=22000&offset_ms=500");
    assert!(has_line(&window, 20) && has_line(&window, 21) && !has_line(&window, 23), "{window}");
    assert!(window.contains("00:00:20.600 --> 00:00:21.400"), "{window}");

    let all = film.seeder("127.0.11.2");
    all.dial(daemon.peer_port);
    let unpaced = format!("{url}?download=1");
    assert!(Ask::get(&unpaced).send().bytes() == film.bytes());
    let english = wait_first(&anna, &film, "all texts", |track| track["complete"] == true);
    let whole = text(&english, "");
    assert!((0..SECONDS).all(|second| has_line(&whole, second)), "{whole}");
    let late = text(&english, "?from_ms=45000&to_ms=46000");
    assert!(has_line(&late, 45) && !has_line(&late, 44), "{late}");
    daemon.end();
}

#[test]
fn each_track_is_given_in_its_own_form_or_says_why_not() {
    let film = film();
    let seeder = film.seeder("127.0.11.3");
    let daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let unpaced = format!("{}?download=1", anna.watch(&film));
    assert!(Ask::get(&unpaced).send().bytes() == film.bytes());
    // A browser asks once, and gets all that is there.
    let first = wait_first(&anna, &film, "its tracks", |track| track["vttUrl"].is_string());
    let whole = text(&first, "");
    assert!((0..SECONDS).all(|second| has_line(&whole, second)), "{whole}");
    let [english, german, french] = &listed(&anna, &film)[..] else { panic!("three tracks") };
    let raw = |track: &Value| {
        let bytes = Ask::get(track["url"].as_str().expect("a URL")).send().bytes();
        String::from_utf8(bytes).expect("UTF-8")
    };
    assert!(
        raw(english).starts_with("1\n00:00:00,100 --> 00:00:00,900\nline <i>0</i>\n"),
        "{}",
        raw(english)
    );
    assert_eq!((&german["title"], &german["format"]), (&json!("Signs"), &json!("SubStation Alpha")));
    let script = raw(german);
    assert!(script.starts_with("[Script Info]") && script.contains("{\\i1}Zeile 7{\\i0}"), "{script}");
    assert!(text(german, "").contains("<i>Zeile 7</i>"));
    assert_eq!((&french["url"], &french["vttUrl"]), (&Value::Null, &Value::Null));
    let why = french["problem"].as_str().expect("a reason");
    assert!(why.contains("pictures (PGS)"), "{why}");

    let base = english["vttUrl"].as_str().expect("a URL");
    let other = |id: &str| Ask::get(&base.replace("/0.2.vtt", id)).send();
    assert_eq!(other("/0.4.vtt").problem(), (422, "media_unreadable".to_owned()), "pictures");
    assert_eq!(other("/0.1.vtt").status, 404, "no subtitles");
    assert_eq!(other("/0.9.vtt").status, 404);
    assert_eq!(other("/7.2.vtt").status, 404);
    assert_eq!(other("/0.2.ass").problem(), (422, "media_unreadable".to_owned()), "no script");
    assert_eq!(other("/0.2.vtt?from_ms=2&to_ms=1").problem(), (422, "media_unreadable".to_owned()));
    let bobs = bob.get(&format!("/api/stream/{}/subtitles", film.hash)).problem();
    assert_eq!(bobs, (404, "no_stream".to_owned()));
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    assert_eq!(Ask::get(base).send().status, 410, "they end with the session");
    daemon.end();
}
