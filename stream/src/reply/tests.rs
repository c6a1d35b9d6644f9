use std::time::Duration;

use super::*;
use crate::media_type::media_type;

const ETAG: &str = "\"00112233445566778899aabbccddeeff00112233-3\"";

fn facts(name: &str, length: u64) -> MediaFacts {
    MediaFacts {
        length,
        etag: "00112233445566778899aabbccddeeff00112233-3".into(),
        name: name.into(),
        media_type: media_type(name),
        complete: false,
        bitrate: None,
        modified: None,
    }
}

fn ask(method: Method, headers: &[(&'static str, &str)], query: Option<&str>, facts: &MediaFacts) -> Reply {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    reply(&Asked { method: &method, headers: &map, query, nonce: 0xabc }, facts)
}

fn get(headers: &[(&'static str, &str)]) -> Reply {
    ask(Method::GET, headers, None, &facts("film.mkv", 1000))
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_plain_get_is_the_whole_file() {
    let reply = get(&[]);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.plan, Plan::Single(0..1000));
    for (name, value) in [
        ("content-length", "1000"),
        ("content-type", "video/x-matroska"),
        ("accept-ranges", "bytes"),
        ("etag", ETAG),
        ("cache-control", "private, no-transform"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox allow-scripts"),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "Content-Range, Content-Length, Accept-Ranges, ETag"),
        ("content-disposition", "inline; filename=\"film.mkv\"; filename*=UTF-8''film.mkv"),
    ] {
        assert_eq!(header(&reply, name), Some(value), "{name}");
    }
    for name in ["content-range", "content-encoding", "transfer-encoding", "access-control-allow-credentials"]
    {
        assert_eq!(header(&reply, name), None, "{name}");
    }
}

#[test]
fn accept_encoding_changes_nothing() {
    assert_eq!(get(&[("accept-encoding", "gzip, br")]), get(&[]));
}

#[test]
fn a_range_is_exactly_what_was_asked() {
    let reply = get(&[("range", "bytes=10-19")]);
    assert_eq!(reply.status, 206);
    assert_eq!(reply.plan, Plan::Single(10..20));
    assert_eq!(header(&reply, "content-range"), Some("bytes 10-19/1000"));
    assert_eq!(header(&reply, "content-length"), Some("10"));
    assert_eq!(header(&reply, "accept-ranges"), Some("bytes"));
}

#[test]
fn an_end_beyond_the_file_is_clamped() {
    let reply = get(&[("range", "bytes=0-99999999")]);
    assert_eq!((reply.status.as_u16(), header(&reply, "content-range")), (206, Some("bytes 0-999/1000")));
}

#[test]
fn a_range_that_begins_at_the_size_is_416_with_the_size() {
    let reply = get(&[("range", "bytes=1000-")]);
    assert_eq!(reply.status, 416);
    assert_eq!(header(&reply, "content-range"), Some("bytes */1000"));
    assert_eq!(header(&reply, "content-type"), Some(PROBLEM_JSON));
    let Plan::Problem(problem) = &reply.plan else { panic!("{:?}", reply.plan) };
    assert_eq!(header(&reply, "content-length"), Some(problem.to_json().len().to_string().as_str()));
}

#[test]
fn a_bad_range_is_ignored() {
    for range in ["bytes=5-4", "items=0-5", "bytes=x"] {
        assert_eq!(get(&[("range", range)]).status, 200, "{range}");
    }
    assert_eq!(get(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]).status, 200, "two headers");
}

#[test]
fn several_ranges_are_framed() {
    let reply = get(&[("range", "bytes=0-99,500-599")]);
    assert_eq!(reply.status, 206);
    let boundary = "00000000000000000000000000000abc";
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    assert_eq!(header(&reply, "content-type"), Some(content_type.as_str()));
    assert_eq!(header(&reply, "content-range"), None, "each part has its own");
    let Plan::Multipart(framing) = &reply.plan else { panic!("{:?}", reply.plan) };
    assert_eq!(framing.parts.iter().map(|(_, part)| part.clone()).collect::<Vec<_>>(), [0..100, 500..600]);
    assert_eq!(header(&reply, "content-length"), Some(framing.length().to_string().as_str()));
}

#[test]
fn head_has_the_headers_of_get_and_ignores_ranges() {
    let file = facts("film.mkv", 1000);
    let head = ask(Method::HEAD, &[("range", "bytes=0-1")], None, &file);
    let get = ask(Method::GET, &[], None, &file);
    assert_eq!((head.status, &head.headers), (get.status, &get.headers));
    assert_eq!(head.plan, Plan::Empty);
    assert_eq!(ask(Method::HEAD, &[("range", "bytes=1000-")], None, &file).status, 200);
}

#[test]
fn preconditions_go_before_the_range() {
    let beyond = ("range", "bytes=1000-");
    assert_eq!(get(&[("if-match", "\"x\""), beyond]).status, 412);
    assert_eq!(get(&[("if-none-match", ETAG), beyond]).status, 304);
    assert_eq!(get(&[("if-match", ETAG), beyond]).status, 416);
    assert_eq!(get(&[("if-match", ETAG), ("range", "bytes=0-")]).status, 206);
}

#[test]
fn if_range_decides_between_the_part_and_the_whole() {
    assert_eq!(get(&[("if-range", ETAG), ("range", "bytes=5-")]).plan, Plan::Single(5..1000));
    let other = get(&[("if-range", "\"x\""), ("range", "bytes=5-")]);
    assert_eq!((other.status.as_u16(), other.plan), (200, Plan::Single(0..1000)));
    assert_eq!(get(&[("if-range", "\"x\""), ("range", "bytes=1000-")]).status, 200);
}

#[test]
fn not_modified_carries_the_validators_and_no_body() {
    let reply = get(&[("if-none-match", ETAG)]);
    assert_eq!(reply.plan, Plan::Empty);
    assert_eq!(header(&reply, "etag"), Some(ETAG));
    assert_eq!(header(&reply, "content-length"), None);
    assert_eq!(header(&reply, "content-type"), None);
}

#[test]
fn an_empty_file_is_an_empty_answer() {
    let file = facts("empty.srt", 0);
    let whole = ask(Method::GET, &[], None, &file);
    assert_eq!((whole.status.as_u16(), header(&whole, "content-length")), (200, Some("0")));
    assert_eq!(whole.plan, Plan::Empty);
    let ranged = ask(Method::GET, &[("range", "bytes=0-")], None, &file);
    assert_eq!((ranged.status.as_u16(), header(&ranged, "content-range")), (416, Some("bytes */0")));
}

#[test]
fn other_methods_are_refused_with_what_is_allowed() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE] {
        let reply = ask(method, &[], None, &facts("film.mkv", 1000));
        assert_eq!((reply.status.as_u16(), header(&reply, "allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
}

#[test]
fn a_preflight_is_answered_without_a_body() {
    let reply = ask(Method::OPTIONS, &[("origin", "https://a.example")], None, &facts("film.mkv", 1000));
    assert_eq!(reply.status, 204);
    assert_eq!(header(&reply, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&reply, "access-control-max-age"), Some("86400"));
    let allowed = header(&reply, "access-control-allow-headers").unwrap();
    assert!(["Range", "If-Range", "Authorization"].iter().all(|name| allowed.contains(name)), "{allowed}");
}

#[test]
fn images_and_subtitles_are_shown_in_a_sandbox_where_nothing_runs() {
    for name in ["cover.jpg", "film.vtt"] {
        let reply = ask(Method::GET, &[], None, &facts(name, 10));
        assert_eq!(header(&reply, "content-security-policy"), Some("sandbox"), "{name}");
        assert!(header(&reply, "content-disposition").unwrap().starts_with("inline; "), "{name}");
    }
}

#[test]
fn what_is_not_media_is_an_attachment_in_a_sandbox() {
    let reply = ask(Method::GET, &[], None, &facts("page.html", 10));
    assert_eq!(header(&reply, "content-type"), Some("application/octet-stream"));
    assert_eq!(header(&reply, "content-security-policy"), Some("sandbox"));
    assert!(header(&reply, "content-disposition").unwrap().starts_with("attachment; "));
}

#[test]
fn download_makes_an_attachment_of_the_right_type() {
    for (query, attached) in
        [("download=1", true), ("a=b&download=1", true), ("download=0", false), ("xdownload=1", false)]
    {
        let reply = ask(Method::GET, &[], Some(query), &facts("film.mkv", 10));
        let disposition = header(&reply, "content-disposition").unwrap();
        assert_eq!(disposition.starts_with("attachment"), attached, "{query}");
        assert_eq!(header(&reply, "content-type"), Some("video/x-matroska"));
    }
}

#[test]
fn hostile_names_stay_inside_their_header() {
    let reply = ask(Method::GET, &[], None, &facts("a\"b\\c\r\nX: y/é%.mkv", 10));
    assert_eq!(
        header(&reply, "content-disposition"),
        Some(
            "inline; filename=\"a_b_c__X: y___.mkv\"; filename*=UTF-8''a%22b%5Cc%0D%0AX%3A%20y%2F%C3%A9%25.mkv"
        )
    );
    let long = ask(Method::GET, &[], None, &facts(&"é".repeat(1000), 10));
    assert!(header(&long, "content-disposition").unwrap().len() < 4 * NAME_BYTES_MAX + 100);
    let none = ask(Method::GET, &[], None, &facts("", 10));
    assert!(header(&none, "content-disposition").unwrap().contains("filename=\"file\""));
}

#[test]
fn a_complete_file_may_be_kept_by_the_client() {
    let file = MediaFacts { complete: true, ..facts("film.mkv", 10) };
    let reply = ask(Method::GET, &[], None, &file);
    assert_eq!(header(&reply, "cache-control"), Some("private, no-transform, max-age=86400"));
}

#[test]
fn a_known_date_is_told_and_compared() {
    let file =
        MediaFacts { modified: Some(UNIX_EPOCH + Duration::from_secs(784_111_777)), ..facts("film.mkv", 10) };
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(header(&ask(Method::GET, &[], None, &file), "last-modified"), Some(date));
    assert_eq!(ask(Method::GET, &[("if-modified-since", date)], None, &file).status, 304);
    assert_eq!(ask(Method::GET, &[("if-unmodified-since", date)], None, &file).status, 200);
}

#[test]
fn a_date_that_http_cannot_write_is_left_out() {
    for modified in [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(300_000_000_000)] {
        let file = MediaFacts { modified: Some(modified), ..facts("film.mkv", 10) };
        assert_eq!(header(&ask(Method::GET, &[], None, &file), "last-modified"), None);
    }
}

#[test]
fn dlna_headers_come_on_request_only() {
    assert_eq!(header(&get(&[]), "transfermode.dlna.org"), None);
    let transfer = get(&[("transfermode.dlna.org", "Streaming")]);
    assert_eq!(header(&transfer, "transfermode.dlna.org"), Some("Streaming"));
    assert_eq!(header(&transfer, "contentfeatures.dlna.org"), None);
    let features = get(&[("getcontentfeatures.dlna.org", "1")]);
    assert_eq!(header(&features, "contentfeatures.dlna.org"), Some(DLNA_FEATURES));
    assert_eq!(header(&features, "transfermode.dlna.org"), Some("Streaming"));
}

#[test]
fn a_tag_gets_its_quotes_once() {
    let file = MediaFacts { etag: ETAG.into(), ..facts("film.mkv", 10) };
    assert_eq!(header(&ask(Method::GET, &[], None, &file), "etag"), Some(ETAG));
}
