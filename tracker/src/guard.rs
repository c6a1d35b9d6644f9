//! Which addresses and ports a torrent may make us talk to: trackers, web seeds, URLs of .torrent files.
//!
//! A torrent is written by a stranger, so each URL in it is a request by a stranger to knock somewhere from inside the
//! user's network. The policy is asked about *addresses*, after names are resolved and at each redirect, since a
//! name that looks innocent can resolve to anything. Not here: resolving, redirects; peers, which only ever get a
//! BitTorrent handshake.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Private, loopback or otherwise not on the public internet.
    #[error("{0} is not a public address (--allow-local-addresses would allow it)")]
    NotGlobal(IpAddr),
    /// Nothing a tracker or web server could have, whatever the policy: unspecified, multicast, broadcast,
    /// reserved, or the place where clouds hand out credentials.
    #[error("{0} is not the address of a server")]
    Never(IpAddr),
    /// A port on which something else than HTTP or a tracker lives.
    #[error("port {0} belongs to another service")]
    Port(u16),
}

/// The user's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Private and loopback addresses are allowed too (`--allow-local-addresses`).
    pub allow_local: bool,
}

impl Policy {
    /// Whether a connection to this address may be made.
    pub fn check(&self, address: SocketAddr) -> Result<(), Refused> {
        self.check_ip(address.ip())?;
        check_port(address.port())
    }

    /// The same for an address whose port isn't known yet.
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Refused> {
        let ip = ip.to_canonical();
        if is_never(ip) {
            Err(Refused::Never(ip))
        } else if self.allow_local || is_global(ip) {
            Ok(())
        } else {
            Err(Refused::NotGlobal(ip))
        }
    }
}

/// Refuses port 0 and ports of services that could be talked into something by text they don't understand.
pub fn check_port(port: u16) -> Result<(), Refused> {
    if OTHER_SERVICES.binary_search(&port).is_ok() { Err(Refused::Port(port)) } else { Ok(()) }
}

/// Whether an address is one of the public internet's (IANA special-purpose registries for IPv4 and IPv6).
/// Addresses that carry an IPv4 address inside are judged by that one too.
pub fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        // This network, private, loopback, multicast, reserved and broadcast.
        (0 | 10 | 127 | 224.., _, _)
        // Carrier-grade NAT (RFC 6598).
        | (100, 64..=127, _)
        // Link-local, private, private.
        | (169, 254, _)
        | (172, 16..=31, _)
        | (192, 168, _)
        // IETF protocol assignments, documentation, the old 6to4 relay, benchmarks, documentation twice.
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18 | 19, _)
        | (198, 51, 100)
        | (203, 0, 113)
    )
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    if let Some(inner) = ip.to_ipv4_mapped() {
        return is_global_v4(inner);
    }
    let [a, b, c, ..] = ip.segments();
    match (a, b) {
        // NAT64 (RFC 6052): only the well-known prefix, and only when what is behind it is public.
        (0x64, 0xff9b) => ip.segments()[2..6] == [0; 4] && is_global_v4(embedded(ip, 12)),
        // 6to4 (RFC 3056).
        (0x2002, _) => is_global_v4(embedded(ip, 2)),
        // IETF protocol assignments: Teredo, ORCHID, benchmarks; and documentation, twice.
        (0x2001, 0..=0x1ff | 0xdb8) => false,
        (0x3fff, 0..=0xfff) => false,
        // Everything else that is handed out lies in 2000::/3. Outside it: loopback, link-local, unique local,
        // multicast, site-local, discard, IPv4-compatible.
        _ => (0x2000..=0x3fff).contains(&a) && !(a == 0x2620 && b == 0x4f && c == 0x8000),
    }
}

/// The IPv4 address at byte `at` of an IPv6 one.
fn embedded(ip: Ipv6Addr, at: usize) -> Ipv4Addr {
    let bytes = ip.octets();
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// Addresses that no setting allows. Addresses that carry an IPv4 address inside are judged by that one too.
fn is_never(ip: IpAddr) -> bool {
    match ip {
        // "This network" reaches our own services on Linux, so it is loopback by another name.
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.octets()[0] >= 224 || METADATA_V4.contains(&ip),
        IpAddr::V6(ip) => {
            ip.is_multicast()
                || METADATA_V6.contains(&ip)
                || carried(ip).is_some_and(|inner| ip != Ipv6Addr::LOCALHOST && is_never(inner.into()))
        }
    }
}

/// The IPv4 address that a packet to this IPv6 address may end at: IPv4-compatible (RFC 4291), NAT64 (RFC 6052, RFC 8215),
/// 6to4 (RFC 3056), Teredo (RFC 4380, where every bit of it is turned).
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 0 | 1, ..] => Some(embedded(ip, 12)),
        [0x2002, ..] => Some(embedded(ip, 2)),
        [0x2001, 0, ..] => Some(Ipv4Addr::from_bits(!embedded(ip, 12).to_bits())),
        _ => None,
    }
}

/// Where clouds answer any process of a machine with its credentials: nearly all of them, Alibaba, Oracle, and Azure, whose
/// address looks like a public one.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// The same over IPv6: Amazon, Google, and OpenStack.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// The ports that browsers refuse too (WHATWG Fetch, "bad port"), and a few data stores that take commands as lines
/// of text. Ascending.
const OTHER_SERVICES: [u16; 87] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9200,
    10080, 11211, 27017,
];

const _: () = {
    let mut at = 1;
    while at < OTHER_SERVICES.len() {
        assert!(OTHER_SERVICES[at - 1] < OTHER_SERVICES[at]);
        at += 1;
    }
};

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allow_local { "local addresses allowed" } else { "public addresses only" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Policy = Policy { allow_local: false };
    const LOCAL: Policy = Policy { allow_local: true };

    #[test]
    fn public_addresses_are_global() {
        for ip in ["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "223.255.255.255"]
        {
            assert!(is_global(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["2606:4700::1111", "2001:4860:4860::8888", "64:ff9b::1.1.1.1", "2002:0101:0101::1"] {
            assert!(is_global(ip.parse().unwrap()), "{ip}");
        }
        assert!(is_global("::ffff:1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn special_addresses_are_not_global() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_global(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1.1.1.1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(!is_global(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn the_users_leave_opens_local_addresses_and_no_more() {
        for address in ["127.0.0.1:6969", "10.1.2.3:80", "[::1]:6969", "[fe80::1]:80", "[fd12::1]:80"] {
            let address = address.parse().unwrap();
            assert!(matches!(STRICT.check(address), Err(Refused::NotGlobal(_))), "{address}");
            assert_eq!(LOCAL.check(address), Ok(()), "{address}");
        }
        for ip in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "169.254.169.254"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(LOCAL.check(SocketAddr::new(ip, 80)), Err(Refused::Never(ip)));
        }
    }

    #[test]
    fn clouds_credentials_are_out_of_reach_in_every_disguise() {
        for ip in [
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::",
            "2001:0:1:2:3:4:5601:5601",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "64:ff9b::0.0.0.0",
        ] {
            let address = SocketAddr::new(ip.parse().unwrap(), 80);
            assert!(matches!(LOCAL.check(address), Err(Refused::Never(_))), "{ip}");
            assert!(matches!(STRICT.check(address), Err(Refused::Never(_))), "{ip}");
        }
        assert_eq!(LOCAL.check("[::1]:80".parse().unwrap()), Ok(()));
    }

    #[test]
    fn ports_of_other_services_are_refused() {
        for port in [0, 22, 25, 110, 143, 587, 6379, 6667, 11211] {
            let address = SocketAddr::from(([1, 1, 1, 1], port));
            assert_eq!(STRICT.check(address), Err(Refused::Port(port)));
            assert_eq!(LOCAL.check(address), Err(Refused::Port(port)));
        }
        for port in [80, 443, 451, 1337, 2710, 6881, 6969, 8080, 65535] {
            assert_eq!(STRICT.check(SocketAddr::from(([1, 1, 1, 1], port))), Ok(()), "{port}");
        }
    }
}
