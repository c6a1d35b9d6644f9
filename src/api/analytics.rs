//! `/api/analytics`: how streams went.

use std::sync::Arc;

use afflux_metainfo::InfoHashes;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::IntoResponse;
use futures_util::stream;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use tracing::warn;
use utoipa::IntoParams;

use super::answers::{Answer, bad_request, json};
use super::input::Asked;
use super::{Api, csv, prefers};
use crate::auth::Identity;
use crate::database::limits::PAGE_ROWS_MAX;
use crate::service::ViewsQuery;
use crate::service::refusal::Refusal;
use crate::service::shapes::{Analytics, StreamView, ViewsPage};
use crate::user::User;

const CSV: &str = "text/csv; charset=utf-8; header=present";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AnalyticsQuery {
    /// Ended at this time or later, in seconds since 1970. What runs ends now.
    #[param(maximum = 18_446_744_073_709_551_615u64)]
    from: Option<u64>,
    /// Ended before this time.
    #[param(maximum = 18_446_744_073_709_551_615u64)]
    to: Option<u64>,
    /// Only of this torrent: 40 (v1) or 64 (v2) hex digits.
    #[serde(default, deserialize_with = "hash")]
    #[param(value_type = Option<String>, pattern = "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$")]
    hash: Option<InfoHashes>,
    /// Only this user's; for others than oneself only admins may ask.
    #[serde(default, deserialize_with = "user")]
    #[param(value_type = Option<String>, min_length = 1, max_length = 128,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]+$")]
    user: Option<User>,
    /// Only what comes after the page that gave this as `next`.
    #[param(maximum = 18_446_744_073_709_551_615u64)]
    after: Option<u64>,
    /// At most so many that have ended: 100 without it, and as CSV all.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `json` or `csv`, whatever `Accept` says.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
}

fn hash<'de, D: Deserializer<'de>>(value: D) -> Result<Option<InfoHashes>, D::Error> {
    let text = String::deserialize(value)?;
    if !matches!(text.len(), 40 | 64) {
        return Err(D::Error::custom("an info-hash has 40 or 64 hex digits"));
    }
    text.parse().map(Some).map_err(D::Error::custom)
}

fn user<'de, D: Deserializer<'de>>(value: D) -> Result<Option<User>, D::Error> {
    String::deserialize(value)?.parse().map(Some).map_err(D::Error::custom)
}

/// Tells how this user's streams go and went; for admins everybody's.
///
/// With `Accept: text/csv` or `format=csv` all of them as a table, without the sums.
#[utoipa::path(get, path = "/api/analytics", tag = "analytics", params(AnalyticsQuery),
    responses((status = 200, description = "Streams, sums by user, and what users did that no viewer does",
        content((Analytics = "application/json"), (String = "text/csv")))))]
pub(super) async fn analytics(
    State(api): State<Arc<Api>>,
    Extension(identity): Extension<Identity>,
    Asked(asked): Asked<AnalyticsQuery>,
    headers: HeaderMap,
) -> Answer {
    let is_table = prefers(&headers, "text/csv") && !prefers(&headers, "application/json");
    let default = if is_table { Format::Csv } else { Format::Json };
    let format = asked.format.unwrap_or(default);
    let query = asked.query()?;
    if format == Format::Csv {
        return table(api, identity, query).await;
    }
    let ViewsPage { views, next } = api.service.views(&identity, &query).await?;
    let (users, suspicions) = match query.after {
        Some(_) => (None, None),
        None => {
            let users = api.service.view_totals(&identity, &query).await?;
            (Some(users), Some(api.service.suspicions(&identity, &query).await?))
        }
    };
    Ok(json(&Analytics { views, next, users, suspicions }))
}

impl AnalyticsQuery {
    fn query(self) -> Result<ViewsQuery, Refusal> {
        if self.limit.is_some_and(|limit| !(1..=PAGE_ROWS_MAX as u32).contains(&limit)) {
            return Err(bad_request(format!("limit: allowed is 1 to {PAGE_ROWS_MAX}")));
        }
        Ok(ViewsQuery {
            user: self.user,
            hashes: self.hash,
            from: self.from,
            to: self.to,
            after: self.after,
            limit: self.limit,
        })
    }
}

/// What is left of a table to be written.
struct Table {
    api: Arc<Api>,
    identity: Identity,
    query: ViewsQuery,
    /// The page that is written next, if there is one already.
    page: Option<ViewsPage>,
}

/// All rows, page by page as the client takes them: however many there are, one page is in memory. With a limit only the first
/// page.
async fn table(api: Arc<Api>, identity: Identity, mut query: ViewsQuery) -> Answer {
    let is_whole = query.limit.is_none();
    query.limit = query.limit.or(Some(PAGE_ROWS_MAX as u32));
    // Before the answer's head: what is refused is told as such.
    let mut first = api.service.views(&identity, &query).await?;
    first.next = first.next.filter(|_| is_whole);
    let mut head = String::new();
    csv::push_row(&mut head, COLUMNS);
    let begun = Table { api, identity, query, page: Some(first) };
    let pages = stream::try_unfold((head, Some(begun)), async |(mut text, left)| {
        let Some(mut left) = left else { return Ok(None) };
        let page = left.next_page().await?;
        page.views.iter().for_each(|view| push_view(&mut text, view));
        left.query.after = page.next;
        let left = page.next.map(|_| left);
        Ok::<_, Refusal>(Some((text, (String::new(), left))))
    });
    let mut answer = Body::from_stream(pages).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CSV));
    let name = HeaderValue::from_static("attachment; filename=\"afflux-analytics.csv\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    Ok(answer)
}

impl Table {
    async fn next_page(&mut self) -> Result<ViewsPage, Refusal> {
        if let Some(page) = self.page.take() {
            return Ok(page);
        }
        let page = self.api.service.views(&self.identity, &self.query).await;
        page.inspect_err(|error| warn!(%error, "an export of analytics is cut off"))
    }
}

const COLUMNS: [&str; 19] = [
    "user",
    "infoHash",
    "file",
    "name",
    "client",
    "running",
    "startedAt",
    "endedAt",
    "ttfbMs",
    "seeks",
    "seekMsTotal",
    "seekMsMax",
    "stalls",
    "stalledMs",
    "bytesSwarm",
    "bytesSent",
    "bytesWasted",
    "peersMax",
    "completion",
];

fn push_view(csv: &mut String, view: &StreamView) {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let cells: [&str; COLUMNS.len()] = [
        &view.user,
        &view.info_hash,
        &view.file.to_string(),
        &view.name,
        view.client.as_deref().unwrap_or_default(),
        &view.running.to_string(),
        &view.started_at.to_string(),
        &number(view.ended_at),
        &number(view.ttfb_ms),
        &view.seeks.count.to_string(),
        &view.seeks.total_ms.to_string(),
        &view.seeks.max_ms.to_string(),
        &view.stalls.count.to_string(),
        &view.stalls.total_ms.to_string(),
        &view.bytes_swarm.to_string(),
        &view.bytes_sent.to_string(),
        &view.bytes_wasted.to_string(),
        &view.peers_max.to_string(),
        &format!("{:.4}", view.completion),
    ];
    csv::push_row(csv, cells);
}
