//! `afflux serve` as a process of its own, its tokens, and users who talk to it.

use serde_json::{Value, json};

use crate::film::Film;
use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::process::Process;
use crate::harness::{Scratch, wait_for};
use crate::http::{Answer, Ask};
use crate::wire::Seeder;

/// What somebody may who watches films.
pub(crate) const VIEWER: &str = "torrents:read torrents:write stream download analytics";
/// Requests per second that no test reaches but those about that limit.
const ENOUGH: &str = "100000";

/// How a daemon is started.
#[derive(Clone, Default)]
pub(crate) struct Options {
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Options {
    pub(crate) fn arg(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With these peers.
    pub(crate) fn peers(self, seeders: &[&Seeder]) -> Self {
        seeders.iter().fold(self, |options, seeder| options.arg(&["--peer", &seeder.address.to_string()]))
    }

    pub(crate) fn start(self) -> Daemon {
        Daemon::start(self, Scratch::new())
    }
}

/// A running daemon with a folder of its own.
pub(crate) struct Daemon {
    /// Ends before its folder, which has what it said, for tests that fail.
    pub(crate) process: Process,
    pub(crate) scratch: Scratch,
    pub(crate) base: String,
    /// Where it takes peers.
    pub(crate) peer_port: u16,
    options: Options,
}

/// A user, by one token.
#[derive(Clone)]
pub(crate) struct Person {
    base: String,
    pub(crate) token: String,
}

impl Daemon {
    /// With nothing special about it.
    pub(crate) fn new() -> Self {
        Options::default().start()
    }

    pub(crate) fn start(options: Options, scratch: Scratch) -> Self {
        let (process, base, peer_port) = run(&scratch, &options, 0);
        Self { scratch, base, process, peer_port, options }
    }

    /// Ends it by a signal and starts it again, in the same folder and on the same port.
    pub(crate) fn restart(&mut self, signal: &str) {
        self.restart_after(signal, |_| {});
    }

    /// The same, with something done while it is down.
    pub(crate) fn restart_after(&mut self, signal: &str, work: impl Fn(&Self)) {
        self.process.signal(signal);
        let status = self.process.wait();
        assert!(signal == "KILL" || status.success(), "{status}: {}", self.process.stderr());
        work(self);
        let port = self.base.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        (self.process, self.base, self.peer_port) = run(&self.scratch, &self.options, port);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What `afflux token --json` prints with these arguments.
    pub(crate) fn mint(&self, arguments: &[&str]) -> Value {
        self.command(&[&["token"], arguments].concat()).pop().expect("a token")
    }

    /// What a command says that is run in the daemon's data folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Vec<Value> {
        let state = self.scratch.path("daemon.state");
        Afflux::plain(&self.scratch, "command").arg("--data-dir").arg(state).args(arguments).succeed()
    }

    /// A user with a new token.
    pub(crate) fn person(&self, name: &str, scope: &str, more: &[&str]) -> Person {
        let object = self.mint(&[&["--user", name, "--scope", scope], more].concat());
        self.bearer(object["token"].as_str().expect("a token"))
    }

    pub(crate) fn viewer(&self, name: &str) -> Person {
        self.person(name, VIEWER, &[])
    }

    pub(crate) fn admin(&self) -> Person {
        self.person("root", "admin", &[])
    }

    /// Whoever has this token.
    pub(crate) fn bearer(&self, token: &str) -> Person {
        Person { base: self.base.clone(), token: token.to_owned() }
    }

    /// Ends it as a person does; it must end well.
    pub(crate) fn end(mut self) {
        self.process.signal("TERM");
        self.process.succeed();
    }
}

fn run(scratch: &Scratch, options: &Options, port: u16) -> (Process, String, u16) {
    let run =
        Afflux::new(scratch, "daemon").arg("serve").args(ALONE).args(["--json", "--port", &port.to_string()]);
    let run = run.env("STREAM_RATE_LIMIT", ENOUGH);
    let run = options.variables.iter().fold(run, |run, (name, value)| run.env(name, value));
    let mut process = run.args(&options.arguments).start();
    let listening = process.event("listening");
    let base = listening["url"].as_str().expect("a URL").to_owned();
    (process, base, listening["peerPort"].as_u64().expect("a port") as u16)
}

impl Person {
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask {
        Ask::new(method, &format!("{}{path}", self.base)).token(&self.token)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send()
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path).send()
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask("PUT", path).json(body).send()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path).json(body).send()
    }

    /// Names a torrent by its file.
    pub(crate) fn parse(&self, film: &Film) -> Value {
        let ask = self.ask("POST", "/api/torrents/parse");
        ask.body("application/x-bittorrent", &film.torrent).send().value()
    }

    /// Asks for a session.
    pub(crate) fn start(&self, film: &Film) -> Answer {
        self.ask("GET", &format!("/api/stream/{}", film.hash)).header("Accept", "application/json").send()
    }

    /// Names a torrent and starts a session for it.
    pub(crate) fn stream(&self, film: &Film) -> Value {
        self.parse(film);
        self.start(film).value()
    }

    /// The URL of a session for a player.
    pub(crate) fn watch(&self, film: &Film) -> String {
        self.stream(film)["url"].as_str().expect("a URL").to_owned()
    }

    pub(crate) fn status(&self, film: &Film) -> Value {
        self.get(&format!("/api/stream/{}/status", film.hash)).value()
    }

    /// Waits until the session is at this.
    pub(crate) fn wait_state(&self, film: &Film, state: &str) -> Value {
        self.wait_status(film, state, |status| status["state"] == state)
    }

    /// Waits until a look at the session satisfies.
    pub(crate) fn wait_status(&self, film: &Film, what: &str, satisfies: impl Fn(&Value) -> bool) -> Value {
        let mut last = json!(null);
        wait_for(&format!("a stream is at: {what}"), || {
            last = self.status(film);
            satisfies(&last).then(|| last.clone())
        })
    }
}
