//! Where a torrent's bytes lie: files <-> one long row of bytes <-> pieces <-> blocks.

use std::ops::Range;

use thiserror::Error;

use crate::index::{BLOCK_LENGTH, BlockIndex, BlockRef, FileIndex, PieceIndex};
use crate::limits::{FILES_MAX, PIECE_LENGTH_MAX, PIECES_MAX, TOTAL_LENGTH_MAX};

/// Why no layout can be made of these sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Zero, or beyond [`PIECE_LENGTH_MAX`].
    #[error("a piece length of {0} bytes is outside 1..={PIECE_LENGTH_MAX}")]
    PieceLength(u64),
    /// No file, or more than [`FILES_MAX`].
    #[error("{0} files are outside 1..={FILES_MAX}")]
    FileCount(usize),
    /// No byte at all, or more than [`TOTAL_LENGTH_MAX`].
    #[error("the files' total size is zero or beyond {TOTAL_LENGTH_MAX} bytes")]
    TotalLength,
    /// More than [`PIECES_MAX`].
    #[error("{0} pieces are beyond {PIECES_MAX}")]
    PieceCount(u64),
}

/// One file's place in the torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpan {
    /// Path below the download folder, one safe component each (never empty, `..`, absolute).
    pub path: Vec<String>,
    /// Where its first byte lies in the torrent.
    pub offset: u64,
    /// Its size in bytes.
    pub length: u64,
    /// BEP 47 padding: zeros that are never stored.
    pub pad: bool,
}

impl FileSpan {
    /// The file's bytes in the torrent.
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.length
    }

    /// The path with `/` between components, for people and JSON.
    pub fn display_path(&self) -> String {
        self.path.join("/")
    }
}

/// A run of bytes inside one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSlice {
    /// The file.
    pub file: FileIndex,
    /// Offset of the first byte in the file.
    pub offset: u64,
    /// Number of bytes; never zero.
    pub length: u64,
}

/// The geometry of a torrent. Immutable once made, and shared by all rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    files: Vec<FileSpan>,
    total_length: u64,
    piece_length: u32,
    piece_count: u32,
}

impl Layout {
    /// Lays `(path, length, pad)` rows end to end.
    pub fn new(
        piece_length: u64,
        files: impl IntoIterator<Item = (Vec<String>, u64, bool)>,
    ) -> Result<Self, LayoutError> {
        if piece_length == 0 || piece_length > u64::from(PIECE_LENGTH_MAX) {
            return Err(LayoutError::PieceLength(piece_length));
        }
        let mut offset = 0u64;
        let mut spans = Vec::new();
        for (path, length, pad) in files {
            if spans.len() == FILES_MAX {
                return Err(LayoutError::FileCount(FILES_MAX + 1));
            }
            spans.push(FileSpan { path, offset, length, pad });
            offset = offset
                .checked_add(length)
                .filter(|&total| total <= TOTAL_LENGTH_MAX)
                .ok_or(LayoutError::TotalLength)?;
        }
        if spans.is_empty() {
            return Err(LayoutError::FileCount(0));
        }
        if offset == 0 {
            return Err(LayoutError::TotalLength);
        }
        let pieces = offset.div_ceil(piece_length);
        if pieces > u64::from(PIECES_MAX) {
            return Err(LayoutError::PieceCount(pieces));
        }
        Ok(Self {
            files: spans,
            total_length: offset,
            piece_length: piece_length as u32,
            piece_count: pieces as u32,
        })
    }

    /// Bytes of all files, pad files among them.
    pub fn total_length(&self) -> u64 {
        self.total_length
    }

    /// Bytes of every piece but perhaps the last.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// Number of pieces; at least one.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// All pieces, ascending.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = PieceIndex> + use<> {
        (0..self.piece_count as usize).map(|piece| PieceIndex(piece as u32))
    }

    /// All files, in the order of the metainfo.
    pub fn files(&self) -> &[FileSpan] {
        &self.files
    }

    /// One file, if it exists.
    pub fn file(&self, file: FileIndex) -> Option<&FileSpan> {
        self.files.get(file.as_usize())
    }

    /// Where the piece's first byte lies in the torrent.
    #[inline]
    pub fn piece_offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }

    /// Bytes of this piece; zero if it doesn't exist.
    #[inline]
    pub fn length_of(&self, piece: PieceIndex) -> u32 {
        let rest = self.total_length.saturating_sub(self.piece_offset(piece));
        rest.min(u64::from(self.piece_length)) as u32
    }

    /// Number of blocks of this piece.
    #[inline]
    pub fn block_count(&self, piece: PieceIndex) -> u32 {
        self.length_of(piece).div_ceil(BLOCK_LENGTH)
    }

    /// The request triple of a block; its length is zero if it doesn't exist.
    #[inline]
    pub fn block(&self, piece: PieceIndex, block: BlockIndex) -> BlockRef {
        let begin = block.0.saturating_mul(BLOCK_LENGTH);
        let length = self.length_of(piece).saturating_sub(begin).min(BLOCK_LENGTH);
        BlockRef { index: piece, begin, length }
    }

    /// All blocks of a piece, ascending.
    pub fn blocks(&self, piece: PieceIndex) -> impl ExactSizeIterator<Item = BlockRef> + '_ {
        (0..self.block_count(piece) as usize).map(move |block| self.block(piece, BlockIndex(block as u32)))
    }

    /// Whether such a run of bytes exists: the piece does, the run isn't empty and ends inside it.
    pub fn contains(&self, block: &BlockRef) -> bool {
        block.length > 0
            && block.index.0 < self.piece_count
            && block.begin.checked_add(block.length).is_some_and(|end| end <= self.length_of(block.index))
    }

    /// Whether this is exactly one of our blocks, as we would request it.
    pub fn is_block(&self, block: &BlockRef) -> bool {
        block.index.0 < self.piece_count
            && block.length > 0
            && block.block().is_some_and(|index| self.block(block.index, index) == *block)
    }

    /// The piece that holds a byte of the torrent, if there is such a byte.
    #[inline]
    pub fn piece_at(&self, offset: u64) -> Option<PieceIndex> {
        (offset < self.total_length).then(|| PieceIndex((offset / u64::from(self.piece_length)) as u32))
    }

    /// The pieces that hold any byte of a range of the torrent (clamped to its end), as plain numbers.
    pub fn pieces_of(&self, bytes: Range<u64>) -> Range<u32> {
        let end = bytes.end.min(self.total_length);
        if bytes.start >= end {
            return 0..0;
        }
        let length = u64::from(self.piece_length);
        (bytes.start / length) as u32..end.div_ceil(length) as u32
    }

    /// The parts of files that a range of the torrent covers, in order; empty files are passed over.
    pub fn file_slices(&self, bytes: Range<u64>) -> impl Iterator<Item = FileSlice> + '_ {
        // The last file that starts at or before the range; empty ones at the same offset are skipped below.
        let first = self.files.partition_point(|file| file.offset + file.length <= bytes.start);
        self.files[first..]
            .iter()
            .enumerate()
            .take_while(move |(_, file)| file.offset < bytes.end)
            .filter(|(_, file)| file.length > 0)
            .filter_map(move |(nth, file)| {
                let start = bytes.start.max(file.offset);
                let end = bytes.end.min(file.offset + file.length);
                (start < end).then(|| FileSlice {
                    file: FileIndex((first + nth) as u32),
                    offset: start - file.offset,
                    length: end - start,
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(piece_length: u64, lengths: &[u64]) -> Layout {
        Layout::new(piece_length, lengths.iter().enumerate().map(|(n, &l)| (vec![format!("{n}")], l, false)))
            .unwrap()
    }

    #[test]
    fn last_piece_and_last_block_are_short() {
        let layout = layout(32768, &[32768 + 20000]);
        assert_eq!((layout.piece_count(), layout.block_count(PieceIndex(1))), (2, 2));
        assert_eq!(layout.length_of(PieceIndex(1)), 20000);
        assert_eq!(layout.block(PieceIndex(1), BlockIndex(1)).length, 20000 - 16384);
        assert_eq!(
            (layout.length_of(PieceIndex(2)), layout.block(PieceIndex(1), BlockIndex(2)).length),
            (0, 0)
        );
    }

    #[test]
    fn slices_pass_over_empty_files_and_meet_at_boundaries() {
        let layout = layout(10, &[0, 5, 0, 7, 0]);
        let slices =
            |range| layout.file_slices(range).map(|s| (s.file.0, s.offset, s.length)).collect::<Vec<_>>();
        assert_eq!(slices(0..12), [(1, 0, 5), (3, 0, 7)]);
        assert_eq!(slices(5..6), [(3, 0, 1)]);
        assert_eq!(slices(4..6), [(1, 4, 1), (3, 0, 1)]);
        assert_eq!(slices(12..20), []);
    }

    #[test]
    fn requests_outside_the_piece_do_not_exist() {
        let layout = layout(32768, &[40000]);
        let block = |index, begin, length| BlockRef { index: PieceIndex(index), begin, length };
        assert!(layout.contains(&block(1, 0, 7232)) && !layout.contains(&block(1, 0, 7233)));
        assert!(!layout.contains(&block(0, u32::MAX, 2)) && !layout.contains(&block(0, 0, 0)));
        assert!(!layout.contains(&block(2, 0, 1)));
        assert!(layout.is_block(&block(0, 16384, 16384)) && !layout.is_block(&block(0, 1, 16384)));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let one = |piece, length| Layout::new(piece, [(vec!["a".into()], length, false)]);
        assert_eq!(one(0, 1), Err(LayoutError::PieceLength(0)));
        assert_eq!(one(1 << 30, 1), Err(LayoutError::PieceLength(1 << 30)));
        assert_eq!(one(1, 0), Err(LayoutError::TotalLength));
        assert_eq!(one(1 << 20, u64::MAX), Err(LayoutError::TotalLength));
        assert_eq!(one(1, 1 << 30), Err(LayoutError::PieceCount(1 << 30)));
        assert_eq!(Layout::new(1, []), Err(LayoutError::FileCount(0)));
    }
}
