//! What each number may be, said once for all the places that it can come from: flag, environment, file.
//!
//! Every module here is one setting: `parse` reads the text of a flag or variable, `from_file` a value of the TOML file,
//! by the same rules and with the same sentence when it can't be.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::units;

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
