//! Routes that tell about the daemon itself.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::{Api, routes};
use crate::metrics::CONTENT_TYPE;

/// The description of all routes, written once: anybody may ask for it, as often as they like.
#[derive(Clone, Debug)]
pub(super) struct Document(Bytes);

impl Document {
    pub(super) fn new() -> Self {
        let written = serde_json::to_vec(&routes::description());
        Self(written.expect("the description has no keys but texts").into())
    }
}

/// Says that the daemon answers.
#[utoipa::path(get, path = "/healthz", tag = "daemon",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain", example = "ok\n")))]
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Tells the daemon's figures for Prometheus: of users and torrents only how many there are.
#[utoipa::path(get, path = "/metrics", tag = "daemon",
    responses((status = 200, description = "In the text format of OpenMetrics", body = String,
        content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], api.service.scrape()).into_response()
}

/// Describes all routes (OpenAPI 3.1).
#[utoipa::path(get, path = "/openapi.json", tag = "daemon",
    responses((status = 200, description = "This document", content_type = "application/json")))]
pub(super) async fn description(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.0).into_response()
}
