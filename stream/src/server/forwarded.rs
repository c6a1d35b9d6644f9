//! Who a request is from and under which name, when proxies stand in between: RFC 7239 and the older `X-Forwarded-*`.
//!
//! Anybody can write these headers, so they are believed only from addresses that the user named, and only as far back as
//! the chain consists of those: the right-most hop that isn't one is the client. From everybody else they are taken off the
//! request, so that nothing behind can believe them by mistake. Pure; not here: sockets.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::header::{FORWARDED, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, Uri};
use ipnet::IpNet;
use thiserror::Error;

use super::access::REQUEST_ID;
use crate::limits::FORWARDED_HOPS_MAX;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What only a trusted proxy may say.
const PROXY_HEADERS: [HeaderName; 5] =
    [FORWARDED, FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, REQUEST_ID];

/// Whom to believe about the client, and what we are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyPolicy {
    /// Addresses of proxies that are believed. Whoever has one of them can claim to be any client.
    pub trusted: Vec<IpNet>,
    /// What clients reach us by, whatever a request says.
    pub public_url: Option<BaseUrl>,
}

impl ProxyPolicy {
    /// Whether this address is a proxy's that is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// Where a client reaches this server, `scheme://host[:port]` and perhaps a folder, without a slash at its end: what absolute
/// URLs begin with. An extension of each request that the JSON service gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl(Arc<str>);

impl BaseUrl {
    /// The URL of a server that is reached without proxies.
    pub fn new(secure: bool, authority: &impl fmt::Display) -> BaseUrl {
        let scheme = if secure { "https" } else { "http" };
        BaseUrl(format!("{scheme}://{authority}").into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host in it, without port.
    pub fn host(&self) -> &str {
        let behind_scheme = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = behind_scheme.split('/').next().unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// Whether clients reach us over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The URL of a path, which begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no URL that clients could reach us by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it must be http:// or https://, a host, and perhaps a port and a folder; nothing else")]
pub struct NoBaseUrl;

impl FromStr for BaseUrl {
    type Err = NoBaseUrl;

    fn from_str(text: &str) -> Result<BaseUrl, NoBaseUrl> {
        let url: Uri = text.parse().map_err(|_| NoBaseUrl)?;
        let secure = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(NoBaseUrl),
        };
        let authority = url.authority().filter(|authority| is_plain(authority)).ok_or(NoBaseUrl)?;
        if url.query().is_some() || text.contains('#') || text.contains("//..") {
            return Err(NoBaseUrl);
        }
        let BaseUrl(origin) = BaseUrl::new(secure, authority);
        let folder = url.path().trim_end_matches('/');
        Ok(BaseUrl(format!("{origin}{folder}").into()))
    }
}

/// Whether an authority is a host and perhaps a port, without a user's name, and with brackets around nothing but an IPv6 address.
pub(super) fn is_plain(authority: &Authority) -> bool {
    let text = authority.as_str();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, ""),
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let host_fits = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.starts_with('.') && host.bytes().all(legal),
    };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    host_fits && digits && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// What the headers say that may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Believed {
    /// The client; its port is 0 when a proxy didn't say it.
    pub client: SocketAddr,
    /// Whether the client spoke TLS.
    pub secure: bool,
    /// The host that the client asked for, when a proxy told of it.
    pub host: Option<Authority>,
}

/// Sorts out what to believe of a request that came from `peer`, over TLS or not, and takes off the rest.
pub fn believe(policy: &ProxyPolicy, peer: SocketAddr, secure: bool, headers: &mut HeaderMap) -> Believed {
    let direct = Believed { client: peer, secure, host: None };
    if !policy.trusts(peer.ip()) {
        for name in PROXY_HEADERS {
            headers.remove(name);
        }
        return direct;
    }
    // RFC 7239 replaces the older headers. A request with both went through a proxy that knows only one of them; the standard one
    // can't be told apart from a client's own then, so such a proxy must be told to take it off.
    let hops = if headers.contains_key(FORWARDED) { forwarded(headers) } else { forwarded_for(headers) };
    walk(policy, direct, &hops)
}

/// One proxy's word about who asked it, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    client: Option<SocketAddr>,
    secure: Option<bool>,
    host: Option<Authority>,
}

/// Goes from the nearest hop back, as long as the one who speaks is trusted.
fn walk(policy: &ProxyPolicy, direct: Believed, hops: &[Hop]) -> Believed {
    let mut believed = direct;
    for hop in hops.iter().rev().take(FORWARDED_HOPS_MAX) {
        believed.secure = hop.secure.unwrap_or(believed.secure);
        believed.host = hop.host.clone().or(believed.host);
        // Who hides its client speaks for it: nothing behind it can be judged.
        let Some(client) = hop.client else { break };
        believed.client = client;
        if !policy.trusts(client.ip()) {
            break;
        }
    }
    believed
}

/// The hops of `Forwarded` (RFC 7239 section 4), nearest last.
fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let mut hops = Vec::new();
    for value in texts(headers, &FORWARDED) {
        hops.extend(split(value, ',').map(forwarded_hop));
    }
    hops
}

fn forwarded_hop(element: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(element, ';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.client = address(&value),
            "proto" => hop.secure = is_secure(&value),
            "host" => hop.host = authority(&value),
            _ => {}
        }
    }
    hop
}

/// The same from the older headers. Proxies append to the first and mostly replace the other two, so those are laid beside it from the
/// right; where they are shorter, their first value stands for all the hops before.
fn forwarded_for(headers: &HeaderMap) -> Vec<Hop> {
    let list = |name| -> Vec<&str> { texts(headers, name).flat_map(|value| value.split(',')).collect() };
    let (clients, protos, hosts) = (list(&FORWARDED_FOR), list(&FORWARDED_PROTO), list(&FORWARDED_HOST));
    let from_right = |values: &[&str], back: usize| -> Option<String> {
        let at = values.len().saturating_sub(back + 1);
        values.get(at).map(|value| value.trim().to_owned())
    };
    // A trusted proxy that says only how it was asked still counts as one hop.
    let count = clients.len().max(usize::from(!protos.is_empty() || !hosts.is_empty()));
    let hop = |back| Hop {
        client: clients.len().checked_sub(back + 1).and_then(|at| address(clients[at].trim())),
        secure: from_right(&protos, back).and_then(|proto| is_secure(&proto)),
        host: from_right(&hosts, back).and_then(|host| authority(&host)),
    };
    let mut hops: Vec<Hop> = (0..count.min(FORWARDED_HOPS_MAX)).map(hop).collect();
    hops.reverse();
    hops
}

/// A header's values. One that isn't text counts as empty: it tells of nobody, and hides who stood in it.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or(""))
}

/// Parts between separators that don't stand in a quoted string.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let is_end = c == separator && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        is_end
    })
}

/// The meaning of a token or a quoted string (RFC 9110 section 5.6.4).
fn unquoted(text: &str) -> Cow<'_, str> {
    let Some(inside) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let mut plain = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(plain)
}

/// A node with or without its port, IPv6 in brackets or, as some proxies have it, bare. `unknown` and `_hidden` are none.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip: IpAddr = inside.unwrap_or(text).parse().ok()?;
    Some(SocketAddr::new(ip.to_canonical(), 0))
}

fn is_secure(proto: &str) -> Option<bool> {
    match proto.to_ascii_lowercase().as_str() {
        "https" => Some(true),
        "http" => Some(false),
        _ => None,
    }
}

fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:4000";

    fn policy() -> ProxyPolicy {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        ProxyPolicy { trusted, public_url: None }
    }

    fn heard(peer: &str, lines: &[(&str, &str)]) -> (Believed, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_str(name).unwrap(), value.parse().unwrap());
        }
        let believed = believe(&policy(), peer.parse().unwrap(), false, &mut headers);
        (believed, headers)
    }

    fn client(peer: &str, lines: &[(&str, &str)]) -> String {
        heard(peer, lines).0.client.ip().to_string()
    }

    #[test]
    fn strangers_are_not_believed_and_their_words_are_taken_off() {
        for name in PROXY_HEADERS {
            let (believed, headers) = heard("203.0.113.9:1", &[(name.as_str(), "for=1.1.1.1;proto=https")]);
            let direct = Believed { client: "203.0.113.9:1".parse().unwrap(), secure: false, host: None };
            assert_eq!((believed, headers.len()), (direct, 0), "{name}");
        }
    }

    #[test]
    fn the_right_most_hop_that_is_no_proxy_is_the_client() {
        let forwarded_for = |value| client(PROXY, &[("x-forwarded-for", value)]);
        assert_eq!(forwarded_for("203.0.113.9"), "203.0.113.9");
        assert_eq!(forwarded_for("6.6.6.6, 203.0.113.9, 10.0.0.2"), "203.0.113.9");
        assert_eq!(
            forwarded_for("6.6.6.6,203.0.113.9"),
            "203.0.113.9",
            "the first is the client's own invention"
        );
        assert_eq!(forwarded_for("[2001:db8::7]:443"), "2001:db8::7");
        assert_eq!(forwarded_for("2001:db8::7"), "2001:db8::7");
        assert_eq!(forwarded_for("::ffff:203.0.113.9"), "203.0.113.9");
        assert_eq!(forwarded_for("10.0.0.3"), "10.0.0.3", "a proxy that asks by itself");
        assert_eq!(
            client(PROXY, &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7")]),
            "7.7.7.7"
        );
        assert_eq!(client("[::ffff:10.0.0.1]:1", &[("x-forwarded-for", "7.7.7.7")]), "7.7.7.7");
    }

    #[test]
    fn who_hides_its_client_speaks_for_it() {
        for hidden in ["unknown", "_hidden", "", "1.2.3.4.5", "7.7.7.7 x"] {
            assert_eq!(
                client(PROXY, &[("x-forwarded-for", &format!("6.6.6.6, {hidden}"))]),
                "10.0.0.1",
                "{hidden:?}"
            );
        }
        assert_eq!(client(PROXY, &[("forwarded", "for=6.6.6.6, for=unknown")]), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_goes_before_the_older_ones() {
        let lines = [("forwarded", "for=7.7.7.7;proto=https"), ("x-forwarded-for", "6.6.6.6")];
        let (believed, _) = heard(PROXY, &lines);
        assert_eq!((believed.client.ip().to_string().as_str(), believed.secure), ("7.7.7.7", true));
    }

    #[test]
    fn the_standard_header_is_read_with_its_quotes() {
        let value = r#"for=6.6.6.6, For="[2001:db8::7]:4711" ;Proto=HTTPS;host="tv.example:8443";by="a,b;for=9.9.9.9\"""#;
        let (believed, _) = heard(PROXY, &[("forwarded", value)]);
        assert_eq!(believed.client, "[2001:db8::7]:4711".parse().unwrap());
        assert_eq!((believed.secure, believed.host.unwrap().as_str()), (true, "tv.example:8443"));
    }

    #[test]
    fn brackets_are_around_ipv6_addresses_and_nothing_else() {
        let is = |text: &str| text.parse::<Authority>().is_ok_and(|authority| is_plain(&authority));
        for plain in
            ["tv.example", "tv.example:80", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "localhost:"]
        {
            assert!(is(plain), "{plain}");
        }
        for odd in [
            "tv.ex[::1]:80",
            "[::1]tv.ex",
            "[tv.ex]",
            "[::1",
            "::1",
            "a:b:80",
            "a:+80",
            "a:65536",
            "me@a",
            "..:3",
            ".a",
            "[]:80",
        ] {
            assert!(!is(odd), "{odd}");
        }
    }

    #[test]
    fn scheme_and_host_are_those_the_client_used() {
        let chain = ("x-forwarded-for", "203.0.113.9, 10.0.0.2");
        let said = |lines: &[(&str, &str)]| {
            let (believed, _) = heard(PROXY, lines);
            (believed.secure, believed.host.map(|host| host.to_string()))
        };
        let both = [chain, ("x-forwarded-proto", "https, http"), ("x-forwarded-host", "tv.example, inside")];
        assert_eq!(said(&both), (true, Some("tv.example".into())));
        assert_eq!(said(&[chain, ("x-forwarded-proto", "https")]), (true, None));
        assert!(said(&[("x-forwarded-proto", "https"), ("x-forwarded-host", "tv.example")]).0);
        let invented = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-host", "evil.example, tv.example")];
        assert_eq!(said(&invented).1, Some("tv.example".into()));
        for host in ["a@b", "a/b", "a b", "", "a:99999", "ä"] {
            assert_eq!(said(&[("x-forwarded-host", host)]).1, None, "{host:?}");
        }
    }

    #[test]
    fn long_chains_are_followed_no_further_than_the_limit() {
        let long = vec!["10.0.0.2"; 1000].join(",");
        assert_eq!(client(PROXY, &[("x-forwarded-for", &format!("6.6.6.6,{long}"))]), "10.0.0.2");
        assert_eq!(
            client(PROXY, &[("forwarded", &format!("for=6.6.6.6,for={}", long.replace(',', ",for=")))]),
            "10.0.0.2"
        );
    }

    #[test]
    fn a_base_url_is_an_origin_and_perhaps_a_folder() {
        let base = |text: &str| text.parse::<BaseUrl>().map(|base| base.to_string());
        assert_eq!(base("https://tv.example/"), Ok("https://tv.example".into()));
        assert_eq!(base("http://tv.example:8080/afflux/"), Ok("http://tv.example:8080/afflux".into()));
        for wrong in
            ["tv.example", "ftp://a/", "https://", "https://me@a/", "https://a/?b", "https://a/#b", "/a", ""]
        {
            assert_eq!(base(wrong), Err(NoBaseUrl), "{wrong:?}");
        }
        let host = |text: &str| text.parse::<BaseUrl>().unwrap().host().to_owned();
        assert_eq!(
            (host("https://a.example:1/x:2").as_str(), host("http://[::1]").as_str()),
            ("a.example", "[::1]")
        );
        assert_eq!(host("http://[::1]:80"), "[::1]");
    }
}
