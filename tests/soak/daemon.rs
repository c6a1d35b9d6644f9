//! The daemon under test, a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::film::Film;
use crate::swarm::Swarm;

/// Short beside the time that memory takes to come and go.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Storage {
    Memory,
    Disk,
    Cache,
}

pub(crate) struct Daemon {
    child: Child,
    address: String,
    _folder: TempDir,
}

/// What the daemon's ledger says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) peak: u64,
    #[expect(dead_code, reason = "printed with the rest")]
    pub(crate) spilled: u64,
    #[expect(dead_code, reason = "printed with the rest")]
    pub(crate) read_back: u64,
}

impl Daemon {
    pub(crate) fn start(storage: Storage, memory: u64, swarm: &Swarm) -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the daemon");
        let storage = match storage {
            Storage::Memory => "memory",
            Storage::Disk => "disk",
            Storage::Cache => "cache",
        };
        let cache_size = memory.to_string();
        let disk_cache_size = (4 * memory).to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_afflux"))
            .arg("--data-dir")
            .arg(folder.path())
            .args(["--json", "serve", "--port", "0", "--auth-required", "false", "--storage", storage])
            .args(["--stream-cache-size", &cache_size, "--disk-cache-size", &disk_cache_size])
            .args(["--no-dht", "--bind", "127.0.0.1", "--peer-port", "0", "--stream-rate-limit", "1000"])
            .args(swarm.addresses().flat_map(|address| ["--peer".to_owned(), address]))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let listening = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line.ok()?).ok()?;
            Some(line["url"].as_str()?.strip_prefix("http://")?.to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: listening.expect("it says where it listens"), _folder: folder }
    }

    /// Gives a torrent to the daemon; what its film is read at.
    pub(crate) fn stream(&self, film: &Film) -> String {
        let parse = "POST /api/torrents/parse HTTP/1.1\r\nContent-Type: application/x-bittorrent\r\n";
        let answer = self.ask(parse, &film.torrent);
        let hash = answer["infoHash"].as_str().expect("a v1 torrent").to_owned();
        let stream = format!("GET /api/stream/{hash}?file=0 HTTP/1.1\r\nAccept: application/json\r\n");
        self.ask(&stream, &[])["url"].as_str().expect("a URL").to_owned()
    }

    fn info(&self, film: &Film) -> Value {
        let hash: String = film.info_hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.ask(&format!("GET /api/torrents/{hash}/info HTTP/1.1\r\n"), &[])
    }

    /// Waits until all of a film is there.
    pub(crate) fn wait_complete(&self, film: &Film, patience: Duration) {
        let begun = Instant::now();
        while self.info(film)["state"] != "seeding" {
            assert!(begun.elapsed() < patience, "the film doesn't get whole");
            std::thread::sleep(10 * SAMPLE_INTERVAL);
        }
    }

    pub(crate) fn memory(&self, film: &Film) -> Memory {
        let info = self.info(film);
        let number = |of: &str, name: &str| info[of][name].as_u64().expect("a number of bytes");
        Memory {
            peak: number("memory", "peakBytes"),
            spilled: number("spills", "spilledBytes"),
            read_back: number("spills", "readBackBytes"),
        }
    }

    fn ask(&self, head: &str, body: &[u8]) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("the daemon listens");
        let rest =
            format!("Host: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", self.address, body.len());
        stream.write_all(&[head.as_bytes(), rest.as_bytes(), body].concat()).expect("the daemon reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let (start, end) = (body.find('{'), body.rfind('}'));
        let (Some(start), Some(end)) = (start, end) else { panic!("{answer}") };
        serde_json::from_str(&body[start..=end]).expect("JSON")
    }

    /// Anonymous memory as the kernel counts it.
    pub(crate) fn anonymous_bytes(&self) -> u64 {
        anonymous_bytes(self.child.id())
    }

    /// Looks at the memory from now on.
    pub(crate) fn meter(&self) -> Meter {
        let meter = Meter { most: Arc::default(), over: Arc::default() };
        let (most, over, pid) = (Arc::clone(&meter.most), Arc::clone(&meter.over), self.child.id());
        std::thread::spawn(move || {
            while !over.load(Relaxed) {
                most.fetch_max(anonymous_bytes(pid), Relaxed);
                std::thread::sleep(SAMPLE_INTERVAL);
            }
        });
        meter
    }

    /// Waits until the memory is below; what it is then, or at the end of patience.
    pub(crate) fn wait_below(&self, bytes: u64, patience: Duration) -> u64 {
        let begun = Instant::now();
        loop {
            let now = self.anonymous_bytes();
            if now <= bytes || begun.elapsed() > patience {
                return now;
            }
            std::thread::sleep(SAMPLE_INTERVAL);
        }
    }

    pub(crate) fn end(&mut self) {
        assert!(self.child.try_wait().expect("our own child").is_none(), "it ended before it was told to");
        self.stop();
    }

    fn stop(&mut self) {
        // It holds nothing that has to be saved.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The most memory that was seen.
pub(crate) struct Meter {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Meter {
    pub(crate) fn most_bytes(self) -> u64 {
        self.over.store(true, Relaxed);
        self.most.load(Relaxed)
    }
}

/// Zero once the process has ended.
fn anonymous_bytes(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
