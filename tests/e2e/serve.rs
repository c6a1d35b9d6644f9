//! The daemon without accounts, on loopback: parse, stream, health, a clean end.

use serde_json::Value;

use crate::film::{Film, addresses};
use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::http;
use crate::wire::Manner;

#[test]
fn the_daemon_streams_a_torrent_that_it_was_given() {
    let film = Film::mp4();
    let seeders = [film.seeder("127.0.0.50", Manner::Honest, 2_000_000)];
    let mut daemon = Afflux::new(&film.scratch, "daemon")
        .args(["serve", "--port", "0", "--json", "--peer", &addresses(&seeders)[0]])
        .args(ALONE)
        .env("STREAM_AUTH_REQUIRED", "false")
        .start();
    let base = daemon.event("listening")["url"].as_str().expect("a URL").to_owned();
    assert_eq!(http::get(&format!("{base}/healthz"), None).status, 200);

    let torrent = std::fs::read(&film.torrent).expect("our own file");
    let parsed = http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", &torrent);
    assert_eq!(parsed.status, 200);
    let parsed: Value = serde_json::from_slice(&parsed.bytes()).expect("JSON");
    assert_eq!(parsed["totalSize"], film.length());
    let hash = parsed["infoHash"].as_str().expect("a v1 torrent");

    let media = http::get(&format!("{base}/api/stream/{hash}"), Some((1_000_000, 1_099_999)));
    assert_eq!((media.status, media.header("content-type")), (206, Some("video/mp4")));
    let range = format!("bytes 1000000-1099999/{}", film.length());
    assert_eq!(media.header("content-range"), Some(range.as_str()));
    assert!(media.bytes() == film.content.bytes[1_000_000..1_100_000], "the range differs");
    assert!(http::get(&format!("{base}/api/stream/{hash}"), None).bytes() == film.content.bytes);

    let unknown = http::get(&format!("{base}/api/nothing"), None);
    assert_eq!((unknown.status, unknown.header("content-type")), (404, Some("application/problem+json")));
    let wrong = http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", b"no torrent");
    assert!((400..500).contains(&wrong.status), "{}", wrong.status);

    daemon.signal("TERM");
    daemon.succeed();
}
