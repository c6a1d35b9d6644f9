//! Other people's clients and players, against which ours is tested: found, or installed on Debian.
//!
//! What the tests may rely on afterwards:
//! - the programs of `TOOLS` are found by name;
//! - `target/venv/bin/python3` imports libtorrent and has the packages of `PYTHON`;
//! - VLC, which refuses to run as root, runs as `VLC_AS_NOBODY` says: the same binary, with root's rights given up
//!   for the one process. That needs no patched copy and no account, and works in a network namespace.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::house::House;

/// A program, and the Debian packages that bring it.
struct Tool {
    program: &'static str,
    packages: &'static [&'static str],
}

const TOOLS: [Tool; 14] = [
    Tool { program: "aria2c", packages: &["aria2"] },
    Tool { program: "c++", packages: &["g++"] },
    Tool { program: "chromium", packages: &["chromium"] },
    Tool { program: "curl", packages: &["curl"] },
    Tool { program: "cvlc", packages: &["vlc-bin", "vlc-plugin-base"] },
    Tool { program: "ffmpeg", packages: &["ffmpeg"] },
    Tool { program: "ffprobe", packages: &["ffmpeg"] },
    Tool { program: "ip", packages: &["iproute2"] },
    Tool { program: "mpv", packages: &["mpv"] },
    Tool { program: "opentracker", packages: &["opentracker"] },
    Tool { program: "python3", packages: &["python3-venv"] },
    Tool { program: "setpriv", packages: &["util-linux"] },
    Tool { program: "transmission-create", packages: &["transmission-cli"] },
    Tool { program: "transmission-daemon", packages: &["transmission-daemon"] },
];

/// The libtorrent whose behaviour the tests know, from PyPI.
const LIBTORRENT: &str = "2.1.1";

/// Packages from PyPI that hold the API against its description, in the releases whose verdicts the tests know.
const PYTHON: [(&str, &str); 2] = [("schemathesis", "4.32.5"), ("openapi-spec-validator", "0.9.0")];

/// How VLC is started by root: as Debian's user and group `nobody`.
const VLC_AS_NOBODY: [&str; 5] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cvlc"];

/// Attempts at what needs the network, and the wait between them: mirrors and proxies have bad moments.
const ATTEMPTS: u32 = 3;
const RETRY_WAIT: Duration = Duration::from_secs(5);

/// Makes sure of all that the tests use: what is found is used as it is, what isn't is installed.
pub(crate) fn provide_all(house: &House) -> Result<()> {
    if !missing().is_empty() {
        install(house, &missing())?;
    }
    let still: Vec<&str> = missing().iter().map(|tool| tool.program).collect();
    if !still.is_empty() {
        bail!("not found even after installing: {}", still.join(", "));
    }
    println!("   {} programs are there", TOOLS.len());
    provide_libtorrent(house)?;
    PYTHON.iter().try_for_each(|(package, release)| provide_python(house, package, release))?;
    check_vlc()
}

/// Makes sure of one program, which these Debian packages bring.
pub(crate) fn provide(house: &House, program: &'static str, packages: &'static [&'static str]) -> Result<()> {
    if !is_on_path(program) {
        install(house, &[&Tool { program, packages }])?;
    }
    if !is_on_path(program) {
        bail!("{program} not found even after installing");
    }
    Ok(())
}

/// Whether a program is found by name, by us and so by the tests.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        folder
            .join(program)
            .metadata()
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !is_on_path(tool.program)).collect()
}

/// Whether we are root, seen by the owner of our own process.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn install(house: &House, tools: &[&Tool]) -> Result<()> {
    let programs: Vec<&str> = tools.iter().map(|tool| tool.program).collect();
    let mut packages: Vec<&str> = tools.iter().flat_map(|tool| tool.packages).copied().collect();
    packages.sort_unstable();
    packages.dedup();
    let (programs, wanted) = (programs.join(", "), packages.join(" "));
    if !is_on_path("apt-get") {
        bail!("{programs} not found, and this is no Debian: install them by hand");
    }
    if !is_root() {
        bail!("{programs} not found: run `apt-get install {wanted}` as root");
    }
    let _quiet = NoServices::start()?;
    let apt = || Command::new("apt-get", &house.root).env("DEBIAN_FRONTEND", "noninteractive");
    retry(|| apt().args(["update"]).run())?;
    retry(|| apt().args(["install", "-y", "--no-install-recommends"]).args(packages.iter().copied()).run())
        .with_context(|| format!("{programs} not found, and the packages {wanted} can't be installed"))
}

/// While this lives, installing a package starts no daemon: Debian asks this file first. The tests start their own
/// trackers and clients, and another one on the same port would answer in their place.
struct NoServices {
    /// The file, if it was us who made it.
    made: Option<PathBuf>,
}

impl NoServices {
    fn start() -> Result<Self> {
        let path = Path::new("/usr/sbin/policy-rc.d");
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).mode(0o755).open(path) {
            Ok(mut file) => {
                let policy = Self { made: Some(path.to_owned()) };
                file.write_all(b"#!/bin/sh\nexit 101\n").with_context(|| path.display().to_string())?;
                Ok(policy)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { made: None }),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(path) = &self.made
            && let Err(error) = fs::remove_file(path)
        {
            eprintln!("xtask: {} stays behind and keeps services from starting: {error}", path.display());
        }
    }
}

/// Makes sure of the libtorrent that the tests know, in `target/venv`.
pub(crate) fn provide_libtorrent(house: &House) -> Result<()> {
    provide_python_libtorrent(house, "target/venv", LIBTORRENT)
}

/// Makes sure of a release of libtorrent in a virtual environment of Python.
pub(crate) fn provide_python_libtorrent(house: &House, folder: &str, release: &str) -> Result<()> {
    let venv = house.root.join(folder);
    let python = venv.join("bin/python3");
    let python = python.to_str().context("the path of the repository is not UTF-8")?;
    let found = || {
        Command::new(python, &house.root)
            .args(["-c", "import libtorrent; print(libtorrent.__version__)"])
            .output()
    };
    if !found().is_ok_and(|version| is_libtorrent(release, &version)) {
        make_venv(house, &venv)?;
        let wanted = format!("libtorrent=={release}");
        retry(|| Command::new(python, &house.root).args(["-m", "pip", "install", "--quiet", &wanted]).run())
            .with_context(|| format!("libtorrent {release} can't be installed from PyPI into {folder}"))?;
        let version = found()?;
        if !is_libtorrent(release, &version) {
            bail!("{folder} has libtorrent {}, not {release}: remove the folder", version.trim());
        }
    }
    println!("   libtorrent {release} is in {folder}");
    Ok(())
}

/// Makes sure of a release of a package beside libtorrent.
fn provide_python(house: &House, package: &str, release: &str) -> Result<()> {
    let python = house.root.join("target/venv/bin/python3");
    let python = python.to_str().context("the path of the repository is not UTF-8")?;
    let script = format!("from importlib.metadata import version; print(version('{package}'))");
    let is_there = || {
        let found = Command::new(python, &house.root).args(["-c", &script]).output();
        found.is_ok_and(|found| found.trim() == release)
    };
    if !is_there() {
        let wanted = format!("{package}=={release}");
        retry(|| Command::new(python, &house.root).args(["-m", "pip", "install", "--quiet", &wanted]).run())
            .with_context(|| format!("{package} {release} can't be installed from PyPI into target/venv"))?;
        if !is_there() {
            bail!("target/venv has another {package} than {release}: remove the folder");
        }
    }
    println!("   {package} {release} is in target/venv");
    Ok(())
}

/// Its binding says a fourth number (2.1.1.0).
fn is_libtorrent(release: &str, version: &str) -> bool {
    version.trim().strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn make_venv(house: &House, folder: &Path) -> Result<()> {
    let folder = folder.to_str().context("the path of the repository is not UTF-8")?;
    // Debian's python3 comes without it.
    let can = Command::new("python3", &house.root).args(["-c", "import ensurepip, venv"]).succeeds();
    if !can {
        install(house, &[&Tool { program: "Python's ensurepip", packages: &["python3-venv"] }])?;
    }
    Command::new("python3", &house.root).args(["-m", "venv", "--clear", folder]).run()
}

fn check_vlc() -> Result<()> {
    let command: &[&str] = if is_root() { &VLC_AS_NOBODY } else { &["cvlc"] };
    let version = Command::new(command[0], Path::new("/"))
        .env("HOME", "/tmp")
        .args(command[1..].iter().copied())
        .arg("--version")
        .output()
        .context("VLC doesn't run")?;
    println!("   {}", version.lines().next().unwrap_or("VLC says no version"));
    Ok(())
}

/// Tries what needs the network a few times.
pub(crate) fn retry(mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) => eprintln!("   {error:#}; again in {} s", RETRY_WAIT.as_secs()),
        }
        thread::sleep(RETRY_WAIT);
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_libtorrent_will_do() {
        assert!(is_libtorrent("2.1.1", "2.1.1.0\n") && is_libtorrent("2.1.1", "2.1.1"));
        assert!(!is_libtorrent("2.1.1", "2.1.10") && !is_libtorrent("2.1.1", "2.0.8.0"));
    }

    #[test]
    fn programs_are_found_where_they_are() {
        assert!(is_on_path("sh"));
        assert!(!is_on_path("no-such-program-anywhere"));
    }
}
