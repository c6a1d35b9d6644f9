//! Asks what a player asked, on as many connections, and hangs up where it did. Every byte that comes is held against the file, every
//! head against RFC 9110.
//!
//! A response that its player left is held open until the next one has begun: the harder case, and what players do that look
//! into a file's tail before they close its head.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::{End, Request, Trace};
use crate::harness::PATIENCE;

/// Read at once.
const STEP_BYTES: usize = 64 * 1024;
/// At a player's own tempo, the last response is read for this long at most.
const LAST: Duration = Duration::from_secs(4);

/// When things are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tempo {
    /// As soon as the one before was read as far as its player read it.
    AtOnce,
    /// As the player did; what hasn't come by the time of its next request isn't waited for.
    AsRecorded,
}

/// What came of a sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) requests: usize,
    /// Bytes of bodies that came.
    pub(crate) received: u64,
    /// The same, each place of the file counted once.
    pub(crate) distinct: u64,
    /// Bytes that aren't the file's.
    pub(crate) wrong: u64,
    /// What else was wrong, in words.
    pub(crate) faults: Vec<String>,
}

/// One connection.
struct Line {
    conn: usize,
    wire: BufReader<TcpStream>,
    /// Bytes still to come of the response under way.
    left: u64,
    closes: bool,
}

/// A response's head.
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Replays a sequence against a URL of `film`.
pub(crate) fn replay(trace: &Trace, url: &str, film: &[u8], tempo: Tempo) -> Replayed {
    let mut replay = Replay {
        url,
        film,
        began: Instant::now(),
        tempo,
        etag: None,
        line: None,
        told: Replayed::default(),
        read: Vec::new(),
    };
    for (nth, request) in trace.requests.iter().enumerate() {
        if let Err(error) = replay.step(request, trace.requests.get(nth + 1)) {
            replay.told.faults.push(format!("request {}: {error}", nth + 1));
        }
    }
    replay.told.distinct = distinct(replay.read);
    replay.told
}

struct Replay<'a> {
    url: &'a str,
    film: &'a [u8],
    began: Instant,
    tempo: Tempo,
    etag: Option<String>,
    /// The newest connection, with what is left of its last response.
    line: Option<Line>,
    told: Replayed,
    read: Vec<Range<u64>>,
}

impl Replay<'_> {
    fn step(&mut self, request: &Request, next: Option<&Request>) -> io::Result<()> {
        if self.tempo == Tempo::AsRecorded {
            let begins = self.began + Duration::from_secs_f64(request.at);
            std::thread::sleep(begins.saturating_duration_since(Instant::now()));
        }
        self.told.requests += 1;
        let goes_on = |line: &mut Line| line.conn == request.conn && line.left == 0 && !line.closes;
        let (mut line, held) = match self.line.take_if(goes_on) {
            Some(line) => (line, None),
            None => (self.dial(request.conn)?, self.line.take()),
        };
        line.wire.get_ref().set_read_timeout(Some(PATIENCE))?;
        self.ask(&line, request)?;
        let head = read_head(&mut line.wire)?;
        // Only now does the player leave the one before.
        drop(held);
        let closes = |value: &str| value.eq_ignore_ascii_case("close");
        line.closes = head.get("connection").is_some_and(closes)
            || request
                .headers
                .iter()
                .any(|(name, value)| name.eq_ignore_ascii_case("connection") && closes(value));
        let part = self.judge(request, &head);
        line.left = head.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if request.method == "HEAD" || head.status == 304 {
            line.left = 0;
        }
        let until = (self.tempo == Tempo::AsRecorded).then(|| match next {
            Some(next) => self.began + Duration::from_secs_f64(next.at),
            None => Instant::now() + LAST,
        });
        // What a player has read to its end it waits for.
        let (most, until) = match request.end {
            End::Complete => (line.left, None),
            End::ClientClosed | End::ServerClosed => (line.left.min(request.bytes_written), until),
        };
        self.read(&mut line, part, most, until)?;
        self.line = Some(line);
        Ok(())
    }

    fn authority(&self) -> (&str, &str) {
        let rest = self.url.strip_prefix("http://").expect("an http URL");
        rest.split_once('/').expect("a path")
    }

    fn dial(&self, conn: usize) -> io::Result<Line> {
        let stream = TcpStream::connect(self.authority().0)?;
        stream.set_nodelay(true)?;
        Ok(Line { conn, wire: BufReader::new(stream), left: 0, closes: false })
    }

    fn ask(&self, line: &Line, request: &Request) -> io::Result<()> {
        let (host, path) = self.authority();
        let mut text = format!("{} /{path} HTTP/1.1\r\nHost: {host}\r\n", request.method);
        for (name, value) in &request.headers {
            let names_the_file = ["if-match", "if-none-match", "if-range"]
                .iter()
                .any(|other| name.eq_ignore_ascii_case(other));
            // Theirs was of another server.
            let value = self.etag.as_ref().filter(|_| names_the_file).unwrap_or(value);
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(range) = &request.range {
            text.push_str(&format!("Range: {range}\r\n"));
        }
        text.push_str("\r\n");
        line.wire.get_ref().write_all(text.as_bytes())
    }

    /// Holds a head against what RFC 9110 asks of it; the part of the file that follows.
    fn judge(&mut self, request: &Request, head: &Head) -> Range<u64> {
        let length = self.film.len() as u64;
        let is_known = |name: &str| name.eq_ignore_ascii_case("if-none-match") && self.etag.is_some();
        let (status, part) = match request.headers.keys().any(|name| is_known(name)) {
            // The only tag that a replay names is the film's: what the client has is as good (RFC 9110 section 13.2.2).
            true => (304, 0..0),
            false => answer(&request.method, request.range.as_deref(), length),
        };
        let content_range = match status {
            206 => Some(format!("bytes {}-{}/{length}", part.start, part.end - 1)),
            416 => Some(format!("bytes */{length}")),
            _ => None,
        };
        let etag = head.get("etag").map(str::to_owned);
        let mut expect = |what: &str, is: Option<String>, should: Option<String>| {
            if is != should {
                self.told.faults.push(format!("{what} of {:?}: {is:?}, not {should:?}", request.range));
            }
        };
        expect("status", Some(head.status.to_string()), Some(status.to_string()));
        expect("Content-Range", head.get("content-range").map(str::to_owned), content_range);
        if matches!(status, 200 | 206) {
            let promised = head.get("content-length").map(str::to_owned);
            expect("Content-Length", promised, Some((part.end - part.start).to_string()));
            expect("Accept-Ranges", head.get("accept-ranges").map(str::to_owned), Some("bytes".to_owned()));
            expect("Transfer-Encoding", head.get("transfer-encoding").map(str::to_owned), None);
        }
        if status != 416 {
            let known = self.etag.clone().or(etag.clone());
            expect("ETag", etag.clone(), known.filter(|etag| etag.starts_with('"')));
            self.etag = etag;
        }
        part
    }

    /// Reads `most` bytes of a body, which should be this part of the file, as long as there is time.
    fn read(
        &mut self,
        line: &mut Line,
        part: Range<u64>,
        most: u64,
        until: Option<Instant>,
    ) -> io::Result<()> {
        let (mut at, mut buffer) = (part.start, vec![0; STEP_BYTES]);
        let begun = at;
        let mut left = most;
        while left > 0 {
            if let Some(until) = until {
                let time = until.saturating_duration_since(Instant::now());
                if time.is_zero() {
                    break;
                }
                line.wire.get_ref().set_read_timeout(Some(time))?;
            }
            let step = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = match line.wire.read(&mut buffer[..step]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if until.is_some() && is_timeout(&error) => break,
                Err(error) => return Err(error),
            };
            self.told.received += count as u64;
            if part.start < part.end {
                let right = &self.film[at as usize..];
                let wrong = buffer[..count].iter().zip(right).filter(|(is, should)| is != should).count();
                self.told.wrong += wrong as u64 + count.saturating_sub(right.len()) as u64;
                at += count as u64;
            }
            (left, line.left) = (left - count as u64, line.left - count as u64);
        }
        self.read.push(begun..at);
        Ok(())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The status that a request for a file has to get, and the part of it: RFC 9110 sections 14 and 15.5.17, as far as players go.
fn answer(method: &str, range: Option<&str>, length: u64) -> (u16, Range<u64>) {
    let whole = (200, 0..length);
    let Some(spec) = range.filter(|_| method == "GET").and_then(|range| range.strip_prefix("bytes=")) else {
        return whole;
    };
    let Some((first, last)) = spec.split_once('-') else { return whole };
    let part = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..length.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => length.saturating_sub(count)..length,
        _ => return whole,
    };
    if part.start >= length { (416, 0..0) } else { (206, part) }
}

fn read_head(wire: &mut BufReader<TcpStream>) -> io::Result<Head> {
    let mut line = || -> io::Result<String> {
        let mut text = String::new();
        if wire.read_line(&mut text)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(text.trim_end().to_owned())
    };
    let status =
        line()?.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    let mut headers = Vec::new();
    loop {
        let text = line()?;
        let Some((name, value)) = text.split_once(':') else { return Ok(Head { status, headers }) };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Bytes in ranges that may overlap.
fn distinct(mut ranges: Vec<Range<u64>>) -> u64 {
    ranges.sort_by_key(|range| range.start);
    let (mut sum, mut upto) = (0, 0);
    for range in ranges {
        sum += range.end.saturating_sub(range.start.max(upto));
        upto = upto.max(range.end);
    }
    sum
}
