use std::fs::Permissions;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::task::{Context, Poll};
use std::time::Duration;

use afflux_stream::{MediaFacts, ReadError, Reader, Window};
use bytes::Bytes;

use super::child::{Confined, Unwell};
use super::lent::Lent;
use super::limits::*;
use super::*;

/// A file in memory, of which what lies beyond `there` never comes.
struct Memory {
    facts: MediaFacts,
    bytes: Bytes,
    there: usize,
}

impl Memory {
    fn of(bytes: Vec<u8>) -> Arc<dyn Media> {
        let there = bytes.len();
        Self::partly(bytes, there)
    }

    fn partly(bytes: Vec<u8>, there: usize) -> Arc<dyn Media> {
        let facts = MediaFacts {
            length: bytes.len() as u64,
            etag: "x".to_owned(),
            name: "film.mpg".to_owned(),
            media_type: afflux_stream::media_type("film.mpg"),
            complete: false,
            bitrate: None,
            modified: None,
        };
        Arc::new(Self { facts, bytes: bytes.into(), there })
    }
}

impl Media for Memory {
    fn facts(&self) -> &MediaFacts {
        &self.facts
    }

    fn reader(&self, _: Range<u64>) -> Box<dyn Reader> {
        Box::new(MemoryReader { bytes: self.bytes.clone(), there: self.there, window: None })
    }
}

struct MemoryReader {
    bytes: Bytes,
    there: usize,
    window: Option<Window>,
}

impl Reader for MemoryReader {
    fn poll_read(&mut self, _: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        let window = self.window.expect("what is read was wanted before");
        let at = at as usize;
        assert!(window.probe && (window.position..window.end).contains(&(at as u64)), "{window:?} at {at}");
        if at >= self.there {
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.bytes.slice(at..self.there.min(at + most))))
    }

    fn set_window(&mut self, window: Window) {
        self.window = Some(window);
    }
}

/// Runs a script as ffprobe is run.
async fn run(script: &str) -> Result<Vec<u8>, Unwell> {
    run_for(script, TIME_MAX).await
}

async fn run_for(script: &str, time_max: Duration) -> Result<Vec<u8>, Unwell> {
    let arguments = ["-c", script].map(str::to_owned).into();
    Confined { program: "/bin/sh".into(), arguments, time_max }.run().await
}

async fn said(script: &str) -> String {
    String::from_utf8(run(script).await.unwrap()).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_child_runs_below_its_limits_and_can_not_raise_them() {
    let limits = said("ulimit -c; ulimit -f; ulimit -n; ulimit -t; ulimit -v").await;
    let expected = format!("0\n0\n{FILES_MAX}\n{CPU_SECONDS_MAX}\n{MEMORY_KIB_MAX}");
    assert_eq!(limits, expected);
    let hard = said("ulimit -H -c; ulimit -H -f; ulimit -H -n; ulimit -H -t; ulimit -H -v").await;
    assert_eq!(hard, expected, "and it can't raise them");
    let ours = std::process::Command::new("nice").output().unwrap().stdout;
    let ours: u32 = String::from_utf8(ours).unwrap().trim().parse().unwrap();
    assert_eq!(said("nice").await, (ours + 10).min(19).to_string());
}

#[tokio::test]
async fn a_child_has_no_environment_no_input_and_no_files_of_ours() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let variables = said("env | cut -d= -f1 | sort | tr '\\n' ' '").await;
    for variable in variables.split_whitespace() {
        assert!(["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(&variable), "{variables}");
    }
    assert_eq!(said("cat; pwd").await, "/");
    let files = said("ls -l /proc/self/fd").await;
    let secret = secret.path().display().to_string();
    assert!(files.contains("pipe:") && !files.contains(&secret), "{files}");
}

#[tokio::test]
async fn a_child_writes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("left behind");
    let written = run(&format!("echo something > '{}'", file.display())).await;
    assert!(written.is_err(), "{written:?}");
    assert!(std::fs::metadata(&file).map_or(0, |facts| facts.len()) == 0);
}

#[tokio::test]
async fn what_a_child_says_is_bounded() {
    let endless = run("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done").await;
    assert_eq!(endless, Err(Unwell::TooLong));
    let complaining = run("i=0; while [ $i -lt 9999 ]; do echo no >&2; i=$((i+1)); done; exit 3").await;
    let Err(Unwell::Failed(complaint)) = complaining else { panic!("{complaining:?}") };
    assert!(complaint.starts_with("no\nno") && complaint.len() <= COMPLAINT_BYTES_MAX);
}

#[tokio::test]
async fn a_child_that_takes_all_of_a_processor_is_ended_by_its_limit() {
    // The shell's own limit is lowered, so that this takes a second.
    assert_eq!(run("ulimit -t 1; while :; do :; done").await, Err(Unwell::Killed));
}

#[tokio::test]
async fn a_child_that_never_ends_is_ended() {
    assert_eq!(run_for("exec sleep 100000", Duration::from_millis(100)).await, Err(Unwell::TimedOut));
}

#[tokio::test]
async fn a_child_that_takes_too_much_memory_gets_none() {
    let hungry = format!("head -c {}M /dev/zero | tail -n 1 | wc -c", MEMORY_KIB_MAX / 1024 * 2);
    // `tail` keeps the last line, and all of this is one.
    assert!(said(&hungry).await != (u64::from(MEMORY_KIB_MAX) * 1024 * 2).to_string());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_not_started() {
    let nothing = Confined { program: "/nowhere/ffprobe".into(), arguments: Vec::new(), time_max: TIME_MAX };
    let ran = nothing.run().await;
    assert!(matches!(ran, Err(Unwell::NotStarted(_))), "{ran:?}");
}

/// Who belongs to a process group, by what the kernel says (field 5 of `stat`, proc(5)).
fn members(group: &str) -> usize {
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let is_member = |stat: &String| {
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        fields[2] == group && fields[0] != "Z"
    };
    stats.filter(is_member).count()
}

#[tokio::test]
async fn a_child_that_nobody_waits_for_ends_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let script = format!("sleep 1000 & sleep 1000 & echo $$ > '{}'; wait", pipe.display());
    let running = tokio::spawn(async move { run(&script).await });
    let group = tokio::task::spawn_blocking(move || std::fs::read_to_string(pipe).unwrap()).await.unwrap();
    let group = group.trim();
    assert_eq!(members(group), 3, "the shell and two others");
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    while members(group) > 0 {
        tokio::task::yield_now().await;
    }
}

async fn get(url: &str, range: &str) -> (u16, usize) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).header("range", range).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.bytes().await.map_or(0, |bytes| bytes.len()))
}

#[tokio::test]
async fn a_lent_file_has_one_url_for_so_many_requests_and_is_gone_with_its_server() {
    let lent = Lent::new(Memory::of(vec![7; 300_000])).unwrap();
    let (url, serving) = lent.open().await.unwrap();
    let asking = async {
        let (start, _) = url.rsplit_once('/').unwrap();
        let (origin, _) = start.split_once("/stream/").unwrap();
        for wrong in [format!("{start}/other"), format!("{origin}/stream/0/film"), format!("{origin}/")] {
            assert_eq!(get(&wrong, "bytes=0-9").await.0, 404, "{wrong}");
        }
        assert_eq!(get(&url, "bytes=1000-").await, (206, 299_000));
        for _ in 1..REQUESTS_MAX {
            assert_eq!(get(&url, "bytes=0-9").await, (206, 10));
        }
        assert!(lent.is_used_up());
        assert_eq!(get(&url, "bytes=0-9").await.0, 410);
    };
    tokio::select! {
        () = asking => {}
        () = serving => panic!("it ended"),
    }
    assert!(reqwest::get(&url).await.is_err(), "nobody is there");
}

#[tokio::test]
async fn a_lent_file_gives_no_more_bytes_than_it_may() {
    let lent = Lent::new(Memory::of(vec![7; READ_BYTES_MAX as usize + 500_000])).unwrap();
    let (url, serving) = lent.open().await.unwrap();
    let asking = async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut answer = client.get(&url).send().await.unwrap();
        let mut count = 0;
        while let Ok(Some(bytes)) = answer.chunk().await {
            count += bytes.len() as u64;
        }
        count
    };
    let count = tokio::select! {
        count = asking => count,
        () = serving => panic!("it ended"),
    };
    assert!(count <= READ_BYTES_MAX && lent.is_used_up(), "{count} bytes came");
}

#[tokio::test]
async fn a_program_is_looked_for_in_folders_that_are_said_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffprobe");
    let path = |text: String| Some(std::ffi::OsString::from(text));
    let here = folder.path().display();
    assert_eq!((find(None), find(path(String::new())), find(path(format!("{here}")))), (None, None, None));
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(find(path(format!("{here}"))), None, "it is no program");
    std::fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(find(path(format!(".::/nowhere:{here}"))), Some(program));
}

#[test]
fn ffprobe_is_told_its_rules_and_may_use_no_others() {
    for foreign in Foreign::ALL {
        let arguments = arguments(foreign, "http://127.0.0.1:1/stream/x/film".to_owned());
        let after = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name).unwrap();
            arguments[at + 1].as_str()
        };
        assert_eq!((after("-f"), after("-format_whitelist")), (foreign.demuxer(), foreign.demuxer()));
        assert_eq!(
            (after("-protocol_whitelist"), after("-i")),
            ("http,tcp", "http://127.0.0.1:1/stream/x/film")
        );
    }
}

#[tokio::test]
async fn a_lent_file_knows_that_its_bytes_are_waited_for() {
    let lent = Lent::new(Memory::partly(vec![7; 300_000], 100_000)).unwrap();
    let (url, serving) = lent.open().await.unwrap();
    assert!(!lent.waits());
    let waiting = async {
        while !lent.waits() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = waiting => {}
        got = get(&url, "bytes=0-") => panic!("{got:?} of what isn't there"),
        () = serving => panic!("it ended"),
    }
    assert_eq!(lent.bytes_left(), READ_BYTES_MAX - 100_000);
}

#[test]
fn a_file_whose_bytes_do_not_come_may_be_asked_about_again_and_one_that_asks_for_too_much_not() {
    let failed = || Unwell::Failed(String::new());
    for (unwell, waits, is_used_up, expected, may_pass) in [
        (Unwell::TimedOut, true, false, ProbeError::Starved, true),
        (Unwell::TimedOut, false, false, ProbeError::TooSlow, false),
        (Unwell::Killed, false, false, ProbeError::TooMuch, false),
        (Unwell::TooLong, false, false, ProbeError::TooMuch, false),
        (failed(), false, true, ProbeError::TooMuch, false),
        (failed(), false, false, ProbeError::Nothing(Foreign::Ogg), false),
        (Unwell::NotStarted("no".to_owned()), false, false, ProbeError::NotStarted("no".to_owned()), true),
    ] {
        let told = unwell.told(Foreign::Ogg, waits, is_used_up);
        assert_eq!((told.may_pass(), told), (may_pass, expected));
    }
    assert!(ProbeError::Missing(Foreign::Ogg).may_pass());
}
