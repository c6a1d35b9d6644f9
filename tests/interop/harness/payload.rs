//! Files to share: made from a seed, so that a failure can be repeated, and compared byte by byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `length` bytes that look random and are the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes one file named `name` of `length` bytes into `folder`.
pub(crate) fn single(folder: &Path, name: &str, seed: u64, length: usize) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, noise(seed, length)).expect("our own folder");
    path
}

/// Writes 20 files of odd sizes into `folder/name`: an empty one, some under a block, some in nested folders, names
/// outside ASCII. `scale` is about the size of the largest.
pub(crate) fn twenty(folder: &Path, name: &str, seed: u64, scale: usize) -> PathBuf {
    let root = folder.join(name);
    for nth in 0..20_usize {
        let within = match nth % 4 {
            0 => root.clone(),
            1 => root.join("one level"),
            2 => root.join("deeper/and deeper"),
            _ => root.join("Größe"),
        };
        std::fs::create_dir_all(&within).expect("our own folder");
        let length = match nth {
            3 => 0,
            4 => 1,
            5 => 16_384,
            6 => 16_383,
            _ => scale / (21 - nth) + 37 * nth,
        };
        std::fs::write(within.join(format!("file {nth:02}.bin")), noise(seed + nth as u64, length))
            .expect("our own folder");
    }
    root
}

/// Asserts that `left` and `right`, two files or two folders, hold the same names and bytes.
pub(crate) fn assert_same(left: &Path, right: &Path) {
    let (left_tree, right_tree) = (tree(left), tree(right));
    let names = |tree: &BTreeMap<PathBuf, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&left_tree),
        names(&right_tree),
        "other files in {} and {}",
        left.display(),
        right.display()
    );
    for (name, bytes) in &left_tree {
        assert!(right_tree[name] == *bytes, "{} differs", right.join(name).display());
    }
}

/// Makes the empty files of `left` in `right`: Transmission writes none.
pub(crate) fn make_empty_files(left: &Path, right: &Path) {
    let empty = tree(left).into_iter().filter(|(_, bytes)| bytes.is_empty());
    empty.for_each(|(name, _)| std::fs::write(right.join(name), []).expect("our own folder"));
}

fn tree(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(path, &PathBuf::new(), &mut found);
    found
}

fn collect(path: &Path, name: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a readable folder") {
            let entry = entry.expect("a readable folder");
            collect(&entry.path(), &name.join(entry.file_name()), found);
        }
    } else {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        found.insert(name.to_owned(), bytes);
    }
}
