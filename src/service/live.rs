//! How a torrent is doing, in the shape of the API.

use super::shapes::{CheckedCount, LiveState, MemoryUse, PeerCount, SpillCount, TransferCount};
use crate::engine::{State, Status};

impl LiveState {
    /// A look at a torrent.
    pub fn new(status: &Status) -> Self {
        let snapshot = &status.snapshot;
        Self {
            state: status.state.as_str().to_owned(),
            progress: status.fraction(),
            download_rate: snapshot.download_rate,
            upload_rate: snapshot.upload_rate,
            peers: PeerCount::new(status),
            bytes: TransferCount {
                received: status.totals.payload_received,
                sent: status.totals.payload_sent,
                wasted: status.totals.wasted + snapshot.failed_bytes,
            },
            memory: MemoryUse {
                used_bytes: status.memory.used_bytes,
                peak_bytes: status.memory.peak_bytes,
                limit_bytes: status.memory.limit_bytes,
            },
            spills: SpillCount {
                spilled_bytes: status.spills.spilled_bytes,
                read_back_bytes: status.spills.read_back_bytes,
            },
            checked: status.checked.map(|(done, total)| CheckedCount { done, total }),
            error: status.error.clone(),
        }
    }

    /// The same of a torrent that keeps only what its readers need.
    pub fn streamed(status: &Status) -> Self {
        let mut live = Self::new(status);
        if status.state == State::Downloading {
            live.state = "streaming".to_owned();
        }
        live
    }
}

impl PeerCount {
    /// A torrent's peers.
    pub fn new(status: &Status) -> Self {
        let snapshot = &status.snapshot;
        Self { connected: snapshot.connected, known: snapshot.known, seeds: snapshot.seeds }
    }
}
