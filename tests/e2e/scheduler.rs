//! What a user sees of the scheduler: why a stream waited, strategies that change while it runs, the next episode's head.

use std::io::Read;

use serde_json::Value;

use crate::film::{Film, addresses};
use crate::harness::afflux::{ALONE, Afflux, create, info_hash};
use crate::harness::process::Process;
use crate::harness::{Scratch, http, payload, wait_for};
use crate::wire::{Content, Manner, Seeder};

const FAST: usize = 4_000_000;

/// A daemon without accounts, and where it listens.
fn daemon(scratch: &Scratch, seeders: &[Seeder], more: &[&str]) -> (Process, String) {
    let mut process = Afflux::new(scratch, "daemon")
        .args(["serve", "--port", "0", "--json", "--peer", &addresses(seeders)[0]])
        .args(ALONE)
        .args(more)
        .env("STREAM_AUTH_REQUIRED", "false")
        .start();
    let base = process.event("listening")["url"].as_str().expect("a URL").to_owned();
    (process, base)
}

fn change(base: &str, hash: &str, strategy: &str) -> (u16, Value) {
    let body = format!("{{\"strategy\": {strategy:?}}}");
    let answer = http::patch(&format!("{base}/api/torrents/{hash}"), "application/json", body.as_bytes());
    let status = answer.status;
    (status, serde_json::from_slice(&answer.bytes()).expect("JSON, or a problem in JSON"))
}

#[test]
fn a_running_torrent_takes_every_strategy_in_turn_and_arrives_whole() {
    let film = Film::mp4();
    let seeders = [film.seeder("127.0.0.51", Manner::Honest, 700_000)];
    let folder = film.scratch.folder("kept");
    let kept = ["--storage", "disk", "--download-dir", folder.to_str().expect("a plain path")];
    let (mut daemon, base) = daemon(&film.scratch, &seeders, &kept);
    let hash = info_hash(&film.scratch, &film.torrent);
    assert_eq!(change(&base, &hash, "rarest").0, 404, "nobody named it yet");

    let torrent = std::fs::read(&film.torrent).expect("our own file");
    assert_eq!(
        http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", &torrent).status,
        200
    );
    let media = format!("{base}/api/stream/{hash}");
    assert_eq!(http::get(&media, Some((0, 99))).status, 206);
    for strategy in afflux_swarm::StrategyName::ALL {
        let (status, answer) = change(&base, &hash, strategy.as_str());
        assert_eq!((status, answer["strategy"].as_str()), (200, Some(strategy.as_str())), "{answer}");
    }
    assert!(http::get(&media, None).bytes() == film.content.bytes, "the film differs");

    let (status, answer) = change(&base, &hash, "fastest");
    let detail = answer["detail"].as_str().expect("a problem says what it is");
    assert!(status == 400 && detail.contains("fastest") && detail.contains("rarest"), "{status} {detail}");
    daemon.signal("TERM");
    daemon.succeed();
}

#[test]
fn a_stream_in_memory_keeps_to_deadlines_and_says_why() {
    let film = Film::mp4();
    let seeders = [film.seeder("127.0.0.52", Manner::Honest, FAST)];
    let (mut daemon, base) = daemon(&film.scratch, &seeders, &[]);
    let hash = info_hash(&film.scratch, &film.torrent);
    let torrent = std::fs::read(&film.torrent).expect("our own file");
    http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", &torrent);
    assert_eq!(http::get(&format!("{base}/api/stream/{hash}"), Some((0, 99))).status, 206);
    let (status, answer) = change(&base, &hash, "rarest");
    assert_eq!((status, answer["code"].as_str()), (409, Some("not_for_this_storage")));
    assert_eq!(change(&base, &hash, "deadline").0, 200);
    daemon.signal("TERM");
    daemon.succeed();
}

#[test]
fn every_wait_of_a_reader_is_explained() {
    let film = Film::mp4();
    let slow = film.seeder("127.0.0.53", Manner::Honest, 60_000);
    let mut stream = film.stream(&[slow.address.to_string()], &[]);
    assert_eq!(http::get(&stream.url, Some((300_000, 500_000))).bytes().len(), 200_001);
    let wait = stream.process.event("wait");
    assert_eq!((&wait["file"], &wait["ended"]), (&Value::from(0), &Value::from(true)));
    assert!(wait["waitedMs"].as_u64().is_some_and(|waited| waited > 0), "{wait}");
    assert!(wait["why"].as_str().is_some_and(|why| !why.is_empty()), "{wait}");
    let asked = wait["asks"].as_array().expect("who was asked");
    let peers = asked.iter().filter(|ask| ask["fate"] == "delivered").map(|ask| &ask["peer"]);
    assert!(
        peers.clone().count() > 0 && peers.clone().all(|peer| *peer == slow.address.to_string()),
        "{wait}"
    );
    stream.end();

    let (mut daemon, base) = daemon(&film.scratch, std::slice::from_ref(&slow), &[]);
    let hash = info_hash(&film.scratch, &film.torrent);
    assert_eq!(http::get(&format!("{base}/api/stream/{hash}/trace"), None).status, 404, "nothing runs");
    let torrent = std::fs::read(&film.torrent).expect("our own file");
    http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", &torrent);
    assert_eq!(http::get(&format!("{base}/api/stream/{hash}"), Some((0, 70_000))).bytes().len(), 70_001);
    let told = http::get(&format!("{base}/api/stream/{hash}/trace"), None);
    assert_eq!(told.status, 200);
    let told: Value = serde_json::from_slice(&told.bytes()).expect("JSON");
    assert_eq!(told["infoHash"].as_str(), Some(hash.as_str()));
    let stalls = told["stalls"].as_array().expect("a list");
    assert!(stalls.iter().all(|stall| stall["why"].is_string()) && !stalls.is_empty(), "{told}");
    daemon.signal("TERM");
    daemon.succeed();
}

#[test]
fn the_head_of_the_next_episode_comes_before_anybody_asks_for_it() {
    const EPISODE: usize = 6 * 1024 * 1024;
    const PIECE: u32 = 64 * 1024;
    let scratch = Scratch::new();
    let season = scratch.folder("Season 1");
    let mut bytes = Vec::new();
    for (nth, name) in ["e1.mkv", "e2.mkv"].into_iter().enumerate() {
        let path = payload::single(&season, name, 60 + nth as u64, EPISODE);
        bytes.extend(std::fs::read(path).expect("just written"));
    }
    let torrent = create(&scratch, &season, PIECE, &[]);
    let content = Content::new(&info_hash(&scratch, &torrent), PIECE as usize, bytes);
    let seeder = Seeder::start("127.0.0.54", &content, Manner::Honest, FAST);
    let mut process = Afflux::new(&scratch, "stream")
        .arg("stream")
        .arg(&torrent)
        .args(["--file", "0", "--port", "0", "--json", "--peer", &seeder.address.to_string()])
        .args(ALONE)
        .start();
    let url = process.event("ready")["url"].as_str().expect("a URL").to_owned();
    assert!(!seeder.has_given(EPISODE, 2 * EPISODE), "only the first is streamed");
    // A player that has read half of it.
    let mut watched = http::get(&url, None).body;
    let mut first = vec![0; EPISODE];
    let (read, rest) = first.split_at_mut(EPISODE / 2);
    watched.read_exact(read).expect("the film goes on");
    wait_for("the head of the second episode", || seeder.has_given(EPISODE, EPISODE + 1).then_some(()));
    watched.read_exact(rest).expect("the film comes to its end");
    assert!(first == content.bytes[..EPISODE], "the first episode differs");
    assert!(!seeder.has_given(EPISODE + 5 * 1024 * 1024, 2 * EPISODE), "its head, and no more");
    process.signal("TERM");
    process.succeed();
}
