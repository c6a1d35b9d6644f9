//! The daemon's figures for Prometheus: what `/metrics` tells, in the OpenMetrics text format.
//!
//! Counters and histograms are bumped where things happen; gauges are set from one `Sample` when somebody scrapes. No
//! label ever holds an info-hash, a user or anything else that a stranger can choose: every set of values is closed, so
//! that nobody can make the page grow, and nobody who reads it learns who watches what.
//!
//! Not here: rows about single streams (`service::analytics`), and what the figures are taken from.

mod process;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use afflux_stream::session::State as StreamState;
use afflux_stream::suspicion::Pattern;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use self::process::{Process, ProcessGauges};
pub(crate) use self::tally::{SessionTally, TorrentTally, Traffic};
use crate::auth;
use crate::engine::State as TorrentState;

/// The media type of a scrape.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of waits in seconds. A first byte from memory takes milliseconds, one from a swarm seconds; beyond a minute a
/// viewer has left.
const WAIT_BUCKETS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Bounds of stalls in seconds. They begin at STREAM_TIMEOUT, half a minute unless somebody is less patient, and last until a peer
/// comes.
const STALL_BUCKETS: [f64; 11] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0];

/// Why sessions end, as events say it.
const END_REASONS: [&str; 6] = ["deleted", "idle", "expired", "revoked", "disabled", "failed"];
/// What becomes of requests for media.
const OPEN_OUTCOMES: [&str; 6] = ["opened", "not_found", "gone", "too_many", "refused", "unavailable"];
/// Status codes by their first digit.
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What a session is at that nobody has asked for since the start.
const ASLEEP: &str = "asleep";
const STREAM_STATES: [StreamState; 8] = [
    StreamState::Metadata,
    StreamState::Buffering,
    StreamState::Ready,
    StreamState::Playing,
    StreamState::Paused,
    StreamState::Stalled,
    StreamState::Complete,
    StreamState::Error,
];
const TORRENT_STATES: [TorrentState; 5] = [
    TorrentState::Metadata,
    TorrentState::Checking,
    TorrentState::Downloading,
    TorrentState::Seeding,
    TorrentState::Error,
];
const PATTERNS: [Pattern; 6] = [
    Pattern::TorrentsAdded,
    Pattern::ParseFailures,
    Pattern::StreamStarts,
    Pattern::RangeFlood,
    Pattern::ManyNetworks,
    Pattern::BulkRead,
];

/// One label, with a value out of a closed set.
type Label = [(&'static str, &'static str); 1];

/// All figures of a daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    ttfb: Histogram,
    seeks: Histogram,
    stalls: Histogram,
    sent: Counter,
    sessions_started: Counter,
    sessions_ended: Family<Label, Counter>,
    received_from_swarm: Counter,
    sent_to_swarm: Counter,
    wasted: Counter,
    requests: Family<Label, Counter>,
    media_opens: Family<Label, Counter>,
    tokens_refused: Family<Label, Counter>,
    suspicious: Family<Label, Counter>,
    gauges: Gauges,
    process: Option<ProcessGauges>,
}

/// What is set when somebody scrapes.
#[derive(Debug, Default)]
struct Gauges {
    sessions: Family<Label, Gauge>,
    readers: Gauge,
    torrents: Family<Label, Gauge>,
    peers: Gauge,
    download_rate: Gauge,
    upload_rate: Gauge,
    memory_used: Gauge,
    memory_limit: Gauge,
    cache_used: Gauge,
    cache_limit: Gauge,
    database_jobs: Gauge,
    users: Gauge,
}

/// How things are at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// What each session is at that is awake.
    pub(crate) sessions: Vec<StreamState>,
    /// Sessions that nobody has asked for since the start.
    pub(crate) sessions_asleep: usize,
    /// Answers with media under way.
    pub(crate) readers: usize,
    /// What each torrent is at.
    pub(crate) torrents: Vec<TorrentState>,
    /// Over all torrents.
    pub(crate) peers: u64,
    /// Bytes per second over all torrents.
    pub(crate) download_rate: u64,
    /// Likewise.
    pub(crate) upload_rate: u64,
    /// Payload in memory, and how much there may be.
    pub(crate) memory: (u64, u64),
    /// Payload in the disk cache, and how much there may be.
    pub(crate) cache: (u64, u64),
    /// Jobs that wait for the database.
    pub(crate) database_jobs: usize,
    /// Users that were there lately.
    pub(crate) users: usize,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let waits = || Histogram::new(WAIT_BUCKETS);
        let mut metrics = Self {
            registry: Registry::default(),
            ttfb: waits(),
            seeks: waits(),
            stalls: Histogram::new(STALL_BUCKETS),
            sent: Counter::default(),
            sessions_started: Counter::default(),
            sessions_ended: all("reason", END_REASONS),
            received_from_swarm: Counter::default(),
            sent_to_swarm: Counter::default(),
            wasted: Counter::default(),
            requests: all("class", STATUS_CLASSES),
            media_opens: all("outcome", OPEN_OUTCOMES),
            tokens_refused: all("code", auth::Refusal::ALL.map(auth::Refusal::code)),
            suspicious: all("pattern", PATTERNS.map(Pattern::code)),
            gauges: Gauges::default(),
            process: Process::read().map(|_| ProcessGauges::default()),
        };
        metrics.register_streams(&mut registry);
        metrics.register_swarm(&mut registry);
        metrics.register_requests(&mut registry);
        metrics.gauges.register(&mut registry);
        if let Some(process) = &metrics.process {
            process.register(&mut registry);
        }
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("afflux_build", "The Afflux that runs", build);
        metrics.registry = registry;
        metrics
    }

    fn register_streams(&self, registry: &mut Registry) {
        let help = "From the start of a session to the first byte that a player was sent";
        registry.register_with_unit("afflux_stream_ttfb", help, Unit::Seconds, self.ttfb.clone());
        let help = "From a player's jump to another place to the first byte from there";
        registry.register_with_unit("afflux_stream_seek", help, Unit::Seconds, self.seeks.clone());
        let help = "Waits of players that were longer than STREAM_TIMEOUT, each when it is over";
        registry.register_with_unit("afflux_stream_stall", help, Unit::Seconds, self.stalls.clone());
        let help = "Media sent to players";
        registry.register_with_unit("afflux_stream_sent", help, Unit::Bytes, self.sent.clone());
        let help = "Sessions that began";
        registry.register("afflux_sessions_started", help, self.sessions_started.clone());
        let help = "Sessions that ended, by reason";
        registry.register("afflux_sessions_ended", help, self.sessions_ended.clone());
    }

    fn register_swarm(&self, registry: &mut Registry) {
        let received = self.received_from_swarm.clone();
        let help = "Payload that came from peers and was asked of them";
        registry.register_with_unit("afflux_swarm_received", help, Unit::Bytes, received);
        let help = "Payload sent to peers";
        registry.register_with_unit("afflux_swarm_sent", help, Unit::Bytes, self.sent_to_swarm.clone());
        let help = "Payload that came from peers in vain: twice, too late, or corrupt";
        registry.register_with_unit("afflux_swarm_wasted", help, Unit::Bytes, self.wasted.clone());
    }

    fn register_requests(&self, registry: &mut Registry) {
        let help = "Requests to the API, by the class of their status";
        registry.register("afflux_http_requests", help, self.requests.clone());
        let help = "Requests for media by signed URLs, by what became of them";
        registry.register("afflux_media_opens", help, self.media_opens.clone());
        let help = "Tokens that weren't taken, by the code of the reason";
        registry.register("afflux_tokens_refused", help, self.tokens_refused.clone());
        let help = "Crossed thresholds of what no viewer does, by pattern";
        registry.register("afflux_suspicious", help, self.suspicious.clone());
    }

    /// What a scrape is answered with.
    pub(crate) fn encode(&self, sample: &Sample) -> String {
        self.gauges.set(sample);
        if let (Some(gauges), Some(process)) = (&self.process, Process::read()) {
            gauges.set(&process);
        }
        let mut page = String::new();
        // Writing to a text can't fail, and nothing registered here does.
        let _ = text::encode(&mut page, &self.registry);
        page
    }

    /// A player got its session's first byte.
    pub(crate) fn first_byte(&self, after: Duration) {
        self.ttfb.observe(after.as_secs_f64());
    }

    /// A jump got its first byte.
    pub(crate) fn sought(&self, after: Duration) {
        self.seeks.observe(after.as_secs_f64());
    }

    /// A stall is over.
    pub(crate) fn stalled(&self, length: Duration) {
        self.stalls.observe(length.as_secs_f64());
    }

    /// Media went to a player.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }

    /// A session began.
    pub(crate) fn session_started(&self) {
        self.sessions_started.inc();
    }

    /// A session ended.
    pub(crate) fn session_ended(&self, reason: &'static str) {
        self.sessions_ended.get_or_create(&[("reason", reason)]).inc();
    }

    /// Torrents carried something.
    pub(crate) fn carried(&self, traffic: Traffic) {
        self.received_from_swarm.inc_by(traffic.received);
        self.sent_to_swarm.inc_by(traffic.sent);
        self.wasted.inc_by(traffic.wasted);
    }

    /// A request to the API was answered.
    pub(crate) fn answered(&self, status: u16) {
        let class = STATUS_CLASSES.get(usize::from(status / 100).wrapping_sub(1)).unwrap_or(&"5xx");
        self.requests.get_or_create(&[("class", *class)]).inc();
    }

    /// A request for media was answered.
    pub(crate) fn media_opened(&self, outcome: Result<(), &afflux_stream::OpenError>) {
        use afflux_stream::OpenError::{Gone, Later, NotFound, Refused, TooMany, Unavailable, Unreadable};
        let outcome = match outcome {
            Ok(()) => "opened",
            Err(NotFound) => "not_found",
            Err(Gone) => "gone",
            Err(TooMany(..) | Later(..)) => "too_many",
            Err(Refused(..)) => "refused",
            Err(Unavailable(..)) => "unavailable",
            Err(Unreadable(..)) => "unreadable",
        };
        self.media_opens.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A token wasn't taken.
    pub(crate) fn token_refused(&self, refusal: auth::Refusal) {
        self.tokens_refused.get_or_create(&[("code", refusal.code())]).inc();
    }

    /// Somebody crossed a threshold.
    pub(crate) fn suspected(&self, pattern: Pattern) {
        self.suspicious.get_or_create(&[("pattern", pattern.code())]).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        let help = "Sessions, by what they are at";
        registry.register("afflux_sessions", help, self.sessions.clone());
        registry.register("afflux_stream_readers", "Answers with media under way", self.readers.clone());
        registry.register("afflux_torrents", "Torrents, by what they are at", self.torrents.clone());
        registry.register("afflux_peers_connected", "Peers connected", self.peers.clone());
        let help = "Payload from peers over the last seconds";
        registry.register("afflux_swarm_receive_bytes_per_second", help, self.download_rate.clone());
        let help = "Payload to peers over the last seconds";
        registry.register("afflux_swarm_send_bytes_per_second", help, self.upload_rate.clone());
        let mut bytes = |name, help, gauge: &Gauge| {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        };
        bytes("afflux_memory_used", "Payload in memory", &self.memory_used);
        bytes("afflux_memory_limit", "Payload that memory may hold (STREAM_CACHE_SIZE)", &self.memory_limit);
        bytes("afflux_disk_cache_used", "Payload in the disk cache", &self.cache_used);
        bytes("afflux_disk_cache_limit", "Payload that the disk cache may hold", &self.cache_limit);
        let help = "Jobs that wait for the database";
        registry.register("afflux_database_queued_jobs", help, self.database_jobs.clone());
        registry.register("afflux_users", "Users that were there since the start", self.users.clone());
    }

    fn set(&self, sample: &Sample) {
        for state in STREAM_STATES {
            let count = sample.sessions.iter().filter(|&&other| other == state).count();
            set(&self.sessions.get_or_create(&[("state", state.as_str())]), count as u64);
        }
        set(&self.sessions.get_or_create(&[("state", ASLEEP)]), sample.sessions_asleep as u64);
        for state in TORRENT_STATES {
            let count = sample.torrents.iter().filter(|&&other| other == state).count();
            set(&self.torrents.get_or_create(&[("state", state.as_str())]), count as u64);
        }
        set(&self.readers, sample.readers as u64);
        set(&self.peers, sample.peers);
        set(&self.download_rate, sample.download_rate);
        set(&self.upload_rate, sample.upload_rate);
        set(&self.memory_used, sample.memory.0);
        set(&self.memory_limit, sample.memory.1);
        set(&self.cache_used, sample.cache.0);
        set(&self.cache_limit, sample.cache.1);
        set(&self.database_jobs, sample.database_jobs as u64);
        set(&self.users, sample.users as u64);
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Sets a counter whose sum somebody else keeps.
fn set_seconds(counter: &Counter<f64, AtomicU64>, seconds: f64) {
    counter.inner().store(seconds.to_bits(), Ordering::Relaxed);
}

/// A counter for every value that its label may have: one that is zero is told too.
fn all(name: &'static str, values: impl IntoIterator<Item = &'static str>) -> Family<Label, Counter> {
    let family = Family::default();
    for value in values {
        drop::<Counter>(family.get_or_create_owned(&[(name, value)]));
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_told() {
        let metrics = Metrics::new();
        metrics.first_byte(Duration::from_millis(30));
        metrics.session_ended("idle");
        metrics.carried(Traffic { received: 7, sent: 8, wasted: 9 });
        metrics.answered(204);
        metrics.answered(9);
        metrics.token_refused(auth::Refusal::Expired);
        let sample = Sample { sessions: vec![StreamState::Playing; 2], ..Sample::default() };
        let page = metrics.encode(&sample);
        for line in [
            "afflux_stream_ttfb_seconds_bucket{le=\"0.05\"} 1",
            "afflux_stream_ttfb_seconds_count 1",
            "afflux_sessions_ended_total{reason=\"idle\"} 1",
            "afflux_sessions_ended_total{reason=\"deleted\"} 0",
            "afflux_swarm_received_bytes_total 7",
            "afflux_swarm_wasted_bytes_total 9",
            "afflux_http_requests_total{class=\"2xx\"} 1",
            "afflux_http_requests_total{class=\"5xx\"} 1",
            "afflux_tokens_refused_total{code=\"token_expired\"} 1",
            "afflux_sessions{state=\"playing\"} 2",
            "afflux_sessions{state=\"stalled\"} 0",
        ] {
            assert!(page.lines().any(|told| told == line), "{line} isn't in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn a_scrape_tells_how_things_are_now() {
        let metrics = Metrics::new();
        metrics.encode(&Sample { sessions: vec![StreamState::Playing], ..Sample::default() });
        let page = metrics.encode(&Sample::default());
        assert!(page.contains("afflux_sessions{state=\"playing\"} 0\n"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_tells_of_itself() {
        let page = Metrics::new().encode(&Sample::default());
        for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
            let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
            let value: f64 = line.unwrap().split_once(' ').unwrap().1.parse().unwrap();
            assert!(value > 0.0, "{name} is {value}");
        }
    }
}
