//! Trackers and web servers to be talked to: each does one thing and remembers what it was asked.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Longest wait for something that must happen; only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// What must happen, or the test fails.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not happen")
}

/// A web server whose every connection is answered by a function of the request's head.
pub(crate) struct WebServer {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl WebServer {
    /// `answer` gets the request's head and the connection.
    pub(crate) async fn start<F, Fut>(answer: F) -> Self
    where
        F: Fn(String, TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&heads), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(head) = read_head(&mut stream).await else { return };
                    seen.lock().unwrap().push(head.clone());
                    // The client may hang up in the middle: that is what many tests want to see.
                    let _ = answer(head, stream).await;
                });
            }
        });
        Self { address, heads, _task: AbortOnDropHandle::new(task) }
    }

    /// Answers everything with the same bytes.
    pub(crate) async fn fixed(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |_, mut stream| {
            let response = response.clone();
            async move { stream.write_all(&response).await }
        })
        .await
    }

    /// Redirects everything.
    pub(crate) async fn redirecting(to: impl std::fmt::Display) -> Self {
        Self::fixed(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Waits for a request whose head has all of these in it.
    pub(crate) async fn asked(&self, parts: &[&str]) {
        let asked = async {
            while !self.heads().iter().any(|head| parts.iter().all(|part| head.contains(part))) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(asked).await;
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Serves TLS with a certificate that nobody signed, one response per connection; returns its address.
pub(crate) async fn self_signed_server(response: Vec<u8>) -> (SocketAddr, AbortOnDropHandle<()>) {
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client may not like the certificate.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = [0; 4096];
            if stream.read(&mut head).await.is_ok() {
                let _ = stream.write_all(&response).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (address, AbortOnDropHandle::new(task))
}

/// For 127.0.0.1, good until 2126; made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes
/// -days 36500 -subj "/CN=Self-signed for tests" -addext subjectAltName=IP:127.0.0.1
/// -addext basicConstraints=critical,CA:FALSE`.
pub(crate) const CERTIFICATE: &[u8] = include_bytes!("tls/certificate.pem");

/// A response with a body of known length.
pub(crate) fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A gzip stream of zeros: deflate's fixed codes, one literal and then matches of 258 bytes at distance 1, thirteen
/// bits each (RFC 1951, section 3.2.6). It has no end, as a bomb needs none.
pub(crate) fn gzip_bomb(matches: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut bits, mut count) = (0u64, 0u32);
    let mut push = |value: u64, length: u32, out: &mut Vec<u8>| {
        bits |= value << count;
        count += length;
        while count >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // Last block, fixed codes; then Huffman codes, which go most significant bit first.
    push(0b011, 3, &mut out);
    push(0b0000_1100, 8, &mut out);
    for _ in 0..matches {
        push(0b1010_0011, 8, &mut out);
        push(0, 5, &mut out);
    }
    out
}

/// A UDP tracker (BEP 15) that hands out one peer and reports every announce.
pub(crate) struct UdpTracker {
    pub(crate) address: SocketAddr,
    pub(crate) announces: mpsc::UnboundedReceiver<Vec<u8>>,
    pub(crate) connects: Arc<Mutex<usize>>,
    _task: AbortOnDropHandle<()>,
}

impl UdpTracker {
    /// `peer`: a compact address in the form of the tracker's family.
    pub(crate) async fn start(address: &str, peer: Vec<u8>) -> Self {
        let socket = UdpSocket::bind(address).await.unwrap();
        let address = socket.local_addr().unwrap();
        let (tx, announces) = mpsc::unbounded_channel();
        let connects = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&connects);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let request = &buffer[..length];
                let mut answer = [&request[8..12], &request[12..16]].concat();
                if request[8..12] == [0; 4] {
                    *counter.lock().unwrap() += 1;
                    answer.extend_from_slice(b"afterall");
                } else {
                    assert_eq!(&request[..8], b"afterall");
                    answer.extend_from_slice(&[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2]);
                    answer.extend_from_slice(&peer);
                    let _ = tx.send(request.to_vec());
                }
                let _ = socket.send_to(&answer, from).await;
            }
        });
        Self { address, announces, connects, _task: AbortOnDropHandle::new(task) }
    }
}
