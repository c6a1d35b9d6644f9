//! The tables of a resume file, as rows of bytes; numbers are big-endian.
//!
//! - files: length (8), time (8);
//! - partial: piece (4), length of the rest (2), a bit per block that is there, the first the highest of its byte;
//! - renamed: file (4), length of the rest (2), path with `/` between components.

use afflux_metainfo::limits::{
    FILES_MAX, PATH_COMPONENT_BYTES_MAX, PATH_DEPTH_MAX, PIECE_LENGTH_MAX, TOTAL_LENGTH_MAX,
};
use afflux_metainfo::{BLOCK_LENGTH, FileIndex, PieceIndex};

use super::{Fingerprint, Partial};

const FILE_BYTES: usize = 16;
/// Stands for a file that isn't there; no length is that large.
const ABSENT: u64 = u64::MAX;
/// Most bits of a row: the largest piece has so many blocks.
const BLOCKS_MAX: u32 = PIECE_LENGTH_MAX / BLOCK_LENGTH;

pub(super) fn encode_files(files: &[Option<Fingerprint>]) -> Vec<u8> {
    let mut rows = Vec::with_capacity(files.len() * FILE_BYTES);
    for file in files {
        let (length, modified) = file.map_or((ABSENT, 0), |file| (file.length, file.modified_ns));
        rows.extend_from_slice(&length.to_be_bytes());
        rows.extend_from_slice(&modified.to_be_bytes());
    }
    rows
}

pub(super) fn decode_files(bytes: &[u8]) -> Option<Vec<Option<Fingerprint>>> {
    let (rows, rest) = bytes.as_chunks::<FILE_BYTES>();
    if !rest.is_empty() || rows.len() > FILES_MAX {
        return None;
    }
    let row = |row: &[u8; FILE_BYTES]| {
        let number = u128::from_be_bytes(*row);
        let (length, modified_ns) = ((number >> 64) as u64, number as u64 as i64);
        match length {
            ABSENT if modified_ns == 0 => Some(None),
            length if length <= TOTAL_LENGTH_MAX => Some(Some(Fingerprint { length, modified_ns })),
            _ => None,
        }
    };
    rows.iter().map(row).collect()
}

pub(super) fn encode_partial(partial: &[Partial]) -> Vec<u8> {
    let mut rows = Vec::new();
    for Partial { piece, blocks } in partial {
        let last = blocks.last().copied().unwrap_or(0).min(BLOCKS_MAX - 1);
        let mut bits = vec![0; last as usize / 8 + 1];
        for block in blocks.iter().filter(|block| **block <= last) {
            bits[*block as usize / 8] |= 0x80 >> (block % 8);
        }
        put_row(&mut rows, piece.0, &bits);
    }
    rows
}

/// Rows are ascending, each of a piece that exists, with at least one block.
pub(super) fn decode_partial(bytes: &[u8], pieces: u32) -> Option<Vec<Partial>> {
    let mut partial: Vec<Partial> = Vec::new();
    for row in Rows(bytes) {
        let (piece, bits) = row?;
        let ascending = partial.last().is_none_or(|last| last.piece.0 < piece);
        if piece >= pieces || !ascending || bits.len() > BLOCKS_MAX as usize / 8 || bits.last() == Some(&0) {
            return None;
        }
        let there = |bit: &u32| bits[*bit as usize / 8] & (0x80 >> (bit % 8)) != 0;
        let blocks: Vec<u32> = (0..bits.len() as u32 * 8).filter(there).collect();
        if blocks.is_empty() {
            return None;
        }
        partial.push(Partial { piece: PieceIndex(piece), blocks });
    }
    Some(partial)
}

pub(super) fn encode_renamed(renamed: &[(FileIndex, Vec<String>)]) -> Vec<u8> {
    let mut rows = Vec::new();
    for (file, path) in renamed {
        put_row(&mut rows, file.0, path.join("/").as_bytes());
    }
    rows
}

/// Rows are ascending, each of a file that exists. Paths are made safe again where they are used.
pub(super) fn decode_renamed(bytes: &[u8], files: usize) -> Option<Vec<(FileIndex, Vec<String>)>> {
    let mut renamed: Vec<(FileIndex, Vec<String>)> = Vec::new();
    for row in Rows(bytes) {
        let (file, path) = row?;
        let path: Vec<String> = str::from_utf8(path).ok()?.split('/').map(str::to_owned).collect();
        let fits = path.len() <= PATH_DEPTH_MAX
            && path.iter().all(|name| (1..=PATH_COMPONENT_BYTES_MAX).contains(&name.len()));
        let ascending = renamed.last().is_none_or(|(last, _)| last.0 < file);
        if file as usize >= files || !ascending || !fits {
            return None;
        }
        renamed.push((FileIndex(file), path));
    }
    Some(renamed)
}

/// A row whose content is too long for its length is left out: the most that can be lost by that is a check.
fn put_row(rows: &mut Vec<u8>, number: u32, content: &[u8]) {
    if let Ok(length) = u16::try_from(content.len()) {
        rows.extend_from_slice(&number.to_be_bytes());
        rows.extend_from_slice(&length.to_be_bytes());
        rows.extend_from_slice(content);
    }
}

/// Takes rows of a number and a content apart; `None` for one that is cut off.
struct Rows<'a>(&'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = Option<(u32, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let row = self.0.split_first_chunk::<4>().and_then(|(number, rest)| {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (content, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            Some((u32::from_be_bytes(*number), content, rest))
        });
        self.0 = row.map_or(&[], |(.., rest)| rest);
        Some(row.map(|(number, content, _)| (number, content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(piece: u32, blocks: &[u32]) -> Partial {
        Partial { piece: PieceIndex(piece), blocks: blocks.to_vec() }
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let pieces = vec![partial(0, &[0]), partial(3, &[7, 8, 300]), partial(9, &[BLOCKS_MAX - 1])];
        assert_eq!(decode_partial(&encode_partial(&pieces), 10), Some(pieces));
        let paths = vec![
            (FileIndex(0), vec!["a".to_owned()]),
            (FileIndex(2), vec!["dir".to_owned(), "h\u{e9}".to_owned()]),
        ];
        assert_eq!(decode_renamed(&encode_renamed(&paths), 3), Some(paths));
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        let good = encode_partial(&[partial(1, &[0]), partial(2, &[9])]);
        assert!(decode_partial(&good, 3).is_some());
        assert!(decode_partial(&good, 2).is_none(), "a piece that doesn't exist");
        assert!((1..good.len()).filter(|cut| *cut != 7).all(|cut| decode_partial(&good[..cut], 3).is_none()));
        let swapped = encode_partial(&[partial(2, &[9]), partial(1, &[0])]);
        assert!(decode_partial(&swapped, 3).is_none(), "twice or backwards");
        assert!(decode_partial(&[0, 0, 0, 1, 0, 1, 0], 3).is_none(), "no block at all");
        assert!(decode_partial(&[0, 0, 0, 1, 0, 0], 3).is_none(), "not even a bit");
        for path in ["", "a//b", "/a", "a/"] {
            let row = encode_renamed(&[(FileIndex(0), vec![path.to_owned()])]);
            assert!(decode_renamed(&row, 1).is_none(), "{path:?}");
        }
        assert!(decode_renamed(&encode_renamed(&[(FileIndex(1), vec!["a".to_owned()])]), 1).is_none());
        assert!(decode_renamed(&[0, 0, 0, 0, 0, 1, 0xff], 1).is_none(), "no UTF-8");
    }
}
