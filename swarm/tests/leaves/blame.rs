//! Blame against the truth: the set of liars is known to the test alone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use afflux_metainfo::{BlockIndex, PieceIndex};
use afflux_swarm::blame::{Blame, Digest, Sender};
use proptest::prelude::*;

use crate::peers;

const PEERS: usize = 8;
const BLOCKS: usize = 6;

fn good(block: usize) -> Digest {
    [block as u8; 20]
}

proptest! {
    /// Pieces are tried with random senders until they pass. Whoever spoilt a block of one is banned, nobody else.
    #[test]
    fn exactly_those_who_spoilt_a_block_are_banned(
        liars in prop::collection::btree_set(0usize..PEERS - 1, 0..4),
        tries in prop::collection::vec(prop::collection::vec((0usize..PEERS, 0u8..3), BLOCKS), 1..60),
        leavers in prop::collection::vec(any::<bool>(), PEERS),
    ) {
        let keys = peers(PEERS);
        let sender = |number: usize| Sender { peer: keys[number], ip: IpAddr::from([10, 0, 0, number as u8]) };
        let mut blame = Blame::new();
        let (mut spoilers, mut banned) = (BTreeSet::new(), BTreeSet::new());
        let mut failed = BTreeSet::new();
        for (number, blocks) in tries.iter().enumerate() {
            let piece = PieceIndex(number as u32 % 7);
            let mut digests = Vec::new();
            for (block, &(who, mood)) in blocks.iter().enumerate() {
                blame.sent(piece, BlockIndex(block as u32), sender(who));
                let lies = liars.contains(&who) && mood == 0;
                digests.push(if lies { [0x80 | who as u8; 20] } else { good(block) });
                if lies {
                    spoilers.insert(sender(who));
                }
            }
            if digests.iter().enumerate().all(|(block, digest)| *digest == good(block)) {
                failed.remove(&piece);
                banned.extend(blame.verified(piece, Some(&digests)));
            } else {
                failed.insert(piece);
                banned.extend(blame.failed(piece, &digests).ban);
            }
        }
        (0..PEERS).filter(|&who| leavers[who]).for_each(|who| blame.departed(sender(who).peer));
        // The last peer is honest: it gives all that is still missing.
        let digests: Vec<_> = (0..BLOCKS).map(good).collect();
        for piece in failed {
            prop_assert!(blame.wants_digests(piece) || !banned.is_empty());
            (0..BLOCKS).for_each(|block| {
                blame.sent(piece, BlockIndex(block as u32), sender(PEERS - 1));
            });
            banned.extend(blame.verified(piece, Some(&digests)));
            prop_assert!(!blame.wants_digests(piece));
        }
        prop_assert_eq!(banned, spoilers);
    }
}
