//! `/api/torrents`: what torrents say, and which there are.

use std::sync::Arc;

use afflux_swarm::StrategyName;
use afflux_swarm::strategy::UnknownStrategy;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, http::HeaderMap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use super::answers::{Answer, RawBytes, bad_request, json, nothing};
use super::input::{self, Asked, Hash, HashPath, Json, SourceBody};
use super::{Api, wants_json};
use crate::auth::Identity;
use crate::service::refusal::Refusal;
use crate::service::shapes::{ChangedTorrent, ListedTorrent, LiveTorrent};
use crate::service::{Dropping, Page};
use crate::torrent_info::TorrentInfo;

/// The media type of a .torrent.
const BITTORRENT: &str = "application/x-bittorrent";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ParseQuery {
    /// `false`: only what the input says, without asking any peer.
    fetch: Option<bool>,
}

/// Reads a torrent.
///
/// Gets the metadata from the swarm if the input doesn't have it, and remembers the torrent, so that its hash works from then
/// on. A second request for the same torrent joins the first.
#[utoipa::path(post, path = "/api/torrents/parse", tag = "torrents", params(ParseQuery),
    request_body(description = "One way to name a torrent",
        content((SourceBody = "application/json"), (RawBytes = "application/x-bittorrent"), (SourceForm = "multipart/form-data"))),
    responses((status = 200, description = "What it says", body = TorrentInfo)))]
pub(super) async fn parse(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Asked(query): Asked<ParseQuery>,
    request: Request,
) -> Answer {
    let _turn = input::turn(&request).await?;
    let input = input::source(request).await?;
    let info = api.service.parse_torrent(&identity, input, query.fetch.unwrap_or(true)).await?;
    Ok(json(&info))
}

/// A form with one of its fields. A file may also go by another name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a shape for the description")]
pub(super) struct SourceForm {
    /// A .torrent file.
    #[schema(value_type = String, format = Binary, nullable = false, required = false)]
    torrent: Option<Vec<u8>>,
    /// A magnet link.
    #[schema(nullable = false)]
    magnet: Option<String>,
    /// The http(s) URL of a .torrent.
    #[schema(nullable = false)]
    url: Option<String>,
}

/// What a torrent says, and its .torrent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConvertedTorrent {
    #[serde(flatten)]
    info: TorrentInfo,
    /// The .torrent in base64.
    #[schema(content_encoding = "base64")]
    torrent: String,
}

/// Makes a complete .torrent.
///
/// With `Accept: application/x-bittorrent` its bytes, else what it says and the bytes in base64.
#[utoipa::path(post, path = "/api/torrents/convert", tag = "torrents",
    request_body(description = "One way to name a torrent",
        content((SourceBody = "application/json"), (RawBytes = "application/x-bittorrent"), (SourceForm = "multipart/form-data"))),
    responses((status = 200, description = "The .torrent",
        content((ConvertedTorrent = "application/json"), (RawBytes = "application/x-bittorrent")))))]
pub(super) async fn convert(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    request: Request,
) -> Answer {
    let _turn = input::turn(&request).await?;
    let input = input::source(request).await?;
    let converted = api.service.convert_magnet(&identity, input).await?;
    if wants_torrent(&headers) {
        return Ok(([(header::CONTENT_TYPE, BITTORRENT)], converted.file).into_response());
    }
    Ok(json(&ConvertedTorrent { info: converted.info, torrent: STANDARD.encode(&converted.file) }))
}

fn wants_torrent(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.to_ascii_lowercase().contains(BITTORRENT) && !wants_json(headers)
}

/// Lists the torrents that this user named, and how those are doing that run; for admins those of all users.
#[utoipa::path(get, path = "/api/torrents", tag = "torrents", params(Page),
    responses((status = 200, description = "By info-hash", body = [ListedTorrent])))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Asked(page): Asked<Page>,
) -> Answer {
    Ok(json(&api.service.torrents(&identity, &page).await?))
}

/// Tells what a torrent says and how it is doing.
#[utoipa::path(get, path = "/api/torrents/{hash}/info", tag = "torrents",
    params(HashPath),
    responses((status = 200, description = "The torrent", body = LiveTorrent)))]
pub(super) async fn info(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
) -> Answer {
    Ok(json(&api.service.torrent_info(&identity, hashes).await?))
}

/// What can be changed about a running torrent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"strategy": "sequential"}))]
pub(super) struct TorrentChanges {
    /// Order of pieces that no reader asks for.
    #[schema(schema_with = strategies)]
    strategy: String,
}

fn strategies() -> Object {
    let names = StrategyName::ALL.map(StrategyName::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

/// Changes a running torrent.
#[utoipa::path(patch, path = "/api/torrents/{hash}", tag = "torrents",
    params(HashPath),
    request_body = TorrentChanges,
    responses((status = 200, description = "How it is doing", body = ChangedTorrent)))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    Json(changes): Json<TorrentChanges>,
) -> Answer {
    let strategy: StrategyName =
        changes.strategy.parse().map_err(|error: UnknownStrategy| bad_request(error.to_string()))?;
    Ok(json(&api.service.set_strategy(&identity, hashes, strategy).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DropQuery {
    /// `delete`: its files on disk go too.
    #[param(inline)]
    data: Option<Data>,
    /// Admins only: also while others use it.
    force: Option<bool>,
}

impl DropQuery {
    pub(super) fn dropping(&self) -> Dropping {
        Dropping { delete_data: matches!(self.data, Some(Data::Delete)), force: self.force.unwrap_or(false) }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Data {
    Keep,
    Delete,
}

/// Lets a torrent go: forgets that this user named it, and ends the user's session and download of it.
#[utoipa::path(delete, path = "/api/torrents/{hash}", tag = "torrents",
    params(HashPath, DropQuery),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn drop(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    Asked(query): Asked<DropQuery>,
) -> Result<Response, Refusal> {
    api.service.drop_torrent(&identity, hashes, query.dropping()).await?;
    Ok(nothing())
}
