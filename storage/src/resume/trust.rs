//! What of a resume file can be believed, given the files as they are now.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use afflux_metainfo::{Bitfield, FileIndex, InfoHash, Layout, PieceIndex};
use sha1::{Digest, Sha1};

use super::{Error, Fingerprint, Partial, Resume};
use crate::files::{PARTS, Places, Survey};
use crate::limits::{CHECK_READ_BYTES, SPOT_CHECKS};

/// What of a resume file can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Pieces in files that are as they were.
    pub have: Bitfield,
    /// Pieces in files that changed, whether we had them or not, where anything is written: check these.
    pub recheck: Bitfield,
    /// After an unclean end: some of `have`, at random. Check these too; if one is wrong, its files can't be trusted at
    /// all, and all of their pieces are to be checked.
    pub spots: Bitfield,
    /// Pieces of which some blocks are there, in files that are as they were.
    pub partial: Vec<Partial>,
    /// The files as they were when this was decided.
    pub survey: Survey,
}

impl Resume {
    /// Compares the fingerprints with the files as they are below `root` now. Looks at every file: blocks. `seed` chooses
    /// the spots that are checked after an unclean end.
    ///
    /// After an unclean end (a kill, a power cut), files that had pieces missing have been written since, by us: of
    /// those only the length is compared. All others must be exactly as they were. What was written to a changed file
    /// since is not known, so its missing pieces are to be checked too, where it isn't a hole: they may have come before
    /// the end.
    ///
    /// # Errors
    /// [`Error::Foreign`] if this is of a torrent with other pieces or files.
    pub fn trust(&self, layout: &Arc<Layout>, root: &Path, seed: u64) -> Result<Trusted, Error> {
        if self.have.length() != layout.piece_count() || self.files.len() != layout.files().len() {
            return Err(Error::Foreign);
        }
        let renamed = self.renamed.iter().cloned().collect();
        let places = Places::new(root.to_path_buf(), layout.clone(), self.info_hash, renamed);
        let now = places.survey();
        let mut trusted = Trusted {
            have: self.have.clone(),
            recheck: Bitfield::new(self.have.length()),
            spots: Bitfield::new(self.have.length()),
            partial: self.partial.clone(),
            survey: Survey::default(),
        };
        let parts_kept = self.is_kept(self.parts, now.parts, || true);
        for (file, span) in (0u32..).map(FileIndex).zip(layout.files()) {
            let (before, now) = (self.files[file.as_usize()], now.files[file.as_usize()]);
            if span.pad || span.length == 0 || (before == now && before.is_some()) {
                continue;
            }
            let pieces = || layout.pieces_of(span.range()).map(PieceIndex);
            let kept = match (before, now) {
                // What there is of it is in the part file.
                (None, None) => parts_kept,
                _ => self.is_kept(before, now, || pieces().any(|piece| !self.have.contains(piece))),
            };
            if !kept {
                trusted.doubt(pieces());
            }
            if now.is_some() {
                trusted.look_at(layout, places.written(file));
            }
        }
        if self.parts != now.parts {
            trusted.look_at(layout, places.written(PARTS));
        }
        if !self.clean {
            trusted.choose_spots(seed);
        }
        trusted.survey = now;
        Ok(trusted)
    }

    /// Whether a file's good bytes are still there. `open`: some of its pieces were missing.
    fn is_kept(
        &self,
        before: Option<Fingerprint>,
        now: Option<Fingerprint>,
        open: impl FnOnce() -> bool,
    ) -> bool {
        match (before, now) {
            (Some(before), Some(now)) if before != now && !self.clean && open() => {
                now.length >= before.length
            }
            (before, now) => before == now,
        }
    }
}

impl Trusted {
    /// The pieces may be gone.
    fn doubt(&mut self, pieces: impl Iterator<Item = PieceIndex>) {
        let mut doubted = BTreeSet::new();
        for piece in pieces {
            if self.have.remove(piece) {
                self.recheck.insert(piece);
            }
            doubted.insert(piece);
        }
        self.partial.retain(|partial| !doubted.contains(&partial.piece));
    }

    /// The pieces of these bytes may have come.
    fn look_at(&mut self, layout: &Layout, written: Vec<Range<u64>>) {
        for piece in written.into_iter().flat_map(|range| layout.pieces_of(range)).map(PieceIndex) {
            if !self.have.contains(piece) {
                self.recheck.insert(piece);
            }
        }
    }

    fn choose_spots(&mut self, seed: u64) {
        let count = u64::from(self.have.count());
        // Steps of the golden ratio, mixed (SplitMix64).
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        let ranks: BTreeSet<u64> = (0..SPOT_CHECKS as u64)
            .map(|nth| if count <= SPOT_CHECKS as u64 { nth } else { next() % count })
            .collect();
        for (_, piece) in (0u64..).zip(self.have.iter()).filter(|(rank, _)| ranks.contains(rank)) {
            self.spots.insert(piece);
        }
    }
}

/// Files of which nothing is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers {
    /// Pieces that may be right: all where anything is written, and, in holes, those that are nothing but zeros.
    pub pieces: Bitfield,
    /// Files with more in them than zeros, with their lengths: if they aren't the torrent's they are somebody's.
    pub files: Vec<(FileIndex, u64)>,
}

impl Leftovers {
    /// Looks at every file: blocks.
    pub fn find(
        layout: &Arc<Layout>,
        root: &Path,
        info_hash: InfoHash,
        renamed: &[(FileIndex, Vec<String>)],
        hashes: &[[u8; 20]],
    ) -> Self {
        let renamed = renamed.iter().cloned().collect();
        let places = Places::new(root.to_path_buf(), layout.clone(), info_hash, renamed);
        let survey = places.survey();
        let mut found = Self { pieces: Bitfield::new(layout.piece_count()), files: Vec::new() };
        found.add(layout, places.written(PARTS));
        let zeros = hash_of_zeros(layout.piece_length());
        for (file, span) in (0u32..).map(FileIndex).zip(layout.files()) {
            let Some(now) = survey.files[file.as_usize()].filter(|_| !span.pad) else { continue };
            found.add(layout, places.written(file));
            let there = span.offset..span.offset + now.length.min(span.length);
            for piece in layout.pieces_of(there).map(PieceIndex) {
                let last = piece.0 + 1 == layout.piece_count();
                if last || hashes.get(piece.as_usize()) == Some(&zeros) {
                    found.pieces.insert(piece);
                }
            }
            if places.holds_something(file) {
                found.files.push((file, now.length));
            }
        }
        found
    }

    fn add(&mut self, layout: &Layout, written: Vec<Range<u64>>) {
        for piece in written.into_iter().flat_map(|range| layout.pieces_of(range)) {
            self.pieces.insert(PieceIndex(piece));
        }
    }
}

fn hash_of_zeros(length: u32) -> [u8; 20] {
    let zeros = [0; CHECK_READ_BYTES];
    let mut hash = Sha1::new();
    let mut rest = length as usize;
    while rest > 0 {
        let part = rest.min(zeros.len());
        hash.update(&zeros[..part]);
        rest -= part;
    }
    hash.finalize().into()
}
