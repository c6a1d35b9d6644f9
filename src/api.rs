//! The JSON side of the daemon's HTTP: an axum router behind the range server's dispatcher.
//!
//! In this version, which has no accounts: health, parse, torrent info, and starting a stream.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use afflux_metainfo::create::Envelope;
use afflux_metainfo::limits::TORRENT_BYTES_MAX;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_metainfo::{FileIndex, InfoHash, InfoHashes};
use afflux_storage::Kind;
use afflux_stream::{Media, Problem, ResponseBody, respond};
use afflux_swarm::StrategyName;
use afflux_swarm::strategy::UnknownStrategy;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::session::{add_live_state, metadata};
use crate::config::{HttpSettings, Tuning};
use crate::engine::torrent::Ready;
use crate::engine::{AddOptions, Engine, Torrent, TorrentMedia};
use crate::failure::Failure;
use crate::media_choice;
use crate::shelf::{Shelf, media_path};
use crate::source::Source;
use crate::torrent_info::TorrentInfo;

/// Largest body of a JSON request: a .torrent in base64, and a little around it.
const BODY_BYTES_MAX: usize = TORRENT_BYTES_MAX / 3 * 4 + 4096;
/// Largest body that changes a torrent: a name or two.
const CHANGES_BYTES_MAX: usize = 4096;
/// Torrents known but not streamed; the oldest are forgotten. Attack: parse without end.
const KNOWN_MAX: usize = 1000;

/// Where streams keep their bytes.
#[derive(Clone, Debug)]
pub enum StreamStorage {
    /// In memory, within `STREAM_CACHE_SIZE`.
    Memory,
    /// In files.
    Disk {
        /// Below this folder, one folder for each torrent.
        folder: PathBuf,
        /// Order of pieces that no reader asks for.
        strategy: StrategyName,
    },
    /// In the disk cache, within its size.
    Cache {
        /// In this folder.
        folder: PathBuf,
    },
}

/// What the routes share.
#[derive(Debug)]
pub struct Api {
    engine: Arc<Engine>,
    shelf: Arc<Shelf>,
    storage: StreamStorage,
    tuning: Tuning,
    address: SocketAddr,
    streams_max: usize,
    /// What was parsed, newest last: `{hash}` works from then on.
    known: Mutex<Vec<(InfoHash, Source)>>,
    requests: Mutex<RequestRate>,
}

impl Api {
    /// The routes' state.
    pub fn new(
        engine: Arc<Engine>,
        shelf: Arc<Shelf>,
        storage: StreamStorage,
        http: &HttpSettings,
        tuning: Tuning,
        address: SocketAddr,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            shelf,
            storage,
            tuning,
            address,
            streams_max: http.max_concurrent_streams as usize,
            known: Mutex::default(),
            requests: Mutex::new(RequestRate::new(http.rate_limit, Instant::now())),
        })
    }

    /// A service for every route that isn't media.
    pub fn service(
        self: Arc<Self>,
    ) -> impl Fn(http::Request<Incoming>) -> BoxFuture + Clone + Send + Sync + 'static {
        let router = Router::new()
            .route("/healthz", get(health))
            .route("/api/torrents/parse", post(parse))
            .route("/api/torrents", get(list))
            .route("/api/torrents/{hash}", patch(change))
            .route("/api/torrents/{hash}/info", get(info))
            .route("/api/stream/{hash}", get(stream))
            .route("/api/stream/{hash}/trace", get(trace))
            .fallback(nothing)
            .with_state(self);
        move |request| {
            let mut router = router.clone();
            Box::pin(async move {
                let answer = tower_service::Service::call(&mut router, request.map(Body::new)).await;
                let answer = answer.unwrap_or_else(|never| match never {});
                answer.map(|body| body.map_err(Into::into).boxed_unsync())
            })
        }
    }

    /// A request of the one user there is without accounts.
    fn admit(&self) -> Result<(), Box<Response>> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.take(Instant::now()) {
            return Ok(());
        }
        let mut answer =
            problem(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests: wait a second");
        answer.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        Err(Box::new(answer))
    }

    fn remember(&self, source: Source) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = source.hashes().wire();
        known.retain(|(other, _)| *other != hash);
        if known.len() == KNOWN_MAX {
            known.remove(0);
        }
        known.push((hash, source));
    }

    fn recall(&self, hashes: InfoHashes) -> Option<Source> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(hash, _)| *hash == hashes.wire()).map(|(_, source)| source.clone())
    }

    /// The torrent of a hash, started if it isn't running.
    fn start(&self, source: &Source) -> Result<Torrent, Box<Response>> {
        if let Some(torrent) = self.engine.get(source.hashes().wire()) {
            return Ok(torrent);
        }
        if self.engine.torrents().len() >= self.streams_max {
            let detail = format!(
                "{} streams are running, which is the limit (MAX_CONCURRENT_STREAMS)",
                self.streams_max
            );
            return Err(Box::new(problem(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", &detail)));
        }
        let (kind, strategy) = match &self.storage {
            StreamStorage::Memory => (Kind::Memory, StrategyName::Deadline),
            StreamStorage::Cache { folder } => (self.engine.cache_in(folder.clone()), StrategyName::Deadline),
            StreamStorage::Disk { folder, strategy } => {
                (Kind::Disk { dir: folder.join(source.hashes().wire().to_string()) }, *strategy)
            }
        };
        let options = AddOptions { strategy, ..AddOptions::new(kind) };
        self.engine.add(source, options).map_err(|failure| Box::new(unprocessable(&failure)))
    }
}

impl Api {
    /// A magnet's torrent with its metadata from the swarm. One that nobody streams is let go again.
    async fn complete(&self, source: Source) -> Result<Source, Box<Response>> {
        let hash = source.hashes().wire();
        let streamed = self.engine.get(hash).is_some();
        let torrent = self.start(&source)?;
        let ready = wait(&torrent, &self.tuning).await;
        if !streamed {
            self.engine.remove(hash).await;
        }
        let envelope = Envelope { trackers: source.trackers(), ..Envelope::default() };
        let complete = from_torrent(&envelope.seal(&ready?.info.raw))?;
        self.remember(complete.clone());
        Ok(complete)
    }
}

/// An answer on its way.
pub type BoxFuture = std::pin::Pin<Box<dyn Future<Output = http::Response<ResponseBody>> + Send>>;

/// So many requests a second, twice that at once.
#[derive(Debug)]
struct RequestRate {
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl RequestRate {
    fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, tokens: 2.0 * per_second, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(2.0 * self.per_second);
        self.at = now;
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

async fn health() -> &'static str {
    "ok\n"
}

async fn nothing() -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", "there is no such route")
}

/// `?fetch=false`: only what the input says.
#[derive(Debug, Deserialize)]
struct ParseQuery {
    fetch: Option<bool>,
}

async fn parse(State(api): State<Arc<Api>>, Query(query): Query<ParseQuery>, request: Request) -> Response {
    answer(async {
        api.admit()?;
        let source = read_source(&api, request).await?;
        api.remember(source.clone());
        if query.fetch == Some(false) || matches!(source, Source::Torrent(_)) {
            return Ok(json_answer(&TorrentInfo::new(&source, None)));
        }
        let source = api.complete(source).await?;
        Ok(json_answer(&TorrentInfo::new(&source, None)))
    })
    .await
}

/// Reads `{"magnet"}`, `{"url"}`, `{"torrent"}`, or a .torrent itself.
async fn read_source(api: &Api, request: Request) -> Result<Source, Box<Response>> {
    let (parts, body) = request.into_parts();
    let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| {
        Box::new(problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "the request's body is larger than any .torrent",
        ))
    })?;
    let bytes = bytes.to_bytes();
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-bittorrent" => from_torrent(&bytes),
        "application/json" => from_json(api, &bytes).await,
        other => Err(Box::new(problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            &format!("{other:?}: send application/json or application/x-bittorrent"),
        ))),
    }
}

async fn from_json(api: &Api, bytes: &[u8]) -> Result<Source, Box<Response>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        magnet: Option<String>,
        url: Option<String>,
    }
    let wrong = |detail: String| Box::new(problem(StatusCode::BAD_REQUEST, "bad_request", &detail));
    let input: Input =
        serde_json::from_slice(bytes).map_err(|error| wrong(format!("the body can't be read: {error}")))?;
    match (input.magnet, input.url) {
        (Some(magnet), None) if magnet.starts_with("magnet:") => {
            Source::local(&magnet).map_err(|failure| Box::new(unprocessable(&failure)))
        }
        (None, Some(url)) if url.starts_with("http://") || url.starts_with("https://") => {
            api.engine.resolve(&url).await.map_err(|failure| Box::new(unprocessable(&failure)))
        }
        _ => Err(wrong(
            "the body must have either \"magnet\" with a magnet link or \"url\" with an http(s) URL"
                .to_owned(),
        )),
    }
}

fn from_torrent(bytes: &[u8]) -> Result<Source, Box<Response>> {
    match TorrentFile::parse(bytes) {
        Ok(torrent) => Ok(Source::Torrent(Box::new(torrent))),
        Err(error) => Err(Box::new(problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_torrent",
            &format!("no valid .torrent: {error}"),
        ))),
    }
}

async fn list(State(api): State<Arc<Api>>) -> Response {
    answer(async {
        api.admit()?;
        let torrents: Vec<Value> = api.engine.torrents().iter().map(live).collect();
        Ok(json_answer(&torrents))
    })
    .await
}

async fn info(State(api): State<Arc<Api>>, Path(hash): Path<String>) -> Response {
    answer(async {
        api.admit()?;
        let hashes = read_hash(&hash)?;
        let source = api.recall(hashes).ok_or_else(unknown_torrent)?;
        let torrent = api.engine.get(hashes.wire());
        let ready = torrent.as_ref().and_then(Torrent::ready);
        let about = TorrentInfo::new(&source, ready.as_ref().map(|ready| &ready.info));
        let mut object = serde_json::to_value(about).unwrap_or_default();
        if let Some(torrent) = &torrent {
            add_live_state(&mut object, &torrent.status());
        }
        Ok(json_answer(&object))
    })
    .await
}

/// `{"strategy": NAME}`: what can be changed about a running torrent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    strategy: String,
}

async fn change(State(api): State<Arc<Api>>, Path(hash): Path<String>, request: Request) -> Response {
    answer(async {
        api.admit()?;
        let torrent = running(&api, &hash)?;
        let bytes = Limited::new(request.into_body(), CHANGES_BYTES_MAX).collect().await;
        let bytes = bytes.map_err(|_| Box::new(bad_request("the body is too large")))?.to_bytes();
        let changes: Changes =
            serde_json::from_slice(&bytes).map_err(|error| Box::new(bad_request(&error.to_string())))?;
        let strategy: StrategyName = changes
            .strategy
            .parse()
            .map_err(|error: UnknownStrategy| Box::new(bad_request(&error.to_string())))?;
        torrent.set_strategy(strategy).await.map_err(|failure| {
            Box::new(problem(StatusCode::CONFLICT, "not_for_this_storage", &failure.to_string()))
        })?;
        let mut object = live(&torrent);
        object["strategy"] = strategy.as_str().into();
        Ok(json_answer(&object))
    })
    .await
}

/// Why readers of this torrent waited.
async fn trace(State(api): State<Arc<Api>>, Path(hash): Path<String>) -> Response {
    answer(async {
        api.admit()?;
        let torrent = running(&api, &hash)?;
        let stalls = torrent.stalls(None).await.map_err(|failure| Box::new(unprocessable(&failure)))?;
        let now = Instant::now();
        let ready = torrent.ready();
        let told = ready
            .iter()
            .flat_map(|ready| stalls.iter().map(|stall| crate::trace::stall_json(stall, &ready.layout, now)));
        let told: Vec<Value> = told.collect();
        Ok(json_answer(&json!({"infoHash": torrent.info_hash().to_string(), "stalls": told})))
    })
    .await
}

fn running(api: &Api, hash: &str) -> Result<Torrent, Box<Response>> {
    api.engine.get(read_hash(hash)?.wire()).ok_or_else(|| {
        Box::new(problem(StatusCode::NOT_FOUND, "not_running", "this torrent isn't running: stream it first"))
    })
}

fn bad_request(detail: &str) -> Response {
    problem(StatusCode::BAD_REQUEST, "bad_request", detail)
}

/// `?file=INDEX`
#[derive(Debug, Deserialize)]
struct StreamQuery {
    file: Option<u32>,
}

async fn stream(
    State(api): State<Arc<Api>>,
    Path(hash): Path<String>,
    Query(query): Query<StreamQuery>,
    request: Request,
) -> Response {
    answer(async {
        api.admit()?;
        let hashes = read_hash(&hash)?;
        let source = api
            .recall(hashes)
            .unwrap_or_else(|| Source::Magnet(Box::new(afflux_metainfo::magnet::Magnet::new(hashes))));
        let torrent = api.start(&source)?;
        api.remember(source);
        let ready = wait(&torrent, &api.tuning).await?;
        let file = choose(&ready, query.file)?;
        if wants_json(request.headers()) {
            return Ok(json_answer(&session(&api, &torrent, &ready, file)?));
        }
        let media: Arc<dyn Media> = Arc::new(
            TorrentMedia::open(&torrent, &ready, file)
                .map_err(|failure| Box::new(unprocessable(&failure)))?,
        );
        let (parts, _) = request.into_parts();
        let mut window = afflux_stream::ServerConfig::new(api.address).window;
        window.buffer_bytes = api.tuning.buffer_bytes;
        Ok(respond(&parts, &media, window).map(Body::new))
    })
    .await
}

fn session(api: &Api, torrent: &Torrent, ready: &Ready, file: FileIndex) -> Result<Value, Box<Response>> {
    let id = api.shelf.offer(torrent).map_err(|failure| Box::new(unprocessable(&failure)))?;
    let url = format!("http://{}{}", api.address, media_path(&id, &ready.layout, file));
    Ok(json!({
        "sessionId": id,
        "infoHash": torrent.info_hash().to_string(),
        "file": file.0,
        "url": url,
        "subtitles": [],
    }))
}

fn choose(ready: &Ready, wish: Option<u32>) -> Result<FileIndex, Box<Response>> {
    let chosen = match wish {
        Some(index) => ready.layout.file(FileIndex(index)).filter(|file| !file.pad).map(|_| FileIndex(index)),
        None => media_choice::main_file(&ready.layout),
    };
    chosen.ok_or_else(|| {
        Box::new(problem(StatusCode::NOT_FOUND, "no_such_file", "the torrent has no such file, or no video"))
    })
}

async fn wait(torrent: &Torrent, tuning: &Tuning) -> Result<Arc<Ready>, Box<Response>> {
    metadata(torrent, tuning.torrent_timeout).await.map_err(|failure| {
        Box::new(problem(StatusCode::GATEWAY_TIMEOUT, "no_metadata", &failure.to_string()))
    })
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/json"))
}

fn live(torrent: &Torrent) -> Value {
    let mut object = json!({"infoHash": torrent.info_hash().to_string(), "name": torrent.name()});
    add_live_state(&mut object, &torrent.status());
    object
}

fn read_hash(text: &str) -> Result<InfoHashes, Box<Response>> {
    text.parse().map_err(|error| {
        Box::new(problem(StatusCode::BAD_REQUEST, "bad_hash", &format!("{text:?}: {error}")))
    })
}

fn unknown_torrent() -> Box<Response> {
    Box::new(problem(
        StatusCode::NOT_FOUND,
        "unknown_torrent",
        "nobody has named this torrent yet: parse it first",
    ))
}

fn unprocessable(failure: &Failure) -> Response {
    problem(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", &failure.to_string())
}

fn problem(status: StatusCode, code: &'static str, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("error");
    Problem::new(status, code, title).with_detail(detail.to_owned()).into_response().map(Body::new)
}

fn json_answer(value: &impl serde::Serialize) -> Response {
    axum::Json(value).into_response()
}

async fn answer(work: impl Future<Output = Result<Response, Box<Response>>>) -> Response {
    work.await.unwrap_or_else(|refusal| *refusal)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_may_burst_to_twice_the_rate_and_then_earn_their_place() {
        let begun = Instant::now();
        let mut rate = RequestRate::new(10, begun);
        assert_eq!((0..30).filter(|_| rate.take(begun)).count(), 20);
        assert_eq!((0..30).filter(|_| rate.take(begun + Duration::from_millis(500))).count(), 5);
    }
}
