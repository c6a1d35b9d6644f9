//! The HTTP server: accepts connections within a bound, keeps strangers out by `Host`, answers media routes from a
//! [`Library`] and hands every other route to a closure.
//!
//! HTTP/1.1, and HTTP/2 for clients that begin with its preface. Each connection is a task; a panic in one ends that
//! one. Players hang up to seek, so a hang-up drops the response at once, also while it waits for a piece: hyper
//! watches the read side, and the body takes its reader along. Not here: users, the JSON API.

mod access;
mod admission;
mod connection;
mod forwarded;
mod guard;
mod harden;
#[cfg(feature = "tls")]
mod tls;
mod wire;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::body::ResponseBody;
use crate::library::Library;
use crate::limits::{ACCEPT_BACKLOG, ACCEPT_RETRY, SHUTDOWN_GRACE};
use crate::window::WindowConfig;

pub use access::{Redact, RequestId, RequestUser, redact_ids};
pub use forwarded::{BaseUrl, Believed, NoBaseUrl, ProxyPolicy, believe};
pub use guard::HostPolicy;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError, TlsSettings};

use admission::Admission;

/// How the server listens and what it bears.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at a time. At this number the server stops accepting; the rest waits in the kernel's queue. At least 1.
    pub connections_max: usize,
    /// How long a client may take for a request's head, and may keep silent between two requests.
    pub header_timeout: Duration,
    /// `SO_SNDBUF` of each connection; Linux doubles it. More lets a slow network run full, and costs memory for every prober that
    /// opens a film and hangs up.
    pub send_buffer_bytes: u32,
    /// Which hosts are answered.
    pub hosts: HostPolicy,
    /// Which proxies are believed about their clients, and what we are called.
    pub proxies: ProxyPolicy,
    /// Origins of other sites whose pages may ask for changes, as the JSON service's CORS says (`https://tv.example`).
    pub origins: Vec<String>,
    /// How paths are written to the log.
    pub redact: Redact,
    /// Certificate and key for HTTPS; without, the server speaks plain HTTP.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
    /// How far readers read ahead.
    pub window: WindowConfig,
}

impl ServerConfig {
    /// What serves a handful of players: 256 connections, 10 s for a head, 512 KiB of send buffer.
    pub fn new(listen: SocketAddr) -> ServerConfig {
        ServerConfig {
            listen,
            connections_max: 256,
            header_timeout: Duration::from_secs(10),
            send_buffer_bytes: 512 * 1024,
            hosts: HostPolicy::default(),
            proxies: ProxyPolicy::default(),
            origins: Vec::new(),
            redact: redact_ids,
            #[cfg(feature = "tls")]
            tls: None,
            window: WindowConfig::default(),
        }
    }
}

/// The client, or what is known of it: the other end of a connection, or whom trusted proxies name (with port 0 if they
/// don't tell it). An extension of each request that the JSON service gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// Whether a path is a media route, which the server answers itself.
pub fn is_media(path: &str) -> bool {
    path.starts_with(guard::MEDIA_PREFIX)
}

/// A bound server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    config: ServerConfig,
}

impl Server {
    /// Binds and listens. Errors are the system's: the address in use, or not ours to use.
    pub async fn bind(config: ServerConfig) -> io::Result<Server> {
        let socket = if config.listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart mustn't wait for the last run's connections to be forgotten.
        socket.set_reuseaddr(true)?;
        // Accepted sockets inherit both.
        socket.set_send_buffer_size(config.send_buffer_bytes)?;
        socket.set_keepalive(true)?;
        socket.bind(config.listen)?;
        let listener = socket.listen(ACCEPT_BACKLOG)?;
        let local = listener.local_addr()?;
        Ok(Server { listener, local, config })
    }

    /// How far readers read ahead.
    pub fn window(&self) -> WindowConfig {
        self.config.window
    }

    /// A handle to the certificate, which reloads it.
    #[cfg(feature = "tls")]
    pub fn tls(&self) -> Option<Tls> {
        self.config.tls.clone()
    }

    /// The address it listens on, with the port it got.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown`: media routes from `library`, all others by `json`, whose requests carry a [`RemoteAddr`], a
    /// [`BaseUrl`] and a [`RequestId`], and whose responses may carry a [`RequestUser`].
    ///
    /// After `shutdown` nothing is accepted; requests under way get [`SHUTDOWN_GRACE`], then their connections are cut, and every
    /// reader is gone when this returns.
    pub async fn serve<L, S, F>(self, library: Arc<L>, json: S, shutdown: CancellationToken)
    where
        L: Library,
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        let Server { listener, config, .. } = self;
        let admission = Admission::new(&config);
        let shared = Arc::new(connection::Shared::new(config, library, json));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => note_end(ended),
                (stream, remote, place) = accept(&listener, admission.first_places()) => {
                    let (admission, shared, shutdown) = (admission.clone(), shared.clone(), shutdown.clone());
                    connections.spawn(async move {
                        let admitted = shutdown.run_until_cancelled(admission.admit(stream, remote, place)).await;
                        if let Some(Some((socket, _place))) = admitted {
                            connection::serve(shared, socket, remote, shutdown.clone()).await;
                        }
                    });
                }
            }
        }
        drop(listener);
        let drained = async {
            while let Some(ended) = connections.join_next().await {
                note_end(ended);
            }
        };
        if tokio::time::timeout(SHUTDOWN_GRACE, drained).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// Takes a place, then a connection: with no place free, nobody is accepted. Cancel-safe: a place without a connection is given
/// back.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            // The semaphore is never closed; were it, nobody could be let in.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, remote)) => return (stream, remote, place),
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "can't accept HTTP connections");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Whether only the connection that was about to be accepted is lost.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("an HTTP connection panicked and was cut");
    }
}
