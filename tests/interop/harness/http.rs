//! Just enough of an HTTP client to read ranges as a player does, and to see exactly what comes back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::PATIENCE;

/// A response whose body is still to be read.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: BufReader<TcpStream>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The whole body, as long as `Content-Length` promises.
    pub(crate) fn bytes(mut self) -> Vec<u8> {
        let length = self.header("content-length").expect("a length").parse().expect("a number");
        let mut bytes = vec![0; length];
        self.body.read_exact(&mut bytes).expect("the body comes to its end");
        bytes
    }
}

/// Asks for `url`, with a `Range` if one is given.
pub(crate) fn get(url: &str, range: Option<(u64, u64)>) -> Response {
    let range = range.map(|(first, last)| format!("Range: bytes={first}-{last}\r\n")).unwrap_or_default();
    request("GET", url, &range, &[])
}

/// Asks for `url` as JSON, which must be there.
pub(crate) fn json(url: &str) -> Value {
    let response = request("GET", url, "Accept: application/json\r\n", &[]);
    let (status, bytes) = (response.status, response.bytes());
    assert_eq!(status, 200, "{url}: {}", String::from_utf8_lossy(&bytes));
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Sends `body` of a media type to `url`.
pub(crate) fn post(url: &str, media_type: &str, body: &[u8]) -> Response {
    let headers = format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len());
    request("POST", url, &headers, body)
}

/// The same, to change what is there.
pub(crate) fn patch(url: &str, media_type: &str, body: &[u8]) -> Response {
    let headers = format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len());
    request("PATCH", url, &headers, body)
}

fn request(method: &str, url: &str, headers: &str, body: &[u8]) -> Response {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (authority, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(authority).unwrap_or_else(|error| panic!("{authority}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    let head =
        format!("{method} /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).expect("the server reads requests");
    self::head(BufReader::new(stream))
}

fn head(mut body: BufReader<TcpStream>) -> Response {
    let mut line = || {
        let mut text = String::new();
        body.read_line(&mut text).expect("the server answers");
        text.trim_end().to_owned()
    };
    let status = line();
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    let headers = std::iter::from_fn(|| Some(line()).filter(|text| !text.is_empty()))
        .filter_map(|text| text.split_once(':').map(|(key, value)| (key.to_owned(), value.trim().to_owned())))
        .collect();
    Response { status, headers, body }
}
