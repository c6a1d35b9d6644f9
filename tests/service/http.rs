//! An HTTP/1.1 client that does what it is told and shows what comes back, byte by byte: players and scripts are no more than
//! that, and attackers less.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::harness::PATIENCE;

/// A request to be sent.
#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &str, url: &str) -> Self {
        Self { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn range(self, first: usize, last: usize) -> Self {
        self.header("Range", &format!("bytes={first}-{last}"))
    }

    pub(crate) fn body(mut self, media_type: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header("Content-Type", media_type)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().as_bytes())
    }

    /// Sends it and reads the answer's head.
    pub(crate) fn send(&self) -> Answer {
        self.try_send().unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.url))
    }

    /// The same where the server may hang up.
    pub(crate) fn try_send(&self) -> io::Result<Answer> {
        let rest = self.url.strip_prefix("http://").expect("an http URL");
        let (authority, path) = rest.split_once('/').expect("a path");
        let stream = connect(authority)?;
        let mut head = format!("{} /{path} HTTP/1.1\r\nConnection: close\r\n", self.method);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head.push_str(&format!("Host: {authority}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || !matches!(self.method.as_str(), "GET" | "HEAD") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        (&stream).write_all(head.as_bytes())?;
        // A server that has refused already needn't read the rest.
        let _ = (&stream).write_all(&self.body);
        Answer::read(stream, self.method == "HEAD")
    }
}

/// A connection whose silences are bounded.
pub(crate) fn connect(authority: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// An answer whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    wire: BufReader<TcpStream>,
    rest: Rest,
}

/// What is still to come of a body.
enum Rest {
    Bytes(u64),
    /// Of this chunk; the next one's head comes then.
    Chunk(u64),
    UntilClose,
}

impl Answer {
    pub(crate) fn read(stream: TcpStream, is_head: bool) -> io::Result<Self> {
        let mut wire = BufReader::new(stream);
        let status = line(&mut wire)?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut headers = Vec::new();
        loop {
            let text = line(&mut wire)?;
            let Some((name, value)) = text.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Self { status, headers, wire, rest: Rest::UntilClose };
        answer.rest = match (answer.header("content-length"), answer.header("transfer-encoding")) {
            _ if is_head || matches!(status, 204 | 304) => Rest::Bytes(0),
            (Some(length), _) => Rest::Bytes(length.parse().map_err(io::Error::other)?),
            (None, Some(_)) => Rest::Chunk(0),
            (None, None) => Rest::UntilClose,
        };
        Ok(answer)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Where it comes from.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.wire.get_ref()
    }

    /// Bytes that have come and weren't asked for yet.
    pub(crate) fn buffered(&self) -> usize {
        self.wire.buffer().len()
    }

    /// The whole body.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).expect("the body comes to its end");
        bytes
    }

    /// The next bytes of the body, so many.
    pub(crate) fn next(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.read_exact(&mut bytes).expect("the body goes on");
        bytes
    }

    /// What comes until the server ends the body, well or not.
    pub(crate) fn until_cut(mut self) -> Vec<u8> {
        let (mut buffer, mut bytes) = ([0; 65_536], Vec::new());
        while let Ok(count @ 1..) = self.read(&mut buffer) {
            bytes.extend(&buffer[..count]);
        }
        bytes
    }

    /// The body, which must be JSON with a good status.
    pub(crate) fn value(self) -> Value {
        let status = self.status;
        let bytes = self.bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!((200..300).contains(&status), "{status}: {text}");
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The status and the code of what must be a problem document.
    #[track_caller]
    pub(crate) fn problem(self) -> (u16, String) {
        let status = self.status;
        let kind = self.header("content-type").map(str::to_owned);
        let bytes = self.bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status}: {text}");
        let problem: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(problem["status"], status, "{text}");
        (status, problem["code"].as_str().expect("a code").to_owned())
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Rest::Chunk(0) = self.rest {
            let mut size = line(&mut self.wire)?;
            if size.is_empty() {
                size = line(&mut self.wire)?;
            }
            let size = u64::from_str_radix(&size, 16).map_err(io::Error::other)?;
            self.rest = if size == 0 { Rest::Bytes(0) } else { Rest::Chunk(size) };
        }
        let (Rest::Bytes(left) | Rest::Chunk(left)) = &mut self.rest else { return self.wire.read(buffer) };
        let most = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let count = self.wire.read(&mut buffer[..most])?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= count as u64;
        Ok(count)
    }
}

fn line(wire: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    if wire.read_line(&mut text)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(text.trim_end().to_owned())
}
