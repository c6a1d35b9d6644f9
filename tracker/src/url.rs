//! A tracker's URL, checked: what torrents and magnets carry is a stranger's text.
//!
//! The parser knows the little of RFC 3986 that a tracker needs and refuses the rest, so that no later layer reads
//! the same text in another way (a host like `0x7f.1` is an address to some parsers and a name to others).
//! Not here: resolving, and the check of what a name resolves to ([`crate::guard`]).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::limits;

/// Why a text is no URL of a tracker that we would ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// More than [`limits::URL_BYTES_MAX`].
    #[error("it is longer than {} bytes", limits::URL_BYTES_MAX)]
    TooLong,
    /// Neither http, https nor udp.
    #[error("trackers are asked over http, https and udp only")]
    Scheme,
    /// White space, control characters, or anything beyond ASCII outside the host.
    #[error("it has a character that may not be in a URL")]
    Character,
    /// No host, or one that is neither a name nor an address in its usual form.
    #[error("its host is neither a name nor an address")]
    Host,
    /// Non-ASCII or `xn--`: looks like another name to people.
    #[error("its host is an internationalised name, which may imitate another")]
    InternationalHost,
    /// Port missing (udp has no default), 0 or beyond 65535.
    #[error("its port is missing or out of range")]
    Port,
    /// A user name in a udp URL, which has no use for it.
    #[error("it has credentials, which udp can't carry")]
    Credentials,
}

/// How a tracker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// BEP 15.
    Udp,
}

/// Where a tracker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A DNS name in lower case.
    Name(String),
    /// An address literal.
    Ip(IpAddr),
}

/// A URL of a tracker. Its text form hides credentials; [`Self::as_str`] has them.
#[derive(Clone, PartialEq, Eq)]
pub struct TrackerUrl {
    scheme: Scheme,
    host: Host,
    port: u16,
    /// Without fragment.
    text: String,
    /// Where credentials and their `@` start and end in the text.
    credentials: Option<(usize, usize)>,
    /// Where the path starts in the text.
    path_at: usize,
}

impl FromStr for TrackerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.len() > limits::URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        let (scheme, after_scheme) = split_scheme(text)?;
        let rest = &text[after_scheme..];
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        if !path.bytes().all(is_url_byte) {
            return Err(UrlError::Character);
        }
        let (user, host_port) = match authority.rsplit_once('@') {
            Some((user, host_port)) => (Some(user), host_port),
            None => (None, authority),
        };
        if user.is_some_and(|user| !user.bytes().all(is_url_byte)) {
            return Err(UrlError::Character);
        }
        if user.is_some() && scheme == Scheme::Udp {
            return Err(UrlError::Credentials);
        }
        let (host, port) = split_port(host_port)?;
        let host = parse_host(host)?;
        let port = port.or(scheme.default_port()).ok_or(UrlError::Port)?;

        let mut canonical = String::with_capacity(text.len());
        canonical.push_str(scheme.as_str());
        canonical.push_str("://");
        let credentials = user.map(|user| {
            let start = canonical.len();
            canonical.push_str(user);
            canonical.push('@');
            (start, canonical.len())
        });
        canonical.push_str(&host.to_string());
        if scheme.default_port() != Some(port) {
            canonical.push_str(&format!(":{port}"));
        }
        let path_at = canonical.len();
        canonical.push_str(path);
        // An address can grow when it is written in the usual form.
        if canonical.len() > limits::URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        Ok(Self { scheme, host, port, text: canonical, credentials, path_at })
    }
}

impl TrackerUrl {
    /// How it is asked.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Where it is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its port, the scheme's own if it names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query as they came (`/announce?passkey=1`), possibly empty.
    pub fn path_and_query(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// The whole URL, credentials included, fragment gone, scheme and host in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the last element of the path is `announce`, as in nearly all trackers' URLs (its extension, such
    /// as `.php`, doesn't count). On local addresses only such paths are asked: a torrent must not be able to press
    /// buttons of the user's router.
    pub fn is_announce_path(&self) -> bool {
        let path = self.path_and_query();
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let last = path.rsplit('/').next().unwrap_or("");
        last.split('.').next() == Some("announce")
    }
}

impl fmt::Display for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.credentials {
            None => f.write_str(&self.text),
            Some((start, end)) => write!(f, "{}***@{}", &self.text[..start], &self.text[end..]),
        }
    }
}

impl fmt::Debug for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
        }
    }

    /// RFC 9110, section 4.2; udp has none.
    fn default_port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Udp => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// The scheme, and where the text behind `://` starts.
fn split_scheme(text: &str) -> Result<(Scheme, usize), UrlError> {
    let end = text.find("://").ok_or(UrlError::Scheme)?;
    let scheme = match text[..end].to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        "udp" => Scheme::Udp,
        _ => return Err(UrlError::Scheme),
    };
    Ok((scheme, end + 3))
}

/// Printable ASCII without the characters that RFC 3986 keeps out of URLs and that other parsers repair in their own
/// ways. Some trackers' URLs have brackets and bars in their queries, so those pass.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`')
}

fn split_port(host_port: &str) -> Result<(&str, Option<u16>), UrlError> {
    let host_end = match host_port.strip_prefix('[') {
        Some(inside) => inside.find(']').ok_or(UrlError::Host)? + 2,
        None => host_port.find(':').unwrap_or(host_port.len()),
    };
    let (host, port) = host_port.split_at(host_end);
    match port {
        "" | ":" => Ok((host, None)),
        _ => {
            let digits = port.strip_prefix(':').ok_or(UrlError::Host)?;
            if digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(UrlError::Port);
            }
            let port = digits.parse().ok().filter(|&port| port != 0).ok_or(UrlError::Port)?;
            Ok((host, Some(port)))
        }
    }
}

fn parse_host(host: &str) -> Result<Host, UrlError> {
    if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let ip: Ipv6Addr = inside.parse().map_err(|_| UrlError::Host)?;
        return Ok(Host::Ip(IpAddr::V6(ip)));
    }
    if !host.is_ascii() {
        return Err(UrlError::InternationalHost);
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    let host = host.to_ascii_lowercase();
    let labels = host.strip_suffix('.').unwrap_or(&host);
    if labels.is_empty() || host.len() > limits::HOST_BYTES_MAX || !labels.split('.').all(is_label) {
        return Err(UrlError::Host);
    }
    if labels.split('.').any(|label| label.starts_with("xn--")) {
        return Err(UrlError::InternationalHost);
    }
    // A last label that is a number makes the whole an IPv4 address to other parsers (WHATWG URL, "ends in a
    // number"): `2130706433`, `127.1` and `0x7f.0.0.1` are all loopback there.
    let last = labels.rsplit('.').next().unwrap_or("");
    if last.bytes().all(|b| b.is_ascii_digit()) || is_hex_number(last) {
        return Err(UrlError::Host);
    }
    Ok(Host::Name(host))
}

fn is_hex_number(label: &str) -> bool {
    label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A label of a name; underscores are against RFC 1123 and in use.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TrackerUrl, UrlError> {
        text.parse()
    }

    #[test]
    fn the_parts_of_a_url_are_told_apart() {
        let url = parse("HTTP://Tracker.Example.org:6969/x/announce?passkey=a/b#top").unwrap();
        assert_eq!(url.scheme(), Scheme::Http);
        assert_eq!(url.host(), &Host::Name("tracker.example.org".into()));
        assert_eq!((url.port(), url.path_and_query()), (6969, "/x/announce?passkey=a/b"));
        assert_eq!(url.as_str(), "http://tracker.example.org:6969/x/announce?passkey=a/b");

        let url = parse("udp://[2001:db8::1]:80").unwrap();
        assert_eq!(url.host(), &Host::Ip("2001:db8::1".parse().unwrap()));
        assert_eq!((url.port(), url.path_and_query()), (80, ""));

        assert_eq!(parse("https://a.example/announce").unwrap().port(), 443);
        assert_eq!(parse("http://a.example:80/announce"), parse("http://a.example/announce"));
        assert_eq!(parse("udp://a.example/announce"), Err(UrlError::Port));
    }

    #[test]
    fn credentials_are_kept_and_not_shown() {
        let url = parse("https://me:secret@a.example/announce").unwrap();
        assert_eq!(url.as_str(), "https://me:secret@a.example/announce");
        assert_eq!(url.to_string(), "https://***@a.example/announce");
        assert!(!format!("{url:?}").contains("secret"));
        assert_eq!(parse("udp://me@a.example:1/"), Err(UrlError::Credentials));
        let url = parse("http://good.example@evil.example/announce").unwrap();
        assert_eq!(url.host(), &Host::Name("evil.example".into()));
    }

    #[test]
    fn malformed_urls_are_refused_by_what_is_wrong() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("tracker.example/announce", UrlError::Scheme),
            ("ftp://a.example/", UrlError::Scheme),
            ("wss://a.example/", UrlError::Scheme),
            ("http:///announce", UrlError::Host),
            ("http://a..example/", UrlError::Host),
            ("http://a%2eexample/", UrlError::Host),
            ("http://a example/", UrlError::Host),
            ("http://[::1/", UrlError::Host),
            ("http://[::1]x/", UrlError::Host),
            ("http://[fe80::1%25eth0]/", UrlError::Host),
            ("http://a.example:0/", UrlError::Port),
            ("http://a.example:65536/", UrlError::Port),
            ("http://a.example:+80/", UrlError::Port),
            ("http://a.example/a b", UrlError::Character),
            ("http://a.example/\r\nHost:x", UrlError::Character),
            ("http://a.example\\@b.example/", UrlError::Character),
            ("http://a.example/\u{e9}", UrlError::Character),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
        let long = format!("http://a.example/{}", "a".repeat(limits::URL_BYTES_MAX));
        assert_eq!(parse(&long), Err(UrlError::TooLong));
    }

    #[test]
    fn only_announce_paths_look_like_announces() {
        for (text, expected) in [
            ("http://a.example/announce", true),
            ("http://a.example/passkey/announce.php?x=/y", true),
            ("http://a.example/apply.cgi?announce", false),
            ("http://a.example", false),
            ("http://a.example/announce/reboot", false),
        ] {
            assert_eq!(parse(text).unwrap().is_announce_path(), expected, "{text}");
        }
    }
}
