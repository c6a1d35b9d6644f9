//! The choker against its slots.

use std::time::Duration;

use afflux_swarm::choker::{Candidate, Choker, Config, ROUND};
use proptest::prelude::*;

use crate::{epoch, peers};

const PEERS: usize = 12;

proptest! {
    #[test]
    fn slots_are_never_exceeded_and_none_is_idle_while_somebody_waits(
        slots in 0u32..6,
        optimistic_slots in 0u32..3,
        seed: u64,
        steps in prop::collection::vec(
            (0usize..PEERS, any::<[bool; 3]>(), 0u64..1_000, any::<bool>(), 0u64..15), 1..100),
    ) {
        let mut now = epoch();
        let mut choker = Choker::new(Config { slots, optimistic_slots, quota_bytes: 5_000 }, seed);
        let mut candidates: Vec<_> = peers(PEERS)
            .into_iter()
            .map(|key| Candidate {
                key,
                interested: false,
                unchoked: false,
                download_rate: 0,
                upload_rate: 0,
                uploaded_bytes: 0,
                connected_at: now,
                is_snubbed: false,
                upload_only: false,
            })
            .collect();
        for (which, [interested, is_snubbed, upload_only], rate, seeding, pause_s) in steps {
            now += Duration::from_secs(pause_s);
            let peer = &mut candidates[which];
            (peer.interested, peer.is_snubbed, peer.upload_only) = (interested, is_snubbed, upload_only);
            (peer.download_rate, peer.upload_rate) = (rate, rate);
            peer.uploaded_bytes += rate * pause_s;
            let whole_round = choker.deadline().is_none_or(|due| due <= now);
            for change in choker.rechoke(candidates.iter().copied(), seeding, now) {
                let peer = candidates.iter_mut().find(|peer| peer.key == change.key).unwrap();
                prop_assert_ne!(peer.unchoked, change.unchoke);
                prop_assert!(!change.unchoke || (peer.interested && !peer.upload_only));
                peer.unchoked = change.unchoke;
            }
            let total = if slots == 0 { 0 } else { slots + optimistic_slots };
            let unchoked = candidates.iter().filter(|peer| peer.unchoked).count();
            prop_assert!(unchoked <= total as usize);
            let wants = |peer: &&Candidate| peer.interested && !peer.upload_only;
            let eligible = candidates.iter().filter(wants).filter(|peer| seeding || !peer.is_snubbed).count();
            let busy = candidates.iter().filter(|peer| peer.unchoked).filter(wants).count();
            prop_assert!(busy >= eligible.min(slots as usize), "{} of {} at work", busy, eligible);
            if whole_round {
                prop_assert_eq!(busy, unchoked, "whoever wants nothing is choked");
                prop_assert_eq!(choker.deadline(), Some(now + ROUND));
            }
        }
    }
}
