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
#[cfg(feature = "tls")]
use tokio_rustls::server::TlsStream;

use crate::limits::FILE_SEND_BUFFER_BYTES;
use crate::outlet::{Outlet, before_token, is_token};
use crate::window::PROBE_SENT_MAX;

/// What bytes go through to the client.
pub(super) enum Socket {
    Plain(TcpStream),
    /// What is encrypted can't go from a file past us: no outlet is handed out for it.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// The connection that the kernel knows.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Socket::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Socket::Tls(stream) => stream.get_ref().0,
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        !matches!(self, Socket::Plain(_))
    }
}

/// A socket that keeps promises, and notes when its client is gone.
pub(super) struct Wire {
    socket: Socket,
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
    pub(super) fn new(socket: Socket, outlet: Outlet) -> (Wire, HangUp) {
        let hung_up = HangUp::default();
        (Wire { socket, outlet, filed: 0, hung_up: hung_up.clone() }, hung_up)
    }

    /// Sends what a token of `length` bytes stands for.
    fn poll_send_file(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        // Nobody promises anything to another; if they did, the promised bytes mustn't go out in the clear.
        if self.socket.is_secure() {
            return Poll::Ready(Err(io::Error::other("a token on an encrypted connection")));
        }
        loop {
            let stream = self.socket.tcp();
            ready!(stream.poll_write_ready(cx))?;
            let send = || self.outlet.send(stream, length);
            match stream.try_io(Interest::WRITABLE, send) {
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
            let _ =
                rustix::net::sockopt::set_socket_send_buffer_size(self.socket.tcp(), FILE_SEND_BUFFER_BYTES);
        }
    }

    /// Looks at what the kernel has said, and waits for nothing.
    fn note_hang_up(&self) {
        let ready = pin!(self.socket.tcp().ready(Interest::READABLE));
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

/// Does the same with whichever socket it is.
macro_rules! either {
    ($socket:expr, $stream:ident => $do:expr) => {
        match $socket {
            Socket::Plain($stream) => $do,
            #[cfg(feature = "tls")]
            Socket::Tls($stream) => $do,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut self.socket, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if is_token(buf) {
            return self.poll_send_file(cx, buf.len());
        }
        either!(&mut self.socket, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (before_token(bufs), bufs.first()) {
            (0, Some(token)) => self.poll_send_file(cx, token.len()),
            (count, _) => {
                let bufs = &bufs[..count];
                either!(&mut self.socket, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        either!(&self.socket, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note_hang_up();
        either!(&mut self.socket, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.socket, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
