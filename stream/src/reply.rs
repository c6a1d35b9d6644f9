//! The answer to a request for a file: status, headers, and which bytes make the body (RFC 9110).
//!
//! Pure: the facts of the request and of the file go in, a [`Reply`] comes out. Not here: opening the file (`library`),
//! sending the bytes (`body`).
//!
//! Every answer has a `Content-Length`, so that a cut is never taken for the end, and no content coding, so that byte
//! offsets mean the file's own bytes.

use std::fmt::Write;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::conditions::{self, Outcome, Validators};
use crate::library::{MediaFacts, OpenError};
use crate::limits::NAME_BYTES_MAX;
use crate::media_type::{Kind, MediaType};
use crate::multipart::Framing;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::range::{self, Resolved};

/// What a request says, as far as it matters for the answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The query without its `?`.
    pub query: Option<&'a str>,
    /// Something nobody can guess, new for each request: the boundary of a multipart answer.
    pub nonce: u128,
}

/// An answer but for its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// All headers but `Date`, `Server` and those of the connection.
    pub headers: HeaderMap,
    /// What makes the body.
    pub plan: Plan,
}

/// What makes a body. Lengths are already in the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: HEAD, 204, 304, an empty file.
    Empty,
    /// A problem document.
    Problem(Problem),
    /// One run of the file's bytes, never empty.
    Single(Range<u64>),
    /// Several runs with heads between them.
    Multipart(Framing),
}

/// Answers a request for a file.
pub fn reply(asked: &Asked<'_>, facts: &MediaFacts) -> Reply {
    if *asked.method == Method::OPTIONS {
        return preflight();
    }
    if *asked.method != Method::GET && *asked.method != Method::HEAD {
        return method_not_allowed();
    }
    let etag = quoted(&facts.etag);
    let validators = Validators { etag: &etag, modified: facts.modified };
    let outcome = conditions::evaluate(asked.headers, validators);
    match outcome {
        Outcome::Failed => problem(Problem::PRECONDITION_FAILED, asked.method),
        Outcome::NotModified => {
            let mut headers = HeaderMap::new();
            validator_headers(&mut headers, &etag, facts);
            cross_origin(&mut headers);
            Reply { status: StatusCode::NOT_MODIFIED, headers, plan: Plan::Empty }
        }
        Outcome::Proceed { ranges } => {
            // A range means something for GET only (RFC 9110 section 14.2).
            let wanted = if ranges && *asked.method == Method::GET {
                wanted(asked.headers, facts)
            } else {
                Resolved::Full
            };
            found(asked, facts, &etag, wanted)
        }
    }
}

/// The answer to OPTIONS for any media route, known or not: what another origin's page may ask.
pub fn preflight() -> Reply {
    let mut headers = HeaderMap::new();
    cross_origin(&mut headers);
    set(&mut headers, header::ALLOW, ALLOWED);
    set(&mut headers, header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED);
    set(
        &mut headers,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Range, If-Range, If-Match, If-None-Match, Authorization",
    );
    set(&mut headers, header::ACCESS_CONTROL_MAX_AGE, "86400");
    Reply { status: StatusCode::NO_CONTENT, headers, plan: Plan::Empty }
}

/// The answer to a method that no media route knows.
pub fn method_not_allowed() -> Reply {
    let mut reply = problem(Problem::METHOD_NOT_ALLOWED, &Method::POST);
    set(&mut reply.headers, header::ALLOW, ALLOWED);
    reply
}

/// A media route's answer that is an error. To HEAD it has the same headers and no body.
pub fn problem(problem: Problem, method: &Method) -> Reply {
    let mut headers = HeaderMap::new();
    cross_origin(&mut headers);
    set(&mut headers, header::CONTENT_TYPE, PROBLEM_JSON);
    set(&mut headers, header::CACHE_CONTROL, "no-store");
    set(&mut headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(problem.to_json().len()));
    let status = problem.status;
    let plan = if *method == Method::HEAD { Plan::Empty } else { Plan::Problem(problem) };
    Reply { status, headers, plan }
}

/// The answer to a request for a file that the library doesn't open.
pub fn refusal(error: OpenError, method: &Method) -> Reply {
    let wait = if let OpenError::Later(_, wait) = &error { Some(*wait) } else { None };
    let mut reply = problem(error.into(), method);
    if let Some(wait) = wait {
        // Rounded up: a client that comes on the second is in time.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        reply.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    reply
}

const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// What DLNA renderers want to hear about seeking by bytes, once they ask: byte seek, original, streaming and background
/// transfer, connection stalling, DLNA 1.5.
const DLNA_FEATURES: &str = "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000";
const DLNA_ASKS_FEATURES: HeaderName = HeaderName::from_static("getcontentfeatures.dlna.org");
const DLNA_FEATURES_NAME: HeaderName = HeaderName::from_static("contentfeatures.dlna.org");
const DLNA_TRANSFER: HeaderName = HeaderName::from_static("transfermode.dlna.org");

/// What the `Range` header asks for; two such headers are as good as none.
fn wanted(headers: &HeaderMap, facts: &MediaFacts) -> Resolved {
    let mut values = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Resolved::Full };
    match value.to_str().ok().and_then(range::parse) {
        Some(ranges) => range::resolve(&ranges, facts.length),
        None => Resolved::Full,
    }
}

/// 200, 206 or 416.
fn found(asked: &Asked<'_>, facts: &MediaFacts, etag: &str, wanted: Resolved) -> Reply {
    if wanted == Resolved::Unsatisfiable {
        let mut reply = problem(Problem::RANGE_NOT_SATISFIABLE, asked.method);
        set(&mut reply.headers, header::CONTENT_RANGE, &format!("bytes */{}", facts.length));
        set(&mut reply.headers, header::ACCEPT_RANGES, "bytes");
        set(&mut reply.headers, header::ETAG, etag);
        return reply;
    }
    let mut headers = HeaderMap::new();
    validator_headers(&mut headers, etag, facts);
    describing_headers(&mut headers, asked, facts);
    cross_origin(&mut headers);
    dlna(&mut headers, asked.headers);
    let content_type = facts.media_type.content_type();
    let (status, content_type, length, plan) = match wanted {
        Resolved::One(part) => {
            let content_range = format!("bytes {}-{}/{}", part.start, part.end - 1, facts.length);
            set(&mut headers, header::CONTENT_RANGE, &content_range);
            (StatusCode::PARTIAL_CONTENT, content_type.to_owned(), part.end - part.start, Plan::Single(part))
        }
        Resolved::Many(parts) => {
            let boundary = format!("{:032x}", asked.nonce);
            let framing = Framing::new(&boundary, content_type, parts, facts.length);
            let content_type = format!("multipart/byteranges; boundary={boundary}");
            (StatusCode::PARTIAL_CONTENT, content_type, framing.length(), Plan::Multipart(framing))
        }
        Resolved::Full | Resolved::Unsatisfiable => {
            (StatusCode::OK, content_type.to_owned(), facts.length, Plan::Single(0..facts.length))
        }
    };
    set(&mut headers, header::CONTENT_TYPE, &content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let plan = if *asked.method == Method::HEAD || length == 0 { Plan::Empty } else { plan };
    Reply { status, headers, plan }
}

/// What caches and later requests compare by. A file that is all here can be kept for a day; one under way never changes
/// either, but what a cache holds of it could be the part before a cut.
fn validator_headers(headers: &mut HeaderMap, etag: &str, facts: &MediaFacts) {
    set(headers, header::ETAG, etag);
    if let Some(modified) = facts.modified.filter(|time| has_http_date(*time)) {
        set(headers, header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    }
    let cache = if facts.complete { "private, no-transform, max-age=86400" } else { "private, no-transform" };
    set(headers, header::CACHE_CONTROL, cache);
}

/// Whether HTTP can write the time: from 1970 to 9999. Times of files can be anything.
fn has_http_date(time: SystemTime) -> bool {
    const YEAR_10000_SECONDS: u64 = 253_402_300_800;
    time.duration_since(UNIX_EPOCH).is_ok_and(|since| since.as_secs() < YEAR_10000_SECONDS)
}

/// What the file is called and may do in a browser.
fn describing_headers(headers: &mut HeaderMap, asked: &Asked<'_>, facts: &MediaFacts) {
    set(headers, header::ACCEPT_RANGES, "bytes");
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, header::CONTENT_SECURITY_POLICY, sandbox(facts.media_type));
    let attached = !facts.media_type.inline || asks_download(asked.query);
    set(headers, header::CONTENT_DISPOSITION, &disposition(&facts.name, attached));
}

/// Whatever a browser takes a file for: it has no origin, opens nothing and runs nothing. A film in a tab has nothing to run, but
/// begins to play by itself only where scripts could (Chromium 156).
fn sandbox(media_type: MediaType) -> &'static str {
    match media_type.kind {
        Kind::Video | Kind::Audio => "sandbox allow-scripts",
        _ => "sandbox",
    }
}

/// Any page may read a media route: whoever has the URL has the right to the bytes, and cookies play no part.
fn cross_origin(headers: &mut HeaderMap) {
    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, "Content-Range, Content-Length, Accept-Ranges, ETag");
}

fn dlna(headers: &mut HeaderMap, asked: &HeaderMap) {
    let features = asked.get(DLNA_ASKS_FEATURES).is_some_and(|value| value.as_bytes() == b"1");
    if features {
        set(headers, DLNA_FEATURES_NAME, DLNA_FEATURES);
    }
    if features || asked.contains_key(DLNA_TRANSFER) {
        set(headers, DLNA_TRANSFER, "Streaming");
    }
}

fn asks_download(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "download=1" || pair == "download=true"))
}

/// `Content-Disposition` (RFC 6266): a plain name that any client can read, and the true one in UTF-8 (RFC 8187).
fn disposition(name: &str, attached: bool) -> String {
    let kind = if attached { "attachment" } else { "inline" };
    let name = if name.is_empty() { "file" } else { cut(name, NAME_BYTES_MAX) };
    let plain: String =
        name.chars()
            .map(|c| {
                if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%' | '/') || c == ' ' { c } else { '_' }
            })
            .collect();
    let mut text = format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The beginning of a text, at most `bytes_max` bytes long.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A tag in its quotes, whether it came with them or not; what may not stand in a tag is left out.
fn quoted(etag: &str) -> String {
    let inner: String = etag.chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect();
    format!("\"{inner}\"")
}

/// Sets a header. Every value here is ours or made of plain ASCII; one that isn't legal would be our mistake, and is left out
/// rather than let a file's name stop the server.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value);
    debug_assert!(value.is_ok(), "an illegal value for {name}");
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
