//! What the product is built from, and under which licences: `deny.toml`, checked by cargo-deny.
//!
//! Security advisories are left out: they change by the day, and whether a commit passes must not.

use anyhow::{Context, Result};

use crate::command::Command;
use crate::house::House;
use crate::tools;

/// The release whose reading of `deny.toml` is known.
const VERSION: &str = "0.20.2";

/// Built to be there soon, not to be fast: its release profile takes four CPU minutes, and it runs for a second.
const PROFILE: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];

/// Runs cargo-deny: the one that is installed, or our own in `target/tools`.
pub(crate) fn check(house: &House) -> Result<()> {
    let mut program = "cargo-deny".to_owned();
    if !tools::is_on_path(&program) {
        let own = house.root.join("target/tools/bin/cargo-deny");
        if !own.is_file() {
            tools::retry(|| install(house)).context("cargo-deny can't be installed")?;
        }
        program = own.to_str().context("the path of the repository is not UTF-8")?.to_owned();
    }
    Command::new(&program, &house.root).args(["--locked", "check", "bans", "licenses", "sources"]).run()
}

fn install(house: &House) -> Result<()> {
    let package = format!("cargo-deny@{VERSION}");
    let install =
        PROFILE.iter().fold(Command::cargo(&house.root), |command, (name, value)| command.env(name, value));
    install.args(["install", "--quiet", "--locked", "--root", "target/tools", &package]).run()
}
