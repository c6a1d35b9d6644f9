//! The v2 piece layers of a .torrent (BEP 52, `piece layers`), each checked against its file's root.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::bencode::Dict;
use crate::index::{BLOCK_LENGTH, FileIndex};
use crate::info::{Info, V2File, Warning};

/// The v2 piece layers of a .torrent; what is wrong or missing can be asked from peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PieceLayers(BTreeMap<FileIndex, Bytes>);

impl PieceLayers {
    /// The SHA-256 hashes of a file's pieces; `None` if the .torrent has none for it (a file of one piece
    /// needs none: its root is the hash).
    pub fn get(&self, file: FileIndex) -> Option<&[[u8; 32]]> {
        self.0.get(&file).map(|layer| layer.as_chunks::<32>().0)
    }

    /// Number of files that have one.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Reads the layers out of the outermost dictionary; `file` is the memory that it is a view of.
pub(crate) fn read(outer: Dict<'_, '_>, file: &Bytes, info: &mut Info) -> PieceLayers {
    let Some(v2) = &info.v2 else { return PieceLayers::default() };
    let Some(dict) = outer.get(b"piece layers").and_then(|layers| layers.as_dict()) else {
        return PieceLayers::default();
    };
    // By root. Many files can share one: each layer is hashed once.
    let mut offered: BTreeMap<&[u8], Offered<'_>> = BTreeMap::new();
    for (root, value) in dict.iter() {
        let layer = value.as_bytes().unwrap_or_default();
        offered.entry(root).or_insert(Offered { layer, right: None });
    }
    let mut layers = PieceLayers::default();
    for v2_file in &v2.files {
        if let Some(offered) = offered.get_mut(&v2_file.pieces_root[..])
            && offered.fits(v2_file, info)
        {
            layers.0.insert(v2_file.file, file.slice_ref(offered.layer));
        }
    }
    let wrong = offered.values().filter(|offered| offered.right != Some(true)).count();
    if wrong > 0 {
        info.warnings.push(Warning::PieceLayers(wrong));
    }
    layers
}

struct Offered<'a> {
    layer: &'a [u8],
    /// Whether it hashes to its root, once that was computed.
    right: Option<bool>,
}

impl Offered<'_> {
    fn fits(&mut self, file: &V2File, info: &Info) -> bool {
        let piece_length = info.layout.piece_length();
        let length = info.layout.file(file.file).map_or(0, |span| span.length);
        let (hashes, rest) = self.layer.as_chunks::<32>();
        let pieces = length.div_ceil(u64::from(piece_length));
        if pieces < 2 || hashes.len() as u64 != pieces || !rest.is_empty() {
            return false;
        }
        *self.right.get_or_insert_with(|| merkle_root(hashes, piece_length) == file.pieces_root)
    }
}

/// The root above a layer of piece hashes. Leaves behind the end of the file are zeros, and so the pieces
/// behind it are the roots of trees of zeros.
fn merkle_root(layer: &[[u8; 32]], piece_length: u32) -> [u8; 32] {
    let mut beyond = [0; 32];
    for _ in 0..(piece_length / BLOCK_LENGTH).ilog2() {
        beyond = parent(&beyond, &beyond);
    }
    let mut nodes = layer.to_vec();
    while nodes.len() > 1 {
        nodes = nodes.chunks(2).map(|pair| parent(&pair[0], pair.get(1).unwrap_or(&beyond))).collect();
        beyond = parent(&beyond, &beyond);
    }
    nodes.first().copied().unwrap_or(beyond)
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_filled_up_with_trees_of_zeros() {
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let zero_piece = parent(&[0; 32], &[0; 32]);
        let root = parent(&parent(&a, &b), &parent(&c, &zero_piece));
        assert_eq!(merkle_root(&[a, b, c], 32 * 1024), root);
        assert_ne!(merkle_root(&[a, b, c], 16 * 1024), root);
        let five = parent(&root, &parent(&parent(&a, &zero_piece), &parent(&zero_piece, &zero_piece)));
        assert_eq!(merkle_root(&[a, b, c, zero_piece, a], 32 * 1024), five);
    }
}
