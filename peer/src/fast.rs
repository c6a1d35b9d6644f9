//! The allowed-fast set (BEP 6): the pieces that a peer may have while it is choked.

use std::net::Ipv4Addr;

use afflux_metainfo::{InfoHash, PieceIndex};
use sha1_smol::Sha1;

/// Rounds after which the search for another index is given up. Each gives five; a set of ten out of eleven
/// pieces takes about six.
const ROUNDS_MAX: u32 = 200;

/// The canonical set for a peer at `ip`: up to `count` pieces out of `piece_count`, the same whoever
/// computes it.
///
/// BEP 6 knows IPv4 only; so nothing is allowed to others.
pub fn allowed_fast_set(ip: Ipv4Addr, info_hash: &InfoHash, piece_count: u32, count: u32) -> Vec<PieceIndex> {
    let count = count.min(piece_count) as usize;
    let mut set = Vec::with_capacity(count);
    let mut hash = Sha1::new();
    // A user of many addresses in one network gets one set: the last octet doesn't count.
    let [a, b, c, _] = ip.octets();
    hash.update(&[a, b, c, 0]);
    hash.update(&info_hash.0);
    for _ in 0..ROUNDS_MAX {
        let digest = hash.digest().bytes();
        for four in digest.chunks_exact(4) {
            if set.len() == count {
                return set;
            }
            let number = four.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
            let piece = PieceIndex(number % piece_count);
            if !set.contains(&piece) {
                set.push(piece);
            }
        }
        hash = Sha1::from(digest);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: u32, piece_count: u32) -> Vec<u32> {
        let ip = Ipv4Addr::new(80, 4, 4, 200);
        allowed_fast_set(ip, &InfoHash([0xaa; 20]), piece_count, count).iter().map(|piece| piece.0).collect()
    }

    #[test]
    fn vectors_of_bep_6() {
        assert_eq!(numbers(7, 1313), [1059, 431, 808, 1217, 287, 376, 1188]);
        assert_eq!(numbers(9, 1313), [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    }

    #[test]
    fn small_torrents_end() {
        assert_eq!(numbers(10, 0), []);
        assert_eq!(numbers(10, 1), [0]);
        let mut all = numbers(10, 10);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
    }
}
