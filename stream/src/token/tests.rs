use proptest::prelude::*;

use super::*;

const BOUND: Bound<'_> = Bound { user: "anna", info_hash: &[7; 20] };

fn key() -> MediaKey {
    MediaKey::new([1; 32])
}

fn token() -> MediaToken {
    MediaToken { session: SessionId(*b"sixteen bytes..."), file: Some(3), expires_at: 1_000 }
}

fn verify(text: &str, bound: &Bound<'_>, now: u64) -> Result<MediaToken, TokenError> {
    MediaToken::parse(text)?.verify(&key(), bound, now)
}

#[test]
fn a_sealed_token_says_what_went_in() {
    for file in [None, Some(0), Some(u32::MAX)] {
        let token = MediaToken { file, ..token() };
        let text = key().seal(&token, &BOUND);
        assert_eq!(text.len(), TOKEN_CHARS);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{text}");
        assert_eq!(MediaToken::parse(&text).unwrap().session(), token.session);
        assert_eq!(verify(&text, &BOUND, 999), Ok(token));
    }
}

/// The value was computed with Python's `hmac`: it keeps tokens valid from one version to the next.
#[test]
fn the_format_stays_as_it_is() {
    let text = key().seal(&token(), &BOUND);
    assert_eq!(text, "AXNpeHRlZW4gYnl0ZXMuLi4BAAAAAwAAAAAAAAPoqDZaDoSxLHYrIcPajYu2XQ");
}

#[test]
fn a_token_ends_with_its_second() {
    let text = key().seal(&token(), &BOUND);
    assert_eq!(verify(&text, &BOUND, 1_000), Err(TokenError::Expired));
    assert_eq!(verify(&text, &BOUND, u64::MAX), Err(TokenError::Expired));
}

#[test]
fn a_token_is_worth_nothing_for_another_user_torrent_or_key() {
    let text = key().seal(&token(), &BOUND);
    for bound in [
        Bound { user: "anne", ..BOUND },
        Bound { user: "", ..BOUND },
        Bound { info_hash: &[8; 20], ..BOUND },
        Bound { info_hash: &[7; 32], ..BOUND },
        // The same bytes in a row, cut elsewhere.
        Bound { user: "anna\u{7}", info_hash: &[7; 19] },
    ] {
        assert_eq!(verify(&text, &bound, 0), Err(TokenError::Forged), "{bound:?}");
    }
    let other = MediaKey::new([2; 32]);
    assert_eq!(MediaToken::parse(&text).unwrap().verify(&other, &BOUND, 0), Err(TokenError::Forged));
}

#[test]
fn a_forged_token_is_not_told_that_it_expired() {
    let other = MediaKey::new([2; 32]).seal(&token(), &BOUND);
    assert_eq!(verify(&other, &BOUND, u64::MAX), Err(TokenError::Forged));
}

#[test]
fn every_changed_bit_is_noticed() {
    let sealed = URL_SAFE_NO_PAD.decode(key().seal(&token(), &BOUND)).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&URL_SAFE_NO_PAD.encode(bytes), &BOUND, 0).is_err(), "bit {bit}");
    }
}

#[test]
fn a_token_has_one_spelling() {
    let text = key().seal(&token(), &BOUND);
    let last = text.as_bytes()[TOKEN_CHARS - 1];
    for c in (b'!'..=b'~').filter(|&c| c != last) {
        let respelt = format!("{}{}", &text[..TOKEN_CHARS - 1], char::from(c));
        assert!(verify(&respelt, &BOUND, 0).is_err(), "{respelt}");
    }
    for other in
        [format!("{text}="), format!("{text}=="), format!(" {text}"), format!("{text}\n"), text[1..].into()]
    {
        assert_eq!(verify(&other, &BOUND, 0), Err(TokenError::Malformed), "{other}");
    }
}

#[test]
fn another_version_or_scope_is_no_token() {
    let mut bytes = URL_SAFE_NO_PAD.decode(key().seal(&token(), &BOUND)).unwrap();
    bytes[0] = 2;
    assert_eq!(verify(&URL_SAFE_NO_PAD.encode(&bytes), &BOUND, 0), Err(TokenError::Malformed));
    bytes[0] = VERSION;
    for scope in [0, 2, 255] {
        bytes[17] = scope;
        assert_eq!(verify(&URL_SAFE_NO_PAD.encode(&bytes), &BOUND, 0), Err(TokenError::Malformed), "{scope}");
    }
}

#[test]
fn session_ids_are_read_as_they_are_written() {
    let id = SessionId([0xFB; 16]);
    assert_eq!(id.to_string().len(), 22);
    assert_eq!(id.to_string().parse(), Ok(id));
    let respelt = format!("{}w", &id.to_string()[..21]);
    for wrong in ["", "AAAA", &"A".repeat(23), &"A".repeat(24), "AAAAAAAAAAAAAAAAAAAAA=", &respelt] {
        assert_eq!(wrong.parse::<SessionId>().is_ok(), wrong == id.to_string(), "{wrong}");
    }
}

#[test]
fn neither_keys_nor_macs_are_shown_by_debug() {
    assert_eq!(format!("{:?}", key()), "MediaKey(…)");
    let sealed = MediaToken::parse(&key().seal(&token(), &BOUND)).unwrap();
    assert!(!format!("{sealed:?}").contains("mac"));
}

#[test]
fn tokens_are_taken_out_of_paths() {
    for (line, clean) in [
        ("GET /stream/abc/film.mkv HTTP/1.1", "GET /stream/[redacted]/film.mkv HTTP/1.1"),
        ("/stream/abc", "/stream/[redacted]"),
        ("/stream/abc?x=1", "/stream/[redacted]?x=1"),
        ("http://h:1/stream/abc/hls/a.m3u8", "http://h:1/stream/[redacted]/hls/a.m3u8"),
        ("//stream///abc//film", "//stream///[redacted]//film"),
        ("/STREAM/abc/x", "/STREAM/[redacted]/x"),
        ("/%73tream/abc/x", "/%73tream/[redacted]/x"),
        ("/stream%2Fabc%2fx", "/stream%2F[redacted]%2fx"),
        ("/stream/%61bc/x", "/stream/[redacted]/x"),
        ("%252Fstream%252Fabc%252Fx", "%252Fstream%252F[redacted]%252Fx"),
        (r"\/stream\/abc\/x", r"\/stream\/[redacted]\/x"),
        ("stream/abc/x", "stream/[redacted]/x"),
        ("/stream/api/stream/abc/x", "/stream/[redacted]/stream/[redacted]/x"),
        ("/stream/日本/x", "/stream/[redacted]/x"),
        ("a /stream/b/ and /stream/c/", "a /stream/[redacted]/ and /stream/[redacted]/"),
    ] {
        assert_eq!(redact(line), clean, "{line}");
    }
}

#[test]
fn bearers_are_taken_out() {
    for (line, clean) in [
        ("Authorization: Bearer a.b.c", "Authorization: Bearer [redacted]"),
        ("authorization: bearer  a.b-c==, x", "authorization: bearer  [redacted], x"),
        ("\"Bearer a.b.c\"", "\"Bearer [redacted]\""),
        ("Bearer%20a.b.c", "Bearer%20[redacted]"),
        ("/x?token=a.b.c&y=1", "/x?token=[redacted]&y=1"),
    ] {
        assert_eq!(redact(line), clean, "{line}");
    }
}

#[test]
fn a_token_is_found_wherever_it_stands() {
    let text = key().seal(&token(), &BOUND);
    assert_eq!(redact(&format!("no stream {text}.")), "no stream [redacted].");
    assert_eq!(redact(&format!("/api/stream/{text}/status")), "/api/stream/[redacted]/status");
}

#[test]
fn what_is_no_secret_stays() {
    for line in [
        "",
        "/api/stream/0123456789abcdef0123456789abcdef01234567/status",
        "/api//stream/0123/status",
        "/upstream/abc/x",
        "/streams/abc",
        "/stream/",
        "the stream ended: 5 % of 日本",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "bearer",
    ] {
        assert!(matches!(redact(line), Cow::Borrowed(same) if same == line), "{line}");
    }
}

proptest! {
    #[test]
    fn any_token_comes_back(
        session: [u8; 16], file: Option<u32>, expires_at in 1u64.., user: String, info_hash: Vec<u8>, secret: [u8; 32],
    ) {
        let token = MediaToken { session: SessionId(session), file, expires_at };
        let bound = Bound { user: &user, info_hash: &info_hash };
        let key = MediaKey::new(secret);
        let text = key.seal(&token, &bound);
        prop_assert_eq!(MediaToken::parse(&text).unwrap().verify(&key, &bound, expires_at - 1), Ok(token));
        let line = format!("{user} /stream/{text}/x");
        prop_assert!(!redact(&line).contains(&text));
        prop_assert!(!redact(&text).contains(&text));
    }

    #[test]
    fn redacting_twice_changes_nothing(line in "([ -~]|%[0-9a-f]{2}|stream|bearer |token=|/|日){0,40}") {
        let once = redact(&line).into_owned();
        prop_assert_eq!(redact(&once).into_owned(), once);
    }
}
