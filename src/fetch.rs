//! Outgoing HTTP: announces, web seeds, URLs of .torrent files. What is fetched is named by strangers, so this is
//! where attacks 39 (making us knock at the user's own network), 41 (bombs and endless bodies) and 46 (forged
//! certificates) end.
//!
//! Every hop's literal address, and every address a name resolves to, is checked by the [`Policy`]; the connection
//! is made to a checked address and no other, so a name can't resolve to something else in between. Redirects are
//! followed here and not by the client, because each is a new request by a stranger. Sizes are counted after
//! decompression. TLS is verified, always.
//!
//! Through a proxy, names are resolved by the proxy (asking our own resolver would tell it what is fetched), so only
//! literal addresses can be checked. Not here: what is in the bodies; retries.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use afflux_tracker::{Policy, Refused, guard, is_global};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use reqwest::{Client, ClientBuilder, Response, StatusCode, Url};
use thiserror::Error;

use crate::policy::{Denied, Purpose, SourcePolicy};

/// Redirects followed for one request. Honest chains have one or two; attack: endless ones.
pub const REDIRECTS_MAX: usize = 5;

/// Longest URL asked for, redirects' too. An announce adds at most 1.2 KiB to a tracker's 2 KiB.
const URL_BYTES_MAX: usize = 8 * 1024;

/// Time for a connection (TCP and TLS), when the whole request has more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections kept per host: web seeds reuse them, trackers don't.
const IDLE_PER_HOST_MAX: usize = 2;

/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Header lines of a response. Attack: endless headers (their bytes are bounded by hyper, at 400 KiB).
const HEADERS_MAX: usize = 100;

/// How outgoing HTTP behaves.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// Which addresses may be asked.
    pub policy: Policy,
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// Time for a whole request, redirects and body included.
    pub timeout: Duration,
    /// `http://`, `https://`, `socks5://` or `socks5h://` URL that all requests go through.
    pub proxy: Option<String>,
    /// Local address to dial from (`--bind`); its family is then the only one used.
    pub bind: Option<IpAddr>,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address; an IPv4 address inside an IPv6 one counts as IPv4.
    pub fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Why nothing was fetched, in one sentence that names the host and never the URL (it may hold a passkey).
#[derive(Debug, Error)]
pub enum FetchError {
    /// The URL, or that of a redirect, can't be used.
    #[error("the URL can't be used: {0}")]
    Url(String),
    /// An address that the policy refuses.
    #[error("{host} is not asked: {refused}")]
    Refused {
        /// Host of the URL.
        host: String,
        /// The address, and why.
        refused: Refused,
    },
    /// A host or address that the owner's rules refuse.
    #[error("not asked: {0}")]
    Denied(Denied),
    /// One of this program's own ports, at which no torrent has any business.
    #[error("{host} is not asked: that is a port of this program itself")]
    Own {
        /// Host of the URL.
        host: String,
    },
    /// A redirect from HTTPS to HTTP, which would show the request to everyone on the way.
    #[error("{host} redirects from https to http")]
    Downgrade {
        /// Host that redirects.
        host: String,
    },
    /// More than [`REDIRECTS_MAX`] redirects.
    #[error("{host} redirects more than {REDIRECTS_MAX} times")]
    Redirects {
        /// Host asked last.
        host: String,
    },
    /// An answer other than success.
    #[error("{host} answers {status}")]
    Status {
        /// Host.
        host: String,
        /// HTTP status.
        status: StatusCode,
    },
    /// The body is larger than the caller takes.
    #[error("{host} sends more than {bytes_max} bytes")]
    TooLarge {
        /// Host.
        host: String,
        /// The caller's bound.
        bytes_max: usize,
    },
    /// [`FetchConfig::timeout`] is over.
    #[error("{host} did not finish its answer within {} s", timeout.as_secs_f32())]
    TimedOut {
        /// Host asked first.
        host: String,
        /// The time it had.
        timeout: Duration,
    },
    /// No connection, or it broke.
    #[error("{host} could not be asked: {cause}")]
    Connection {
        /// Host.
        host: String,
        /// What the system or TLS says.
        cause: String,
    },
    /// The HTTP client can't be made.
    #[error("the HTTP client can't be set up: {0}")]
    Client(String),
}

/// Fetches over HTTP within bounds. One per process.
#[derive(Debug)]
pub struct Fetcher {
    config: FetchConfig,
    gate: Arc<Gate>,
    /// A client for each [`Mode`], made when first used: making one reads the system's certificates.
    clients: [OnceLock<Client>; MODES],
}

/// What is asked besides the [`Policy`], and may change while we run.
#[derive(Debug, Default)]
struct Gate {
    sources: RwLock<Arc<SourcePolicy>>,
    /// Ports that this program listens on.
    own_ports: RwLock<Vec<u16>>,
}

impl Gate {
    fn sources(&self) -> Arc<SourcePolicy> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_own(&self, port: u16) -> bool {
        self.own_ports.read().unwrap_or_else(PoisonError::into_inner).contains(&port)
    }
}

/// What a client's resolver lets through.
#[derive(Clone, Copy, Debug)]
struct Mode {
    policy: Policy,
    family: Option<Family>,
    purpose: Purpose,
    /// Whether the port is one of ours, so that this machine's own addresses are out of the question.
    own_port: bool,
}

/// How many [`Mode`]s there are.
const MODES: usize = 24;

impl Mode {
    fn index(self) -> usize {
        let family = match self.family {
            None => 0,
            Some(Family::V4) => 1,
            Some(Family::V6) => 2,
        };
        let purpose = usize::from(self.purpose == Purpose::Tracker);
        ((family * 2 + usize::from(self.policy.allow_local)) * 2 + purpose) * 2 + usize::from(self.own_port)
    }
}

impl Fetcher {
    /// Checks the configuration; fails for a proxy URL that can't be used.
    pub fn new(config: FetchConfig) -> Result<Self, FetchError> {
        let fetcher = Self { config, gate: Arc::default(), clients: [const { OnceLock::new() }; MODES] };
        let (policy, family) = (fetcher.config.policy, fetcher.family(None));
        fetcher.client(Mode { policy, family, purpose: Purpose::Document, own_port: false })?;
        Ok(fetcher)
    }

    /// The body behind `url`, at most `bytes_max` bytes after decompression.
    pub async fn get(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        self.get_for(Purpose::Document, None, url, bytes_max).await
    }

    /// A tracker's answer, over one address family only if it must be seen on both (BEP 7).
    pub async fn get_over(
        &self,
        family: Option<Family>,
        url: &str,
        bytes_max: usize,
    ) -> Result<Vec<u8>, FetchError> {
        self.get_for(Purpose::Tracker, family, url, bytes_max).await
    }

    /// From now on asks only where these rules allow it.
    pub fn set_sources(&self, sources: Arc<SourcePolicy>) {
        *self.gate.sources.write().unwrap_or_else(PoisonError::into_inner) = sources;
    }

    /// The rules in force.
    pub fn sources(&self) -> Arc<SourcePolicy> {
        self.gate.sources()
    }

    /// Tells of ports that this program listens on: nothing is asked of them at this machine's addresses, also where local
    /// addresses are allowed. A torrent could otherwise talk to our own API.
    pub fn add_own_ports(&self, ports: &[u16]) {
        self.gate.own_ports.write().unwrap_or_else(PoisonError::into_inner).extend(ports);
    }

    /// Whether an address and port may be asked, as far as rules and own ports go; for those who don't ask over HTTP.
    pub fn check_address(&self, address: SocketAddr, purpose: Purpose) -> Result<(), FetchError> {
        let own_port = self.gate.is_own(address.port());
        self.gate.sources().check_address(address.ip(), purpose).map_err(FetchError::Denied)?;
        if own_port && is_ours(address.ip()) {
            return Err(FetchError::Own { host: address.ip().to_string() });
        }
        Ok(())
    }

    async fn get_for(
        &self,
        purpose: Purpose,
        family: Option<Family>,
        url: &str,
        bytes_max: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let url = parse_url(url)?;
        let (host, timeout) = (host_of(&url), self.config.timeout);
        tokio::time::timeout(timeout, self.follow(purpose, self.family(family), url, bytes_max))
            .await
            .unwrap_or(Err(FetchError::TimedOut { host, timeout }))
    }

    /// Which addresses may be asked.
    pub fn policy(&self) -> Policy {
        self.config.policy
    }

    /// Whether requests go through a proxy, so that nothing else may go around it.
    pub fn has_proxy(&self) -> bool {
        self.config.proxy.is_some()
    }

    /// Asks, and follows redirects.
    async fn follow(
        &self,
        purpose: Purpose,
        family: Option<Family>,
        mut url: Url,
        bytes_max: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let mut mode = Mode { policy: self.config.policy, family, purpose, own_port: false };
        for _ in 0..=REDIRECTS_MAX {
            mode.own_port = self.gate.is_own(url.port_or_known_default().unwrap_or(0));
            self.check_url(&url, mode)?;
            let sent = self.client(mode)?.get(url.clone()).send().await;
            let response = sent.map_err(|error| connection_error(&url, error))?;
            let Some(next) = redirect(&url, &response)? else {
                return read_body(&url, response, bytes_max).await;
            };
            // The user's leave for local addresses is for what the user's torrents name. Once the public internet
            // has answered, what follows is its choice, and that stays public.
            if self.has_proxy() || response.remote_addr().is_none_or(|at| is_global(at.ip())) {
                mode.policy = Policy { allow_local: false };
            }
            url = next;
        }
        Err(FetchError::Redirects { host: host_of(&url) })
    }

    /// Scheme, port, the owner's rules, and the address if the host is one.
    fn check_url(&self, url: &Url, mode: Mode) -> Result<(), FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Url(format!("{} is neither http nor https", url.scheme())));
        }
        self.gate.sources().check(url.as_str(), mode.purpose).map_err(FetchError::Denied)?;
        let refuse = |refused| FetchError::Refused { host: host_of(url), refused };
        let port = url.port_or_known_default().unwrap_or(0);
        guard::check_port(port).map_err(refuse)?;
        let Some(ip) = literal_address(url.host_str().unwrap_or("")) else { return Ok(()) };
        mode.policy.check_ip(ip).map_err(refuse)?;
        self.check_address(SocketAddr::new(ip, port), mode.purpose)
    }

    /// With `--bind` only the family of that address can be used.
    fn family(&self, wanted: Option<Family>) -> Option<Family> {
        wanted.or(self.config.bind.map(Family::of))
    }

    fn client(&self, mode: Mode) -> Result<&Client, FetchError> {
        let slot = &self.clients[mode.index()];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        // Without any certificates on the machine no client with TLS can be made; plain HTTP must work even
        // then, and HTTPS fail as it does for unknown certificates.
        let build = |mode| self.builder(mode)?.build().map_err(client_error);
        let client = match build(mode) {
            Ok(client) => client,
            Err(_) => self.builder(mode)?.tls_certs_only([]).build().map_err(client_error)?,
        };
        Ok(slot.get_or_init(|| client))
    }

    fn builder(&self, mode: Mode) -> Result<ClientBuilder, FetchError> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(&self.config.user_agent)
            .connect_timeout(CONNECT_TIMEOUT.min(self.config.timeout))
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_headers(HEADERS_MAX)
            .referer(false)
            .local_address(self.config.bind);
        match &self.config.proxy {
            None => Ok(builder.dns_resolver(CheckedResolver { mode, gate: self.gate.clone() })),
            Some(proxy) => {
                let proxy = reqwest::Proxy::all(remote_dns(proxy)).map_err(client_error)?;
                Ok(builder.proxy(proxy))
            }
        }
    }
}

/// Resolves a name and keeps the addresses that may be asked; an error if none may, or none is there.
///
/// The port is the URL's, which is checked with the URL.
pub async fn resolve(
    host: &str,
    port: u16,
    policy: Policy,
    family: Option<Family>,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = tokio::net::lookup_host((host, port)).await.map_err(ResolveError::Lookup)?;
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in found.take(ADDRESSES_MAX) {
        if family.is_some_and(|family| Family::of(address.ip()) != family) {
            continue;
        }
        match policy.check_ip(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        _ if !allowed.is_empty() => Ok(allowed),
        Some(refused) => Err(ResolveError::Refused(refused)),
        None => Err(ResolveError::NoAddress),
    }
}

/// Addresses of one name that are looked at. Attack: a name with thousands.
const ADDRESSES_MAX: usize = 32;

/// Why a name leads nowhere.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The system's resolver says no.
    #[error("its name can't be resolved: {0}")]
    Lookup(std::io::Error),
    /// All addresses are refused; this is one of them.
    #[error(transparent)]
    Refused(Refused),
    /// The owner's rules refuse one of its addresses.
    #[error(transparent)]
    Denied(Denied),
    /// It is this machine, and the port is one of ours.
    #[error("its name leads to this program itself")]
    Own,
    /// No address in the family asked for.
    #[error("its name has no address")]
    NoAddress,
}

/// The hook through which the HTTP client resolves names. It isn't called for literal addresses:
/// [`Fetcher::check_url`] is for those.
#[derive(Debug)]
struct CheckedResolver {
    mode: Mode,
    gate: Arc<Gate>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Mode { policy, family, purpose, own_port } = self.mode;
        let sources = self.gate.sources();
        Box::pin(async move {
            let addresses = resolve(name.as_str(), 0, policy, family).await?;
            for address in &addresses {
                // One is enough: who mixes them hopes that we take it.
                sources.check_address(address.ip(), purpose).map_err(ResolveError::Denied)?;
                if own_port && is_ours(address.ip()) {
                    return Err(ResolveError::Own.into());
                }
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of this machine's: only those can be listened on. Nothing is sent.
fn is_ours(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// A proxy URL with the same meaning but for names, which the proxy resolves.
fn remote_dns(proxy: &str) -> String {
    match proxy.strip_prefix("socks5://") {
        Some(rest) => format!("socks5h://{rest}"),
        None => proxy.to_owned(),
    }
}

fn parse_url(text: &str) -> Result<Url, FetchError> {
    if text.len() > URL_BYTES_MAX {
        return Err(FetchError::Url(format!("it is longer than {URL_BYTES_MAX} bytes")));
    }
    Url::parse(text).map_err(|error| FetchError::Url(error.to_string()))
}

/// The address that a URL's host is without being resolved; `localhost` counts (RFC 6761), since a proxy would
/// resolve it. The URL parser has brought every spelling of an IPv4 address into the usual one.
fn literal_address(host: &str) -> Option<IpAddr> {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if let Ok(ip) = inside.unwrap_or(host).parse() {
        return Some(ip);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    is_local.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("the URL's host").to_owned()
}

/// Where a response sends us, if it does. Credentials never go along to another origin.
fn redirect(url: &Url, response: &Response) -> Result<Option<Url>, FetchError> {
    use StatusCode as S;
    let redirects =
        [S::MOVED_PERMANENTLY, S::FOUND, S::SEE_OTHER, S::TEMPORARY_REDIRECT, S::PERMANENT_REDIRECT];
    if !redirects.contains(&response.status()) {
        return Ok(None);
    }
    let status_error = || FetchError::Status { host: host_of(url), status: response.status() };
    let location = response.headers().get(LOCATION).ok_or_else(status_error)?;
    let location =
        location.to_str().ok().filter(|text| text.len() <= URL_BYTES_MAX).ok_or_else(status_error)?;
    let mut next = url.join(location).map_err(|error| FetchError::Url(error.to_string()))?;
    if url.scheme() == "https" && next.scheme() == "http" {
        return Err(FetchError::Downgrade { host: host_of(url) });
    }
    if next.origin() != url.origin() {
        // Fails only for URLs that can't have any.
        let _ = next.set_username("");
        let _ = next.set_password(None);
    }
    Ok(Some(next))
}

/// Reads a successful body, counting what comes out of the decompressor.
async fn read_body(url: &Url, mut response: Response, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    let host = || host_of(url);
    if !response.status().is_success() {
        return Err(FetchError::Status { host: host(), status: response.status() });
    }
    let announced = response.content_length().unwrap_or(0);
    if announced > bytes_max as u64 {
        return Err(FetchError::TooLarge { host: host(), bytes_max });
    }
    let mut body = Vec::with_capacity(announced as usize);
    while let Some(part) = response.chunk().await.map_err(|error| connection_error(url, error))? {
        if part.len() > bytes_max - body.len() {
            return Err(FetchError::TooLarge { host: host(), bytes_max });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// What the innermost cause says. The client's own sentences have the URL in them.
fn connection_error(url: &Url, error: reqwest::Error) -> FetchError {
    let host = host_of(url);
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    loop {
        match innermost.downcast_ref() {
            Some(ResolveError::Refused(refused)) => return FetchError::Refused { host, refused: *refused },
            Some(ResolveError::Denied(denied)) => return FetchError::Denied(denied.clone()),
            Some(ResolveError::Own) => return FetchError::Own { host },
            _ => {}
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => return FetchError::Connection { host, cause: innermost.to_string() },
        }
    }
}

fn client_error(error: reqwest::Error) -> FetchError {
    let cause = error.source().map_or_else(|| error.to_string(), |source| source.to_string());
    FetchError::Client(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(from: &str, location: &str) -> Result<Option<Url>, FetchError> {
        let response = http::Response::builder().status(302).header("location", location).body("").unwrap();
        redirect(&from.parse().unwrap(), &Response::from(response))
    }

    #[test]
    fn redirects_never_leave_tls() {
        let down = redirected("https://a.example/x?passkey=1", "http://a.example/x");
        assert!(matches!(down, Err(FetchError::Downgrade { .. })));
        assert_eq!(
            redirected("http://a.example/x", "https://a.example/").unwrap().unwrap().scheme(),
            "https"
        );
        assert_eq!(redirected("https://a.example/x", "/y").unwrap().unwrap().as_str(), "https://a.example/y");
    }

    #[test]
    fn a_bound_address_decides_the_family() {
        let config = |bind: &str| FetchConfig {
            policy: Policy::default(),
            user_agent: String::new(),
            timeout: CONNECT_TIMEOUT,
            proxy: None,
            bind: bind.parse().ok(),
        };
        let family = |bind| Fetcher::new(config(bind)).unwrap().family(None);
        assert_eq!((family("127.0.0.1"), family("::1")), (Some(Family::V4), Some(Family::V6)));
        assert_eq!(family("::ffff:127.0.0.1"), Some(Family::V4));
    }

    #[test]
    fn socks_proxies_resolve_names_themselves() {
        assert_eq!(remote_dns("socks5://[::1]:1080"), "socks5h://[::1]:1080");
        assert_eq!(remote_dns("http://proxy:3128"), "http://proxy:3128");
    }
}
