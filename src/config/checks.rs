//! What each number may be, said once for all the places that it can come from: flag, environment, file.
//!
//! Every module here is one setting: `parse` reads the text of a flag or variable, `from_file` a value of the TOML file,
//! by the same rules and with the same sentence when it can't be.

use std::net::IpAddr;
use std::time::Duration;

use afflux_metainfo::hash::InfoHashes;
use afflux_stream::BaseUrl;
use afflux_stream::magic::ContentPolicy;
use ipnet::IpNet;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::service::Threshold;
use super::units;
use crate::policy::HostPattern;

/// An hour: no wait of ours is honestly longer, and sums of several can't overflow.
const WAIT_MS_MAX: u64 = 3_600_000;
/// The least memory that holds a piece of usual size under way and one being read.
const CACHE_BYTES_MIN: u64 = 4 * 1024 * 1024;
const CACHE_BYTES_MAX: u64 = 1 << 40;
/// A petabyte: what no disk has, and far from overflowing sums.
const DISK_CACHE_BYTES_MAX: u64 = 1 << 50;
/// Far beyond any line, and far from overflowing sums of rates and times.
const RATE_MAX: u64 = 1 << 50;

macro_rules! setting {
    ($name:ident: $kind:ty, $check:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn parse(text: &str) -> Result<$kind, String> {
                $check(text)
            }

            pub(in super::super) fn from_file<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<$kind>, D::Error> {
                checked(deserializer, parse)
            }
        }
    };
}

setting!(peer_port: u16, units::port("WEBTORRENT_DHT_PORT"));
setting!(max_peers: u32, units::count("MAX_PEERS", 1, 100_000));
setting!(max_conns: u32, units::count("WEBTORRENT_MAX_CONNS", 1, 10_000));
setting!(download_limit: u64, units::size("WEBTORRENT_DOWNLOAD_LIMIT", 0, RATE_MAX));
setting!(upload_limit: u64, units::size("WEBTORRENT_UPLOAD_LIMIT", 0, RATE_MAX));
setting!(stream_cache_size: u64, units::size("STREAM_CACHE_SIZE", CACHE_BYTES_MIN, CACHE_BYTES_MAX));
setting!(disk_cache_size: u64, units::size("STREAM_DISK_CACHE_SIZE", CACHE_BYTES_MIN, DISK_CACHE_BYTES_MAX));
setting!(stream_buffer_size: u64, units::size("STREAM_BUFFER_SIZE", 16 * 1024, 1 << 30));
setting!(stream_timeout: u64, units::whole("STREAM_TIMEOUT", 100, WAIT_MS_MAX));
setting!(torrent_timeout: u64, units::whole("TORRENT_TIMEOUT", 100, WAIT_MS_MAX));
setting!(peer_timeout: u64, units::whole("PEER_TIMEOUT", 100, WAIT_MS_MAX));
setting!(announce_timeout: u64, units::whole("ANNOUNCE_TIMEOUT", 100, WAIT_MS_MAX));
setting!(duplicate_percent: u32, units::count("--duplicate-percent", 0, 100));
setting!(stream_port: u16, units::port("STREAM_PORT"));
setting!(auth_required: bool, units::truth("STREAM_AUTH_REQUIRED"));
setting!(stream_rate_limit: u32, units::count("STREAM_RATE_LIMIT", 1, 100_000));
setting!(max_concurrent_streams: u32, units::count("MAX_CONCURRENT_STREAMS", 1, 10_000));

macro_rules! list {
    ($name:ident: $kind:ty, $check:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in super::super) fn parse(text: &str) -> Result<$kind, String> {
                $check(text)
            }

            pub(in super::super) fn list_from_file<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Vec<$kind>, D::Error> {
                checked_list(deserializer, parse)
            }
        }
    };
}

setting!(max_http_conns: u32, units::count("--max-http-conns", 1, 65_536));
setting!(public_url: BaseUrl, |text: &str| text
    .parse::<BaseUrl>()
    .map_err(|error| format!("--public-url is {text:?}: {error}")));
list!(host_name: String, host);
list!(cors_origin: String, origin);
list!(trusted_proxy: IpNet, network);
setting!(max_streams: u32, units::count("--max-streams", 0, 100_000));
setting!(idle_time: Duration, units::span_from("--idle-time", 1));
setting!(torrent_grace: Duration, units::span_from("--torrent-grace", 0));
setting!(url_ttl: Duration, units::span_from("--url-ttl", 1));
setting!(readers_per_session: u32, units::count("--readers-per-session", 1, 1000));
setting!(pace: bool, units::truth("--pace"));
setting!(content_policy: ContentPolicy, content_policy_of);
setting!(user_download_limit: u64, units::size("--user-download-limit", 0, RATE_MAX));
setting!(user_upload_limit: u64, units::size("--user-upload-limit", 0, RATE_MAX));
setting!(daily_quota: u64, units::size("--daily-quota", 0, DISK_CACHE_BYTES_MAX));
setting!(analytics_retention: Duration, units::span_from("--analytics-retention", 0));
setting!(seed_ratio: f64, units::ratio("--seed-ratio"));
setting!(seed_time: Duration, units::span_from("--seed-time", 0));
list!(host_rule: HostPattern, |text: &str| text.parse::<HostPattern>().map_err(|error| error.to_string()));
list!(hash_rule: InfoHashes, |text: &str| text
    .trim()
    .parse::<InfoHashes>()
    .map_err(|error| format!("{text:?} is no info-hash: {error}")));
setting!(torrents_per_hour: Threshold, threshold("--torrents-per-hour"));
setting!(parse_failures: Threshold, threshold("--parse-failures-per-hour"));
setting!(stream_starts: Threshold, threshold("--stream-starts-per-minute"));
setting!(ranges_per_second: Threshold, threshold("--ranges-per-second"));
setting!(networks_per_token: Threshold, threshold("--networks-per-token"));
setting!(bulk_factor: Threshold, threshold("--bulk-factor"));

fn threshold(variable: &'static str) -> impl Fn(&str) -> Result<Threshold, String> {
    move |text| text.parse().map_err(|sentence| format!("{variable} is {sentence}"))
}

/// A name that the server goes by: no scheme, no port.
fn host(text: &str) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if name == "*" || (!name.is_empty() && name.len() <= 255 && name.bytes().all(legal)) {
        return Ok(name);
    }
    Err(format!(
        "--host is {text:?}: allowed is a name without scheme and port (tv.example.org), or * for any name, which \
         gives up the protection against DNS rebinding"
    ))
}

/// An origin as browsers write it.
fn origin(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "--cors-origin is {text:?}: allowed is an origin as browsers send it (https://tv.example.org)"
        )
    };
    let origin: BaseUrl = text.trim().parse().map_err(|_| wrong())?;
    let has_folder = origin.as_str().matches('/').count() > 2;
    if has_folder { Err(wrong()) } else { Ok(origin.as_str().to_ascii_lowercase()) }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let trimmed = text.trim();
    let one = || trimmed.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
    trimmed.parse().or_else(|_| one()).map_err(|_| {
        format!("--trusted-proxy is {text:?}: allowed is an address (127.0.0.1) or a network (10.0.0.0/8)")
    })
}

/// In the file a list may have one entry without brackets.
fn checked_list<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        One(String),
        Many(Vec<String>),
    }
    let texts = match Value::deserialize(deserializer)? {
        Value::One(text) => vec![text],
        Value::Many(texts) => texts,
    };
    texts.iter().map(|text| check(text).map_err(D::Error::custom)).collect()
}

/// In the file a number or a truth may be written as such, or as the text that it would be elsewhere (`"500K"`).
fn checked<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Whole(i64),
        Real(f64),
        Truth(bool),
        Text(String),
    }
    let Some(value) = Option::<Value>::deserialize(deserializer)? else { return Ok(None) };
    let text = match value {
        Value::Whole(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Truth(truth) => truth.to_string(),
        Value::Text(text) => text,
    };
    check(&text).map(Some).map_err(D::Error::custom)
}

fn content_policy_of(text: &str) -> Result<ContentPolicy, String> {
    match text {
        "block" => Ok(ContentPolicy::Block),
        "warn" => Ok(ContentPolicy::Warn),
        _ => Err(format!("--content-policy is {text:?}: allowed are block and warn")),
    }
}
