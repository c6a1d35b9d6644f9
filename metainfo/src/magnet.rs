//! Magnet links (BEP 9, BEP 52, BEP 53).
//!
//! Lists are capped and what is beyond is left out; ranges of files stay ranges. Not here: bare
//! info-hashes, which [`InfoHashes`] reads itself.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use crate::hash::{HashError, InfoHash, InfoHashV2, InfoHashes, write_hex};
use crate::limits::{MAGNET_BYTES_MAX, MAGNET_PEERS_MAX, TRACKERS_MAX, WEB_SEEDS_MAX};
use crate::path::safe_text;
use crate::torrent::is_host;
use crate::url::{TRACKER_SCHEMES, UrlFilter, WEB_SEED_SCHEMES};

/// Why a text is no magnet link.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// It doesn't start with `magnet:?`.
    #[error("a magnet link starts with `magnet:?`")]
    Scheme,
    /// Longer than [`MAGNET_BYTES_MAX`].
    #[error("the magnet link is longer than {MAGNET_BYTES_MAX} bytes")]
    TooLong,
    /// A `%` that isn't followed by two hex digits, or bytes that are not UTF-8.
    #[error("the magnet link's `{0}` has a broken %-escape; write a percent sign as %25")]
    Escape(String),
    /// No `xt=urn:btih:` and no `xt=urn:btmh:`.
    #[error("the magnet link names no torrent: it has no `xt=urn:btih:` or `xt=urn:btmh:`")]
    NoHash,
    /// A v1 hash that is none.
    #[error("the magnet link's info-hash is broken: {0}")]
    Hash(#[from] HashError),
    /// A v2 hash that isn't a SHA-256 multihash.
    #[error("the magnet link's v2 hash is broken: it must be `1220` and 64 hex digits")]
    Multihash,
    /// Two different hashes of the same kind.
    #[error("the magnet link names two different torrents")]
    TwoTorrents,
    /// BEP 53 ranges that are none.
    #[error("the magnet link's file selection `so={0}` is not like `0,2,4-7`")]
    Select(String),
    /// `xl` isn't a number.
    #[error("the magnet link's length `xl={0}` is not a number of bytes")]
    Length(String),
    /// `x.pe` isn't `host:port`.
    #[error("the magnet link's peer `x.pe={0}` is not like `192.0.2.1:6881`")]
    Peer(String),
}

/// A peer that a magnet names (BEP 9, `x.pe`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAddress {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name, to be looked up, and a port.
    Named {
        /// The host name.
        host: String,
        /// The port, never zero.
        port: u16,
    },
}

/// A magnet link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// What it names (`xt`).
    pub hashes: InfoHashes,
    /// What to call it until the metadata is there (`dn`); control characters are replaced.
    pub name: Option<String>,
    /// Tracker URLs (`tr`, `tr.1`, …), no URL twice.
    pub trackers: Vec<String>,
    /// Web seeds (`ws`), no URL twice.
    pub web_seeds: Vec<String>,
    /// Peers to dial (`x.pe`).
    pub peers: Vec<PeerAddress>,
    /// File indices to download (BEP 53, `so`): ascending, apart; empty means all. They may reach beyond
    /// any file.
    pub select: Vec<RangeInclusive<u32>>,
    /// Bytes of all files (`xl`), as far as one believes it.
    pub exact_length: Option<u64>,
}

impl Magnet {
    /// A link to a torrent, with nothing else.
    pub fn new(hashes: InfoHashes) -> Self {
        Self {
            hashes,
            name: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            peers: Vec::new(),
            select: Vec::new(),
            exact_length: None,
        }
    }

    /// Whether a file is to be downloaded.
    pub fn selects(&self, file: u32) -> bool {
        self.select.is_empty() || self.select.iter().any(|range| range.contains(&file))
    }
}

impl FromStr for PeerAddress {
    type Err = MagnetError;

    /// `192.0.2.1:6881`, `[2001:db8::1]:6881` or `host.example:6881` (BEP 9).
    fn from_str(text: &str) -> Result<Self, MagnetError> {
        let address = || {
            if let Ok(address) = text.parse::<SocketAddr>() {
                return (address.port() > 0).then_some(Self::Socket(address));
            }
            let (host, port) = text.rsplit_once(':')?;
            let port = port.parse().ok().filter(|&number: &u16| number > 0 && is_digits(port))?;
            // What has a colon in it is a broken IPv6 address.
            let host = Some(host).filter(|host| is_host(host) && !host.contains(':'))?;
            Some(Self::Named { host: host.to_owned(), port })
        };
        address().ok_or_else(|| MagnetError::Peer(safe_text(text.as_bytes())))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Named { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    /// Parameters that aren't known are passed over, and so are URLs of unknown schemes.
    fn from_str(text: &str) -> Result<Self, MagnetError> {
        if text.len() > MAGNET_BYTES_MAX {
            return Err(MagnetError::TooLong);
        }
        let query = match text.trim().split_at_checked("magnet:?".len()) {
            Some((scheme, query)) if scheme.eq_ignore_ascii_case("magnet:?") => query,
            _ => return Err(MagnetError::Scheme),
        };
        let mut reading = Reading::new();
        for parameter in query.split('&') {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            reading.parameter(key, value)?;
        }
        reading.finish()
    }
}

/// A magnet whose parameters are still being read.
struct Reading {
    v1: Option<InfoHash>,
    v2: Option<InfoHashV2>,
    trackers: UrlFilter,
    web_seeds: UrlFilter,
    /// All but the hashes.
    rest: Magnet,
}

impl Reading {
    fn new() -> Self {
        Self {
            v1: None,
            v2: None,
            trackers: UrlFilter::new(TRACKER_SCHEMES, TRACKERS_MAX),
            web_seeds: UrlFilter::new(WEB_SEED_SCHEMES, WEB_SEEDS_MAX),
            rest: Magnet::new(InfoHashes::V1(InfoHash([0; 20]))),
        }
    }

    fn parameter(&mut self, key: &str, value: &str) -> Result<(), MagnetError> {
        // Links copied out of a web page's source separate by `&amp;`.
        let key = key.strip_prefix("amp;").unwrap_or(key);
        // Any parameter may be numbered to be given twice (`tr.1`), but for those whose names have a dot.
        let kind = match key.rsplit_once('.') {
            Some((kind, number)) if is_digits(number) => kind,
            _ => key,
        };
        match kind {
            "xt" => return self.topic(&unescape(kind, value)?),
            "dn" => {
                let name = safe_text(unescape(kind, &value.replace('+', " "))?.as_bytes());
                self.rest.name = Some(name).filter(|name| !name.is_empty()).or(self.rest.name.take());
            }
            "tr" => self.rest.trackers.extend(self.trackers.admit(unescape(kind, value)?.as_bytes())),
            "ws" => self.rest.web_seeds.extend(self.web_seeds.admit(unescape(kind, value)?.as_bytes())),
            "x.pe" => {
                let peer = unescape(kind, value)?.parse()?;
                if self.rest.peers.len() < MAGNET_PEERS_MAX && !self.rest.peers.contains(&peer) {
                    self.rest.peers.push(peer);
                }
            }
            "so" => select(&unescape(kind, value)?, &mut self.rest.select)?,
            "xl" => {
                let text = unescape(kind, value)?;
                let length = text.parse().ok().filter(|_| is_digits(&text));
                self.rest.exact_length =
                    Some(length.ok_or_else(|| MagnetError::Length(safe_text(text.as_bytes())))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// `xt`: what is named. URNs of other networks are passed over.
    fn topic(&mut self, urn: &str) -> Result<(), MagnetError> {
        if let Some(hash) = strip_prefix_any_case(urn, "urn:btih:") {
            let hash = hash.parse()?;
            if self.v1.replace(hash).is_some_and(|other| other != hash) {
                return Err(MagnetError::TwoTorrents);
            }
        } else if let Some(multihash) = strip_prefix_any_case(urn, "urn:btmh:") {
            // Multihash: 0x12 is SHA-256, 0x20 its length.
            let digits = multihash.strip_prefix("1220").ok_or(MagnetError::Multihash)?;
            let hash = digits.parse().map_err(|_| MagnetError::Multihash)?;
            if self.v2.replace(hash).is_some_and(|other| other != hash) {
                return Err(MagnetError::TwoTorrents);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Magnet, MagnetError> {
        let hashes = match (self.v1, self.v2) {
            (Some(v1), Some(v2)) => InfoHashes::Hybrid(v1, v2),
            (Some(v1), None) => InfoHashes::V1(v1),
            (None, Some(v2)) => InfoHashes::V2(v2),
            (None, None) => return Err(MagnetError::NoHash),
        };
        merge(&mut self.rest.select);
        Ok(Magnet { hashes, ..self.rest })
    }
}

/// `so=0,2,4-7` (BEP 53): kept as ranges, whose size says nothing about what they cost.
fn select(text: &str, ranges: &mut Vec<RangeInclusive<u32>>) -> Result<(), MagnetError> {
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|_| is_digits(digits));
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => ranges.push(first..=last),
            _ => return Err(MagnetError::Select(safe_text(text.as_bytes()))),
        }
    }
    Ok(())
}

/// Makes ranges ascending and apart.
fn merge(ranges: &mut Vec<RangeInclusive<u32>>) {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u32>> = Vec::with_capacity(ranges.len());
    for range in ranges.drain(..) {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    *ranges = merged;
}

/// Numbers here are digits alone: `parse` would take a `+` too.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Undoes %-escapes (RFC 3986).
fn unescape<'a>(key: &str, value: &'a str) -> Result<Cow<'a, str>, MagnetError> {
    if !value.contains('%') {
        return Ok(Cow::Borrowed(value));
    }
    let broken = || MagnetError::Escape(key.to_owned());
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2).ok_or_else(broken)?;
        let digit = |nth: usize| char::from(digits[nth]).to_digit(16).ok_or_else(broken);
        bytes.push((digit(0)? << 4 | digit(1)?) as u8);
        rest = behind;
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| broken())
}

impl fmt::Display for Magnet {
    /// A link that reads as the same magnet, if the magnet keeps to the limits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("magnet:?")?;
        let mut separator = "";
        if let Some(v1) = self.hashes.v1() {
            write!(f, "xt=urn:btih:{v1}")?;
            separator = "&";
        }
        if let Some(v2) = self.hashes.v2() {
            write!(f, "{separator}xt=urn:btmh:1220")?;
            write_hex(f, &v2.0)?;
        }
        if let Some(name) = &self.name {
            write!(f, "&dn={}", Escaped(name))?;
        }
        if let Some(length) = self.exact_length {
            write!(f, "&xl={length}")?;
        }
        self.trackers.iter().try_for_each(|url| write!(f, "&tr={}", Escaped(url)))?;
        self.web_seeds.iter().try_for_each(|url| write!(f, "&ws={}", Escaped(url)))?;
        // Brackets and colons of addresses are left as they are: that's how BEP 9 shows them.
        self.peers.iter().try_for_each(|peer| write!(f, "&x.pe={}", Escaped(&peer.to_string())))?;
        let mut separator = "&so=";
        for range in &self.select {
            f.write_str(separator)?;
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, last) => write!(f, "{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

/// A value with everything escaped that could end it or be read as something else.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' => {
                write!(f, "{}", char::from(byte))
            }
            _ => write!(f, "%{byte:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "0123456789abcdef0123456789abcdef01234567";
    const V2: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn with(rest: &str) -> Result<Magnet, MagnetError> {
        format!("magnet:?xt=urn:btih:{V1}{rest}").parse()
    }

    #[test]
    fn every_parameter_of_bep_9_is_read() {
        let magnet = with(
            "&dn=A+film%20%28%C3%A9%29&tr=udp%3A%2F%2Ft.example%3A80%2Fannounce&tr.1=http://u.example/a?k=1\
             &ws=https%3A%2F%2Fw.example%2Fd%2F&x.pe=192.0.2.1:6881&x.pe=[2001:db8::1]:6881&x.pe=p.example:1&xl=12",
        )
        .unwrap();
        assert_eq!(magnet.hashes, InfoHashes::V1(V1.parse().unwrap()));
        assert_eq!(magnet.name.as_deref(), Some("A film (é)"));
        assert_eq!(magnet.trackers, ["udp://t.example:80/announce", "http://u.example/a?k=1"]);
        assert_eq!(magnet.web_seeds, ["https://w.example/d/"]);
        let peers: Vec<_> = magnet.peers.iter().map(PeerAddress::to_string).collect();
        assert_eq!(peers, ["192.0.2.1:6881", "[2001:db8::1]:6881", "p.example:1"]);
        assert_eq!((magnet.exact_length, magnet.to_string().parse()), (Some(12), Ok(magnet)));
    }

    #[test]
    fn hex_base32_and_multihash_name_torrents() {
        let base32: Magnet = "MAGNET:?xt=URN:BTIH:AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH".parse().unwrap();
        assert_eq!(base32.hashes, InfoHashes::V1(V1.parse().unwrap()));
        let v2: Magnet = format!("magnet:?xt=urn:btmh:1220{V2}").parse().unwrap();
        assert_eq!(v2.hashes, InfoHashes::V2(V2.parse().unwrap()));
        let hybrid = with(&format!("&xt=urn:btmh:1220{V2}")).unwrap();
        assert_eq!(hybrid.hashes, InfoHashes::Hybrid(V1.parse().unwrap(), V2.parse().unwrap()));
        for magnet in [base32, v2, hybrid] {
            assert_eq!(magnet.to_string().parse(), Ok(magnet));
        }
    }

    #[test]
    fn links_out_of_web_pages_are_read() {
        let magnet = with("&amp;dn=x&amp;tr=udp://t.example:1&xs=ignored&=&&kt").unwrap();
        assert_eq!((magnet.name.as_deref(), magnet.trackers.len()), (Some("x"), 1));
    }

    #[test]
    fn file_selections_are_merged_and_stay_ranges() {
        let magnet = with("&so=9,0,2,4-7,6-8,3").unwrap();
        assert_eq!(magnet.select, [0..=0, 2..=9]);
        assert!(magnet.selects(8) && !magnet.selects(1) && with("").unwrap().selects(1));
        assert_eq!(magnet.to_string().parse(), Ok(magnet));
        assert_eq!(with("&so=0-4294967295").unwrap().select, [0..=u32::MAX]);
    }

    #[test]
    fn a_plus_in_a_url_is_a_plus() {
        let magnet = with("&tr=http://t.example/a+b%2B&dn=a%2Bb").unwrap();
        assert_eq!((&magnet.trackers[0][..], magnet.name.as_deref()), ("http://t.example/a+b+", Some("a+b")));
        assert_eq!(magnet.to_string().parse(), Ok(magnet));
    }
}
