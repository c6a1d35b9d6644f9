//! Waiting for a torrent's metadata, no longer than its user has patience for.

use std::sync::Arc;
use std::time::Duration;

use super::torrent::Ready;
use super::{State, Status, Torrent};
use crate::failure::Failure;

impl Torrent {
    /// Waits for the metadata and the storage as long as `TORRENT_TIMEOUT` allows. Checking files on disk doesn't count.
    pub async fn wait_metadata(&self, timeout: Duration) -> Result<Arc<Ready>, Failure> {
        let mut patience = std::pin::pin!(tokio::time::sleep(timeout));
        let mut ready = std::pin::pin!(self.wait_ready());
        loop {
            tokio::select! {
                done = ready.as_mut() => return done,
                () = patience.as_mut() => {
                    let status = self.status();
                    if status.state == State::Metadata {
                        return Err(status.no_metadata(timeout));
                    }
                    patience.as_mut().reset(tokio::time::Instant::now() + timeout);
                }
            }
        }
    }
}

impl Status {
    /// Why the metadata isn't there after so long, and what to do.
    pub fn no_metadata(&self, timeout: Duration) -> Failure {
        let (known, connected) = (self.snapshot.known, self.snapshot.connected);
        let advice = match (known, connected) {
            (0, _) => "no peer was found: check the link, or name trackers (--tracker) or peers (--peer)",
            (_, 0) => "peers are known, but none answers: is there a firewall in between?",
            _ => "the peers don't have it either, or don't tell: try again later",
        };
        Failure::work(format!(
            "no metadata within {:.0} s ({known} peers known, {connected} connected): {advice}, \
             or wait longer with TORRENT_TIMEOUT (--torrent-timeout)",
            timeout.as_secs_f64()
        ))
    }
}
