//! `/api/downloads`: torrents kept for offline viewing.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts, Request, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answers::{Answer, RawBytes, bad_request, json, nothing};
use super::input::{self, Asked, Hash, HashPath, Json, SourceBody};
use super::torrents::{DropQuery, SourceForm};
use crate::auth::Identity;
use crate::service::refusal::Refusal;
use crate::service::shapes::{number, numbers};
use crate::service::{DownloadChanges, DownloadStatus, DownloadWish, Page, SourceInput};

/// A torrent by one of the ways to name it, and how it is to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"magnet": "magnet:?xt=urn:btih:dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c", "files": [0]}))]
pub(super) struct DownloadBody {
    /// A magnet link, or an info-hash (40 or 64 hex digits, or 32 of base32).
    magnet: Option<String>,
    /// The http(s) URL of a .torrent.
    url: Option<String>,
    /// A .torrent in base64 (RFC 4648).
    #[schema(content_encoding = "base64")]
    torrent: Option<String>,
    /// Numbers of the files that are wanted; all without it.
    #[serde(default, deserialize_with = "numbers")]
    #[schema(min_items = 1)]
    files: Option<Vec<u32>>,
    /// Fetch pieces in their order.
    sequential: Option<bool>,
    /// Don't begin yet.
    paused: Option<bool>,
    /// Bytes per second from the swarm; 0: no limit.
    #[serde(default, deserialize_with = "number")]
    #[schema(maximum = 9_007_199_254_740_991u64)]
    download_limit: Option<u64>,
    /// Bytes per second to the swarm; 0: no limit.
    #[serde(default, deserialize_with = "number")]
    #[schema(maximum = 9_007_199_254_740_991u64)]
    upload_limit: Option<u64>,
    /// Seed until so many times its size was sent; 0: not at all. The daemon's own ratio without it.
    #[schema(minimum = 0, maximum = 1000)]
    seed_ratio: Option<f64>,
    /// Seed for so many seconds at most; 0: however long the ratio takes. The daemon's own time without it.
    #[serde(default, deserialize_with = "number")]
    #[schema(maximum = 9_007_199_254_740_991u64)]
    seed_time: Option<u64>,
}

impl DownloadBody {
    fn split(self) -> Result<(SourceInput, DownloadWish), Refusal> {
        let source = SourceBody { magnet: self.magnet, url: self.url, torrent: self.torrent };
        let wish = DownloadWish {
            files: self.files,
            sequential: self.sequential.unwrap_or(false),
            paused: self.paused.unwrap_or(false),
            download_limit: self.download_limit,
            upload_limit: self.upload_limit,
            seed_ratio: self.seed_ratio,
            seed_time: self.seed_time,
        };
        Ok((source.input()?, wish))
    }
}

/// How a torrent is to be kept, where the body is the torrent itself or a form. JSON says it in the body.
#[derive(Debug, Default, PartialEq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DownloadQuery {
    /// Numbers of the files that are wanted, with commas between them; all without it.
    #[param(pattern = "^[0-9]{1,9}(,[0-9]{1,9})*$")]
    files: Option<String>,
    /// Fetch pieces in their order.
    sequential: Option<bool>,
    /// Don't begin yet.
    paused: Option<bool>,
    /// Bytes per second from the swarm; 0: no limit.
    #[param(maximum = 18_446_744_073_709_551_615u64)]
    download_limit: Option<u64>,
    /// Bytes per second to the swarm; 0: no limit.
    #[param(maximum = 18_446_744_073_709_551_615u64)]
    upload_limit: Option<u64>,
    /// Seed until so many times its size was sent; 0: not at all. The daemon's own ratio without it.
    #[param(minimum = 0, maximum = 1000)]
    seed_ratio: Option<f64>,
    /// Seed for so many seconds at most; 0: however long the ratio takes. The daemon's own time without it.
    #[param(maximum = 18_446_744_073_709_551_615u64)]
    seed_time: Option<u64>,
}

impl DownloadQuery {
    fn wish(self) -> Result<DownloadWish, Refusal> {
        let numbers = |text: String| text.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
        let files = self.files.map(numbers).transpose();
        Ok(DownloadWish {
            files: files.map_err(|_| bad_request("files: allowed are numbers with commas between them"))?,
            sequential: self.sequential.unwrap_or(false),
            paused: self.paused.unwrap_or(false),
            download_limit: self.download_limit,
            upload_limit: self.upload_limit,
            seed_ratio: self.seed_ratio,
            seed_time: self.seed_time,
        })
    }
}

/// Lists this user's downloads, the last one added first; for admins those of all users.
#[utoipa::path(get, path = "/api/downloads", tag = "downloads", params(Page),
    responses((status = 200, description = "What each is at", body = [DownloadStatus])))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Asked(page): Asked<Page>,
) -> Answer {
    Ok(json(&api.service.downloads(&identity, &page)?))
}

/// Keeps a torrent for offline viewing.
///
/// Answers at once; the metadata of a magnet link is fetched afterwards (state `metadata`). A torrent that is streamed at this
/// moment goes on from disk.
#[utoipa::path(post, path = "/api/downloads", tag = "downloads", params(DownloadQuery),
    request_body(description = "One way to name a torrent, and in JSON how it is to be kept",
        content((DownloadBody = "application/json"), (RawBytes = "application/x-bittorrent"), (SourceForm = "multipart/form-data"))),
    responses((status = 200, description = "What it is at", body = DownloadStatus)))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    request: Request,
) -> Answer {
    let (mut parts, body) = request.into_parts();
    let Asked(query) = Asked::<DownloadQuery>::from_request_parts(&mut parts, &()).await?;
    let request = Request::from_parts(parts, body);
    let _turn = input::turn(&request).await?;
    let (source, wish) = if input::content_type(&request) == "application/json" {
        if query != DownloadQuery::default() {
            return Err(bad_request("with a JSON body, say all of it in the body and nothing in the query"));
        }
        input::json::<DownloadBody>(request, input::SOURCE_BYTES_MAX).await?.split()?
    } else {
        let wish = query.wish()?;
        (input::source(request).await?, wish)
    };
    Ok(json(&api.service.add_download(&identity, source, wish).await?))
}

/// Tells what a download is at.
#[utoipa::path(get, path = "/api/downloads/{hash}", tag = "downloads",
    params(HashPath),
    responses((status = 200, description = "What it is at", body = DownloadStatus)))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.download(&identity, hashes).await?))
}

/// Changes a download: which files, their order, limits, how long it is seeded, whether it goes on.
#[utoipa::path(patch, path = "/api/downloads/{hash}", tag = "downloads",
    params(HashPath),
    request_body = DownloadChanges,
    responses((status = 200, description = "What it is at", body = DownloadStatus)))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    Json(changes): Json<DownloadChanges>,
) -> Answer {
    Ok(json(&api.service.change_download(&identity, hashes, changes).await?))
}

/// Stops a download. What is there stays, and can be streamed.
#[utoipa::path(post, path = "/api/downloads/{hash}/pause", tag = "downloads",
    params(HashPath),
    responses((status = 200, description = "What it is at", body = DownloadStatus)))]
pub(super) async fn pause(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.pause_download(&identity, hashes).await?))
}

/// Lets a download go on, also one that failed.
#[utoipa::path(post, path = "/api/downloads/{hash}/resume", tag = "downloads",
    params(HashPath),
    responses((status = 200, description = "What it is at", body = DownloadStatus)))]
pub(super) async fn resume(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.resume_download(&identity, hashes).await?))
}

/// Forgets a download. Its files stay, unless `data=delete` says otherwise and nobody else needs them.
#[utoipa::path(delete, path = "/api/downloads/{hash}", tag = "downloads",
    params(HashPath, DropQuery),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    Asked(query): Asked<DropQuery>,
) -> Answer {
    api.service.remove_download(&identity, hashes, query.dropping()).await?;
    Ok(nothing())
}
