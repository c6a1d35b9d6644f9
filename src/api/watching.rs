//! `/api/watching`: what a user goes on with.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answers::{Answer, json, nothing};
use super::input::{Asked, FileNumber, FilePath, Hash, HashPath, Json};
use crate::auth::Identity;
use crate::service::{WatchedFile, WatchingWish};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchingQuery {
    /// At most so many; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Lists what this user can go on with.
///
/// A film that was watched for a while is there with its place, one that was finished with the episode that comes after it.
/// Everybody, also an admin, sees their own.
#[utoipa::path(get, path = "/api/watching", tag = "watching", params(WatchingQuery),
    responses((status = 200, description = "The last watched first", body = [WatchedFile])))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Asked(query): Asked<WatchingQuery>,
) -> Answer {
    Ok(json(&api.service.watching(&identity, query.limit).await?))
}

/// Says where this user is in a file.
///
/// The daemon sees by itself what its players read; a player that knows better says so, every few seconds if it likes. What it said
/// counts for at least a minute.
#[utoipa::path(put, path = "/api/watching/{hash}/{file}", tag = "watching", params(HashPath, FilePath),
    request_body = WatchingWish,
    responses((status = 200, description = "What is remembered", body = WatchedFile)))]
pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    FileNumber(file): FileNumber,
    Json(wish): Json<WatchingWish>,
) -> Answer {
    Ok(json(&api.service.set_watching(&identity, hashes, file, wish).await?))
}

/// Forgets where this user is in a file.
#[utoipa::path(delete, path = "/api/watching/{hash}/{file}", tag = "watching", params(HashPath, FilePath),
    responses((status = 204, description = "It is forgotten")))]
pub(super) async fn forget(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Hash(hashes): Hash,
    FileNumber(file): FileNumber,
) -> Answer {
    api.service.forget_watching(&identity, hashes, file).await?;
    Ok(nothing())
}
