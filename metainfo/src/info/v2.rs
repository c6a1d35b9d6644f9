//! The file tree of a v2 `info` dictionary, and what it has to agree on with the v1 side of a hybrid (BEP
//! 52).

use super::rows::{Kind, PathBudget, Row};
use super::v1::size;
use super::{V2File, V2Info};
use crate::bencode::Dict;
use crate::error::TorrentError;
use crate::index::FileIndex;
use crate::layout::LayoutError;
use crate::limits::FILES_MAX;

/// The tree's files, in its order.
///
/// A tree that isn't sorted is refused: its order is the order of the bytes, and two readers must not
/// differ on it.
pub(super) fn read<'a>(
    info: Dict<'_, 'a>,
    name: &[u8],
    budget: &mut PathBudget,
) -> Result<Vec<Row<'a>>, TorrentError> {
    let root = info.get(b"file tree").and_then(|tree| tree.as_dict());
    let root = root.ok_or(TorrentError::Field("file tree"))?;
    if !root.is_canonical() {
        return Err(TorrentError::FileTree);
    }
    let mut rows: Vec<Row<'a>> = Vec::new();
    let mut path: Vec<&'a [u8]> = Vec::new();
    let mut open = vec![root.iter()];
    while let Some(folder) = open.last_mut() {
        let Some((name, value)) = folder.next() else {
            open.pop();
            path.pop();
            continue;
        };
        let node = value.as_dict().filter(|node| node.is_canonical() && !name.is_empty());
        let node = node.ok_or(TorrentError::FileTree)?;
        path.push(name);
        let Some(leaf) = node.get(b"") else {
            open.push(node.iter());
            continue;
        };
        // A file has no children.
        let leaf = leaf.as_dict().filter(|leaf| leaf.is_canonical() && node.iter().nth(1).is_none());
        budget.charge(&path)?;
        rows.push(row(rows.len(), path.clone(), leaf.ok_or(TorrentError::FileTree)?)?);
        if rows.len() > FILES_MAX {
            return Err(LayoutError::FileCount(rows.len()).into());
        }
        path.pop();
    }
    // One file by the torrent's own name is that file, not a folder with a file in it.
    if let [only] = &mut rows[..]
        && only.path == [name]
    {
        only.path.clear();
    }
    Ok(rows)
}

/// The rows of a v2-only torrent: each file with bytes starts at a piece, virtual padding fills the gaps.
pub(super) fn aligned(tree: Vec<Row<'_>>, piece_length: u64) -> (Vec<Row<'_>>, V2Info) {
    let mut rows = Vec::with_capacity(tree.len() * 2);
    let mut files = Vec::new();
    let mut gap = 0;
    for row in tree {
        if row.length > 0 && gap > 0 {
            rows.push(Row { path: Vec::new(), length: gap, kind: Kind::Pad, pieces_root: None });
            gap = 0;
        }
        if let Some(pieces_root) = row.pieces_root {
            files.push(V2File { file: FileIndex(rows.len() as u32), pieces_root });
            gap = row.length.next_multiple_of(piece_length) - row.length;
        }
        rows.push(row);
    }
    (rows, V2Info { files })
}

/// Compares the two halves of a hybrid: the same files in the same order, each with bytes starting at a
/// piece. Whether padding follows the last file doesn't matter.
pub(super) fn agree(listed: &[Row<'_>], tree: &[Row<'_>], piece_length: u64) -> Result<V2Info, TorrentError> {
    let mut files = Vec::new();
    let mut tree = tree.iter();
    let mut offset = 0u64;
    for (position, row) in listed.iter().enumerate() {
        if row.kind != Kind::Pad {
            let twin = tree.next().ok_or(TorrentError::HybridMismatch(position))?;
            if (&twin.path, twin.length, twin.kind) != (&row.path, row.length, row.kind) {
                return Err(TorrentError::HybridMismatch(position));
            }
            if row.length > 0 && !offset.is_multiple_of(piece_length) {
                return Err(TorrentError::HybridAlignment(position));
            }
            let file = FileIndex(position as u32);
            files.extend(twin.pieces_root.map(|pieces_root| V2File { file, pieces_root }));
        }
        // Sums that overflow are refused when the layout is made.
        offset = offset.saturating_add(row.length);
    }
    match tree.next() {
        Some(_) => Err(TorrentError::HybridMismatch(listed.len())),
        None => Ok(V2Info { files }),
    }
}

fn row<'a>(position: usize, path: Vec<&'a [u8]>, leaf: Dict<'_, 'a>) -> Result<Row<'a>, TorrentError> {
    let kind = Kind::of(leaf.get_bytes(b"attr"));
    let length = match kind {
        // v2 pads by itself: padding in the tree would be padded in turn.
        Kind::Pad => return Err(TorrentError::PadFile(position)),
        Kind::Symlink => 0,
        Kind::File => size(leaf.get(b"length")).ok_or(TorrentError::FileLength(position))?,
    };
    let pieces_root = match length {
        0 => None,
        _ => Some(pieces_root(leaf).ok_or(TorrentError::PiecesRoot(position))?),
    };
    Ok(Row { path, length, kind, pieces_root })
}

fn pieces_root(leaf: Dict<'_, '_>) -> Option<[u8; 32]> {
    let root = leaf.get_bytes(b"pieces root")?.try_into().ok()?;
    (root != [0; 32]).then_some(root)
}
