//! Node ids: distance (BEP 5) and their tie to an external address (BEP 42).
//!
//! Not here: who is preferred for a fitting id (the table) and how our own external address is found out
//! (`external`).

use std::fmt;
use std::net::IpAddr;

use afflux_metainfo::InfoHash;
use afflux_metainfo::hash::write_hex;

use crate::address::{Scope, scope};

/// A place in the 160-bit space that nodes and info-hashes share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 20]);

/// How far two ids are from each other: their XOR, read as a big-endian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; 20]);

impl NodeId {
    /// An id from exactly 20 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// An id that fits `ip` as BEP 42 says; `noise` gives its free bits, and its last byte the factor `r`.
    pub fn for_address(ip: IpAddr, noise: [u8; 20]) -> Self {
        let mut id = noise;
        let prefix = prefix(ip, noise[19]);
        id[0] = prefix[0];
        id[1] = prefix[1];
        id[2] = (prefix[2] & 0xf8) | (noise[2] & 0x07);
        Self(id)
    }

    /// Whether the id fits the address (BEP 42). Addresses that aren't global are exempt.
    pub fn fits(&self, ip: IpAddr) -> bool {
        if scope(ip) != Scope::Global {
            return true;
        }
        let prefix = prefix(ip, self.0[19]);
        self.0[0] == prefix[0] && self.0[1] == prefix[1] && (self.0[2] ^ prefix[2]) & 0xf8 == 0
    }

    /// The distance to another id.
    pub fn distance(&self, other: &Self) -> Distance {
        let mut xor = [0; 20];
        for (out, (a, b)) in xor.iter_mut().zip(self.0.iter().zip(other.0)) {
            *out = a ^ b;
        }
        Distance(xor)
    }

    /// How many leading bits two ids share: 160 for the same id.
    pub fn shared_bits(&self, other: &Self) -> usize {
        let distance = self.distance(other);
        match distance.0.iter().position(|&byte| byte != 0) {
            None => 160,
            Some(at) => at * 8 + distance.0[at].leading_zeros() as usize,
        }
    }

    /// An id that shares exactly `bits` leading bits with this one and takes the rest from `noise`.
    pub fn sibling(&self, bits: usize, noise: [u8; 20]) -> Self {
        let mut id = noise;
        let bits = bits.min(159);
        let (whole, rest) = (bits / 8, bits % 8);
        id[..whole].copy_from_slice(&self.0[..whole]);
        let kept = !(0xffu8 >> rest);
        let flipped = 0x80u8 >> rest;
        id[whole] = (self.0[whole] & kept) | (!self.0[whole] & flipped) | (id[whole] & !(kept | flipped));
        Self(id)
    }
}

impl From<InfoHash> for NodeId {
    fn from(hash: InfoHash) -> Self {
        Self(hash.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// BEP 42: the first 21 bits are those of CRC32-C over the masked address with `r` in its top three bits.
fn prefix(ip: IpAddr, r: u8) -> [u8; 4] {
    const V4_MASK: [u8; 4] = [0x03, 0x0f, 0x3f, 0xff];
    const V6_MASK: [u8; 8] = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff];
    let (mut octets, length) = ([0u8; 8], if ip.is_ipv4() { 4 } else { 8 });
    match ip {
        IpAddr::V4(ip) => {
            octets.iter_mut().zip(ip.octets().iter().zip(V4_MASK)).for_each(|(out, (o, m))| *out = o & m);
        }
        IpAddr::V6(ip) => {
            octets.iter_mut().zip(ip.octets().iter().zip(V6_MASK)).for_each(|(out, (o, m))| *out = o & m);
        }
    }
    octets[0] |= (r & 0x07) << 5;
    crc32c(&octets[..length]).to_be_bytes()
}

/// CRC-32 with Castagnoli's polynomial, reflected. Bit by bit: it runs over eight bytes, once per new node.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_gives_its_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn ids_of_bep_42_fit_their_addresses() {
        // BEP 42, "test vectors".
        for (ip, rand, head) in [
            ("124.31.75.21", 1, [0x5f, 0xbf, 0xbf]),
            ("21.75.31.124", 86, [0x5a, 0x3c, 0xe9]),
            ("65.23.51.170", 22, [0xa5, 0xd4, 0x32]),
            ("84.124.73.14", 65, [0x1b, 0x03, 0x21]),
            ("43.213.53.83", 90, [0xe5, 0x6f, 0x6c]),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            let mut noise = [0x55; 20];
            noise[19] = rand;
            let id = NodeId::for_address(ip, noise);
            assert_eq!((id.0[0], id.0[1], id.0[2] & 0xf8), (head[0], head[1], head[2] & 0xf8), "{ip}");
            assert!(id.fits(ip));
            let mut given = noise;
            given[..3].copy_from_slice(&head);
            assert!(NodeId(given).fits(ip), "{ip}");
            given[0] ^= 1;
            assert!(!NodeId(given).fits(ip), "{ip}");
        }
    }

    #[test]
    fn ipv6_ids_depend_on_the_high_half_only() {
        let id = NodeId::for_address("2a01:4f8:1:2::1".parse().unwrap(), [7; 20]);
        assert!(id.fits("2a01:4f8:1:2:ffff::9".parse().unwrap()));
        assert!(!id.fits("2a02:4f8:1:3::1".parse().unwrap()));
    }

    #[test]
    fn any_id_fits_a_local_address() {
        for ip in ["127.0.0.1", "10.1.2.3", "192.168.0.9", "169.254.1.1", "::1", "fe80::1"] {
            assert!(NodeId([9; 20]).fits(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn siblings_share_exactly_the_bits_asked_for() {
        let own = NodeId([0b1010_0110; 20]);
        for bits in 0..160 {
            for noise in [[0; 20], [0xff; 20], [0x5a; 20]] {
                assert_eq!(own.shared_bits(&own.sibling(bits, noise)), bits);
            }
        }
        assert_eq!(own.shared_bits(&own), 160);
    }

    #[test]
    fn distance_orders_by_the_highest_differing_bit() {
        let (zero, mut near, mut far) = (NodeId([0; 20]), NodeId([0; 20]), NodeId([0; 20]));
        near.0[19] = 0xff;
        far.0[18] = 0x01;
        assert!(zero.distance(&near) < zero.distance(&far));
        assert_eq!(near.distance(&far), far.distance(&near));
    }
}
