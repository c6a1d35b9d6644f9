//! The announcer against trackers on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use afflux::announce::{AnnounceConfig, Announcer, AnnouncerHandle, Shared, Totals};
use afflux::fetch::{FetchConfig, Fetcher};
use afflux::policy::{SourcePolicy, SourceSettings};
use afflux::tracker_server::TrackerServer;
use afflux_metainfo::{InfoHash, PeerId};
use afflux_tracker::Policy;
use afflux_tracker::tiers::Health;
use tokio::sync::{mpsc, watch};

use crate::servers::{UdpTracker, WebServer, ok, soon};

const INFO_HASH: InfoHash = InfoHash([0xab; 20]);

/// A torrent with its announcer.
struct Torrent {
    handle: AnnouncerHandle,
    totals: watch::Sender<Totals>,
    peers: mpsc::Receiver<Vec<SocketAddr>>,
}

struct Options {
    allow_local: bool,
    timeout: Duration,
    proxy: Option<String>,
    id: u8,
}

const USUAL: Options = Options { allow_local: true, timeout: Duration::from_secs(15), proxy: None, id: b'a' };

fn start(tiers: &[&[String]], options: Options) -> Torrent {
    start_under(Arc::default(), tiers, options)
}

/// The same where the owner has rules.
fn start_under(rules: Arc<SourcePolicy>, tiers: &[&[String]], options: Options) -> Torrent {
    let Options { allow_local, timeout, proxy, id } = options;
    let config = FetchConfig {
        policy: Policy { allow_local },
        user_agent: "Afflux/test".into(),
        timeout,
        proxy,
        bind: None,
    };
    let shared = Shared::new(Arc::new(Fetcher::new(config).unwrap()), None);
    shared.fetcher().set_sources(rules);
    let (totals, totals_rx) = watch::channel(Totals { uploaded: 1, downloaded: 2, left: 3 });
    let (peers_tx, peers) = mpsc::channel(4);
    let config = AnnounceConfig {
        tiers: tiers.iter().map(|tier| tier.to_vec()).collect(),
        info_hash: INFO_HASH,
        peer_id: PeerId([id; 20]),
        port: 6881,
        timeout,
    };
    Torrent { handle: Announcer::start(config, shared, totals_rx, peers_tx), totals, peers }
}

/// Waits until a tracker's state is so.
async fn until(torrent: &Torrent, health: Health) -> afflux_tracker::tiers::Status {
    soon(async {
        loop {
            if let Some(status) = torrent.handle.status().into_iter().find(|status| status.health == health) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_http_tracker_hears_started_completed_and_stopped() {
    let body = b"d8:completei4e10:incompletei5e8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1\
        10:tracker id2:t!e";
    let tracker = WebServer::fixed(ok("", body)).await;
    let mut torrent = start(&[&[tracker.url("/announce?passkey=1")]], USUAL);
    assert_eq!(soon(torrent.peers.recv()).await.unwrap(), ["1.2.3.4:6881".parse().unwrap()]);
    let hash = "%AB".repeat(20);
    let started = format!("GET /announce?passkey=1&info_hash={hash}&peer_id=");
    tracker.asked(&[&started, "&uploaded=1&downloaded=2&left=3&", "&event=started"]).await;
    let status = until(&torrent, Health::Working).await;
    assert_eq!((status.peers, status.complete, status.incomplete), (1, Some(4), Some(5)));

    torrent.totals.send(Totals { uploaded: 7, downloaded: 5, left: 0 }).unwrap();
    torrent.handle.completed().await;
    tracker.asked(&["&uploaded=7&downloaded=5&left=0&", "&event=completed", "&trackerid=t%21"]).await;
    until(&torrent, Health::Working).await;
    torrent.handle.stop().await;
    assert_eq!(tracker.heads().len(), 3, "stop returns when the tracker was told");
    assert!(tracker.heads()[2].contains("&event=stopped&numwant=0"));
}

#[tokio::test]
async fn two_torrents_meet_at_our_own_tracker_over_both_families() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let tracker = TrackerServer::start(address.parse().unwrap()).await.unwrap();
        let first = start(&[&[tracker.announce_url()]], USUAL);
        until(&first, Health::Working).await;
        let mut second = start(&[&[tracker.announce_url()]], Options { id: b'b', ..USUAL });
        let met = soon(second.peers.recv()).await.unwrap();
        assert_eq!(met, [SocketAddr::new(tracker.address().ip(), 6881)]);
        second.handle.stop().await;
        assert_eq!(tracker.peers(INFO_HASH).len(), 1, "the second has left");
        first.handle.stop().await;
        assert_eq!(tracker.peers(INFO_HASH), []);
    }
}

#[tokio::test]
async fn a_denied_tracker_hears_nothing_under_any_name() {
    let mut udp = UdpTracker::start("127.0.0.1:0", vec![1, 2, 3, 4, 0, 1]).await;
    let http = WebServer::fixed(ok("", b"d5:peers0:e")).await;
    let deny_trackers = vec!["127.0.0.0/8".parse().unwrap()];
    let rules = Arc::new(SourcePolicy::from(SourceSettings { deny_trackers, ..Default::default() }));
    for url in [
        format!("udp://{}", udp.address),
        format!("udp://localhost:{}", udp.address.port()),
        http.url("/announce"),
        format!("http://localhost:{}/announce", http.address.port()),
    ] {
        let torrent = start_under(Arc::clone(&rules), &[std::slice::from_ref(&url)], USUAL);
        let message = until(&torrent, Health::Failing).await.message.unwrap();
        assert!(message.contains("deny-tracker = 127.0.0.0/8"), "{url}: {message}");
        torrent.handle.stop().await;
    }
    assert!(udp.announces.try_recv().is_err() && http.heads().is_empty());
}

#[tokio::test]
async fn a_udp_tracker_hears_started_and_stopped_over_both_families() {
    let v4: (&str, &[u8]) = ("127.0.0.1:0", &[1, 2, 3, 4]);
    let v6: (&str, &[u8]) = ("[::1]:0", &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    for (address, peer) in [v4, v6] {
        let mut tracker = UdpTracker::start(address, [peer, &[0x1a, 0xe1]].concat()).await;
        let mut torrent = start(&[&[format!("udp://{}/announce?x=1", tracker.address)]], USUAL);
        let peers = soon(torrent.peers.recv()).await.unwrap();
        assert_eq!((peers.len(), peers[0].port(), peers[0].is_ipv6()), (1, 6881, peer.len() == 16));
        let started = soon(tracker.announces.recv()).await.unwrap();
        assert_eq!(started[16..36], INFO_HASH.0);
        assert_eq!(started[80..84], [0, 0, 0, 2]);
        assert_eq!(&started[98..], b"\x02\x0d/announce?x=1");
        until(&torrent, Health::Working).await;
        torrent.handle.stop().await;
        let stopped = tracker.announces.try_recv().expect("told before stop returns");
        assert_eq!(stopped[80..84], [0, 0, 0, 3]);
        assert_eq!(*tracker.connects.lock().unwrap(), 1, "the connection id was used again");
    }
}

#[tokio::test]
async fn a_tracker_by_name_is_resolved() {
    let tracker = UdpTracker::start("127.0.0.1:0", vec![1, 2, 3, 4, 0, 9]).await;
    let mut torrent = start(&[&[format!("udp://localhost:{}", tracker.address.port())]], USUAL);
    assert_eq!(soon(torrent.peers.recv()).await.unwrap(), ["1.2.3.4:9".parse().unwrap()]);
}

#[tokio::test]
async fn local_trackers_are_not_asked_unless_allowed() {
    let web = WebServer::fixed(ok("", b"d5:peers0:e")).await;
    let mut udp = UdpTracker::start("127.0.0.1:0", vec![]).await;
    for url in [
        web.url("/announce"),
        format!("http://localhost:{}/announce", web.address.port()),
        format!("udp://{}", udp.address),
        format!("udp://localhost:{}", udp.address.port()),
    ] {
        let torrent = start(&[std::slice::from_ref(&url)], Options { allow_local: false, ..USUAL });
        let message = until(&torrent, Health::Failing).await.message.unwrap();
        assert!(message.contains("is not a public address"), "{url}: {message}");
        torrent.handle.stop().await;
    }
    assert!(web.heads().is_empty() && udp.announces.try_recv().is_err());
}

#[tokio::test]
async fn a_torrent_cannot_press_buttons_on_local_addresses() {
    let router = WebServer::fixed(ok("", b"d5:peers0:e")).await;
    let torrent = start(&[&[router.url("/apply.cgi?reboot=1")]], USUAL);
    let message = until(&torrent, Health::Failing).await.message.unwrap();
    assert!(message.contains("/announce"), "{message}");
    assert!(router.heads().is_empty());
}

#[tokio::test]
async fn the_next_of_a_tier_and_the_other_tiers_do_not_wait_for_a_dead_tracker() {
    let body = b"d8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1e";
    let (second, other) = (WebServer::fixed(ok("", body)).await, WebServer::fixed(ok("", body)).await);
    let refusing = WebServer::fixed(ok("", b"d14:failure reason7:not youe")).await;
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("udp://{}", silent.local_addr().unwrap());
    let tiers: [&[String]; 3] =
        [&[refusing.url("/announce"), second.url("/announce")], &[silent_url], &[other.url("/announce")]];
    let mut torrent = start(&tiers, USUAL);
    for _ in 0..2 {
        soon(torrent.peers.recv()).await.unwrap();
    }
    second.asked(&["&event=started"]).await;
    other.asked(&["&event=started"]).await;
    let status = torrent.handle.status();
    let failing = status.iter().find(|status| status.health == Health::Failing);
    assert!(failing.is_none_or(|status| status.message.as_deref() == Some("the tracker says: not you")));
    assert!(status.iter().any(|status| status.health == Health::Announcing), "the silent one still has time");
}

#[tokio::test]
async fn an_attempt_ends_in_its_time() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let torrent = start(&[&[url]], Options { timeout: Duration::from_millis(200), ..USUAL });
    let status = until(&torrent, Health::Failing).await;
    assert_eq!(status.message.as_deref(), Some("the tracker did not answer in time"));
    assert_eq!(status.failures, 1);
}

#[tokio::test]
async fn leaving_does_not_wait_for_a_tracker_that_hangs() {
    let hanging = WebServer::start(|_, stream| async move {
        let _open = stream;
        std::future::pending().await
    })
    .await;
    let torrent = start(&[&[hanging.url("/announce")]], USUAL);
    hanging.asked(&["&event=started"]).await;
    // Its own attempt would have 15 s, and `soon` gives up after 20: two of them would not fit.
    soon(torrent.handle.stop()).await;
    assert!(hanging.heads().iter().any(|head| head.contains("&event=stopped")), "it may know us");
}

#[tokio::test]
async fn dropping_the_handle_leaves_too() {
    let tracker = WebServer::fixed(ok("", b"d8:intervali1800e5:peers0:e")).await;
    let torrent = start(&[&[tracker.url("/announce")]], USUAL);
    until(&torrent, Health::Working).await;
    drop(torrent);
    tracker.asked(&["&event=stopped"]).await;
}

#[tokio::test]
async fn through_a_proxy_no_udp_leaks() {
    let proxy = WebServer::fixed(ok("", b"d8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1e")).await;
    let mut udp = UdpTracker::start("127.0.0.1:0", vec![]).await;
    let tiers: [&[String]; 2] =
        [&["http://tracker.example/announce".to_owned()], &[format!("udp://{}", udp.address)]];
    let mut torrent = start(&tiers, Options { proxy: Some(format!("http://{}", proxy.address)), ..USUAL });
    soon(torrent.peers.recv()).await.unwrap();
    let message = until(&torrent, Health::Failing).await.message.unwrap();
    assert!(message.contains("proxy"), "{message}");
    assert!(udp.announces.try_recv().is_err());
    proxy.asked(&["GET http://tracker.example/announce?info_hash="]).await;
}

#[tokio::test]
async fn refused_urls_are_reported() {
    let torrent = start(
        &[&["wss://tracker.example".to_owned(), "http://xn--e1afmkfd.example/announce".to_owned()]],
        USUAL,
    );
    assert!(torrent.handle.status().is_empty());
    assert_eq!(torrent.handle.refused().len(), 2);
    torrent.handle.stop().await;
}
