//! Errors as clients see them: problem documents (RFC 9457) with a code that never changes.
//!
//! The one place where errors of this crate become HTTP. Not here: the errors of the JSON API, which make their own
//! [`Problem`]s.

use std::borrow::Cow;
use std::fmt::Write;

use bytes::Bytes;
use http::StatusCode;

use crate::library::OpenError;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What programs may rely on; never changes.
    pub code: &'static str,
    /// A short sentence for people, the same for every case of the code.
    pub title: &'static str,
    /// What went wrong this time; left out when empty.
    pub detail: Cow<'static, str>,
}

impl Problem {
    /// A problem that needs no detail.
    pub const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Problem {
        Problem { status, code, title, detail: Cow::Borrowed("") }
    }

    /// The same with a sentence about this case.
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { detail: detail.into(), ..self }
    }

    /// The document.
    pub fn to_json(&self) -> Bytes {
        let mut json = String::with_capacity(128);
        json.push_str("{\"type\":\"about:blank\",\"title\":");
        push_quoted(&mut json, self.title);
        let _ = write!(json, ",\"status\":{},\"code\":", self.status.as_u16());
        push_quoted(&mut json, self.code);
        if !self.detail.is_empty() {
            json.push_str(",\"detail\":");
            push_quoted(&mut json, &self.detail);
        }
        json.push('}');
        Bytes::from(json)
    }

    /// 412: the file isn't the version the client holds.
    pub const PRECONDITION_FAILED: Problem = Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "This isn't the file that was asked for",
    );
    /// 416: no range touches the file.
    pub const RANGE_NOT_SATISFIABLE: Problem = Problem::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        "The file has no such bytes",
    );
    /// 405: a file can only be read.
    pub const METHOD_NOT_ALLOWED: Problem =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "A file can only be read");
    /// 404: no such route or id.
    pub const NOT_FOUND: Problem =
        Problem::new(StatusCode::NOT_FOUND, "stream_not_found", "There is no such stream");
    /// 400: no host, or two.
    pub const HOST_MISSING: Problem =
        Problem::new(StatusCode::BAD_REQUEST, "host_missing", "The request must name one host");
    /// 421: a name this server doesn't go by, as in DNS rebinding.
    pub const HOST_UNKNOWN: Problem =
        Problem::new(StatusCode::MISDIRECTED_REQUEST, "host_unknown", "This server doesn't go by that name");
    /// 403: a page of another site asks for a change, in the user's name and without the user's knowledge.
    pub const ORIGIN_REFUSED: Problem =
        Problem::new(StatusCode::FORBIDDEN, "origin_refused", "Pages of other sites may not ask for this");
    /// 431: the head is too large.
    pub const HEADERS_TOO_LARGE: Problem = Problem::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers_too_large",
        "The request's headers are too large",
    );
    /// 500: our fault.
    pub const INTERNAL: Problem =
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong in the server");
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Problem {
        match error {
            OpenError::NotFound => Problem::NOT_FOUND,
            OpenError::Gone => Problem::new(StatusCode::GONE, "stream_ended", "This stream has ended"),
            OpenError::Refused(why) => {
                Problem::new(StatusCode::FORBIDDEN, "stream_refused", "This stream may not be read")
                    .with_detail(why)
            }
            OpenError::TooMany(why) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_readers", "Too many parallel reads")
                    .with_detail(why)
            }
            OpenError::Later(why, _) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "slow_down",
                "This stream may be read again later",
            )
            .with_detail(why),
            OpenError::Unavailable(why) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stream_unavailable",
                "This file can't be served now",
            )
            .with_detail(why),
            OpenError::Unreadable(why) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "media_unreadable",
                "This file can't be given in this form",
            )
            .with_detail(why),
        }
    }
}

/// Appends a JSON string (RFC 8259 section 7).
fn push_quoted(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{0}'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_its_code_and_detail() {
        let problem = Problem::from(OpenError::Unavailable("no \"room\"\n\\".into()));
        assert_eq!(
            problem.to_json(),
            "{\"type\":\"about:blank\",\"title\":\"This file can't be served now\",\"status\":503,\
             \"code\":\"stream_unavailable\",\"detail\":\"no \\\"room\\\"\\u000a\\\\\"}"
        );
    }

    #[test]
    fn an_empty_detail_is_left_out() {
        assert!(!String::from_utf8_lossy(&Problem::NOT_FOUND.to_json()).contains("detail"));
    }

    #[test]
    fn each_open_error_has_its_own_status() {
        let why = || "why".to_owned();
        for (error, status) in [
            (OpenError::NotFound, 404),
            (OpenError::Gone, 410),
            (OpenError::Refused(why()), 403),
            (OpenError::TooMany(why()), 429),
            (OpenError::Later(why(), std::time::Duration::from_secs(1)), 429),
            (OpenError::Unavailable(why()), 503),
            (OpenError::Unreadable(why()), 422),
        ] {
            assert_eq!(Problem::from(error).status.as_u16(), status);
        }
    }
}
