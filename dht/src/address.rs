//! Addresses: compact forms (BEP 5, BEP 32), families, and how far from home an address is.
//!
//! Not here: resolving names, and which addresses a caller may give (all of them).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::id::NodeId;

/// A node as others name it: not known to live there until it has answered from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// Its id.
    pub id: NodeId,
    /// Where it listens (UDP).
    pub addr: SocketAddr,
}

/// The two DHTs (BEP 32): nodes and peers of one never appear in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How far from this machine an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This machine.
    Loopback,
    /// Private and link-local networks.
    Private,
    /// Everything else.
    Global,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub fn of(addr: SocketAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// How far from this machine `ip` is.
pub fn scope(ip: IpAddr) -> Scope {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => Scope::Loopback,
        IpAddr::V6(ip) if ip.is_loopback() => Scope::Loopback,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip) => Scope::Private,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Scope::Private,
        _ => Scope::Global,
    }
}

/// Whether somebody at `from` may point us to `to`: never to a place nearer to us than itself. Otherwise
/// strangers could make this machine knock at its own network.
pub fn may_name(from: IpAddr, to: IpAddr) -> bool {
    scope(to) >= scope(from)
}

/// Whether a datagram or a connection can go there at all.
pub fn is_usable(addr: SocketAddr) -> bool {
    addr.port() != 0
        && match addr.ip() {
            // 0.0.0.0/8 means "this network", 240/4 is reserved.
            IpAddr::V4(ip) => !(ip.is_multicast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240),
            IpAddr::V6(ip) => !(ip.is_multicast() || ip.is_unspecified() || ip.to_ipv4_mapped().is_some()),
        }
}

/// What counts as one party: an IPv4 address, or an IPv6 /64, which one machine can fill at will.
pub fn party(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip) >> 64 | 1 << 127,
    }
}

/// What counts as one neighbourhood: an IPv4 /24, or an IPv6 /64.
pub fn neighbourhood(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip) >> 8),
        IpAddr::V6(_) => party(ip),
    }
}

/// Appends the compact form: address, then port, big-endian (6 or 18 bytes).
pub fn write_compact(out: &mut Vec<u8>, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&addr.port().to_be_bytes());
}

/// The compact form of one address.
pub fn compact(addr: SocketAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(18);
    write_compact(&mut out, addr);
    out
}

/// Reads a compact address of 6 or 18 bytes.
pub fn read_compact(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_at_checked(bytes.len().checked_sub(2)?)?;
    let port = u16::from_be_bytes(port.try_into().ok()?);
    if let Ok(octets) = <[u8; 4]>::try_from(ip) {
        return Some(SocketAddr::new(Ipv4Addr::from(octets).into(), port));
    }
    let octets = <[u8; 16]>::try_from(ip).ok()?;
    Some(SocketAddr::new(Ipv6Addr::from(octets).into(), port))
}

/// Reads compact node info: ids with addresses, 26 or 38 bytes each. `None` if the length is no multiple.
pub fn read_nodes(bytes: &[u8], family: Family) -> Option<Vec<Contact>> {
    let length = if family == Family::V4 { 26 } else { 38 };
    if !bytes.len().is_multiple_of(length) {
        return None;
    }
    let node = |node: &[u8]| {
        let (id, addr) = node.split_at(20);
        Some(Contact { id: NodeId::from_slice(id)?, addr: read_compact(addr)? })
    };
    bytes.chunks_exact(length).map(node).collect()
}

/// Compact node info of `nodes`.
pub fn compact_nodes(nodes: &[Contact]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nodes.len() * 38);
    for node in nodes {
        out.extend_from_slice(&node.id.0);
        write_compact(&mut out, node.addr);
    }
    out
}

/// 100.64.0.0/10, shared by a provider's customers.
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn compact_forms_round_trip() {
        for text in ["1.2.3.4:6881", "[2001:db8::1]:1"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(read_compact(&compact(addr)), Some(addr));
        }
        // BEP 5 shows the peer `axje.u`.
        assert_eq!(read_compact(b"axje.u"), Some("97.120.106.101:11893".parse().unwrap()));
        for length in [0, 1, 2, 5, 7, 17, 19] {
            assert_eq!(read_compact(&vec![1; length]), None, "{length}");
        }
    }

    #[test]
    fn node_info_of_a_wrong_length_is_refused() {
        assert_eq!(read_nodes(&[1; 27], Family::V4), None);
        assert_eq!(read_nodes(&[1; 26], Family::V6), None);
        assert_eq!(read_nodes(&[1; 52], Family::V4).unwrap().len(), 2);
        assert_eq!(read_nodes(&[1; 38], Family::V6).unwrap().len(), 1);
        assert_eq!(read_nodes(&[], Family::V6), Some(Vec::new()));
    }

    #[test]
    fn nobody_names_a_place_nearer_than_itself() {
        assert!(!may_name(ip("8.8.8.8"), ip("10.0.0.1")));
        assert!(!may_name(ip("8.8.8.8"), ip("127.0.0.1")));
        assert!(!may_name(ip("10.0.0.2"), ip("127.0.0.1")));
        assert!(!may_name(ip("2001:db8::1"), ip("fe80::1")));
        assert!(may_name(ip("10.0.0.2"), ip("10.0.0.1")));
        assert!(may_name(ip("127.0.0.1"), ip("127.0.0.1")));
        assert!(may_name(ip("127.0.0.1"), ip("9.9.9.9")));
    }

    #[test]
    fn addresses_that_lead_nowhere_are_unusable() {
        for text in ["1.2.3.4:0", "0.1.2.3:9", "224.0.0.1:9", "255.255.255.255:9", "[ff02::1]:9", "[::]:9"] {
            assert!(!is_usable(text.parse().unwrap()), "{text}");
        }
        assert!(!is_usable("[::ffff:1.2.3.4]:9".parse().unwrap()), "a mapped address is IPv4 in disguise");
        assert!(is_usable("127.0.0.1:9".parse().unwrap()));
    }

    #[test]
    fn parties_of_both_families_never_meet() {
        assert_ne!(party(ip("0.0.0.1")), party(ip("::1:0:0:0:0")));
        assert_eq!(party(ip("2001:db8:1:2::1")), party(ip("2001:db8:1:2:ffff::2")));
    }
}
