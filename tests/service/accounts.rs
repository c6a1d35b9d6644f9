//! Who is let in: tokens as `afflux token` makes them, and all that is wrong with others.

use afflux::api::routes::{self, Access, Route};
use afflux::auth::Scope;
use serde_json::json;

use crate::daemon::{Daemon, Options, VIEWER};
use crate::film::{Film, MIB};
use crate::http::Ask;

/// A path of the table with something in its places.
pub(crate) fn filled(route: &Route) -> String {
    route.path.replace("{hash}", &"ab".repeat(20)).replace("{name}", "nobody")
}

#[test]
fn without_a_good_token_nothing_is_told() {
    let daemon = Daemon::new();
    let url = daemon.url("/api/torrents");
    let refused = |ask: Ask| {
        let answer = ask.send();
        let challenge = answer.header("www-authenticate").expect("401 says how").to_owned();
        let (status, code) = answer.problem();
        assert_eq!(status, 401, "{code}");
        assert!(challenge.starts_with("Bearer realm=\"afflux\""), "{challenge}");
        (code, challenge.contains("error="))
    };
    assert_eq!(refused(Ask::get(&url)), ("token_missing".to_owned(), false), "no token is no error");

    let good = daemon.viewer("anna").token;
    assert_eq!(daemon.bearer(&good).get("/api/torrents").status, 200);
    let (signed, signature) = good.rsplit_once('.').expect("a JWT");
    let changed = if signature.starts_with('A') { "B" } else { "A" };
    let stranger = Daemon::new().viewer("anna").token;
    let other = daemon.mint(&["--user", "anna", "--audience", "elsewhere"]);
    let other = other["token"].as_str().expect("a token");
    for (token, code) in [
        (format!("{signed}.{changed}{}", &signature[1..]), "token_signature"),
        (stranger, "token_signature"),
        (other.to_owned(), "token_audience"),
        (signed.to_owned(), "token_malformed"),
        ("x".repeat(9000), "token_malformed"),
    ] {
        assert_eq!(refused(Ask::get(&url).token(&token)), (code.to_owned(), true), "{token}");
    }
    let twice = Ask::get(&url).token(&good).token(&good);
    assert_eq!(refused(twice).0, "token_repeated");
    // Not where it would stand in logs.
    assert_eq!(refused(Ask::get(&format!("{url}?access_token={good}"))).0, "token_missing");
    daemon.end();
}

#[test]
fn a_token_ends_with_its_time() {
    // The clocks of two machines may be half a minute apart; a token that is a minute past its time is made by hand.
    let daemon = Daemon::new();
    let state = daemon.scratch.path("daemon.state");
    let key = afflux::auth::OwnKey::open(&state).expect("the daemon's key");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = |expires| afflux::auth::Claims {
        user: "anna".parse().expect("a name"),
        scopes: VIEWER.parse().expect("scopes"),
        audience: "afflux".to_owned(),
        issued: now - 3600,
        expires,
        id: format!("until {expires}"),
        max_streams: None,
        max_rate: None,
    };
    let status = |expires| daemon.bearer(&key.mint(&claims(expires))).get("/api/torrents");
    assert_eq!(status(now + 600).status, 200);
    assert_eq!(status(now - 60).problem(), (401, "token_expired".to_owned()));
}

#[test]
fn a_revoked_token_stays_revoked_after_a_restart() {
    let mut daemon = Daemon::new();
    let object = daemon.mint(&["--user", "anna"]);
    let anna = daemon.bearer(object["token"].as_str().expect("a token"));
    let (admin, other) = (daemon.admin(), daemon.viewer("anna"));
    assert_eq!(anna.get("/api/torrents").status, 200);
    let body = json!({"id": object["tokenId"], "expires": object["expiresAt"], "reason": "lost"});
    assert_eq!(anna.post("/api/revocations", &body).problem(), (403, "forbidden".to_owned()));
    assert_eq!(admin.post("/api/revocations", &body).status, 204);
    for signal in ["TERM", "KILL"] {
        assert_eq!(anna.get("/api/torrents").problem(), (401, "token_revoked".to_owned()));
        assert_eq!(other.get("/api/torrents").status, 200, "another token of the same user");
        daemon.restart(signal);
    }
    assert_eq!(anna.get("/api/torrents").problem(), (401, "token_revoked".to_owned()));
}

#[test]
fn what_was_begun_with_a_token_ends_when_it_is_revoked() {
    let films = [Film::new(1, 4 * MIB), Film::new(2, 4 * MIB), Film::new(3, MIB)];
    // Slow, so that there is still something to come.
    let seeders = ["127.0.2.21", "127.0.2.22", "127.0.2.23"];
    let seeders: Vec<_> =
        films.iter().zip(seeders).map(|(film, address)| film.slow_seeder(address, MIB / 2)).collect();
    let mut daemon = Options::default().peers(&seeders.iter().collect::<Vec<_>>()).start();
    let object = daemon.mint(&["--user", "anna", "--scope", VIEWER]);
    let (lost, kept) = (daemon.bearer(object["token"].as_str().expect("a token")), daemon.viewer("anna"));
    let [lost_url, kept_url, joined_url] =
        [lost.watch(&films[0]), kept.watch(&films[1]), kept.watch(&films[2])];
    lost.watch(&films[2]);
    let urls = [&lost_url, &kept_url, &joined_url];
    // Of sessions that nobody has asked for since, too.
    daemon.restart("KILL");
    let mut playing = Ask::get(&lost_url).send();
    assert_eq!(playing.next(100_000), &films[0].bytes()[..100_000]);
    let events = lost.get("/api/events");
    let admin = daemon.admin();
    assert_eq!(admin.post("/api/revocations", &json!({"id": object["tokenId"]})).status, 204);
    assert!(100_000 + playing.until_cut().len() < films[0].bytes().len(), "the stream went on");
    events.until_cut();
    let statuses = urls.map(|url| Ask::get(url).range(0, 999).send().status);
    assert_eq!(statuses, [410, 206, 410], "its own, another token's, and the one that both watched");
}

#[test]
fn who_is_disabled_loses_streams_and_gets_back_in_when_enabled() {
    let film = Film::new(1, 4 * MIB);
    // Slow, so that there is still something to come.
    let seeder = film.slow_seeder("127.0.2.1", MIB / 2);
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let (anna, admin) = (daemon.viewer("anna"), daemon.admin());
    let url = anna.watch(&film);
    let mut answer = Ask::get(&url).send();
    assert_eq!(answer.next(100_000), &film.bytes()[..100_000]);

    let disable = |disabled| {
        let ask = admin.ask("PATCH", "/api/users/anna").json(&json!({"disabled": disabled}));
        assert_eq!(ask.send().value()["disabled"], disabled);
    };
    disable(true);
    assert!(100_000 + answer.until_cut().len() < film.bytes().len(), "the stream went on");
    assert_eq!(anna.get("/api/stream").problem(), (403, "user_disabled".to_owned()));
    assert!(matches!(Ask::get(&url).send().status, 404 | 410));
    daemon.restart("TERM");
    assert_eq!(anna.get("/api/stream").problem(), (403, "user_disabled".to_owned()), "after a restart");
    disable(false);
    assert_eq!(anna.get("/api/stream").status, 200);
    assert!(matches!(Ask::get(&url).send().status, 404 | 410), "an ended session's URL stays dead");
    let again = anna.watch(&film);
    assert_eq!(Ask::get(&again).range(0, 999).send().bytes(), &film.bytes()[..1000]);
}

/// Every route but the open ones refuses no token, and a token of every other scope, and doesn't refuse its own.
#[test]
fn every_route_of_the_table_asks_for_its_scope() {
    let daemon = Options::default().env("TORRENT_TIMEOUT", "200").start();
    let bearers: Vec<_> =
        Scope::ALL.map(|scope| (scope, daemon.person("anna", scope.as_str(), &[]))).into_iter().collect();
    for route in routes::list() {
        let (method, path) = (route.method.as_str(), filled(&route));
        let ask = |ask: Ask| if method == "GET" { ask } else { ask.json(&json!({})) };
        let bare = ask(Ask::new(method, &daemon.url(&path))).send();
        let Access::Scope(scope) = route.access else {
            assert_eq!(bare.status, 200, "{method} {path}");
            continue;
        };
        // Addresses with many bad tokens are slowed down.
        if bare.status != 429 {
            assert!(bare.header("www-authenticate").is_some(), "{method} {path}");
            assert_eq!(bare.problem(), (401, "token_missing".to_owned()), "{method} {path}");
        }
        for (held, person) in &bearers {
            let answer = ask(person.ask(method, &path)).send();
            if *held == scope || *held == Scope::Admin {
                assert!(
                    !matches!(answer.status, 401 | 403),
                    "{method} {path} with {held}: {}",
                    answer.status
                );
                // The hash is nobody's: `no_metadata` is the only failure on the daemon's side there may be.
                assert!(answer.status < 500 || answer.status == 504, "{method} {path}: {}", answer.status);
            } else {
                let challenge = answer.header("www-authenticate").expect("403 says which scope").to_owned();
                assert!(challenge.contains(&format!("scope=\"{scope}\"")), "{method} {path}: {challenge}");
                assert_eq!(answer.problem(), (403, "forbidden".to_owned()), "{method} {path} with {held}");
            }
        }
    }
    daemon.end();
}
