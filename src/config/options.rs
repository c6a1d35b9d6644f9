//! Every option that more than one command has: flag, environment variable, key in the file, default, help.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use afflux_stream::BaseUrl;
use afflux_swarm::StrategyName;
use clap::Args;
use ipnet::IpNet;
use serde::Deserialize;

use super::checks::{
    announce_timeout, auth_required, cors_origin, disk_cache_size, download_limit, duplicate_percent,
    host_name, max_concurrent_streams, max_conns, max_http_conns, max_peers, peer_port, peer_timeout,
    public_url, stream_buffer_size, stream_cache_size, stream_port, stream_rate_limit, stream_timeout,
    torrent_timeout, trusted_proxy, upload_limit,
};
use super::strategy;
use crate::failure::Failure;

/// Default of `WEBTORRENT_DHT_PORT`.
pub const PEER_PORT: u16 = 6881;
/// Default of `WEBTORRENT_MAX_CONNS`.
pub const MAX_CONNS: u32 = 100;
/// Default of `MAX_PEERS`.
pub const MAX_PEERS: u32 = 200;
/// Default of `STREAM_PORT`.
pub const STREAM_PORT: u16 = 8080;
/// Default of `STREAM_DISK_CACHE_SIZE` where the disk cache is asked for.
pub const STREAM_DISK_CACHE_SIZE: u64 = 10 * 1024 * 1024 * 1024;
/// Default of `STREAM_CACHE_SIZE`.
pub const STREAM_CACHE_SIZE: u64 = 100 * 1024 * 1024;
/// Default of `STREAM_BUFFER_SIZE`.
pub const STREAM_BUFFER_SIZE: u64 = 1024 * 1024;
/// Default of `STREAM_TIMEOUT`.
pub const STREAM_TIMEOUT_MS: u64 = 30_000;
/// Default of `TORRENT_TIMEOUT`.
pub const TORRENT_TIMEOUT_MS: u64 = 60_000;
/// Default of `PEER_TIMEOUT`.
pub const PEER_TIMEOUT_MS: u64 = 30_000;
/// Default of `ANNOUNCE_TIMEOUT`.
pub const ANNOUNCE_TIMEOUT_MS: u64 = 15_000;
/// Default of `--duplicate-percent`.
pub const DUPLICATE_PERCENT: u32 = 3;
/// Default of `STREAM_RATE_LIMIT`.
pub const STREAM_RATE_LIMIT: u32 = 10;
/// Default of `--max-http-conns`.
pub const MAX_HTTP_CONNS: u32 = 256;
/// Default of `MAX_CONCURRENT_STREAMS`.
pub const MAX_CONCURRENT_STREAMS: u32 = 5;

const SWARM: &str = "Peer network";
const LIMITS: &str = "Limits";
const HTTP: &str = "HTTP";

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct GlobalOptions {
    /// Folder for state: resume data, DHT table [default: the platform's data folder]
    #[arg(long, global = true, value_name = "DIR", env = "AFFLUX_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// What to log on standard error: error, warn, info, debug, trace, or a filter such as afflux=debug
    /// [default: warn]
    #[arg(long, global = true, value_name = "LEVEL", env = "AFFLUX_LOG")]
    pub log: Option<String>,
    /// One JSON object per line on standard output instead of the human view
    #[arg(long, global = true)]
    pub json: bool,
    /// TOML file with settings; a flag wins over the environment, that over the file
    #[arg(long, global = true, value_name = "FILE", env = "AFFLUX_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Options of every command that joins a swarm.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SwarmOptions {
    /// IP address to listen on and to dial from [default: all, IPv4 and IPv6]
    #[arg(long, value_name = "ADDR", help_heading = SWARM)]
    pub bind: Option<IpAddr>,
    /// TCP port for peers and UDP port for the DHT; 0 takes any free one [default: 6881]
    #[arg(long, value_name = "PORT", env = "WEBTORRENT_DHT_PORT", help_heading = SWARM,
          value_parser = peer_port::parse)]
    #[serde(deserialize_with = "peer_port::from_file")]
    pub peer_port: Option<u16>,
    /// Dial this peer; may be repeated
    #[arg(long, value_name = "IP:PORT", help_heading = SWARM)]
    pub peer: Vec<SocketAddr>,
    /// Announce to this tracker too; may be repeated
    #[arg(long, value_name = "URL", help_heading = SWARM)]
    pub tracker: Vec<String>,
    /// Keep out of the DHT
    #[arg(long, help_heading = SWARM)]
    pub no_dht: bool,
    /// Enter the DHT through this node instead of the default ones; may be repeated
    #[arg(long, value_name = "HOST:PORT", help_heading = SWARM)]
    pub dht_bootstrap: Vec<String>,
    /// Connections over all torrents [default: 200]
    #[arg(long, value_name = "N", env = "MAX_PEERS", help_heading = SWARM,
          value_parser = max_peers::parse)]
    #[serde(deserialize_with = "max_peers::from_file")]
    pub max_peers: Option<u32>,
    /// Connections per torrent [default: 100]
    #[arg(long, value_name = "N", env = "WEBTORRENT_MAX_CONNS", help_heading = SWARM,
          value_parser = max_conns::parse)]
    #[serde(deserialize_with = "max_conns::from_file")]
    pub max_conns: Option<u32>,
    /// Bytes per second over all torrents, K/M/G allowed; 0: no limit [default: 0]
    #[arg(long, value_name = "RATE", env = "WEBTORRENT_DOWNLOAD_LIMIT", help_heading = SWARM,
          value_parser = download_limit::parse)]
    #[serde(deserialize_with = "download_limit::from_file")]
    pub download_limit: Option<u64>,
    /// Bytes per second over all torrents, K/M/G allowed; 0: no limit [default: 0]
    #[arg(long, value_name = "RATE", env = "WEBTORRENT_UPLOAD_LIMIT", help_heading = SWARM,
          value_parser = upload_limit::parse)]
    #[serde(deserialize_with = "upload_limit::from_file")]
    pub upload_limit: Option<u64>,
    /// Which pieces are asked for next; `afflux sim` compares them [default: deadline]
    #[arg(long, value_name = "NAME", help_heading = SWARM, value_parser = strategy::names())]
    #[serde(deserialize_with = "strategy::from_file")]
    pub strategy: Option<StrategyName>,
    /// Allow trackers and .torrent URLs on private and loopback addresses (a torrent could make the program
    /// knock at your own network); peers given with --peer are always allowed
    #[arg(long, help_heading = SWARM)]
    pub allow_local_addresses: bool,

    // Named by the contract, built later. They are known here so that they are refused with a sentence.
    /// Not built yet
    #[arg(long, hide = true)]
    pub no_lsd: bool,
    /// Not built yet
    #[arg(long, hide = true)]
    pub no_pex: bool,
    /// Not built yet
    #[arg(long, hide = true)]
    pub no_nat: bool,
    /// Not built yet
    #[arg(long, hide = true)]
    pub no_utp: bool,
    /// Not built yet
    #[arg(long, hide = true)]
    pub no_tcp: bool,
    /// Not built yet
    #[arg(long, hide = true, value_name = "MODE")]
    pub encryption: Option<String>,
    /// Not built yet
    #[arg(long, hide = true, value_name = "URL")]
    pub proxy: Option<String>,
    /// Not built yet
    #[arg(long, hide = true, value_name = "FILE")]
    pub ip_filter: Option<PathBuf>,
}

impl SwarmOptions {
    pub(super) fn over(self, file: Self) -> Self {
        let list = |mine: Vec<String>, theirs: Vec<String>| if mine.is_empty() { theirs } else { mine };
        Self {
            bind: self.bind.or(file.bind),
            peer_port: self.peer_port.or(file.peer_port),
            peer: if self.peer.is_empty() { file.peer } else { self.peer },
            tracker: list(self.tracker, file.tracker),
            no_dht: self.no_dht || file.no_dht,
            dht_bootstrap: list(self.dht_bootstrap, file.dht_bootstrap),
            max_peers: self.max_peers.or(file.max_peers),
            max_conns: self.max_conns.or(file.max_conns),
            download_limit: self.download_limit.or(file.download_limit),
            upload_limit: self.upload_limit.or(file.upload_limit),
            strategy: self.strategy.or(file.strategy),
            allow_local_addresses: self.allow_local_addresses || file.allow_local_addresses,
            no_lsd: self.no_lsd || file.no_lsd,
            no_pex: self.no_pex || file.no_pex,
            no_nat: self.no_nat || file.no_nat,
            no_utp: self.no_utp || file.no_utp,
            no_tcp: self.no_tcp || file.no_tcp,
            encryption: self.encryption.or(file.encryption),
            proxy: self.proxy.or(file.proxy),
            ip_filter: self.ip_filter.or(file.ip_filter),
        }
    }

    pub(super) fn refuse_unbuilt(&self) -> Result<(), Failure> {
        let unbuilt = [
            (self.no_lsd, "--no-lsd", "local service discovery (BEP 14)"),
            (self.no_pex, "--no-pex", "peer exchange (BEP 11)"),
            (self.no_nat, "--no-nat", "port mapping"),
            (self.no_utp, "--no-utp", "uTP (BEP 29)"),
            (self.no_tcp, "--no-tcp", "uTP (BEP 29), without which nothing would be left,"),
            (self.encryption.is_some(), "--encryption", "protocol encryption"),
            (self.proxy.is_some(), "--proxy", "proxy support"),
            (self.ip_filter.is_some(), "--ip-filter", "IP filtering"),
        ];
        match unbuilt.into_iter().find(|(set, ..)| *set) {
            Some((_, flag, what)) => Err(Failure::usage(format!(
                "{flag} can't be used yet: {what} isn't built in this version; leave it out"
            ))),
            None => Ok(()),
        }
    }
}

/// Bounds and patience, of every command that joins a swarm.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TuningOptions {
    /// Hard bound on payload bytes held in memory by the whole process [default: 104857600]
    #[arg(long, value_name = "BYTES", env = "STREAM_CACHE_SIZE", help_heading = LIMITS,
          value_parser = stream_cache_size::parse)]
    #[serde(deserialize_with = "stream_cache_size::from_file")]
    pub stream_cache_size: Option<u64>,
    /// Bound on what streams keep in the disk cache: all of them with --storage cache, else those whose pieces are too large
    /// for the memory. It is gone when the process ends [default: 10G with --storage cache, else none]
    #[arg(long, value_name = "BYTES", env = "STREAM_DISK_CACHE_SIZE", help_heading = LIMITS,
          value_parser = disk_cache_size::parse)]
    #[serde(deserialize_with = "disk_cache_size::from_file")]
    pub disk_cache_size: Option<u64>,
    /// Bytes buffered before a stream counts as ready, and least read-ahead [default: 1048576]
    #[arg(long, value_name = "BYTES", env = "STREAM_BUFFER_SIZE", help_heading = LIMITS,
          value_parser = stream_buffer_size::parse)]
    #[serde(deserialize_with = "stream_buffer_size::from_file")]
    pub stream_buffer_size: Option<u64>,
    /// How long a reader may wait for bytes before its stream counts as stalled [default: 30000]
    #[arg(long, value_name = "MS", env = "STREAM_TIMEOUT", help_heading = LIMITS,
          value_parser = stream_timeout::parse)]
    #[serde(deserialize_with = "stream_timeout::from_file")]
    pub stream_timeout: Option<u64>,
    /// How long to wait for a magnet's metadata [default: 60000]
    #[arg(long, value_name = "MS", env = "TORRENT_TIMEOUT", help_heading = LIMITS,
          value_parser = torrent_timeout::parse)]
    #[serde(deserialize_with = "torrent_timeout::from_file")]
    pub torrent_timeout: Option<u64>,
    /// How long a connect, a handshake or a request to a peer may take [default: 30000]
    #[arg(long, value_name = "MS", env = "PEER_TIMEOUT", help_heading = LIMITS,
          value_parser = peer_timeout::parse)]
    #[serde(deserialize_with = "peer_timeout::from_file")]
    pub peer_timeout: Option<u64>,
    /// How long one attempt of an announce may take [default: 15000]
    #[arg(long, value_name = "MS", env = "ANNOUNCE_TIMEOUT", help_heading = LIMITS,
          value_parser = announce_timeout::parse)]
    #[serde(deserialize_with = "announce_timeout::from_file")]
    pub announce_timeout: Option<u64>,
    /// Part of what is received that may be asked for twice, when a block is late, in percent [default: 3]
    #[arg(long, value_name = "PERCENT", help_heading = LIMITS, value_parser = duplicate_percent::parse)]
    #[serde(deserialize_with = "duplicate_percent::from_file")]
    pub duplicate_percent: Option<u32>,
}

impl TuningOptions {
    pub(super) fn over(self, file: Self) -> Self {
        Self {
            stream_cache_size: self.stream_cache_size.or(file.stream_cache_size),
            disk_cache_size: self.disk_cache_size.or(file.disk_cache_size),
            stream_buffer_size: self.stream_buffer_size.or(file.stream_buffer_size),
            stream_timeout: self.stream_timeout.or(file.stream_timeout),
            torrent_timeout: self.torrent_timeout.or(file.torrent_timeout),
            peer_timeout: self.peer_timeout.or(file.peer_timeout),
            announce_timeout: self.announce_timeout.or(file.announce_timeout),
            duplicate_percent: self.duplicate_percent.or(file.duplicate_percent),
        }
    }
}

/// Options of the daemon's HTTP side.
#[derive(Clone, Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpOptions {
    /// Address and port to serve HTTP on [default: 127.0.0.1 and --port]
    #[arg(long, value_name = "ADDR:PORT", help_heading = HTTP)]
    pub listen: Option<SocketAddr>,
    /// HTTP port on loopback; 0 takes any free one [default: 8080]
    #[arg(long, value_name = "PORT", env = "STREAM_PORT", help_heading = HTTP,
          value_parser = stream_port::parse)]
    #[serde(deserialize_with = "stream_port::from_file")]
    pub port: Option<u16>,
    /// Ask for a JWT on every API route [default: true]
    #[arg(long, value_name = "BOOL", env = "STREAM_AUTH_REQUIRED", help_heading = HTTP,
          value_parser = auth_required::parse)]
    #[serde(deserialize_with = "auth_required::from_file")]
    pub auth_required: Option<bool>,
    /// API requests per second of one user, twice that at once [default: 10]
    #[arg(long, value_name = "N", env = "STREAM_RATE_LIMIT", help_heading = HTTP,
          value_parser = stream_rate_limit::parse)]
    #[serde(deserialize_with = "stream_rate_limit::from_file")]
    pub stream_rate_limit: Option<u32>,
    /// Streams of one user at once [default: 5]
    #[arg(long, value_name = "N", env = "MAX_CONCURRENT_STREAMS", help_heading = HTTP,
          value_parser = max_concurrent_streams::parse)]
    #[serde(deserialize_with = "max_concurrent_streams::from_file")]
    pub max_concurrent_streams: Option<u32>,
    /// PEM file with the certificate and those that vouch for it: serve HTTPS; read again on SIGHUP [default: plain HTTP]
    #[arg(long, value_name = "FILE", env = "AFFLUX_TLS_CERT", help_heading = HTTP)]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's key (PKCS #8, PKCS #1 or SEC 1, without password)
    #[arg(long, value_name = "FILE", env = "AFFLUX_TLS_KEY", help_heading = HTTP)]
    pub tls_key: Option<PathBuf>,
    /// What clients reach the daemon by, when it isn't what they ask for: scheme, host, and perhaps port and folder
    /// [default: what each request says]
    #[arg(long, value_name = "URL", env = "AFFLUX_PUBLIC_URL", help_heading = HTTP,
          value_parser = public_url::parse)]
    #[serde(deserialize_with = "public_url::from_file")]
    pub public_url: Option<BaseUrl>,
    /// Answer to this name too; requests for others are turned away, so that no web page can pass for one of ours; may be
    /// repeated [default: localhost and IP addresses]
    #[arg(long, value_name = "NAME", env = "AFFLUX_HOST", value_delimiter = ',', help_heading = HTTP,
          value_parser = host_name::parse)]
    #[serde(deserialize_with = "host_name::list_from_file")]
    pub host: Vec<String>,
    /// Let pages of this origin use the API; may be repeated [default: none]
    #[arg(long, value_name = "ORIGIN", env = "AFFLUX_CORS_ORIGIN", value_delimiter = ',', help_heading = HTTP,
          value_parser = cors_origin::parse)]
    #[serde(deserialize_with = "cors_origin::list_from_file")]
    pub cors_origin: Vec<String>,
    /// Believe Forwarded and X-Forwarded-* of proxies in this network; may be repeated [default: nobody]
    #[arg(long, value_name = "CIDR", env = "AFFLUX_TRUSTED_PROXY", value_delimiter = ',', help_heading = HTTP,
          value_parser = trusted_proxy::parse)]
    #[serde(deserialize_with = "trusted_proxy::list_from_file")]
    pub trusted_proxy: Vec<IpNet>,
    /// HTTP connections at a time; more wait [default: 256]
    #[arg(long, value_name = "N", env = "AFFLUX_MAX_HTTP_CONNS", help_heading = HTTP,
          value_parser = max_http_conns::parse)]
    #[serde(deserialize_with = "max_http_conns::from_file")]
    pub max_http_conns: Option<u32>,
}

/// The first list that says anything.
pub(super) fn either<T>(mine: Vec<T>, theirs: Vec<T>) -> Vec<T> {
    if mine.is_empty() { theirs } else { mine }
}

impl HttpOptions {
    pub(super) fn over(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            port: self.port.or(file.port),
            auth_required: self.auth_required.or(file.auth_required),
            stream_rate_limit: self.stream_rate_limit.or(file.stream_rate_limit),
            max_concurrent_streams: self.max_concurrent_streams.or(file.max_concurrent_streams),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            public_url: self.public_url.or(file.public_url),
            host: either(self.host, file.host),
            cors_origin: either(self.cors_origin, file.cors_origin),
            trusted_proxy: either(self.trusted_proxy, file.trusted_proxy),
            max_http_conns: self.max_http_conns.or(file.max_http_conns),
        }
    }
}
