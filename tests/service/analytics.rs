//! How streams went: who sees what of it, as JSON and as a table, and for how long.

use std::path::Path;

use afflux::database::{Database, Day, NewView, Revocation, UsageRow};
use afflux::user::User;
use afflux_metainfo::{FileIndex, InfoHash};
use serde_json::Value;

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB, film_bytes};
use crate::harness::{Scratch, wait_for};
use crate::http::Ask;

const DAY: u64 = 24 * 3600;

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// What a user gets to see with a query.
fn analytics(person: &Person, query: &str) -> Value {
    person.get(&format!("/api/analytics?{query}")).value()
}

fn views(answer: &Value) -> &[Value] {
    answer["views"].as_array().expect("a list")
}

/// Reads all of a film and ends the session.
fn watch(person: &Person, film: &Film) {
    let url = person.watch(film);
    let answer = Ask::get(&url).header("User-Agent", "=cmd|' /C calc'!A0, \"quoted\"").send();
    assert_eq!(answer.bytes(), film.bytes());
    assert_eq!(person.delete(&format!("/api/stream/{}", film.hash)).status, 204);
}

/// A daemon whose database has these views already.
fn with_views(options: Options, rows: Vec<NewView>) -> Daemon {
    let scratch = Scratch::new();
    let folder = scratch.folder("daemon.state");
    fill(&folder, rows);
    Daemon::start(options, scratch)
}

fn fill(folder: &Path, rows: Vec<NewView>) {
    in_database(folder, async |database| {
        for row in rows {
            database.views().add(row).await.expect("room for a row");
        }
    });
}

/// Does something with the database of a daemon that doesn't run.
fn in_database(folder: &Path, work: impl AsyncFnOnce(&Database)) {
    let (database, notice) = Database::open(folder).expect("a sound database");
    assert!(notice.is_none());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        work(&database).await;
        database.close().await;
    });
}

fn row(user: &str, ended_at: u64) -> NewView {
    NewView {
        user: user.parse().expect("a name"),
        info_hash: InfoHash([7; 20]),
        file: FileIndex(0),
        name: "a film.mkv".to_owned(),
        client: None,
        started_at: ended_at - 1,
        ended_at,
        ttfb_ms: Some(100),
        seeks: 1,
        seek_ms_total: 50,
        seek_ms_max: 50,
        stalls: 0,
        stalled_ms: 0,
        bytes_swarm: 1000,
        bytes_sent: 2000,
        bytes_wasted: 0,
        peers_max: 3,
        completion: 0.5,
    }
}

/// The rows of a table by RFC 4180, in a reader that is stricter than any spreadsheet.
fn table(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut cells, mut rest) = (Vec::new(), Vec::new(), text);
    while !rest.is_empty() {
        let cell;
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = (0..quoted.len())
                .find(|&at| {
                    let quotes = quoted[..at].bytes().rev().take_while(|&byte| byte == b'"').count();
                    quotes % 2 == 0 && quoted[at..].starts_with('"') && !quoted[at + 1..].starts_with('"')
                })
                .expect("a closing quote");
            cell = quoted[..end].replace("\"\"", "\"");
            rest = &quoted[end + 1..];
        } else {
            let end = rest.find([',', '\r', '\n', '"']).expect("a row ends");
            cell = rest[..end].to_owned();
            rest = &rest[end..];
        }
        cells.push(cell);
        if let Some(next) = rest.strip_prefix("\r\n") {
            rows.push(std::mem::take(&mut cells));
            rest = next;
        } else {
            rest = rest.strip_prefix(',').unwrap_or_else(|| panic!("no comma at {rest:?}"));
        }
    }
    assert!(cells.is_empty(), "the last row ends");
    rows
}

#[test]
fn each_user_sees_its_own_streams_and_admins_see_all() {
    let film = Film::new(1, 2 * MIB);
    let seeder = film.seeder("127.0.9.1");
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob, admin) = (daemon.viewer("anna"), daemon.viewer("bob"), daemon.admin());
    let began = now();
    watch(&anna, &film);
    let answer = analytics(&anna, "");
    let view = &views(&answer)[0];
    assert_eq!(views(&answer).len(), 1);
    assert_eq!((&view["user"], &view["infoHash"]), (&"anna".into(), &film.hash.as_str().into()));
    assert_eq!(
        (&view["running"], &view["file"], &view["name"]),
        (&false.into(), &0.into(), &"film 1.mkv".into())
    );
    assert_eq!(view["bytesSent"], film.bytes().len());
    assert!(view["bytesSwarm"].as_u64() >= Some(film.bytes().len() as u64), "{view}");
    assert!(view["ttfbMs"].is_u64() && view["peersMax"] == 1, "{view}");
    assert!(view["startedAt"].as_u64() >= Some(began) && view["endedAt"].as_u64() >= Some(began), "{view}");
    assert_eq!(answer["users"][0]["bytesSent"], film.bytes().len());

    assert!(views(&analytics(&bob, "")).is_empty());
    assert_eq!(bob.get("/api/analytics?user=anna").problem(), (404, "no_user".to_owned()));
    assert_eq!(bob.get("/api/analytics?user=nobody").problem(), (404, "no_user".to_owned()), "the same");
    let (_, code) = bob.get("/api/analytics?user=anna&format=csv").problem();
    assert_eq!(code, "no_user");

    // Bob's runs; it is told before his reader is through, and once it has ended as a row.
    let url = bob.watch(&film);
    assert_eq!(Ask::get(&url).range(0, 999).send().bytes().len(), 1000);
    let answer = analytics(&admin, "");
    let told: Vec<_> =
        views(&answer).iter().map(|view| (view["user"].as_str(), view["running"].as_bool())).collect();
    assert_eq!(told, [(Some("bob"), Some(true)), (Some("anna"), Some(false))]);
    let users: Vec<_> =
        answer["users"].as_array().expect("sums").iter().map(|user| user["user"].as_str()).collect();
    assert_eq!(users, [Some("anna"), Some("bob")], "who was sent most first");
    assert_eq!(views(&analytics(&admin, "user=bob")).len(), 1);
    assert_eq!(views(&analytics(&admin, &format!("hash={}", film.hash))).len(), 2);
    assert_eq!(views(&analytics(&admin, &format!("hash={}", "ab".repeat(20)))).len(), 0);
    assert_eq!(views(&analytics(&admin, &format!("to={began}"))).len(), 0);
    assert_eq!(views(&analytics(&admin, &format!("from={}", now() + 1000))).len(), 0);
    for wrong in ["hash=12", "user=", "from=-1", "limit=0", "limit=1001", "format=xml", "sort=1"] {
        let problem = admin.get(&format!("/api/analytics?{wrong}")).problem();
        assert_eq!(problem, (400, "bad_request".to_owned()), "{wrong}");
    }

    // What ran when the daemon stopped isn't lost.
    daemon.restart("TERM");
    let answer = analytics(&bob, "");
    assert_eq!(
        (&views(&answer)[0]["running"], &views(&answer)[0]["bytesSent"]),
        (&false.into(), &1000.into())
    );
}

#[test]
fn pages_follow_each_other_and_the_table_has_all_of_them() {
    let rows =
        (0..250).map(|n| NewView { bytes_sent: n, ..row(if n % 2 == 0 { "anna" } else { "bob" }, now()) });
    let daemon = with_views(Options::default(), rows.collect());
    let (anna, admin) = (daemon.viewer("anna"), daemon.admin());
    let (mut seen, mut query) = (Vec::new(), "limit=40".to_owned());
    loop {
        let answer = analytics(&admin, &query);
        assert_eq!(answer.get("users").is_some(), query == "limit=40", "sums come with the first page");
        seen.extend(views(&answer).iter().map(|view| view["bytesSent"].as_u64().expect("a number")));
        let Some(next) = answer.get("next") else { break };
        query = format!("limit=40&after={next}");
    }
    assert_eq!(seen, (0..250).rev().collect::<Vec<u64>>());
    let csv = |person: &Person, query: &str| {
        let answer =
            person.ask("GET", &format!("/api/analytics?{query}")).header("Accept", "text/csv").send();
        assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
        table(&String::from_utf8(answer.bytes()).expect("UTF-8"))
    };
    assert_eq!(csv(&admin, "").len(), 251);
    assert_eq!(csv(&admin, "limit=7").len(), 8);
    let own = csv(&anna, "");
    assert_eq!((own.len(), &*own[0][0]), (126, "user"));
    assert!(own[1..].iter().all(|row| row[0] == "anna" && row.len() == own[0].len()));
}

#[test]
fn a_table_of_thousands_is_whole() {
    let rows = (0..2500).map(|n| NewView { bytes_sent: n, ..row("anna", now()) }).collect();
    let daemon = with_views(Options::default(), rows);
    let answer = daemon.viewer("anna").get("/api/analytics?format=csv");
    let table = table(&String::from_utf8(answer.bytes()).expect("UTF-8"));
    let column = table[0].iter().position(|name| name == "bytesSent").expect("a column");
    let sent: Vec<u64> = table[1..].iter().map(|row| row[column].parse().expect("a number")).collect();
    assert_eq!(sent, (0..2500).rev().collect::<Vec<_>>());
}

#[test]
fn no_name_of_a_stranger_becomes_a_formula() {
    let film = Film::named("=HYPERLINK(\"x\",1).mkv", film_bytes(3, MIB));
    let seeder = film.seeder("127.0.9.3");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    watch(&anna, &film);
    let text = String::from_utf8(anna.get("/api/analytics?format=csv").bytes()).expect("UTF-8");
    let table = table(&text);
    let cell = |name: &str| {
        let column = table[0].iter().position(|head| head == name).expect("a column");
        table[1][column].clone()
    };
    assert_eq!(cell("client"), "'=cmd|' /C calc'!A0, \"quoted\"");
    assert!(cell("name").starts_with("'=HYPERLINK("), "{text}");
    for row in &table[1..] {
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])), "{row:?}");
    }
}

#[test]
fn what_is_older_than_the_retention_is_forgotten() {
    let rows = vec![row("anna", now() - 7200), row("anna", now() - 60)];
    let daemon = with_views(Options::default().arg(&["--analytics-retention", "1h"]), rows);
    let anna = daemon.viewer("anna");
    wait_for("the old view is forgotten", || (views(&analytics(&anna, "")).len() == 1).then_some(()));
}

/// Everything that has an end goes with the first purge, at the start; suspicions last.
#[test]
fn what_is_over_is_forgotten_everywhere() {
    let scratch = Scratch::new();
    let folder = scratch.folder("daemon.state");
    let (anna, long_ago) = ("anna".parse::<User>().expect("a name"), now() - 200 * DAY);
    let token = |n: u8| format!("{n:02x}").repeat(32);
    in_database(&folder, async |database| {
        for day in [long_ago, now()] {
            let usage = UsageRow {
                user: anna.clone(),
                day: Day::of(day),
                bytes_sent: 7,
                bytes_swarm: 0,
                requests: 1,
            };
            database.usage().add(vec![usage]).await.expect("room");
            database.suspicions().add(&anna, "stream_starts", "many", day).await.expect("room");
        }
        for (n, expires) in [(1, now() - DAY), (2, now() + DAY)] {
            let revocation = Revocation { token_id: token(n), expires, reason: "lost".to_owned() };
            database.revocations().revoke(revocation).await.expect("room");
        }
    });
    let daemon = Daemon::start(Options::default(), scratch);
    let admin = daemon.admin();
    wait_for("the old suspicion is forgotten", || {
        let answer = analytics(&admin, "");
        (answer["suspicions"].as_array().expect("a list").len() == 1).then_some(())
    });
    let Daemon { scratch, mut process, .. } = daemon;
    process.signal("TERM");
    process.succeed();
    in_database(&scratch.folder("daemon.state"), async |database| {
        let used = async |day| database.usage().of(&anna, Day::of(day)).await.expect("a sound file");
        assert_eq!((used(long_ago).await, used(now()).await.map(|row| row.bytes_sent)), (None, Some(7)));
        let revoked = database.revocations().all().await.expect("a sound file");
        assert_eq!(revoked.into_iter().map(|row| row.token_id).collect::<Vec<_>>(), [token(2)]);
    });
}

#[test]
fn with_no_retention_nothing_is_remembered() {
    let film = Film::new(4, MIB);
    let seeder = film.seeder("127.0.9.4");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--analytics-retention", "0s"]).start();
    let anna = daemon.viewer("anna");
    watch(&anna, &film);
    assert!(views(&analytics(&anna, "")).is_empty());
}
