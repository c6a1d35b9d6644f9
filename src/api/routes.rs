//! All JSON routes, who may use them, and what they do: the one table that the router, the description and the tests share.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Description;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::gate::{self, Guarded};
use super::{Api, admin, analytics, describe, downloads, events, limits, plain, streams, torrents, watching};
use crate::auth::Scope;

/// Who may use a route. There is no third kind: what isn't open needs a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it tells nothing of users and torrents.
    Open,
    /// Tokens with this scope.
    Scope(Scope),
}

/// A row: who may, and what.
type Row = (Access, UtoipaMethodRouter<Arc<Api>>);

#[rustfmt::skip]
fn table() -> Vec<Row> {
    use Access::{Open, Scope as With};
    vec![
        (Open,                       routes!(plain::health)),
        (Open,                       routes!(plain::description)),
        (With(Scope::Admin),         routes!(plain::metrics)),
        (With(Scope::TorrentsWrite), routes!(torrents::parse)),
        (With(Scope::TorrentsWrite), routes!(torrents::convert)),
        (With(Scope::TorrentsRead),  routes!(torrents::list)),
        (With(Scope::TorrentsRead),  routes!(torrents::info)),
        (With(Scope::TorrentsWrite), routes!(torrents::change)),
        (With(Scope::TorrentsWrite), routes!(torrents::drop)),
        (With(Scope::Stream),        routes!(streams::list)),
        (With(Scope::Stream),        routes!(streams::start)),
        (With(Scope::Stream),        routes!(streams::stop)),
        (With(Scope::Stream),        routes!(streams::status)),
        (With(Scope::Stream),        routes!(streams::trace)),
        (With(Scope::Stream),        routes!(streams::subtitles)),
        (With(Scope::Stream),        routes!(streams::open_subtitles)),
        (With(Scope::Stream),        routes!(streams::seek)),
        (With(Scope::Stream),        routes!(streams::pause)),
        (With(Scope::Stream),        routes!(streams::resume)),
        (With(Scope::Stream),        routes!(watching::list)),
        (With(Scope::Stream),        routes!(watching::set)),
        (With(Scope::Stream),        routes!(watching::forget)),
        (With(Scope::Stream),        routes!(events::listen)),
        (With(Scope::Download),      routes!(downloads::list)),
        (With(Scope::Download),      routes!(downloads::add)),
        (With(Scope::Download),      routes!(downloads::show)),
        (With(Scope::Download),      routes!(downloads::change)),
        (With(Scope::Download),      routes!(downloads::pause)),
        (With(Scope::Download),      routes!(downloads::resume)),
        (With(Scope::Download),      routes!(downloads::remove)),
        (With(Scope::Analytics),     routes!(analytics::analytics)),
        (With(Scope::Admin),         routes!(admin::users)),
        (With(Scope::Admin),         routes!(admin::change_user)),
        (With(Scope::Admin),         routes!(admin::revoke)),
        (With(Scope::Admin),         routes!(limits::show)),
        (With(Scope::Admin),         routes!(limits::change)),
    ]
}

/// One route as the tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method, in capitals.
    pub method: String,
    /// The path, with its parameters in braces.
    pub path: String,
    /// Who may use it.
    pub access: Access,
}

/// All routes with who may use them.
pub fn list() -> Vec<Route> {
    let rows = table().into_iter().flat_map(|(access, (_, paths, _))| {
        paths.paths.into_iter().flat_map(move |(path, item)| {
            let methods = describe::methods(&item).into_iter().map(|(method, _)| method.to_owned());
            methods.map(move |method| Route { method, path: path.clone(), access }).collect::<Vec<_>>()
        })
    });
    rows.collect()
}

/// The router, every route behind its gate.
pub(super) fn router(api: &Arc<Api>) -> Router<Arc<Api>> {
    let rows = table().into_iter().map(|(access, (schemas, paths, methods))| {
        let guarded = Guarded { api: Arc::clone(api), access };
        (schemas, paths, methods.layer(from_fn_with_state(guarded, gate::pass)))
    });
    rows.fold(OpenApiRouter::new(), OpenApiRouter::routes).into()
}

/// The description of every route, media routes too (OpenAPI 3.1).
pub fn description() -> Description {
    let rows = table().into_iter().map(|(access, (schemas, mut paths, methods))| {
        describe::guard(&mut paths, access);
        (schemas, paths, methods)
    });
    let start = OpenApiRouter::with_openapi(describe::Described::openapi());
    let mut description = rows.fold(start, OpenApiRouter::routes).into_openapi();
    describe::finish(&mut description);
    description
}
