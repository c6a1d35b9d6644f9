//! What every answer of the JSON service tells browsers: take it for what it says it is, show it in no frame, run nothing of it,
//! keep nothing of it, and tell nobody where it was.
//!
//! A route that needs something else, such as the web page, sets the header itself: what is there stays.

use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

/// For every answer. URLs of media are keys, so no other site may learn them as a referrer.
const ALWAYS: [(HeaderName, &str); 3] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Adds what isn't there yet.
pub(super) fn harden(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // What one user was told, no cache may tell another.
    let is_json = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("json"));
    if headers.get(CONTENT_TYPE).is_some_and(is_json) {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_route_says_itself_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        harden(&mut headers);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert_eq!(headers[REFERRER_POLICY], "no-referrer");
        assert!(!headers.contains_key(CACHE_CONTROL));
    }

    #[test]
    fn json_is_kept_by_nobody() {
        for kind in ["application/json", "application/problem+json; charset=utf-8"] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            harden(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], "no-store");
        }
    }
}
