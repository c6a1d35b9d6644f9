//! What a user may set, and where it comes from: flag, then environment, then the TOML file, then the default.
//!
//! A setting is written down once, in [`options`]: its flag, its environment variable, its key in the file and
//! its help. [`SwarmSettings`], [`HttpSettings`] and
//! [`Tuning`] are what the rest of the program sees: every value present and checked.

mod auth;
mod checks;
#[cfg(test)]
mod example;
pub mod options;
pub mod service;
mod strategy;
pub mod units;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use auth::{AuthOptions, AuthSettings};
pub use options::{GlobalOptions, HttpOptions, SwarmOptions, TuningOptions};

pub use service::{ServiceOptions, ServiceSettings};

use afflux_stream::{BaseUrl, HostPolicy, ProxyPolicy, ServerConfig, Tls, TlsSettings};
use afflux_swarm::{Source, StrategyName};
use ipnet::IpNet;

use crate::failure::Failure;

/// Where the daemon listens for peers and how it treats the swarm, all values settled.
#[derive(Clone, Debug)]
pub struct SwarmSettings {
    /// Address to listen on and dial from; `None`: all, both families.
    pub bind: Option<IpAddr>,
    /// TCP and UDP port for peers; 0: any free one.
    pub peer_port: u16,
    /// Whether that port was asked for. If not, any other does when it is taken.
    pub peer_port_fixed: bool,
    /// Peers to dial whatever else is found.
    pub peers: Vec<SocketAddr>,
    /// Trackers besides those of the torrent.
    pub trackers: Vec<String>,
    /// Whether the DHT is joined.
    pub dht: bool,
    /// `host:port` of nodes to bootstrap from, instead of the default list.
    pub dht_bootstrap: Option<Vec<String>>,
    /// Connections over all torrents.
    pub max_peers: u32,
    /// Connections per torrent.
    pub max_conns: u32,
    /// Bytes per second over all torrents; `None`: no limit.
    pub download_limit: Option<u64>,
    /// Bytes per second over all torrents; `None`: no limit.
    pub upload_limit: Option<u64>,
    /// Which pieces are asked for next.
    pub strategy: Option<StrategyName>,
    /// Whether trackers and URLs on private and loopback addresses are allowed.
    pub allow_local_addresses: bool,
}

/// Bounds and patience, all values settled.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Payload bytes that the whole process may hold in memory.
    pub cache_bytes: u64,
    /// What streams may keep in the disk cache; `None`: nothing was said.
    pub disk_cache_bytes: Option<u64>,
    /// Bytes buffered before a stream counts as ready, and the least read-ahead.
    pub buffer_bytes: u64,
    /// How long a reader may wait before its stream counts as stalled.
    pub stream_timeout: Duration,
    /// How long a magnet may take to become metadata.
    pub torrent_timeout: Duration,
    /// How long a connect, a handshake or a request may take.
    pub peer_timeout: Duration,
    /// How long one attempt of an announce may take.
    pub announce_timeout: Duration,
    /// Part of what is received that may be asked for twice, in percent.
    pub duplicate_percent: u32,
}

/// What commands that serve HTTP need, all values settled.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Address and port of the HTTP server.
    pub listen: SocketAddr,
    /// Whether a JWT is asked for.
    pub auth_required: bool,
    /// Requests per second of one user.
    pub rate_limit: u32,
    /// Streams of one user at once.
    pub max_concurrent_streams: u32,
    /// Certificate and key; `None`: plain HTTP.
    pub tls: Option<TlsSettings>,
    /// What clients reach us by, whatever they ask for.
    pub public_url: Option<BaseUrl>,
    /// Names that are answered besides localhost and addresses.
    pub hosts: Vec<String>,
    /// Origins whose pages may use the API.
    pub cors_origins: Vec<String>,
    /// Proxies that are believed about their clients.
    pub trusted_proxies: Vec<IpNet>,
    /// HTTP connections at a time.
    pub max_conns: u32,
}

impl HttpSettings {
    /// The server that these describe. Its `tls` is a handle: a clone of it reloads the certificate.
    pub fn server_config(&self) -> Result<ServerConfig, Failure> {
        let mut config = ServerConfig::new(self.listen);
        config.connections_max = self.max_conns as usize;
        config.hosts = HostPolicy { names: self.hosts.clone() };
        config.proxies =
            ProxyPolicy { trusted: self.trusted_proxies.clone(), public_url: self.public_url.clone() };
        config.origins = self.cors_origins.clone();
        if let Some(settings) = &self.tls {
            let tls = Tls::load(settings.clone())
                .map_err(|error| Failure::usage(format!("HTTPS can't be served: {error}")))?;
            config.tls = Some(tls);
        }
        Ok(config)
    }
}

/// The values of one TOML file, before they are overlaid by flags and environment.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// `data-dir`
    pub data_dir: Option<PathBuf>,
    /// `log`
    pub log: Option<String>,
    /// `[swarm]`
    pub swarm: SwarmOptions,
    /// `[http]`
    pub http: HttpOptions,
    /// `[auth]`
    pub auth: AuthOptions,
    /// `[limits]`
    pub limits: TuningOptions,
    /// `[streams]`
    pub streams: service::StreamOptions,
    /// `[downloads]`
    pub downloads: service::DownloadOptions,
    /// `[sources]`
    pub sources: service::SourceOptions,
    /// `[suspicious]`
    pub suspicious: service::SuspiciousOptions,
}

impl File {
    /// Reads the file a user named; without one there is nothing to read.
    pub fn load(path: Option<&Path>) -> Result<Self, Failure> {
        use figment::providers::{Format, Toml};
        let Some(path) = path else { return Ok(Self::default()) };
        if !path.is_file() {
            return Err(Failure::usage(format!("the configuration file {} does not exist", path.display())));
        }
        figment::Figment::from(Toml::file_exact(path))
            .extract()
            .map_err(|error| Failure::usage(format!("in the configuration file {}: {error}", path.display())))
    }
}

impl SwarmSettings {
    /// Those of these addresses that may be dialled. Attack: a link, a tracker or a peer names places of the owner's own network, to
    /// have us knock there. Who was given by the owner, or came to us from there, is no stranger's word.
    pub fn peers_allowed(&self, mut addrs: Vec<SocketAddr>, source: Source) -> Vec<SocketAddr> {
        if !self.allow_local_addresses && matches!(source, Source::Magnet | Source::Tracker | Source::Pex) {
            addrs.retain(|addr| afflux_tracker::is_global(addr.ip()));
        }
        addrs
    }

    /// Refuses `--strategy` where it would change nothing; `because` completes the sentence.
    pub fn refuse_strategy(&self, because: &str) -> Result<(), Failure> {
        match self.strategy {
            Some(_) => Err(Failure::usage(format!("--strategy has no effect here: {because}; leave it out"))),
            None => Ok(()),
        }
    }
}

impl SwarmOptions {
    /// Overlays these over the file's values and fills in defaults. Options of features that aren't built
    /// are refused here, so that none is accepted and ignored.
    pub fn settle(self, file: SwarmOptions) -> Result<SwarmSettings, Failure> {
        let set = self.over(file);
        set.refuse_unbuilt()?;
        for url in &set.tracker {
            url.parse::<afflux_tracker::TrackerUrl>()
                .map_err(|reason| Failure::usage(format!("--tracker {url} can't be asked: {reason}")))?;
        }
        Ok(SwarmSettings {
            bind: set.bind,
            peer_port: set.peer_port.unwrap_or(options::PEER_PORT),
            peer_port_fixed: set.peer_port.is_some(),
            peers: set.peer,
            trackers: set.tracker,
            dht: !set.no_dht,
            dht_bootstrap: (!set.dht_bootstrap.is_empty()).then_some(set.dht_bootstrap),
            max_peers: set.max_peers.unwrap_or(options::MAX_PEERS),
            max_conns: set.max_conns.unwrap_or(options::MAX_CONNS),
            download_limit: set.download_limit.filter(|&rate| rate > 0),
            upload_limit: set.upload_limit.filter(|&rate| rate > 0),
            strategy: set.strategy,
            allow_local_addresses: set.allow_local_addresses,
        })
    }
}

impl TuningOptions {
    /// Overlays these over the file's values and fills in defaults.
    pub fn settle(self, file: TuningOptions) -> Tuning {
        let set = self.over(file);
        let ms = |value: Option<u64>, default| Duration::from_millis(value.unwrap_or(default));
        Tuning {
            cache_bytes: set.stream_cache_size.unwrap_or(options::STREAM_CACHE_SIZE),
            disk_cache_bytes: set.disk_cache_size,
            buffer_bytes: set.stream_buffer_size.unwrap_or(options::STREAM_BUFFER_SIZE),
            stream_timeout: ms(set.stream_timeout, options::STREAM_TIMEOUT_MS),
            torrent_timeout: ms(set.torrent_timeout, options::TORRENT_TIMEOUT_MS),
            peer_timeout: ms(set.peer_timeout, options::PEER_TIMEOUT_MS),
            announce_timeout: ms(set.announce_timeout, options::ANNOUNCE_TIMEOUT_MS),
            duplicate_percent: set.duplicate_percent.unwrap_or(options::DUPLICATE_PERCENT),
        }
    }
}

impl HttpOptions {
    /// Overlays these over the file's values and fills in defaults: loopback unless told otherwise.
    pub fn settle(self, file: HttpOptions) -> Result<HttpSettings, Failure> {
        let set = self.over(file);
        let tls = match (set.tls_cert, set.tls_key) {
            (Some(certificates), Some(key)) => Some(TlsSettings::new(certificates, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Failure::usage("--tls-cert needs the certificate's key: add --tls-key FILE"));
            }
            (None, Some(_)) => {
                return Err(Failure::usage("--tls-key needs its certificate: add --tls-cert FILE"));
            }
        };
        let port = set.port.unwrap_or(options::STREAM_PORT);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(HttpSettings {
            listen: set.listen.unwrap_or(loopback),
            auth_required: set.auth_required.unwrap_or(true),
            rate_limit: set.stream_rate_limit.unwrap_or(options::STREAM_RATE_LIMIT),
            max_concurrent_streams: set.max_concurrent_streams.unwrap_or(options::MAX_CONCURRENT_STREAMS),
            tls,
            public_url: set.public_url,
            hosts: set.host,
            cors_origins: set.cors_origin,
            trusted_proxies: set.trusted_proxy,
            max_conns: set.max_http_conns.unwrap_or(options::MAX_HTTP_CONNS),
        })
    }
}

/// The folder for state when none is named: the platform's data folder.
pub fn default_data_dir() -> Result<PathBuf, Failure> {
    use etcetera::BaseStrategy;
    etcetera::choose_base_strategy()
        .map(|strategy| strategy.data_dir().join("afflux"))
        .map_err(|_| Failure::usage("there is no home folder to keep state in: say --data-dir DIR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file =
            TuningOptions { peer_timeout: Some(5000), torrent_timeout: Some(7000), ..Default::default() };
        let flags = TuningOptions { peer_timeout: Some(2000), ..Default::default() };
        let tuning = flags.settle(file);
        assert_eq!(tuning.peer_timeout, Duration::from_secs(2));
        assert_eq!(tuning.torrent_timeout, Duration::from_secs(7));
        assert_eq!(tuning.stream_timeout, Duration::from_secs(30));
    }

    #[test]
    fn only_the_owner_names_peers_of_the_own_network() {
        let settings = SwarmOptions::default().settle(SwarmOptions::default()).unwrap();
        let all: Vec<SocketAddr> =
            ["127.0.0.1:1", "192.168.1.1:80", "[::1]:2", "[fe80::1]:3", "100.64.0.1:4", "8.8.8.8:5"]
                .map(|addr| addr.parse().unwrap())
                .to_vec();
        for source in [Source::Magnet, Source::Tracker, Source::Pex] {
            assert_eq!(settings.peers_allowed(all.clone(), source), all[5..], "{source:?}");
        }
        assert_eq!(settings.peers_allowed(all.clone(), Source::Given), all);
        let open = SwarmSettings { allow_local_addresses: true, ..settings };
        assert_eq!(open.peers_allowed(all.clone(), Source::Magnet), all);
    }

    #[test]
    fn options_of_features_that_are_not_built_are_refused() {
        let flags = SwarmOptions { no_pex: true, ..Default::default() };
        let failure = flags.settle(SwarmOptions::default()).expect_err("--no-pex has nothing to switch off");
        assert!(failure.to_string().contains("--no-pex"), "{failure}");
    }

    #[test]
    fn a_tracker_that_cannot_be_asked_is_refused() {
        let flags = SwarmOptions { tracker: vec!["gopher://old/announce".to_owned()], ..Default::default() };
        let failure = flags.settle(SwarmOptions::default()).expect_err("nobody speaks gopher");
        assert!(failure.to_string().contains("gopher://old/announce"), "{failure}");
    }

    #[test]
    fn a_mistake_in_the_file_names_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("afflux.toml");
        std::fs::write(&path, "[limits]\npeer-timeuot = 3\n").unwrap();
        let failure = File::load(Some(&path)).expect_err("the key is misspelt");
        assert!(failure.to_string().contains("peer-timeuot"), "{failure}");
        assert!(File::load(Some(&folder.path().join("none.toml"))).is_err());
    }

    fn load(text: &str) -> Result<File, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("afflux.toml");
        std::fs::write(&path, text).unwrap();
        File::load(Some(&path))
    }

    #[test]
    fn the_file_takes_numbers_truths_and_suffixes() {
        let file = load(
            "[swarm]\nmax-peers = 7\nupload-limit = \"500K\"\npeer-port = \"0\"\n\
             [limits]\nstream-cache-size = \"64M\"\npeer-timeout = 2500\n\
             [http]\nauth-required = false\nport = 8081\n",
        )
        .unwrap();
        assert_eq!((file.swarm.max_peers, file.swarm.upload_limit), (Some(7), Some(500 << 10)));
        assert_eq!((file.swarm.peer_port, file.swarm.max_conns), (Some(0), None));
        assert_eq!((file.limits.stream_cache_size, file.limits.peer_timeout), (Some(64 << 20), Some(2500)));
        assert_eq!((file.http.auth_required, file.http.port), (Some(false), Some(8081)));
    }

    #[test]
    fn the_file_is_checked_like_flags_and_names_key_and_allowed_values() {
        let wrong = [
            ("[swarm]\nmax-peers = 0\n", "max-peers", "1 to 100000"),
            ("[swarm]\nmax-conns = 4294967297\n", "max-conns", "1 to 10000"),
            ("[swarm]\npeer-port = 65536\n", "peer-port", "0 to 65535"),
            ("[swarm]\nupload-limit = -1\n", "upload-limit", "K, M or G"),
            ("[swarm]\nstrategy = \"fastest\"\n", "strategy", "rarest"),
            ("[limits]\nstream-cache-size = 1000\n", "stream-cache-size", "4194304"),
            ("[limits]\nduplicate-percent = 101\n", "duplicate-percent", "0 to 100"),
            ("[limits]\npeer-timeout = 1.5\n", "peer-timeout", "100 to 3600000"),
            ("[limits]\ntorrent-timeout = 99999999999\n", "torrent-timeout", "100 to 3600000"),
            ("[http]\nauth-required = \"perhaps\"\n", "auth-required", "true and false"),
            ("[http]\nstream-rate-limit = 0\n", "stream-rate-limit", "1 to 100000"),
        ];
        for (text, key, allowed) in wrong {
            let failure = load(text).expect_err(text).to_string();
            assert!(failure.contains(key) && failure.contains(allowed), "{text:?}: {failure}");
        }
    }
}
