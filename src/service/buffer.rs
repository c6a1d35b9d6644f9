//! Which bytes of a file are there.

use std::ops::Range;

use afflux_metainfo::{FileIndex, PieceIndex};

use crate::engine::torrent::Ready;

/// Verified bytes from a place of a file on, without a gap.
pub(super) fn ahead(ready: &Ready, file: FileIndex, offset: u64) -> u64 {
    let range = span(ready, file);
    let start = (range.start + offset).min(range.end);
    let missing =
        ready.layout.pieces_of(start..range.end).find(|&piece| !ready.store.have(PieceIndex(piece)));
    let end = missing.map_or(range.end, |piece| ready.layout.piece_offset(PieceIndex(piece)));
    end.clamp(start, range.end) - start
}

/// Whether all of a file is there.
pub(super) fn is_complete(ready: &Ready, file: FileIndex) -> bool {
    let range = span(ready, file);
    ahead(ready, file, 0) == range.end - range.start
}

/// The stretches of a file that are there, in its own bytes: the longest `most` of them, in their order.
pub(super) fn ranges(ready: &Ready, file: FileIndex, most: usize) -> Vec<[u64; 2]> {
    let range = span(ready, file);
    let have = ready.store.have_all();
    let mut found: Vec<[u64; 2]> = Vec::new();
    for piece in ready.layout.pieces_of(range.clone()).map(PieceIndex) {
        if !have.contains(piece) {
            continue;
        }
        let start = ready.layout.piece_offset(piece);
        let end = start + u64::from(ready.layout.length_of(piece));
        let part = [start.clamp(range.start, range.end), end.clamp(range.start, range.end)];
        match found.last_mut() {
            Some(last) if last[1] == part[0] => last[1] = part[1],
            _ => found.push(part),
        }
    }
    if found.len() > most {
        found.sort_by_key(|[start, end]| std::cmp::Reverse(end - start));
        found.truncate(most);
        found.sort_unstable();
    }
    found.into_iter().map(|[start, end]| [start - range.start, end - range.start]).collect()
}

fn span(ready: &Ready, file: FileIndex) -> Range<u64> {
    ready.layout.file(file).map_or(0..0, |file| file.range())
}
