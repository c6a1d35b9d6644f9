//! Lists of URLs out of torrents and magnets: well-formed, of a known scheme, none twice, and not too many.
//!
//! Not here: whether a URL may be visited. That needs its resolved address, and is asked where it is dialled.

use std::collections::BTreeSet;

use crate::limits::URL_BYTES_MAX;

/// Schemes of trackers (BEP 3, BEP 15, and WebTorrent's WebSockets).
pub(crate) const TRACKER_SCHEMES: &[&str] = &["http", "https", "udp", "ws", "wss"];

/// Schemes of web seeds (BEP 19).
pub(crate) const WEB_SEED_SCHEMES: &[&str] = &["http", "https"];

/// Takes in URLs, and counts those it leaves out.
pub(crate) struct UrlFilter {
    schemes: &'static [&'static str],
    room: usize,
    seen: BTreeSet<String>,
    pub(crate) left_out: usize,
}

impl UrlFilter {
    pub(crate) fn new(schemes: &'static [&'static str], most: usize) -> Self {
        Self { schemes, room: most, seen: BTreeSet::new(), left_out: 0 }
    }

    /// The URL as text, if it is to be used.
    pub(crate) fn admit(&mut self, raw: &[u8]) -> Option<String> {
        let url = self.well_formed(raw).filter(|_| self.room > 0);
        let url = url.filter(|&url| self.seen.insert(url.to_owned()));
        match url {
            Some(_) => self.room -= 1,
            None => self.left_out += 1,
        }
        url.map(str::to_owned)
    }

    fn well_formed<'a>(&self, raw: &'a [u8]) -> Option<&'a str> {
        let url = std::str::from_utf8(raw.trim_ascii()).ok().filter(|url| url.len() <= URL_BYTES_MAX)?;
        let (scheme, rest) = url.split_once("://")?;
        let known = self.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme));
        // A line break could otherwise end a request's head and start another.
        let clean = !url.chars().any(|c| c.is_control() || c.is_whitespace());
        (known && clean && !rest.is_empty() && !rest.starts_with(['/', '?', '#'])).then_some(url)
    }
}
