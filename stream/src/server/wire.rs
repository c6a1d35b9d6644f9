//! The socket under a connection: it sends what was promised from files, and has an eye on hang-ups that HTTP/1 can't see.
//!
//! hyper finds a hang-up by reading. It doesn't read while bytes of a next request lie in its buffer, so a client that sends
//! some and leaves would hold a waiting reader, and its place, until a piece comes. The kernel tells the end of the
//! stream apart from the bytes before it, so we look there whenever hyper flushes.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::limits::FILE_SEND_BUFFER_BYTES;
use crate::outlet::{Outlet, before_token, is_token};
use crate::window::PROBE_SENT_MAX;

/// A TCP stream that keeps promises, and notes when its client is gone.
pub(super) struct Wire {
    stream: TcpStream,
    outlet: Outlet,
    /// Bytes sent from files.
    filed: u64,
    hung_up: HangUp,
}

/// Whether the client of a [`Wire`] was gone when it was last flushed.
#[derive(Clone, Default)]
pub(super) struct HangUp(Arc<AtomicBool>);

impl HangUp {
    pub(super) fn is_seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream, outlet: Outlet) -> (Wire, HangUp) {
        let hung_up = HangUp::default();
        (Wire { stream, outlet, filed: 0, hung_up: hung_up.clone() }, hung_up)
    }

    /// Sends what a token of `length` bytes stands for.
    fn poll_send_file(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let send = || self.outlet.send(&self.stream, length);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(sent) => {
                    self.count_filed(sent as u64);
                    return Poll::Ready(Ok(sent));
                }
            }
        }
    }

    /// A client that reads on gets a longer send buffer: fewer wake-ups, and no memory but the file's own.
    fn count_filed(&mut self, sent: u64) {
        let before = self.filed;
        self.filed += sent;
        if before < PROBE_SENT_MAX && self.filed >= PROBE_SENT_MAX && may_buffer_files() {
            // Only for speed: a system that refuses leaves it as it is.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&self.stream, FILE_SEND_BUFFER_BYTES);
        }
    }

    /// Looks at what the kernel has said, and waits for nothing.
    fn note_hang_up(&self) {
        let ready = pin!(self.stream.ready(Interest::READABLE));
        if let Poll::Ready(Ok(ready)) = ready.poll(&mut Context::from_waker(Waker::noop()))
            && ready.is_read_closed()
        {
            self.hung_up.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether the system allows a send buffer of [`FILE_SEND_BUFFER_BYTES`]: it would take a longer wish for its own limit,
/// without a word.
fn may_buffer_files() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| {
        let most = std::fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap_or_default();
        most.trim().parse().is_ok_and(|most: usize| most >= FILE_SEND_BUFFER_BYTES)
    })
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if is_token(buf) {
            return self.poll_send_file(cx, buf.len());
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (before_token(bufs), bufs.first()) {
            (0, Some(token)) => self.poll_send_file(cx, token.len()),
            (count, _) => Pin::new(&mut self.stream).poll_write_vectored(cx, &bufs[..count]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note_hang_up();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
