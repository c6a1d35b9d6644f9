//! Routes that tell about the daemon itself.

use std::sync::Arc;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi as Description;

use super::answers::json;

/// Says that the daemon answers.
#[utoipa::path(get, path = "/healthz", tag = "daemon",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Describes all routes (OpenAPI 3.1).
#[utoipa::path(get, path = "/openapi.json", tag = "daemon",
    responses((status = 200, description = "This document", content_type = "application/json")))]
pub(super) async fn description(Extension(description): Extension<Arc<Description>>) -> Response {
    json(&*description).into_response()
}
