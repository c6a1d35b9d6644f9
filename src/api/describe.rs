//! The description of all routes (OpenAPI 3.1): made from the handlers, completed with what holds for all of them.

use std::collections::BTreeMap;

use afflux_stream::Problem;
use afflux_stream::problem::PROBLEM_JSON;
use axum::http::StatusCode;
use serde_json::json;
use utoipa::OpenApi;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{
    AllOfBuilder, AnyOfBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, OpenApi as Description, Ref, RefOr};

use super::answers::ProblemShape;
use super::refusals;
use super::routes::Access;

/// The name of the one way to say who one is.
const TOKEN: &str = "token";
/// A torrent for examples.
const HASH: &str = "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Afflux",
        description = "Torrents, streams, downloads and users of one daemon.\n\n\
            Errors are `application/problem+json` (RFC 9457) with a stable `code`; each answer here lists its own. A route that \
            isn't there is answered with 404 `not_found`, a method that a route doesn't have with 405 `method_not_allowed` and \
            `Allow`. Every GET is also answered as HEAD.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(media::file, media::playlist, media::subtitle),
    components(schemas(ProblemShape)),
    tags(
        (name = "torrents", description = "What torrents say, and which there are"),
        (name = "streams", description = "Sessions: one user's watching of one torrent"),
        (name = "watching", description = "Where users are in films, and what they go on with"),
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
    for (path, item) in &mut paths.paths {
        for (method, operation) in methods_mut(item) {
            operation.security = Some(match access {
                Access::Open => Vec::new(),
                Access::Scope(scope) => vec![SecurityRequirement::new(TOKEN, [scope.as_str()])],
            });
            let known = refusals::of(method, path, access, operation);
            refuse(operation, known);
            complete(operation);
        }
    }
}

/// Adds the errors that a route may answer with, by status.
fn refuse(operation: &mut Operation, known: Vec<Problem>) {
    let mut by_status = BTreeMap::<u16, BTreeMap<&str, Problem>>::new();
    for problem in known {
        by_status.entry(problem.status.as_u16()).or_default().entry(problem.code).or_insert(problem);
    }
    for (status, problems) in by_status {
        operation.responses.responses.insert(status.to_string(), RefOr::T(refusal(status, problems)));
    }
}

/// A status with all codes that it may come with.
fn refusal(status: u16, problems: BTreeMap<&str, Problem>) -> Response {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut told = reason.unwrap_or_default().to_owned();
    for problem in problems.values() {
        told.push_str(&format!("\n- `{}`: {}", problem.code, problem.title));
    }
    let text = |values: Vec<&str>| ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values));
    let number = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status]));
    let narrowed = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("status", number)
        .property("code", text(problems.keys().copied().collect()));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(narrowed);
    let example = problems.values().next().map(
        |first| json!({"type": "about:blank", "title": first.title, "status": status, "code": first.code}),
    );
    let content = ContentBuilder::new().schema(Some(Schema::from(schema))).example(example).build();
    let mut response = ResponseBuilder::new().description(told).content(PROBLEM_JSON, content);
    if let Some((name, description)) = header_of(status) {
        let value = ObjectBuilder::new().schema_type(Type::String).build();
        let header = HeaderBuilder::new().schema(Some(value)).description(Some(description));
        response = response.header(name, header.build());
    }
    response.build()
}

/// The header that says more about a refusal.
fn header_of(status: u16) -> Option<(&'static str, &'static str)> {
    match status {
        401 => Some(("WWW-Authenticate", "How to come in (RFC 6750)")),
        416 => Some(("Content-Range", "`bytes */LENGTH` of the file")),
        429 | 503 => Some(("Retry-After", "Seconds after which it may be different, where that is known")),
        _ => None,
    }
}

/// What generators of clients need: an id that is nobody else's, and a hash to try with.
fn complete(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(leave_raw);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.values_mut().for_each(leave_raw);
        }
    }
    let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    operation.operation_id = operation.operation_id.take().map(|id| format!("{tag}_{id}"));
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Path
            && parameter.name == "hash"
        {
            *parameter = ParameterBuilder::from(parameter.clone()).example(Some(json!(HASH))).build();
        }
    }
}

/// Bytes that are no text have no schema (OpenAPI 3.1, "Considerations for File Uploads").
fn leave_raw(content: &mut RefOr<Content>) {
    if let RefOr::T(content) = content
        && let Some(RefOr::Ref(shape)) = &content.schema
        && shape.ref_location.ends_with("/RawBytes")
    {
        content.schema = None;
    }
}

/// Adds what isn't said at any one route of the table.
pub(super) fn finish(description: &mut Description) {
    let media = description.paths.paths.iter_mut().filter(|(path, _)| afflux_stream::server::is_media(path));
    for (_, operation) in media.flat_map(|(_, item)| methods_mut(item)) {
        refuse(operation, refusals::of_media());
        complete(operation);
    }
    let components = description.components.get_or_insert_default();
    for (shape, ways) in ONE_OF {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get(shape) {
            let one_of = exactly_one(object, ways);
            components.schemas.insert(shape.to_owned(), one_of.into());
        }
    }
    components.schemas.remove("RawBytes");
    components.schemas.values_mut().for_each(|schema| {
        loosen(schema);
        forget_defaults(schema);
    });
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let scheme =
        scheme.description(Some("A token of `afflux token`, or of the configured identity provider"));
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
}

/// Shapes of which exactly one of these keys is said.
const ONE_OF: [(&str, &[&str]); 5] = [
    ("DownloadBody", &["magnet", "url", "torrent"]),
    ("SeekWish", &["seconds", "bytes", "fraction"]),
    ("SourceBody", &["magnet", "url", "torrent"]),
    ("SourceForm", &["magnet", "url", "torrent"]),
    ("WatchingWish", &["positionSeconds", "positionBytes", "finished"]),
];

/// An object for each way to say it: that key is there, and the others aren't, or are `null` where they may be.
fn exactly_one(object: &Object, ways: &[&str]) -> Schema {
    let variants = ways.iter().map(|way| {
        let mut variant = object.clone();
        variant.title = Some(format!("by {way}"));
        variant.example = None;
        variant.required.push((*way).to_owned());
        for key in ways {
            let said = key == way;
            match variant.properties.get_mut(*key) {
                Some(RefOr::T(Schema::Object(value))) if is_nullable(value) => match said {
                    true => take_null_off(value),
                    false => *value = Object::with_type(Type::Null),
                },
                _ if said => {}
                _ => drop(variant.properties.remove(*key)),
            }
        }
        variant
    });
    variants
        .fold(OneOfBuilder::new().examples(object.example.clone()), |one_of, variant| one_of.item(variant))
        .into()
}

fn is_nullable(value: &Object) -> bool {
    matches!(&value.schema_type, SchemaType::Array(types) if types.contains(&Type::Null))
}

fn take_null_off(value: &mut Object) {
    if let SchemaType::Array(types) = &value.schema_type
        && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
    {
        value.schema_type = SchemaType::Type(kind.clone());
    }
}

/// What is flattened into an object and may be missing: all of its keys are there or none, where the derived schema says that the
/// whole object may be `null`.
fn loosen(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::AllOf(all)) = schema else { return };
    for item in &mut all.items {
        if let RefOr::T(Schema::OneOf(either)) = item
            && let Some(flattened) = either.items.iter().find(|item| matches!(item, RefOr::Ref(_)))
        {
            let none = ObjectBuilder::new().schema_type(Type::Object).build();
            *item = Schema::from(AnyOfBuilder::new().item(flattened.clone()).item(none)).into();
        }
    }
}

/// A key that is left out is nothing else than that, whatever stands for it in our own types.
fn forget_defaults(schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for property in object.properties.values_mut() {
        if let RefOr::T(Schema::Object(property)) = property {
            property.default = property.default.take().filter(|default| !default.is_null());
        }
    }
}

/// The media routes, which the range server answers itself: described by hand, never called.
mod media {
    /// Gives a file of a session to a player, with ranges (RFC 9110).
    ///
    /// The token is signed, and bound to the user, the session, the torrent and the file; it ends with its session. HEAD and
    /// OPTIONS are answered too. `?download=1` asks for an attachment.
    #[utoipa::path(get, path = "/stream/{token}/{name}", tag = "media", security(),
        params(("token" = String, Path, description = "From the URL of a session", pattern = "^[A-Za-z0-9_-]{62}$"),
            ("name" = String, Path, description = "The file's name; what it says doesn't matter", min_length = 1),
            ("download" = Option<String>, Query, description = "`1`: as an attachment, as quickly as it comes"),
            ("Range" = Option<String>, Header, description = "Which bytes: `bytes=0-499`, `bytes=500-`, `bytes=-500`, also several"),
            ("If-Range" = Option<String>, Header, description = "Only if the file has this ETag")),
        responses(
            (status = 200, description = "The whole file", content_type = "*/*",
                headers(("Content-Length" = u64), ("Accept-Ranges" = String), ("ETag" = String))),
            (status = 206, description = "What was asked for", content_type = "*/*",
                headers(("Content-Length" = u64), ("Content-Range" = String), ("ETag" = String))),
            (status = 304, description = "The client has it already", headers(("ETag" = String)))))]
    #[expect(dead_code, reason = "it is there to be described")]
    pub(super) fn file() {}

    /// Lists the torrent's videos in watching order, with signed URLs, titles, lengths as far as they are known, and subtitles.
    #[utoipa::path(get, path = "/stream/{token}/playlist.m3u8", tag = "media", security(),
        params(("token" = String, Path, description = "From the playlist URL of a session", pattern = "^[A-Za-z0-9_-]{62}$"),
            ("season" = Option<u16>, Query, description = "Only this season, as names count them; 0: specials", maximum = 65_535)),
        responses(
            (status = 200, description = "A playlist with relative URLs", content_type = "audio/x-mpegurl"),
            (status = 206, description = "A part of it", content_type = "audio/x-mpegurl"),
            (status = 304, description = "The client has it already")))]
    #[expect(dead_code, reason = "it is there to be described")]
    pub(super) fn playlist() {}

    /// Gives a subtitle as WebVTT or SubRip, in UTF-8, whatever it was: a file of the torrent, or what has come of a track inside
    /// of a film, whose scripts (SubStation Alpha) are given as such too.
    #[utoipa::path(get, path = "/stream/{token}/subtitles/{id}", tag = "media", security(),
        params(("token" = String, Path, description = "From the URL of a subtitle", pattern = "^[A-Za-z0-9_-]{62}$"),
            ("id" = String, Path, description = "The file's number, the track's if it is inside of that file, and the form",
                pattern = "^[0-9]{1,9}\\.((vtt|srt)|[0-9]{1,19}\\.(vtt|srt|ass))$"),
            ("from_ms" = Option<i64>, Query, description = "Of a track: only what is seen from then on, once that has come",
                minimum = 0, maximum = 86_400_000),
            ("to_ms" = Option<i64>, Query, description = "Of a track: and up to then", minimum = 0, maximum = 86_400_000),
            ("offset_ms" = Option<i64>, Query, description = "How much later it is shown, or earlier",
                minimum = -86_400_000, maximum = 86_400_000)),
        responses(
            (status = 200, description = "The subtitle", content_type = "text/vtt"),
            (status = 206, description = "A part of it", content_type = "text/vtt"),
            (status = 304, description = "The client has it already")))]
    #[expect(dead_code, reason = "it is there to be described")]
    pub(super) fn subtitle() {}
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

fn methods_mut(item: &mut PathItem) -> Vec<(&'static str, &mut Operation)> {
    let all = [
        ("GET", &mut item.get),
        ("PUT", &mut item.put),
        ("POST", &mut item.post),
        ("DELETE", &mut item.delete),
        ("PATCH", &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::routes;

    fn described() -> Vec<(String, String, Operation)> {
        let paths = routes::description().paths.paths;
        let all = paths.into_iter().flat_map(|(path, item)| {
            let found = methods(&item).into_iter().map(|(method, operation)| (method, operation.clone()));
            found
                .map(move |(method, operation)| (method.to_owned(), path.clone(), operation))
                .collect::<Vec<_>>()
        });
        all.collect()
    }

    #[test]
    fn the_description_has_every_route_of_the_table_and_the_media_routes_and_no_other() {
        let named = |method: &str, path: &str| format!("{method} {path}");
        let listed = routes::list().into_iter().map(|route| named(&route.method, &route.path));
        let media =
            ["{name}", "playlist.m3u8", "subtitles/{id}"].map(|path| format!("GET /stream/{{token}}/{path}"));
        let wanted: BTreeSet<String> = listed.chain(media).collect();
        let found: BTreeSet<String> =
            described().iter().map(|(method, path, _)| named(method, path)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn every_route_names_its_scope_and_what_is_answered_without() {
        for route in routes::list() {
            let all = described();
            let find = |(method, path, _): &&(String, String, Operation)| {
                *method == route.method && *path == route.path
            };
            let (_, _, operation) = all.iter().find(find).expect("every route is described");
            let security = serde_json::to_value(operation.security.as_ref().expect("each says it")).unwrap();
            let refuses = |status: &str| operation.responses.responses.contains_key(status);
            match route.access {
                Access::Open => assert_eq!(security, json!([]), "{route:?}"),
                Access::Scope(scope) => {
                    assert_eq!(security, json!([{ TOKEN: [scope.as_str()] }]), "{route:?}");
                    assert!(["401", "403", "429"].into_iter().all(refuses), "{route:?}");
                }
            }
            assert_eq!(operation.request_body.is_some(), refuses("413") && refuses("415"), "{route:?}");
        }
    }

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let mut seen = BTreeSet::new();
        for (method, path, operation) in described() {
            let id = operation.operation_id.expect("each has one");
            assert!(seen.insert(id.clone()), "{id} twice: {method} {path}");
        }
    }

    #[test]
    fn the_description_is_of_version_3_1() {
        let document = serde_json::to_value(routes::description()).unwrap();
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    }

    fn document() -> serde_json::Value {
        serde_json::to_value(routes::description()).unwrap()
    }

    /// All values anywhere in the document under a key.
    fn under<'a>(value: &'a serde_json::Value, key: &str) -> Vec<&'a serde_json::Value> {
        match value {
            serde_json::Value::Array(items) => items.iter().flat_map(|item| under(item, key)).collect(),
            serde_json::Value::Object(keys) => {
                let below = keys.values().flat_map(|value| under(value, key));
                keys.get(key).into_iter().chain(below).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_reference_leads_to_a_shape() {
        let document = document();
        for place in under(&document, "$ref") {
            let pointer = place.as_str().and_then(|place| place.strip_prefix('#')).expect("one of our own");
            assert!(document.pointer(pointer).is_some(), "{pointer} isn't there");
        }
    }

    #[test]
    fn events_are_described_with_the_keys_that_they_have() {
        let event = crate::service::events::Event::Download { info_hash: HASH.into(), state: "x".into() };
        let told = serde_json::to_value(event).unwrap();
        let document = document();
        let shapes =
            document.pointer("/components/schemas/Event/oneOf").and_then(|one| one.as_array()).unwrap();
        let shape = shapes.iter().find(|shape| shape["properties"]["event"]["enum"] == json!(["download"]));
        let described = shape.expect("downloads are told of")["properties"].as_object().unwrap();
        assert!(told.as_object().unwrap().keys().eq(described.keys()), "{told} and {described:?}");
    }

    #[test]
    fn every_key_is_in_camel_case() {
        let document = document();
        for keys in under(&document["components"], "properties") {
            let wrong =
                keys.as_object().into_iter().flat_map(|keys| keys.keys()).find(|key| key.contains('_'));
            assert_eq!(wrong, None);
        }
    }

    #[test]
    fn a_torrent_that_does_not_run_has_no_live_state() {
        let document = document();
        let listed = document.pointer("/components/schemas/ListedTorrent/allOf/0/anyOf").expect("either");
        assert_eq!(listed[1], json!({"type": "object"}));
    }

    #[test]
    fn of_ways_to_say_the_same_exactly_one_is_said() {
        let document = document();
        for (shape, ways) in ONE_OF {
            let variants = document.pointer(&format!("/components/schemas/{shape}/oneOf")).unwrap();
            let required = variants.as_array().unwrap().iter().map(|variant| &variant["required"]);
            assert!(required.eq(&ways.iter().map(|way| json!([way])).collect::<Vec<_>>()), "{shape}");
        }
    }
}
