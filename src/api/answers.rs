//! From what the service says to HTTP: JSON, problem documents (RFC 9457), and what goes around them.

use afflux_stream::Problem;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::refusal::{Code, Refusal};

/// An error as clients see it: what to expect of every `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemShape {
    /// `about:blank`: the status and the code say what it is.
    pub r#type: String,
    /// A short sentence, the same for every case of the code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: String,
    /// What went wrong this time, and what to do.
    pub detail: Option<String>,
}

/// Bytes as they are.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "a shape for the description")]
pub(super) struct RawBytes(Vec<u8>);

/// What a route gives: an answer, or why there is none.
pub(super) type Answer = Result<Response, Refusal>;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = problem(self.code.into(), self.detail);
        if let Some(wait) = self.retry_after {
            // Rounded up: a client that comes on the second is in time.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        answer
    }
}

/// A problem document with a sentence about this case.
pub(super) fn problem(problem: Problem, detail: String) -> Response {
    problem.with_detail(detail).into_response().map(Body::new)
}

/// JSON with status 200.
pub(super) fn json(value: &impl Serialize) -> Response {
    axum::Json(value).into_response()
}

/// Nothing to say, with status 204.
pub(super) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A refusal of a request that can't be understood.
pub(super) fn bad_request(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadRequest, detail)
}
