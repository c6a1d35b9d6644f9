//! HTTPS: certificates and keys of every kind, what is agreed on, what is refused, and clients that never finish a handshake.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Client, File, PIECE, Site, content, within};
use afflux_stream::{Tls, TlsSettings};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/pem").join(name)
}

fn load(certificate: &str, key: &str) -> Tls {
    Tls::load(TlsSettings::new(pem(certificate), pem(key))).unwrap()
}

async fn site(tls: &Tls) -> Site {
    let film = File::complete("film.mkv", 4 * PIECE);
    Site::with([film], |config| config.tls = Some(tls.clone())).await
}

/// Connects as one who trusts only `certificate`.
async fn connect(
    site: &Site,
    certificate: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem(certificate)).unwrap()).unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(site.addr).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within("a handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// The whole answer to a request, head and body.
async fn ask(stream: &mut TlsStream<TcpStream>, target: &str) -> Vec<u8> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn films_come_over_tls_with_every_kind_of_key() {
    for (certificate, key) in
        [("ec.pem", "ec-sec1.pem"), ("ec.pem", "ec-pkcs8.pem"), ("rsa.pem", "rsa-pkcs1.pem")]
    {
        let site = site(&load(certificate, key)).await;
        let mut stream = connect(&site, certificate, &["http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let answer = ask(&mut stream, "/stream/0/film.mkv").await;
        assert!(answer.ends_with(&content(0..4 * PIECE)), "{key}");
    }
}

#[tokio::test]
async fn what_lies_in_a_file_is_encrypted_like_the_rest() {
    let film = File::complete("film.mkv", 4 * PIECE);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &content(0..4 * PIECE)).unwrap();
    film.put_on_disk(file, |_| true);
    let tls = load("ec.pem", "ec-sec1.pem");
    let site = Site::with([film], |config| config.tls = Some(tls)).await;
    let mut stream = connect(&site, "ec.pem", &[]).await.unwrap();
    assert!(ask(&mut stream, "/stream/0/film.mkv").await.ends_with(&content(0..4 * PIECE)));
}

#[tokio::test]
async fn browsers_get_http2_and_the_service_knows_of_tls() {
    let site = site(&load("ec.pem", "ec-sec1.pem")).await;
    let stream = connect(&site, "ec.pem", &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("https://localhost/told").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = within("an answer", sender.send_request(request)).await.unwrap();
    let told = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(told.starts_with(b"127.0.0.1 https://localhost "), "{told:?}");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let place = |from: &str, from_key: &str| {
        std::fs::copy(pem(from), &certificate).unwrap();
        std::fs::copy(pem(from_key), &key).unwrap();
    };
    place("ec.pem", "ec-sec1.pem");
    let tls = Tls::load(TlsSettings::new(&certificate, &key)).unwrap();
    let site = site(&tls).await;
    let mut old = connect(&site, "ec.pem", &[]).await.unwrap();
    place("rsa.pem", "rsa-pkcs1.pem");
    tls.reload().unwrap();
    assert!(connect(&site, "ec.pem", &[]).await.is_err(), "the old certificate is gone");
    connect(&site, "rsa.pem", &[]).await.unwrap();
    assert!(ask(&mut old, "/told").await.starts_with(b"HTTP/1.1 200"), "who is connected stays");
    // A mistake on disk leaves the last good one in use.
    place("rsa.pem", "ec-sec1.pem");
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("can't be used together"), "{error}");
    connect(&site, "rsa.pem", &[]).await.unwrap();
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_cut() {
    let site = site(&load("ec.pem", "ec-sec1.pem")).await;
    let mut client = site.send("GET /told HTTP/1.1").await;
    let answer = within("the server hangs up", client.rest()).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is told in the clear");
}

#[tokio::test]
async fn clients_that_never_finish_a_handshake_hold_no_place_of_others() {
    let tls = load("ec.pem", "ec-sec1.pem");
    // One place for connections, and a handshake that nobody finishes.
    let site = Site::with([], |config| {
        config.tls = Some(tls);
        config.connections_max = 1;
    })
    .await;
    let _silent = Client::new(site.addr).await;
    let mut stream = connect(&site, "ec.pem", &[]).await.unwrap();
    assert!(ask(&mut stream, "/told").await.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn one_address_has_only_so_many_handshakes_and_only_so_long() {
    let mut settings = TlsSettings::new(pem("ec.pem"), pem("ec-sec1.pem"));
    settings.handshake_timeout = Duration::from_millis(500);
    let tls = Tls::load(settings).unwrap();
    let site = site(&tls).await;
    let mut silent = Vec::new();
    for _ in 0..afflux_stream::limits::HANDSHAKES_PER_ADDRESS_MAX {
        silent.push(Client::new(site.addr).await);
    }
    // All are cut when their time is over, the first of them and one too many alike.
    within("one too many is cut", Client::new(site.addr).await.rest()).await;
    for mut client in silent {
        within("the silent are cut", client.rest()).await;
    }
    connect(&site, "ec.pem", &[]).await.unwrap();
}
