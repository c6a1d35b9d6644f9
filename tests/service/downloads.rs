//! Downloads as scripts ask for them: every form of the request, the daemon's folder, a kill in the middle.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::daemon::{Options, Person};
use crate::film::{Film, MIB, film_bytes};
use crate::harness::{Scratch, wait_for};

impl Person {
    fn keep(&self, body: &Value) -> Value {
        self.post("/api/downloads", body).value()
    }

    fn kept(&self, film: &Film) -> Value {
        self.get(&format!("/api/downloads/{}", film.hash)).value()
    }

    fn patch(&self, film: &Film, body: &Value) -> Value {
        self.ask("PATCH", &format!("/api/downloads/{}", film.hash)).json(body).send().value()
    }

    fn wait_kept(&self, film: &Film, state: &str) -> Value {
        let mut last = json!(null);
        wait_for(&format!("a download is at: {state}"), || {
            last = self.kept(film);
            (last["state"] == state).then(|| last.clone())
        })
    }
}

#[test]
fn a_download_is_asked_for_in_every_form_and_changed_and_removed() {
    let films = [Film::new(1, 2 * MIB), Film::new(2, 2 * MIB), Film::new(3, 2 * MIB)];
    let seeders = [films[0].seeder("127.0.4.1"), films[1].seeder("127.0.4.2")];
    let scratch = Scratch::new();
    let (seed, address) = films[2].real_seeder(&scratch, &[]);
    let folder = Scratch::new();
    let downloads = folder.folder("downloads");
    let options = Options::default().peers(&[&seeders[0], &seeders[1]]).arg(&["--peer", &address]);
    let daemon = options.arg(&["--download-dir", &downloads.display().to_string()]).start();
    let (anna, bert) = (daemon.viewer("anna"), daemon.viewer("bert"));

    let base64 = STANDARD.encode(&films[0].torrent);
    let kept = anna.keep(&json!({"torrent": base64, "sequential": true, "uploadLimit": 0, "seedRatio": 2.5}));
    assert_eq!((&kept["infoHash"], &kept["sequential"]), (&json!(films[0].hash), &json!(true)));
    assert_eq!((&kept["seedRatio"], &kept["uploadLimit"]), (&json!(2.5), &json!(null)));
    let ask = anna.ask("POST", "/api/downloads?files=0&seedRatio=0&downloadLimit=50000000");
    let kept = ask.body("application/x-bittorrent", &films[1].torrent).send().value();
    assert_eq!((&kept["files"], &kept["downloadLimit"]), (&json!([0]), &json!(50_000_000)));
    let kept = anna.keep(&json!({"magnet": films[2].magnet()}));
    assert!(kept["progress"] == 0.0 && kept.get("files").is_none() && kept.get("user").is_none(), "{kept}");
    for (film, state) in films.iter().zip(["seeding", "complete", "seeding"]) {
        let kept = anna.wait_kept(film, state);
        assert_eq!((&kept["progress"], &kept["size"]), (&json!(1.0), &json!(film.bytes().len())));
        let name = kept["name"].as_str().expect("a name");
        assert!(std::fs::read(downloads.join(name)).expect("the file") == film.bytes());
    }
    assert_eq!(anna.get("/api/downloads").value().as_array().map(Vec::len), Some(3));
    assert_eq!(bert.get("/api/downloads").value(), json!([]));
    assert_eq!(daemon.admin().get("/api/downloads?limit=2").value()[0]["user"], "anna");

    let path = format!("/api/downloads/{}", films[0].hash);
    assert_eq!(bert.get(&path).problem(), (404, "no_download".to_owned()));
    assert_eq!(bert.delete(&path).problem(), (404, "no_download".to_owned()));
    assert_eq!(anna.patch(&films[0], &json!({"seedRatio": null})).get("seedRatio"), None);
    assert_eq!(anna.post(&format!("{path}/pause"), &json!(null)).value()["state"], "paused");
    assert_eq!(anna.patch(&films[0], &json!({"paused": false}))["state"], "queued");
    assert_eq!(anna.delete(&format!("{path}?data=delete")).status, 204);
    assert_eq!(anna.get(&path).problem(), (404, "no_download".to_owned()));
    assert!(!downloads.join("film 1.mkv").exists() && downloads.join("film 2.mkv").exists());
    let torrent = format!("/api/torrents/{}?data=delete", films[1].hash);
    assert_eq!(anna.delete(&torrent).status, 204);
    assert!(!downloads.join("film 2.mkv").exists());
    drop(seed);
    daemon.end();
}

#[test]
fn requests_that_make_no_sense_get_a_sentence() {
    let daemon = Options::default().start();
    let (anna, film) = (daemon.viewer("anna"), Film::new(1, MIB));
    let magnet = film.magnet();
    for (body, code) in [
        (json!({}), "bad_request"),
        (json!({"magnet": magnet, "url": "http://example.org/a.torrent"}), "bad_request"),
        (json!({"magnet": magnet, "files": []}), "bad_request"),
        (json!({"magnet": magnet, "files": [-1]}), "bad_request"),
        (json!({"magnet": magnet, "seedRatio": -1}), "bad_request"),
        (json!({"magnet": magnet, "speed": 1}), "bad_request"),
        (json!({"magnet": "magnet:?xt=urn:btih:12"}), "bad_source"),
        (json!({"torrent": STANDARD.encode("d4:infoe")}), "bad_source"),
        (json!({"torrent": STANDARD.encode(&film.torrent), "files": [1]}), "no_such_file"),
    ] {
        assert_eq!(anna.post("/api/downloads", &body).problem().1, code, "{body}");
    }
    let ask = anna.ask("POST", "/api/downloads?sequential=true").json(&json!({"magnet": magnet}));
    assert_eq!(ask.send().problem(), (400, "bad_request".to_owned()), "all of it in the body");
    let ask = anna.ask("POST", "/api/downloads?files=1,x");
    let refused = ask.body("application/x-bittorrent", &film.torrent).send().problem();
    assert_eq!(refused, (400, "bad_request".to_owned()));
    assert_eq!(anna.get("/api/downloads").value(), json!([]));
    assert_eq!(anna.get("/api/downloads?after=x").problem().0, 400);
    daemon.end();
}

#[test]
fn a_kill_in_the_middle_loses_no_download() {
    let films =
        [Film::new(1, 6 * MIB), Film::folder("paused", vec![("a.mkv".to_owned(), film_bytes(2, 4 * MIB))])];
    let seeders = [films[0].slow_seeder("127.0.4.5", MIB), films[1].slow_seeder("127.0.4.6", MIB)];
    let mut daemon = Options::default().peers(&[&seeders[0], &seeders[1]]).start();
    let anna = daemon.viewer("anna");
    for film in &films {
        anna.keep(&json!({"torrent": STANDARD.encode(&film.torrent)}));
    }
    wait_for("both have begun", || {
        films.iter().all(|film| anna.kept(film)["progress"].as_f64() > Some(0.2)).then_some(())
    });
    anna.patch(&films[1], &json!({"paused": true}));
    daemon.restart("KILL");
    let kept = anna.kept(&films[1]);
    assert_eq!((&kept["state"], &kept["name"].is_string()), (&json!("paused"), &true));
    anna.wait_kept(&films[0], "seeding");
    let file = daemon.scratch.path("daemon.state").join("downloads").join("film 1.mkv");
    assert!(std::fs::read(file).expect("the file") == films[0].bytes());
    anna.patch(&films[1], &json!({"paused": false}));
    anna.wait_kept(&films[1], "seeding");
    daemon.end();
}

#[test]
fn who_is_disabled_downloads_nothing_until_enabled_again() {
    let film = Film::new(1, 6 * MIB);
    let seeder = film.slow_seeder("127.0.4.7", MIB);
    let mut daemon = Options::default().peers(&[&seeder]).start();
    let (anna, admin) = (daemon.viewer("anna"), daemon.admin());
    anna.keep(&json!({"torrent": STANDARD.encode(&film.torrent)}));
    wait_for("it has begun", || (anna.kept(&film)["progress"].as_f64() > Some(0.1)).then_some(()));
    let disable = |disabled| {
        let ask = admin.ask("PATCH", "/api/users/anna").json(&json!({"disabled": disabled}));
        assert_eq!(ask.send().value()["disabled"], disabled);
    };
    disable(true);
    assert_eq!(admin.wait_kept(&film, "queued")["downloadRate"], 0);
    daemon.restart("TERM");
    let kept = admin.kept(&film);
    assert_eq!((&kept["state"], &kept["user"]), (&json!("queued"), &json!("anna")), "after a restart too");
    disable(false);
    anna.wait_kept(&film, "seeding");
    daemon.end();
}
