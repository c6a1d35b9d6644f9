//! Metadata from a crowd of which one peer is honest: it comes, and nobody honest is named.

use std::time::Duration;

use afflux_metainfo::{InfoHash, InfoHashes};
use afflux_swarm::PeerKey;
use afflux_swarm::metadata::{Assembly, PIECE_BYTES, Progress, SIZES_MAX};
use proptest::prelude::*;

use crate::{epoch, peers};

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Sends other bytes in pieces of this parity.
    Lies(u32),
    ClaimsSize(u32),
    Rejects,
    Silent,
    /// Sends pieces of a wrong length.
    Cuts,
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        2 => Just(Manner::Honest),
        2 => (0u32..2).prop_map(Manner::Lies),
        1 => (1u32..200_000).prop_map(Manner::ClaimsSize),
        1 => Just(Manner::Rejects),
        1 => Just(Manner::Silent),
        1 => Just(Manner::Cuts),
    ]
}

/// One answer of a peer to one request; `None` is silence.
fn answer(manner: Manner, info: &[u8], piece: u32) -> Option<Result<Vec<u8>, ()>> {
    let good = info.chunks(PIECE_BYTES as usize).nth(piece as usize).map(<[u8]>::to_vec);
    match manner {
        Manner::Honest => good.map(Ok),
        Manner::Lies(parity) => good.map(|mut data| {
            data[0] ^= u8::from(piece % 2 == parity);
            Ok(data)
        }),
        Manner::Cuts => good.map(|mut data| {
            data.pop();
            Ok(data)
        }),
        Manner::Rejects => Some(Err(())),
        Manner::Silent | Manner::ClaimsSize(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn one_honest_peer_is_enough(
        length in 1usize..150_000,
        mut manners in prop::collection::vec(manner(), 0..12),
        honest in 0usize..12,
    ) {
        let mut now = epoch();
        let info: Vec<u8> = (0..length).map(|at| (at / 11 + at / 16_384) as u8).collect();
        manners.insert(honest.min(manners.len()), Manner::Honest);
        let keys = peers(manners.len());
        let manner_of = |key: PeerKey| manners[key.index() as usize];
        let mut assembly = Assembly::new(InfoHashes::V1(InfoHash::of(&info)));
        for &key in &keys {
            let size = match manner_of(key) {
                Manner::ClaimsSize(size) => size,
                _ => length as u32,
            };
            assembly.size_claimed(key, size, now);
        }
        let mut named = Vec::new();
        let mut complete = None;
        for _ in 0..2_000 {
            // Everybody is asked for one piece in turn, so that shared drafts really are shared.
            let mut asked_any = true;
            while asked_any && complete.is_none() {
                asked_any = false;
                for &key in &keys {
                    let Some(piece) = assembly.next_request(key, now) else { continue };
                    asked_any = true;
                    match answer(manner_of(key), &info, piece) {
                        Some(Ok(data)) => match assembly.received(key, piece, length as u32, &data, now) {
                            Progress::Complete(bytes) => complete = Some(bytes),
                            Progress::Failed { liars } => named.extend(liars),
                            Progress::Pending | Progress::Ignored => {}
                        },
                        Some(Err(())) => assembly.rejected(key, piece, now),
                        None => {}
                    }
                }
                prop_assert!(assembly.held_bytes() <= (SIZES_MAX + 1) * 200_000);
            }
            if complete.is_some() {
                break;
            }
            let due = assembly.deadline();
            prop_assert!(due.is_some_and(|due| due > now), "{due:?} is no time to wake up at {now:?}");
            now = due.unwrap_or(now);
        }
        prop_assert!(complete.is_some_and(|bytes| bytes == info), "it never came");
        named.extend(assembly.take_liars());
        for liar in named {
            prop_assert!(matches!(manner_of(liar), Manner::Lies(_)), "{:?} was named", manner_of(liar));
        }
        prop_assert!(now - epoch() < Duration::from_secs(3_600));
    }
}
