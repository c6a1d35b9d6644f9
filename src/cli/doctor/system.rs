//! What the machine itself gives: folders, room, limits, other programs, the time.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};

use super::{Finding, Patient};
use crate::config::units::show_bytes;

/// Less leaves no room for resume data and the database.
const ROOM_LEAST: u64 = 64 * 1024 * 1024;
/// Less is soon full with one film.
const ROOM_SPARSE: u64 = 4 * 1024 * 1024 * 1024;
/// Files of the data folder that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// Open files beside those for peers and HTTP connections: storage, database, DHT, the program's own.
const DESCRIPTORS_BASE: u64 = 512;
/// What a connection that sends from files asks for as send buffer.
const SEND_BUFFER: u64 = afflux_stream::limits::FILE_SEND_BUFFER_BYTES as u64;
/// How long another program may take to say its version.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(4);
/// The start of 2026: no clock that runs right is before this program was made.
const YEAR_FIRST: u64 = 1_767_225_600;
/// The start of 2100.
const YEAR_LAST: u64 = 4_102_444_800;

/// All that needs no waiting, but for the file system.
pub(super) fn examine(patient: &Patient) -> Vec<Finding> {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut findings = vec![folder(&patient.data_dir), room(&patient.data_dir), secrets(&patient.data_dir)];
    findings.push(descriptors(getrlimit(Resource::Nofile).current, patient));
    findings.extend(send_buffer(std::fs::read_to_string("/proc/sys/net/core/wmem_max").ok().as_deref()));
    findings.push(clock(seconds));
    findings
}

/// Whether state can be kept, and from other users' eyes.
fn folder(path: &Path) -> Finding {
    const CHECK: &str = "data folder";
    let shown = path.display();
    let Ok(facts) = path.metadata() else {
        let parent = existing(path);
        return match is_writable(parent) {
            true => Finding::ok(CHECK, format!("{shown} isn't there yet and can be made")),
            false => Finding::fail(
                CHECK,
                format!("{shown} isn't there, and {} can't be written to", parent.display()),
                "make it for the user that runs the daemon, or say --data-dir DIR",
            ),
        };
    };
    if !facts.is_dir() {
        return Finding::fail(CHECK, format!("{shown} is no folder"), "say --data-dir DIR");
    }
    if !is_writable(path) {
        let advice = "give it to the user that runs the daemon (chown), or say --data-dir DIR";
        return Finding::fail(CHECK, format!("{shown} can't be written to"), advice);
    }
    if facts.permissions().mode() & 0o077 != 0 {
        let advice = format!("chmod 700 {shown}");
        return Finding::warn(CHECK, format!("{shown} is open to other users of this machine"), advice);
    }
    Finding::ok(CHECK, format!("{shown} can be written to, and is private"))
}

fn is_writable(path: &Path) -> bool {
    use rustix::fs::Access;
    rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// The path, or the nearest folder above it that exists.
fn existing(path: &Path) -> &Path {
    let above = path.ancestors().find(|above| above.exists());
    above.filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn room(path: &Path) -> Finding {
    const CHECK: &str = "free disk";
    let place = existing(path);
    match rustix::fs::statvfs(place) {
        Err(error) => Finding::warn(CHECK, format!("{} doesn't tell: {error}", place.display()), ""),
        Ok(facts) => judge_room(CHECK, facts.f_bavail.saturating_mul(facts.f_frsize)),
    }
}

fn judge_room(check: &'static str, free: u64) -> Finding {
    let says = format!("{} are free", show_bytes(free));
    match free {
        ..ROOM_LEAST => Finding::fail(check, says, "make room: not even the daemon's own state is safe"),
        ROOM_LEAST..ROOM_SPARSE => Finding::warn(check, says, "make room for what is to be kept on disk"),
        _ => Finding::ok(check, says),
    }
}

/// Whether others could read what tokens are signed with, or who watched what.
fn secrets(path: &Path) -> Finding {
    const CHECK: &str = "secrets";
    let Ok(entries) = std::fs::read_dir(path) else { return Finding::ok(CHECK, "none are kept yet") };
    let private = path.metadata().is_ok_and(|facts| facts.permissions().mode() & 0o077 == 0);
    let mut open: Vec<String> = entries
        .take(ENTRIES_MAX)
        .flatten()
        .filter(|entry| is_secret(&entry.file_name().to_string_lossy()))
        .filter(|entry| {
            entry.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o077 != 0)
        })
        .map(|entry| entry.path().display().to_string())
        .collect();
    open.sort();
    if open.is_empty() {
        return Finding::ok(CHECK, "no other user can read them");
    }
    let (says, advice) =
        (format!("other users may read {}", open.join(", ")), format!("chmod 600 {}", open.join(" ")));
    if private {
        Finding::warn(CHECK, says + " as soon as they get into the folder", advice)
    } else {
        Finding::fail(CHECK, says, advice)
    }
}

/// Keys, secrets and databases by their names.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = ["secret", "key", "token", ".pem", ".db", ".sqlite"];
    parts.iter().any(|part| name.contains(part))
}

fn descriptors(limit: Option<u64>, patient: &Patient) -> Finding {
    const CHECK: &str = "open files";
    let needed = DESCRIPTORS_BASE + u64::from(patient.swarm.max_peers) + u64::from(patient.http.max_conns);
    match limit {
        None => Finding::ok(CHECK, "no limit"),
        Some(limit) if limit >= needed => {
            Finding::ok(CHECK, format!("{limit} may be open, {needed} are enough"))
        }
        Some(limit) => Finding::warn(
            CHECK,
            format!("{limit} may be open, {needed} may be needed"),
            "raise the limit (LimitNOFILE= in the systemd unit, or ulimit -n), or lower --max-peers and --max-http-conns",
        ),
    }
}

/// Only Linux has it.
fn send_buffer(text: Option<&str>) -> Option<Finding> {
    const CHECK: &str = "send buffers";
    let most: u64 = text?.trim().parse().ok()?;
    Some(if most >= SEND_BUFFER {
        Finding::ok(CHECK, format!("net.core.wmem_max allows {}", show_bytes(most)))
    } else {
        Finding::warn(
            CHECK,
            format!(
                "net.core.wmem_max allows {}: files are sent in smaller steps, which costs more work",
                show_bytes(most)
            ),
            format!("sysctl -w net.core.wmem_max={SEND_BUFFER}, for many players on a fast network"),
        )
    })
}

fn clock(seconds: u64) -> Finding {
    const CHECK: &str = "clock";
    if (YEAR_FIRST..YEAR_LAST).contains(&seconds) {
        return Finding::ok(CHECK, "the time makes sense");
    }
    Finding::fail(
        CHECK,
        "the time can't be right: tokens and certificates would be refused",
        "set the clock (timedatectl set-ntp true)",
    )
}

/// The program that does some things for us.
pub(super) async fn ffprobe() -> Finding {
    let without = "what is in containers that we don't read ourselves (MPEG-PS, WMV, Ogg, FLV, MP3, FLAC and more) and how long it lasts";
    program("ffprobe", version("ffprobe").await, without)
}

fn program(name: &'static str, version: Option<String>, without: &str) -> Finding {
    match version {
        Some(version) => Finding::ok(name, version),
        None => Finding::warn(
            name,
            format!("isn't there or doesn't start: we go without {without}"),
            "install ffmpeg (apt install ffmpeg) and have it in PATH",
        ),
    }
}

/// What a program calls itself, in the first line that it says.
async fn version(name: &str) -> Option<String> {
    let mut command = tokio::process::Command::new(name);
    command.arg("-version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PROGRAM_TIMEOUT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = text.lines().next()?.split_whitespace().take(3).collect();
    output.status.success().then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::super::Verdict;
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_enter_and_one_that_is_none_are_told() {
        let place = tempfile::tempdir().unwrap();
        set_mode(place.path(), 0o700);
        assert_eq!(folder(place.path()).verdict, Verdict::Ok);
        assert_eq!(folder(&place.path().join("a/b/c")).verdict, Verdict::Ok);
        set_mode(place.path(), 0o755);
        assert_eq!(folder(place.path()).verdict, Verdict::Warn);
        std::fs::write(place.path().join("file"), "").unwrap();
        assert_eq!(folder(&place.path().join("file")).verdict, Verdict::Fail);
        assert!(!place.path().join("a").exists(), "nothing is made");
    }

    #[test]
    fn secrets_that_others_can_read_are_told_by_name() {
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("jwt.key");
        std::fs::write(&key, "secret").unwrap();
        set_mode(&key, 0o600);
        set_mode(place.path(), 0o755);
        assert_eq!(secrets(place.path()).verdict, Verdict::Ok);
        set_mode(&key, 0o644);
        let finding = secrets(place.path());
        assert!(finding.verdict == Verdict::Fail && finding.advice.contains("jwt.key"), "{finding:?}");
        set_mode(place.path(), 0o700);
        assert_eq!(secrets(place.path()).verdict, Verdict::Warn);
    }

    #[test]
    fn little_room_short_buffers_and_wrong_clocks_are_told() {
        let verdicts = [0, ROOM_LEAST, ROOM_SPARSE].map(|free| judge_room("x", free).verdict);
        assert_eq!(verdicts, [Verdict::Fail, Verdict::Warn, Verdict::Ok]);
        let verdict = |text| send_buffer(Some(text)).map(|finding| finding.verdict);
        assert_eq!(
            (verdict("212992\n"), verdict("4194304\n"), verdict("?")),
            (Some(Verdict::Warn), Some(Verdict::Ok), None)
        );
        assert_eq!(
            [0, YEAR_FIRST, YEAR_LAST].map(|at| clock(at).verdict),
            [Verdict::Fail, Verdict::Ok, Verdict::Fail]
        );
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_gone_without() {
        assert_eq!(version("afflux-no-such-program").await, None);
        assert_eq!(program("ffprobe", None, "lengths").verdict, Verdict::Warn);
    }
}
