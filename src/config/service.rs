//! What a daemon for several people needs besides its HTTP side: sessions and quotas, downloads, which sources may be used, and what
//! counts as suspicious. Tables `[streams]`, `[downloads]`, `[sources]` and `[suspicious]` of the file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use afflux_metainfo::hash::InfoHashes;
use clap::Args;
use serde::Deserialize;

use super::File;
use super::checks::{
    analytics_retention, bulk_factor, content_policy, daily_quota, hash_rule, host_rule, idle_time,
    max_streams, networks_per_token, pace, parse_failures, ranges_per_second, readers_per_session,
    seed_ratio, seed_time, stream_starts, torrent_grace, torrents_per_hour, url_ttl, user_download_limit,
    user_upload_limit,
};
use crate::policy::{HostPattern, SourcePolicy, SourceSettings};
use afflux_stream::magic::ContentPolicy;
use afflux_stream::suspicion::{NETWORKS_MAX, Pattern};

const STREAMS: &str = "Streams";
const DOWNLOADS: &str = "Downloads";
const SOURCES: &str = "Sources";
const SUSPICIOUS: &str = "Suspicious use (N:ACTION, with count, warn, throttle, refuse or revoke; 0 never)";

/// Options of the daemon's service, group by group.
#[derive(Clone, Debug, Default, Args)]
pub struct ServiceOptions {
    /// `[streams]`
    #[command(flatten)]
    pub streams: StreamOptions,
    /// `[downloads]`
    #[command(flatten)]
    pub downloads: DownloadOptions,
    /// `[sources]`
    #[command(flatten)]
    pub sources: SourceOptions,
    /// `[suspicious]`
    #[command(flatten)]
    pub suspicious: SuspiciousOptions,
}

/// All of them, settled.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// `[streams]`
    pub streams: StreamSettings,
    /// `[downloads]`
    pub downloads: DownloadSettings,
    /// `[sources]`
    pub sources: SourcePolicy,
    /// `[suspicious]`
    pub suspicious: SuspiciousSettings,
}

impl ServiceOptions {
    /// Overlays these over the file's values and fills in defaults.
    pub fn settle(self, file: &File) -> ServiceSettings {
        ServiceSettings {
            streams: self.streams.settle(file.streams.clone()),
            downloads: self.downloads.settle(file.downloads.clone()),
            sources: SourcePolicy::from(self.sources.settle(file.sources.clone())),
            suspicious: self.suspicious.settle(file.suspicious.clone()),
        }
    }
}

/// Sessions, their URLs, and what users may take.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StreamOptions {
    /// Streams of all users together at once; 0: no limit [default: 100]
    #[arg(long, value_name = "N", help_heading = STREAMS, value_parser = max_streams::parse)]
    #[serde(deserialize_with = "max_streams::from_file")]
    pub max_streams: Option<u32>,
    /// A session that nobody reads or asks about ends after this [default: 10m]
    #[arg(long, value_name = "SPAN", help_heading = STREAMS, value_parser = idle_time::parse)]
    #[serde(deserialize_with = "idle_time::from_file")]
    pub idle_time: Option<Duration>,
    /// A torrent that nobody streams any more is kept for this, since people come back [default: 60s]
    #[arg(long, value_name = "SPAN", help_heading = STREAMS, value_parser = torrent_grace::parse)]
    #[serde(deserialize_with = "torrent_grace::from_file")]
    pub torrent_grace: Option<Duration>,
    /// How long a stream's URL is good; each seek uses it anew, so it must outlive a paused film [default: 12h]
    #[arg(long, value_name = "SPAN", help_heading = STREAMS, value_parser = url_ttl::parse)]
    #[serde(deserialize_with = "url_ttl::from_file")]
    pub url_ttl: Option<Duration>,
    /// Parallel connections that may read one session [default: 8]
    #[arg(long, value_name = "N", help_heading = STREAMS, value_parser = readers_per_session::parse)]
    #[serde(deserialize_with = "readers_per_session::from_file")]
    pub readers_per_session: Option<u32>,
    /// Send no faster than a player needs once it has a good stretch ahead [default: true]
    #[arg(long, value_name = "BOOL", help_heading = STREAMS, value_parser = pace::parse)]
    #[serde(deserialize_with = "pace::from_file")]
    pub pace: Option<bool>,
    /// What is done about files that pretend to be films: block or warn [default: block]
    #[arg(long, value_name = "KIND", help_heading = STREAMS, value_parser = content_policy::parse)]
    #[serde(deserialize_with = "content_policy::from_file")]
    pub content_policy: Option<ContentPolicy>,
    /// Bytes per second that one user's torrents may download, K/M/G allowed; 0: no limit [default: 0]
    #[arg(long, value_name = "RATE", help_heading = STREAMS, value_parser = user_download_limit::parse)]
    #[serde(deserialize_with = "user_download_limit::from_file")]
    pub user_download_limit: Option<u64>,
    /// Bytes per second that one user's torrents may upload, K/M/G allowed; 0: no limit [default: 0]
    #[arg(long, value_name = "RATE", help_heading = STREAMS, value_parser = user_upload_limit::parse)]
    #[serde(deserialize_with = "user_upload_limit::from_file")]
    pub user_upload_limit: Option<u64>,
    /// Bytes that one user may stream and download in a day, K/M/G allowed; 0: no limit [default: 0]
    #[arg(long, value_name = "BYTES", help_heading = STREAMS, value_parser = daily_quota::parse)]
    #[serde(deserialize_with = "daily_quota::from_file")]
    pub daily_quota: Option<u64>,
    /// How long it is remembered who streamed what, how that went, and where users were in films; 0: not at all [default: 90d]
    #[arg(long, value_name = "SPAN", help_heading = STREAMS, value_parser = analytics_retention::parse)]
    #[serde(deserialize_with = "analytics_retention::from_file")]
    pub analytics_retention: Option<Duration>,
}

/// [`StreamOptions`], settled.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSettings {
    /// Streams of all users together; `None`: no limit.
    pub max_streams: Option<u32>,
    /// When an unused session ends.
    pub idle_time: Duration,
    /// How long a torrent outlives its last session.
    pub torrent_grace: Duration,
    /// How long a stream's URL is good.
    pub url_ttl: Duration,
    /// Parallel readers of one session.
    pub readers_per_session: u32,
    /// Whether players are sent no more than they need.
    pub pace: bool,
    /// What is done about files that pretend to be films.
    pub content_policy: ContentPolicy,
    /// Bytes per second; `None`: no limit.
    pub user_download_limit: Option<u64>,
    /// Bytes per second; `None`: no limit.
    pub user_upload_limit: Option<u64>,
    /// Bytes of one user in a day; `None`: no limit.
    pub daily_quota: Option<u64>,
    /// How long analytics are kept.
    pub analytics_retention: Duration,
}

impl StreamOptions {
    fn settle(self, file: Self) -> StreamSettings {
        let span = |mine: Option<Duration>, theirs: Option<Duration>, seconds| {
            mine.or(theirs).unwrap_or(Duration::from_secs(seconds))
        };
        let limit = |mine: Option<u64>, theirs: Option<u64>| mine.or(theirs).filter(|&bytes| bytes > 0);
        StreamSettings {
            max_streams: Some(self.max_streams.or(file.max_streams).unwrap_or(100)).filter(|&most| most > 0),
            idle_time: span(self.idle_time, file.idle_time, 600),
            torrent_grace: span(self.torrent_grace, file.torrent_grace, 60),
            url_ttl: span(self.url_ttl, file.url_ttl, 12 * 3600),
            readers_per_session: self.readers_per_session.or(file.readers_per_session).unwrap_or(8),
            pace: self.pace.or(file.pace).unwrap_or(true),
            content_policy: self.content_policy.or(file.content_policy).unwrap_or_default(),
            user_download_limit: limit(self.user_download_limit, file.user_download_limit),
            user_upload_limit: limit(self.user_upload_limit, file.user_upload_limit),
            daily_quota: limit(self.daily_quota, file.daily_quota),
            analytics_retention: span(self.analytics_retention, file.analytics_retention, 90 * 86_400),
        }
    }
}

/// What is kept for offline viewing.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DownloadOptions {
    /// Downloads are seeded until this many times their size was uploaded; 0: not at all [default: 1.0]
    #[arg(long, value_name = "R", help_heading = DOWNLOADS, value_parser = seed_ratio::parse)]
    #[serde(deserialize_with = "seed_ratio::from_file")]
    pub seed_ratio: Option<f64>,
    /// Downloads are seeded no longer than this; 0: however long the ratio takes [default: 0]
    #[arg(long, value_name = "SPAN", help_heading = DOWNLOADS, value_parser = seed_time::parse)]
    #[serde(deserialize_with = "seed_time::from_file")]
    pub seed_time: Option<Duration>,
}

/// [`DownloadOptions`], settled.
#[derive(Clone, Debug, PartialEq)]
pub struct DownloadSettings {
    /// Seeded until so many times the size was uploaded.
    pub seed_ratio: f64,
    /// Seeded no longer than this; `None`: no limit.
    pub seed_time: Option<Duration>,
}

impl DownloadOptions {
    fn settle(self, file: Self) -> DownloadSettings {
        DownloadSettings {
            seed_ratio: self.seed_ratio.or(file.seed_ratio).unwrap_or(1.0),
            seed_time: self.seed_time.or(file.seed_time).filter(|span| !span.is_zero()),
        }
    }
}

/// Which torrents, trackers and servers may be used: see [`crate::policy`].
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceOptions {
    /// Ask only these trackers: a name, *.example.org, an address or a network; may be repeated [default: all]
    #[arg(long, value_name = "HOST", help_heading = SOURCES, value_parser = host_rule::parse)]
    #[serde(deserialize_with = "host_rule::list_from_file")]
    pub allow_tracker: Vec<HostPattern>,
    /// Never ask these trackers; wins over --allow-tracker; may be repeated
    #[arg(long, value_name = "HOST", help_heading = SOURCES, value_parser = host_rule::parse)]
    #[serde(deserialize_with = "host_rule::list_from_file")]
    pub deny_tracker: Vec<HostPattern>,
    /// Fetch .torrent files and web seeds only from these hosts; may be repeated [default: all]
    #[arg(long, value_name = "HOST", help_heading = SOURCES, value_parser = host_rule::parse)]
    #[serde(deserialize_with = "host_rule::list_from_file")]
    pub allow_host: Vec<HostPattern>,
    /// Never ask these hosts, nor as trackers; wins over --allow-host; may be repeated
    #[arg(long, value_name = "HOST", help_heading = SOURCES, value_parser = host_rule::parse)]
    #[serde(deserialize_with = "host_rule::list_from_file")]
    pub deny_host: Vec<HostPattern>,
    /// Take only these torrents, by info-hash; may be repeated [default: all]
    #[arg(long, value_name = "HASH", help_heading = SOURCES, value_parser = hash_rule::parse)]
    #[serde(deserialize_with = "hash_rule::list_from_file")]
    pub allow_hash: Vec<InfoHashes>,
    /// Never take these torrents, by info-hash; may be repeated
    #[arg(long, value_name = "HASH", help_heading = SOURCES, value_parser = hash_rule::parse)]
    #[serde(deserialize_with = "hash_rule::list_from_file")]
    pub deny_hash: Vec<InfoHashes>,
}

impl SourceOptions {
    fn settle(self, file: Self) -> SourceSettings {
        SourceSettings {
            allow_trackers: super::options::either(self.allow_tracker, file.allow_tracker),
            deny_trackers: super::options::either(self.deny_tracker, file.deny_tracker),
            allow_hosts: super::options::either(self.allow_host, file.allow_host),
            deny_hosts: super::options::either(self.deny_host, file.deny_host),
            allow_hashes: super::options::either(self.allow_hash, file.allow_hash),
            deny_hashes: super::options::either(self.deny_hash, file.deny_hash),
        }
    }
}

/// From when on a user's doings are suspicious, and what is done then.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SuspiciousOptions {
    /// Torrents that one user adds in an hour [default: 20:warn]
    #[arg(long, value_name = "N:ACTION", help_heading = SUSPICIOUS, value_parser = torrents_per_hour::parse)]
    #[serde(deserialize_with = "torrents_per_hour::from_file")]
    pub torrents_per_hour: Option<Threshold>,
    /// Torrents and magnets of one user that can't be read, in an hour [default: 10:warn]
    #[arg(long, value_name = "N:ACTION", help_heading = SUSPICIOUS, value_parser = parse_failures::parse)]
    #[serde(deserialize_with = "parse_failures::from_file")]
    pub parse_failures_per_hour: Option<Threshold>,
    /// Streams that one user starts in a minute [default: 10:throttle]
    #[arg(long, value_name = "N:ACTION", help_heading = SUSPICIOUS, value_parser = stream_starts::parse)]
    #[serde(deserialize_with = "stream_starts::from_file")]
    pub stream_starts_per_minute: Option<Threshold>,
    /// Requests for ranges with one URL's token, in a second [default: 60:throttle]
    #[arg(long, value_name = "N:ACTION", help_heading = SUSPICIOUS, value_parser = ranges_per_second::parse)]
    #[serde(deserialize_with = "ranges_per_second::from_file")]
    pub ranges_per_second: Option<Threshold>,
    /// Networks (/24, /48) that use one token, or one URL, within ten minutes; 15 at most [default: 3:revoke]
    #[arg(long, value_name = "N:ACTION", help_heading = SUSPICIOUS, value_parser = networks_per_token::parse)]
    #[serde(deserialize_with = "networks_per_token::from_file")]
    pub networks_per_token: Option<Threshold>,
    /// Reading so many times faster than the film plays, for ten minutes: that is downloading [default: 3:throttle]
    #[arg(long, value_name = "N:ACTION", help_heading = SUSPICIOUS, value_parser = bulk_factor::parse)]
    #[serde(deserialize_with = "bulk_factor::from_file")]
    pub bulk_factor: Option<Threshold>,
}

/// What is done about something suspicious, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It is counted.
    Count,
    /// It is told in the log and to administrators.
    Warn,
    /// The user is slowed down.
    Throttle,
    /// Requests of the kind are refused for a while.
    Refuse,
    /// Token or session ends.
    Revoke,
}

impl Action {
    const ALL: [(&'static str, Action); 5] = [
        ("count", Action::Count),
        ("warn", Action::Warn),
        ("throttle", Action::Throttle),
        ("refuse", Action::Refuse),
        ("revoke", Action::Revoke),
    ];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// More than so many, and what is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// What still is fine; `None`: anything is.
    pub most: Option<u32>,
    /// What is done beyond.
    pub action: Action,
}

impl Threshold {
    /// The action that so many call for, if any.
    pub fn judge(self, count: u32) -> Option<Action> {
        self.most.filter(|&most| count > most).map(|_| self.action)
    }

    const fn new(most: u32, action: Action) -> Self {
        Self { most: Some(most), action }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?}: allowed is a number and what is done beyond it, such as 20:warn, with count, warn, \
                 throttle, refuse or revoke; 0 switches it off"
            )
        };
        let trimmed = text.trim();
        if trimmed == "0" {
            return Ok(Self { most: None, action: Action::Count });
        }
        let (most, action) = trimmed.split_once(':').ok_or_else(wrong)?;
        let most: u32 = most.trim().parse().map_err(|_| wrong())?;
        let known = Action::ALL.iter().find(|(name, _)| *name == action.trim());
        let (_, action) = known.ok_or_else(wrong)?;
        Ok(Self { most: (most > 0).then_some(most), action: *action })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.most.unwrap_or(0), self.action.as_str())
    }
}

/// [`SuspiciousOptions`], settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspiciousSettings {
    /// Torrents added in an hour, per user.
    pub torrents_per_hour: Threshold,
    /// Torrents that can't be read in an hour, per user.
    pub parse_failures_per_hour: Threshold,
    /// Streams started in a minute, per user.
    pub stream_starts_per_minute: Threshold,
    /// Range requests in a second, per token.
    pub ranges_per_second: Threshold,
    /// Networks within ten minutes, per token.
    pub networks_per_token: Threshold,
    /// Times real time for ten minutes, per session.
    pub bulk_factor: Threshold,
}

impl SuspiciousSettings {
    /// The threshold of a pattern.
    pub fn of(&self, pattern: Pattern) -> Threshold {
        match pattern {
            Pattern::TorrentsAdded => self.torrents_per_hour,
            Pattern::ParseFailures => self.parse_failures_per_hour,
            Pattern::StreamStarts => self.stream_starts_per_minute,
            Pattern::RangeFlood => self.ranges_per_second,
            Pattern::ManyNetworks => self.networks_per_token,
            Pattern::BulkRead => self.bulk_factor,
        }
    }

    /// Refuses what could never happen.
    ///
    /// # Errors
    /// A sentence: more networks than are told apart, or, without accounts, revoking tokens that there aren't.
    pub fn check(&self, accounts: bool) -> Result<(), String> {
        // One more has to be told apart from them.
        let networks_max = NETWORKS_MAX as u32 - 1;
        if let Some(most) = self.networks_per_token.most.filter(|&most| most > networks_max) {
            return Err(format!(
                "--networks-per-token {most}: no more than {networks_max} are told apart; 0 switches it off"
            ));
        }
        let of_users = [
            ("--torrents-per-hour", self.torrents_per_hour),
            ("--parse-failures-per-hour", self.parse_failures_per_hour),
            ("--stream-starts-per-minute", self.stream_starts_per_minute),
        ];
        let revoking = of_users.iter().find(|(_, rule)| rule.most.is_some() && rule.action == Action::Revoke);
        match revoking {
            Some((name, rule)) if !accounts => Err(format!(
                "{name} {rule}: without accounts (STREAM_AUTH_REQUIRED=false) there is no token to revoke: say refuse"
            )),
            _ => Ok(()),
        }
    }
}

impl SuspiciousOptions {
    fn settle(self, file: Self) -> SuspiciousSettings {
        let settled = |mine: Option<Threshold>, theirs: Option<Threshold>, most, action| {
            mine.or(theirs).unwrap_or(Threshold::new(most, action))
        };
        let (failures, starts) = (self.parse_failures_per_hour, self.stream_starts_per_minute);
        SuspiciousSettings {
            torrents_per_hour: settled(self.torrents_per_hour, file.torrents_per_hour, 20, Action::Warn),
            parse_failures_per_hour: settled(failures, file.parse_failures_per_hour, 10, Action::Warn),
            stream_starts_per_minute: settled(starts, file.stream_starts_per_minute, 10, Action::Throttle),
            ranges_per_second: settled(self.ranges_per_second, file.ranges_per_second, 60, Action::Throttle),
            networks_per_token: settled(self.networks_per_token, file.networks_per_token, 3, Action::Revoke),
            bulk_factor: settled(self.bulk_factor, file.bulk_factor, 3, Action::Throttle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_a_number_and_what_is_done_beyond() {
        let threshold: Threshold = "20 : throttle".parse().unwrap();
        assert_eq!((threshold.judge(20), threshold.judge(21)), (None, Some(Action::Throttle)));
        for off in ["0", "0:warn"] {
            assert_eq!(off.parse::<Threshold>().unwrap().judge(u32::MAX), None);
        }
        for wrong in ["", "20", "20:", ":warn", "-1:warn", "20:shout", "4294967296:warn"] {
            assert!(wrong.parse::<Threshold>().is_err(), "{wrong:?}");
        }
        for (name, action) in Action::ALL {
            assert_eq!(action.as_str(), name);
        }
    }

    #[test]
    fn what_could_never_happen_is_refused() {
        let with = |options: SuspiciousOptions| options.settle(SuspiciousOptions::default());
        let defaults = with(SuspiciousOptions::default());
        assert_eq!((defaults.check(true), defaults.check(false)), (Ok(()), Ok(())));
        let threshold = |text: &str| Some(text.parse().unwrap());
        let starts = with(SuspiciousOptions {
            stream_starts_per_minute: threshold("5:revoke"),
            ..SuspiciousOptions::default()
        });
        assert_eq!(starts.check(true), Ok(()));
        assert!(starts.check(false).unwrap_err().contains("--stream-starts-per-minute 5:revoke"));
        for (text, is_fine) in [("15:warn", true), ("16:warn", false), ("0", true)] {
            let networks = with(SuspiciousOptions {
                networks_per_token: threshold(text),
                ..SuspiciousOptions::default()
            });
            assert_eq!(networks.check(true).is_ok(), is_fine, "{text}");
        }
    }

    #[test]
    fn flags_win_over_the_file_here_too() {
        let file = File {
            streams: StreamOptions {
                url_ttl: Some(Duration::from_secs(60)),
                max_streams: Some(0),
                ..Default::default()
            },
            ..Default::default()
        };
        let settled = ServiceOptions::default().settle(&file);
        assert_eq!((settled.streams.url_ttl.as_secs(), settled.streams.max_streams), (60, None));
        let streams = StreamOptions { url_ttl: Some(Duration::from_secs(90)), ..Default::default() };
        let settled = ServiceOptions { streams, ..Default::default() }.settle(&file);
        assert_eq!(settled.streams.url_ttl.as_secs(), 90);
        assert_eq!(settled.streams.idle_time.as_secs(), 600);
    }
}
