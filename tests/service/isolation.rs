//! What is somebody else's isn't there: two users and one admin against every route of the table.

use afflux::api::routes::{self, Access};
use afflux::auth::Scope;
use serde_json::{Value, json};

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB};
use crate::harness::wait_for;
use crate::http::Ask;

/// What a user gets who asks for a torrent or stream of somebody else's.
enum Row {
    /// It's the same for everybody, and tells of nobody.
    Anybody,
    /// As if it weren't there, with this code.
    Missing(&'static str),
    /// A list without it; the admin's has it.
    NotListed,
    /// It brings something of one's own, beside the other's.
    OwnThing,
    /// A list of one's own, which not even an admin sees.
    Own,
    /// Nothing but what becomes of one's own: another test listens.
    Listening,
    /// For admins.
    Refused,
}

/// The matrix: each route of the table has its row, by what the second user gets there.
fn row(method: &str, path: &str) -> Option<Row> {
    Some(match (method, path) {
        ("GET", "/healthz" | "/openapi.json") => Row::Anybody,
        ("POST", "/api/torrents/parse" | "/api/torrents/convert") => Row::OwnThing,
        ("GET", "/api/torrents/{hash}/info") => Row::Missing("unknown_torrent"),
        ("PATCH" | "DELETE", "/api/torrents/{hash}") => Row::Missing("unknown_torrent"),
        ("GET", "/api/torrents" | "/api/stream") => Row::NotListed,
        ("GET", "/api/stream/{hash}") => Row::OwnThing,
        ("DELETE", "/api/stream/{hash}") => Row::Missing("no_stream"),
        (
            "GET",
            "/api/stream/{hash}/status"
            | "/api/stream/{hash}/trace"
            | "/api/stream/{hash}/subtitles"
            | "/api/stream/{hash}/opensubtitles",
        ) => Row::Missing("no_stream"),
        ("POST", "/api/stream/{hash}/seek" | "/api/stream/{hash}/pause" | "/api/stream/{hash}/resume") => {
            Row::Missing("no_stream")
        }
        ("GET", "/api/watching") => Row::Own,
        ("PUT", "/api/watching/{hash}/{file}") => Row::Missing("unknown_torrent"),
        ("DELETE", "/api/watching/{hash}/{file}") => Row::Missing("not_watched"),
        ("GET", "/api/analytics") => Row::NotListed,
        ("GET", "/metrics") => Row::Refused,
        ("GET", "/api/events") => Row::Listening,
        ("GET", "/api/downloads") => Row::NotListed,
        ("POST", "/api/downloads") => Row::OwnThing,
        (
            "GET" | "PATCH" | "DELETE" | "POST",
            "/api/downloads/{hash}" | "/api/downloads/{hash}/pause" | "/api/downloads/{hash}/resume",
        ) => Row::Missing("no_download"),
        ("GET" | "PATCH", "/api/limits") => Row::Refused,
        ("GET", "/api/users") | ("PATCH", "/api/users/{name}") | ("POST", "/api/revocations") => Row::Refused,
        _ => return None,
    })
}

/// Said of a new route.
const NO_ROW: &str = "this route has no row in the matrix. Think of what a user may learn there of another's torrents and streams, \
     then add the route to `row()` in tests/service/isolation.rs with the answer (and a body to `body()`, if it takes one)";

/// A body that each route takes.
fn body(path: &str, film: &Film) -> Value {
    match path.rsplit('/').next() {
        Some("{hash}") if path.starts_with("/api/downloads") => json!({"sequential": true}),
        Some("{file}") => json!({"positionBytes": 1000}),
        Some("seek") => json!({"fraction": 0.5}),
        Some("parse" | "convert") => json!({"magnet": film.magnet()}),
        Some("revocations") => json!({"id": "ab".repeat(32)}),
        Some("{name}") => json!({"disabled": true}),
        Some("{hash}") => json!({"strategy": "sequential"}),
        _ => json!({}),
    }
}

#[test]
fn what_is_anothers_is_not_there_on_any_route() {
    let film = Film::new(1, 2 * MIB);
    let seeder = film.seeder("127.0.3.1");
    let daemon = Options::default().peers(&[&seeder]).env("TORRENT_TIMEOUT", "2000").start();
    let (anna, bob, admin) = (daemon.viewer("anna"), daemon.viewer("bob"), daemon.admin());
    let session = anna.stream(&film)["sessionId"].clone();
    anna.post("/api/downloads", &json!({"magnet": film.magnet()})).value();
    anna.put(&format!("/api/watching/{}/0", film.hash), &json!({"positionBytes": MIB})).value();
    let has_it = |listed: &Value| listed.to_string().contains(&film.hash);
    for route in routes::list() {
        let (method, path) = (route.method.as_str(), route.path.as_str());
        let row = row(method, path).unwrap_or_else(|| panic!("{method} {path}: {NO_ROW}"));
        let place = path.replace("{hash}", &film.hash).replace("{name}", "anna").replace("{file}", "0");
        let ask = |person: &Person| match method {
            "GET" | "DELETE" => person.ask(method, &place),
            _ => person.ask(method, &place).json(&body(path, &film)),
        };
        match row {
            Row::Anybody => {
                let answer = Ask::get(&daemon.url(path)).send();
                assert_eq!(route.access, Access::Open, "{path}");
                assert!(!String::from_utf8_lossy(&answer.bytes()).contains(&film.hash));
            }
            Row::Missing(code) => {
                assert_eq!(ask(&bob).send().problem(), (404, code.to_owned()), "{method} {path}");
            }
            Row::NotListed => {
                assert!(has_it(&ask(&anna).send().value()), "{method} {path}: one's own");
                assert!(!has_it(&ask(&bob).send().value()), "{method} {path}: another's");
                assert!(has_it(&ask(&admin).send().value()), "{method} {path}: the admin sees all");
            }
            Row::Own => {
                assert!(has_it(&ask(&anna).send().value()), "{method} {path}: one's own");
                assert!(
                    ![&bob, &admin].iter().any(|other| has_it(&ask(other).send().value())),
                    "{method} {path}"
                );
            }
            Row::Refused => {
                assert_eq!(route.access, Access::Scope(Scope::Admin));
                assert_eq!(ask(&bob).send().problem().0, 403, "{method} {path}");
            }
            // What they bring would make the torrent bob's own: after all others.
            Row::OwnThing | Row::Listening => {}
        }
    }
    assert_eq!(anna.status(&film)["sessionId"], session, "nothing of it touched her session");

    let admins = |path: &str| admin.get(path).value();
    assert_eq!(admins(&format!("/api/torrents/{}/info", film.hash))["totalSize"], film.bytes().len());
    let own = bob.stream(&film);
    assert_ne!(own["sessionId"], session, "the same torrent, another session");
    assert!(has_it(&bob.get("/api/torrents").value()));
    daemon.end();
}

#[test]
fn two_users_of_one_torrent_share_its_pieces_and_nothing_else() {
    let film = Film::new(2, 4 * MIB);
    let seeder = film.seeder("127.0.3.2");
    let daemon = Options::default().peers(&[&seeder]).start();
    let people = [daemon.viewer("anna"), daemon.viewer("bob")];
    let urls = people.each_ref().map(|person| person.watch(&film));
    std::thread::scope(|scope| {
        for url in &urls {
            scope.spawn(|| assert!(Ask::get(url).send().bytes() == film.bytes(), "the film differs"));
        }
    });
    let given = seeder.given_bytes();
    assert!(given <= film.bytes().len() + MIB / 2, "{given} bytes were fetched for {}", film.bytes().len());
    for person in &people {
        let listed = person.get("/api/stream").value();
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(listed[0]["bytesServed"], film.bytes().len(), "each is counted alone");
    }
    daemon.end();
}

#[test]
fn the_end_of_ones_session_leaves_the_others_stream_playing() {
    let film = Film::new(3, 4 * MIB);
    let seeder = film.slow_seeder("127.0.3.3", 2 * MIB);
    let daemon = Options::default().peers(&[&seeder]).arg(&["--torrent-grace", "0s"]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    let (mine, theirs) = (anna.watch(&film), bob.watch(&film));
    let (mut ending, mut staying) = (Ask::get(&mine).send(), Ask::get(&theirs).send());
    let first = 200_000;
    assert!(ending.next(first) == film.bytes()[..first] && staying.next(first) == film.bytes()[..first]);
    let in_use = anna.delete(&format!("/api/torrents/{}", film.hash)).problem();
    assert_eq!(in_use, (409, "in_use".to_owned()), "others stream it");
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    assert!(first + ending.until_cut().len() < film.bytes().len(), "an ended session's stream went on");
    assert!(matches!(Ask::get(&mine).send().status, 404 | 410));
    assert!(staying.bytes() == film.bytes()[first..], "the other's film differs");
    assert!(Ask::get(&theirs).range(5, 9).send().bytes() == film.bytes()[5..10]);
    daemon.end();
}

#[test]
fn events_are_heard_by_their_user_and_by_admins_who_ask() {
    let film = Film::new(4, MIB);
    let seeder = film.seeder("127.0.3.4");
    let daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob, admin) = (daemon.viewer("anna"), daemon.viewer("bob"), daemon.admin());
    assert_eq!(bob.get("/api/events?all=true").problem(), (403, "forbidden".to_owned()));
    let mut hears = listen(&anna, "");
    let mut deaf = listen(&bob, "");
    let mut all = listen(&admin, "?all=true");
    assert!(Ask::get(&anna.watch(&film)).send().bytes() == film.bytes());
    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    for heard in [&mut hears, &mut all] {
        wait_for("the end of the stream is told", || heard.until("\"streamEnded\"").then_some(()));
    }
    // An event of bob's own comes after all of anna's.
    assert!(Ask::get(&bob.watch(&film)).send().bytes() == film.bytes());
    assert_eq!(bob.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    wait_for("bob's own end is told", || deaf.until("\"streamEnded\"").then_some(()));
    let own = deaf.text.matches("\"streamEnded\"").count();
    assert_eq!(own, 1, "bob hears of his stream alone: {}", deaf.text);
    daemon.end();
}

/// A line of events, and what was heard so far.
pub(crate) struct Heard {
    answer: crate::http::Answer,
    pub(crate) text: String,
}

pub(crate) fn listen(person: &Person, query: &str) -> Heard {
    let answer = person.get(&format!("/api/events{query}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    Heard { answer, text: String::new() }
}

impl Heard {
    /// Reads on until this was heard; false: the line ended.
    pub(crate) fn until(&mut self, what: &str) -> bool {
        use std::io::Read;
        let mut buffer = [0; 4096];
        while !self.text.contains(what) {
            match self.answer.read(&mut buffer) {
                Ok(count @ 1..) => self.text.push_str(&String::from_utf8_lossy(&buffer[..count])),
                _ => return false,
            }
        }
        true
    }

    /// The events in order: name and data.
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        let blocks = self.text.split("\n\n");
        let field = |block: &str, name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()))
        };
        blocks
            .filter_map(|block| {
                let data = serde_json::from_str(&field(block, "data:")?).expect("JSON");
                Some((field(block, "event:")?, data))
            })
            .collect()
    }
}

#[test]
fn a_daemon_without_accounts_belongs_to_whoever_is_there() {
    let film = Film::new(5, MIB);
    let seeder = film.seeder("127.0.3.5");
    let daemon = Options::default().peers(&[&seeder]).env("STREAM_AUTH_REQUIRED", "false").start();
    let anybody = daemon.bearer("nonsense");
    assert!(Ask::get(&anybody.watch(&film)).send().bytes() == film.bytes());
    assert_eq!(Ask::get(&daemon.url("/api/users")).send().status, 200);
    // But for pages of other sites.
    let forged =
        Ask::new("POST", &daemon.url("/api/torrents/parse")).header("Origin", "https://evil.example");
    let forged = forged.body("application/x-bittorrent", &film.torrent).send();
    assert_eq!(forged.problem(), (403, "origin_refused".to_owned()));
    daemon.end();
}

#[test]
fn accounts_cannot_be_left_off_where_others_can_reach_the_daemon() {
    let daemon = Daemon::new();
    let mut refused = crate::harness::afflux::Afflux::new(&daemon.scratch, "open")
        .args(["serve", "--listen", "0.0.0.0:0", "--bind", "127.0.0.1", "--no-dht", "--peer-port", "0"])
        .env("STREAM_AUTH_REQUIRED", "false")
        .start();
    assert_eq!(refused.wait().code(), Some(2));
    assert!(refused.stderr().contains("--insecure"), "{}", refused.stderr());
}
