//! `/api/events`: what changes, as it changes (server-sent events).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response, sse};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use super::Api;
use super::input::Asked;
use crate::auth::{Identity, Scope};
use crate::service::events::Event;
use crate::service::refusal::{Code, Refusal};

/// Between two comments on a silent line: proxies cut those that are silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenQuery {
    /// Admins only: what changes for all users.
    all: Option<bool>,
}

/// Tells of every change of this user's streams and downloads, until the token's time is over.
///
/// An event `behind` says that some were left out because the client was too slow: ask for the states anew.
#[utoipa::path(get, path = "/api/events", tag = "streams", params(ListenQuery),
    responses((status = 200, description = "Events", content_type = "text/event-stream", body = Event)))]
pub(super) async fn listen(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Asked(query): Asked<ListenQuery>,
) -> Result<Response, Refusal> {
    let everybody = query.all.unwrap_or(false);
    if everybody && !identity.scopes.contains(Scope::Admin) {
        return Err(Refusal::new(Code::Forbidden, "all is for admins"));
    }
    let listening = api.service.begin_listening(&identity)?;
    let events = stream::unfold(listening, move |mut listening| async move {
        loop {
            let event = match listening.next().await {
                Ok((user, event)) if everybody || user == *listening.user() => told(&event),
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => sse::Event::default().event("behind").data("{}"),
                Err(RecvError::Closed) => return None,
            };
            return Some((Ok::<_, Infallible>(event), listening));
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn told(event: &Event) -> sse::Event {
    let data = serde_json::to_string(event).unwrap_or_else(|_| "{}".to_owned());
    sse::Event::default().event(event.name()).data(data)
}
