//! The description of all routes (OpenAPI 3.1): made from the handlers, completed with what holds for all of them.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Description, Ref, RefOr};

use super::answers::ProblemShape;
use super::routes::Access;
use crate::service::refusal::Code;

/// The name of the one way to say who one is.
const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Afflux",
        description = "Torrents, streams, downloads and users of one daemon. Errors are `application/problem+json` with a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(media::file, media::playlist),
    components(schemas(ProblemShape)),
    tags(
        (name = "torrents", description = "What torrents say, and which there are"),
        (name = "streams", description = "Sessions: one user's watching of one torrent"),
        (name = "downloads", description = "Torrents kept for offline viewing"),
        (name = "analytics", description = "How streams went"),
        (name = "users", description = "For who runs the daemon"),
        (name = "daemon", description = "The daemon itself"),
        (name = "media", description = "Files for players, by signed URLs"),
    )
)]
pub(super) struct Described;

/// Says of a route what its access means: whose token it takes, and what is answered to others.
pub(super) fn guard(paths: &mut Paths, access: Access) {
    for operation in paths.paths.values_mut().flat_map(operations_mut) {
        match access {
            Access::Open => operation.security = Some(Vec::new()),
            Access::Scope(scope) => {
                let requirement = SecurityRequirement::new(TOKEN, [scope.as_str()]);
                operation.security = Some(vec![requirement]);
                for status in [401, 403, 429] {
                    refuse(operation, status);
                }
            }
        }
        let codes = [400, 404, 405, 409, 413, 415, 422, 500, 502, 503, 504];
        codes.into_iter().for_each(|status| refuse(operation, status));
    }
}

/// Adds an error that is a problem document, unless the route describes it itself.
fn refuse(operation: &mut Operation, status: u16) {
    let description = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let content = ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem")))).build();
    let response = ResponseBuilder::new()
        .description(description.unwrap_or_default())
        .content(afflux_stream::problem::PROBLEM_JSON, content);
    operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(response.build()));
}

/// Adds what isn't said at any one route.
pub(super) fn finish(description: &mut Description) {
    let components = description.components.get_or_insert_default();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let scheme =
        scheme.description(Some("A token of `afflux token`, or of the configured identity provider"));
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
    let codes: Vec<String> = Code::ALL
        .iter()
        .map(|code| format!("- `{}` ({}): {}", code.as_str(), code.status(), code.title()))
        .collect();
    let told = description.info.description.get_or_insert_default();
    told.push_str("\n\nCodes:\n");
    told.push_str(&codes.join("\n"));
}

/// The media routes, which the range server answers itself: described by hand, never called.
mod media {
    use crate::api::answers::ProblemShape;

    /// Gives a file of a session to a player, with ranges (RFC 9110).
    ///
    /// The token is signed, and bound to the user, the session, the torrent and the file; it ends with its session. HEAD and
    /// OPTIONS are answered too. `?download=1` asks for an attachment.
    #[utoipa::path(get, path = "/stream/{token}/{name}", tag = "media", security(),
        params(("token" = String, Path, description = "From the URL of a session", pattern = "^[A-Za-z0-9_-]{62}$"),
            ("name" = String, Path, description = "The file's name; what it says doesn't matter"),
            ("download" = Option<String>, Query, description = "`1`: as an attachment, as quickly as it comes"),
            ("Range" = Option<String>, Header, description = "Which bytes: `bytes=0-499`, `bytes=500-`, `bytes=-500`, also several"),
            ("If-Range" = Option<String>, Header, description = "Only if the file has this ETag")),
        responses(
            (status = 200, description = "The whole file", content_type = "application/octet-stream"),
            (status = 206, description = "What was asked for", content_type = "application/octet-stream"),
            (status = 304, description = "The client has it already"),
            (status = 403, description = "The file is blocked", body = ProblemShape, content_type = "application/problem+json"),
            (status = 404, description = "There is no such stream", body = ProblemShape, content_type = "application/problem+json"),
            (status = 405, description = "A file can only be read", body = ProblemShape, content_type = "application/problem+json"),
            (status = 410, description = "The URL's time is over", body = ProblemShape, content_type = "application/problem+json"),
            (status = 412, description = "`If-Match` names another version", body = ProblemShape, content_type = "application/problem+json"),
            (status = 416, description = "The file has no such bytes", body = ProblemShape, content_type = "application/problem+json"),
            (status = 429, description = "Too many parallel reads", body = ProblemShape, content_type = "application/problem+json"),
            (status = 503, description = "The file can't be served now", body = ProblemShape, content_type = "application/problem+json")))]
    #[expect(dead_code, reason = "it is there to be described")]
    pub(super) fn file() {}

    /// Lists the torrent's videos in watching order, with signed URLs.
    #[utoipa::path(get, path = "/stream/{token}/playlist.m3u8", tag = "media", security(),
        params(("token" = String, Path, description = "From the playlist URL of a session", pattern = "^[A-Za-z0-9_-]{62}$")),
        responses(
            (status = 200, description = "A playlist with relative URLs", content_type = "application/vnd.apple.mpegurl"),
            (status = 404, description = "There is no such stream", body = ProblemShape, content_type = "application/problem+json"),
            (status = 405, description = "A file can only be read", body = ProblemShape, content_type = "application/problem+json"),
            (status = 410, description = "The URL's time is over", body = ProblemShape, content_type = "application/problem+json")))]
    #[expect(dead_code, reason = "it is there to be described")]
    pub(super) fn playlist() {}
}

/// The operations of a path with their methods.
pub(super) fn methods(item: &PathItem) -> Vec<(&'static str, &Operation)> {
    let all = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("POST", &item.post),
        ("DELETE", &item.delete),
        ("PATCH", &item.patch),
        ("HEAD", &item.head),
        ("OPTIONS", &item.options),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?))).collect()
}

fn operations_mut(item: &mut PathItem) -> Vec<&mut Operation> {
    let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    all.into_iter().filter_map(Option::as_mut).collect()
}
