//! What the server needs from whoever owns the bytes: open a file by its id, lend a reader over a range of it.
//!
//! The traits know no torrent. An implementation turns a [`Window`] into wishes for pieces, and hands out only
//! bytes that were verified. Not here: how bytes become HTTP (`body`), which window a reader gets (`window`).

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use thiserror::Error;

use crate::media_type::MediaType;
use crate::server::BaseUrl;
use crate::window::Window;

/// A request for a file, as far as it matters for finding that file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRequest {
    /// The opaque id of the route `/stream/{id}/{path}`: 1 to 128 of `A-Z a-z 0-9 _ -`.
    pub id: String,
    /// What follows the id, as the client sent it: still percent-encoded, never empty, never to be trusted.
    pub path: String,
    /// The query without its `?`.
    pub query: Option<String>,
    /// `User-Agent`, when it is text.
    pub user_agent: Option<String>,
    /// The other end of the connection.
    pub remote: SocketAddr,
    /// What the client reached us by, for URLs that can't be relative.
    pub base: BaseUrl,
}

/// Opens files. One per server.
pub trait Library: Send + Sync + 'static {
    /// Finds the file a request means.
    ///
    /// This may wait for what is needed to know the file's length and name, but not for its bytes: the head of the
    /// answer goes out as soon as this returns.
    fn open(&self, request: &MediaRequest) -> impl Future<Output = Result<Arc<dyn Media>, OpenError>> + Send;
}

/// What is known of a file before any of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFacts {
    /// Bytes in the file.
    pub length: u64,
    /// The strong validator, with or without its quotes: the same for the same bytes, in every process and for ever.
    pub etag: String,
    /// The file's name, without folders.
    pub name: String,
    /// What kind of file it is; [`crate::media_type()`] derives it from the name.
    pub media_type: MediaType,
    /// True when all bytes are here and verified, so that caches may keep what they get.
    pub complete: bool,
    /// Mean bits per second of the media, where known.
    pub bitrate: Option<u64>,
    /// When the file last changed, where that means anything.
    pub modified: Option<SystemTime>,
}

/// An open file.
pub trait Media: Send + Sync {
    /// What is known of it.
    fn facts(&self) -> &MediaFacts;
    /// A reader over `range`, a non-empty part of the file.
    fn reader(&self, range: Range<u64>) -> Box<dyn Reader>;
}

/// One response's hold on a file. Dropping it is a seek or a hang-up: forget its window at once.
pub trait Reader: Send {
    /// Lends verified bytes that start at byte `at` of the file: at least 1, at most `most`, as long a contiguous run
    /// as there is (64 KiB and more make the fewest system calls). Pending until there are some, then wakes.
    ///
    /// `at` stays within the range the reader was made for, and moves forward only.
    fn poll_read(&mut self, cx: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>>;

    /// Lends a stretch of a file on disk that holds the same bytes as [`poll_read`](Self::poll_read) would lend, from `at` on and
    /// at most `most`, if the kernel can send it without waiting for the disk. The bytes must stay as they are until they
    /// are sent. `None`, as from readers that have no files, says nothing about `poll_read`.
    fn file_part(&mut self, at: u64, most: u64) -> Option<FilePart> {
        let _ = (at, most);
        None
    }

    /// Says what is wanted from now on. Called whenever the position moved or the reader began or ceased to wait, so it
    /// must be cheap.
    fn set_window(&mut self, window: Window);
}

/// A stretch of a file on disk, for the kernel to send.
#[derive(Clone)]
pub struct FilePart {
    /// An open, readable file.
    pub file: Arc<dyn AsFd + Send + Sync>,
    /// Where in it the stretch begins.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl fmt::Debug for FilePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilePart({} bytes at {})", self.length, self.offset)
    }
}

/// Why a file can't be opened. Each becomes a problem document with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Nobody knows this id; also the answer for ids of other users.
    #[error("there is no such stream")]
    NotFound,
    /// The id was good once: its session ended or its time is over.
    #[error("this stream has ended")]
    Gone,
    /// The id is known, but this client may not use it.
    #[error("this stream may not be read: {0}")]
    Refused(String),
    /// A limit of parallel readers was reached.
    #[error("too many readers: {0}")]
    TooMany(String),
    /// Not before this time has passed: the limit is one of time.
    #[error("not yet: {0}")]
    Later(String, Duration),
    /// The file can't be served now, and the sentence says why.
    #[error("this file can't be served now: {0}")]
    Unavailable(String),
    /// What is in the file can't be given in the form that is asked for.
    #[error("this file can't be given so: {0}")]
    Unreadable(String),
}

/// Why a reader stopped for good. The connection is cut: an answer is never ended short as if it were whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The torrent or the session was taken away.
    #[error("the stream was ended")]
    Ended,
    /// The bytes can't be had, and the sentence says why.
    #[error("the bytes can't be read: {0}")]
    Failed(String),
}
