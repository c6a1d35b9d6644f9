//! A web server of three lines: it answers what a test says, and counts who came.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a path gives.
pub(crate) enum Page {
    Bytes(Vec<u8>),
    Redirect(String),
    Missing,
}

/// The server; it ends when dropped.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    visits: AtomicUsize,
}

impl Web {
    /// Serves what `page` says of a path.
    pub(crate) fn start(page: impl Fn(&str) -> Page + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::Relaxed) {
                    return;
                }
                shared.visits.fetch_add(1, Ordering::Relaxed);
                // Who hangs up early is none of our business.
                let _ = answer(&stream, &page);
            }
        });
        Self { address, state }
    }

    /// One that nobody should ask.
    pub(crate) fn secret() -> Self {
        Self::start(|_| Page::Bytes(b"a secret of this machine".to_vec()))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Connections so far.
    pub(crate) fn visits(&self) -> usize {
        self.state.visits.load(Ordering::Relaxed)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(mut stream: &TcpStream, page: &impl Fn(&str) -> Page) -> std::io::Result<()> {
    stream.set_read_timeout(Some(crate::harness::PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, header, body) = match page(path) {
        Page::Bytes(bytes) => ("200 OK", String::new(), bytes),
        Page::Redirect(url) => ("302 Found", format!("Location: {url}\r\n"), Vec::new()),
        Page::Missing => ("404 Not Found", String::new(), Vec::new()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{header}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat())
}
