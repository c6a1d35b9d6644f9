//! One copy of the metadata under way: which pieces are there and by whom.

use std::collections::BTreeSet;

use sha1_smol::Sha1;

use super::PIECE_BYTES;
use crate::key::PeerKey;

/// A copy of one size. Shared at first; after a failure it has one author at a time.
#[derive(Debug)]
pub(super) struct Draft {
    size_bytes: u32,
    /// As long as there are pieces; grows to that with the first piece, so that a claim alone costs nothing.
    pieces: Vec<Piece>,
    held_bytes: usize,
    missing: u32,
    authorship: Authorship,
    /// What was in the shared copy that failed: compared with the good one later.
    evidence: Vec<(PeerKey, u32, [u8; 20])>,
}

#[derive(Clone, Debug, Default)]
struct Piece {
    data: Option<Box<[u8]>>,
    from: Option<PeerKey>,
    /// Who is asked for it now.
    asked: Option<PeerKey>,
}

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authorship {
    /// Everybody.
    Shared,
    /// One peer alone; `None`: whoever is asked next.
    Alone(Option<PeerKey>),
}

impl Draft {
    pub(super) fn new(size_bytes: u32) -> Self {
        Self {
            size_bytes,
            pieces: Vec::new(),
            held_bytes: 0,
            missing: size_bytes.div_ceil(PIECE_BYTES),
            authorship: Authorship::Shared,
            evidence: Vec::new(),
        }
    }

    /// Notes that the piece is asked of `peer`, who becomes the author if there is to be one.
    pub(super) fn ask(&mut self, piece: u32, peer: PeerKey) {
        if self.authorship == Authorship::Alone(None) {
            self.authorship = Authorship::Alone(Some(peer));
        }
        self.slots()[piece as usize].asked = Some(peer);
    }

    /// The piece isn't asked of `peer` any more.
    pub(super) fn unask(&mut self, piece: u32, peer: PeerKey) {
        if let Some(slot) = self.pieces.get_mut(piece as usize).filter(|slot| slot.asked == Some(peer)) {
            slot.asked = None;
        }
    }

    /// Keeps a piece of the right length; says whether it was missing.
    pub(super) fn store(&mut self, piece: u32, from: PeerKey, data: &[u8]) -> bool {
        let Some(slot) = self.slots().get_mut(piece as usize).filter(|slot| slot.data.is_none()) else {
            return false;
        };
        // copy: a slice of the wire buffer would keep all of that buffer alive; metadata comes once per torrent.
        slot.data = Some(data.into());
        slot.from = Some(from);
        slot.asked = None;
        self.held_bytes += data.len();
        self.missing -= 1;
        true
    }

    /// The author is resting or gone: if it wrote alone, another begins anew.
    pub(super) fn lose_author(&mut self, peer: PeerKey) {
        if self.authorship == Authorship::Alone(Some(peer)) {
            self.clear();
            self.authorship = Authorship::Alone(None);
        }
    }

    /// The whole has the wrong hash. Returns the liar, if only one peer wrote it; from now on peers write alone.
    pub(super) fn fail(&mut self) -> Option<PeerKey> {
        let authors: BTreeSet<_> = self.pieces.iter().filter_map(|piece| piece.from).collect();
        if authors.len() > 1 {
            self.evidence = (0..)
                .zip(&self.pieces)
                .filter_map(|(index, piece)| {
                    Some((piece.from?, index, Sha1::from(piece.data.as_ref()?).digest().bytes()))
                })
                .collect();
        }
        self.clear();
        self.authorship = Authorship::Alone(None);
        if authors.len() == 1 { authors.first().copied() } else { None }
    }

    /// Drops all pieces; what is known of liars stays.
    pub(super) fn clear(&mut self) {
        self.pieces = Vec::new();
        self.held_bytes = 0;
        self.missing = self.size_bytes.div_ceil(PIECE_BYTES);
    }

    pub(super) fn size_bytes(&self) -> u32 {
        self.size_bytes
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Whether the peer may write.
    pub(super) fn admits(&self, peer: PeerKey) -> bool {
        match self.authorship {
            Authorship::Shared | Authorship::Alone(None) => true,
            Authorship::Alone(Some(author)) => author == peer,
        }
    }

    /// The first piece that is neither here nor asked for.
    pub(super) fn next_missing(&self) -> Option<u32> {
        if self.pieces.is_empty() {
            return Some(0);
        }
        (0..).zip(&self.pieces).find(|(_, p)| p.data.is_none() && p.asked.is_none()).map(|(index, _)| index)
    }

    /// How long the piece has to be; 0 for one that doesn't exist.
    pub(super) fn length_of(&self, piece: u32) -> u32 {
        let begin = u64::from(piece) * u64::from(PIECE_BYTES);
        (u64::from(self.size_bytes).saturating_sub(begin)).min(u64::from(PIECE_BYTES)) as u32
    }

    /// All pieces in a row.
    pub(super) fn join(&self) -> Vec<u8> {
        let mut info = Vec::with_capacity(self.held_bytes);
        self.pieces.iter().filter_map(|piece| piece.data.as_deref()).for_each(|data| info.extend(data));
        info
    }

    /// Whose pieces of the failed copy differ from the good one's.
    pub(super) fn liars_against(&self, info: &[u8]) -> Vec<PeerKey> {
        let good: Vec<_> =
            info.chunks(PIECE_BYTES as usize).map(|piece| Sha1::from(piece).digest().bytes()).collect();
        let lied =
            |&&(_, piece, digest): &&(PeerKey, u32, [u8; 20])| good.get(piece as usize) != Some(&digest);
        self.evidence.iter().filter(lied).map(|&(peer, ..)| peer).collect()
    }

    fn slots(&mut self) -> &mut [Piece] {
        if self.pieces.is_empty() {
            self.pieces = vec![Piece::default(); self.size_bytes.div_ceil(PIECE_BYTES) as usize];
        }
        &mut self.pieces
    }
}
