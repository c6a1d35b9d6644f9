//! A library in memory whose pieces arrive when a test says so, and a client that sees the bytes on the wire.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use afflux_stream::body::full;
use afflux_stream::{
    FilePart, Library, Media, MediaFacts, MediaRequest, OpenError, ReadError, Reader, ResponseBody, Server,
    ServerConfig, Window, media_type,
};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; nothing waits this long unless it is broken.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const PIECE: u64 = 64 * 1024;

/// A file whose pieces arrive when told.
pub(crate) struct File {
    pub(crate) facts: MediaFacts,
    state: Arc<Mutex<State>>,
}

/// Which pieces lie in a file.
pub(crate) type LiesThere = fn(u64) -> bool;

#[derive(Default)]
struct State {
    have: Vec<bool>,
    wakers: Vec<Waker>,
    failed: bool,
    panics: bool,
    readers: usize,
    opened: usize,
    windows: Vec<Window>,
    /// A file for the kernel to send from, and which pieces lie there.
    disk: Option<(Arc<std::fs::File>, LiesThere)>,
}

impl File {
    pub(crate) fn new(name: &str, length: u64) -> Arc<File> {
        let facts = MediaFacts {
            length,
            etag: "0011-7".into(),
            name: name.into(),
            media_type: media_type(name),
            complete: false,
            bitrate: None,
            modified: None,
        };
        let have = vec![false; length.div_ceil(PIECE) as usize];
        Arc::new(File { facts, state: Arc::new(Mutex::new(State { have, ..State::default() })) })
    }

    pub(crate) fn complete(name: &str, length: u64) -> Arc<File> {
        let file = File::new(name, length);
        file.arrive(0..length);
        file
    }

    /// The pieces that touch `range` are there from now on.
    pub(crate) fn arrive(&self, range: Range<u64>) {
        self.change(|state| {
            for piece in range.start / PIECE..range.end.div_ceil(PIECE) {
                state.have[piece as usize] = true;
            }
        });
    }

    /// Pieces that `lies_there` lie in a file too, whose bytes are told apart from [`content`] by being its complement.
    pub(crate) fn put_on_disk(&self, file: std::fs::File, lies_there: LiesThere) {
        let inverted: Vec<u8> = content(0..self.facts.length).iter().map(|byte| !byte).collect();
        std::io::Write::write_all(&mut &file, &inverted).unwrap();
        self.change(|state| state.disk = Some((Arc::new(file), lies_there)));
    }

    pub(crate) fn fail(&self) {
        self.change(|state| state.failed = true);
    }

    pub(crate) fn panic(&self) {
        self.change(|state| state.panics = true);
    }

    pub(crate) fn readers(&self) -> usize {
        self.state.lock().unwrap().readers
    }

    pub(crate) fn opened(&self) -> usize {
        self.state.lock().unwrap().opened
    }

    pub(crate) fn windows(&self) -> Vec<Window> {
        self.state.lock().unwrap().windows.clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let wakers = {
            let mut state = self.state.lock().unwrap();
            change(&mut state);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

struct Opened(Arc<File>);

impl Media for Opened {
    fn facts(&self) -> &MediaFacts {
        &self.0.facts
    }

    fn reader(&self, _: Range<u64>) -> Box<dyn Reader> {
        let mut state = self.0.state.lock().unwrap();
        state.readers += 1;
        state.opened += 1;
        Box::new(FileReader(self.0.state.clone()))
    }
}

struct FileReader(Arc<Mutex<State>>);

impl Reader for FileReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        let mut state = self.0.lock().unwrap();
        if state.panics {
            drop(state);
            panic!("a reader that panics, as the test wants");
        }
        if state.failed {
            return Poll::Ready(Err(ReadError::Failed("the disk is gone".into())));
        }
        let piece = (at / PIECE) as usize;
        if !state.have[piece] {
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let on_disk = |piece: usize| {
            cfg!(target_os = "linux")
                && state.disk.as_ref().is_some_and(|(_, lies_there)| lies_there(piece as u64))
        };
        let lendable = |(nth, have): &(usize, &bool)| **have && (*nth == 0 || !on_disk(piece + nth));
        let pieces = state.have[piece..].iter().enumerate().take_while(lendable).count() as u64;
        let end = ((at / PIECE + pieces) * PIECE).min(at + most as u64);
        Poll::Ready(Ok(content(at..end).into()))
    }

    fn file_part(&mut self, at: u64, most: u64) -> Option<FilePart> {
        let state = self.0.lock().unwrap();
        let (file, lies_there) = state.disk.as_ref()?;
        let end = ((at / PIECE + 1) * PIECE).min(at + most);
        lies_there(at / PIECE).then(|| FilePart { file: file.clone(), offset: at, length: end - at })
    }

    fn set_window(&mut self, window: Window) {
        self.0.lock().unwrap().windows.push(window);
    }
}

impl Drop for FileReader {
    fn drop(&mut self) {
        self.0.lock().unwrap().readers -= 1;
    }
}

/// The bytes of every file here: different at every offset that matters.
pub(crate) fn content(range: Range<u64>) -> Vec<u8> {
    range.map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

/// Files by id.
pub(crate) struct Shelf(BTreeMap<String, Arc<File>>);

impl Library for Shelf {
    async fn open(&self, request: &MediaRequest) -> Result<Arc<dyn Media>, OpenError> {
        match self.0.get(&request.id) {
            Some(file) => Ok(Arc::new(Opened(file.clone()))),
            None if request.id == "later" => std::future::pending().await,
            None if request.id == "panic" => panic!("a library that panics, as the test wants"),
            None => Err(OpenError::NotFound),
        }
    }
}

/// A server on loopback, its files under the ids `0`, `1`, …
pub(crate) struct Site {
    pub(crate) addr: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Site {
    pub(crate) async fn new(files: impl IntoIterator<Item = Arc<File>>) -> Site {
        Site::with(files, |_| {}).await
    }

    pub(crate) async fn with(
        files: impl IntoIterator<Item = Arc<File>>,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Site {
        let mut config = ServerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(&mut config);
        let server = Server::bind(config).await.unwrap();
        let addr = server.local_addr();
        let shelf = Shelf(files.into_iter().enumerate().map(|(i, file)| (i.to_string(), file)).collect());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.serve(Arc::new(shelf), json, shutdown.clone()));
        Site { addr, shutdown, task }
    }

    /// Sends a request and gives the connection back, answer unread.
    pub(crate) async fn send(&self, request: &str) -> Client {
        let mut client = Client::new(self.addr).await;
        client.send(request).await;
        client
    }
}

async fn json(request: Request<Incoming>) -> Response<ResponseBody> {
    if request.uri().path() == "/panic" {
        panic!("a route that panics, as the test wants");
    }
    let remote = request.extensions().get::<afflux_stream::RemoteAddr>().unwrap().0;
    if request.uri().path() == "/told" {
        let base = request.extensions().get::<afflux_stream::BaseUrl>().unwrap();
        let id = request.extensions().get::<afflux_stream::RequestId>().unwrap().as_str();
        return Response::new(full(format!("{} {base} {id}", remote.ip())));
    }
    Response::new(full(format!("json {} {}", request.uri().path(), remote.ip())))
}

/// One TCP connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pending: Vec<u8>,
}

/// An answer's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Head {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn length(&self) -> usize {
        self.get("content-length").unwrap().parse().unwrap()
    }
}

impl Client {
    pub(crate) async fn new(addr: SocketAddr) -> Client {
        Client { stream: TcpStream::connect(addr).await.unwrap(), pending: Vec::new() }
    }

    /// Sends lines as a request's head: the first as it is, `Host` if there is none, and the blank line.
    pub(crate) async fn send(&mut self, request: &str) {
        let mut lines: Vec<&str> = request.lines().collect();
        if !lines.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            lines.push("Host: localhost");
        }
        let text = format!("{}\r\n\r\n", lines.join("\r\n"));
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> Head {
        loop {
            if let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8(self.pending.drain(..end + 4).collect()).unwrap();
                let mut lines = text.lines();
                let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
                let headers = lines
                    .filter_map(|line| line.split_once(": "))
                    .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                    .collect();
                return Head { status, headers };
            }
            assert!(self.more().await > 0, "the connection ended in a head");
        }
    }

    /// Exactly `n` bytes of a body.
    pub(crate) async fn body(&mut self, n: usize) -> Vec<u8> {
        while self.pending.len() < n {
            assert!(self.more().await > 0, "the connection ended at {} of {n} bytes", self.pending.len());
        }
        self.pending.drain(..n).collect()
    }

    /// All bytes until the connection ends, in whatever way.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.pending)
    }

    async fn more(&mut self) -> usize {
        let mut buffer = vec![0; 256 * 1024];
        let read =
            tokio::time::timeout(LONG, self.stream.read(&mut buffer)).await.expect("the server is silent");
        let n = read.unwrap_or(0);
        self.pending.extend_from_slice(&buffer[..n]);
        n
    }
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(what, wait).await;
}

/// Waits for something that must happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.unwrap_or_else(|_| panic!("{what}: never happened"))
}
