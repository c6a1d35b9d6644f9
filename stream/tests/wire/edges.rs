//! What stands before the routes: proxies, names, forged requests, and what every answer carries.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::{Client, File, Site, eventually};
use afflux_stream::HostPolicy;

/// Asks for the path at which the test's service tells what it knows of the request.
async fn told(site: &Site, lines: &str) -> String {
    let mut client = site.send(&format!("GET /told HTTP/1.1{lines}")).await;
    let head = client.head().await;
    String::from_utf8(client.body(head.length()).await).unwrap()
}

async fn behind_proxy() -> Site {
    Site::with([File::complete("film.mkv", 10)], |config| {
        config.proxies.trusted = vec!["127.0.0.0/8".parse().unwrap()];
        config.hosts = HostPolicy { names: vec!["tv.example".into()] };
    })
    .await
}

const FORWARDED: &str = "\nHost: afflux:8080\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\
                         \nX-Forwarded-Proto: https\nX-Forwarded-Host: tv.example\nX-Request-Id: from-proxy";

#[tokio::test]
async fn a_trusted_proxy_tells_of_client_and_url() {
    let site = behind_proxy().await;
    assert_eq!(told(&site, FORWARDED).await, "203.0.113.9 https://tv.example from-proxy");
    let standard = "\nForwarded: for=\"[2001:db8::7]\";proto=https;host=tv.example";
    assert!(told(&site, standard).await.starts_with("2001:db8::7 https://tv.example "));
}

#[tokio::test]
async fn nobody_else_can_claim_to_be_another() {
    let site = Site::new([]).await;
    let lines = FORWARDED.replace("afflux:8080", "localhost:81");
    let said = told(&site, &lines).await;
    assert!(said.starts_with("127.0.0.1 http://localhost:81 "), "{said}");
    assert!(!said.ends_with("from-proxy"), "{said}");
}

#[tokio::test]
async fn the_host_a_proxy_tells_of_is_judged_too() {
    let site = behind_proxy().await;
    let lines = FORWARDED.replace("tv.example", "evil.example");
    assert_eq!(site.send(&format!("GET /told HTTP/1.1{lines}")).await.head().await.status, 421);
}

#[tokio::test]
async fn a_public_url_stands_for_whatever_was_asked() {
    let site =
        Site::with([], |config| config.proxies.public_url = Some("https://tv.example/a/".parse().unwrap()))
            .await;
    assert!(told(&site, "").await.contains(" https://tv.example/a "));
    assert!(told(&site, "\nHost: tv.example").await.contains(" https://tv.example/a "));
}

#[tokio::test]
async fn every_answer_has_an_id_and_the_json_service_no_frames() {
    let site = behind_proxy().await;
    for (path, status) in [("/told", 200), ("/stream/0/film.mkv", 200), ("/stream/9/x", 404)] {
        let mut client = site.send(&format!("GET {path} HTTP/1.1{FORWARDED}")).await;
        let head = client.head().await;
        assert_eq!((head.status, head.get("x-request-id")), (status, Some("from-proxy")), "{path}");
        assert_eq!(head.get("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let mut client = site.send("GET /told HTTP/1.1").await;
    let head = client.head().await;
    assert_eq!(head.get("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"));
    assert_eq!(head.get("referrer-policy"), Some("no-referrer"));
    let mut client = site.send("GET /told HTTP/1.1\nHost: evil.example").await;
    let head = client.head().await;
    assert_eq!((head.status, head.get("cache-control")), (421, Some("no-store")));
}

#[tokio::test]
async fn pages_of_other_sites_change_nothing() {
    let site = Site::with([], |config| config.origins = vec!["https://friend.example".into()]).await;
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("https://friend.example", 200),
        ("http://localhost", 200),
    ] {
        let request = format!("POST /api/torrents/parse HTTP/1.1\nOrigin: {origin}\nContent-Length: 0");
        let mut client = Client::new(site.addr).await;
        client.send(&request).await;
        assert_eq!(client.head().await.status, status, "{origin}");
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_request_is_a_line_without_tokens() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    // For all tests of this program: one that holds for a thread only misses lines while others run.
    tracing::subscriber::set_global_default(lines).unwrap();
    let site = behind_proxy().await;
    let proxy = FORWARDED.replace("from-proxy", "one-of-a-kind");
    let mut client = site.send(&format!("GET /stream/0/film.mkv?token=SECRET HTTP/1.1{proxy}")).await;
    let head = client.head().await;
    client.body(head.length()).await;
    let line = || log.text().lines().find(|line| line.contains("one-of-a-kind")).map(str::to_owned);
    eventually("the line is written", || line().is_some()).await;
    let text = line().unwrap();
    for part in ["client=203.0.113.9", "method=GET", "path=/stream/…/film.mkv", "status=200", "bytes=10"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("SECRET") && !text.contains("/stream/0/"), "{text}");
}
