//! How streams went, for their users and for who runs the daemon.

use std::time::Instant;

use afflux_metainfo::FileIndex;
use tracing::warn;

use super::sessions::Session;
use super::{Shared, unix_now};
use crate::database::NewView;

impl Shared {
    /// Writes down how a session went. One that nobody read isn't worth a row.
    pub(super) async fn note_view(&self, session: &Session) {
        let Some(view) = session.view() else { return };
        if let Err(error) = self.database.views().add(view).await {
            warn!(%error, "how a stream went can't be written down");
        }
    }
}

impl Session {
    /// How it went up to now; nothing if nobody has read.
    pub(super) fn view(&self) -> Option<NewView> {
        let status = self.torrent().status();
        let state = self.state();
        let figures = state.machine.figures(Instant::now());
        let opened = state.opened()?;
        let place = state.machine.place();
        let file = FileIndex(place.file);
        let span = opened.ready.layout.file(file)?;
        if figures.readers_opened == 0 {
            return None;
        }
        Some(NewView {
            user: self.user.clone(),
            info_hash: self.info_hash,
            file,
            name: span.display_path(),
            client: figures.client,
            started_at: self.begun_at,
            ended_at: unix_now(),
            ttfb_ms: figures.ttfb.map(|time| time.as_millis() as u64),
            seeks: u64::from(figures.seeks.count),
            seek_ms_total: figures.seeks.total.as_millis() as u64,
            seek_ms_max: figures.seeks.max.as_millis() as u64,
            stalls: u64::from(figures.stalls.count),
            stalled_ms: figures.stalls.total.as_millis() as u64,
            bytes_swarm: status.totals.payload_received.saturating_sub(state.received_before),
            bytes_sent: figures.bytes_sent,
            bytes_wasted: status.totals.wasted.saturating_sub(state.wasted_before),
            peers_max: u64::from(state.peers_max),
            completion: if span.length == 0 { 1.0 } else { place.offset as f64 / span.length as f64 },
        })
    }
}
