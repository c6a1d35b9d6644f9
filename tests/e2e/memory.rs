//! Films that are larger than the memory they may take.

use crate::film::{Film, addresses};
use crate::harness::http;
use crate::wire::Manner;

const MIB: usize = 1024 * 1024;

#[test]
fn a_film_larger_than_the_memory_plays_to_its_end_and_then_from_its_start_again() {
    let film = Film::noise(24 * MIB + 12_345);
    let seeders = [film.seeder("127.0.0.40", Manner::Honest, 8 * MIB)];
    let stream = film.stream(&addresses(&seeders), &["--memory", "--stream-cache-size", "6M"]);
    assert!(http::get(&stream.url, None).bytes() == film.content.bytes, "the stream differs from the film");
    for start in [20 * MIB, 10 * MIB + 7, 0] {
        let range = (start as u64, (start + 2 * MIB) as u64);
        let bytes = http::get(&stream.url, Some(range)).bytes();
        assert!(bytes == film.content.bytes[start..=start + 2 * MIB], "the bytes from {start} on differ");
    }
    assert!(seeders[0].given_bytes() > film.length(), "what was let go is fetched again");
    stream.end();
}

#[test]
fn readers_at_both_ends_are_served_at_once() {
    let film = Film::noise(16 * MIB);
    let seeders = [film.seeder("127.0.0.41", Manner::Honest, MIB)];
    let stream = film.stream(&addresses(&seeders), &[]);
    let url = stream.url.clone();
    let whole = std::thread::spawn(move || http::get(&url, None).bytes());
    let tail = (film.length() - 64 * 1024) as u64..=film.length() as u64 - 1;
    let bytes = http::get(&stream.url, Some((*tail.start(), *tail.end()))).bytes();
    assert!(bytes == film.content.bytes[film.length() - 64 * 1024..], "the tail differs");
    assert!(seeders[0].given_bytes() < film.length() / 2, "the tail waited for the head");
    assert!(whole.join().expect("the reader of the head") == film.content.bytes, "the head differs");
    stream.end();
}
