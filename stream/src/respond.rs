//! From a request's head and an open file to a response: [`reply`] decides, [`body`] sends.
//!
//! The server's media routes end here, and so may any JSON route that answers with the media itself.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

use crate::body::{self, ResponseBody};
use crate::library::Media;
use crate::outlet::Outlet;
use crate::problem::{PROBLEM_JSON, Problem};
use crate::reply::{Asked, Reply, reply};
use crate::window::WindowConfig;

/// Answers a request for `media`: ranges, preconditions, HEAD and OPTIONS included. Fetching begins with this call.
pub fn respond(head: &Parts, media: &Arc<dyn Media>, config: WindowConfig) -> Response<ResponseBody> {
    let asked =
        Asked { method: &head.method, headers: &head.headers, query: head.uri.query(), nonce: nonce() };
    let Reply { status, headers, plan } = reply(&asked, media.facts());
    let outlet = head.extensions.get::<Outlet>().cloned();
    assemble(status, headers, body::planned(plan, media, config, outlet))
}

/// A response that needs no file.
pub(crate) fn without_media(reply: Reply) -> Response<ResponseBody> {
    let body = match reply.plan {
        crate::reply::Plan::Problem(problem) => body::full(problem.to_json()),
        _ => body::empty(),
    };
    assemble(reply.status, reply.headers, body)
}

impl Problem {
    /// The problem as a response.
    pub fn into_response(self) -> Response<ResponseBody> {
        let mut response = Response::new(body::full(self.to_json()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}

fn assemble(status: StatusCode, headers: http::HeaderMap, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Something nobody can guess: two hashes under keys that the standard library draws from the system.
pub(crate) fn nonce() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0u8));
    half() << 64 | half()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce(), nonce());
    }
}
