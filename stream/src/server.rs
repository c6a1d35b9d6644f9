//! The HTTP server.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::body::ResponseBody;
use crate::library::Library;

/// Which `Host` names are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// Names besides loopback names and IP literals, without port.
    pub names: Vec<String>,
}

/// How the server listens and what it bears.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at a time; at this number the server stops accepting.
    pub connections_max: usize,
    /// How long a client may take for a request's head.
    pub header_timeout: Duration,
    /// `SO_SNDBUF` of each connection.
    pub send_buffer_bytes: u32,
    /// Which hosts are answered.
    pub hosts: HostPolicy,
}

/// The other end of a connection: an extension of each request that the JSON service gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// A bound server.
pub struct Server {
    _listener: (),
}

impl Server {
    /// Binds and listens.
    pub async fn bind(config: ServerConfig) -> io::Result<Server> {
        let _ = config;
        todo!()
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Serves until `shutdown`.
    pub async fn serve<L, S, F>(self, library: Arc<L>, json: S, shutdown: CancellationToken)
    where
        L: Library,
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<ResponseBody>> + Send + 'static,
    {
        let _ = (library, json, shutdown);
        todo!()
    }
}
