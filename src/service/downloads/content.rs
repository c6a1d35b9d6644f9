//! How much of what a download wants is there.

use std::ops::Range;

use afflux_metainfo::{Bitfield, FileIndex, Layout, PieceIndex};

/// What a download wants of its torrent, and what is there of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) wanted_bytes: u64,
    pub(super) have_bytes: u64,
    /// The first component of the paths of all its files, in small letters: whatever lies there is the torrent's.
    pub(super) top: String,
}

impl Content {
    /// Counts. Without `files` all are wanted; numbers that the torrent doesn't have are nothing.
    pub(super) fn new(layout: &Layout, files: Option<&[FileIndex]>, have: &Bitfield) -> Self {
        let (mut wanted_bytes, mut have_bytes) = (0, 0);
        for range in wanted(layout, files) {
            wanted_bytes += range.end - range.start;
            have_bytes += overlap(layout, have, range);
        }
        Self { wanted_bytes, have_bytes, top: top(layout) }
    }

    /// Whether everything wanted is there.
    pub(super) fn is_whole(&self) -> bool {
        self.have_bytes == self.wanted_bytes
    }

    /// From 0 to 1.
    pub(super) fn progress(&self) -> f64 {
        if self.is_whole() { 1.0 } else { self.have_bytes as f64 / self.wanted_bytes as f64 }
    }
}

/// The first component of all paths, as it is compared: not every file system tells large letters from small ones.
pub(super) fn top(layout: &Layout) -> String {
    let first = layout.files().first().and_then(|file| file.path.first());
    first.map(|name| name.to_lowercase()).unwrap_or_default()
}

/// A sentence about the first of these numbers that is no file of the torrent.
pub(super) fn check(layout: &Layout, files: Option<&[FileIndex]>) -> Result<(), String> {
    if files.is_some_and(<[FileIndex]>::is_empty) {
        return Err("the link names only files that the torrent doesn't have".to_owned());
    }
    let is_file = |file: FileIndex| layout.file(file).is_some_and(|file| !file.pad);
    match files.and_then(|files| files.iter().find(|&&file| !is_file(file))) {
        Some(file) => {
            let count = layout.files().len();
            Err(format!(
                "the torrent has no file {file}: \"files\" has numbers from 0 to {}",
                count.saturating_sub(1)
            ))
        }
        None => Ok(()),
    }
}

fn wanted<'a>(
    layout: &'a Layout,
    files: Option<&'a [FileIndex]>,
) -> Box<dyn Iterator<Item = Range<u64>> + 'a> {
    let real = |file: &&afflux_metainfo::layout::FileSpan| !file.pad;
    match files {
        None => Box::new(layout.files().iter().filter(real).map(|file| file.range())),
        Some(files) => {
            Box::new(files.iter().filter_map(|&file| layout.file(file)).filter(real).map(|file| file.range()))
        }
    }
}

/// Bytes of a range that lie in pieces that are there.
fn overlap(layout: &Layout, have: &Bitfield, range: Range<u64>) -> u64 {
    let pieces = layout.pieces_of(range.clone()).map(PieceIndex).filter(|&piece| have.contains(piece));
    let parts = pieces.map(|piece| {
        let start = layout.piece_offset(piece);
        let end = start + u64::from(layout.length_of(piece));
        end.min(range.end) - start.max(range.start)
    });
    parts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let rows = [("a", 10, false), (".pad", 6, true), ("b", 20, false), ("c", 0, false)];
        let rows = rows.map(|(name, length, pad)| (vec!["Set".to_owned(), name.to_owned()], length, pad));
        Layout::new(16, rows).unwrap()
    }

    fn have(pieces: &[u32]) -> Bitfield {
        let mut have = Bitfield::new(3);
        for &piece in pieces {
            have.insert(PieceIndex(piece));
        }
        have
    }

    #[test]
    fn bytes_of_wanted_files_are_counted_and_padding_is_not() {
        let files = [FileIndex(2), FileIndex(3)];
        let count = |files: Option<&[FileIndex]>, pieces: &[u32]| {
            let content = Content::new(&layout(), files, &have(pieces));
            (content.wanted_bytes, content.have_bytes, content.is_whole())
        };
        assert_eq!(count(None, &[]), (30, 0, false));
        assert_eq!(count(None, &[0, 2]), (30, 14, false));
        assert_eq!(count(Some(&files), &[1]), (20, 16, false));
        assert_eq!(count(Some(&files), &[1, 2]), (20, 20, true));
        assert_eq!(count(Some(&[FileIndex(3)]), &[]), (0, 0, true), "an empty file is there");
        assert_eq!(count(Some(&[FileIndex(1), FileIndex(9)]), &[]), (0, 0, true));
        assert_eq!(Content::new(&layout(), None, &have(&[])).top, "set");
    }

    #[test]
    fn numbers_that_are_no_files_are_named() {
        assert_eq!(check(&layout(), None), Ok(()));
        assert!(check(&layout(), Some(&[])).is_err());
        assert_eq!(check(&layout(), Some(&[FileIndex(0), FileIndex(3)])), Ok(()));
        for wrong in [1, 4, u32::MAX] {
            let sentence = check(&layout(), Some(&[FileIndex(0), FileIndex(wrong)])).unwrap_err();
            assert!(
                sentence.contains(&format!("no file {wrong}")) && sentence.contains("0 to 3"),
                "{sentence}"
            );
        }
    }
}
