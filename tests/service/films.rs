//! What a film's container says, as its viewers meet it: times, key frames, what is in it.

use std::path::Path;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Options, Person};
use crate::film::Film;
use crate::http::Ask;

/// A film that plays, of a minute.
fn sample(name: &str) -> Film {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
    Film::named(name, std::fs::read(path).expect("the samples are in the project"))
}

fn matroska() -> Film {
    sample("Afflux Clock (2026) 360p.mkv")
}

fn mp4() -> Film {
    sample("Afflux Test Card (2026) 360p.mp4")
}

fn seek(person: &Person, film: &Film, wish: &Value) -> Value {
    person.post(&format!("/api/stream/{}/seek", film.hash), wish).value()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn media(daemon: &Daemon, film: &Film) -> Value {
    daemon.viewer("anna").get(&format!("/api/torrents/{}/info", film.hash)).value()["files"][0]["media"]
        .clone()
}

#[test]
fn a_time_leads_to_the_key_frame_before_it_in_every_container() {
    for (film, method, address) in [(matroska(), "cues", "127.0.10.1"), (mp4(), "stbl", "127.0.10.2")] {
        let seeder = film.seeder(address);
        let daemon = Options::default().peers(&[&seeder]).start();
        let anna = daemon.viewer("anna");
        let url = anna.watch(&film);
        let answer = seek(&anna, &film, &json!({"seconds": 17.3}));
        assert_eq!(answer["method"], method, "{answer}");
        assert_eq!(number(&answer["seconds"]), 17.3);
        let key_frame = number(&answer["keyFrameSeconds"]);
        assert!((7.0..=17.3).contains(&key_frame), "{answer}");
        let offset = answer["byteOffset"].as_u64().expect("a byte") as usize;
        if method == "cues" {
            assert_eq!(film.bytes()[offset..offset + 4], [0x1f, 0x43, 0xb6, 0x75], "a cluster begins there");
        }
        let range = &answer["byteRange"];
        assert_eq!(range[0], answer["byteOffset"]);
        // A part of the film's length is a time too.
        let duration = number(
            &anna.wait_status(&film, "a duration", |status| !status["durationSeconds"].is_null())["durationSeconds"],
        );
        assert!((71.0..=73.0).contains(&duration), "{duration}");
        let half = seek(&anna, &film, &json!({"fraction": 0.5}));
        assert_eq!((half["method"].as_str(), number(&half["seconds"])), (Some(method), duration / 2.0));
        let beyond =
            anna.post(&format!("/api/stream/{}/seek", film.hash), &json!({"seconds": duration + 1.0}));
        assert_eq!(beyond.problem(), (422, "out_of_range".to_owned()));
        // What is played there is where the status says it is.
        let body = Ask::get(&url).range(offset, film.bytes().len() - 1).send().bytes();
        assert!(body == film.bytes()[offset..], "{method}: the film differs");
        daemon.end();
    }
}

#[test]
fn what_is_in_a_film_is_told_and_remembered() {
    let film = matroska();
    let seeder = film.seeder("127.0.10.3");
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    anna.parse(&film);
    assert_eq!(media(&daemon, &film), Value::Null, "nobody has watched it");
    anna.watch(&film);
    anna.wait_status(&film, "a duration", |status| !status["durationSeconds"].is_null());
    let told = media(&daemon, &film);
    assert_eq!((&told["container"], &told["video"]["codec"]), (&json!("matroska"), &json!("h264")));
    assert_eq!((&told["video"]["width"], &told["video"]["height"]), (&json!(640), &json!(360)));
    assert_eq!(told["audio"][0]["codec"], "aac", "{told}");
    daemon.restart("KILL");
    assert_eq!(media(&daemon, &film), told, "after a crash");
}

#[test]
fn a_file_that_is_no_film_plays_all_the_same_and_says_that_its_length_is_unknown() {
    let film = Film::new(31, 3 << 20);
    let seeder = film.seeder("127.0.10.4");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let answer = anna.post(&format!("/api/stream/{}/seek", film.hash), &json!({"seconds": 10}));
    assert_eq!(answer.problem(), (422, "out_of_range".to_owned()));
    let told = seek(&anna, &film, &json!({"seconds": 10, "duration": 100}));
    assert_eq!(told["method"], "linear");
    assert!(Ask::get(&url).send().bytes() == film.bytes(), "the film differs");
    daemon.end();
}
