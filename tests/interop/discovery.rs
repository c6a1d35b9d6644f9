//! Peers found by every way there is but being told: opentracker over HTTP and UDP, a magnet's `x.pe`, the DHT alone.

use std::path::PathBuf;

use crate::harness::afflux::{ALONE, Afflux, create, info_hash};
use crate::harness::clients::{Libtorrent, Opentracker, libtorrent};
use crate::harness::process::Process;
use crate::harness::{Scratch, free_port, http, payload, wait_for};

struct Share {
    scratch: Scratch,
    shared: PathBuf,
    fetched: PathBuf,
    torrent: PathBuf,
    hash: String,
}

impl Share {
    fn new() -> Self {
        let scratch = Scratch::new();
        let (shared, fetched) = (scratch.folder("shared"), scratch.folder("fetched"));
        let payload = payload::single(&shared, "to be found", 31, 1_000_003);
        let torrent = create(&scratch, &payload, 32 * 1024, &[]);
        let hash = info_hash(&scratch, &torrent);
        Self { scratch, shared, fetched, torrent, hash }
    }

    fn magnet(&self) -> String {
        format!("magnet:?xt=urn:btih:{}", self.hash)
    }

    fn assert_fetched(&self) {
        payload::assert_same(&self.shared, &self.fetched);
    }
}

/// Waits until the tracker counts so many seeders.
fn wait_for_seeders(tracker: &Opentracker, hash: &str, count: usize) {
    let escaped: String = (0..20).map(|nth| format!("%{}", &hash[2 * nth..2 * nth + 2])).collect();
    let url = format!("http://127.0.0.1:{}/scrape?info_hash={escaped}", tracker.port);
    wait_for(&format!("the tracker knows {count} seeders"), || {
        let body = http::get(&url, None).bytes();
        String::from_utf8_lossy(&body).contains(&format!("8:completei{count}e")).then_some(())
    });
}

fn we_find_libtorrent(scheme: &str) {
    let share = Share::new();
    let tracker = Opentracker::start(&share.scratch, &[&share.hash]);
    let url = format!("{scheme}://127.0.0.1:{}/announce", tracker.port);
    let _seeder = Libtorrent::seed(&share.scratch, &share.torrent, &share.shared, &["--tracker", &url]);
    wait_for_seeders(&tracker, &share.hash, 1);
    Afflux::new(&share.scratch, "download")
        .args(["download", &share.magnet(), "--tracker", &url, "--allow-local-addresses", "-o"])
        .arg(&share.fetched)
        .args(ALONE)
        .succeed();
    share.assert_fetched();
}

fn libtorrent_finds_us(scheme: &str) {
    let share = Share::new();
    let tracker = Opentracker::start(&share.scratch, &[&share.hash]);
    let url = format!("{scheme}://127.0.0.1:{}/announce", tracker.port);
    let seed =
        Afflux::new(&share.scratch, "seed").arg("seed").arg(&share.torrent).arg("-o").arg(&share.shared);
    let mut seed = seed.args(["--tracker", &url, "--allow-local-addresses"]).args(ALONE).start();
    wait_for_seeders(&tracker, &share.hash, 1);
    let (magnet, save) = (share.magnet(), share.fetched.to_string_lossy());
    let arguments = ["--magnet", &magnet, "--save", &save, "--tracker", &url];
    let mut session = Libtorrent::session(&share.scratch, "libtorrent-fetch", &arguments);
    session.process.event("seeding");
    share.assert_fetched();
    wait_for_seeders(&tracker, &share.hash, 2);
    // A clean end says goodbye to the tracker.
    seed.signal("TERM");
    seed.succeed();
    wait_for_seeders(&tracker, &share.hash, 1);
}

#[test]
fn opentracker_over_http_tells_us_of_libtorrent() {
    we_find_libtorrent("http");
}

#[test]
fn opentracker_over_udp_tells_us_of_libtorrent() {
    we_find_libtorrent("udp");
}

#[test]
fn opentracker_over_http_tells_libtorrent_of_us() {
    libtorrent_finds_us("http");
}

#[test]
fn opentracker_over_udp_tells_libtorrent_of_us() {
    libtorrent_finds_us("udp");
}

#[test]
fn a_magnet_names_its_peer() {
    let share = Share::new();
    let seeder = Libtorrent::seed(&share.scratch, &share.torrent, &share.shared, &[]);
    let magnet = format!("{}&x.pe={}", share.magnet(), seeder.address);
    let download =
        Afflux::new(&share.scratch, "download").args(["download", &magnet, "-o"]).arg(&share.fetched);
    download.args(ALONE).arg("--allow-local-addresses").succeed();
    share.assert_fetched();
}

/// libtorrent nodes that know each other, and their addresses.
fn libtorrent_nodes(share: &Share) -> (Process, Vec<String>) {
    let port = free_port().to_string();
    let mut nodes = Process::start(&share.scratch, "nodes", &mut libtorrent(&["nodes", "--port", &port]));
    let said = nodes.event("nodes");
    let addresses = said["nodes"].as_array().expect("a list").iter();
    let addresses = addresses.map(|node| node.as_str().expect("an address").to_owned()).collect();
    (nodes, addresses)
}

#[test]
fn the_dht_of_libtorrent_tells_us_of_libtorrent() {
    let share = Share::new();
    let (_nodes, addresses) = libtorrent_nodes(&share);
    let known = ["--node", &addresses[0], "--node", &addresses[1]];
    let _seeder = Libtorrent::seed(&share.scratch, &share.torrent, &share.shared, &known);
    let (magnet, bootstrap) = (share.magnet(), &addresses[4]);
    Afflux::new(&share.scratch, "download")
        .args([
            "download",
            &magnet,
            "--bind",
            "127.0.0.1",
            "--peer-port",
            "0",
            "--dht-bootstrap",
            bootstrap,
            "-o",
        ])
        .arg(&share.fetched)
        .succeed();
    share.assert_fetched();
}

#[test]
fn the_dht_of_libtorrent_tells_libtorrent_of_us() {
    let share = Share::new();
    let (_nodes, addresses) = libtorrent_nodes(&share);
    let seed =
        Afflux::new(&share.scratch, "seed").arg("seed").arg(&share.torrent).arg("-o").arg(&share.shared);
    let _seed =
        seed.args(["--bind", "127.0.0.1", "--peer-port", "0", "--dht-bootstrap", &addresses[0]]).start();
    let (magnet, save) = (share.magnet(), share.fetched.to_string_lossy());
    let arguments = ["--magnet", &magnet, "--save", &save, "--node", &addresses[4], "--node", &addresses[2]];
    Libtorrent::session(&share.scratch, "libtorrent-fetch", &arguments).process.event("seeding");
    share.assert_fetched();
}

#[test]
fn a_dht_of_mainline_nodes_tells_us_of_a_peer() {
    let share = Share::new();
    let seeder = Libtorrent::seed(&share.scratch, &share.torrent, &share.shared, &[]);
    let port = seeder.address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let testnet = mainline::Testnet::builder(10).build().expect("loopback nodes start");
    let announcer = mainline::Dht::builder().bootstrap(&testnet.bootstrap).build().expect("a loopback node");
    let hash = mainline::Id::from_bytes(hex(&share.hash)).expect("20 bytes");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let announced = runtime.block_on(announcer.as_async().announce_peer(hash, Some(port)));
    announced.expect("the testnet takes announces");
    let mut download = Afflux::new(&share.scratch, "download").args(["download", &share.magnet(), "-o"]);
    download = download.arg(&share.fetched).args([
        "--bind",
        "127.0.0.1",
        "--peer-port",
        "0",
        "--allow-local-addresses",
    ]);
    for node in testnet.bootstrap.iter().take(3) {
        download = download.args(["--dht-bootstrap", node]);
    }
    download.succeed();
    share.assert_fetched();
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|nth| u8::from_str_radix(&text[2 * nth..2 * nth + 2], 16).expect("hex")).collect()
}
