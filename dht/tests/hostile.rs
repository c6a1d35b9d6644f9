//! The fuzz targets' functions over their seeds and over random input, so that every test run asks a little of
//! what the fuzzer asks for long.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

#[path = "../../fuzz/src/dht.rs"]
#[allow(unreachable_pub, reason = "the fuzz crate is another crate")]
mod targets;

use std::path::Path;

use proptest::prelude::*;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry.unwrap().path()).unwrap();
    let mut seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(read).collect();
    seeds.sort();
    assert!(seeds.len() >= 5, "{target}");
    seeds
}

/// A seed with some bytes changed, and perhaps another behind it.
fn mutated(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds = prop::sample::select(seeds(target));
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (seeds.clone(), seeds, changes).prop_map(|(mut seed, other, changes)| {
        seed.extend(other);
        for (at, byte) in changes {
            let at = at.index(seed.len());
            seed[at] = byte;
        }
        seed
    })
}

#[test]
fn every_seed_passes() {
    seeds("krpc").iter().for_each(|seed| targets::krpc(seed));
    seeds("dht_node").iter().for_each(|seed| targets::dht_node(seed));
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_refused(data in prop::collection::vec(any::<u8>(), 0..200)) {
        targets::krpc(&data);
    }

    #[test]
    fn damaged_messages_are_messages_or_refused(data in mutated("krpc")) {
        targets::krpc(&data);
        targets::krpc(&data[..data.len() / 2]);
    }

    #[test]
    fn a_node_survives_strangers(data in mutated("dht_node")) {
        targets::dht_node(&data);
    }
}
