//! The workspace as cargo describes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::Command;

/// The workspace: where it is, and what it is built from.
pub(crate) struct House {
    /// The repository's folder.
    pub(crate) root: PathBuf,
    /// Every package of the build, ours and others', for all platforms and features.
    pub(crate) packages: Vec<Package>,
}

/// A package.
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Where it comes from; nothing for a folder.
    pub(crate) source: Option<String>,
    /// Its integration tests.
    pub(crate) tests: Vec<String>,
    pub(crate) features: BTreeSet<String>,
    /// Ids of the packages that it links or builds with (not those of its tests).
    pub(crate) links: BTreeSet<String>,
}

impl House {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask is a folder of the repository")?.to_owned();
        let text = Command::cargo(&root)
            .args(["metadata", "--format-version", "1", "--all-features", "--locked"])
            .output()
            .context("if Cargo.lock isn't up to date: run `cargo check` and commit it")?;
        let metadata: Value = serde_json::from_str(&text).context("cargo metadata printed no JSON")?;
        Ok(Self { root, packages: packages(&metadata)? })
    }

    /// The package of this name; ours, where several have it.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages
            .iter()
            .filter(|package| package.name == name)
            .min_by_key(|package| package.source.is_some())
    }

    /// The packages that are folders of the repository.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }

    /// Names of all that ends up in a build of `package`, itself included.
    pub(crate) fn linked_into(&self, package: &Package) -> BTreeSet<&str> {
        let by_id: BTreeMap<&str, &Package> =
            self.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let mut seen = BTreeSet::new();
        let mut names = BTreeSet::new();
        let mut open = vec![package.id.as_str()];
        while let Some(id) = open.pop() {
            if let Some(package) = by_id.get(id).filter(|_| seen.insert(id)) {
                names.insert(package.name.as_str());
                open.extend(package.links.iter().map(String::as_str));
            }
        }
        names
    }
}

fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let mut links = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let id = text(&node["id"])?;
        let linked = list(&node["deps"])
            .iter()
            .filter(|dependency| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev"));
        links.insert(id, linked.map(|dependency| text(&dependency["pkg"])).collect::<Result<_>>()?);
    }
    let mut read = |package: &Value| -> Result<Package> {
        let id = text(&package["id"])?;
        let tests = list(&package["targets"])
            .iter()
            .filter(|target| list(&target["kind"]).iter().any(|kind| kind == "test"))
            .map(|target| text(&target["name"]))
            .collect::<Result<_>>()?;
        let features = package["features"].as_object().context("cargo metadata lacks features")?;
        Ok(Package {
            name: text(&package["name"])?,
            source: package["source"].as_str().map(str::to_owned),
            tests,
            features: features.keys().cloned().collect(),
            links: links.remove(&id).unwrap_or_default(),
            id,
        })
    };
    list(&metadata["packages"]).iter().map(&mut read).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).context("cargo metadata has another form than expected")
}
