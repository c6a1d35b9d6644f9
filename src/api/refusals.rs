//! Why each route may refuse: what its access and its shape say by themselves, and what is its own. The description is made of
//! it, and the tests hold answers against it.

use std::time::Duration;

use afflux_stream::{OpenError, Problem};
use axum::http::StatusCode;
use utoipa::openapi::path::{Operation, ParameterIn};

use super::routes::Access;
use crate::auth;
use crate::service::refusal::Code;

/// What is said with every 401.
pub(super) const TOKEN_NEEDED: &str = "A valid token is needed";

/// Naming a torrent: what it says may be wrong, forbidden or out of reach.
const NAMING: &[Code] = &[
    Code::BadSource,
    Code::UnsupportedTorrent,
    Code::SourceRefused,
    Code::TooManyFetches,
    Code::FetchFailed,
    Code::NoMetadata,
    Code::TorrentFailed,
    Code::Database,
];
/// Naming a torrent to be kept; its metadata isn't waited for.
const KEEPING: &[Code] = &[
    Code::BadSource,
    Code::UnsupportedTorrent,
    Code::SourceRefused,
    Code::FetchFailed,
    Code::NoFile,
    Code::Conflict,
    Code::TooManyDownloads,
    Code::Full,
    Code::Database,
];
/// Beginning a session.
const STARTING: &[Code] = &[
    Code::BadSource,
    Code::UnsupportedTorrent,
    Code::SourceRefused,
    Code::NoFile,
    Code::ContentBlocked,
    Code::TooManyStreams,
    Code::QuotaUsed,
    Code::NoMetadata,
    Code::TorrentFailed,
    Code::Database,
];
/// Changing a running torrent.
const CHANGING: &[Code] =
    &[Code::UnknownTorrent, Code::InUse, Code::NotForThisStorage, Code::Conflict, Code::Database];
/// Finding one's session; one that is asleep is woken, and its torrent started.
const SESSION: &[Code] = &[
    Code::NoStream,
    Code::BadSource,
    Code::UnsupportedTorrent,
    Code::SourceRefused,
    Code::TorrentFailed,
    Code::Database,
];
/// The same, once the torrent's files are there.
const OPENED: &[Code] = &[
    Code::NoStream,
    Code::BadSource,
    Code::UnsupportedTorrent,
    Code::SourceRefused,
    Code::NoFile,
    Code::NoMetadata,
    Code::TorrentFailed,
    Code::Database,
];
/// Reading of a session's file what nobody plays at this moment.
const READING: &[Code] = &[
    Code::NoStream,
    Code::BadSource,
    Code::UnsupportedTorrent,
    Code::SourceRefused,
    Code::NoFile,
    Code::ContentBlocked,
    Code::OutOfRange,
    Code::NoMetadata,
    Code::NotThere,
    Code::TorrentFailed,
    Code::Database,
];
/// Saying where one is in a film.
const WATCHING: &[Code] =
    &[Code::UnknownTorrent, Code::BadSource, Code::NoFile, Code::OutOfRange, Code::Conflict, Code::Database];
/// Going to a place in a session's file.
const SEEKING: &[Code] = &[
    Code::NoStream,
    Code::BadSource,
    Code::UnsupportedTorrent,
    Code::SourceRefused,
    Code::NoFile,
    Code::ContentBlocked,
    Code::OutOfRange,
    Code::NoMetadata,
    Code::TorrentFailed,
    Code::Database,
];

/// What is a route's own. A route that isn't here fails a test, and is described with all there is.
#[rustfmt::skip]
fn own(method: &str, path: &str) -> Option<&'static [Code]> {
    Some(match (method, path) {
        ("GET", "/healthz" | "/openapi.json" | "/metrics") => &[],
        ("POST", "/api/torrents/parse" | "/api/torrents/convert") => NAMING,
        ("GET", "/api/torrents") => &[Code::Database],
        ("GET", "/api/torrents/{hash}/info") => &[Code::UnknownTorrent, Code::Database],
        ("PATCH", "/api/torrents/{hash}") => CHANGING,
        ("DELETE", "/api/torrents/{hash}") => &[Code::UnknownTorrent, Code::InUse, Code::Database],
        ("GET", "/api/stream") => &[],
        ("GET", "/api/stream/{hash}") => STARTING,
        ("DELETE", "/api/stream/{hash}") => &[Code::NoStream, Code::Database],
        ("GET", "/api/stream/{hash}/status" | "/api/stream/{hash}/trace") => SESSION,
        ("GET", "/api/stream/{hash}/subtitles") => OPENED,
        ("GET", "/api/stream/{hash}/opensubtitles") => READING,
        ("POST", "/api/stream/{hash}/pause" | "/api/stream/{hash}/resume") => SESSION,
        ("POST", "/api/stream/{hash}/seek") => SEEKING,
        ("GET", "/api/watching") => &[Code::Database],
        ("PUT", "/api/watching/{hash}/{file}") => WATCHING,
        ("DELETE", "/api/watching/{hash}/{file}") => &[Code::NotWatched, Code::BadSource, Code::Database],
        ("GET", "/api/events") => &[],
        ("GET", "/api/downloads") => &[],
        ("POST", "/api/downloads") => KEEPING,
        ("GET", "/api/downloads/{hash}") => &[Code::NoDownload, Code::Database],
        ("PATCH", "/api/downloads/{hash}") => &[Code::NoDownload, Code::NoFile, Code::Database],
        ("POST", "/api/downloads/{hash}/pause" | "/api/downloads/{hash}/resume") => &[Code::NoDownload, Code::Database],
        ("DELETE", "/api/downloads/{hash}") => &[Code::NoDownload, Code::InUse, Code::Database],
        ("GET", "/api/analytics") => &[Code::NoUser, Code::Database],
        ("GET", "/api/users") | ("POST", "/api/revocations") => &[Code::Database],
        ("PATCH", "/api/users/{name}") => &[Code::NoUser, Code::Database],
        ("GET" | "PATCH", "/api/limits") => &[],
        _ => return None,
    })
}

/// Every way in which a route of the table may refuse.
pub(super) fn of(method: &str, path: &str, access: Access, operation: &Operation) -> Vec<Problem> {
    let mut all = before_any_route(method);
    all.extend(by_access(access));
    all.extend(by_shape(path, operation));
    all.extend(own(method, path).unwrap_or(Code::ALL).iter().map(|&code| code.into()));
    if path == "/api/stream/{hash}" && method == "GET" {
        all.extend([Problem::PRECONDITION_FAILED, Problem::RANGE_NOT_SATISFIABLE]);
    }
    all
}

/// The same of a media route.
pub(super) fn of_media() -> Vec<Problem> {
    let why = String::new;
    let opening = [
        OpenError::NotFound,
        OpenError::Gone,
        OpenError::Refused(why()),
        OpenError::TooMany(why()),
        OpenError::Later(why(), Duration::from_secs(1)),
        OpenError::Unavailable(why()),
        OpenError::Unreadable(why()),
    ];
    let mut all = before_any_route("GET");
    all.extend(opening.map(Problem::from));
    all.extend([Problem::PRECONDITION_FAILED, Problem::RANGE_NOT_SATISFIABLE]);
    all
}

/// What the server says before it looks for a route: to whom asks for another host, sends too much, or is a page of another site.
fn before_any_route(method: &str) -> Vec<Problem> {
    let mut all =
        vec![Problem::HOST_MISSING, Problem::HOST_UNKNOWN, Problem::HEADERS_TOO_LARGE, Problem::INTERNAL];
    if method != "GET" {
        all.push(Problem::ORIGIN_REFUSED);
    }
    all
}

fn by_access(access: Access) -> Vec<Problem> {
    let Access::Scope(_) = access else { return Vec::new() };
    let refused = auth::Refusal::ALL.iter().map(|refusal| unauthorized(*refusal));
    let codes = [Code::UserDisabled, Code::Forbidden, Code::RateLimited, Code::Suspicious];
    refused.chain(codes.map(Problem::from)).collect()
}

fn by_shape(path: &str, operation: &Operation) -> Vec<Problem> {
    let mut codes = Vec::new();
    let parameters = operation.parameters.iter().flatten();
    let has_query = parameters
        .filter_map(|parameter| match parameter {
            utoipa::openapi::RefOr::T(parameter) => Some(&parameter.parameter_in),
            utoipa::openapi::RefOr::Ref(_) => None,
        })
        .any(|place| *place == ParameterIn::Query);
    if path.contains("{hash}") {
        codes.push(Code::BadHash);
    }
    if has_query || path.contains("{name}") || path.contains("{file}") || operation.request_body.is_some() {
        codes.push(Code::BadRequest);
    }
    if operation.request_body.is_some() {
        codes.extend([Code::TooLarge, Code::UnsupportedMediaType]);
    }
    codes.into_iter().map(Problem::from).collect()
}

/// 401 without its sentence.
pub(super) fn unauthorized(refusal: auth::Refusal) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, refusal.code(), TOKEN_NEEDED)
}

/// A code without its sentence.
impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, code.as_str(), code.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes;

    #[test]
    fn every_route_says_why_it_may_refuse() {
        for route in routes::list() {
            let listed = own(&route.method, &route.path).is_some();
            assert!(listed, "{} {} isn't in refusals::own", route.method, route.path);
        }
    }
}
