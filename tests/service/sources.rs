//! How torrents are named: every form gives the same torrent, and what is none gets a sentence.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB};
use crate::harness::{Scratch, wait_for};
use crate::http::{Answer, Ask};
use crate::meeting::Meeting;
use crate::web::{Page, Web};

const BITTORRENT: &str = "application/x-bittorrent";
const PARSE: &str = "/api/torrents/parse";
const CONVERT: &str = "/api/torrents/convert";

/// A form with one field, as browsers send it.
fn form(person: &Person, field: &str, value: &[u8]) -> Ask {
    let head = format!("--edge\r\nContent-Disposition: form-data; {field}\r\n\r\n");
    let body = [head.as_bytes(), value, b"\r\n--edge--\r\n"].concat();
    person.ask("POST", PARSE).body("multipart/form-data; boundary=edge", &body)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_torrent_can_be_named_in_every_form() {
    let film = Film::new(1, MIB);
    let scratch = Scratch::new();
    let (_seeder, peer) = film.real_seeder(&scratch, &[]);
    let torrent = film.torrent.clone();
    let web = Web::start(move |path| match path {
        "/film.torrent" => Page::Bytes(torrent.clone()),
        "/moved" => Page::Redirect("/film.torrent".to_owned()),
        _ => Page::Missing,
    });
    let daemon = Options::default().arg(&["--allow-local-addresses", "--peer", &peer]).start();
    // Each form by another user, who doesn't know the torrent yet.
    let says = |user: &str, ask: &dyn Fn(&Person) -> Ask| ask(&daemon.viewer(user)).send().value();
    let json = |body: Value| move |person: &Person| person.ask("POST", PARSE).json(&body);
    let named = [
        says("magnet", &json(json!({"magnet": film.magnet()}))),
        says("hash", &json(json!({"magnet": film.hash.to_uppercase()}))),
        says("base64", &json(json!({"torrent": base64(&film.torrent)}))),
        says("url", &json(json!({"url": web.url("/film.torrent")}))),
        says("redirect", &json(json!({"url": web.url("/moved")}))),
        says("bytes", &|person| person.ask("POST", PARSE).body(BITTORRENT, &film.torrent)),
        says("file", &|person| form(person, "name=\"f\"; filename=\"a.torrent\"", &film.torrent)),
        says("field", &|person| form(person, "name=\"magnet\"", film.magnet().as_bytes())),
    ];
    for info in &named {
        assert_eq!(*info, named[0], "each form says the same");
        assert_eq!(info["infoHash"], film.hash);
        assert_eq!((&info["totalSize"], &info["pieceCount"]), (&json!(MIB), &json!(16)));
        assert_eq!(
            (&info["files"][0]["path"], &info["files"][0]["kind"]),
            (&json!("film 1.mkv"), &json!("video"))
        );
    }
    let bare = daemon.viewer("bare").post(&format!("{PARSE}?fetch=false"), &json!({"magnet": film.magnet()}));
    let bare = bare.value();
    assert_eq!(
        (&bare["infoHash"], &bare["totalSize"]),
        (&json!(film.hash), &Value::Null),
        "nobody was asked"
    );
    daemon.end();
}

#[test]
fn a_magnet_becomes_a_torrent_file_of_the_same_hash() {
    let film = Film::new(2, MIB);
    let scratch = Scratch::new();
    let (_seeder, peer) = film.real_seeder(&scratch, &[]);
    let daemon = Options::default().arg(&["--peer", &peer]).start();
    let anna = daemon.viewer("anna");
    let magnet = format!("{}&tr=http%3A%2F%2Ftracker.example%2Fannounce", film.magnet());
    let ask = anna.ask("POST", CONVERT).json(&json!({"magnet": magnet}));
    let file = ask.clone().header("Accept", BITTORRENT).send();
    assert_eq!((file.status, file.header("content-type")), (200, Some(BITTORRENT)));
    let file = file.bytes();
    let info = &film.torrent[b"d4:info".len()..film.torrent.len() - 1];
    assert!(
        file.windows(info.len()).any(|part| part == info),
        "the metadata byte for byte: its hash depends on it"
    );

    let told = ask.send().value();
    assert_eq!((&told["infoHash"], &told["torrent"]), (&json!(film.hash), &json!(base64(&file))));
    let again = daemon.viewer("bob").ask("POST", PARSE).body(BITTORRENT, &file).send().value();
    assert_eq!(again["infoHash"], film.hash);
    assert_eq!(again["trackers"], json!(["http://tracker.example/announce"]));
    daemon.end();
}

#[test]
fn who_asks_for_the_same_magnet_meanwhile_waits_for_the_same() {
    let film = Film::new(3, MIB);
    let scratch = Scratch::new();
    let meeting = Meeting::start();
    let daemon = meeting.options().start();
    let names = ["anna", "anna", "bob", "cleo"];
    let (_seeder, told) = std::thread::scope(|scope| {
        let asked = names.map(|name| {
            let person = daemon.viewer(name);
            let magnet = film.magnet();
            scope.spawn(move || person.post(PARSE, &json!({"magnet": magnet})).value())
        });
        // Only now somebody comes who has it.
        let port = meeting.daemon_port(&film);
        let seeder = film.real_seeder(&scratch, &["--peer", &format!("127.0.0.1:{port}")]);
        (seeder, asked.map(|thread| thread.join().expect("an answer")))
    });
    assert!(told.iter().all(|info| info["infoHash"] == film.hash && *info == told[0]), "{told:?}");
    let listed = daemon.viewer("anna").get("/api/torrents").value();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["peers"]["connected"], 1, "one torrent, one connection: {listed}");
    daemon.end();
}

#[test]
fn what_is_no_torrent_is_refused_with_a_reason() {
    let web = Web::start(|path| match path {
        "/page" => Page::Bytes(b"<html>no torrent</html>".to_vec()),
        "/round" => Page::Redirect("/round".to_owned()),
        _ => Page::Missing,
    });
    let daemon = Options::default().arg(&["--allow-local-addresses"]).env("TORRENT_TIMEOUT", "300").start();
    let anna = daemon.viewer("anna");
    let magnet = Film::new(4, MIB).magnet();
    let long = format!("{magnet}&dn={}", "x".repeat(100_000));
    for (body, expected) in [
        (json!({}), (400, "bad_request")),
        (json!([]), (400, "bad_request")),
        (json!({"magnet": magnet, "url": "http://example.org/"}), (400, "bad_request")),
        (json!({"magnet": 5}), (400, "bad_request")),
        (json!({"nothing": "x"}), (400, "bad_request")),
        (json!({"torrent": "no base64!"}), (422, "bad_source")),
        (json!({"torrent": base64(b"d4:infodee")}), (422, "bad_source")),
        (json!({"torrent": ""}), (422, "bad_source")),
        (json!({"magnet": ""}), (422, "bad_source")),
        (json!({"magnet": "magnet:?xt=urn:btih:12"}), (422, "bad_source")),
        (json!({"magnet": "/etc/passwd"}), (422, "bad_source")),
        (json!({"magnet": long}), (422, "bad_source")),
        (json!({"url": "file:///etc/passwd"}), (422, "bad_source")),
        (json!({"url": "no url"}), (422, "bad_source")),
        (json!({"url": web.url("/page")}), (422, "bad_source")),
        (json!({"url": web.url("/missing")}), (502, "fetch_failed")),
        (json!({"url": web.url("/round")}), (502, "fetch_failed")),
        (json!({"magnet": magnet}), (504, "no_metadata")),
    ] {
        let answer = anna.post(PARSE, &body).problem();
        assert_eq!((answer.0, answer.1.as_str()), expected, "{:.100}", body.to_string());
    }
    let refused = |ask: Ask| ask.send().problem();
    let unsupported = (415, "unsupported_media_type".to_owned());
    assert_eq!(refused(anna.ask("POST", PARSE).body("text/plain", b"x")), unsupported);
    assert_eq!(refused(anna.ask("POST", PARSE)), unsupported, "no type at all");
    let bad = (400, "bad_request".to_owned());
    assert_eq!(refused(anna.ask("POST", PARSE).body("application/json", b"{")), bad);
    assert_eq!(refused(form(&anna, "name=\"other\"", b"x")), bad);
    assert_eq!(refused(anna.ask("POST", PARSE).body("multipart/form-data", b"x")), bad, "no boundary");
    assert_eq!(anna.post(&format!("{PARSE}?fetch=maybe"), &json!({"magnet": magnet})).problem(), bad);
    assert_eq!(anna.get("/api/torrents").value(), json!([]), "none of it is remembered");
    daemon.end();
}

#[test]
fn a_torrent_that_is_let_go_is_unknown_again() {
    let film = Film::new(5, MIB);
    let daemon = Daemon::new();
    let anna = daemon.viewer("anna");
    let place = format!("/api/torrents/{}", film.hash);
    let info = || anna.get(&format!("{place}/info"));
    let gone = |answer: Answer| assert_eq!(answer.problem(), (404, "unknown_torrent".to_owned()));
    gone(info());
    gone(anna.delete(&place));
    anna.parse(&film);
    assert_eq!(info().value()["name"], "film 5.mkv");
    let listed = anna.get("/api/torrents").value();
    assert_eq!((&listed[0]["infoHash"], &listed[0]["name"]), (&json!(film.hash), &json!("film 5.mkv")));
    assert_eq!(anna.delete(&place).status, 204);
    gone(info());
    assert_eq!(anna.get("/api/torrents").value(), json!([]));
    assert_eq!(anna.get("/api/torrents/nohash/info").problem(), (400, "bad_hash".to_owned()));
    daemon.end();
}

/// What the sentence of a failed magnet advises has to help at once.
#[test]
fn a_torrent_file_helps_whoever_waits_for_a_magnet_in_vain() {
    let film = Film::new(6, MIB);
    // It gives no metadata.
    let seeder = film.seeder("127.0.9.1");
    let daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let session = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| anna.start(&film).value());
        let place = format!("/api/stream/{}/status", film.hash);
        wait_for("the session begins", || (anna.get(&place).status == 200).then_some(()));
        bob.stream(&film);
        waiting.join().expect("a session")
    });
    assert!(
        Ask::get(session["url"].as_str().expect("a URL")).send().bytes() == film.bytes(),
        "the film differs"
    );
    daemon.end();
}

/// The torrent is known, and nobody it knows has it any more: what people paste then is a link with other trackers.
#[test]
fn a_link_with_a_tracker_helps_a_stream_whose_torrent_has_no_peers() {
    let film = Film::new(8, MIB);
    let scratch = Scratch::new();
    let meeting = Meeting::start();
    let mut daemon = Options::default().arg(&["--allow-local-addresses"]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let _seeder = film.real_seeder(&scratch, &["--allow-local-addresses", "--tracker", &meeting.url()]);
    let body = std::thread::scope(|scope| {
        let player = scope.spawn(|| Ask::get(&url).send().bytes());
        let better = json!({"magnet": format!("{}&tr={}", film.magnet(), meeting.url())});
        assert_eq!(anna.post(PARSE, &better).status, 200);
        player.join().expect("the film")
    });
    assert!(body == film.bytes(), "the film differs");
    // It is remembered, too.
    daemon.restart("TERM");
    let trackers = anna.get(&format!("/api/torrents/{}/info", film.hash)).value()["trackers"].clone();
    assert!(trackers.to_string().contains(&meeting.url()), "{trackers}");
}

#[test]
fn a_link_with_a_tracker_helps_whoever_came_with_a_bare_one() {
    let film = Film::new(7, MIB);
    let scratch = Scratch::new();
    let meeting = Meeting::start();
    let daemon = Options::default().arg(&["--allow-local-addresses"]).env("TORRENT_TIMEOUT", "500").start();
    let anna = daemon.viewer("anna");
    assert_eq!(anna.post(PARSE, &json!({"magnet": film.magnet()})).problem().0, 504);
    let _seeder = film.real_seeder(&scratch, &["--allow-local-addresses", "--tracker", &meeting.url()]);
    let better = json!({"magnet": format!("{}&tr={}", film.magnet(), meeting.url())});
    wait_for("the tracker's peer gives the metadata", || {
        (anna.post(PARSE, &better).status == 200).then_some(())
    });
    daemon.end();
}
