//! Peers that die, lie or fall silent while a film is streamed from them: it goes on from the others, and no wrong byte
//! reaches the player.

use std::io::Read;

use crate::film::{Film, Stream};
use crate::harness::http;
use crate::wire::{Manner, Seeder};

/// Well above the film's rate, so that a test doesn't take as long as the film.
const FAST: usize = 400_000;

/// Reads the whole stream as a player does and compares it with the film.
fn assert_plays(film: &Film, stream: &Stream) {
    let response = http::get(&stream.url, None);
    assert_eq!(response.status, 200);
    assert!(response.bytes() == film.content.bytes, "the stream differs from the film");
}

fn peers(seeders: &[&Seeder]) -> Vec<String> {
    seeders.iter().map(|seeder| seeder.address.to_string()).collect()
}

#[test]
fn a_seeder_that_dies_is_replaced_by_the_others() {
    let film = Film::mp4();
    let mortal = film.seeder("127.0.0.4", Manner::DiesAfter(700_000), FAST);
    let steady = film.seeder("127.0.0.5", Manner::Honest, FAST);
    let stream = film.stream(&peers(&[&mortal, &steady]), &[]);
    assert_plays(&film, &stream);
    assert!(
        mortal.given_bytes() >= 700_000,
        "it was to die in the middle, and gave {}",
        mortal.given_bytes()
    );
    stream.end();
}

#[test]
fn a_seeder_of_wrong_bytes_is_banned_and_none_reach_the_player() {
    let film = Film::mkv();
    let liar = film.seeder("127.0.0.6", Manner::Corrupt, FAST);
    let honest = ["127.0.0.7", "127.0.0.8"].map(|ip| film.seeder(ip, Manner::Honest, FAST));
    let mut stream = film.stream(&peers(&[&liar, &honest[0], &honest[1]]), &[]);
    assert_plays(&film, &stream);
    let line = stream.process.logged("banned");
    assert!(line.contains("127.0.0.6"), "the wrong one is banned: {line}");
    let log = stream.process.stderr();
    let banned: Vec<&str> = log.lines().filter(|line| line.contains("banned")).collect();
    assert!(
        banned.iter().all(|line| !line.contains("127.0.0.7") && !line.contains("127.0.0.8")),
        "{banned:?}"
    );
    stream.end();
}

#[test]
fn a_seeder_that_never_answers_delays_nothing_for_long() {
    let film = Film::mp4();
    let silent = film.seeder("127.0.0.9", Manner::Silent, FAST);
    let honest = film.seeder("127.0.0.10", Manner::Honest, FAST);
    let stream = film.stream(&peers(&[&silent, &honest]), &["--peer-timeout", "4000"]);
    assert_plays(&film, &stream);
    assert!(silent.asked() > 0, "the silent one was never asked");
    stream.end();
}

#[test]
fn a_film_goes_on_when_its_only_seeder_comes_back() {
    let film = Film::mkv();
    let mortal = film.seeder("127.0.0.11", Manner::DiesAfter(500_000), FAST);
    let stream = film.stream(&peers(&[&mortal]), &[]);
    let mut response = http::get(&stream.url, None);
    let mut head = vec![0; 200_000];
    response.body.read_exact(&mut head).expect("the head comes");
    // The reader waits in the middle of the body; the peer that it needs appears later, by dialling us.
    let mut rest = Vec::new();
    let late = film.seeder("127.0.0.12", Manner::Honest, FAST);
    late.dial(stream.peer_port);
    let length = film.length() - head.len();
    response.body.take(length as u64).read_to_end(&mut rest).expect("the body is held open");
    assert!([head, rest].concat() == film.content.bytes, "the stream differs from the film");
    stream.end();
}
