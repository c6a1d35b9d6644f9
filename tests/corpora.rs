//! Replays the seed corpora of the fuzz targets, so that what fuzzing once found stays found, and keeps the
//! fuzzing folder complete: a target that misses a seed, a harness or its place in the list would silently not
//! be fuzzed.

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz crate exports them")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A seed is an example, not a data set.
const SEED_BYTES_MAX: u64 = 4096;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// What lies in a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let listing = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> =
        listing.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    paths
}

/// The names in a folder without their extensions.
fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    entries(folder).iter().filter_map(stem).collect()
}

fn listed() -> BTreeSet<String> {
    targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

#[test]
fn every_seed_holds() {
    let mut failed = Vec::new();
    for (name, target) in targets::TARGETS {
        for path in entries(&folder("corpus").join(name)) {
            let data = fs::read(&path).unwrap();
            if std::panic::catch_unwind(|| target(&data)).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "these inputs break their target: {failed:#?}");
}

#[test]
fn every_target_has_seeds_and_every_corpus_a_target() {
    assert_eq!(names(&folder("corpus")), listed());
    for name in listed() {
        let seeds = entries(&folder("corpus").join(&name));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let contents: BTreeSet<Vec<u8>> = seeds.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(contents.len(), seeds.len(), "{name} has the same seed twice");
        for seed in seeds {
            assert!(seed.metadata().unwrap().len() <= SEED_BYTES_MAX, "{} is too long", seed.display());
        }
    }
}

#[test]
fn every_target_is_handed_to_the_fuzzer() {
    assert_eq!(names(&folder("fuzz_targets")), listed());
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for (name, _) in targets::TARGETS {
        let harness = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(harness.contains(&format!("::{name}(data)")), "{name}.rs runs another target");
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is not in fuzz/Cargo.toml");
    }
}

#[test]
fn every_fuzz_function_is_in_the_list() {
    let mut found = BTreeSet::new();
    for path in entries(&folder("src")) {
        for line in fs::read_to_string(&path).unwrap().lines() {
            if let Some((name, _)) = line.strip_prefix("pub fn ").and_then(|rest| rest.split_once('(')) {
                found.insert(name.to_owned());
            }
        }
    }
    assert_eq!(found, listed());
}
