//! Assembles the `info` dictionary from the pieces that peers send of it (BEP 9).
//!
//! Nothing that comes is trusted before the hash of the whole is right (attack 33):
//! - Peers that claim different sizes are collected from apart, one draft per size, the most claimed first.
//! - When a draft that several peers wrote fails its hash, it is written again by one peer alone at a time: who
//!   then fails is proven to lie. Once the good copy is there, it also tells who spoilt the shared one.
//! - A peer that rejects, is silent or sends nonsense rests, each time for longer.
//!
//! Not here: messages (`peer`), serving metadata to others (`peer`), what the dictionary says (`metainfo`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use afflux_metainfo::limits::METADATA_BYTES_MAX;
use afflux_metainfo::{InfoHash, InfoHashV2, InfoHashes};
use bytes::Bytes;

use crate::key::PeerKey;

mod draft;

use draft::Draft;

/// Bytes in a piece of metadata, but for the last (BEP 9: 16 KiB blocks).
pub const PIECE_BYTES: u32 = 16 * 1024;

/// A piece that didn't come in this time is asked of another peer (ours, as libtorrent does).
pub const RETRY: Duration = Duration::from_secs(3);

/// Pieces asked of one peer at once. More would be a flood to it; fewer makes one peer slow.
pub const ASKED_MAX: usize = 4;

/// Unanswered pieces that a peer may still deliver late. Attack: silence that grows a list.
pub const LAPSED_MAX: usize = 16;

/// Sizes collected at once. Attack: every peer claims another size and each costs us a copy.
pub const SIZES_MAX: usize = 3;

/// Longest rest of a peer that fails us: short enough to try it again when it's the only one.
pub const REST_MAX: Duration = Duration::from_secs(60);

/// Peers that can have claimed a size. Connections are bounded elsewhere; this is the table's own bound.
pub const PEERS_MAX: usize = 2_000;

/// What an input led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not whole yet.
    Pending,
    /// Whole, and the hash is right. [`Assembly::take_liars`] names those who sent anything else before.
    Complete(Bytes),
    /// Whole, and the hash was wrong: starting over. Exactly these peers are known to have lied.
    Failed {
        /// Peers that sent bytes which can't be right; nothing is asked of them again.
        liars: Vec<PeerKey>,
    },
    /// Dropped: nobody asked for it, or its lengths are wrong.
    Ignored,
}

/// The `info` dictionary on its way.
#[derive(Debug)]
pub struct Assembly {
    hashes: InfoHashes,
    peers: BTreeMap<PeerKey, Peer>,
    /// One per claimed size; only the [`SIZES_MAX`] most promising hold bytes.
    drafts: BTreeMap<u32, Draft>,
    /// Peers whose bytes differ from the good ones.
    liars: BTreeSet<PeerKey>,
    complete: bool,
}

/// A peer that says it has the metadata.
#[derive(Debug)]
struct Peer {
    size_bytes: u32,
    asked: Vec<Asked>,
    /// Timeouts, rejections and nonsense in a row.
    faults: u32,
    rests_until: Option<Instant>,
    /// It lied; its claim stays, so that it can't make another.
    lied: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    piece: u32,
    at: Instant,
    /// Asked of another since; still welcome.
    lapsed: bool,
}

impl Peer {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    /// It failed us: it rests, twice as long each time in a row.
    fn fault(&mut self, now: Instant) {
        let rest = RETRY.saturating_mul(1 << self.faults.min(8)).min(REST_MAX);
        self.faults = self.faults.saturating_add(1);
        self.rests_until = Some(now + rest);
    }

    fn outstanding(&self) -> usize {
        self.asked.iter().filter(|asked| !asked.lapsed).count()
    }

    /// Lets what it was asked too long ago lapse; says whether anything did.
    fn expire(&mut self, now: Instant) -> bool {
        let mut late = false;
        for asked in self.asked.iter_mut().filter(|asked| !asked.lapsed && asked.at + RETRY <= now) {
            asked.lapsed = true;
            late = true;
        }
        if late {
            self.fault(now);
            let excess = self.asked.len().saturating_sub(LAPSED_MAX);
            self.asked.drain(..excess);
        }
        late
    }
}

impl Assembly {
    /// Nothing yet.
    pub fn new(hashes: InfoHashes) -> Self {
        Self {
            hashes,
            peers: BTreeMap::new(),
            drafts: BTreeMap::new(),
            liars: BTreeSet::new(),
            complete: false,
        }
    }

    /// The peer says how large the metadata is (BEP 10, `metadata_size`); says whether the claim is of use.
    /// A peer's first claim counts (attack 33): a later, different one is refused.
    pub fn size_claimed(&mut self, peer: PeerKey, size_bytes: u32, _now: Instant) -> bool {
        if size_bytes == 0 || size_bytes as usize > METADATA_BYTES_MAX {
            return false;
        }
        if let Some(known) = self.peers.get(&peer) {
            return known.size_bytes == size_bytes;
        }
        if self.peers.len() >= PEERS_MAX {
            return false;
        }
        let newcomer = Peer { size_bytes, asked: Vec::new(), faults: 0, rests_until: None, lied: false };
        self.peers.insert(peer, newcomer);
        self.drafts.entry(size_bytes).or_insert_with(|| Draft::new(size_bytes));
        true
    }

    /// The next piece to ask of this peer. Call until `None`; each is counted as asked.
    pub fn next_request(&mut self, peer: PeerKey, now: Instant) -> Option<u32> {
        self.expire(now);
        let asking = self.peers.get(&peer)?;
        if self.complete || asking.lied || asking.rests(now) || asking.outstanding() >= ASKED_MAX {
            return None;
        }
        let size_bytes = asking.size_bytes;
        if !self.is_active(size_bytes, now) {
            return None;
        }
        let draft = self.drafts.get_mut(&size_bytes)?;
        if !draft.admits(peer) {
            return None;
        }
        let piece = draft.next_missing()?;
        draft.ask(piece, peer);
        let asking = self.peers.get_mut(&peer)?;
        asking.asked.retain(|asked| asked.piece != piece);
        asking.asked.push(Asked { piece, at: now, lapsed: false });
        Some(piece)
    }

    /// A piece came. `total_bytes` is what its message says of the whole (BEP 9, `total_size`).
    pub fn received(
        &mut self,
        peer: PeerKey,
        piece: u32,
        total_bytes: u32,
        data: &[u8],
        now: Instant,
    ) -> Progress {
        let Some(giver) = self.peers.get_mut(&peer).filter(|_| !self.complete) else {
            return Progress::Ignored;
        };
        let Some(position) = giver.asked.iter().position(|asked| asked.piece == piece) else {
            return Progress::Ignored;
        };
        let size_bytes = giver.size_bytes;
        giver.asked.remove(position);
        let Some(draft) = self.drafts.get_mut(&size_bytes) else { return Progress::Ignored };
        draft.unask(piece, peer);
        if total_bytes != size_bytes || data.len() != draft.length_of(piece) as usize {
            giver.fault(now);
            draft.lose_author(peer);
            return Progress::Ignored;
        }
        giver.faults = 0;
        giver.rests_until = None;
        if !draft.admits(peer) || !draft.store(piece, peer, data) {
            return Progress::Ignored;
        }
        if draft.is_whole() { self.judge(size_bytes) } else { Progress::Pending }
    }

    /// The peer won't give it. One that wasn't asked is ignored.
    pub fn rejected(&mut self, peer: PeerKey, piece: u32, now: Instant) {
        let Some(refuser) = self.peers.get_mut(&peer) else { return };
        let Some(position) = refuser.asked.iter().position(|asked| asked.piece == piece) else { return };
        refuser.asked.remove(position);
        refuser.fault(now);
        let size_bytes = refuser.size_bytes;
        if let Some(draft) = self.drafts.get_mut(&size_bytes) {
            draft.unask(piece, peer);
            draft.lose_author(peer);
        }
    }

    /// The peer is gone; what it sent counts as before.
    pub fn departed(&mut self, peer: PeerKey) {
        let Some(gone) = self.peers.remove(&peer) else { return };
        if let Some(draft) = self.drafts.get_mut(&gone.size_bytes) {
            gone.asked.iter().for_each(|asked| draft.unask(asked.piece, peer));
            draft.lose_author(peer);
        }
        if !self.peers.values().any(|other| other.size_bytes == gone.size_bytes) {
            self.drafts.remove(&gone.size_bytes);
        }
    }

    /// The complete metadata was of no use after all (its hash was right, but nothing can be made of it): starts
    /// over, after a pause.
    pub fn start_over(&mut self, now: Instant) {
        self.complete = false;
        for draft in self.drafts.values_mut() {
            *draft = Draft::new(draft.size_bytes());
        }
        for peer in self.peers.values_mut() {
            peer.asked.clear();
            peer.rests_until = Some(now + REST_MAX);
        }
    }

    /// After `Complete`: peers whose bytes turned out to differ from the good ones.
    pub fn take_liars(&mut self) -> Vec<PeerKey> {
        std::mem::take(&mut self.liars).into_iter().collect()
    }

    /// When `next_request` is worth asking again for every peer.
    pub fn deadline(&self) -> Option<Instant> {
        if self.complete {
            return None;
        }
        let able = || self.peers.values().filter(|peer| !peer.lied);
        let lapses = able().flat_map(|peer| &peer.asked).filter(|asked| !asked.lapsed).map(|a| a.at + RETRY);
        lapses.chain(able().filter_map(|peer| peer.rests_until)).min()
    }

    /// Peers that said they have the metadata, in order: whom to call `next_request` for.
    pub fn peers(&self) -> impl Iterator<Item = PeerKey> + '_ {
        self.peers.keys().copied()
    }

    /// Bytes held by all drafts.
    pub fn held_bytes(&self) -> usize {
        self.drafts.values().map(Draft::held_bytes).sum()
    }

    /// Lets lapse what came too late, and ends rests that are over.
    fn expire(&mut self, now: Instant) {
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        for (&key, peer) in &mut self.peers {
            if peer.rests_until.is_some_and(|until| until <= now) {
                peer.rests_until = None;
            }
            if !peer.expire(now) {
                continue;
            }
            if let Some(draft) = self.drafts.get_mut(&peer.size_bytes) {
                peer.asked.iter().filter(|a| a.lapsed).for_each(|a| draft.unask(a.piece, key));
                draft.lose_author(key);
            }
        }
    }

    /// Whether a size is among the most promising: those that most peers claim who aren't resting or liars.
    /// Bytes of the others are dropped when their place is needed.
    fn is_active(&mut self, size_bytes: u32, now: Instant) -> bool {
        if self.drafts.len() <= SIZES_MAX {
            return true;
        }
        let mut claims: BTreeMap<u32, usize> = BTreeMap::new();
        for peer in self.peers.values().filter(|peer| !peer.lied && !peer.rests(now)) {
            *claims.entry(peer.size_bytes).or_default() += 1;
        }
        let mut ranked: Vec<_> = claims.into_iter().map(|(size, count)| (count, size)).collect();
        ranked.sort_unstable_by_key(|&(count, size)| (std::cmp::Reverse(count), size));
        ranked.truncate(SIZES_MAX);
        let active = ranked.iter().any(|&(_, size)| size == size_bytes);
        if active {
            let outranked = |size: &u32| !ranked.iter().any(|(_, ranked)| ranked == size);
            // A draft that holds much while its peers rest is a copy too many.
            let held = self.drafts.values().filter(|draft| draft.held_bytes() > 0).count();
            if held > SIZES_MAX {
                self.drafts.iter_mut().filter(|(size, _)| outranked(size)).for_each(|(_, d)| d.clear());
            }
        }
        active
    }

    /// A draft is whole: is it the metadata?
    fn judge(&mut self, size_bytes: u32) -> Progress {
        let Some(draft) = self.drafts.get_mut(&size_bytes) else { return Progress::Ignored };
        let info = draft.join();
        if self.matches(&info) {
            self.complete = true;
            let liars = self.drafts.get(&size_bytes).map(|draft| draft.liars_against(&info));
            self.liars.extend(liars.unwrap_or_default());
            self.drafts.values_mut().for_each(Draft::clear);
            self.peers.values_mut().for_each(|peer| peer.asked.clear());
            return Progress::Complete(Bytes::from(info));
        }
        let Some(draft) = self.drafts.get_mut(&size_bytes) else { return Progress::Ignored };
        let liars: Vec<_> = draft.fail().into_iter().collect();
        for peer in self.peers.values_mut().filter(|peer| peer.size_bytes == size_bytes) {
            peer.asked.clear();
        }
        for liar in &liars {
            if let Some(peer) = self.peers.get_mut(liar) {
                peer.lied = true;
            }
        }
        Progress::Failed { liars }
    }

    fn matches(&self, info: &[u8]) -> bool {
        match self.hashes {
            InfoHashes::V1(hash) | InfoHashes::Hybrid(hash, _) => InfoHash::of(info) == hash,
            InfoHashes::V2(hash) => InfoHashV2::of(info) == hash,
        }
    }
}

#[cfg(test)]
mod tests;
