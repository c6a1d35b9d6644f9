//! Who is let in, and how many: places of connections and, with TLS, of handshakes before them.
//!
//! Without a free place nobody is accepted; who comes then waits in the kernel's queue.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ServerConfig;
use super::wire::Socket;
#[cfg(feature = "tls")]
use crate::limits::HANDSHAKES_MAX;

/// The places of one server.
#[derive(Clone)]
pub(super) struct Admission {
    connections: Arc<Semaphore>,
    #[cfg(feature = "tls")]
    lobby: Option<Lobby>,
}

/// Where clients shake hands. It has places of its own: who doesn't finish takes none from players.
#[cfg(feature = "tls")]
#[derive(Clone)]
struct Lobby {
    tls: super::Tls,
    handshakes: Arc<Semaphore>,
}

impl Admission {
    pub(super) fn new(config: &ServerConfig) -> Admission {
        let places = config.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Admission {
            connections: Arc::new(Semaphore::new(places)),
            #[cfg(feature = "tls")]
            lobby: config
                .tls
                .clone()
                .map(|tls| Lobby { tls, handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)) }),
        }
    }

    /// The places of which one is taken before a connection is accepted.
    pub(super) fn first_places(&self) -> &Arc<Semaphore> {
        #[cfg(feature = "tls")]
        if let Some(lobby) = &self.lobby {
            return &lobby.handshakes;
        }
        &self.connections
    }

    /// Lets a client in that was accepted with a [first place](Self::first_places): shakes hands if that is needed, and waits for
    /// the place of a connection, which it holds from then on.
    pub(super) async fn admit(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<(Socket, OwnedSemaphorePermit)> {
        // Heads and the last bytes of a piece go out at once; a peer that is gone already shows on the first read.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "tls")]
        if let Some(lobby) = &self.lobby {
            let stream = lobby.tls.accept(stream, remote.ip()).await?;
            // Its first place is kept meanwhile: a full server stops shaking hands.
            let connection = self.connections.clone().acquire_owned().await.ok()?;
            drop(place);
            return Some((Socket::Tls(Box::new(stream)), connection));
        }
        let _ = remote;
        Some((Socket::Plain(stream), place))
    }
}
