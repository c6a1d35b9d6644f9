//! `/api/limits`: what the daemon as a whole is limited to, changeable while it runs.

use std::sync::Arc;

use axum::extract::State;

use super::Api;
use super::answers::{Answer, json};
use super::input::Json;
use crate::service::shapes::{DaemonLimits, LimitChanges};

/// What the daemon as a whole is limited to.
#[utoipa::path(get, path = "/api/limits", tag = "daemon",
    responses((status = 200, description = "The limits", body = DaemonLimits)))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> Answer {
    Ok(json(&api.service.limits()))
}

/// Changes limits, until the daemon ends or reads its configuration again.
#[utoipa::path(patch, path = "/api/limits", tag = "daemon", request_body = LimitChanges,
    responses((status = 200, description = "The limits as they are now", body = DaemonLimits)))]
pub(super) async fn change(State(api): State<Arc<Api>>, Json(changes): Json<LimitChanges>) -> Answer {
    Ok(json(&api.service.change_limits(changes).await?))
}
