//! Who is answered, and which routes are media: the checks before any routing.
//!
//! A page of another site can make a browser resolve that site's name to this machine (DNS rebinding) and then read
//! answers as its own. Its requests still carry its name in `Host`, so names we don't go by are turned away first.

use std::net::IpAddr;

use http::header::{HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Request, Version, header};

use super::forwarded::is_plain;
use crate::limits::{HEADER_BYTES_MAX, HEADERS_MAX, ID_BYTES_MAX};
use crate::problem::Problem;

/// What every media route begins with.
pub(super) const MEDIA_PREFIX: &str = "/stream/";

/// Which `Host` names are answered: loopback names and IP literals always, since neither can be rebound, and those listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// Further names, without port; case doesn't matter. `*` answers to any name, and gives up the protection.
    pub names: Vec<String>,
}

impl HostPolicy {
    /// Whether requests to `host` (without port; an IPv6 address with its brackets or without) are answered.
    pub fn allows(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let loopback = |name: &str| name.eq_ignore_ascii_case("localhost");
        literal.parse::<IpAddr>().is_ok()
            || loopback(host)
            || host.rsplit_once('.').is_some_and(|(_, top)| loopback(top))
            || self.names.iter().any(|name| name == "*" || name.eq_ignore_ascii_case(host))
    }
}

/// The host that a request names, if we go by that name; else why the request is turned away before it is routed. What a trusted
/// proxy told of the host goes before what the request says.
pub(super) fn examine<B>(
    request: &Request<B>,
    hosts: &HostPolicy,
    told: Option<Authority>,
) -> Result<Option<Authority>, Problem> {
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if bytes + target > HEADER_BYTES_MAX || headers.len() > HEADERS_MAX {
        return Err(Problem::HEADERS_TOO_LARGE);
    }
    match told.map_or_else(|| host(request), Host::Named) {
        Host::Absent if request.version() < Version::HTTP_11 => Ok(None),
        Host::Absent | Host::Unreadable => Err(Problem::HOST_MISSING),
        Host::Named(host) if hosts.allows(host.host()) => Ok(Some(host)),
        Host::Named(_) => Err(Problem::HOST_UNKNOWN),
    }
}

/// The host a request names.
enum Host {
    /// None: legal in HTTP/1.0, which no browser speaks.
    Absent,
    /// Two, or none that makes sense.
    Unreadable,
    Named(Authority),
}

/// The target's own authority goes before the header (RFC 9112 section 3.2.2; `:authority` of HTTP/2 is there too).
fn host<B>(request: &Request<B>) -> Host {
    let plain = |authority: Authority| match is_plain(&authority) {
        true => Host::Named(authority),
        false => Host::Unreadable,
    };
    if let Some(authority) = request.uri().authority() {
        return plain(authority.clone());
    }
    let mut values = request.headers().get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => Host::Absent,
        (Some(value), None) => match value.to_str().map(str::parse::<Authority>) {
            Ok(Ok(authority)) => plain(authority),
            _ => Host::Unreadable,
        },
        _ => Host::Unreadable,
    }
}

/// Whether a page of another site asks for a change. Browsers let any page send simple requests, and send along what they
/// know of the user, or just the fact that they run on this machine; only the answer is kept from the page. Who brings an
/// `Authorization` isn't abused: no page can make a browser send one without asking us first (CORS).
///
/// `ours` are the URLs that our own pages are at, `welcome` the origins that may ask.
pub(super) fn is_forged<B>(request: &Request<B>, ours: &[&str], welcome: &[String]) -> bool {
    let headers = request.headers();
    if request.method().is_safe() || headers.contains_key(header::AUTHORIZATION) {
        return false;
    }
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let origin = text(header::ORIGIN);
    if origin.is_some_and(|origin| welcome.iter().any(|one| one.eq_ignore_ascii_case(origin))) {
        return false;
    }
    // Browsers know best whether it is the same site, whatever proxies do to names; but they tell only over TLS and on loopback.
    match (text(SEC_FETCH_SITE), origin) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, None) => false,
        // Scheme and default port may be a proxy's that we weren't told of.
        (None, Some(origin)) => {
            !ours.iter().any(|own| authority(own).eq_ignore_ascii_case(authority(origin)))
        }
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What stands between the slashes of an origin or URL and its path.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// The id and the rest of a media route, `/stream/{id}/{rest}`; `None` if it isn't one that can exist.
pub(super) fn media_route(path: &str) -> Option<(&str, &str)> {
    let (id, rest) = path.strip_prefix(MEDIA_PREFIX)?.split_once('/')?;
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let fits = (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(legal);
    (fits && !rest.is_empty()).then_some((id, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(request: &Request<()>, policy: &HostPolicy) -> Option<Problem> {
        examine(request, policy, None).err()
    }

    fn request(host: Option<&str>, version: Version) -> Request<()> {
        let mut builder = Request::get("/").version(version);
        if let Some(host) = host {
            builder = builder.header("host", host);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn loopback_names_and_ip_literals_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "tv.localhost",
            "127.0.0.1",
            "192.168.1.7",
            "[::1]",
            "::1",
        ] {
            assert!(HostPolicy::default().allows(host), "{host}");
        }
    }

    #[test]
    fn names_that_could_be_rebound_are_not() {
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "", "0x7f.1"]
        {
            assert!(!HostPolicy::default().allows(host), "{host}");
        }
    }

    #[test]
    fn configured_names_are_answered() {
        let policy = HostPolicy { names: vec!["media.home".into()] };
        assert!(policy.allows("Media.Home"));
        assert!(!policy.allows("other.home"));
        assert!(HostPolicy { names: vec!["*".into()] }.allows("anything.example"));
    }

    #[test]
    fn the_host_is_judged_without_its_port() {
        let policy = HostPolicy::default();
        assert_eq!(refusal(&request(Some("localhost:8080"), Version::HTTP_11), &policy), None);
        assert_eq!(refusal(&request(Some("[::1]:8080"), Version::HTTP_11), &policy), None);
        let rebound = refusal(&request(Some("evil.example:8080"), Version::HTTP_11), &policy);
        assert_eq!(rebound, Some(Problem::HOST_UNKNOWN));
    }

    #[test]
    fn a_host_is_needed_once() {
        let policy = HostPolicy::default();
        assert_eq!(refusal(&request(None, Version::HTTP_11), &policy), Some(Problem::HOST_MISSING));
        assert_eq!(refusal(&request(None, Version::HTTP_10), &policy), None);
        let mut two = request(Some("localhost"), Version::HTTP_11);
        two.headers_mut().append("host", "evil.example".parse().unwrap());
        assert_eq!(refusal(&two, &policy), Some(Problem::HOST_MISSING));
        let disguised = request(Some("localhost@evil.example"), Version::HTTP_11);
        assert!(refusal(&disguised, &policy).is_some());
    }

    #[test]
    fn the_target_goes_before_the_header() {
        let mut absolute = request(Some("localhost"), Version::HTTP_11);
        *absolute.uri_mut() = "http://evil.example/".parse().unwrap();
        assert_eq!(refusal(&absolute, &HostPolicy::default()), Some(Problem::HOST_UNKNOWN));
    }

    #[test]
    fn what_a_proxy_told_is_judged_in_the_hosts_place() {
        let (policy, asked) = (HostPolicy::default(), request(Some("afflux:8080"), Version::HTTP_11));
        assert_eq!(refusal(&asked, &policy), Some(Problem::HOST_UNKNOWN));
        let told = |host: &str| examine(&asked, &policy, Some(host.parse().unwrap()));
        assert_eq!(told("localhost").unwrap().unwrap(), "localhost");
        assert_eq!(told("evil.example"), Err(Problem::HOST_UNKNOWN));
    }

    #[test]
    fn pages_of_other_sites_may_not_change_anything() {
        let forged = |lines: &[(&str, &str)]| {
            let mut request = Request::post("/api");
            for (name, value) in lines {
                request = request.header(*name, *value);
            }
            let welcome = ["https://friend.example".to_owned()];
            is_forged(&request.body(()).unwrap(), &["http://tv.example:8080"], &welcome)
        };
        for wrong in
            ["https://evil.example", "null", "http://tv.example", "http://tv.example:8080.evil.example"]
        {
            assert!(forged(&[("origin", wrong)]), "{wrong}");
        }
        assert!(forged(&[("sec-fetch-site", "cross-site")]));
        assert!(forged(&[("sec-fetch-site", "same-site"), ("origin", "http://tv.example:8080")]));
        for right in ["http://tv.example:8080", "https://TV.example:8080", "https://friend.example"] {
            assert!(!forged(&[("origin", right)]), "{right}");
        }
        assert!(!forged(&[("sec-fetch-site", "same-origin"), ("origin", "https://proxied.example")]));
        assert!(!forged(&[("origin", "https://evil.example"), ("authorization", "Bearer x")]));
        assert!(!forged(&[]), "a client that is no browser");
        let reading = Request::get("/api").header("origin", "https://evil.example").body(()).unwrap();
        assert!(!is_forged(&reading, &[], &[]));
    }

    #[test]
    fn large_heads_are_refused() {
        let mut large = request(Some("localhost"), Version::HTTP_11);
        large.headers_mut().insert("x", "a".repeat(HEADER_BYTES_MAX).parse().unwrap());
        assert_eq!(refusal(&large, &HostPolicy::default()), Some(Problem::HEADERS_TOO_LARGE));
        let mut many = request(Some("localhost"), Version::HTTP_11);
        for _ in 0..HEADERS_MAX {
            many.headers_mut().append("x", "a".parse().unwrap());
        }
        assert_eq!(refusal(&many, &HostPolicy::default()), Some(Problem::HEADERS_TOO_LARGE));
    }

    #[test]
    fn routes_have_a_legal_id_and_a_rest() {
        assert_eq!(media_route("/stream/aZ_-9/film.mkv"), Some(("aZ_-9", "film.mkv")));
        assert_eq!(media_route("/stream/a/hls/master.m3u8"), Some(("a", "hls/master.m3u8")));
        let long = format!("/stream/{}/x", "a".repeat(ID_BYTES_MAX + 1));
        for path in
            ["/stream/a", "/stream/a/", "/stream//x", "/stream/a.b/x", "/stream/%61/x", "/streams/a/x", &long]
        {
            assert_eq!(media_route(path), None, "{path}");
        }
    }
}
