//! Limits of the daemon as a whole: changed while it runs, read again with the configuration, and shared by users evenly.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB};
use crate::harness::{Scratch, wait_for};
use crate::http::Ask;

fn limits(admin: &Person) -> Value {
    admin.get("/api/limits").value()
}

fn change(admin: &Person, changes: &Value) -> Value {
    admin.ask("PATCH", "/api/limits").json(changes).send().value()
}

#[test]
fn limits_are_changed_one_by_one_and_only_within_their_bounds() {
    let daemon = Options::default().arg(&["--max-peers", "77", "--upload-limit", "500K"]).start();
    let admin = daemon.admin();
    let before = limits(&admin);
    assert_eq!((&before["maxPeers"], &before["uploadLimit"]), (&json!(77), &json!(500 << 10)));
    assert_eq!((&before["downloadLimit"], &before["maxStreams"]), (&Value::Null, &json!(100)));

    let after = change(
        &admin,
        &json!({"downloadLimit": 1_000_000, "uploadLimit": null, "maxConns": 9, "maxStreams": 3}),
    );
    let mut expected = before;
    expected["downloadLimit"] = json!(1_000_000);
    expected["uploadLimit"] = Value::Null;
    expected["maxConns"] = json!(9);
    expected["maxStreams"] = json!(3);
    assert_eq!(after, expected, "what isn't named stays");
    let wrong = [
        json!({"maxPeers": 0}),
        json!({"maxConns": 10_001}),
        json!({"requestQueue": 513}),
        json!({"maxServed": -1}),
        json!({"downloadLimit": "fast"}),
        json!({"speed": 1}),
        // All or nothing.
        json!({"downloadLimit": 5, "maxPeers": 100_001}),
    ];
    for changes in wrong {
        let refused = admin.ask("PATCH", "/api/limits").json(&changes).send();
        assert_eq!(refused.problem(), (400, "bad_request".to_owned()), "{changes}");
    }
    assert_eq!(limits(&admin), expected);
    daemon.end();
}

#[test]
fn no_more_streams_than_all_may_have_from_the_moment_that_is_said() {
    let (first, second) = (Film::new(80, MIB), Film::new(81, MIB));
    let daemon = Daemon::new();
    let (admin, anna, bob) = (daemon.admin(), daemon.viewer("anna"), daemon.viewer("bob"));
    change(&admin, &json!({"maxStreams": 1}));
    anna.stream(&first);
    bob.parse(&second);
    assert_eq!(bob.start(&second).problem(), (429, "too_many_streams".to_owned()));
    change(&admin, &json!({"maxStreams": 2}));
    assert_eq!(bob.start(&second).status, 200);
    daemon.end();
}

#[test]
fn a_stream_that_a_limit_held_back_goes_on_when_it_is_lifted() {
    let film = Film::new(82, 4 * MIB);
    let seeder = film.seeder("127.0.3.82");
    let options = Options::default().peers(&[&seeder]).env("STREAM_TIMEOUT", "1000");
    let daemon = options.arg(&["--pace", "false"]).start();
    let (admin, viewer) = (daemon.admin(), daemon.viewer("anna"));
    change(&admin, &json!({"downloadLimit": 1024}));
    let answer = Ask::get(&viewer.watch(&film)).send();
    viewer.wait_state(&film, "stalled");
    assert!(seeder.given_bytes() < film.bytes().len() / 2, "{} bytes came", seeder.given_bytes());
    change(&admin, &json!({"downloadLimit": null}));
    assert!(answer.bytes() == film.bytes(), "the film differs");
    daemon.end();
}

#[test]
fn a_reload_takes_the_limits_of_the_file_and_a_broken_file_changes_nothing() {
    let scratch = Scratch::new();
    let file = scratch.path("afflux.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("our own folder");
    write("[swarm]\ndownload-limit = \"1M\"\nmax-conns = 12\n[streams]\nmax-streams = 5\n");
    let path = file.to_str().expect("a plain path").to_owned();
    let options = Options::default().arg(&["--config", &path, "--max-peers", "50"]);
    let daemon = Daemon::start(options, scratch);
    let admin = daemon.admin();
    let of = |limits: &Value| {
        ["downloadLimit", "maxConns", "maxStreams", "maxPeers"].map(|name| limits[name].as_u64())
    };
    assert_eq!(of(&limits(&admin)), [Some(1 << 20), Some(12), Some(5), Some(50)]);

    write("[swarm]\ndownload-limit = \"2M\"\nmax-conns = 13\nmax-peers = 60\n");
    daemon.process.signal("HUP");
    let expected = [Some(2 << 20), Some(13), Some(100), Some(50)];
    wait_for("the file's limits", || (of(&limits(&admin)) == expected).then_some(()));

    write("[swarm]\nmax-conns = \"many\"\n");
    daemon.process.signal("HUP");
    wait_for("a warning", || daemon.process.stderr().contains("the old ones count").then_some(()));
    assert_eq!(of(&limits(&admin)), expected);
    daemon.end();
}

#[test]
fn users_share_a_short_link_evenly_whatever_the_number_of_their_streams() {
    let films: Vec<Film> = (0..4).map(|nth| Film::new(83 + nth, 8 * MIB)).collect();
    let ips = ["127.0.3.83", "127.0.3.84", "127.0.3.85", "127.0.3.86"];
    let seeders: Vec<_> = films.iter().zip(ips).map(|(film, ip)| film.seeder(ip)).collect();
    let peers: Vec<_> = seeders.iter().collect();
    let daemon = Options::default().peers(&peers).arg(&["--pace", "false"]).start();
    let (admin, anna, bob) = (daemon.admin(), daemon.viewer("anna"), daemon.viewer("bob"));
    change(&admin, &json!({"downloadLimit": MIB}));
    let given = |from: usize| -> usize { seeders[from..].iter().map(|seeder| seeder.given_bytes()).sum() };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (nth, film) in films.iter().enumerate() {
            let viewer = if nth == 0 { &anna } else { &bob };
            let (mut answer, over) = (Ask::get(&viewer.watch(film)).send(), &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    answer.next(64 * 1024);
                }
            });
        }
        // What came before all of them read doesn't count.
        wait_for("all streams run", || (1..4).all(|nth| seeders[nth].given_bytes() > MIB / 8).then_some(()));
        let (one, others) = (given(0) - given(1), given(1));
        wait_for("enough to compare", || (given(0) - one - others > 6 * MIB).then_some(()));
        let (one, others) = (seeders[0].given_bytes() - one, given(1) - others);
        over.store(true, Ordering::Relaxed);
        let share = one as f64 / (one + others) as f64;
        assert!((0.4..0.6).contains(&share), "anna got {one} bytes with one stream, bob {others} with three");
    });
    daemon.process.signal("KILL");
}
