//! Where somebody was in a film: noted while they watch, gone on with later, and with the next episode.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{Options, Person};
use crate::film::{Film, MIB, PIECE_LENGTH, film_bytes};
use crate::harness::process::{Process, tool};
use crate::harness::wait_for;
use crate::http::{Answer, Ask};

const CLOCK: &str = "Afflux Clock (2026) 360p.mkv";

fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
    std::fs::read(path).expect("the samples are in the project")
}

/// A film that plays, of 72 seconds.
fn clock() -> Film {
    Film::named(CLOCK, sample(CLOCK))
}

/// Two seasons, the first episode of which is no larger than the others, and an extra that is larger than all.
fn series() -> Film {
    let episode = |name: &str, seed| (name.to_owned(), film_bytes(seed, MIB / 4));
    Film::folder(
        "Some Show",
        vec![
            episode("Some.Show.S01E01.mkv", 1),
            episode("Some.Show.S01E02.mkv", 2),
            episode("Some.Show.S02E01.mkv", 3),
            episode("Some.Show.S02E02.mkv", 4),
            ("Some.Show.S02E03.mkv".to_owned(), film_bytes(5, MIB / 2)),
        ],
    )
}

fn watching(person: &Person) -> Vec<Value> {
    person.get("/api/watching").value().as_array().expect("a list").clone()
}

fn place(film: &Film, file: u32) -> String {
    format!("/api/watching/{}/{file}", film.hash)
}

/// A player that takes what it is sent and stays until it is dropped.
struct Player(Answer);

impl Player {
    fn open(url: &str, film: &Film, from: usize) -> Self {
        let mut answer = Ask::get(url).header("Range", &format!("bytes={from}-")).send();
        let first = (film.bytes().len() - from).min(300_000);
        assert!(answer.next(first) == film.bytes()[from..from + first]);
        Self(answer)
    }

    /// Takes a little more, as players do that hold what they have.
    fn sip(&mut self) {
        self.0.next(2_000);
    }
}

#[test]
fn a_film_is_gone_on_with_where_it_was_watched_also_after_a_kill() {
    let film = clock();
    let seeder = film.seeder("127.0.13.1");
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    anna.wait_status(&film, "a duration", |status| !status["durationSeconds"].is_null());
    // A look at another place, and one at the head: neither is watching.
    drop(Player::open(&url, &film, film.bytes().len() / 2));
    assert_eq!(watching(&anna), Vec::<Value>::new());
    let mut player = Player::open(&url, &film, 0);
    let entry = wait_for("it is noted that somebody watches", || {
        player.sip();
        watching(&anna).pop()
    });
    assert_eq!((&entry["infoHash"], &entry["file"]), (&json!(film.hash), &json!(0)));
    assert_eq!((&entry["finished"], &entry["release"]["title"]), (&json!(false), &json!("Afflux Clock")));
    let (at, duration) = (entry["positionSeconds"].as_f64(), entry["durationSeconds"].as_f64());
    let (at, duration) = (at.expect("a time"), duration.expect("a length"));
    assert!(at > 0.0 && at < duration * 0.95, "{entry}");
    let progress = entry["progress"].as_f64().expect("a part");
    assert!((progress - at / duration).abs() < 0.001, "{entry}");
    assert!(entry["positionBytes"].as_u64().is_some_and(|byte| byte < film.bytes().len() as u64));
    drop(player);
    daemon.restart("KILL");
    let after = watching(&anna).pop().expect("it survives a kill");
    assert!(after["positionSeconds"].as_f64().is_some_and(|later| later >= at), "{after}");
    let session = anna.start(&film).value();
    assert_eq!(session["resumeSeconds"], after["positionSeconds"]);
    assert_eq!(session["resumeBytes"], after["positionBytes"]);
    // Letting go of the torrent forgets that it was watched.
    assert_eq!(anna.delete(&format!("/api/torrents/{}", film.hash)).status, 204);
    assert_eq!(watching(&anna), Vec::<Value>::new());
    daemon.end();
}

#[test]
fn what_is_noted_last_survives_an_end_in_good_order_and_that_of_its_session() {
    let film = clock();
    let seeder = film.seeder("127.0.13.2");
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let mut player = Player::open(&url, &film, 0);
    wait_for("somebody watches", || {
        player.sip();
        watching(&anna).pop()
    });
    let before = watching(&anna).pop().expect("an entry");
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    let after = watching(&anna).pop().expect("it outlives its session");
    assert!(after["positionSeconds"].as_f64() >= before["positionSeconds"].as_f64(), "{before} {after}");
    daemon.restart("TERM");
    assert_eq!(watching(&anna), [after]);
    daemon.end();
}

#[test]
fn a_client_that_knows_better_says_where_its_user_is() {
    let film = clock();
    let seeder = film.seeder("127.0.13.3");
    let daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let unknown = anna.put(&place(&film, 0), &json!({"positionSeconds": 5})).problem();
    assert_eq!(unknown, (404, "unknown_torrent".to_owned()));
    anna.parse(&film);
    let said = anna.put(&place(&film, 0), &json!({"positionSeconds": 9, "durationSeconds": 72})).value();
    assert_eq!(
        (&said["progress"], &said["finished"]),
        (&json!(0.125), &json!(false)),
        "nobody has looked at it"
    );
    let url = anna.watch(&film);
    assert_eq!(anna.start(&film).value()["resumeSeconds"], 9.0);
    anna.wait_status(&film, "a duration", |status| !status["durationSeconds"].is_null());
    let exact = anna.put(&place(&film, 0), &json!({"positionSeconds": 36.5})).value();
    assert_eq!(exact["positionSeconds"], 36.5);
    let cluster = exact["positionBytes"].as_u64().expect("a byte") as usize;
    assert_eq!(film.bytes()[cluster..cluster + 4], [0x1f, 0x43, 0xb6, 0x75], "a cluster begins there");
    // What its own player reads meanwhile says less.
    drop(Player::open(&url, &film, 0));
    assert_eq!(watching(&anna)[0]["positionSeconds"], 36.5);
    for (wish, status, code) in [
        (json!({"positionSeconds": 1000}), 422, "out_of_range"),
        (json!({"positionBytes": film.bytes().len() + 1}), 422, "out_of_range"),
        (json!({"positionSeconds": -1}), 422, "out_of_range"),
        (json!({"finished": false}), 400, "bad_request"),
        (json!({"finished": true, "positionSeconds": 1}), 400, "bad_request"),
        (json!({}), 400, "bad_request"),
        (json!({"position": 1}), 400, "bad_request"),
    ] {
        assert_eq!(anna.put(&place(&film, 0), &wish).problem(), (status, code.to_owned()), "{wish}");
    }
    assert_eq!(
        anna.put(&place(&film, 7), &json!({"finished": true})).problem(),
        (404, "no_such_file".to_owned())
    );
    let no_number = anna.put(&format!("/api/watching/{}/x", film.hash), &json!({"finished": true})).problem();
    assert_eq!(no_number, (400, "bad_request".to_owned()));
    assert_eq!(watching(&bob), Vec::<Value>::new());
    assert_eq!(bob.delete(&place(&film, 0)).problem(), (404, "not_watched".to_owned()));
    assert_eq!(anna.delete(&place(&film, 0)).status, 204);
    assert_eq!(anna.delete(&place(&film, 0)).problem(), (404, "not_watched".to_owned()));
    assert_eq!(watching(&anna), Vec::<Value>::new());
    assert!(anna.start(&film).value()["resumeSeconds"].is_null());
    daemon.end();
}

#[test]
fn a_series_goes_on_with_its_next_episode() {
    let film = series();
    let seeder = film.seeder("127.0.13.4");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let session = anna.stream(&film);
    assert_eq!((&session["file"], &session["resumeBytes"]), (&json!(4), &Value::Null), "the largest video");
    anna.put(&place(&film, 1), &json!({"positionBytes": 100_000})).value();
    let session = anna.start(&film).value();
    assert_eq!((&session["file"], &session["resumeBytes"]), (&json!(1), &json!(100_000)));
    let said = anna.put(&place(&film, 1), &json!({"finished": true})).value();
    assert_eq!((&said["nextFile"], &said["nextPath"]), (&json!(2), &json!("Some Show/Some.Show.S02E01.mkv")));
    assert!(said["positionBytes"].is_null() && said["progress"] == 1.0, "{said}");
    assert_eq!(watching(&anna), [said]);
    let session = anna.start(&film).value();
    assert_eq!(
        (&session["file"], &session["resumeBytes"]),
        (&json!(2), &Value::Null),
        "into the next season"
    );
    // A player that asks for bytes again and again isn't moved on to another file.
    let bytes = || anna.ask("GET", &format!("/api/stream/{}", film.hash)).range(0, 99).send();
    assert_eq!(bytes().bytes(), film.bytes()[MIB / 2..MIB / 2 + 100]);
    anna.put(&place(&film, 2), &json!({"finished": true})).value();
    assert_eq!(bytes().bytes(), film.bytes()[MIB / 2..MIB / 2 + 100]);
    // After the last one there is nothing to go on with.
    anna.put(&place(&film, 4), &json!({"finished": true})).value();
    assert_eq!(watching(&anna), Vec::<Value>::new());
    daemon.end();
}

/// A player that was sent all there is holds it, and plays on.
#[test]
fn an_episode_that_is_watched_to_its_credits_is_finished_and_the_next_one_comes() {
    let clock = sample(CLOCK);
    let length = clock.len();
    let film = Film::folder(
        "Show",
        vec![("Show.S01E01.mkv".to_owned(), clock), ("Show.S01E02.mkv".to_owned(), film_bytes(6, MIB / 4))],
    );
    let seeder = film.seeder("127.0.13.9");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    anna.wait_status(&film, "a duration", |status| !status["durationSeconds"].is_null());
    let from = length / 100 * 58;
    assert!(
        Ask::get(&url).range(from, length - 1).send().bytes() == film.bytes()[from..length],
        "the film differs"
    );
    let entry =
        wait_for("it is finished", || watching(&anna).pop().filter(|entry| entry["finished"] == true));
    assert_eq!((&entry["nextFile"], &entry["positionSeconds"]), (&json!(1), &Value::Null));
    assert_eq!(anna.start(&film).value()["file"], 1);
    daemon.end();
}

#[test]
fn a_daemon_that_is_to_remember_nothing_does_not() {
    let film = series();
    let daemon = Options::default().arg(&["--analytics-retention", "0"]).start();
    let anna = daemon.viewer("anna");
    anna.parse(&film);
    assert_eq!(
        anna.put(&place(&film, 0), &json!({"finished": true})).problem(),
        (409, "conflict".to_owned())
    );
    assert_eq!(watching(&anna), Vec::<Value>::new());
    daemon.end();
}

#[test]
fn a_playlist_is_of_all_or_of_one_season_and_names_subtitles() {
    let mut files: Vec<(String, Vec<u8>)> =
        ["Some.Show.S01E01.mkv", "Some.Show.S02E02.mkv", "Some.Show.S02E01.mkv"]
            .into_iter()
            .zip(1..)
            .map(|(name, seed)| (name.to_owned(), film_bytes(seed, MIB / 4)))
            .collect();
    let subtitle = b"1\n00:00:01,000 --> 00:00:02,000\nHello.\n".to_vec();
    files.push(("Some.Show.S02E01.en.srt".to_owned(), subtitle.clone()));
    files.push(("Some.Show.S02E01.#1.de.ass".to_owned(), b"[Script Info]\n".to_vec()));
    let film = Film::folder("Some Show", files);
    let seeder = film.seeder("127.0.13.5");
    let daemon = Options::default().peers(&[&seeder]).start();
    let session = daemon.viewer("anna").stream(&film);
    let list = |url: &str| String::from_utf8(Ask::get(url).send().bytes()).expect("text");
    let titles = |list: &str| -> Vec<String> {
        list.lines().filter_map(|line| line.strip_prefix("#EXTINF:-1,")).map(str::to_owned).collect()
    };
    let all = session["playlistUrl"].as_str().expect("a URL");
    assert_eq!(titles(&list(all)), ["Some Show S01E01", "Some Show S02E01", "Some Show S02E02"]);
    let seasons = session["seasons"].as_array().expect("a list");
    let told: Vec<_> = seasons.iter().map(|one| (one["season"].as_u64(), one["episodes"].as_u64())).collect();
    assert_eq!(told, [(Some(1), Some(1)), (Some(2), Some(2))]);
    let second = list(seasons[1]["playlistUrl"].as_str().expect("a URL"));
    assert_eq!(titles(&second), ["Some Show S02E01", "Some Show S02E02"]);
    let urls =
        second.lines().find_map(|line| line.strip_prefix("#EXTVLCOPT:input-slave=")).expect("subtitles");
    assert_eq!(second.matches("input-slave").count(), 1, "the other film has none: {second}");
    let urls: Vec<&str> = urls.split('#').collect();
    assert_eq!(urls.len(), 2, "a name splits no list: {urls:?}");
    assert!(urls.iter().any(|url| Ask::get(url).send().bytes() == subtitle), "whole URLs: {urls:?}");
    for wrong in ["season=7", "season=two"] {
        let refused = Ask::get(&format!("{all}?{wrong}")).send().problem();
        assert_eq!(refused, (422, "media_unreadable".to_owned()), "{wrong}");
    }
    daemon.end();
}

/// VLC takes the list for one, goes from film to film, and minds no subtitles.
#[test]
fn vlc_plays_a_playlist_through() {
    let clock = sample(CLOCK);
    let second = clock.len();
    let film = Film::folder(
        "Show",
        vec![
            ("Show.S01E01.mkv".to_owned(), clock),
            ("Show.S01E02.mp4".to_owned(), sample("Afflux Test Card (2026) 360p.mp4")),
            ("Show.S01E01.en.srt".to_owned(), b"1\n00:00:00,000 --> 00:00:02,000\nHello.\n".to_vec()),
        ],
    );
    let seeder = film.seeder("127.0.13.8");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let session = anna.stream(&film);
    let home = daemon.scratch.folder("vlc-home");
    let mut command = Command::new(tool("setpriv", "util-linux"));
    // VLC refuses to run as root.
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"])
        .arg(format!("HOME={}", home.display()))
        .arg(format!("XDG_RUNTIME_DIR={}", home.display()))
        .arg(tool("cvlc", "vlc-bin vlc-plugin-base"))
        .args([
            "--vout=vdummy",
            "--aout=adummy",
            "--no-dbus",
            "--no-lua",
            "--verbose=0",
            "--run-time=2",
            "--play-and-exit",
        ])
        .arg(session["playlistUrl"].as_str().expect("a URL"));
    let mut vlc = Process::start(&daemon.scratch, "vlc", &mut command);
    vlc.succeed();
    // Each request is in the daemon's log when it is over.
    for name in ["Show.S01E01.mkv", "Show.S01E02.mp4"] {
        wait_for(&format!("VLC has read {name}"), || {
            let log = daemon.process.stderr();
            log.lines().any(|line| line.contains("afflux::access") && line.contains(name)).then_some(())
        });
    }
    assert!(seeder.has_given(second / 8, second / 4), "the first film wasn't played: {}", vlc.stderr());
    daemon.end();
}

#[test]
fn small_subtitles_are_asked_for_before_film_bytes_that_nobody_waits_for() {
    let text = |seed| {
        let line = format!("1\n00:00:01,000 --> 00:00:02,000\n{seed}\n\n");
        line.repeat(100_000 / line.len()).into_bytes()
    };
    let length = 12 * MIB;
    let film = Film::folder(
        "Some Film 2024",
        vec![
            ("Some.Film.2024.mkv".to_owned(), film_bytes(50, length)),
            ("Another.Film.2020.mkv".to_owned(), film_bytes(51, 2 * MIB)),
            ("Some.Film.2024.en.srt".to_owned(), text(1)),
            ("Some.Film.2024.de.srt".to_owned(), text(2)),
            ("Another.Film.2020.en.srt".to_owned(), text(3)),
        ],
    );
    let (subtitles, other) = (14 * MIB..14 * MIB + 199_000, 14 * MIB + 4 * PIECE_LENGTH..film.bytes().len());
    let seeder = film.slow_seeder("127.0.13.6", 2 * MIB);
    let daemon = Options::default().peers(&[&seeder]).arg(&["--storage", "disk"]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    // What players read first, the head and the tail, is got ready too.
    let is_read_ahead = |at: usize| (2 * MIB..length - MIB).contains(&at);
    let order = wait_for("the rest of the film is asked for", || {
        let order = seeder.order();
        order.iter().any(|&at| is_read_ahead(at)).then_some(order)
    });
    let first = order.iter().position(|&at| is_read_ahead(at)).expect("it was");
    let blocks = order[..first].iter().filter(|at| subtitles.contains(at)).count();
    assert!(blocks >= 199_000 / 16_384, "{blocks} blocks of subtitles came first: {order:?}");
    assert!(!order[..first].iter().any(|at| other.contains(at)), "the other film's are its own: {order:?}");
    assert!(Ask::get(&url).send().bytes() == film.bytes()[..length], "the film differs");
    daemon.end();
}

#[test]
fn subtitles_come_on_a_link_that_is_too_slow_for_the_film_and_stay_in_memory_with_it() {
    let line = b"1\n00:00:01,000 --> 00:00:02,000\nHello.\n\n";
    let length = 10 * MIB;
    let film = Film::folder(
        "Some Film 2024",
        vec![
            ("Some.Film.2024.mkv".to_owned(), film_bytes(52, length)),
            ("Some.Film.2024.en.srt".to_owned(), line.repeat(2000)),
        ],
    );
    let seeder = film.slow_seeder("127.0.13.7", MIB);
    let daemon = Options::default().peers(&[&seeder]).env("STREAM_CACHE_SIZE", "6291456").start();
    let anna = daemon.viewer("anna");
    let session = anna.stream(&film);
    let mut player = Ask::get(session["url"].as_str().expect("a URL")).send();
    let mut read = 0;
    wait_for("subtitles that nobody asked for", || {
        assert!(player.next(16_384) == film.bytes()[read..read + 16_384], "the film differs");
        read += 16_384;
        seeder.has_given(length + 16_384, film.bytes().len()).then_some(())
    });
    assert!(player.bytes() == film.bytes()[read..length], "the film differs");
    let asked = seeder.asked();
    let subtitle = session["subtitles"][0]["url"].as_str().expect("a URL");
    assert!(Ask::get(subtitle).send().bytes() == line.repeat(2000), "the subtitle differs");
    assert_eq!(seeder.asked(), asked, "it was there, though more than memory holds was played since");
    let status = anna.status(&film);
    assert_eq!(status["file"], 0, "who reads a subtitle is at the film: {status}");
    daemon.end();
}
