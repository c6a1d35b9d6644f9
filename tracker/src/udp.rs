//! One announce to one UDP tracker, as a machine (BEP 15, BEP 41).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::announce::{AnnounceRequest, Reply, ReplyError};

/// A tracker's proof that our address is ours, and when it came (BEP 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    id: u64,
    received_at: Instant,
}

/// Connection ids of several trackers, bounded.
#[derive(Clone, Debug, Default)]
pub struct ConnectionIds {
    by_server: BTreeMap<SocketAddr, ConnectionId>,
}

impl ConnectionIds {
    /// An id of this server that may still be used.
    pub fn find(&self, server: SocketAddr, now: Instant) -> Option<ConnectionId> {
        let _ = (server, now, &self.by_server);
        todo!()
    }

    /// Remembers what [`Client::connection_id`] says.
    pub fn remember(&mut self, server: SocketAddr, id: ConnectionId, now: Instant) {
        let _ = (server, id, now);
        todo!()
    }
}

/// What a client is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The tracker's address; its family decides the form of the reply (BEP 15).
    pub server: SocketAddr,
    /// What to announce.
    pub request: AnnounceRequest,
    /// Path and query of the tracker's URL (BEP 41).
    pub path_and_query: String,
    /// An id that is still fresh saves a round trip.
    pub connection_id: Option<ConnectionId>,
    /// Time for the whole attempt.
    pub timeout: Duration,
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram to the server.
    Send(Vec<u8>),
    /// The attempt is over; said once.
    Done(Result<Reply, ReplyError>),
}

/// One announce under way.
#[derive(Debug)]
pub struct Client {
    config: Config,
}

impl Client {
    /// Starts; the first datagram waits in [`Self::poll_output`]. `seed` must be unpredictable to others: transaction
    /// ids come from it.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let _ = (seed, now);
        Self { config }
    }

    /// Takes a datagram; whatever isn't the awaited answer from the server is ignored.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let _ = (from, bytes, now, &self.config);
        todo!()
    }

    /// To be called at [`Self::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// What to do next; call until `None` after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// When [`Self::handle_timeout`] is due; `None` once the attempt is over.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// An id for the next announce to the same server.
    pub fn connection_id(&self) -> Option<ConnectionId> {
        todo!()
    }
}
