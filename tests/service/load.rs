//! Crowds and floods: whoever stalls, dawdles or sends too much is held within bounds, and others notice nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB};
use crate::harness::wait_for;
use crate::http::{Answer, Ask, connect};

/// Readers that get nothing.
const STALLED: usize = 64;
/// Of one session, fewer than it may have.
const STALLED_PER_SESSION: usize = 8;
/// Connections that say nothing.
const SILENT: usize = 1000;
/// What the daemon may take, the program itself and the memory of torrents (100 MiB) included. Unoptimised programs take more.
const MEMORY_MIB_MAX: usize = 400;

/// The same while large bodies come; without any order sixteen of 32 MiB take 430.
const LARGE_MIB_MAX: usize = 300;

/// The daemon's memory in MiB.
fn memory_mib(daemon: &Daemon) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process.id()));
    let status = status.expect("Linux tells of its processes");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the most it ever had");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024
}

/// Asks whether the daemon is alive until `work` is done; how often it was.
fn alive_while(daemon: &Daemon, work: impl FnOnce()) -> usize {
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(Ask::get(&daemon.url("/healthz")).send().status, 200);
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
        // A panic must end the asking too.
        let _ended = Ended(&done);
        work();
    });
    answers.into_inner()
}

struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn readers_that_get_nothing_hold_nobody_else_up() {
    let (dead, film) = (Film::new(201, 8 * MIB), Film::new(202, 6 * MIB));
    let (silent, seeder) = (dead.silent_seeder("127.0.7.1"), film.seeder("127.0.7.2"));
    let daemon = Options::default().peers(&[&silent, &seeder]).env("STREAM_TIMEOUT", "1000").start();
    let stalled: Vec<Answer> = (0..STALLED / STALLED_PER_SESSION)
        .map(|nth| daemon.viewer(&format!("stalled-{nth}")).watch(&dead))
        .flat_map(|url| (0..STALLED_PER_SESSION).map(move |part| (url.clone(), part)))
        // Each at a place of its own, as widely apart as can be.
        .map(|(url, part)| Ask::get(&url).header("Range", &format!("bytes={}-", part * MIB)).send())
        .collect();
    assert!(stalled.iter().all(|answer| answer.status == 206));
    let anna = daemon.viewer("anna");
    let answers = alive_while(&daemon, || {
        let url = anna.watch(&film);
        assert!(Ask::get(&url).send().bytes() == film.bytes(), "the film differs");
    });
    assert!(answers > 0, "nobody was told that the daemon lives");
    let status = anna.status(&film);
    assert_eq!(status["stalls"]["count"], 0, "{status}");
    let others = daemon.admin().get("/api/stream").value();
    let readers = others.as_array().expect("a list").iter().filter_map(|other| other["readers"].as_u64());
    assert_eq!(readers.sum::<u64>(), STALLED as u64, "all of them are still there: {others}");
    assert!(memory_mib(&daemon) < MEMORY_MIB_MAX, "{} MiB", memory_mib(&daemon));
    drop(stalled);
    daemon.end();
}

#[test]
fn players_that_read_nothing_hold_nobody_else_up() {
    let film = Film::new(203, 12 * MIB);
    let seeder = film.seeder("127.0.7.3");
    let daemon = Options::default().peers(&[&seeder]).start();
    let full: Vec<Answer> = (0..4)
        .map(|nth| daemon.viewer(&format!("full-{nth}")).watch(&film))
        .flat_map(|url| (0..STALLED_PER_SESSION).map(move |_| Ask::get(&url).send()))
        .collect();
    // Saved, not watched: there is no film's pace.
    let url = format!("{}?download=1", daemon.viewer("anna").watch(&film));
    let answers = alive_while(&daemon, || {
        assert!(Ask::get(&url).send().bytes() == film.bytes(), "the film differs");
    });
    assert!(answers > 0);
    assert!(memory_mib(&daemon) < MEMORY_MIB_MAX, "{} MiB", memory_mib(&daemon));
    drop(full);
    daemon.end();
}

#[test]
fn a_thousand_connections_that_say_nothing_are_borne_and_closed() {
    let daemon = Options::default().arg(&["--max-http-conns", "2000"]).start();
    let authority = daemon.base.strip_prefix("http://").expect("an http URL").to_owned();
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| connect(&authority).expect("a place")).collect();
    assert_eq!(Ask::get(&daemon.url("/healthz")).send().status, 200, "beside {SILENT} others");
    // Those who begin to speak and never come to the end are no better.
    for stream in silent.iter().step_by(10) {
        let mut stream: &TcpStream = stream;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").expect("it is open still");
    }
    for mut stream in silent {
        // Perhaps with an answer that says why, and then it is over.
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        assert!(
            !matches!(ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "it stays open"
        );
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    assert!(memory_mib(&daemon) < MEMORY_MIB_MAX, "{} MiB", memory_mib(&daemon));
    daemon.end();
}

#[test]
fn with_all_places_taken_by_the_silent_somebody_gets_one_when_they_are_closed() {
    let daemon = Options::default().arg(&["--max-http-conns", "16"]).start();
    let authority = daemon.base.strip_prefix("http://").expect("an http URL").to_owned();
    let silent: Vec<TcpStream> = (0..24).map(|_| connect(&authority).expect("the kernel's queue")).collect();
    assert_eq!(Ask::get(&daemon.url("/healthz")).send().status, 200);
    drop(silent);
    daemon.end();
}

/// Requests of a kind from many at once; how often each status came.
fn flood(count: usize, ask: impl Fn(usize) -> Ask + Sync) -> std::collections::BTreeMap<u16, usize> {
    let threads = 16;
    let statuses = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..threads)
            .map(|thread| {
                let ask = &ask;
                scope.spawn(move || {
                    let turns = (thread..count).step_by(threads);
                    turns.map(|nth| ask(nth).send().status).collect::<Vec<u16>>()
                })
            })
            .collect();
        asked.into_iter().flat_map(|thread| thread.join().expect("answers")).collect::<Vec<u16>>()
    });
    statuses.into_iter().fold(std::collections::BTreeMap::new(), |mut counts, status| {
        *counts.entry(status).or_default() += 1;
        counts
    })
}

#[test]
fn a_flood_of_requests_is_answered_or_slowed_down() {
    let film = Film::new(204, MIB);
    let seeder = film.seeder("127.0.7.4");
    let daemon = Options::default().peers(&[&seeder]).env("STREAM_RATE_LIMIT", "10").start();
    let (anna, mallory) = (daemon.viewer("anna"), daemon.viewer("mallory"));
    let url = anna.watch(&film);
    let refused = flood(1000, |nth| Ask::get(&daemon.url("/api/torrents")).token(&format!("guess {nth}")));
    assert!(refused.keys().all(|status| matches!(status, 401 | 429)), "{refused:?}");
    assert!(refused.contains_key(&429), "guessing isn't slowed down: {refused:?}");
    let asked = flood(1000, |_| mallory.ask("GET", "/api/torrents"));
    assert!(asked.keys().all(|status| matches!(status, 200 | 429)), "{asked:?}");
    assert!(asked[&200] < asked[&429], "{asked:?}");
    let strange = flood(500, |nth| strange(&daemon, &mallory, nth));
    assert!(strange.keys().all(|status| (400..500).contains(status)), "{strange:?}");
    // From the same address, with another token: nobody else is held up.
    assert_eq!(anna.get("/api/torrents").status, 200);
    assert!(Ask::get(&url).send().bytes() == film.bytes(), "the film differs");
    assert!(memory_mib(&daemon) < MEMORY_MIB_MAX, "{} MiB", memory_mib(&daemon));
    daemon.end();
}

/// Requests that make no sense, each in its own way.
fn strange(daemon: &Daemon, person: &Person, nth: usize) -> Ask {
    let get = |path: &str| Ask::get(&daemon.url(path));
    match nth % 8 {
        0 => get("/stream/x/y.mkv"),
        1 => get(&format!("/stream/{}/y.mkv", "A".repeat(62))),
        2 => get("/api/stream/%00%ff%fe"),
        3 => get(&format!("/{}", "a/".repeat(4000))),
        4 => get("/nothing").header("X-Long", &"x".repeat(20_000)),
        5 => Ask::new("BREW", &daemon.url("/api/torrents")),
        6 => person.ask("POST", "/api/torrents/parse").body("application/json", &b"[".repeat(100_000)),
        _ => (0..100).fold(get("/nothing"), |ask, nth| ask.header(&format!("X-{nth}"), "x")),
    }
}

#[test]
fn bodies_that_are_too_large_are_refused_before_they_are_read() {
    let daemon = Daemon::new();
    let anna = daemon.viewer("anna");
    let large = vec![b' '; 48 * MIB];
    for (path, kind, bytes) in [
        ("/api/torrents/parse", "application/json", &large[..]),
        ("/api/torrents/parse", "application/x-bittorrent", &large),
        ("/api/torrents/convert", "application/x-bittorrent", &large),
        (&format!("/api/stream/{}/seek", "ab".repeat(20)), "application/json", &large[..MIB]),
    ] {
        let answer = anna.ask("POST", path).body(kind, bytes).send();
        assert_eq!(answer.problem(), (413, "too_large".to_owned()), "{path} {kind}");
    }
    let form =
        [b"--edge\r\nContent-Disposition: form-data; name=\"torrent\"\r\n\r\n".as_slice(), &large].concat();
    let form =
        anna.ask("POST", "/api/torrents/parse").body("multipart/form-data; boundary=edge", &form).send();
    assert_eq!(form.problem(), (413, "too_large".to_owned()));
    // Nobody reads what somebody without a token sends.
    let stranger =
        Ask::new("POST", &daemon.url("/api/torrents/parse")).body("application/json", &large).send();
    assert_eq!(stranger.problem().0, 401);
    assert!(memory_mib(&daemon) < MEMORY_MIB_MAX, "{} MiB", memory_mib(&daemon));
    daemon.end();
}

/// Each body alone is within its bounds.
#[test]
fn many_large_bodies_at_once_take_no_more_memory_than_a_few() {
    let daemon = Daemon::new();
    let people = [(); 4].map(|()| daemon.viewer("mallory"));
    let large = json!({"torrent": "A".repeat(32 * MIB)}).to_string();
    let statuses = flood(16, |nth| {
        people[nth % people.len()]
            .ask("POST", "/api/torrents/parse")
            .body("application/json", large.as_bytes())
    });
    assert!(statuses.keys().all(|status| matches!(status, 422 | 429 | 503)), "{statuses:?}");
    assert!(memory_mib(&daemon) < LARGE_MIB_MAX, "{} MiB", memory_mib(&daemon));
    daemon.end();
}

#[test]
fn players_that_come_and_go_leave_nothing_behind() {
    let film = Film::new(205, 8 * MIB);
    let seeder = film.seeder("127.0.7.5");
    let daemon = Options::default()
        .peers(&[&seeder])
        .arg(&["--ranges-per-second", "0:count", "--pace", "false"])
        .start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let statuses = flood(300, |nth| Ask::get(&url).header("Range", &format!("bytes={}-", nth * 20_000)));
    assert!(statuses.keys().all(|status| matches!(status, 206 | 429)), "{statuses:?}");
    wait_for("no reader is left", || (anna.status(&film)["readers"] == 0).then_some(()));
    assert!(Ask::get(&url).send().bytes() == film.bytes(), "the film differs");
    daemon.end();
}
