//! As much of an HTTP/1.1 client as a player needs: a range of a film, read at its own pace.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A response's head is refused beyond this.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long a request may go unanswered that needs nothing from the swarm.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where something is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Url {
    pub(crate) host: SocketAddr,
    pub(crate) path: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let rest = text.trim().strip_prefix("http://").with_context(|| format!("{text} is no http URL"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = host.replace("localhost", "127.0.0.1");
        let host = host.parse().with_context(|| format!("{text} names no address and port"))?;
        Ok(Self { host, path: if path.is_empty() { "/".to_owned() } else { path.to_owned() } })
    }
}

fn head<'a>(method: &str, url: &Url, headers: impl IntoIterator<Item = &'a String>) -> String {
    let mut head = format!("{method} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", url.path, url.host);
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}

/// A response that is being read.
#[derive(Debug)]
pub(crate) struct Response {
    socket: TcpStream,
    /// What was read and not yet parsed, until the head is whole; then what of the body came with it.
    pending: Vec<u8>,
    has_head: bool,
    left: u64,
}

impl Response {
    /// Asks for the film from `first` on. The answer may come much later.
    pub(crate) fn open(url: &Url, first: u64) -> Result<Self> {
        let request =
            format!("GET {} HTTP/1.1\r\nHost: {}\r\nRange: bytes={first}-\r\n\r\n", url.path, url.host);
        Self::send(url, request.as_bytes())
    }

    /// Posts `body`; gives what is answered.
    pub(crate) fn post(url: &Url, body: &[u8]) -> Result<Vec<u8>> {
        Self::post_with(url, &[], body)
    }

    /// Posts `body` with these header lines; gives what is answered.
    pub(crate) fn post_with(url: &Url, headers: &[String], body: &[u8]) -> Result<Vec<u8>> {
        let length = format!("Content-Length: {}", body.len());
        let head = head("POST", url, headers.iter().chain([&length]));
        Self::send(url, &[head.as_bytes(), body].concat())?.whole(url)
    }

    /// Gets something small.
    pub(crate) fn fetch(url: &Url) -> Result<Vec<u8>> {
        Self::fetch_with(url, &[])
    }

    /// The same with these header lines.
    pub(crate) fn fetch_with(url: &Url, headers: &[String]) -> Result<Vec<u8>> {
        Self::send(url, head("GET", url, headers).as_bytes())?.whole(url)
    }

    /// A header of the answer to a request that is refused.
    pub(crate) fn header_of_refusal(url: &Url, name: &str) -> Result<String> {
        let mut response = Self::send(url, head("GET", url, []).as_bytes())?;
        let mut answer = Vec::new();
        response.socket.set_read_timeout(Some(PATIENCE))?;
        Read::by_ref(&mut response.socket).take(HEAD_BYTES_MAX as u64).read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let header = answer
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(it, _)| it.eq_ignore_ascii_case(name));
        header
            .map(|(_, value)| value.trim().to_owned())
            .with_context(|| format!("{} sends no {name}", url.host))
    }

    fn whole(mut self, url: &Url) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let give_up = Instant::now() + PATIENCE;
        let mut part = [0; 4096];
        while Instant::now() < give_up {
            match self.read(&mut part, PATIENCE)? {
                Some(0) => return Ok(answer),
                Some(count) => answer.extend_from_slice(&part[..count]),
                None => {}
            }
        }
        bail!("no answer from {} within {} s", url.host, PATIENCE.as_secs())
    }

    fn send(url: &Url, request: &[u8]) -> Result<Self> {
        // What a player has is what it has read: little may hide in the sockets between.
        let mut socket =
            afflux_shim::connect(url.host).with_context(|| format!("{} can't be reached", url.host))?;
        socket.set_nodelay(true)?;
        socket.write_all(request)?;
        Ok(Self { socket, pending: Vec::new(), has_head: false, left: u64::MAX })
    }

    /// Bytes of the body: nothing if none came within `wait`, zero at its end.
    pub(crate) fn read(&mut self, out: &mut [u8], wait: Duration) -> Result<Option<usize>> {
        let give_up = Instant::now() + wait;
        while !self.has_head {
            let mut part = [0; 4096];
            match self.receive(&mut part, give_up)? {
                None => return Ok(None),
                Some(0) => bail!("{} closed before it answered", self.peer()),
                Some(count) => self.pending.extend_from_slice(&part[..count]),
            }
            self.parse_head()?;
        }
        let most = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(Some(0));
        }
        let count = if self.pending.is_empty() {
            self.receive(&mut out[..most], give_up)?
        } else {
            let count = most.min(self.pending.len());
            out[..count].copy_from_slice(&self.pending[..count]);
            self.pending.drain(..count);
            Some(count)
        };
        self.left -= count.unwrap_or(0) as u64;
        Ok(count)
    }

    fn receive(&mut self, out: &mut [u8], give_up: Instant) -> Result<Option<usize>> {
        // No time at all would mean to wait without end.
        let wait = give_up.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(wait))?;
        match self.socket.read(out) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("{} broke off", self.peer())),
        }
    }

    /// Takes the head off `pending`, once it is whole.
    fn parse_head(&mut self) -> Result<()> {
        let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") else {
            if self.pending.len() > HEAD_BYTES_MAX {
                bail!("{} sends a head without end", self.peer());
            }
            return Ok(());
        };
        let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
        self.pending.drain(..end + 4);
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default();
        if !matches!(status.split(' ').nth(1), Some("200" | "206")) {
            bail!("{} answers: {status}", self.peer());
        }
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                self.left = value.trim().parse().context("a Content-Length that is no number")?;
            }
        }
        self.has_head = true;
        Ok(())
    }

    fn peer(&self) -> String {
        self.socket.peer_addr().map_or_else(|_| "the server".to_owned(), |address| address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn serve(answer: &'static [u8]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = [0; 1000];
            let _ = socket.read(&mut request).unwrap();
            // A byte at a time: heads come in whatever parts.
            answer.iter().for_each(|byte| socket.write_all(&[*byte]).unwrap());
        });
        Url { host, path: "/film".to_owned() }
    }

    fn body(answer: &'static [u8]) -> Result<Vec<u8>> {
        let mut response = Response::open(&serve(answer), 5)?;
        let (mut body, mut part) = (Vec::new(), [0; 3]);
        loop {
            match response.read(&mut part, PATIENCE)?.context("no answer")? {
                0 => return Ok(body),
                count => body.extend_from_slice(&part[..count]),
            }
        }
    }

    #[test]
    fn a_body_ends_where_the_head_says_or_with_the_connection() {
        let told = body(b"HTTP/1.1 206 Partial Content\r\ncontent-length: 5\r\n\r\nhello and more").unwrap();
        assert_eq!(told, b"hello");
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n\r\nto the end").unwrap(), b"to the end");
    }

    #[test]
    fn refusals_are_told() {
        let error = body(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err();
        assert!(error.to_string().ends_with("answers: HTTP/1.1 404 Not Found"), "{error}");
        assert!(body(b"HTTP/1.1 200").is_err());
    }

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("http://localhost:80/a/b?c\n").unwrap();
        assert_eq!((url.host.to_string().as_str(), url.path.as_str()), ("127.0.0.1:80", "/a/b?c"));
        assert!(Url::parse("https://localhost:80/").is_err() && Url::parse("http://film/").is_err());
    }
}
