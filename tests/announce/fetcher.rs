//! The fetcher against servers that redirect, bomb, dawdle and never end.

use std::time::Duration;

use afflux::fetch::{FetchConfig, FetchError, Fetcher};
use afflux_tracker::{Policy, Refused};
use tokio::io::AsyncWriteExt;

use crate::servers::{CERTIFICATE, WebServer, gzip_bomb, ok, self_signed_server, soon};

const LOCAL: Policy = Policy { allow_local: true };
const STRICT: Policy = Policy { allow_local: false };

/// Far above what loopback needs and far below what a test waits.
const GENEROUS: Duration = Duration::from_secs(15);

fn config(policy: Policy) -> FetchConfig {
    FetchConfig { policy, user_agent: "Afflux/test".into(), timeout: GENEROUS, proxy: None, bind: None }
}

fn fetcher(policy: Policy) -> Fetcher {
    Fetcher::new(config(policy)).unwrap()
}

async fn get(url: &str) -> Result<Vec<u8>, FetchError> {
    soon(fetcher(LOCAL).get(url, 1000)).await
}

#[tokio::test]
async fn a_body_arrives_and_the_request_says_who_asks() {
    let server = WebServer::fixed(ok("", b"hello")).await;
    assert_eq!(get(&server.url("/x?y=%00")).await.unwrap(), b"hello");
    let head = &server.heads()[0];
    assert!(head.starts_with("GET /x?y=%00 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("user-agent: Afflux/test\r\n"), "{head}");
}

#[tokio::test]
async fn local_addresses_are_refused_in_every_spelling() {
    let server = WebServer::fixed(ok("", b"secret")).await;
    let port = server.address.port();
    for host in
        ["127.0.0.1", "localhost", "LOCALHOST.", "x.localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
    {
        let url = format!("http://{host}:{port}/announce");
        let refused = soon(fetcher(STRICT).get(&url, 1000)).await;
        assert!(matches!(refused, Err(FetchError::Refused { .. })), "{url}: {refused:?}");
    }
    for url in ["http://0.0.0.0:80/", "http://169.254.169.254/latest", "http://[::]:80/"] {
        let refused = get(url).await;
        assert!(
            matches!(refused, Err(FetchError::Refused { refused: Refused::Never(_), .. })),
            "{url}: {refused:?}"
        );
    }
    assert!(server.heads().is_empty());
}

#[tokio::test]
async fn names_are_checked_after_they_are_resolved() {
    // Not a literal address to us, and loopback to the resolver: what DNS rebinding comes down to.
    let addresses = afflux::fetch::resolve("localhost", 80, STRICT, None).await;
    assert!(matches!(addresses, Err(afflux::fetch::ResolveError::Refused(_))), "{addresses:?}");
    let addresses = afflux::fetch::resolve("localhost", 80, LOCAL, None).await.unwrap();
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
}

#[tokio::test]
async fn other_schemes_and_ports_of_other_services_are_refused() {
    for url in ["ftp://1.1.1.1/", "file:///etc/passwd", "gopher://1.1.1.1/"] {
        assert!(matches!(get(url).await, Err(FetchError::Url(_))), "{url}");
    }
    for url in ["http://1.1.1.1:25/", "http://127.0.0.1:22/", "http://127.0.0.1:6379/"] {
        let refused = get(url).await;
        assert!(matches!(refused, Err(FetchError::Refused { refused: Refused::Port(_), .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_and_bounded() {
    let end = WebServer::fixed(ok("", b"end")).await;
    let start = WebServer::redirecting(end.url("/end")).await;
    assert_eq!(get(&start.url("/start")).await.unwrap(), b"end");

    let ring = WebServer::redirecting("/again").await;
    assert!(matches!(get(&ring.url("/")).await, Err(FetchError::Redirects { .. })));
    assert_eq!(ring.heads().len(), 6, "the request and five redirects");
}

#[tokio::test]
async fn redirects_to_other_schemes_are_refused() {
    for to in ["ftp://127.0.0.1/x", "file:///etc/passwd"] {
        let server = WebServer::redirecting(to).await;
        assert!(matches!(get(&server.url("/")).await, Err(FetchError::Url(_))), "{to}");
    }
}

/// The public internet is played by a proxy: what it answers comes from a public name.
async fn behind_proxy(proxy: &WebServer, policy: Policy) -> Result<Vec<u8>, FetchError> {
    let proxy = Some(format!("http://{}", proxy.address));
    let fetcher = Fetcher::new(FetchConfig { proxy, ..config(policy) }).unwrap();
    soon(fetcher.get("http://tracker.example/announce", 1000)).await
}

#[tokio::test]
async fn redirects_from_public_to_local_are_refused_whatever_the_user_allows() {
    let secret = WebServer::fixed(ok("", b"secret")).await;
    for policy in [STRICT, LOCAL] {
        for host in ["127.0.0.1", "localhost", "2130706433", "[::1]"] {
            let proxy = WebServer::redirecting(format!("http://{host}:{}/", secret.address.port())).await;
            let refused = behind_proxy(&proxy, policy).await;
            assert!(matches!(refused, Err(FetchError::Refused { .. })), "{host}: {refused:?}");
            assert_eq!(proxy.heads().len(), 1, "the second request never left");
        }
    }
    assert!(secret.heads().is_empty());
}

#[tokio::test]
async fn a_proxy_gets_names_unresolved() {
    let proxy = WebServer::fixed(ok("", b"proxied")).await;
    assert_eq!(behind_proxy(&proxy, STRICT).await.unwrap(), b"proxied");
    assert!(proxy.heads()[0].starts_with("GET http://tracker.example/announce HTTP/1.1\r\n"));
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let other = WebServer::fixed(ok("", b"end")).await;
    let first = WebServer::redirecting(other.url("/end")).await;
    let url = format!("http://me:secret@{}/start", first.address);
    assert_eq!(get(&url).await.unwrap(), b"end");
    assert!(first.heads()[0].contains("authorization: Basic "));
    assert!(!other.heads()[0].to_lowercase().contains("authorization"), "{}", other.heads()[0]);

    let planting = WebServer::redirecting(format!("http://evil:evil@{}/end", other.address)).await;
    get(&planting.url("/")).await.unwrap();
    assert!(!other.heads()[1].to_lowercase().contains("authorization"), "{}", other.heads()[1]);
}

#[tokio::test]
async fn a_gzip_bomb_stops_at_the_bound() {
    let bomb = gzip_bomb(400_000);
    assert!(bomb.len() < 700_000, "a hundred megabytes inside");
    let server = WebServer::fixed(ok("Content-Encoding: gzip\r\n", &bomb)).await;
    let result = soon(fetcher(LOCAL).get(&server.url("/"), 1024 * 1024)).await;
    assert!(matches!(result, Err(FetchError::TooLarge { .. })), "{result:?}");
}

#[tokio::test]
async fn an_endless_body_stops_at_the_bound() {
    let endless = |_, mut stream: tokio::net::TcpStream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        loop {
            stream.write_all(b"8\r\nmore....\r\n").await?;
        }
    };
    let server = WebServer::start(endless).await;
    assert!(matches!(get(&server.url("/")).await, Err(FetchError::TooLarge { .. })));
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_read() {
    // No body follows: waiting for it would time out.
    let server = WebServer::fixed("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n").await;
    assert!(matches!(get(&server.url("/")).await, Err(FetchError::TooLarge { bytes_max: 1000, .. })));
    let exact = WebServer::fixed(ok("", &[7; 1000])).await;
    assert_eq!(get(&exact.url("/")).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn slow_headers_and_slow_bodies_time_out() {
    let impatient =
        Fetcher::new(FetchConfig { timeout: Duration::from_millis(200), ..config(LOCAL) }).unwrap();
    for start in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"] {
        let drip = move |_, mut stream: tokio::net::TcpStream| async move {
            stream.write_all(start.as_bytes()).await?;
            std::future::pending().await
        };
        let server = WebServer::start(drip).await;
        let result = soon(impatient.get(&server.url("/"), 1000)).await;
        assert!(matches!(result, Err(FetchError::TimedOut { .. })), "{start:?}: {result:?}");
    }
}

#[tokio::test]
async fn endless_headers_are_cut() {
    let endless = |_, mut stream: tokio::net::TcpStream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            stream.write_all(b"X-More: more\r\n").await?;
        }
    };
    let server = WebServer::start(endless).await;
    let result = get(&server.url("/")).await;
    assert!(matches!(result, Err(FetchError::Connection { .. })), "{result:?}");
}

#[tokio::test]
async fn errors_are_sentences_without_the_passkey() {
    let server = WebServer::fixed("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let error = get(&server.url("/passkey/announce")).await.unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1 answers 404 Not Found");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = get(&format!("http://{closed}/passkey/announce")).await.unwrap_err();
    assert!(matches!(error, FetchError::Connection { .. }), "{error:?}");
    assert!(!error.to_string().contains("passkey"), "{error}");
}

#[tokio::test]
async fn attack_46_a_certificate_that_nobody_signed_is_refused() {
    let (address, _server) = self_signed_server(ok("", b"forged")).await;
    let url = format!("https://{address}/passkey");
    let error = get(&url).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Connection { cause, .. } if cause.contains("ertificate")),
        "{error}"
    );

    // The server is sound: one that trusts it is served.
    let certificate = reqwest::Certificate::from_pem(CERTIFICATE).unwrap();
    let trusting = reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap();
    let body = soon(trusting.get(&url).send()).await.unwrap().bytes().await.unwrap();
    assert_eq!(&body[..], b"forged");
}

#[tokio::test]
async fn a_proxy_that_is_none_is_refused_at_the_start() {
    let config = FetchConfig { proxy: Some("not a url".into()), ..config(LOCAL) };
    assert!(matches!(Fetcher::new(config), Err(FetchError::Client(_))));
}
