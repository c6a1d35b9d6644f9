//! `/api/stream`: sessions.

use std::sync::Arc;

use afflux_stream::{BaseUrl, respond};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answers::{Answer, RawBytes, json, nothing};
use super::input::{Asked, Hash, HashPath, Json};
use super::{Api, wants_json};
use crate::auth::Identity;
use crate::service::Start;
use crate::service::shapes::{
    OpenSubtitlesHash, SeekAnswer, SeekWish, StreamSession, StreamStatus, SubtitleLink, Trace,
};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StartQuery {
    /// The file's number; without it the main video, of a series the episode to go on with.
    file: Option<u32>,
    /// `1`: as an attachment, not paced as players are.
    download: Option<String>,
}

/// Lists this user's sessions; for admins those of all users.
#[utoipa::path(get, path = "/api/stream", tag = "streams",
    responses((status = 200, description = "What each is at", body = [StreamStatus])))]
pub(super) async fn list(State(api): State<Arc<Api>>, Extension(identity): Extension<Identity>) -> Answer {
    Ok(json(&api.service.streams(&identity)))
}

/// Starts or joins this user's session for the torrent.
///
/// With `Accept: application/json` the session, with URLs for players; otherwise the file itself, with ranges (RFC 9110).
/// A hash that nobody named is looked up in the DHT. Without `file` it is the main video; of a series it is what this user goes on
/// with.
#[utoipa::path(get, path = "/api/stream/{hash}", tag = "streams",
    params(HashPath, StartQuery),
    responses(
        (status = 200, description = "The session, or the whole file",
            content((StreamSession = "application/json"), (RawBytes = "*/*"))),
        (status = 206, description = "A part of the file", content_type = "*/*"),
        (status = 304, description = "The client has it already")))]
pub(super) async fn start(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    Asked(query): Asked<StartQuery>,
    request: Request,
) -> Answer {
    let client = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let start = Start { file: query.file, client: client.map(str::to_owned) };
    let (parts, _) = request.into_parts();
    if wants_json(&parts.headers) {
        let session = api.service.start_stream(&identity, hashes, start).await?;
        return Ok(json(&absolute(session, parts.extensions.get::<BaseUrl>().unwrap_or(&api.base))));
    }
    let unpaced = query.download.is_some_and(|value| value != "0");
    let media = api.service.open_stream(&identity, hashes, start, unpaced).await?;
    Ok(respond(&parts, &media, api.window).map(Body::new))
}

/// The session with URLs that lead back the way the request came.
fn absolute(mut session: StreamSession, base: &BaseUrl) -> StreamSession {
    session.url = format!("{base}{}", session.url);
    session.playlist_url = format!("{base}{}", session.playlist_url);
    session
        .seasons
        .iter_mut()
        .for_each(|season| season.playlist_url = format!("{base}{}", season.playlist_url));
    session.subtitles.iter_mut().for_each(|subtitle| lead_back(subtitle, base));
    session
}

fn lead_back(subtitle: &mut SubtitleLink, base: &BaseUrl) {
    for path in [&mut subtitle.url, &mut subtitle.vtt_url].into_iter().flatten() {
        *path = format!("{base}{path}");
    }
}

/// Ends this user's session, and its URLs.
#[utoipa::path(delete, path = "/api/stream/{hash}", tag = "streams",
    params(HashPath),
    responses((status = 204, description = "It is over")))]
pub(super) async fn stop(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    api.service.stop_stream(&identity, hashes).await?;
    Ok(nothing())
}

/// Tells what this user's session is at.
#[utoipa::path(get, path = "/api/stream/{hash}/status", tag = "streams",
    params(HashPath),
    responses((status = 200, description = "What it is at", body = StreamStatus)))]
pub(super) async fn status(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.stream_status(&identity, hashes).await?))
}

/// Lists the subtitles of the film that this user's session is at: the torrent's files that are its own by their names, and the
/// tracks inside of its own file.
#[utoipa::path(get, path = "/api/stream/{hash}/subtitles", tag = "streams",
    params(HashPath),
    responses((status = 200, description = "The likeliest first", body = [SubtitleLink])))]
pub(super) async fn subtitles(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    base: Option<Extension<BaseUrl>>,
) -> Answer {
    let mut subtitles = api.service.subtitles(&identity, hashes).await?;
    let base = base.as_ref().map_or(&api.base, |Extension(base)| base);
    subtitles.iter_mut().for_each(|subtitle| lead_back(subtitle, base));
    Ok(json(&subtitles))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FileQuery {
    /// The file's number; without it the one that is watched.
    file: Option<u32>,
}

/// Tells by which hash opensubtitles.org knows the file: its length and the sum of its first and last 64 KiB, which are fetched.
#[utoipa::path(get, path = "/api/stream/{hash}/opensubtitles", tag = "streams",
    params(HashPath, FileQuery),
    responses((status = 200, description = "The hash", body = OpenSubtitlesHash)))]
pub(super) async fn open_subtitles(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    Asked(query): Asked<FileQuery>,
) -> Answer {
    Ok(json(&api.service.open_subtitles_hash(&identity, hashes, query.file).await?))
}

/// Tells why readers of the torrent waited.
#[utoipa::path(get, path = "/api/stream/{hash}/trace", tag = "streams",
    params(HashPath),
    responses((status = 200, description = "The waits, the oldest first", body = Trace)))]
pub(super) async fn trace(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.trace(&identity, hashes).await?))
}

/// Fetches a place before the player asks for it.
#[utoipa::path(post, path = "/api/stream/{hash}/seek", tag = "streams",
    params(HashPath),
    request_body = SeekWish,
    responses((status = 200, description = "Where that is", body = SeekAnswer)))]
pub(super) async fn seek(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    Json(wish): Json<SeekWish>,
) -> Answer {
    Ok(json(&api.service.seek(&identity, hashes, wish).await?))
}

/// Stops fetching for this session; what is there can be read on.
#[utoipa::path(post, path = "/api/stream/{hash}/pause", tag = "streams",
    params(HashPath),
    responses((status = 200, description = "What it is at", body = StreamStatus)))]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.pause(&identity, hashes).await?))
}

/// Fetches on.
#[utoipa::path(post, path = "/api/stream/{hash}/resume", tag = "streams",
    params(HashPath),
    responses((status = 200, description = "What it is at", body = StreamStatus)))]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.resume(&identity, hashes).await?))
}
