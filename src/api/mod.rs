//! The JSON side of the daemon's HTTP: an axum router behind the range server's dispatcher.
//!
//! The routes know HTTP and nothing else: what they do is the [service](crate::service)'s. Which there are and who may use
//! them is one table ([`routes`]); the [gate](gate::Door) before each of them looks at the token.

mod admin;
mod analytics;
mod answers;
mod csv;
mod describe;
mod downloads;
mod events;
mod gate;
mod input;
mod limits;
mod plain;
mod refusals;
pub mod routes;
mod streams;
#[cfg(test)]
mod tests;
mod torrents;
mod watching;

use std::sync::Arc;

use afflux_stream::{BaseUrl, ResponseBody, WindowConfig};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::middleware::map_response_with_state;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;

pub use self::gate::Door;
use self::gate::Rates;
use crate::service::StreamingService;
use crate::service::refusal::{Code, Refusal};

/// What the routes share.
#[derive(Debug)]
pub struct Api {
    service: StreamingService,
    door: Door,
    rates: Rates,
    window: WindowConfig,
    /// Where the daemon listens, for URLs when a request doesn't tell how it was reached.
    base: BaseUrl,
}

impl Api {
    /// Routes over a service. `rate` is how many requests a user may make per second.
    pub fn new(
        service: StreamingService,
        door: Door,
        rate: u32,
        window: WindowConfig,
        base: BaseUrl,
    ) -> Arc<Self> {
        Arc::new(Self { service, door, rates: Rates::new(rate), window, base })
    }

    /// Reads the keys of the identity provider again; if they can't be used, the old ones stay.
    pub fn reload_keys(&self) -> Result<(), crate::auth::BadKeys> {
        match &self.door {
            Door::Tokens(verifier) => verifier.reload(),
            Door::Unguarded => Ok(()),
        }
    }

    /// The router of every route that isn't media.
    pub fn router(self: &Arc<Self>) -> Router {
        routes::router(self)
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(axum::Extension(plain::Document::new()))
            .layer(map_response_with_state(Arc::clone(self), count))
            .with_state(Arc::clone(self))
    }
}

/// A router as the range server calls it.
pub fn as_service(
    router: Router,
) -> impl Fn(http::Request<Incoming>) -> BoxFuture + Clone + Send + Sync + 'static {
    move |request| {
        let mut router = router.clone();
        Box::pin(async move {
            let answer = tower_service::Service::call(&mut router, request.map(Body::new)).await;
            let answer = answer.unwrap_or_else(|never| match never {});
            answer.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    }
}

/// An answer on its way.
pub type BoxFuture = std::pin::Pin<Box<dyn Future<Output = http::Response<ResponseBody>> + Send>>;

/// Counts an answer in the metrics.
async fn count(State(api): State<Arc<Api>>, answer: Response) -> Response {
    api.service.metrics().answered(answer.status().as_u16());
    answer
}

async fn no_route() -> Refusal {
    Refusal::new(Code::NoRoute, "see /openapi.json for the routes there are")
}

async fn no_method() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "the header Allow names the methods that this route has")
}

/// Whether a client prefers JSON to the media itself.
fn wants_json(headers: &HeaderMap) -> bool {
    prefers(headers, "application/json")
}

/// Whether a client names a media type among those that it accepts.
fn prefers(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accepted
        .flat_map(|accept| accept.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(media_type)))
}
