//! Which pages of other origins may use the JSON API: those the owner lists, by default none.
//!
//! Media routes answer every origin themselves, since their URLs are keys and nothing else is sent along.

use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
};
use http::{Method, request::Parts};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what it may ask.
const MAX_AGE: Duration = Duration::from_secs(86_400);

/// Answers to preflights, and the headers by which browsers let these origins read answers; `None` when nobody is listed.
/// Credentials of the browser's own (cookies) are never asked for: a page brings its token itself.
pub fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.to_vec();
    let listed = move |origin: &HeaderValue, _: &Parts| {
        origin.to_str().is_ok_and(|origin| origins.iter().any(|one| one.eq_ignore_ascii_case(origin)))
    };
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(listed))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, RANGE])
        .expose_headers([ETAG, LOCATION, RETRY_AFTER, HeaderName::from_static("x-request-id")])
        .max_age(MAX_AGE);
    Some(cors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::{Router, routing::get};
    use http::header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN};
    use tower::ServiceExt;

    #[tokio::test]
    async fn only_listed_origins_are_told_that_they_may() {
        assert!(layer(&[]).is_none());
        let layer = layer(&["https://tv.example".to_owned()]).unwrap();
        let router = Router::new().route("/api", get(async || "ok")).layer(layer);
        for method in ["GET", "OPTIONS"] {
            for (origin, allowed) in
                [("https://tv.example", true), ("https://evil.example", false), ("null", false)]
            {
                let request = http::Request::builder()
                    .method(method)
                    .uri("/api")
                    .header("origin", origin)
                    .header("access-control-request-method", "POST")
                    .body(Body::empty())
                    .unwrap();
                let answer = router.clone().oneshot(request).await.unwrap();
                let told = answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
                assert_eq!(told.is_some_and(|told| told == origin), allowed, "{method} {origin}");
                assert!(!answer.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
            }
        }
    }
}
