//! What each request leaves behind: an id that its answer and its log line share, and the line itself.
//!
//! A line is written when the answer is over, so that it knows how many bytes went out and how long it took. Queries are left
//! out, since tokens travel in them, and tokens in paths are hidden by whoever knows what they look like.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use tokio::time::Instant;

use super::guard::MEDIA_PREFIX;
use crate::limits::{LOGGED_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use crate::respond::nonce;

/// The header of request ids.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request is known by, in its answer and in the log. An extension of each request that the JSON service gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The header's value.
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The id that a trusted proxy gave, if it is one; from strangers the header was taken off. Else a new one.
    pub(super) fn of(headers: &HeaderMap) -> RequestId {
        let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let given = headers.get(REQUEST_ID).filter(|value| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(legal)
        });
        RequestId(given.cloned().unwrap_or_else(new_id))
    }
}

/// Sixteen hexadecimal digits: enough that no two requests of a log share them.
fn new_id() -> HeaderValue {
    let text = format!("{:016x}", nonce() as u64);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none"))
}

/// Who a request was from. The JSON service sets it as an extension of the *response*, once it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestUser(pub Arc<str>);

/// How a path is written to the log.
pub type Redact = fn(&str) -> Cow<'_, str>;

/// Hides the id of a media route, which is a key to the file: what [`ServerConfig::redact`](super::ServerConfig) is unless
/// somebody knows better.
pub fn redact_ids(path: &str) -> Cow<'_, str> {
    match path.strip_prefix(MEDIA_PREFIX).map(|rest| rest.split_once('/')) {
        None => Cow::Borrowed(path),
        Some(None) => Cow::Owned(format!("{MEDIA_PREFIX}…")),
        Some(Some((_, rest))) => Cow::Owned(format!("{MEDIA_PREFIX}…/{rest}")),
    }
}

/// One request's line, written when it is dropped: at the end of the answer, or when the client left before.
pub(super) struct Line(Option<Box<Facts>>);

struct Facts {
    id: RequestId,
    client: IpAddr,
    method: Method,
    path: String,
    user: Option<RequestUser>,
    status: Option<u16>,
    bytes: u64,
    begun: Instant,
}

impl Line {
    /// Begins a line, if anybody will read it.
    pub(super) fn begin<B>(request: &Request<B>, id: &RequestId, client: IpAddr, redact: Redact) -> Line {
        if !tracing::enabled!(target: "afflux::access", tracing::Level::INFO) {
            return Line(None);
        }
        Line(Some(Box::new(Facts {
            id: id.clone(),
            client,
            method: request.method().clone(),
            path: shown(&redact(request.uri().path())),
            user: None,
            status: None,
            bytes: 0,
            begun: Instant::now(),
        })))
    }

    /// The answer's head is there.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        if let Some(facts) = &mut self.0 {
            facts.status = Some(response.status().as_u16());
            facts.user = response.extensions().get().cloned();
        }
    }

    /// Bytes of the body went to the connection.
    pub(super) fn sent(&mut self, bytes: usize) {
        if let Some(facts) = &mut self.0 {
            facts.bytes += bytes as u64;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(facts) = self.0.take() else { return };
        let user = facts.user.as_ref().map(|user| shown(&user.0));
        tracing::info!(
            target: "afflux::access",
            id = facts.id.as_str(),
            client = %facts.client,
            method = %shown(facts.method.as_str()),
            path = %facts.path,
            // Without one the client left before it had an answer.
            status = facts.status,
            ms = facts.begun.elapsed().as_millis() as u64,
            bytes = facts.bytes,
            user = user.as_deref(),
            "request"
        );
    }
}

/// A stranger's text as it may stand in a log: one line, no control characters, not endless.
fn shown(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(LOGGED_BYTES_MAX));
    for c in text.chars() {
        if plain.len() >= LOGGED_BYTES_MAX {
            plain.push('…');
            break;
        }
        match c {
            '…' | '!'..='~' => plain.push(c),
            c => {
                let _ = write!(plain, "{}", c.escape_unicode());
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(value: &str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, value.parse().unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn ids_are_taken_over_only_when_they_are_plain() {
        assert_eq!(id_of("7f-A_b.9").as_str(), "7f-A_b.9");
        for wrong in ["", "a b", "a\"b", "{evil}", &"a".repeat(REQUEST_ID_BYTES_MAX + 1)] {
            let id = id_of(wrong);
            assert!(id.as_str().len() == 16 && id.as_str() != wrong, "{wrong:?}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }

    #[test]
    fn the_ids_of_media_routes_stay_out_of_the_log() {
        assert_eq!(redact_ids("/stream/SECRET/hls/a.ts"), "/stream/…/hls/a.ts");
        assert_eq!(redact_ids("/stream/SECRET"), "/stream/…");
        assert_eq!(redact_ids("/api/stream/0011"), "/api/stream/0011");
    }

    #[test]
    fn a_line_can_be_neither_broken_nor_flooded() {
        assert_eq!(shown("/a\n\u{1b}[2J\u{202e}b"), "/a\\u{a}\\u{1b}[2J\\u{202e}b");
        assert!(shown(&"/x".repeat(10_000)).len() < LOGGED_BYTES_MAX + 8);
    }
}
