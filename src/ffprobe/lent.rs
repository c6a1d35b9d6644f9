//! A URL for one reading of one file: on loopback, with a path that nobody can guess, to so many bytes in so many requests, and only
//! while it is served.
//!
//! The program behind it may be anybody by now, so it gets no more than the file that it is asked about. What it reads is fetched
//! before everything else and nothing beside it: ffprobe asks for all that follows a place, reads some of it, and hangs up.
//!
//! A program's arguments are no secret on its machine: who may list processes there can read along while it runs, and what they read
//! counts.

use std::fmt::Write;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use afflux_stream::{
    Library, Media, MediaFacts, MediaRequest, OpenError, Problem, ReadError, Reader, Server, ServerConfig,
    Window,
};
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::limits::{READ_BYTES_MAX, REQUESTS_MAX, SEND_BUFFER_BYTES, STEP_BYTES};

/// Connections at a time. ffprobe has one, and opens the next before it closes that.
const CONNECTIONS_MAX: usize = 4;
/// What the file is called there: a name that says nothing.
const NAME: &str = "film";

/// A file, and the path under which it is lent.
pub(super) struct Lent {
    id: String,
    file: Arc<LentFile>,
}

struct LentFile {
    facts: MediaFacts,
    media: Arc<dyn Media>,
    account: Arc<Account>,
}

/// What may still be read.
struct Account {
    requests_left: AtomicU32,
    bytes_left: AtomicU64,
    /// The last read found its bytes missing.
    waits: AtomicBool,
}

impl Lent {
    /// Under a path that nobody can guess.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn new(media: Arc<dyn Media>) -> Result<Arc<Self>, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let id = bytes.iter().fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        });
        let account = Arc::new(Account {
            requests_left: AtomicU32::new(REQUESTS_MAX),
            bytes_left: AtomicU64::new(READ_BYTES_MAX),
            waits: AtomicBool::new(false),
        });
        let facts = MediaFacts {
            name: NAME.to_owned(),
            media_type: afflux_stream::media_type(NAME),
            bitrate: None,
            ..media.facts().clone()
        };
        Ok(Arc::new(Self { id, file: Arc::new(LentFile { facts, media, account }) }))
    }

    /// The URL, and what serves it until it is dropped.
    pub(super) async fn open(self: &Arc<Self>) -> io::Result<(String, impl Future<Output = ()> + use<>)> {
        let mut config = ServerConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        config.connections_max = CONNECTIONS_MAX;
        config.send_buffer_bytes = SEND_BUFFER_BYTES;
        let server = Server::bind(config).await?;
        let url = format!("http://{}/stream/{}/{NAME}", server.local_addr(), self.id);
        let nothing_else = |_: Request<Incoming>| async { Problem::NOT_FOUND.into_response() };
        Ok((url, server.serve(Arc::clone(self), nothing_else, CancellationToken::new())))
    }

    /// Whether it is the swarm that is waited for.
    pub(super) fn waits(&self) -> bool {
        self.file.account.waits.load(Ordering::Relaxed)
    }

    /// Whether it was read as much as it may be.
    pub(super) fn is_used_up(&self) -> bool {
        self.bytes_left() == 0 || self.file.account.requests_left.load(Ordering::Relaxed) == 0
    }

    pub(super) fn bytes_left(&self) -> u64 {
        self.file.account.bytes_left.load(Ordering::Relaxed)
    }
}

impl Account {
    /// Takes one of the requests that are left.
    fn request(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.requests_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// Takes so many bytes, or as many as are left.
    fn take(&self, bytes: u64) {
        let less = |left: u64| Some(left.saturating_sub(bytes));
        let _ = self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl Library for Lent {
    async fn open(&self, request: &MediaRequest) -> Result<Arc<dyn Media>, OpenError> {
        if request.id != self.id || request.path != NAME {
            return Err(OpenError::NotFound);
        }
        if !self.file.account.request() {
            return Err(OpenError::Gone);
        }
        Ok(Arc::clone(&self.file) as Arc<dyn Media>)
    }
}

impl Media for LentFile {
    fn facts(&self) -> &MediaFacts {
        &self.facts
    }

    fn reader(&self, range: Range<u64>) -> Box<dyn Reader> {
        let (inner, account) = (self.media.reader(range), Arc::clone(&self.account));
        Box::new(LentReader { inner, account, length: self.facts.length, wanted_end: 0 })
    }
}

struct LentReader {
    inner: Box<dyn Reader>,
    account: Arc<Account>,
    /// Bytes of the file.
    length: u64,
    /// Where what is wanted at this moment ends.
    wanted_end: u64,
}

impl Reader for LentReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        let left = self.account.bytes_left.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Err(ReadError::Failed("it was read as much as it may be".to_owned())));
        }
        if at >= self.wanted_end {
            self.want(at);
        }
        let most = usize::try_from(left.min(self.wanted_end - at)).map_or(most, |left| left.min(most));
        let read = self.inner.poll_read(cx, at, most);
        self.account.waits.store(read.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = &read {
            self.account.take(bytes.len() as u64);
        }
        read
    }

    /// What the server takes for the pace of a player isn't one: [`Self::want`] says what is wanted.
    fn set_window(&mut self, _: Window) {}
}

/// Who hung up waits for nothing.
impl Drop for LentReader {
    fn drop(&mut self) {
        self.account.waits.store(false, Ordering::Relaxed);
    }
}

impl LentReader {
    /// Asks for a step from there on, and for nothing beyond.
    fn want(&mut self, at: u64) {
        let end = at.saturating_add(STEP_BYTES).min(self.length);
        self.wanted_end = end;
        self.inner.set_window(Window {
            position: at,
            urgent_end: end,
            soon_end: end,
            end,
            rate: STEP_BYTES,
            waiting: true,
            probe: true,
        });
    }
}
