//! What pretends to be a film, and what would make the daemon knock at doors that aren't the user's to open.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB, film_bytes};
use crate::harness::payload::noise;
use crate::harness::wait_for;
use crate::http::Ask;
use crate::isolation::listen;
use crate::web::{Page, Web};
use crate::wire::Seeder;

const BLOCKED: &str = "content_blocked";

/// Bytes that begin as programs for Windows do.
fn program_bytes() -> Vec<u8> {
    let mut bytes = noise(7, MIB);
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c..0x40].copy_from_slice(&0x80_u32.to_le_bytes());
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes
}

/// A daemon with this policy, a film's peer, and somebody who watches.
fn setting(film: &Film, ip: &str, policy: &str) -> (Daemon, Person, Seeder) {
    let seeder = film.seeder(ip);
    let daemon = Options::default().peers(&[&seeder]).arg(&["--content-policy", policy]).start();
    let anna = daemon.viewer("anna");
    (daemon, anna, seeder)
}

#[test]
fn a_name_that_is_a_trap_is_blocked_before_a_byte_is_fetched() {
    for (nth, name) in (1..).zip(["film.mkv.exe", "film.mp4      .scr", "film\u{202e}vkm.exe"]) {
        let film = Film::named(name, film_bytes(nth, MIB));
        let (daemon, anna, seeder) = setting(&film, &format!("127.0.8.{nth}"), "block");
        let info = anna.parse(&film);
        assert_eq!(info["files"][0]["verdict"], "block", "{info}");
        assert!(info["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()), "{info}");
        for ask in [
            anna.ask("GET", &format!("/api/stream/{}?file=0", film.hash))
                .header("Accept", "application/json"),
            anna.ask("GET", &format!("/api/stream/{}?file=0", film.hash)),
        ] {
            assert_eq!(ask.send().problem(), (403, BLOCKED.to_owned()), "{name}");
        }
        assert_eq!(seeder.given_bytes(), 0, "{name}");
        daemon.end();
    }
}

#[test]
fn signs_that_turn_text_around_are_taken_out_of_names() {
    let film = Film::named("a film by\u{202e}3pm.mkv", film_bytes(4, MIB));
    let (daemon, anna, _seeder) = setting(&film, "127.0.8.9", "block");
    let info = anna.parse(&film);
    assert!(
        !info["files"].to_string().contains('\u{202e}') && !info["name"].to_string().contains('\u{202e}')
    );
    assert!(info["warnings"].to_string().contains("unsafe"), "{info}");
    assert!(!anna.get("/api/torrents").value().to_string().contains('\u{202e}'));
    let session = anna.stream(&film);
    assert!(!session["url"].as_str().is_some_and(|url| url.contains("%E2%80%AE")), "{session}");
    daemon.end();
}

#[test]
fn a_program_named_as_a_film_is_blocked_when_its_head_is_seen() {
    let film = Film::named("film.mkv", program_bytes());
    let (daemon, anna, _seeder) = setting(&film, "127.0.8.10", "block");
    let mut hears = listen(&anna, "");
    let url = anna.watch(&film);
    let sent = Ask::get(&url).try_send().map_or(0, |answer| match answer.status {
        200 => answer.until_cut().len(),
        _ => 0,
    });
    assert_eq!(sent, 0, "not a byte of it");
    let status = anna.wait_status(&film, "blocked", |status| status["error"]["code"] == "blocked_content");
    assert_eq!(status["state"], "error", "{status}");
    assert!(hears.until("\"blocked_content\""), "{}", hears.text);
    assert_eq!(Ask::get(&url).send().status, 403);
    let again = anna.start(&film);
    let detail = again.status;
    assert_eq!((detail, again.problem().1.as_str()), (403, BLOCKED));
    let by_seek = anna.post(&format!("/api/stream/{}/seek", film.hash), &json!({"bytes": 1000}));
    assert_eq!(by_seek.problem(), (403, BLOCKED.to_owned()), "nor by a seek past its head");
    assert_eq!(Ask::get(&url).range(1000, 2000).send().status, 403, "nor by a range past it");
    daemon.end();
}

#[test]
fn a_blocked_file_is_no_trouble_of_the_film_that_is_watched_instead() {
    let film = Film::folder(
        "Both",
        vec![("fake.mkv".to_owned(), program_bytes()), ("film.mkv".to_owned(), film_bytes(9, 1 << 20))],
    );
    let (daemon, anna, _seeder) = setting(&film, "127.0.8.34", "block");
    let watch = |file: u32| {
        let ask = anna.ask("GET", &format!("/api/stream/{}?file={file}", film.hash));
        ask.header("Accept", "application/json").send()
    };
    anna.parse(&film);
    watch(0);
    anna.wait_status(&film, "blocked", |status| status["error"]["code"] == "blocked_content");
    assert_eq!(watch(1).value()["file"], 1);
    let status = anna.wait_status(&film, "the film", |status| status["error"].is_null());
    assert_ne!(status["state"], "error", "{status}");
    daemon.end();
}

/// A range far from the head waits for the head's judgement all the same.
#[test]
fn no_range_is_served_before_the_head_is_judged() {
    let film = Film::named("film.mp4", program_bytes());
    let (daemon, anna, _seeder) = setting(&film, "127.0.8.11", "block");
    anna.parse(&film);
    let asked =
        anna.ask("GET", &format!("/api/stream/{}", film.hash)).range(MIB / 2, MIB / 2 + 99_999).send();
    let sent = if asked.status == 206 { asked.until_cut().len() } else { 0 };
    assert_eq!(sent, 0);
    daemon.end();
}

#[test]
fn with_the_policy_warn_it_is_said_and_served() {
    let program = Film::named("film.mkv", program_bytes());
    let (daemon, anna, _seeder) = setting(&program, "127.0.8.12", "warn");
    assert!(Ask::get(&anna.watch(&program)).send().bytes() == program.bytes());
    daemon.end();

    let named = Film::named("film.mkv.exe", program_bytes());
    let (daemon, anna, _seeder) = setting(&named, "127.0.8.13", "warn");
    let info = anna.parse(&named);
    assert_eq!(info["files"][0]["verdict"], "block", "{info}");
    let media = anna.get(&format!("/api/stream/{}?file=0", named.hash));
    // Never as something that a browser would run or show.
    let kind = media.header("content-type").unwrap_or_default().to_owned();
    assert_eq!((media.status, media.header("x-content-type-options")), (200, Some("nosniff")), "{kind}");
    assert!(media.bytes() == named.bytes());
    daemon.end();
}

#[test]
fn a_trap_beside_a_film_leaves_the_film_alone() {
    let files = vec![
        ("codec.exe".to_owned(), program_bytes()),
        ("film.mkv".to_owned(), film_bytes(3, MIB / 2)),
        ("page.html".to_owned(), b"<script>alert(1)</script>".to_vec()),
    ];
    let film = Film::folder("Film", files.clone());
    let (daemon, anna, _seeder) = setting(&film, "127.0.8.14", "block");
    let session = anna.stream(&film);
    assert_eq!(session["file"], 1, "the film is the main file, though the program is larger");
    assert!(Ask::get(session["url"].as_str().expect("a URL")).send().bytes() == files[1].1);
    let blocked = anna.get(&format!("/api/stream/{}?file=0", film.hash)).problem();
    assert_eq!(blocked, (403, BLOCKED.to_owned()));
    let page = anna.get(&format!("/api/stream/{}?file=2", film.hash));
    let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(
        !header("content-type").contains("html") || header("content-disposition").starts_with("attachment"),
        "a torrent's page would run scripts with the API's origin: {} {}",
        header("content-type"),
        header("content-disposition")
    );
    daemon.end();
}

#[test]
fn names_that_mean_something_elsewhere_stay_names() {
    let name = "a\"b\\c\r\nX-Evil: 1 ü.mkv";
    let film = Film::named(name, film_bytes(5, MIB / 4));
    let (daemon, anna, _seeder) = setting(&film, "127.0.8.15", "block");
    let session = anna.stream(&film);
    let answer = Ask::get(session["url"].as_str().expect("a URL")).send();
    assert_eq!((answer.status, answer.header("x-evil")), (200, None));
    assert!(answer.header("content-disposition").is_some_and(|value| value.contains("filename*=UTF-8''")));
    let list = Ask::get(session["playlistUrl"].as_str().expect("a URL")).send().bytes();
    let list = String::from_utf8(list).expect("text");
    assert_eq!(list.lines().count(), 3, "a name makes no lines of its own: {list:?}");
    daemon.end();
}

/// URLs that lead to this machine or its neighbours, spelled in every way that resolvers understand.
fn local_urls(port: u16) -> Vec<String> {
    let hosts = [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "user:password@127.0.0.1",
    ];
    hosts.iter().map(|host| format!("http://{host}:{port}/film.torrent")).collect()
}

#[test]
fn urls_of_this_machine_and_its_neighbours_are_not_asked() {
    let web = Web::secret();
    let daemon = Options::default().env("TORRENT_TIMEOUT", "500").start();
    let anna = daemon.viewer("anna");
    let neighbours = [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://100.64.0.1/",
        "http://[64:ff9b::7f00:1]/",
        "http://metadata.localhost/",
    ];
    let own =
        [daemon.url("/openapi.json"), "file:///etc/passwd".to_owned(), "gopher://127.0.0.1/".to_owned()];
    let urls = local_urls(web.address.port()).into_iter().chain(neighbours.map(str::to_owned)).chain(own);
    for url in urls {
        let (status, code) = anna.post("/api/torrents/parse", &json!({"url": url})).problem();
        assert!(matches!(status, 403 | 422 | 502), "{url}: {status} {code}");
        assert!(matches!(code.as_str(), "source_refused" | "bad_source" | "fetch_failed"), "{url}: {code}");
    }
    assert_eq!(web.visits(), 0, "somebody knocked");
    daemon.end();
}

#[test]
fn what_a_torrent_names_is_not_asked_either() {
    let web = Web::secret();
    let film = Film::new(6, MIB);
    let daemon = Options::default().env("TORRENT_TIMEOUT", "1500").start();
    let anna = daemon.viewer("anna");
    let local: String = local_urls(web.address.port())
        .iter()
        .map(|url| url.replace("film.torrent", "announce").replace(':', "%3A").replace('/', "%2F"))
        .map(|url| format!("&tr={url}&ws={url}"))
        .collect();
    let magnet = format!("{}{local}", film.magnet());
    let parsed = anna.post("/api/torrents/parse", &json!({"magnet": magnet})).problem();
    assert_eq!(parsed, (504, "no_metadata".to_owned()));
    // The same of a .torrent, while it is streamed.
    let announce = web.url("/announce");
    let torrent = [
        format!("d8:announce{}:{announce}", announce.len()).as_bytes(),
        &film.torrent[1..film.torrent.len() - 1],
        format!("8:url-list{}:{}e", web.url("/film").len(), web.url("/film")).as_bytes(),
    ]
    .concat();
    let ask = anna.ask("POST", "/api/torrents/parse").body("application/x-bittorrent", &torrent);
    assert_eq!(ask.send().value()["trackers"], json!([announce]), "they are told");
    let url = anna.start(&film).value()["url"].as_str().expect("a URL").to_owned();
    let waiting = Ask::get(&url).send();
    anna.wait_status(&film, "it looks for peers", |status| status["error"]["code"].is_string());
    assert_eq!(web.visits(), 0, "somebody knocked");
    drop(waiting);
    daemon.end();
}

#[test]
fn the_owners_rules_hold_at_every_redirect_and_the_daemons_own_ports_are_nobodys() {
    let secret = Web::secret();
    let denied = secret.url("/film.torrent").replace("127.0.0.1", "127.0.0.2");
    let target = denied.clone();
    let web = Web::start(move |path| match path {
        "/to-denied" => Page::Redirect(target.clone()),
        "/to-file" => Page::Redirect("file:///etc/passwd".to_owned()),
        _ => Page::Missing,
    });
    let daemon = Options::default().arg(&["--allow-local-addresses", "--deny-host", "127.0.0.2"]).start();
    let anna = daemon.viewer("anna");
    for (url, expected) in [
        (denied, (403, "source_refused")),
        (web.url("/to-denied"), (403, "source_refused")),
        (web.url("/to-file"), (422, "bad_source")),
        (daemon.url("/healthz"), (403, "source_refused")),
    ] {
        let (status, code) = anna.post("/api/torrents/parse", &json!({"url": url})).problem();
        assert_eq!((status, code.as_str()), expected, "{url}");
    }
    assert_eq!(secret.visits(), 0);
    daemon.end();
}

#[test]
fn a_page_of_another_site_gets_nothing_by_another_name() {
    let daemon = Options::default().env("STREAM_AUTH_REQUIRED", "false").start();
    let port = daemon.base.rsplit_once(':').expect("a port").1.to_owned();
    for host in
        ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:80", "0x7f.1"]
    {
        for path in ["/healthz", "/api/torrents", "/stream/x/y"] {
            let answer = Ask::get(&daemon.url(path)).header("Host", host).send();
            assert_eq!(answer.problem(), (421, "host_unknown".to_owned()), "{host} {path}");
        }
    }
    for host in ["", "a b", "127.0.0.1:port", "user@127.0.0.1"] {
        let answer = Ask::get(&daemon.url("/healthz")).header("Host", host).send();
        assert!(matches!(answer.status, 400 | 421), "{host:?}: {}", answer.status);
    }
    for host in [format!("localhost:{port}"), format!("[::1]:{port}"), format!("tv.localhost:{port}")] {
        assert_eq!(Ask::get(&daemon.url("/api/torrents")).header("Host", &host).send().status, 200, "{host}");
    }
    // A page may be shown as an image or sent as a form without asking: it changes nothing.
    let forged = |kind: &str| Ask::new("POST", &daemon.url("/api/torrents/parse")).header("Origin", kind);
    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        let body = Value::String(String::new());
        assert_eq!(forged(origin).json(&body).send().problem().0, 403, "{origin}");
    }
    daemon.end();
}

#[test]
fn a_link_that_names_places_of_this_network_has_nobody_knock_there() {
    let door = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    door.set_nonblocking(true).expect("a socket of our own");
    let film = Film::new(90, MIB);
    let address = door.local_addr().expect("a bound socket has an address");
    let link = format!("{}&x.pe={address}", film.magnet());
    let daemon = Options::default().env("TORRENT_TIMEOUT", "1500").start();
    let viewer = daemon.viewer("anna");
    let (status, code) = viewer.post("/api/torrents/parse", &json!({ "magnet": link })).problem();
    assert_eq!((status, code.as_str()), (504, "no_metadata"));
    viewer.post("/api/downloads", &json!({ "magnet": link })).value();
    let waiting = format!("/api/downloads/{}", film.hash);
    wait_for("the download looks in vain", || {
        (viewer.get(&waiting).value()["error"]["code"] == "no_metadata").then_some(())
    });
    let knocked = door.accept();
    assert!(knocked.is_err(), "{knocked:?}");
    daemon.end();
}
