//! Which verified pieces of a memory-kind torrent go when there are too many.
//!
//! First what lies farthest behind every reader, then what lies farthest ahead; the head and the tail of a file with
//! readers last of all, since players return there. What a window covers isn't evicted.

use std::collections::BTreeSet;

use afflux_metainfo::{Layout, PieceIndex};

use crate::limits::EDGE_BYTES;
use crate::wants::Wants;

/// The verified pieces in memory.
#[derive(Clone, Debug)]
pub struct Keep {
    pieces: BTreeSet<PieceIndex>,
    bytes: u64,
    bytes_max: u64,
}

/// How willingly a piece is evicted: a greater one goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// The head or tail of a file that someone reads.
    Edge(u64),
    /// So many bytes before the nearest reader's window.
    Ahead(u64),
    /// So many bytes behind the nearest reader.
    Behind(u64),
    /// Nobody reads at all.
    Unread,
}

impl Keep {
    /// Holds nothing yet, and never more than `bytes_max` for long.
    pub fn new(bytes_max: u64) -> Self {
        Self { pieces: BTreeSet::new(), bytes: 0, bytes_max }
    }

    /// Another bound; what is too much now is the next victim.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// A piece was verified.
    pub fn insert(&mut self, piece: PieceIndex, layout: &Layout) {
        if self.pieces.insert(piece) {
            self.bytes += u64::from(layout.length_of(piece));
        }
    }

    /// A piece is gone.
    pub fn remove(&mut self, piece: PieceIndex, layout: &Layout) {
        if self.pieces.remove(&piece) {
            self.bytes -= u64::from(layout.length_of(piece));
        }
    }

    /// The next piece to evict, while there are too many. `None` also if windows cover all there is.
    pub fn victim(&self, wants: &Wants, layout: &Layout) -> Option<PieceIndex> {
        if self.bytes <= self.bytes_max {
            return None;
        }
        let loose = self.pieces.iter().copied().filter(|&piece| !wants.covers(piece));
        loose.max_by_key(|&piece| worth(piece, wants, layout))
    }

    /// Some piece that no window covers, if there is one.
    pub fn loose(&self, wants: &Wants) -> Option<PieceIndex> {
        self.pieces.iter().copied().find(|&piece| !wants.covers(piece))
    }

    /// Bytes of verified pieces in memory.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn worth(piece: PieceIndex, wants: &Wants, layout: &Layout) -> Worth {
    let start = layout.piece_offset(piece);
    let end = start + u64::from(layout.length_of(piece));
    let mut nearest = Worth::Unread;
    for reader in wants.readers().filter(|reader| !reader.is_beside()) {
        let window = reader.window();
        let worth = if is_edge(start, end, window.position, window.file_end, layout) {
            Worth::Edge(start.abs_diff(window.position))
        } else if end <= window.position {
            Worth::Behind(window.position - end)
        } else {
            Worth::Ahead(start.saturating_sub(window.position))
        };
        nearest = nearest.min(worth);
    }
    nearest
}

/// Whether the piece touches the first or last bytes of the file that the reader is in.
fn is_edge(start: u64, end: u64, position: u64, file_end: u64, layout: &Layout) -> bool {
    let file = layout.files().partition_point(|file| file.offset + file.length <= position);
    let Some(file) = layout.files().get(file) else { return false };
    let length = u64::from(layout.piece_length());
    // A head of many pieces is generous; at least the piece that holds the very first byte counts.
    let edge = EDGE_BYTES.max(length);
    let inside = end > file.offset && start < file_end;
    inside && (start < file.offset.saturating_add(edge) || end > file_end.saturating_sub(edge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Kind, ReaderKey, Window};

    const MIB: u64 = 1024 * 1024;

    fn layout() -> Layout {
        Layout::new(MIB, [(vec!["film".into()], 100 * MIB, false)]).unwrap()
    }

    fn reader_at(position: u64, layout: &Layout) -> Wants {
        let mut wants = Wants::new(Some(20 * MIB));
        let window = Window {
            position,
            urgent_end: position + MIB,
            soon_end: position + 4 * MIB,
            file_end: 100 * MIB,
            rate: None,
            waiting: false,
            kind: Kind::Play,
        };
        wants.want(ReaderKey(1), window, false, Some(layout), crate::testing::epoch());
        wants
    }

    fn order(pieces: &[u32], wants: &Wants, layout: &Layout) -> Vec<u32> {
        let mut keep = Keep::new(0);
        pieces.iter().for_each(|&piece| keep.insert(PieceIndex(piece), layout));
        std::iter::from_fn(|| {
            let victim = keep.victim(wants, layout)?;
            keep.remove(victim, layout);
            Some(victim.0)
        })
        .collect()
    }

    #[test]
    fn farthest_behind_goes_first_then_farthest_ahead_and_edges_last() {
        let layout = layout();
        let wants = reader_at(50 * MIB, &layout);
        let pieces = [2, 20, 45, 50, 52, 60, 70, 97];
        assert_eq!(order(&pieces, &wants, &layout), [20, 45, 70, 60, 2, 97]);
    }

    #[test]
    fn nothing_goes_while_there_is_room() {
        let layout = layout();
        let mut keep = Keep::new(2 * MIB);
        keep.insert(PieceIndex(3), &layout);
        keep.insert(PieceIndex(4), &layout);
        keep.insert(PieceIndex(4), &layout);
        assert_eq!((keep.bytes(), keep.victim(&Wants::default(), &layout)), (2 * MIB, None));
    }
}
