//! `/api/users`, `/api/revocations`: for who runs the daemon.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answers::{Answer, bad_request, json, nothing};
use super::input::{Asked, Json, Name, user};
use crate::auth::{Identity, TokenId};
use crate::service::refusal::Refusal;
use crate::service::shapes::{UserAccount, UserChanges, number};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersQuery {
    /// Only names after this one.
    #[param(min_length = 1, max_length = 128, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$")]
    after: Option<String>,
    /// At most so many; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Lists users by name.
#[utoipa::path(get, path = "/api/users", tag = "users", params(UsersQuery),
    responses((status = 200, description = "Users that were seen or limited", body = [UserAccount])))]
pub(super) async fn users(State(api): State<Arc<Api>>, Asked(query): Asked<UsersQuery>) -> Answer {
    let after = query.after.as_deref().map(user).transpose()?;
    Ok(json(&api.service.users(after.as_ref(), query.limit).await?))
}

/// Disables or enables a user, or changes their limits.
#[utoipa::path(patch, path = "/api/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The user's name", min_length = 1, max_length = 128,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$")),
    request_body = UserChanges,
    responses((status = 200, description = "The user as it is now", body = UserAccount)))]
pub(super) async fn change_user(
    State(api): State<Arc<Api>>,
    Name(user): Name,
    Json(changes): Json<UserChanges>,
) -> Answer {
    Ok(json(&api.service.change_user(&user, changes).await?))
}

/// A token to be revoked: by its id (as `afflux token --json` prints it), or the one that this request comes with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({
    "id": "c775e7b757ede630cd0aa1113bd102661ab38829ca52a6422ab782862f268646", "reason": "the laptop was lost",
}))]
pub(super) struct Revoking {
    /// The token's id: 64 hex digits.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    id: String,
    /// When the token expires by itself, in seconds since 1970; without it, it is remembered for as long as tokens may live.
    #[serde(default, deserialize_with = "number")]
    #[schema(maximum = 9_007_199_254_740_991u64)]
    expires: Option<u64>,
    /// Why, for people.
    reason: Option<String>,
}

/// Revokes a token; it counts no more from now on, also after a restart.
#[utoipa::path(post, path = "/api/revocations", tag = "users", request_body = Revoking,
    responses((status = 204, description = "It is revoked")))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Json(revoking): Json<Revoking>,
) -> Result<Response, Refusal> {
    let token: TokenId = revoking.id.parse().map_err(|_| bad_request("\"id\" has 64 hex digits"))?;
    let reason = revoking.reason.unwrap_or_else(|| format!("by {}", identity.user));
    api.service.revoke(token, revoking.expires, &reason).await?;
    Ok(nothing())
}
