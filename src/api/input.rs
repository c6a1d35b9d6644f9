//! What requests bring: bodies within bounds, JSON with sentences for its mistakes, torrents in every form they come in.

use std::time::Duration;

use afflux_metainfo::limits::TORRENT_BYTES_MAX;
use afflux_metainfo::{FileIndex, InfoHashes};
use axum::body::{Body, HttpBody};
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, FromRequestParts, Multipart, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::{IntoParams, ToSchema};

use super::answers::bad_request;
use crate::service::SourceInput;
use crate::service::refusal::{Code, Refusal};
use crate::user::{BadUser, User};

/// Largest body that names a torrent: a .torrent in base64, and a little around it.
pub(super) const SOURCE_BYTES_MAX: usize = TORRENT_BYTES_MAX / 3 * 4 + 4096;
/// Largest body of any other request: a few numbers and names, or the indices of ten thousand files.
const JSON_BYTES_MAX: usize = 128 * 1024;

/// Larger bodies than those that say `JSON_BYTES_MAX` is enough for take turns, this many at once. Attack: one user with 256
/// connections would have 256 bodies of 43 MiB lie in memory, each in two or three forms.
const LARGE_BODIES_MAX: usize = 2;
/// How long a large body waits for its turn: a few others have come and gone by then.
const TURN_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a body may take. Attack: keeping a turn with one byte a minute.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// The turns of large bodies: a bound for the whole process, as its memory is.
static LARGE_BODIES: Semaphore = Semaphore::const_new(LARGE_BODIES_MAX);

/// A body's turn, to be held until nothing of it is needed any more. Small bodies need none.
#[derive(Debug)]
#[must_use = "the turn is over when this is dropped"]
pub(super) struct Turn(
    #[expect(dead_code, reason = "it is there to be dropped")] Option<SemaphorePermit<'static>>,
);

/// Waits for the turn of a request whose body may be large.
pub(super) fn turn(request: &Request) -> impl Future<Output = Result<Turn, Refusal>> + use<> {
    // A request that doesn't say how much it brings may bring a lot.
    let length = request.body().size_hint().upper().unwrap_or(SOURCE_BYTES_MAX as u64);
    async move {
        if length <= JSON_BYTES_MAX as u64 {
            return Ok(Turn(None));
        }
        if length > SOURCE_BYTES_MAX as u64 {
            return Err(too_large(SOURCE_BYTES_MAX));
        }
        match tokio::time::timeout(TURN_WAIT_MAX, LARGE_BODIES.acquire()).await {
            Ok(permit) => Ok(Turn(permit.ok())),
            Err(_) => {
                let detail =
                    "other large requests are being read: try again in a moment, or send a magnet link";
                Err(Refusal::new(Code::Full, detail).retry_after(TURN_WAIT_MAX))
            }
        }
    }
}

/// A torrent by one of the ways to name it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"magnet": "magnet:?xt=urn:btih:dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c"}))]
pub(super) struct SourceBody {
    /// A magnet link, or an info-hash (40 or 64 hex digits, or 32 of base32).
    pub(super) magnet: Option<String>,
    /// The http(s) URL of a .torrent.
    pub(super) url: Option<String>,
    /// A .torrent in base64 (RFC 4648).
    #[schema(content_encoding = "base64")]
    pub(super) torrent: Option<String>,
}

impl SourceBody {
    /// The one way that was used.
    pub(super) fn input(self) -> Result<SourceInput, Refusal> {
        match (self.magnet, self.url, self.torrent) {
            (Some(magnet), None, None) => Ok(SourceInput::Magnet(magnet)),
            (None, Some(url), None) => Ok(SourceInput::Url(url)),
            (None, None, Some(text)) => {
                let bytes = STANDARD.decode(text.trim_ascii());
                let bytes = bytes.map_err(|error| {
                    Refusal::new(Code::BadSource, format!("\"torrent\" is no base64: {error}"))
                })?;
                Ok(SourceInput::File(bytes.into()))
            }
            _ => Err(bad_request(
                "the body must have exactly one of \"magnet\" (a magnet link), \"url\" (the http(s) URL of a .torrent) \
                 and \"torrent\" (a .torrent in base64)",
            )),
        }
    }
}

/// The torrent that a request names: JSON, the .torrent itself, or a form with a file in it.
pub(super) async fn source(request: Request) -> Result<SourceInput, Refusal> {
    match content_type(&request).as_str() {
        "application/json" => json::<SourceBody>(request, SOURCE_BYTES_MAX).await?.input(),
        "application/x-bittorrent" => Ok(SourceInput::File(body(request, SOURCE_BYTES_MAX).await?)),
        "multipart/form-data" => in_time(form(request)).await,
        other => Err(unsupported(other, "application/json, application/x-bittorrent or multipart/form-data")),
    }
}

/// A form: its first field is `torrent`, `magnet`, `url`, or a file by any name.
async fn form(request: Request) -> Result<SourceInput, Refusal> {
    let request = request.map(|body| Body::new(Limited::new(body, SOURCE_BYTES_MAX)));
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| bad_form(error.status(), &error.body_text()))?;
    let Some(field) = form.next_field().await.map_err(unreadable)? else {
        return Err(bad_request("the form must have a file \"torrent\", or a field \"magnet\" or \"url\""));
    };
    match field.name().unwrap_or_default() {
        "magnet" => Ok(SourceInput::Magnet(text(field).await?)),
        "url" => Ok(SourceInput::Url(text(field).await?)),
        name if name == "torrent" || field.file_name().is_some() => {
            Ok(SourceInput::File(field.bytes().await.map_err(unreadable)?))
        }
        other => Err(bad_request(format!("the form has a field {other:?}, which isn't known here"))),
    }
}

async fn text(field: axum::extract::multipart::Field<'_>) -> Result<String, Refusal> {
    field.text().await.map_err(unreadable)
}

fn unreadable(error: MultipartError) -> Refusal {
    bad_form(error.status(), &error.body_text())
}

fn bad_form(status: StatusCode, detail: &str) -> Refusal {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(SOURCE_BYTES_MAX),
        _ => bad_request(format!("the form can't be read: {detail}")),
    }
}

/// A request's JSON, whose mistakes get a sentence.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        match content_type(&request).as_str() {
            "application/json" => Ok(Self(json(request, JSON_BYTES_MAX).await?)),
            other => Err(unsupported(other, "application/json")),
        }
    }
}

pub(super) async fn json<T: DeserializeOwned>(request: Request, bytes_max: usize) -> Result<T, Refusal> {
    let bytes = body(request, bytes_max).await?;
    // serde takes lists for objects, their entries in the order in which the keys are written down here.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad_request("the body must be a JSON object"));
    }
    serde_json::from_slice(&bytes).map_err(|error| bad_request(format!("the body can't be read: {error}")))
}

async fn body(request: Request, bytes_max: usize) -> Result<Bytes, Refusal> {
    match in_time(async { Ok(Limited::new(request.into_body(), bytes_max).collect().await) }).await? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Err(error) => Err(bad_request(format!("the body didn't arrive whole: {error}"))),
    }
}

async fn in_time<T>(reading: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = |_| bad_request(format!("the body didn't arrive within {} s", BODY_TIME_MAX.as_secs()));
    tokio::time::timeout(BODY_TIME_MAX, reading).await.map_err(late)?
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::new(Code::TooLarge, format!("the body may have {bytes_max} bytes at most"))
}

pub(super) fn content_type(request: &Request) -> String {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

fn unsupported(kind: &str, allowed: &str) -> Refusal {
    Refusal::new(Code::UnsupportedMediaType, format!("{kind:?} isn't taken here: send {allowed}"))
}

/// The query of a request, whose mistakes get a sentence.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(bad_request(error.body_text())),
        }
    }
}

/// The `{name}` of a route: a user, seen before or not.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) User);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        user(&text.map_err(|error| bad_request(error.body_text()))?).map(Self)
    }
}

/// A user's name.
pub(super) fn user(text: &str) -> Result<User, Refusal> {
    text.parse().map_err(|error: BadUser| bad_request(error.to_string()))
}

/// The `{file}` of a route, as it comes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct FilePath {
    /// The file's number in the torrent
    #[param(maximum = 4_294_967_295u64)]
    file: u32,
}

/// The `{file}` of a route: a file's number.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileNumber(pub(super) FileIndex);

impl<S: Send + Sync> FromRequestParts<S> for FileNumber {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<FilePath>::from_request_parts(parts, state).await;
        path.map(|Path(FilePath { file })| Self(FileIndex(file)))
            .map_err(|error| bad_request(format!("a file's number is wanted: {}", error.body_text())))
    }
}

/// The `{hash}` of a route, as it comes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct HashPath {
    /// Info-hash: 40 (v1) or 64 (v2) hex digits
    #[param(pattern = "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$")]
    hash: String,
}

/// The `{hash}` of a route: v1 (40 hex) or v2 (64 hex), any case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(pub(super) InfoHashes);

impl<S: Send + Sync> FromRequestParts<S> for Hash {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(HashPath { hash: text }) = Path::from_request_parts(parts, state)
            .await
            .map_err(|error| Refusal::new(Code::BadHash, error.body_text()))?;
        if !matches!(text.len(), 40 | 64) {
            let detail = format!("{text:?}: an info-hash has 40 or 64 hex digits");
            return Err(Refusal::new(Code::BadHash, detail));
        }
        text.parse()
            .map(Self)
            .map_err(|error| Refusal::new(Code::BadHash, format!("{text:?} is no info-hash: {error}")))
    }
}
