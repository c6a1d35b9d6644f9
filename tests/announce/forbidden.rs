//! Every place that a torrent must not make us knock at, by a direct URL and by a redirect of a public server; and the owner's rules.

use std::sync::Arc;
use std::time::Duration;

use afflux::fetch::{FetchConfig, FetchError, Fetcher};
use afflux::policy::{SourcePolicy, SourceSettings};
use afflux_tracker::Policy;

use crate::servers::{WebServer, ok, soon};

fn fetcher(allow_local: bool, proxy: Option<String>) -> Fetcher {
    let (policy, timeout) = (Policy { allow_local }, Duration::from_secs(15));
    Fetcher::new(FetchConfig { policy, user_agent: "Afflux/test".into(), timeout, proxy, bind: None })
        .unwrap()
}

/// Hosts on no public server, each under the name of what it is.
const HOSTS: [(&str, &str); 52] = [
    ("loopback", "127.0.0.1"),
    ("loopback", "127.255.255.254"),
    ("loopback by name", "localhost"),
    ("loopback by name", "a.localhost."),
    ("loopback as one number", "2130706433"),
    ("loopback in hexadecimal", "0x7f000001"),
    ("loopback in octal", "0177.0.0.1"),
    ("loopback, shortened", "127.1"),
    ("loopback, mixed", "0x7f.0.1"),
    ("loopback, percent-encoded", "%31%32%37.0.0.1"),
    ("loopback in full-width digits", "１２７.0.0.1"),
    ("loopback with ideographic stops", "127。0。0。1"),
    ("loopback", "[::1]"),
    ("loopback, written out", "[0:0:0:0:0:0:0:1]"),
    ("this network", "0.0.0.0"),
    ("this network", "0"),
    ("this network", "0.1.2.3"),
    ("unspecified", "[::]"),
    ("private", "10.0.0.1"),
    ("private", "172.16.0.1"),
    ("private", "172.31.255.255"),
    ("private", "192.168.1.1"),
    ("carrier-grade NAT", "100.64.0.1"),
    ("carrier-grade NAT", "100.127.255.255"),
    ("link-local", "169.254.1.1"),
    ("cloud credentials", "169.254.169.254"),
    ("cloud credentials as one number", "2852039166"),
    ("cloud credentials", "[::ffff:169.254.169.254]"),
    ("cloud credentials", "[fd00:ec2::254]"),
    ("cloud credentials", "100.100.100.200"),
    ("cloud credentials", "168.63.129.16"),
    ("protocol assignments", "192.0.0.8"),
    ("documentation", "192.0.2.1"),
    ("documentation", "198.51.100.1"),
    ("documentation", "203.0.113.1"),
    ("benchmarks", "198.18.0.1"),
    ("benchmarks", "198.19.255.255"),
    ("multicast", "224.0.0.1"),
    ("multicast", "239.255.255.250"),
    ("reserved", "240.0.0.1"),
    ("broadcast", "255.255.255.255"),
    ("IPv4-mapped", "[::ffff:10.0.0.1]"),
    ("IPv4-compatible", "[::127.0.0.1]"),
    ("NAT64", "[64:ff9b::10.0.0.1]"),
    ("NAT64, local use", "[64:ff9b:1::1.1.1.1]"),
    ("6to4", "[2002:c0a8:101::1]"),
    ("Teredo", "[2001:0:53aa:64c::1]"),
    ("unique local", "[fd12:3456::1]"),
    ("link-local", "[fe80::1]"),
    ("site-local", "[fec0::1]"),
    ("documentation", "[2001:db8::1]"),
    ("multicast", "[ff02::1]"),
];

#[tokio::test]
async fn no_url_of_a_torrent_reaches_them() {
    let strict = fetcher(false, None);
    for (what, host) in HOSTS {
        let refused = soon(strict.get(&format!("http://{host}/x"), 1000)).await;
        assert!(matches!(refused, Err(FetchError::Refused { .. })), "{what} {host}: {refused:?}");
    }
}

/// The public internet is played by a proxy, and what comes through it may not lead back inside, whatever is allowed.
#[tokio::test]
async fn no_redirect_of_a_public_server_reaches_them() {
    for (what, host) in HOSTS {
        let public = WebServer::redirecting(format!("http://{host}/x")).await;
        let fetcher = fetcher(true, Some(format!("http://{}", public.address)));
        let refused = soon(fetcher.get("http://public.example/", 1000)).await;
        assert!(
            matches!(refused, Err(FetchError::Refused { .. } | FetchError::Status { .. })),
            "{what} {host}: {refused:?}"
        );
        assert_eq!(public.heads().len(), 1, "{what} {host}: the second request never left");
    }
}

#[tokio::test]
async fn ports_of_other_services_are_never_asked() {
    let local = fetcher(true, None);
    for port in [1, 22, 23, 25, 53, 110, 143, 465, 587, 993, 2049, 5060, 6379, 6667, 9200, 11211, 27017] {
        let refused = soon(local.get(&format!("http://127.0.0.1:{port}/"), 1000)).await;
        assert!(matches!(refused, Err(FetchError::Refused { .. })), "{port}: {refused:?}");
    }
}

#[tokio::test]
async fn our_own_ports_are_never_asked_at_our_own_addresses() {
    let own = WebServer::fixed(ok("", b"own")).await;
    let port = own.address.port();
    let local = fetcher(true, None);
    local.add_own_ports(&[port]);
    for host in ["127.0.0.1", "localhost", "127.9.9.9", "0x7f.1"] {
        let refused = soon(local.get(&format!("http://{host}:{port}/"), 1000)).await;
        assert!(matches!(refused, Err(FetchError::Own { .. })), "{host}: {refused:?}");
    }
    let leading = WebServer::redirecting(format!("http://127.0.0.1:{port}/")).await;
    let refused = soon(local.get(&leading.url("/"), 1000)).await;
    assert!(matches!(refused, Err(FetchError::Own { .. })), "{refused:?}");
    assert!(own.heads().is_empty());
}

#[tokio::test]
async fn the_owners_rules_hold_at_each_hop_and_for_what_names_lead_to() {
    let end = WebServer::fixed(ok("", b"end")).await;
    let start = WebServer::redirecting(format!("http://127.0.0.2:{}/end", end.address.port())).await;
    let local = fetcher(true, None);
    let rules = |deny: &str| {
        let deny_hosts = vec![deny.parse().unwrap()];
        Arc::new(SourcePolicy::from(SourceSettings { deny_hosts, ..Default::default() }))
    };
    local.set_sources(rules("127.0.0.2"));
    let denied = soon(local.get(&start.url("/"), 1000)).await;
    assert!(matches!(denied, Err(FetchError::Denied(_))), "{denied:?}");
    assert!(start.heads().len() == 1 && end.heads().is_empty());

    let named = format!("http://localhost:{}/", end.address.port());
    for rule in ["localhost", "127.0.0.0/8"] {
        local.set_sources(rules(rule));
        let denied = soon(local.get(&named, 1000)).await;
        assert!(matches!(denied, Err(FetchError::Denied(_))), "{rule}: {denied:?}");
    }
    local.set_sources(Arc::default());
    assert_eq!(soon(local.get(&named, 1000)).await.unwrap(), b"end", "rules can be taken back");
}
