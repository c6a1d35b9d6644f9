//! Who sent which block of a piece that failed its hash: exactly the liars are banned (attack 30).
//!
//! A failed piece proves nothing against any one of several senders, so the digest of each of its blocks is kept
//! with its sender. Once the piece passes, whoever sent a block with another digest has lied. A failed piece
//! with a single sender needs no second try.
//!
//! Nobody is banned on suspicion: trust only decides who is on parole (gets whole pieces of its own, so that
//! the next failure is proof). A liar in the midst of many honest peers would otherwise drag them down with it.
//!
//! Not here: hashing (`storage`), the list of bans (`roster`), what parole means for picking (`picker`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use afflux_metainfo::{BlockIndex, PieceIndex};

use crate::key::PeerKey;

/// Most pieces whose senders are remembered while they are open; beyond it the lowest are forgotten, and blame
/// nobody. The piece table admits fewer.
pub const OPEN_PIECES_MAX: usize = 8_192;

/// Most blocks of a piece: the largest piece has so many. Attack: an index that grows a table.
pub const BLOCKS_MAX: u32 = afflux_metainfo::limits::PIECE_LENGTH_MAX / afflux_metainfo::BLOCK_LENGTH;

/// Most digests kept of failed pieces, over all pieces. Attack: failing every piece once. About 4 MiB.
pub const EVIDENCE_MAX: usize = 131_072;

/// Most addresses whose parole outlives their connection. Attack: reconnecting to get rid of it.
pub const PAROLED_ADDRESSES_MAX: usize = 1_000;

/// Proven liars that are remembered, so that pieces which their blocks are in accuse nobody else.
pub const CONVICTED_MAX: usize = 64;

/// What a failed piece costs each of its senders.
pub const TRUST_PER_FAILURE: i32 = -2;

/// What a good piece gives each of its senders.
pub const TRUST_PER_PIECE: i32 = 1;

/// Trust stays within these. The upper one is low, so that a long good record buys no long series of lies.
pub const TRUST_MIN: i32 = -7;
/// See [`TRUST_MIN`].
pub const TRUST_MAX: i32 = 8;

/// The SHA-1 of one block.
pub type Digest = [u8; 20];

/// Who sent a block: the address too, since a liar may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// The peer.
    pub peer: PeerKey,
    /// Its address.
    pub ip: IpAddr,
}

/// What a failed piece says about its senders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Proven: ban them.
    pub ban: Vec<Sender>,
    /// At least one of these lied, perhaps together with others that are unknown; they are on parole now.
    pub suspects: Vec<Sender>,
}

/// The memory of who sent what.
#[derive(Debug, Default)]
pub struct Blame {
    open: BTreeMap<PieceIndex, Authors>,
    evidence: BTreeMap<PieceIndex, Evidence>,
    evidence_digests: usize,
    failures: u64,
    standings: BTreeMap<PeerKey, Standing>,
    paroled: Vec<IpAddr>,
    /// The last that were proven to lie. A piece that they had a part in fails for their sake.
    convicted: Vec<Sender>,
}

/// Who sent which block of an open piece. Senders are few and blocks many, so blocks hold small numbers.
#[derive(Debug, Default)]
struct Authors {
    senders: Vec<Sender>,
    /// Per block, 1 + the place in `senders`; 0 for nobody.
    by_block: Vec<u16>,
}

/// Blocks of failed tries of a piece.
#[derive(Debug)]
struct Evidence {
    /// When it first failed, in failures: the oldest goes first when room is needed.
    since: u64,
    blocks: Vec<(Sender, BlockIndex, Digest)>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    ip: IpAddr,
    trust: i32,
    parole: bool,
}

impl Authors {
    /// Says whether the sender is new to this piece.
    fn record(&mut self, block: BlockIndex, sender: Sender) -> bool {
        if self.by_block.len() <= block.as_usize() {
            self.by_block.resize(block.as_usize() + 1, 0);
        }
        // The first to come is what was stored.
        if self.by_block[block.as_usize()] != 0 {
            return false;
        }
        let known = self.senders.iter().position(|known| *known == sender);
        let place = known.unwrap_or(self.senders.len());
        if known.is_none() {
            self.senders.push(sender);
        }
        // A piece has at most 32,768 blocks, so it has no more senders.
        self.by_block[block.as_usize()] = u16::try_from(place + 1).unwrap_or(0);
        known.is_none()
    }

    fn of(&self, block: usize) -> Option<Sender> {
        let place = usize::from(*self.by_block.get(block)?);
        self.senders.get(place.checked_sub(1)?).copied()
    }
}

impl Blame {
    /// Knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A peer connected: one that left on parole is on parole again. Its first block says the same, later.
    pub fn arrived(&mut self, sender: Sender) {
        let parole = self.paroled.contains(&sender.ip);
        let trust = if parole { TRUST_PER_FAILURE } else { 0 };
        self.standings.entry(sender.peer).or_insert(Standing { ip: sender.ip, trust, parole });
    }

    /// A block was stored. A second sender of the same block is not remembered: its bytes were thrown away.
    pub fn sent(&mut self, piece: PieceIndex, block: BlockIndex, sender: Sender) {
        if block.0 >= BLOCKS_MAX {
            return;
        }
        if self.open.len() >= OPEN_PIECES_MAX && !self.open.contains_key(&piece) {
            self.open.pop_first();
        }
        if self.open.entry(piece).or_default().record(block, sender) {
            self.arrived(sender);
        }
    }

    /// The piece failed; `digests` are those of its blocks, in order.
    ///
    /// Blocks that nobody is known to have sent (from a resumed file) leave everything open: then nobody is
    /// proven to have lied.
    pub fn failed(&mut self, piece: PieceIndex, digests: &[Digest]) -> Verdict {
        let Some(authors) = self.open.remove(&piece) else { return Verdict::default() };
        let all_known = (0..digests.len()).all(|block| authors.of(block).is_some());
        if let ([liar], true) = (authors.senders.as_slice(), all_known && !digests.is_empty()) {
            self.convict(&[*liar]);
            return Verdict { ban: vec![*liar], suspects: Vec::new() };
        }
        let explained = authors.senders.iter().any(|sender| self.convicted.contains(sender));
        if explained {
            self.keep_evidence(piece, &authors, digests);
            return Verdict::default();
        }
        for sender in &authors.senders {
            match self.standings.get_mut(&sender.peer) {
                Some(standing) => {
                    standing.trust = (standing.trust + TRUST_PER_FAILURE).max(TRUST_MIN);
                    standing.parole = true;
                }
                None => self.remember_parole(sender.ip),
            }
        }
        self.keep_evidence(piece, &authors, digests);
        Verdict { ban: Vec::new(), suspects: authors.senders }
    }

    /// The piece passed; returns whose earlier blocks of it differ from the good ones: ban them. Without
    /// `digests` its earlier failures stay unsolved for ever.
    pub fn verified(&mut self, piece: PieceIndex, digests: Option<&[Digest]>) -> Vec<Sender> {
        if let Some(authors) = self.open.remove(&piece) {
            let alone = authors.senders.len() == 1;
            for sender in authors.senders {
                let Some(standing) = self.standings.get_mut(&sender.peer) else { continue };
                standing.trust = (standing.trust + TRUST_PER_PIECE).min(TRUST_MAX);
                // A whole good piece of its own is what parole asks for.
                if alone && standing.parole {
                    standing.parole = false;
                    self.paroled.retain(|ip| *ip != sender.ip);
                }
            }
        }
        let Some(evidence) = self.evidence.remove(&piece) else { return Vec::new() };
        self.evidence_digests -= evidence.blocks.len();
        let Some(digests) = digests else { return Vec::new() };
        let suspects: BTreeSet<Sender> = evidence.blocks.iter().map(|(sender, ..)| *sender).collect();
        let liars: BTreeSet<Sender> = evidence
            .blocks
            .iter()
            .filter(|(_, block, digest)| digests.get(block.as_usize()).is_some_and(|good| good != digest))
            .map(|(sender, ..)| *sender)
            .collect();
        for cleared in suspects.difference(&liars) {
            self.absolve(*cleared);
        }
        let liars: Vec<Sender> = liars.into_iter().collect();
        self.convict(&liars);
        liars
    }

    /// The piece was thrown away unverified, or evicted: nobody is to blame. What is known of its earlier
    /// failures is kept.
    pub fn forget(&mut self, piece: PieceIndex) {
        self.open.remove(&piece);
    }

    /// The peer is gone; what it sent is remembered, and so is its parole.
    pub fn departed(&mut self, peer: PeerKey) {
        if let Some(standing) = self.standings.remove(&peer).filter(|standing| standing.parole) {
            self.remember_parole(standing.ip);
        }
    }

    /// Whether the peer should get whole pieces of its own only.
    pub fn on_parole(&self, peer: PeerKey) -> bool {
        self.standings.get(&peer).is_some_and(|standing| standing.parole)
    }

    /// Good pieces less twice the failed ones, between [`TRUST_MIN`] and [`TRUST_MAX`].
    pub fn trust(&self, peer: PeerKey) -> i32 {
        self.standings.get(&peer).map_or(0, |standing| standing.trust)
    }

    /// Whether digests of this piece are compared once it passes.
    pub fn wants_digests(&self, piece: PieceIndex) -> bool {
        self.evidence.contains_key(&piece)
    }

    /// Everyone who sent a block of the open piece so far.
    pub fn senders(&self, piece: PieceIndex) -> &[Sender] {
        self.open.get(&piece).map_or(&[], |authors| &authors.senders)
    }

    /// These have lied. Whoever is suspected for nothing but pieces that they had a part in is free again.
    fn convict(&mut self, liars: &[Sender]) {
        if liars.is_empty() {
            return;
        }
        for liar in liars {
            self.standings.remove(&liar.peer);
            if self.convicted.len() == CONVICTED_MAX {
                self.convicted.remove(0);
            }
            self.convicted.push(*liar);
        }
        let mut suspected = BTreeSet::new();
        for evidence in self.evidence.values() {
            let senders = || evidence.blocks.iter().map(|(sender, ..)| *sender);
            if !senders().any(|sender| self.convicted.contains(&sender)) {
                suspected.extend(senders().map(|sender| sender.peer));
            }
        }
        for (peer, standing) in &mut self.standings {
            if !suspected.contains(peer) && !self.paroled.contains(&standing.ip) {
                standing.parole = false;
            }
        }
    }

    /// The open pieces of which this peer sent a block.
    pub fn pieces_of(&self, sender: Sender) -> impl Iterator<Item = PieceIndex> + '_ {
        let part = self.open.iter().filter(move |(_, authors)| authors.senders.contains(&sender));
        part.map(|(piece, _)| *piece)
    }

    fn remember_parole(&mut self, ip: IpAddr) {
        if self.paroled.contains(&ip) {
            return;
        }
        if self.paroled.len() >= PAROLED_ADDRESSES_MAX {
            self.paroled.remove(0);
        }
        self.paroled.push(ip);
    }

    /// The suspicion was wrong: it's as if the piece hadn't failed.
    fn absolve(&mut self, cleared: Sender) {
        self.paroled.retain(|ip| *ip != cleared.ip);
        if let Some(standing) = self.standings.get_mut(&cleared.peer) {
            standing.trust = (standing.trust - TRUST_PER_FAILURE).min(TRUST_MAX);
            standing.parole = false;
        }
    }

    fn keep_evidence(&mut self, piece: PieceIndex, authors: &Authors, digests: &[Digest]) {
        let blocks = (0..).zip(digests).filter_map(|(block, digest)| {
            authors.of(block as usize).map(|sender| (sender, BlockIndex(block), *digest))
        });
        self.failures += 1;
        let since = self.failures;
        let evidence = self.evidence.entry(piece).or_insert(Evidence { since, blocks: Vec::new() });
        let before = evidence.blocks.len();
        evidence.blocks.extend(blocks);
        // A piece that fails again with the same lies says nothing new.
        evidence.blocks.sort_unstable();
        evidence.blocks.dedup();
        self.evidence_digests = self.evidence_digests - before + evidence.blocks.len();
        while self.evidence_digests > EVIDENCE_MAX {
            let Some(oldest) = self.evidence.iter().min_by_key(|(_, e)| e.since).map(|(&piece, _)| piece)
            else {
                return;
            };
            if let Some(dropped) = self.evidence.remove(&oldest) {
                self.evidence_digests -= dropped.blocks.len();
            }
        }
    }
}

#[cfg(test)]
mod tests;
