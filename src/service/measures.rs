//! The service's part in the daemon's metrics: what is counted as sessions and torrents go on, and a look at everything when
//! somebody scrapes.

use std::sync::PoisonError;
use std::time::Instant;

use super::sessions::Session;
use super::{Shared, StreamingService};
use crate::metrics::{Metrics, Sample};

impl StreamingService {
    /// The figures of the whole daemon for Prometheus, of type [`CONTENT_TYPE`](crate::metrics::CONTENT_TYPE). Of users and torrents it
    /// tells only how many there are.
    pub fn scrape(&self) -> String {
        self.shared.measure_traffic();
        self.shared.metrics.encode(&self.shared.sample())
    }

    /// Where those count who stand before the service.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }
}

impl Session {
    /// Puts into the histograms what is new of this session.
    pub(super) fn measure(&self, metrics: &Metrics, now: Instant) {
        let mut state = self.state();
        let figures = state.machine.figures(now);
        state.tally.look(&figures, metrics, now);
    }
}

impl Shared {
    /// Counts what torrents carried since the last look.
    pub(super) fn measure_traffic(&self) {
        let torrents = self.engine.torrents();
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner).look(&torrents, &self.metrics);
    }

    fn sample(&self) -> Sample {
        let now = Instant::now();
        let mut sample = Sample {
            memory: (self.engine.ledger().used() as u64, self.engine.ledger().limit() as u64),
            cache: (self.engine.places().used() as u64, self.engine.places().limit() as u64),
            database_jobs: self.database.queued(),
            users: self.accounts.count(),
            ..Sample::default()
        };
        for session in self.sessions.awake() {
            let state = session.state();
            sample.sessions.push(state.machine.state());
            sample.readers += state.machine.figures(now).readers;
        }
        sample.sessions_asleep = self.sessions.count().saturating_sub(sample.sessions.len());
        for torrent in self.engine.torrents() {
            let status = torrent.status();
            sample.torrents.push(status.state);
            sample.peers += u64::from(status.snapshot.connected);
            sample.download_rate += status.snapshot.download_rate;
            sample.upload_rate += status.snapshot.upload_rate;
        }
        sample
    }
}
