//! What the product is built from, and under which licences: the rules of `deny.toml`.
//!
//! cargo-deny reads the same file and checks more (advisories, texts of licences). Building it takes longer than
//! all our tests, so that the gate has this small check of its own: licences, sources and banned crates.

use std::fs;

use anyhow::{Context, Result, bail};
use toml::Value;

use crate::house::{House, Package};

/// The rules.
struct Rules {
    licenses: Vec<String>,
    registries: Vec<String>,
    bans: Vec<Ban>,
}

/// A crate that nothing, or only the `wrappers`, may depend on.
struct Ban {
    name: String,
    wrappers: Vec<String>,
    reason: String,
}

/// An error that lists everything that may not be used.
pub(crate) fn check(house: &House) -> Result<()> {
    let text = fs::read_to_string(house.root.join("deny.toml")).context("deny.toml")?;
    let rules = Rules::read(&text).context("deny.toml")?;
    let broken: Vec<String> =
        house.packages.iter().flat_map(|package| rules.broken_by(house, package)).collect();
    if !broken.is_empty() {
        bail!("{}", broken.join("\n  "));
    }
    println!("   {} packages", house.packages.len());
    Ok(())
}

impl Rules {
    fn read(text: &str) -> Result<Self> {
        let rules: Value = toml::from_str(text)?;
        let bans = rules["bans"]["deny"].as_array().context("bans.deny is no list")?;
        Ok(Self {
            licenses: strings(&rules["licenses"]["allow"])?,
            registries: strings(&rules["sources"]["allow-registry"])?,
            bans: bans.iter().map(Ban::read).collect::<Result<_>>()?,
        })
    }

    fn broken_by(&self, house: &House, package: &Package) -> Vec<String> {
        let mut broken = Vec::new();
        let name = format!("{} {}", package.name, package.version);
        match &package.license {
            None => broken.push(format!("{name} says no licence")),
            Some(license) if !permits(license, &self.licenses) => {
                broken.push(format!("{name} has the licence {license}, which deny.toml doesn't allow"));
            }
            Some(_) => {}
        }
        if let Some(source) = &package.source {
            let registry = source.strip_prefix("registry+");
            if !registry.is_some_and(|url| self.registries.iter().any(|allowed| allowed == url)) {
                broken.push(format!("{name} comes from {source}, which deny.toml doesn't allow"));
            }
        }
        for ban in self.bans.iter().filter(|ban| ban.name == package.name) {
            let users = house.packages.iter().filter(|user| user.depends.contains(&package.id));
            for user in users.filter(|user| !ban.wrappers.contains(&user.name)) {
                broken.push(format!("{} uses {name}: {}", user.name, ban.reason));
            }
        }
        broken
    }
}

impl Ban {
    fn read(value: &Value) -> Result<Self> {
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let wrappers = value.get("wrappers").map_or(Ok(Vec::new()), strings)?;
        Ok(Self { name: field("crate"), wrappers, reason: field("reason") })
    }
}

fn strings(value: &Value) -> Result<Vec<String>> {
    let list = value.as_array().context("a list is missing")?;
    list.iter()
        .map(|item| item.as_str().map(str::to_owned).context("a list holds something else than text"))
        .collect()
}

/// Whether an SPDX expression can be met with the allowed licences alone. What can't be read permits nothing.
///
/// `AND` binds tighter than `OR`; `/` is an old way to write `OR`. `X WITH Y` is one licence.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced =
        expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "\0");
    let words: Vec<String> =
        spaced.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace('\0', " WITH ")).collect();
    let mut words = words.iter().map(String::as_str).peekable();
    let result = any_of(&mut words, allowed);
    result == Some(true) && words.next().is_none()
}

type Words<'a, I> = std::iter::Peekable<I>;

fn any_of<'a, I: Iterator<Item = &'a str>>(words: &mut Words<'a, I>, allowed: &[String]) -> Option<bool> {
    let mut met = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed)?;
    }
    Some(met)
}

fn all_of<'a, I: Iterator<Item = &'a str>>(words: &mut Words<'a, I>, allowed: &[String]) -> Option<bool> {
    let mut met = single(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        met &= single(words, allowed)?;
    }
    Some(met)
}

fn single<'a, I: Iterator<Item = &'a str>>(words: &mut Words<'a, I>, allowed: &[String]) -> Option<bool> {
    match words.next()? {
        "(" => {
            let met = any_of(words, allowed)?;
            words.next_if_eq(&")").map(|_| met)
        }
        "OR" | "AND" | ")" => None,
        license => Some(allowed.iter().any(|other| other == license)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(expression: &str) -> bool {
        let allowed = ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"];
        permits(expression, &allowed.map(str::to_owned))
    }

    #[test]
    fn a_choice_needs_one_allowed_licence_and_a_sum_all() {
        for fine in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-2.0/MIT",
            "MIT AND ISC",
            "ISC AND (GPL-3.0-only OR MIT)",
            "GPL-3.0-only OR MIT AND ISC",
            "Apache-2.0 WITH LLVM-exception AND ISC",
        ] {
            assert!(permitted(fine), "{fine}");
        }
        for wrong in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR ISC) AND GPL-3.0-only",
            "MIT AND GPL-3.0-only OR GPL-2.0-only",
            "GPL-3.0-only WITH LLVM-exception",
        ] {
            assert!(!permitted(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_read_permits_nothing() {
        for wrong in ["", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT ISC", "()", "MIT AND AND ISC"] {
            assert!(!permitted(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_rules_are_read_from_the_file_that_cargo_deny_reads() {
        let rules = Rules::read(include_str!("../../deny.toml")).unwrap();
        assert!(rules.licenses.iter().any(|license| license == "MIT"));
        assert_eq!(rules.registries.len(), 1);
        assert!(rules.bans.iter().any(|ban| ban.name == "mainline" && !ban.wrappers.is_empty()));
    }
}
