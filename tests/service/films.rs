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

#[test]
fn a_time_is_searched_for_in_a_film_without_an_index() {
    let film = crate::matroska::film();
    let seeder = film.seeder("127.0.10.9");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    anna.watch(&film);
    for second in [40, 3, 59, 41] {
        let answer = seek(&anna, &film, &json!({"seconds": f64::from(second) + 0.5}));
        assert_eq!(answer["method"], "search", "{answer}");
        assert_eq!(number(&answer["keyFrameSeconds"]), f64::from(second), "{answer}");
        let offset = answer["byteOffset"].as_u64().expect("a byte") as usize;
        assert_eq!(film.bytes()[offset..offset + 4], [0x1f, 0x43, 0xb6, 0x75], "a cluster begins there");
    }
    let status = anna.status(&film);
    assert_eq!(number(&status["durationSeconds"]), 60.0);
    daemon.end();
}

/// The length and all 64-bit words of both ends, added up.
fn hash_of_ends(bytes: &[u8]) -> String {
    let ends = bytes[..65_536].chunks(8).chain(bytes[bytes.len() - 65_536..].chunks(8));
    let words = ends.map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")));
    format!("{:016x}", words.fold(bytes.len() as u64, u64::wrapping_add))
}

#[test]
fn databases_of_subtitles_know_a_film_by_the_hash_of_its_ends() {
    let film = matroska();
    let seeder = film.seeder("127.0.10.7");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let place = format!("/api/stream/{}/opensubtitles", film.hash);
    assert_eq!(anna.get(&place).problem(), (404, "no_stream".to_owned()));
    anna.stream(&film);
    let told = anna.get(&place).value();
    assert_eq!(told, json!({"file": 0, "size": film.bytes().len(), "hash": hash_of_ends(film.bytes())}));
    assert_eq!(anna.get(&format!("{place}?file=1")).problem(), (404, "no_such_file".to_owned()));

    let short = Film::new(44, 65_535);
    let seeder = short.seeder("127.0.10.8");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    anna.stream(&short);
    let refused = anna.get(&format!("/api/stream/{}/opensubtitles", short.hash)).problem();
    assert_eq!(refused, (422, "out_of_range".to_owned()));
}

#[test]
fn a_session_stays_with_its_film_when_a_player_reads_a_subtitle_beside_it() {
    let name = "Afflux Test Card (2026) 360p";
    let line = b"1\n00:00:01,000 --> 00:00:02,000\nHello\n";
    let film = Film::folder(
        name,
        vec![(format!("{name}.mp4"), mp4().bytes().to_vec()), (format!("{name}.srt"), line.to_vec())],
    );
    let seeder = film.seeder("127.0.10.10");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let session = anna.stream(&film);
    let is_known = |status: &Value| !status["durationSeconds"].is_null();
    anna.wait_status(&film, "a duration", is_known);
    let subtitle = session["subtitles"][0]["url"].as_str().expect("a URL");
    assert_eq!(Ask::get(subtitle).send().bytes(), line);
    assert_eq!(seek(&anna, &film, &json!({"seconds": 30}))["method"], "stbl");
    let status = anna.wait_status(&film, "its film", is_known);
    assert_eq!((&status["file"], &status["mediaProblem"]), (&json!(0), &json!(null)), "{status}");
    daemon.end();
}

#[test]
fn films_that_nobody_has_never_hold_up_what_is_learnt_of_others() {
    let film = mp4();
    let seeder = film.seeder("127.0.10.6");
    let daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    for seed in 60..65 {
        bob.stream(&Film::new(seed, 1 << 20));
    }
    anna.watch(&film);
    assert_eq!(seek(&anna, &film, &json!({"seconds": 30}))["method"], "stbl");
    daemon.end();
}

#[test]
fn a_session_is_at_the_file_that_it_was_asked_for_before_a_player_comes() {
    let film = with_subtitles();
    let seeder = film.seeder("127.0.10.11");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    anna.parse(&film);
    for file in [0, 4, 0] {
        let ask = anna.ask("GET", &format!("/api/stream/{}?file={file}", film.hash));
        assert_eq!(ask.header("Accept", "application/json").send().value()["file"], file);
        assert_eq!(anna.status(&film)["file"], file);
    }
    daemon.end();
}

/// A film with its subtitles, and another one with its own.
fn with_subtitles() -> Film {
    let russian = b"1\n00:00:01,000 --> 00:00:02,500\n\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0!\n\n2\n00:00:03,000 --> 00:00:04,000\n<i>\xc4\xe0</i> & \xed\xe5\xf2\n";
    let script = "[Script Info]\nScriptType: v4.00+\n\n[Events]\n\
                  Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n\
                  Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\i1}Hello{\\i0}\\Nthere\n";
    Film::folder(
        "Some Film 2024",
        vec![
            ("Some.Film.2024.mkv".to_owned(), crate::film::film_bytes(40, 300_000)),
            ("Some.Film.2024.ru.forced.srt".to_owned(), russian.to_vec()),
            ("Some.Film.2024.English.SDH.ass".to_owned(), script.as_bytes().to_vec()),
            ("Some.Film.2024.de.srt".to_owned(), b"no subtitle at all\n".to_vec()),
            ("Another.Film.2020.mkv".to_owned(), crate::film::film_bytes(41, 200_000)),
            ("Another.Film.2020.fr.srt".to_owned(), b"1\n00:00:01,000 --> 00:00:02,000\nOui.\n".to_vec()),
        ],
    )
}

#[test]
fn a_films_subtitles_are_found_by_name_and_come_as_text_that_pages_take() {
    let film = with_subtitles();
    let seeder = film.seeder("127.0.10.5");
    let daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let session = anna.stream(&film);
    let listed = anna.get(&format!("/api/stream/{}/subtitles", film.hash)).value();
    assert_eq!(listed, session["subtitles"]);
    let find = |language: &str| -> Value {
        let all = listed.as_array().expect("a list");
        assert_eq!(all.len(), 3, "the other film has its own: {listed}");
        all.iter()
            .find(|one| one["language"] == language)
            .unwrap_or_else(|| panic!("none in {language}"))
            .clone()
    };
    let url = |subtitle: &Value| subtitle["vttUrl"].as_str().expect("a URL").to_owned();
    let (russian, english, german) = (find("ru"), find("en"), find("de"));
    assert_eq!((&russian["forced"], &russian["sdh"]), (&json!(true), &json!(false)));
    assert_eq!((&english["forced"], &english["sdh"]), (&json!(false), &json!(true)));

    let answer = Ask::get(&url(&russian)).send();
    assert_eq!(answer.header("content-type"), Some("text/vtt; charset=utf-8"));
    let text = String::from_utf8(answer.bytes()).expect("UTF-8, whatever it was");
    assert!(text.starts_with("WEBVTT\n"), "{text}");
    for part in ["00:00:01.000 --> 00:00:02.500", "Привет, мир!", "<i>Да</i> &amp; нет"] {
        assert!(text.contains(part), "{part} isn't in {text}");
    }
    let later = Ask::get(&format!("{}?offset_ms=61500", url(&russian))).send();
    assert!(String::from_utf8(later.bytes()).expect("text").contains("00:01:02.500 --> 00:01:04.000"));
    let subrip = Ask::get(&url(&english).replace(".vtt", ".srt")).send();
    assert_eq!(subrip.bytes(), b"1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i>\nthere\n\n");
    // The raw form is what was uploaded. Fetching it isn't watching it.
    assert!(Ask::get(english["url"].as_str().expect("a URL")).send().bytes().starts_with(b"[Script Info]"));
    assert_eq!(anna.status(&film)["file"], session["file"], "the session stays at its film");

    let told = anna.get(&format!("/api/torrents/{}/info", film.hash)).value();
    let languages: Vec<&Value> =
        told["files"].as_array().expect("files").iter().map(|file| &file["language"]).collect();
    assert_eq!(json!(languages), json!([null, "ru", "en", "de", null, "fr"]), "{told}");

    let unreadable = (422, "media_unreadable".to_owned());
    assert_eq!(Ask::get(&url(&german)).send().problem(), unreadable, "no subtitle, though it is called one");
    assert_eq!(Ask::get(&format!("{}?offset_ms=soon", url(&russian))).send().problem(), unreadable);
    let token_of_a_file = session["url"].as_str().expect("a URL").rsplit_once('/').expect("a name").0;
    let in_a_folder = Ask::get(&format!("{token_of_a_file}/subtitles/1.vtt")).send().status;
    assert_eq!(in_a_folder, 404, "the film's own token gives the film and nothing else");
    let the_film = url(&russian).replace("/1.vtt", "/0.vtt");
    assert_eq!(Ask::get(&the_film).send().status, 404, "a film is no subtitle");
    let bobs = bob.get(&format!("/api/stream/{}/subtitles", film.hash)).problem();
    assert_eq!(bobs, (404, "no_stream".to_owned()));
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    assert_eq!(Ask::get(&url(&russian)).send().status, 410, "they end with the session");
    daemon.end();
}
