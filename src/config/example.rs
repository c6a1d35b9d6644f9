//! The annotated example, `packaging/afflux.toml`: it can be read, has every key, and its values are the defaults.

use figment::providers::{Format, Toml};

use super::*;

const EXAMPLE: &str = include_str!("../../packaging/afflux.toml");
const TABLES: [&str; 8] =
    ["http", "auth", "streams", "downloads", "sources", "suspicious", "swarm", "limits"];

/// Keys that have no default: what the example has is only an example.
const WITHOUT_DEFAULT: [&str; 15] = [
    "jwt-keys",
    "jwt-issuer",
    "tls-cert",
    "tls-key",
    "public-url",
    "host",
    "cors-origin",
    "trusted-proxy",
    "allow-tracker",
    "deny-tracker",
    "allow-host",
    "deny-host",
    "allow-hash",
    "deny-hash",
    // With --storage cache only.
    "disk-cache-size",
];

/// The example with all its keys in force.
fn uncommented(skip: &[&str]) -> String {
    let key = |line: &str| -> Option<String> {
        let rest = line.strip_prefix('#')?;
        let (key, _) = rest.split_once(" = ")?;
        let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        (is_key && !skip.contains(&key)).then(|| rest.to_owned())
    };
    EXAMPLE.lines().map(|line| key(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

fn load(text: &str) -> Result<File, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("afflux.toml");
    std::fs::write(&path, text).unwrap();
    File::load(Some(&path))
}

/// The keys that a table may have, as the parser tells them when it meets one that isn't.
fn known_keys(table: Option<&str>) -> Vec<String> {
    let head = table.map_or(String::new(), |table| format!("[{table}]\n"));
    let failure = load(&format!("{head}no-such-key = 1\n")).unwrap_err().to_string();
    let (_, expected) = failure.split_once("expected").unwrap();
    let is_key = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    expected.split('`').filter(is_key).map(str::to_owned).collect()
}

#[test]
fn the_example_is_read_as_it_is_and_with_every_key_in_force() {
    load(EXAMPLE).unwrap();
    load(&uncommented(&[])).unwrap();
}

#[test]
fn the_example_has_every_key() {
    let example: serde_json::Value =
        figment::Figment::from(Toml::string(&uncommented(&[]))).extract().unwrap();
    let mut missing = Vec::new();
    for table in [None].into_iter().chain(TABLES.map(Some)) {
        let keys = known_keys(table);
        assert!(keys.len() >= 2, "{table:?}: {keys:?}");
        let there = table.map_or(&example, |table| &example[table]);
        missing.extend(keys.into_iter().filter(|key| there.get(key).is_none()).map(|key| (table, key)));
    }
    assert!(missing.is_empty(), "packaging/afflux.toml lacks {missing:?}");
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let file = load(&uncommented(&WITHOUT_DEFAULT)).unwrap();
    let none = File::default();
    let service = |file| format!("{:?}", ServiceOptions::default().settle(file));
    assert_eq!(service(&file), service(&none));
    let http = |file: &File| format!("{:?}", HttpOptions::default().settle(file.http.clone()).unwrap());
    assert_eq!(http(&file), http(&none));
    let auth = |file: &File| format!("{:?}", AuthOptions::default().settle(file.auth.clone()).unwrap());
    assert_eq!(auth(&file), auth(&none));
    let tuning = |file: &File| format!("{:?}", TuningOptions::default().settle(file.limits.clone()));
    assert_eq!(tuning(&file), tuning(&none));
}
