//! Keeps the rooms of the house apart: which crate may use which, and what the pure ones may not touch.
//!
//! The compiler holds most of this up by itself; what is here is what it would let pass in a single line of a
//! manifest.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::house::House;

/// Crates without sockets, files, threads, a clock or ambient randomness.
const PURE: [&str; 7] = ["metainfo", "peer", "swarm", "dht", "tracker", "media", "sim"];

/// What a pure crate may not be built with, however indirectly.
const IMPURE: [&str; 15] = [
    "async-std",
    "dashmap",
    "fastrand",
    "futures-util",
    "getrandom",
    "hyper",
    "mio",
    "polling",
    "quinn-udp",
    "rand",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tokio",
];

/// What clippy forbids in a pure crate.
const FORBIDDEN: [&str; 13] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::env::var",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::fs::File",
    "std::fs::OpenOptions",
    "std::hash::RandomState",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

/// Which of our own crates each may use.
const ARROWS: [(&str, &[&str]); 12] = [
    ("afflux-metainfo", &[]),
    ("afflux-peer", &["afflux-metainfo"]),
    ("afflux-swarm", &["afflux-metainfo", "afflux-peer"]),
    ("afflux-dht", &["afflux-metainfo"]),
    ("afflux-tracker", &["afflux-metainfo"]),
    ("afflux-storage", &["afflux-metainfo"]),
    ("afflux-media", &[]),
    ("afflux-stream", &["afflux-metainfo"]),
    (
        "afflux",
        &[
            "afflux-metainfo",
            "afflux-peer",
            "afflux-swarm",
            "afflux-dht",
            "afflux-tracker",
            "afflux-storage",
            "afflux-media",
            "afflux-stream",
            "afflux-sim",
        ],
    ),
    ("afflux-sim", &["afflux-metainfo", "afflux-peer", "afflux-swarm"]),
    ("afflux-shim", &[]),
    ("xtask", &["afflux-shim"]),
];

/// Other people's BitTorrent: something to be tested against, never a part of the product.
const TESTS_ONLY: [&str; 1] = ["mainline"];

/// An error that lists every broken boundary.
pub(crate) fn check(house: &House) -> Result<()> {
    let mut broken = arrows(house);
    for folder in PURE {
        broken.extend(purity(house, folder)?);
    }
    if let Some(product) = house.package("afflux") {
        let linked = house.linked_into(product);
        let foreign = TESTS_ONLY.iter().filter(|name| linked.contains(**name));
        broken.extend(foreign.map(|name| format!("afflux links {name}, which is for tests only")));
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("\n  "));
    }
    println!("   {} pure crates, {} arrows", PURE.len(), ARROWS.len());
    Ok(())
}

fn arrows(house: &House) -> Vec<String> {
    let mut broken = Vec::new();
    let own: BTreeSet<&str> = house.own().map(|package| package.id.as_str()).collect();
    for package in house.own() {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
            broken.push(format!("{} is not on the map: add it to ARROWS", package.name));
            continue;
        };
        for id in package.links.iter().filter(|id| own.contains(id.as_str())) {
            let used = house.own().find(|other| other.id == *id).map_or("", |other| other.name.as_str());
            if !allowed.contains(&used) {
                broken.push(format!("{} may not use {used}", package.name));
            }
        }
    }
    broken
}

fn purity(house: &House, folder: &str) -> Result<Vec<String>> {
    let name = format!("afflux-{folder}");
    let package = house.package(&name).with_context(|| format!("the workspace has no {name}"))?;
    let linked = house.linked_into(package);
    let mut broken: Vec<String> = IMPURE
        .iter()
        .filter(|impure| linked.contains(**impure))
        .map(|impure| {
            format!("{name} is pure and yet built with {impure} (cargo tree -p {name} -i {impure})")
        })
        .collect();
    let path = house.root.join(folder).join("clippy.toml");
    let rules = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    broken.extend(unforbidden(&rules).map(|rule| format!("{folder}/clippy.toml no longer forbids {rule}")));
    Ok(broken)
}

/// What these rules should forbid and don't.
fn unforbidden(rules: &str) -> impl Iterator<Item = &'static str> {
    FORBIDDEN.into_iter().filter(move |rule| !rules.contains(&format!("path = \"{rule}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_went_missing_is_named() {
        let all: String = FORBIDDEN.iter().map(|rule| format!("{{ path = \"{rule}\" }},\n")).collect();
        assert_eq!(unforbidden(&all).count(), 0);
        let missing: Vec<_> = unforbidden(&all.replace("std::fs::File\"", "")).collect();
        assert_eq!(missing, ["std::fs::File"]);
    }
}
