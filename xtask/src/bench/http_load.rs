//! Readers as players are, but for decoding: they take what a range server sends in the steps of a player, and forget it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::film::Film;
use super::http::{Response, Url};
use super::process::cpu_of;

/// Bytes read at once. Dropping them in the kernel (`MSG_TRUNC`) would cost the readers less, but it is done beside the server's
/// own work then, and servers that send in small steps look better than any player finds them.
const READ_BYTES: usize = 64 * 1024;

/// A response's head; none is longer.
const HEAD_BYTES_MAX: usize = 4096;

/// A server that sends nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Until connections are established and caches warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// Bytes compared before a load.
const COMPARED_BYTES: u64 = 4 * 1024 * 1024;

/// What a load took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) bytes: u64,
    pub(crate) wall: Duration,
    /// Of the server.
    pub(crate) processor: Duration,
}

impl Carried {
    pub(crate) fn mib_per_second(&self) -> f64 {
        self.mib() / self.wall.as_secs_f64()
    }

    /// MiB per second of the server's processor.
    pub(crate) fn mib_per_processor_second(&self) -> f64 {
        // The counter has steps of 10 ms.
        self.mib() / self.processor.as_secs_f64().max(0.01)
    }

    fn mib(&self) -> f64 {
        self.bytes as f64 / (1024.0 * 1024.0)
    }
}

/// Reads the film over so many connections for `span`, each by the next of `urls`, and watches what that costs the process
/// `server`.
pub(crate) fn load(
    urls: &[Url],
    server: u32,
    film: &Film,
    connections: u64,
    span: Duration,
) -> Result<Carried> {
    let load = Load::start(urls, film.length, connections);
    thread::sleep(WARM_UP);
    let (before, began) = (cpu_of(server), Instant::now());
    let first = load.shared.bytes.load(Ordering::Relaxed);
    while began.elapsed() < span && !load.shared.is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
    let bytes = load.shared.bytes.load(Ordering::Relaxed) - first;
    let (after, wall) = (cpu_of(server), began.elapsed());
    load.end()?;
    Ok(Carried { bytes, wall, processor: after.saturating_sub(before) })
}

/// Compares a stretch from the middle of what is served with the film.
pub(crate) fn compare(url: &Url, film: &Film) -> Result<()> {
    let mut place = film.length / 2 + 4321;
    let end = (place + COMPARED_BYTES).min(film.length);
    let mut response = Response::open(url, place)?;
    let mut bytes = vec![0; 64 * 1024];
    while place < end {
        let count = response.read(&mut bytes, SILENCE_MAX)?.context("the server sends nothing")?;
        if count == 0 {
            bail!("the response ended at byte {place}");
        }
        if !film.holds(place, &bytes[..count]) {
            bail!("wrong bytes between {place} and {}", place + count as u64);
        }
        place += count as u64;
    }
    Ok(())
}

/// Readers under way.
struct Load {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

struct Shared {
    bytes: AtomicU64,
    is_over: AtomicBool,
    failed: Mutex<Option<anyhow::Error>>,
}

impl Load {
    fn start(urls: &[Url], length: u64, connections: u64) -> Self {
        let shared = Arc::new(Shared {
            bytes: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            failed: Mutex::new(None),
        });
        let read = |nth: u64| {
            let (shared, url) = (Arc::clone(&shared), urls[nth as usize % urls.len()].clone());
            // Evenly over the file, as viewers are.
            let first = length / connections * nth;
            thread::spawn(move || {
                if let Err(error) = read_on(&shared, &url, first)
                    && !shared.is_over.swap(true, Ordering::Relaxed)
                {
                    *shared.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            })
        };
        let readers = (0..connections).map(read).collect();
        Self { shared, readers }
    }

    fn end(self) -> Result<()> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for reader in self.readers {
            let _ = reader.join();
        }
        match self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Reads from `first` to the end, and then all of it again and again, over one connection as long as the server keeps it.
fn read_on(shared: &Shared, url: &Url, mut first: u64) -> Result<()> {
    let mut kept = None;
    while !shared.is_over.load(Ordering::Relaxed) {
        let mut socket = match kept.take() {
            Some(socket) => socket,
            None => connect(url)?,
        };
        let request =
            format!("GET {} HTTP/1.1\r\nHost: {}\r\nRange: bytes={first}-\r\n\r\n", url.path, url.host);
        socket.write_all(request.as_bytes())?;
        let (head, early) = read_head(&mut socket)?;
        let head = Head::parse(&head)?;
        shared.bytes.fetch_add(early, Ordering::Relaxed);
        let whole = read_body(shared, &mut socket, head.length.saturating_sub(early))?;
        kept = (whole && head.keeps).then_some(socket);
        first = 0;
    }
    Ok(())
}

pub(crate) fn connect(url: &Url) -> Result<TcpStream> {
    let socket = TcpStream::connect(url.host).with_context(|| format!("{} can't be reached", url.host))?;
    socket.set_read_timeout(Some(SILENCE_MAX))?;
    Ok(socket)
}

/// The head, and how many bytes of the body came with it.
pub(crate) fn read_head(socket: &mut TcpStream) -> Result<(String, u64)> {
    let mut bytes = Vec::new();
    let mut part = [0; HEAD_BYTES_MAX];
    loop {
        let count = socket.read(&mut part).context("the server sends nothing")?;
        if count == 0 {
            bail!("the server closed before it answered");
        }
        bytes.extend_from_slice(&part[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok((head, (bytes.len() - end - 4) as u64));
        }
        if bytes.len() > HEAD_BYTES_MAX {
            bail!("the server sends a head without end");
        }
    }
}

/// What a response's head says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    pub(crate) length: u64,
    /// The connection stays open after it.
    pub(crate) keeps: bool,
}

impl Head {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let status = lines.next().unwrap_or_default();
        if !matches!(status.split(' ').nth(1), Some("200" | "206")) {
            bail!("the server answers: {status}");
        }
        let mut head = Self { length: u64::MAX, keeps: status.starts_with("HTTP/1.1") };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().context("a Content-Length that is no number")?;
            } else if name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close") {
                head.keeps = false;
            }
        }
        Ok(head)
    }
}

/// Reads `left` bytes of a body; whether all of them came before it was over.
fn read_body(shared: &Shared, socket: &mut TcpStream, mut left: u64) -> Result<bool> {
    let mut bytes = vec![0; READ_BYTES];
    while left > 0 {
        if shared.is_over.load(Ordering::Relaxed) {
            let _ = socket.shutdown(Shutdown::Both);
            return Ok(false);
        }
        let most = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let count = socket.read(&mut bytes[..most]).context("the server sends nothing more")?;
        if count == 0 {
            // Some servers end a body with the connection.
            return if left > u64::MAX / 2 {
                Ok(false)
            } else {
                bail!("the response ended {left} bytes too soon")
            };
        }
        shared.bytes.fetch_add(count as u64, Ordering::Relaxed);
        left -= count as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection with `length` zeroes, again and again; then says `last`.
    fn serve(length: usize, status: &'static str) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap();
        let serve = move |mut socket: TcpStream| {
            let mut request = [0; 1000];
            while socket.read(&mut request).is_ok_and(|count| count > 0) {
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
                if socket.write_all(&[head.as_bytes(), &vec![0; length]].concat()).is_err() {
                    return;
                }
            }
        };
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|socket| {
                thread::spawn(move || serve(socket));
            })
        });
        Url { host, path: "/film".to_owned() }
    }

    #[test]
    fn what_a_server_sends_is_counted() {
        let film = Film::new(1, 1 << 20, 1 << 20);
        let url = serve(1 << 20, "206 Partial Content");
        let carried = load(&[url], std::process::id(), &film, 3, Duration::from_millis(100)).unwrap();
        assert!(carried.bytes > 0 && carried.mib_per_second() > 0.0, "{carried:?}");
    }

    #[test]
    fn a_server_that_refuses_fails_the_load() {
        let film = Film::new(1, 1 << 20, 1 << 20);
        let url = serve(0, "503 Service Unavailable");
        let error = load(&[url], std::process::id(), &film, 2, Duration::from_secs(5)).unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
    }

    #[test]
    fn wrong_bytes_are_found() {
        let film = Film::new(1, 1 << 20, 1 << 20);
        let error = compare(&serve(1 << 19, "206 Partial Content"), &film).unwrap_err();
        assert!(error.to_string().contains("wrong bytes"), "{error}");
    }

    #[test]
    fn heads_say_how_long_and_whether_the_connection_stays() {
        let head = |text: &str| Head::parse(text).unwrap();
        assert_eq!(head("HTTP/1.1 206 x\r\nContent-length: 5"), Head { length: 5, keeps: true });
        assert_eq!(head("HTTP/1.1 200 x\r\nConnection: Close"), Head { length: u64::MAX, keeps: false });
        assert_eq!(head("HTTP/1.0 200 x\r\ncontent-length:7"), Head { length: 7, keeps: false });
    }
}
