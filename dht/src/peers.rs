//! The store of peers that others announced to us: bounded in every direction, and forgetful.
//!
//! When it is full of torrents, the one farthest from our id makes place for a nearer one: those are the
//! torrents that lookups come to us for. Not here: whether an announce was allowed (`server`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use afflux_metainfo::InfoHash;

use crate::address::{Family, Scope, party, scope};
use crate::id::NodeId;
use crate::limits;

/// Peers by torrent.
#[derive(Debug, Default)]
pub struct PeerStore {
    /// Oldest announce first within a torrent.
    torrents: BTreeMap<InfoHash, Vec<Stored>>,
    /// Entries per party, local ones left out.
    per_party: BTreeMap<u128, usize>,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    addr: SocketAddr,
    announced: Instant,
}

impl PeerStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an announce; `own` is our id. Returns whether it is kept: a full store refuses.
    pub fn insert(&mut self, info_hash: InfoHash, addr: SocketAddr, own: &NodeId, now: Instant) -> bool {
        if let Some(peers) = self.torrents.get_mut(&info_hash)
            && let Some(at) = peers.iter().position(|peer| peer.addr == addr)
        {
            peers.remove(at);
            peers.push(Stored { addr, announced: now });
            return true;
        }
        if !self.party_has_room(info_hash, addr) || !self.make_room(info_hash, own) {
            return false;
        }
        self.torrents.entry(info_hash).or_default().push(Stored { addr, announced: now });
        self.count += 1;
        if scope(addr.ip()) == Scope::Global {
            *self.per_party.entry(party(addr.ip())).or_insert(0) += 1;
        }
        true
    }

    /// Peers of a torrent for somebody at `asker`: of its own family, and none nearer to us than itself. At
    /// most `count`, from a place that `chance` picks, so that a large swarm is told in turns.
    pub fn sample(
        &self,
        info_hash: InfoHash,
        asker: SocketAddr,
        count: usize,
        chance: u32,
    ) -> Vec<SocketAddr> {
        let Some(peers) = self.torrents.get(&info_hash) else { return Vec::new() };
        let fit: Vec<_> = peers
            .iter()
            .map(|peer| peer.addr)
            .filter(|&addr| Family::of(addr) == Family::of(asker))
            .filter(|addr| scope(addr.ip()) >= scope(asker.ip()))
            .collect();
        let from = if fit.is_empty() { 0 } else { chance as usize % fit.len() };
        fit.iter().cycle().skip(from).take(count.min(fit.len())).copied().collect()
    }

    /// Every peer of a torrent.
    pub fn all(&self, info_hash: InfoHash) -> impl Iterator<Item = SocketAddr> + '_ {
        self.torrents.get(&info_hash).into_iter().flatten().map(|peer| peer.addr)
    }

    /// Forgets announces that weren't repeated.
    pub fn expire(&mut self, now: Instant) {
        let (per_party, count) = (&mut self.per_party, &mut self.count);
        self.torrents.retain(|_, peers| {
            peers.retain(|peer| {
                let keep = now.saturating_duration_since(peer.announced) < limits::PEER_TTL;
                if !keep {
                    *count -= 1;
                    release(per_party, peer.addr);
                }
                keep
            });
            !peers.is_empty()
        });
    }

    /// Torrents in the store.
    pub fn torrents(&self) -> usize {
        self.torrents.len()
    }

    /// Peers in the store.
    pub fn peers(&self) -> usize {
        self.count
    }

    fn party_has_room(&self, info_hash: InfoHash, addr: SocketAddr) -> bool {
        if scope(addr.ip()) != Scope::Global {
            return true;
        }
        let of_party = party(addr.ip());
        let here = self.all(info_hash).filter(|peer| party(peer.ip()) == of_party).count();
        let everywhere = self.per_party.get(&of_party).copied().unwrap_or(0);
        here < limits::PORTS_PER_ADDRESS_MAX && everywhere < limits::STORE_PEERS_PER_ADDRESS_MAX
    }

    /// Room for one more peer of this torrent, by forgetting what counts least.
    fn make_room(&mut self, info_hash: InfoHash, own: &NodeId) -> bool {
        let here = self.torrents.get(&info_hash).map_or(0, Vec::len);
        if here > 0 && (here >= limits::TORRENT_PEERS_MAX || self.count >= limits::STORE_PEERS_MAX) {
            return self.forget_oldest(info_hash);
        }
        if here > 0 {
            return true;
        }
        if self.torrents.len() < limits::TORRENTS_MAX && self.count < limits::STORE_PEERS_MAX {
            return true;
        }
        let distance = |hash: &InfoHash| NodeId::from(*hash).distance(own);
        let farthest = self.torrents.keys().copied().max_by_key(distance);
        match farthest {
            Some(farthest) if distance(&farthest) > distance(&info_hash) => {
                self.forget(farthest);
                true
            }
            _ => false,
        }
    }

    fn forget_oldest(&mut self, info_hash: InfoHash) -> bool {
        let Some(peers) = self.torrents.get_mut(&info_hash).filter(|peers| !peers.is_empty()) else {
            return false;
        };
        release(&mut self.per_party, peers.remove(0).addr);
        self.count -= 1;
        true
    }

    fn forget(&mut self, info_hash: InfoHash) {
        for peer in self.torrents.remove(&info_hash).into_iter().flatten() {
            self.count -= 1;
            release(&mut self.per_party, peer.addr);
        }
    }
}

fn release(per_party: &mut BTreeMap<u128, usize>, addr: SocketAddr) {
    let key = party(addr.ip());
    if let Some(count) = per_party.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            per_party.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    const OWN: NodeId = NodeId([0; 20]);

    fn hash(number: u16) -> InfoHash {
        let mut hash = [1; 20];
        hash[..2].copy_from_slice(&number.to_be_bytes());
        InfoHash(hash)
    }

    fn peer(number: u32, port: u16) -> SocketAddr {
        (std::net::Ipv4Addr::from(0x0800_0000 + number), port).into()
    }

    #[test]
    fn announces_are_kept_for_half_an_hour_after_the_last() {
        let now = start();
        let mut store = PeerStore::new();
        store.insert(hash(1), peer(1, 1), &OWN, now);
        store.insert(hash(1), peer(2, 1), &OWN, now);
        store.insert(hash(1), peer(1, 1), &OWN, now + Duration::from_secs(60));
        assert_eq!(store.peers(), 2);
        store.expire(now + limits::PEER_TTL);
        assert_eq!(store.all(hash(1)).collect::<Vec<_>>(), [peer(1, 1)]);
        store.expire(now + limits::PEER_TTL + Duration::from_secs(60));
        assert_eq!((store.peers(), store.torrents(), store.per_party.len()), (0, 0, 0));
    }

    #[test]
    fn a_torrent_keeps_its_latest_peers() {
        let now = start();
        let mut store = PeerStore::new();
        for number in 0..limits::TORRENT_PEERS_MAX as u32 + 10 {
            assert!(store.insert(hash(1), peer(number, 1), &OWN, now));
        }
        assert_eq!(store.peers(), limits::TORRENT_PEERS_MAX);
        assert!(!store.all(hash(1)).any(|addr| addr == peer(9, 1)));
        assert!(store.all(hash(1)).any(|addr| addr == peer(10, 1)));
    }

    #[test]
    fn a_full_store_prefers_torrents_near_our_id() {
        let now = start();
        let mut store = PeerStore::new();
        for number in 0..limits::TORRENTS_MAX as u16 {
            assert!(store.insert(hash(1000 + number), peer(number.into(), 1), &OWN, now));
        }
        assert!(!store.insert(hash(60_000), peer(1, 1), &OWN, now), "farther than all");
        assert!(store.insert(hash(7), peer(1, 1), &OWN, now), "nearer than some");
        assert_eq!(store.torrents(), limits::TORRENTS_MAX);
        assert_eq!(store.all(hash(1000 + limits::TORRENTS_MAX as u16 - 1)).count(), 0);
    }

    #[test]
    fn one_address_takes_a_small_share() {
        let now = start();
        let mut store = PeerStore::new();
        let kept = (0..100).filter(|&port| store.insert(hash(1), peer(1, port + 1), &OWN, now)).count();
        assert_eq!(kept, limits::PORTS_PER_ADDRESS_MAX);
        let kept = (0..1000).filter(|&number| store.insert(hash(number), peer(1, 1), &OWN, now)).count();
        assert!(kept <= limits::STORE_PEERS_PER_ADDRESS_MAX);
        assert!(store.insert(hash(1), peer(2, 1), &OWN, now));
    }

    #[test]
    fn a_sample_is_of_the_askers_family_and_scope() {
        let now = start();
        let mut store = PeerStore::new();
        let (global, lan, v6): (SocketAddr, SocketAddr, SocketAddr) =
            ("8.8.8.8:1".parse().unwrap(), "10.0.0.1:1".parse().unwrap(), "[2001:db8::1]:1".parse().unwrap());
        for addr in [global, lan, v6] {
            store.insert(hash(1), addr, &OWN, now);
        }
        let ask = |asker: &str| store.sample(hash(1), asker.parse().unwrap(), 10, 7);
        assert_eq!(ask("9.9.9.9:1"), [global]);
        assert_eq!(ask("10.0.0.2:1").len(), 2);
        assert_eq!(ask("[2001:db8::2]:1"), [v6]);
    }

    #[test]
    fn samples_begin_anywhere_and_repeat_nobody() {
        let now = start();
        let mut store = PeerStore::new();
        for number in 0..10 {
            store.insert(hash(1), peer(number, 1), &OWN, now);
        }
        let sample = store.sample(hash(1), peer(99, 1), 4, 8);
        assert_eq!(sample, [peer(8, 1), peer(9, 1), peer(0, 1), peer(1, 1)]);
        assert_eq!(store.sample(hash(1), peer(99, 1), 40, 3).len(), 10);
    }
}
