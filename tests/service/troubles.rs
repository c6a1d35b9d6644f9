//! What is wrong with a stream is said while its player waits, and playback goes on by itself when it is over.

use serde_json::Value;

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB, PIECE_LENGTH};
use crate::http::Ask;
use crate::wire::{Manner, Seeder};

/// Waits count as stalls soon, so that tests needn't wait for long.
const IMPATIENT: (&str, &str) = ("STREAM_TIMEOUT", "1000");

fn daemon(peers: &[&Seeder], more: &[&str]) -> Daemon {
    Options::default().env(IMPATIENT.0, IMPATIENT.1).peers(peers).arg(more).start()
}

fn wait_trouble(viewer: &Person, film: &Film, code: &str) -> Value {
    viewer.wait_status(film, code, |status| status["error"]["code"] == code)
}

#[test]
fn a_stream_of_which_nobody_has_the_rest_says_so_and_goes_on_when_somebody_comes() {
    let film = Film::new(70, 4 * MIB);
    let there = 2 * MIB / PIECE_LENGTH;
    let half = Seeder::start("127.0.3.70", &film.content, Manner::HasFirst(there), 200 * MIB);
    let daemon = daemon(&[&half], &["--allow-local-addresses", "--pace", "false"]);
    let viewer = daemon.viewer("anna");
    let url = viewer.watch(&film);
    let mut answer = Ask::get(&url).send();
    assert!(answer.next(2 * MIB) == film.bytes()[..2 * MIB], "the first half differs");

    let stalled = viewer.wait_state(&film, "stalled");
    assert_eq!(stalled["error"]["code"], "swarm_incomplete", "{stalled}");
    assert!(stalled["error"]["since"].as_u64().is_some_and(|since| since > 0), "{stalled}");
    assert!(stalled["stalls"]["count"].as_u64().is_some_and(|count| count > 0), "{stalled}");

    let whole = film.seeder("127.0.3.71");
    whole.dial(daemon.peer_port);
    assert!(answer.bytes() == film.bytes()[2 * MIB..], "the same answer goes on with the second half");
    viewer.wait_status(&film, "no trouble", |status| status["error"].is_null());
    daemon.end();
}

#[test]
fn a_stream_whose_trackers_are_all_down_says_so() {
    let film = Film::new(71, MIB);
    // Nobody listens there: the port is that of a socket that was just closed.
    let gone =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let tracker = format!("http://{gone}/announce");
    let daemon = daemon(&[], &["--allow-local-addresses", "--tracker", &tracker]);
    let viewer = daemon.viewer("anna");
    viewer.stream(&film);
    let waiting = wait_trouble(&viewer, &film, "tracker_down");
    assert!(
        waiting["error"]["detail"].as_str().is_some_and(|detail| detail.contains("tracker")),
        "{waiting}"
    );
    daemon.end();
}

#[test]
fn a_stream_without_anybody_says_so() {
    let film = Film::new(72, MIB);
    let daemon = daemon(&[], &[]);
    let viewer = daemon.viewer("anna");
    viewer.stream(&film);
    wait_trouble(&viewer, &film, "no_peers");
    daemon.end();
}
