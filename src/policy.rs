//! Which torrents, trackers and servers the owner of this daemon lets it use: `[sources]` in the configuration.
//!
//! A deny rule always wins; an allow list that has rules is exclusive. Trackers have lists of their own, all else that is
//! fetched (.torrent files, web seeds) goes by hosts, and a denied host is denied as a tracker too. Pure: `fetch` and `announce`
//! ask before each request, at each redirect, and about each address that a name resolves to. Not here: what no torrent may
//! reach whatever the owner says (`afflux_tracker::guard`).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use afflux_metainfo::hash::{InfoHash, InfoHashes};
use afflux_tracker::TrackerUrl;
use afflux_tracker::url::Host;
use ipnet::IpNet;
use reqwest::Url;
use thiserror::Error;

use crate::source::Source;

/// The lists as the owner wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceSettings {
    /// `allow-tracker`
    pub allow_trackers: Vec<HostPattern>,
    /// `deny-tracker`
    pub deny_trackers: Vec<HostPattern>,
    /// `allow-host`
    pub allow_hosts: Vec<HostPattern>,
    /// `deny-host`
    pub deny_hosts: Vec<HostPattern>,
    /// `allow-hash`
    pub allow_hashes: Vec<InfoHashes>,
    /// `deny-hash`
    pub deny_hashes: Vec<InfoHashes>,
}

/// Hosts that one rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: all.
    Any,
    /// `tracker.example.org`: this one.
    Name(String),
    /// `*.example.org`: all names below it, and not itself. The text begins with a dot.
    Below(String),
    /// `192.0.2.7`, `2001:db8::/32`: these addresses, also when a name resolves to them.
    Network(IpNet),
}

impl HostPattern {
    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Network(network), Host::Ip(ip)) => network.contains(&ip.to_canonical()),
            (Self::Name(name), Host::Name(host)) => name == host,
            (Self::Below(end), Host::Name(host)) => host.len() > end.len() && host.ends_with(end.as_str()),
            _ => false,
        }
    }
}

/// Why a text is no [`HostPattern`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no rule for hosts: allowed are a name (tracker.example.org), *.example.org, an address, a network (192.0.2.0/24) and *"
)]
pub struct NoPattern(String);

impl FromStr for HostPattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        let no_pattern = || NoPattern(text.to_owned());
        let trimmed = text.trim();
        if trimmed == "*" {
            return Ok(Self::Any);
        }
        if let Ok(network) = trimmed.parse::<IpNet>() {
            return Ok(Self::Network(network));
        }
        let (below, name) = match trimmed.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, trimmed),
        };
        match parse_host(name).ok_or_else(no_pattern)? {
            Host::Name(name) if below => Ok(Self::Below(format!(".{name}"))),
            Host::Name(name) => Ok(Self::Name(name)),
            Host::Ip(ip) if !below => Ok(Self::Network(IpNet::from(ip.to_canonical()))),
            Host::Ip(_) => Err(no_pattern()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Below(end) => write!(f, "*{end}"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// A list of rules, by its key in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `allow-tracker`
    AllowTracker,
    /// `deny-tracker`
    DenyTracker,
    /// `allow-host`
    AllowHost,
    /// `deny-host`
    DenyHost,
    /// `allow-hash`
    AllowHash,
    /// `deny-hash`
    DenyHash,
}

impl List {
    /// The key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowTracker => "allow-tracker",
            Self::DenyTracker => "deny-tracker",
            Self::AllowHost => "allow-host",
            Self::DenyHost => "deny-host",
            Self::AllowHash => "allow-hash",
            Self::DenyHash => "deny-hash",
        }
    }
}

/// What the owner doesn't let us use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Denied {
    /// The host or hash; never the URL, which may hold a passkey.
    pub subject: String,
    /// The list that decided.
    pub list: List,
    /// The rule that matched; `None`: an allow list in which none did.
    pub rule: Option<String>,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, list) = (&self.subject, self.list.as_str());
        match &self.rule {
            Some(rule) => write!(f, "{subject} is refused by the rule {list} = {rule}"),
            None => write!(f, "{subject} is not on the list {list}, and nothing else may be used"),
        }
    }
}

/// The rules, ready to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePolicy(SourceSettings);

impl From<SourceSettings> for SourcePolicy {
    fn from(settings: SourceSettings) -> Self {
        Self(settings)
    }
}

impl SourcePolicy {
    /// Whether a torrent may be used. One with two hashes is denied by either and allowed by either.
    pub fn check_hash(&self, hashes: &InfoHashes) -> Result<(), Denied> {
        let subject = || hashes.wire().to_string();
        let same = |rule: &&InfoHashes| is_same(rule, hashes);
        if let Some(rule) = self.0.deny_hashes.iter().find(same) {
            let rule = Some(rule.wire().to_string());
            return Err(Denied { subject: subject(), list: List::DenyHash, rule });
        }
        if self.0.allow_hashes.is_empty() || self.0.allow_hashes.iter().any(|rule| is_same(rule, hashes)) {
            return Ok(());
        }
        Err(Denied { subject: subject(), list: List::AllowHash, rule: None })
    }

    /// Whether a tracker may be asked.
    pub fn check_tracker(&self, url: &str) -> Result<(), Denied> {
        let host = match url.parse::<TrackerUrl>().map(|url| url.host().clone()) {
            Ok(Host::Name(name)) => parse_host(&name),
            Ok(ip) => Some(ip),
            // WebSocket trackers, and what an HTTP client reads where we don't.
            Err(_) => host_of(url),
        };
        self.deny(&host, List::DenyHost, &self.0.deny_hosts)?;
        self.deny(&host, List::DenyTracker, &self.0.deny_trackers)?;
        self.allow(&host, List::AllowTracker, &self.0.allow_trackers)
    }

    /// Whether a .torrent file or a web seed may be fetched from there.
    pub fn check_url(&self, url: &str) -> Result<(), Denied> {
        let host = host_of(url);
        self.deny(&host, List::DenyHost, &self.0.deny_hosts)?;
        self.allow(&host, List::AllowHost, &self.0.allow_hosts)
    }

    /// Whether an address may be connected to that an allowed host's name resolved to.
    pub fn check_address(&self, ip: IpAddr, purpose: Purpose) -> Result<(), Denied> {
        let host = Some(Host::Ip(ip.to_canonical()));
        self.deny(&host, List::DenyHost, &self.0.deny_hosts)?;
        match purpose {
            Purpose::Tracker => self.deny(&host, List::DenyTracker, &self.0.deny_trackers),
            Purpose::Document => Ok(()),
        }
    }

    /// The check of the purpose.
    pub fn check(&self, url: &str, purpose: Purpose) -> Result<(), Denied> {
        match purpose {
            Purpose::Tracker => self.check_tracker(url),
            Purpose::Document => self.check_url(url),
        }
    }

    /// Judges a torrent before anything is done for it, and takes out trackers and web seeds that may not be used; says which.
    ///
    /// # Errors
    /// The torrent itself is denied.
    pub fn admit(&self, source: &mut Source) -> Result<Vec<Denied>, Denied> {
        self.check_hash(&source.hashes())?;
        let mut denied = Vec::new();
        let mut keep = |checked: Result<(), Denied>| checked.map_err(|error| denied.push(error)).is_ok();
        match source {
            Source::Torrent(torrent) => {
                for tier in &mut torrent.trackers {
                    tier.retain(|url| keep(self.check_tracker(url)));
                }
                torrent.trackers.retain(|tier| !tier.is_empty());
                torrent.web_seeds.retain(|url| keep(self.check_url(url)));
            }
            Source::Magnet(magnet) => {
                magnet.trackers.retain(|url| keep(self.check_tracker(url)));
                magnet.web_seeds.retain(|url| keep(self.check_url(url)));
            }
        }
        Ok(denied)
    }

    /// What has no host can't be judged: it passes only where there are no rules.
    fn deny(&self, host: &Option<Host>, list: List, rules: &[HostPattern]) -> Result<(), Denied> {
        let matches = |rule: &&HostPattern| host.as_ref().is_none_or(|host| rule.matches(host));
        match rules.iter().find(matches) {
            None => Ok(()),
            Some(rule) => Err(Denied { subject: shown(host), list, rule: Some(rule.to_string()) }),
        }
    }

    fn allow(&self, host: &Option<Host>, list: List, rules: &[HostPattern]) -> Result<(), Denied> {
        let matches = |rule: &HostPattern| host.as_ref().is_some_and(|host| rule.matches(host));
        if rules.is_empty() || rules.iter().any(matches) {
            return Ok(());
        }
        Err(Denied { subject: shown(host), list, rule: None })
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An announce.
    Tracker,
    /// A .torrent file, or a web seed's bytes.
    Document,
}

/// Whether two names mean the same torrent. A v2 hash is also known by its beginning.
fn is_same(rule: &InfoHashes, hashes: &InfoHashes) -> bool {
    let short = |hashes: &InfoHashes| hashes.v2().map(|v2| v2.truncated());
    let names = |hashes: &InfoHashes| -> [Option<InfoHash>; 2] { [hashes.v1(), short(hashes)] };
    let known = names(hashes);
    names(rule).into_iter().flatten().any(|name| known.contains(&Some(name)))
}

fn shown(host: &Option<Host>) -> String {
    match host {
        Some(Host::Name(name)) => name.clone(),
        Some(Host::Ip(ip)) => ip.to_string(),
        None => "a URL without a host".to_owned(),
    }
}

/// The host of any URL, in the one spelling that rules are compared in.
fn host_of(url: &str) -> Option<Host> {
    let url = Url::parse(url).ok()?;
    parse_host(url.host_str()?)
}

/// A host as HTTP clients read it: lower case, internationalised names encoded, every spelling of an address in the usual one.
fn parse_host(text: &str) -> Option<Host> {
    let plain = |c: char| !matches!(c, '/' | '?' | '#' | '@' | '\\' | '%' | '*') && !c.is_whitespace();
    if text.is_empty() || !text.chars().all(plain) {
        return None;
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(Host::Ip(ip.to_canonical()));
    }
    if text.contains(':') {
        return None;
    }
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    let host = url.host_str()?.trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(ip) => Some(Host::Ip(ip.to_canonical())),
        Err(_) if host.is_empty() => None,
        Err(_) => Some(Host::Name(host.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<HostPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn rules_are_read_in_any_spelling_and_written_in_one() {
        for (text, written) in [
            ("Tracker.Example.ORG.", "tracker.example.org"),
            ("*.example.org", "*.example.org"),
            ("*", "*"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("0xc0.0.2.7", "192.0.2.7/32"),
            ("[2001:db8::1]", "2001:db8::1/128"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), written, "{text}");
        }
        for wrong in ["", "*.", "**", "a*.b", "http://a", "a/b", "a:80", "*.192.0.2.7", "a b", "192.0.2.0/33"]
        {
            assert!(wrong.parse::<HostPattern>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn without_rules_everything_is_allowed() {
        let policy = SourcePolicy::default();
        assert_eq!(policy.check_tracker("udp://tracker.example:80"), Ok(()));
        assert_eq!(policy.check_url("nonsense"), Ok(()));
    }

    #[test]
    fn a_denied_tracker_is_denied_in_every_spelling() {
        let deny_trackers = patterns(&["*.evil.example", "evil.example", "192.0.2.0/24"]);
        let policy = SourcePolicy::from(SourceSettings { deny_trackers, ..Default::default() });
        for url in [
            "udp://tracker.evil.example:80/announce",
            "http://TRACKER.evil.example./announce",
            "https://evil.example/",
            "wss://a.b.evil.example/",
            "http://192.0.2.9/announce",
            "http://3221225993/announce",
            "http://[::ffff:192.0.2.9]/announce",
            "udp://192.0.2.9:1/",
        ] {
            let denied = policy.check_tracker(url).expect_err(url);
            assert_eq!(denied.list, List::DenyTracker, "{url}");
        }
        for url in ["udp://notevil.example:80", "http://evil.example.org/", "http://192.0.3.9/"] {
            assert_eq!(policy.check_tracker(url), Ok(()), "{url}");
        }
        assert!(policy.check_tracker("nonsense").is_err(), "what can't be judged isn't asked");
        assert_eq!(policy.check_url("http://evil.example/a.torrent"), Ok(()), "the list is for trackers");
        let sentence = policy.check_tracker("http://x.evil.example/passkey").unwrap_err().to_string();
        assert_eq!(sentence, "x.evil.example is refused by the rule deny-tracker = *.evil.example");
    }

    #[test]
    fn an_allow_list_is_exclusive_and_a_deny_rule_wins() {
        let policy = SourcePolicy::from(SourceSettings {
            allow_hosts: patterns(&["*.example.org"]),
            deny_hosts: patterns(&["bad.example.org"]),
            ..Default::default()
        });
        assert_eq!(policy.check_url("https://a.example.org/x"), Ok(()));
        assert_eq!(policy.check_url("https://bad.example.org/x").unwrap_err().list, List::DenyHost);
        assert_eq!(policy.check_url("https://example.org/x").unwrap_err().list, List::AllowHost);
        assert_eq!(policy.check_url("https://192.0.2.1/x").unwrap_err().list, List::AllowHost);
        assert!(policy.check_url("nonsense").is_err());
        assert_eq!(
            policy.check_tracker("udp://elsewhere.example:80"),
            Ok(()),
            "trackers have their own list"
        );
        assert!(policy.check_tracker("udp://bad.example.org:80").is_err(), "a denied host is denied for all");
    }

    #[test]
    fn addresses_are_judged_after_they_are_resolved() {
        let policy = SourcePolicy::from(SourceSettings {
            deny_hosts: patterns(&["192.0.2.0/24"]),
            deny_trackers: patterns(&["198.51.100.1"]),
            allow_hosts: patterns(&["a.example"]),
            ..Default::default()
        });
        let check = |ip: &str, purpose| policy.check_address(ip.parse().unwrap(), purpose);
        assert!(check("::ffff:192.0.2.1", Purpose::Document).is_err());
        assert!(check("192.0.2.1", Purpose::Tracker).is_err());
        assert!(check("198.51.100.1", Purpose::Tracker).is_err());
        assert_eq!(check("198.51.100.1", Purpose::Document), Ok(()));
    }

    #[test]
    fn a_torrent_is_known_by_each_of_its_hashes() {
        let v1: InfoHashes = "11".repeat(20).parse().unwrap();
        let v2: InfoHashes = "22".repeat(32).parse().unwrap();
        let hybrid = InfoHashes::Hybrid(v1.v1().unwrap(), v2.v2().unwrap());
        let short: InfoHashes = "22".repeat(20).parse().unwrap();
        for rule in [v1, v2, hybrid, short] {
            let policy = SourcePolicy::from(SourceSettings { deny_hashes: vec![rule], ..Default::default() });
            assert_eq!(policy.check_hash(&hybrid).unwrap_err().list, List::DenyHash);
        }
        let policy = SourcePolicy::from(SourceSettings { allow_hashes: vec![v2], ..Default::default() });
        assert_eq!(policy.check_hash(&v1).unwrap_err().list, List::AllowHash);
        assert_eq!(policy.check_hash(&hybrid), Ok(()));
    }

    #[test]
    fn a_source_loses_what_may_not_be_used() {
        let policy = SourcePolicy::from(SourceSettings {
            deny_trackers: patterns(&["bad.example"]),
            deny_hosts: patterns(&["seed.bad.example"]),
            ..Default::default()
        });
        let link = format!(
            "magnet:?xt=urn:btih:{}&tr=udp://bad.example:1&tr=udp://good.example:1&ws=http://seed.bad.example/",
            "11".repeat(20)
        );
        let mut source = Source::local(&link).unwrap();
        let denied = policy.admit(&mut source).unwrap();
        assert_eq!(denied.len(), 2);
        assert_eq!(source.trackers(), [["udp://good.example:1"]]);
    }
}
