//! Sums that only grow, out of figures that are looked at now and then: what came since the last look is counted, once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use afflux_metainfo::InfoHash;
use afflux_stream::session::Figures;
use tokio::sync::watch;

use super::Metrics;
use crate::engine::{Status, Torrent};

/// What torrents carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Payload from peers.
    pub(crate) received: u64,
    /// Payload to peers.
    pub(crate) sent: u64,
    /// Payload that was of no use.
    pub(crate) wasted: u64,
}

impl Traffic {
    fn of(status: &Status) -> Self {
        Self {
            received: status.totals.payload_received,
            sent: status.totals.payload_sent,
            wasted: status.totals.wasted + status.snapshot.failed_bytes,
        }
    }

    /// What came since an earlier look.
    fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
            wasted: self.wasted.saturating_sub(earlier.wasted),
        }
    }
}

/// What of each torrent is counted. A torrent that goes is counted to its last word.
#[derive(Debug, Default)]
pub(crate) struct TorrentTally {
    running: BTreeMap<InfoHash, Counted>,
    /// Runs that were followed by another of the same torrent, until their tasks have ended.
    leaving: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    status: watch::Receiver<Status>,
    traffic: Traffic,
}

impl TorrentTally {
    /// Counts what all torrents carried since the last look.
    pub(crate) fn look(&mut self, torrents: &[Torrent], metrics: &Metrics) {
        for torrent in torrents {
            self.meet(torrent.info_hash(), torrent.watch());
        }
        let all = self.running.values_mut().chain(&mut self.leaving);
        all.for_each(|counted| metrics.carried(counted.news()));
        // A task that has ended has said its last word, which may have come since it was counted.
        let is_over = |counted: &mut Counted| {
            let over = counted.status.has_changed().is_err();
            if over {
                metrics.carried(counted.news());
            }
            over
        };
        self.running.retain(|_, counted| !is_over(counted));
        self.leaving.retain_mut(|counted| !is_over(counted));
    }

    fn meet(&mut self, hash: InfoHash, status: watch::Receiver<Status>) {
        if self.running.get(&hash).is_some_and(|known| known.status.same_channel(&status)) {
            return;
        }
        let fresh = Counted { status, traffic: Traffic::default() };
        self.leaving.extend(self.running.insert(hash, fresh));
    }
}

impl Counted {
    fn news(&mut self) -> Traffic {
        let now = Traffic::of(&self.status.borrow());
        let news = now.since(self.traffic);
        self.traffic = now;
        news
    }
}

/// What of a session's figures is in the histograms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SessionTally {
    ttfb: bool,
    seeks: Sum,
    stalls: Sum,
}

/// So many, and how long in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u32,
    total: Duration,
}

impl SessionTally {
    /// Puts what is new into the histograms. A stall that goes on isn't over: it counts when it is.
    pub(crate) fn look(&mut self, figures: &Figures, metrics: &Metrics, now: Instant) {
        if let Some(ttfb) = figures.ttfb.filter(|_| !self.ttfb) {
            self.ttfb = true;
            metrics.first_byte(ttfb);
        }
        let seeks = Sum { count: figures.seeks.count, total: figures.seeks.total };
        self.seeks.advance(seeks, |length| metrics.sought(length));
        let going_on = figures.stalls.since.map(|since| now.saturating_duration_since(since));
        let stalls = Sum {
            count: figures.stalls.count.saturating_sub(u32::from(going_on.is_some())),
            total: figures.stalls.total.saturating_sub(going_on.unwrap_or_default()),
        };
        self.stalls.advance(stalls, |length| metrics.stalled(length));
    }
}

impl Sum {
    /// Observes what came since. Several between two looks count as equally long, so that count and sum stay exact.
    fn advance(&mut self, now: Self, observe: impl Fn(Duration)) {
        let count = now.count.saturating_sub(self.count);
        if count == 0 {
            return;
        }
        let each = now.total.saturating_sub(self.total) / count;
        (0..count).for_each(|_| observe(each));
        *self = now;
    }
}

#[cfg(test)]
mod tests {
    use afflux_peer::Totals;
    use afflux_stream::session::{Session, SessionConfig};

    use super::*;
    use crate::metrics::Sample;

    fn status(received: u64) -> Status {
        Status { totals: Totals { payload_received: received, ..Totals::default() }, ..Status::default() }
    }

    fn received(metrics: &Metrics) -> u64 {
        metrics.received_from_swarm.get()
    }

    #[test]
    fn a_torrent_counts_to_its_last_word() {
        let (metrics, mut tally) = (Metrics::new(), TorrentTally::default());
        let hash = InfoHash([1; 20]);
        let (first, seen) = watch::channel(status(100));
        tally.meet(hash, seen);
        tally.look(&[], &metrics);
        tally.look(&[], &metrics);
        assert_eq!(received(&metrics), 100);
        let (second, seen) = watch::channel(status(0));
        tally.meet(hash, seen);
        first.send_replace(status(130));
        drop(first);
        second.send_replace(status(5));
        tally.look(&[], &metrics);
        assert_eq!(received(&metrics), 135);
        assert!(tally.leaving.is_empty() && tally.running.len() == 1);
        second.send_replace(status(7));
        drop(second);
        tally.look(&[], &metrics);
        assert_eq!(received(&metrics), 137);
        assert!(tally.running.is_empty());
    }

    #[test]
    fn every_wait_counts_once_and_a_stall_when_it_is_over() {
        let (metrics, mut tally, now) = (Metrics::new(), SessionTally::default(), Instant::now());
        let mut figures = Session::new(SessionConfig::default(), now).figures(now);
        let later = now + Duration::from_secs(9);
        figures.ttfb = Some(Duration::from_millis(40));
        figures.seeks.count = 2;
        figures.seeks.total = Duration::from_secs(3);
        figures.stalls.count = 1;
        figures.stalls.since = Some(now);
        figures.stalls.total = Duration::from_secs(9);
        let told = |line: &str| {
            let page = metrics.encode(&Sample::default());
            assert!(page.lines().any(|other| other == line), "{line} isn't in\n{page}");
        };
        for _ in 0..3 {
            tally.look(&figures, &metrics, later);
        }
        told("afflux_stream_ttfb_seconds_count 1");
        told("afflux_stream_seek_seconds_count 2");
        told("afflux_stream_seek_seconds_sum 3.0");
        told("afflux_stream_stall_seconds_count 0");
        figures.stalls.since = None;
        tally.look(&figures, &metrics, later);
        tally.look(&figures, &metrics, later);
        told("afflux_stream_stall_seconds_count 1");
        told("afflux_stream_stall_seconds_sum 9.0");
    }
}
