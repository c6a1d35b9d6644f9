//! A tracker in this process: where the daemon tells its address, so that peers can come to it.

use std::net::SocketAddr;

use afflux::tracker_server::TrackerServer;
use tokio::runtime::Runtime;

use crate::daemon::Options;
use crate::film::Film;
use crate::harness::wait_for;

/// A tracker; dropped, it is gone.
pub(crate) struct Meeting {
    tracker: TrackerServer,
    _runtime: Runtime,
}

impl Meeting {
    pub(crate) fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("threads can be started");
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let tracker = runtime.block_on(TrackerServer::start(address)).expect("a free port");
        Self { tracker, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        self.tracker.announce_url()
    }

    /// A daemon's options that lead it here.
    pub(crate) fn options(&self) -> Options {
        Options::default().arg(&["--allow-local-addresses", "--tracker", &self.url()])
    }

    /// Where a daemon listens that looks for the film.
    pub(crate) fn daemon_port(&self, film: &Film) -> u16 {
        let hash = film.hash.parse().expect("an info-hash");
        wait_for("a daemon looks for the film's peers", || {
            self.tracker.peers(hash).first().map(SocketAddr::port)
        })
    }
}
