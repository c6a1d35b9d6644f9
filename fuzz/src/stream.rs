//! Targets of the stream crate: what players and strangers put into headers.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use afflux_stream::conditions::{Outcome, Validators, evaluate};
use afflux_stream::magic::{FileFacts, HEAD_BYTES, HeadVerdict, judge_head, judge_torrent};
use afflux_stream::range::{Resolved, Spec, parse, resolve};
use afflux_stream::server::{BaseUrl, Believed, ProxyPolicy, believe};
use afflux_stream::token::{Bound, MediaKey, MediaToken, SessionId, TokenError, redact};
use http::{HeaderMap, HeaderValue};

/// A file's length (8 bytes, big endian), then a `Range` header.
///
/// Whatever it says: parts are inside the file, not empty, few, and worth their heads; what is unsatisfiable touches nothing; and
/// what was understood, written plainly, is understood the same way.
pub fn range_header(data: &[u8]) {
    let Some((length, header)) = data.split_first_chunk::<8>() else { return };
    let (length, Ok(header)) = (u64::from_be_bytes(*length), str::from_utf8(header)) else { return };
    let Some(ranges) = parse(header) else { return };
    let inside = |part: &Range<u64>| part.start < part.end && part.end <= length;
    match resolve(&ranges, length) {
        Resolved::Full => {}
        Resolved::One(part) => assert!(inside(&part), "{part:?} of {length}"),
        Resolved::Many(parts) => {
            assert!((2..=8).contains(&parts.len()) && parts.iter().all(inside), "{parts:?} of {length}");
            let sum: u64 = parts.iter().map(|part| part.end - part.start).sum();
            assert!(sum <= length, "{parts:?} of {length}");
        }
        Resolved::Unsatisfiable => assert!(ranges.specs().iter().all(|spec| match *spec {
            Spec::Between(first, _) | Spec::From(first) => first >= length,
            Spec::Last(n) => n == 0,
        })),
    }
    let plain: Vec<String> = ranges
        .specs()
        .iter()
        .map(|spec| match spec {
            Spec::Between(first, last) => format!("{first}-{last}"),
            Spec::From(first) => format!("{first}-"),
            Spec::Last(n) => format!("-{n}"),
        })
        .collect();
    assert_eq!(parse(&format!("bytes={}", plain.join(","))), Some(ranges));
}

/// Lines of conditional headers: a byte that names the header, then its value up to the line's end.
///
/// No precondition panics; without any, ranges count; and a request that names our tag everywhere is never told that the file is
/// another one.
pub fn conditions(data: &[u8]) {
    const NAMES: [&str; 5] =
        ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];
    const ETAG: &str = "\"0011-7\"";
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n').take(16) {
        let Some((name, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(NAMES[usize::from(*name) % NAMES.len()], value);
        }
    }
    for modified in [None, Some(UNIX_EPOCH + Duration::from_millis(784_111_777_500))] {
        let outcome = evaluate(&headers, Validators { etag: ETAG, modified });
        if headers.is_empty() {
            assert_eq!(outcome, Outcome::Proceed { ranges: true });
        }
        if modified.is_none() && !headers.contains_key("if-match") {
            assert_ne!(outcome, Outcome::Failed, "without If-Match or a date nothing can fail");
        }
        let mut ours = headers.clone();
        ours.insert("if-match", HeaderValue::from_static(ETAG));
        ours.insert("if-range", HeaderValue::from_static(ETAG));
        let outcome = evaluate(&ours, Validators { etag: ETAG, modified });
        assert!(matches!(outcome, Outcome::Proceed { ranges: true } | Outcome::NotModified), "{outcome:?}");
    }
}

/// Lines of what proxies say: a byte that names the header, then its value up to the line's end.
///
/// A stranger's words count for nothing and are taken off. What a proxy says names a client or leaves it the proxy, and a host that
/// makes a URL with nothing else in it.
pub fn forwarded(data: &[u8]) {
    const NAMES: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    let policy = ProxyPolicy { trusted: vec!["10.0.0.0/8".parse().expect("a network")], public_url: None };
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n').take(16) {
        let Some((name, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(NAMES[usize::from(*name) % NAMES.len()], value);
        }
    }
    let (stranger, proxy) = (([203, 0, 113, 9], 1).into(), ([10, 0, 0, 1], 1).into());
    let mut from_stranger = headers.clone();
    let believed = believe(&policy, stranger, false, &mut from_stranger);
    assert_eq!(believed, Believed { client: stranger, secure: false, host: None });
    assert!(from_stranger.is_empty());
    let Believed { client, secure, host } = believe(&policy, proxy, false, &mut headers);
    assert!(headers.contains_key("forwarded") || headers.contains_key("x-forwarded-for") || client == proxy);
    if let Some(host) = host {
        let base = BaseUrl::new(secure, &host);
        assert_eq!(base.as_str().parse::<BaseUrl>().as_ref(), Ok(&base));
        assert_eq!(base.host(), host.host());
    }
}
/// The text of a token.
///
/// A stranger's token is never right; one of ours that says the same is another text, which is right; and what reads as a token is
/// never seen in a log.
pub fn media_token(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(id) = text.parse::<SessionId>() {
        assert_eq!(id.to_string(), text);
    }
    let Ok(unverified) = MediaToken::parse(text) else { return };
    let (key, bound) = (MediaKey::new([7; 32]), Bound { user: "anna", info_hash: &[1; 20] });
    assert_eq!(unverified.verify(&key, &bound, 0), Err(TokenError::Forged), "nobody finds a MAC by chance");
    let ours = MediaToken { session: unverified.session(), file: None, expires_at: 1 };
    // Another key: the fuzzer sees what it is compared with, and would find that one's tokens.
    let other = MediaKey::new([8; 32]);
    let sealed = other.seal(&ours, &bound);
    assert_eq!(MediaToken::parse(&sealed).and_then(|sealed| sealed.verify(&other, &bound, 0)), Ok(ours));
    assert!(!redact(text).contains(text));
}

/// A line of a log.
///
/// What the router would take for an id isn't in it afterwards, doing it twice changes nothing, and a line without secrets is
/// the line.
pub fn redact_line(data: &[u8]) {
    let Ok(line) = str::from_utf8(data) else { return };
    let once = redact(line).into_owned();
    assert_eq!(redact(&once), once);
    let id: String =
        line.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(128).collect();
    if !id.is_empty() {
        assert_eq!(redact(&format!("/stream/{id}/x")), "/stream/[redacted]/x");
    }
}

/// A file's name up to the first line's end, then its first bytes; the lines of which are also the paths of a torrent.
///
/// Every file has a verdict, which the bytes behind the head don't change.
pub fn magic(data: &[u8]) {
    let cut = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (name, head) = data.split_at(cut);
    let (name, head) = (String::from_utf8_lossy(name), head.get(1..).unwrap_or_default());
    let verdict = judge_head(&name, head);
    let cut = &head[..head.len().min(HEAD_BYTES)];
    assert_eq!(judge_head(&name, cut), verdict);
    if head.is_empty() {
        assert_eq!(verdict, HeadVerdict::NoOpinion);
    }
    let text = String::from_utf8_lossy(head);
    let files: Vec<FileFacts<'_>> =
        text.lines().map(|path| FileFacts { path, length: path.len() as u64 * 400_000_000 }).collect();
    let warnings = judge_torrent(&name, &files);
    assert!(warnings.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order: {warnings:?}");
}
