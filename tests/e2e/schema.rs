//! The API against its own description: schemathesis asks for everything that the description allows and for much that it
//! doesn't, and no answer may be one that the description doesn't know. It asks a daemon alone on loopback, which has one torrent.
//!
//! All checks of schemathesis are on, of which one finds nothing to do: whether users see each other's things, which takes two
//! users and is `tests/service/isolation.rs`'s. What little the others are told is in `schema/schemathesis.toml` and
//! `schema/hooks.py`. Requests are the same in each run. A defect that was found here has a test of its own beside the code (`src/api/tests.rs`).

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::afflux::{ALONE, Afflux, create, info_hash};
use crate::harness::payload::noise;
use crate::harness::process::Process;
use crate::harness::{Scratch, http, repository};

/// The releases whose verdicts are known, as in `xtask/src/tools.rs`.
const SCHEMATHESIS: &str = "4.32.5";
const VALIDATOR: &str = "0.9.0";
/// Who asks, and may everything.
const USER: &str = "schema";
const SCOPES: &str = "torrents:read torrents:write stream download analytics admin";
/// Requests for each operation and kind of data: with the coverage of all limits some two thousand in all.
const EXAMPLES: &str = "20";
/// What a film has that is there at once.
const FILM_BYTES: usize = 300_000;
/// How Matroska files begin.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// A daemon that nothing leaves, with a torrent whose film is on disk.
struct Described {
    scratch: Scratch,
    daemon: Process,
    base: String,
    torrent: PathBuf,
    hash: String,
    film: PathBuf,
}

impl Described {
    fn start() -> Self {
        let scratch = Scratch::new();
        let film = scratch.path("film.mkv");
        let mut bytes = noise(1, FILM_BYTES);
        bytes[..EBML.len()].copy_from_slice(&EBML);
        std::fs::write(&film, &bytes).expect("our own folder");
        let torrent = create(&scratch, &film, 65_536, &[]);
        let hash = info_hash(&scratch, &torrent);
        let place = scratch.folder("films").join(&hash);
        std::fs::create_dir(&place).expect("our own folder");
        let place = place.join("film.mkv");
        std::fs::rename(&film, &place).expect("our own folder");
        let mut daemon = Afflux::new(&scratch, "daemon")
            .args(["serve", "--port", "0", "--json", "--storage", "disk", "--download-dir"])
            .arg(scratch.path("films"))
            .args(ALONE)
            // Texts that happen to be links lead nowhere, and nobody waits for peers that can't be there.
            .args(["--deny-host", "*", "--deny-tracker", "*", "--torrent-timeout", "200"])
            // Thousands of requests in a minute are what this is about.
            .args(["--max-streams", "0", "--pace", "false", "--torrents-per-hour", "0"])
            .args(["--parse-failures-per-hour", "0", "--stream-starts-per-minute", "0"])
            .args(["--ranges-per-second", "0", "--networks-per-token", "0", "--bulk-factor", "0"])
            .env("STREAM_RATE_LIMIT", "100000")
            .env("MAX_CONCURRENT_STREAMS", "1000")
            .start();
        let base = daemon.event("listening")["url"].as_str().expect("a URL").to_owned();
        Self { scratch, daemon, base, torrent, hash, film: place }
    }

    fn token(&self) -> String {
        let state = self.scratch.path("daemon.state");
        let run = Afflux::plain(&self.scratch, "token").arg("--data-dir").arg(state);
        let object = run.args(["token", "--user", USER, "--scope", SCOPES]).succeed().pop();
        object.expect("a token")["token"].as_str().expect("a token").to_owned()
    }

    fn end(mut self) {
        self.daemon.signal("TERM");
        self.daemon.succeed();
    }
}

/// Python with a package of this release; without it the test fails by its name.
fn python(package: &str, release: &str) -> Command {
    let program = repository("target/venv/bin/python3");
    let script = format!("from importlib.metadata import version; print(version({package:?}))");
    let found = Command::new(&program).args(["-c", &script]).output();
    let found = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    assert!(
        found.as_ref().is_ok_and(|found| found == release),
        "{package} is missing: python3 -m venv target/venv && target/venv/bin/pip install {package}=={release} \
         (cargo xtask test does it)"
    );
    let mut command = Command::new(program);
    command.arg("-Wignore");
    command
}

/// Runs it to a good end.
fn succeed(command: &mut Command) {
    let output = command.output().expect("python runs");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

#[test]
fn every_answer_is_one_that_the_description_knows() {
    let described = Described::start();
    let mut schemathesis = python("schemathesis", SCHEMATHESIS);
    schemathesis
        .current_dir(repository("tests/e2e/schema"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AFFLUX_BASE", &described.base)
        .env("AFFLUX_USER", USER)
        .env("AFFLUX_TOKEN", described.token())
        .env("AFFLUX_TORRENT", &described.torrent)
        .env("AFFLUX_HASH", &described.hash)
        .env("AFFLUX_FILM", &described.film)
        .args(["-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"])
        .arg(format!("{}/openapi.json", described.base))
        .args(["--url", &described.base, "--max-examples", EXAMPLES]);
    succeed(&mut schemathesis);
    described.end();
}

#[test]
fn the_description_is_openapi_3_1() {
    let described = Described::start();
    let document = http::get(&format!("{}/openapi.json", described.base), None).bytes();
    let version: Value = serde_json::from_slice(&document).expect("JSON");
    assert!(version["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    let file = described.scratch.path("openapi.json");
    std::fs::write(&file, document).expect("our own folder");
    succeed(python("openapi-spec-validator", VALIDATOR).args(["-m", "openapi_spec_validator"]).arg(file));
    described.end();
}
