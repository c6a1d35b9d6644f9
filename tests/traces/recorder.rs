//! A proxy between a player and a daemon that writes down what is asked. It changes nothing but the `Host`, keeps each connection of
//! the player to one of its own, and hangs up on either side when the other does.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{End, Request};
use crate::harness::wait_for;

/// Bytes of a head; no player's has more than a kilobyte.
const HEAD_BYTES_MAX: u64 = 16 * 1024;
/// Passed on at once: bodies are counted to this.
const STEP_BYTES: usize = 16 * 1024;
/// What the kernel may hold for a player that doesn't read: what it hasn't taken shouldn't count.
const SEND_BUFFER_BYTES: usize = 32 * 1024;
/// How often the player is looked at while the daemon has nothing to send.
const LOOK: Duration = Duration::from_millis(20);

/// A running proxy; it stops when dropped.
pub(crate) struct Recorder {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    upstream: String,
    began: Instant,
    connections: AtomicUsize,
    open: AtomicUsize,
    stopped: AtomicBool,
    requests: Mutex<Vec<Request>>,
}

impl Recorder {
    /// Between players and the server at `base`.
    pub(crate) fn start(base: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State {
            upstream: base.strip_prefix("http://").expect("an http URL").trim_end_matches('/').to_owned(),
            began: Instant::now(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            requests: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || listen(&listener, &shared));
        Self { address, state }
    }

    /// Where a player finds here what is at `url` there.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(&self.state.upstream, &self.address.to_string(), 1)
    }

    /// What was asked, once no connection is open any more: the player has ended.
    pub(crate) fn finish(self) -> Vec<Request> {
        wait_for("the player's connections end", || {
            (self.state.open.load(Ordering::SeqCst) == 0).then_some(())
        });
        let mut requests = self.state.requests().clone();
        requests.sort_by(|one, next| one.at.total_cmp(&next.at));
        let first = requests.first().map_or(0.0, |request| request.at);
        for request in &mut requests {
            request.at = ((request.at - first) * 1000.0).round() / 1000.0;
        }
        requests
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().expect("no holder panics")
    }
}

fn listen(listener: &TcpListener, state: &Arc<State>) {
    for client in listener.incoming() {
        if state.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        state.open.fetch_add(1, Ordering::SeqCst);
        let conn = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            // Either side may hang up at any moment: that ends the conversation and nothing else.
            let _ = converse(&client, &state, conn);
            let _ = client.shutdown(Shutdown::Both);
            state.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// One connection of the player, request by request.
fn converse(client: &TcpStream, state: &State, conn: usize) -> io::Result<()> {
    let upstream = TcpStream::connect(&state.upstream)?;
    socket2::SockRef::from(client).set_send_buffer_size(SEND_BUFFER_BYTES)?;
    client.set_nodelay(true)?;
    let (mut asks, mut answers) = (BufReader::new(client), BufReader::new(&upstream));
    loop {
        let Some((line, headers)) = head(&mut asks)? else { return Ok(()) };
        let at = state.began.elapsed().as_secs_f64();
        pass_on(&upstream, &line, &headers, Some(&state.upstream))?;
        upstream.set_read_timeout(None)?;
        let Some((status_line, answer)) = head(&mut answers)? else { return Ok(()) };
        let method = line.split(' ').next().unwrap_or_default().to_owned();
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let length = find(&answer, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let length = if method == "HEAD" || status == 304 { 0 } else { length };
        let (bytes_written, end) = match pass_on(client, &status_line, &answer, None) {
            Ok(()) => body(client, &mut answers, length)?,
            Err(_) => (0, End::ClientClosed),
        };
        let kept = |name: &str| !["host", "range"].iter().any(|other| name.eq_ignore_ascii_case(other));
        let range = find(&headers, "range").map(str::to_owned);
        let closes = [&headers, &answer].iter().any(|headers| {
            find(headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
        });
        let headers: BTreeMap<String, String> = headers.into_iter().filter(|(name, _)| kept(name)).collect();
        state.requests().push(Request { at, conn, method, range, status, bytes_written, end, headers });
        if end != End::Complete || closes {
            return Ok(());
        }
    }
}

type Headers = Vec<(String, String)>;

/// The first line of a head, and its headers; `None` at the end of the stream.
fn head(wire: &mut impl BufRead) -> io::Result<Option<(String, Headers)>> {
    let mut limited = wire.take(HEAD_BYTES_MAX);
    let mut line = || -> io::Result<String> {
        let mut text = String::new();
        limited.read_line(&mut text)?;
        Ok(text.trim_end().to_owned())
    };
    let first = line()?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let text = line()?;
        let Some((name, value)) = text.split_once(':') else { return Ok(Some((first, headers))) };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Passes a head on, to another host if one is given.
fn pass_on(mut to: &TcpStream, line: &str, headers: &Headers, host: Option<&str>) -> io::Result<()> {
    let mut text = format!("{line}\r\n");
    for (name, value) in headers {
        let value = host.filter(|_| name.eq_ignore_ascii_case("host")).unwrap_or(value);
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    to.write_all(text.as_bytes())
}

fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Passes a body on; says how much of it, and how it ended.
fn body(mut client: &TcpStream, answers: &mut BufReader<&TcpStream>, length: u64) -> io::Result<(u64, End)> {
    let (mut passed, mut step) = (0, vec![0; STEP_BYTES]);
    answers.get_ref().set_read_timeout(Some(LOOK))?;
    while passed < length {
        let most = step.len().min(usize::try_from(length - passed).unwrap_or(usize::MAX));
        match answers.read(&mut step[..most]) {
            Ok(0) => return Ok((passed, End::ServerClosed)),
            Ok(count) => {
                if client.write_all(&step[..count]).is_err() {
                    return Ok((passed, End::ClientClosed));
                }
                passed += count as u64;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if has_left(client)? {
                    return Ok((passed, End::ClientClosed));
                }
            }
            Err(_) => return Ok((passed, End::ServerClosed)),
        }
    }
    Ok((passed, End::Complete))
}

/// Whether the player has closed its side. What it may have sent meanwhile stays.
fn has_left(client: &TcpStream) -> io::Result<bool> {
    client.set_nonblocking(true)?;
    let peeked = client.peek(&mut [0]);
    client.set_nonblocking(false)?;
    Ok(match peeked {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    })
}
