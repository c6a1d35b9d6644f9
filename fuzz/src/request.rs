//! The daemon's routes, its gate and its service, as a stranger's request meets them: the real router over a service without a
//! network, in a folder of its own. It is built once and renewed now and then, since requests leave things behind.
//!
//! What may be answered is what the daemon's own description says (`/openapi.json`). Not here: the range server in front of the
//! router, and the media routes.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use afflux::api::{Api, Door, routes};
use afflux::auth::{Claims, Identity, OwnKey, Scopes, Verifier};
use afflux::config::service::{ServiceOptions, SourceOptions, StreamOptions, SuspiciousOptions, Threshold};
use afflux::config::{AuthOptions, File, SwarmOptions, TuningOptions};
use afflux::database::Database;
use afflux::engine::{Engine, EngineConfig};
use afflux::policy::HostPattern;
use afflux::service::refusal::Code;
use afflux::service::shapes::{LimitChanges, UserChanges};
use afflux::service::{
    DownloadWish, Dropping, Page, ServiceConfig, SourceInput, Start, StreamStorage, StreamingService,
};
use afflux_metainfo::InfoHashes;
use afflux_stream::{BaseUrl, MediaKey, WindowConfig};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Requests that one daemon bears: users and torrents that they name are remembered, and there is a bound to each.
const REQUESTS_MAX: u32 = 5000;
/// What each user may, by the name that a request says in `Authorization` for its token.
const USERS: [(&str, &str); 2] =
    [("viewer", "torrents:read torrents:write stream download analytics"), ("admin", "admin")];
const HEADERS_MAX: usize = 16;

thread_local! {
    static DAEMON: RefCell<Option<Daemon>> = const { RefCell::new(None) };
}

/// A method and a target, a line for each header, an empty line, and the body. `Authorization: viewer` and `admin` stand for tokens.
///
/// Whatever it is, the answer is one that the description of its route knows, by status and code; a server's fault it never is; and
/// what is wrong is told by a problem document.
pub fn request(data: &[u8]) {
    let Some(asked) = Asked::read(data) else { return };
    DAEMON.with_borrow_mut(|daemon| {
        if daemon.as_ref().is_some_and(|daemon| daemon.asked >= REQUESTS_MAX) {
            daemon.take().into_iter().for_each(Daemon::end);
        }
        daemon.get_or_insert_with(Daemon::start).answer(asked);
    });
}

/// A request as it was read.
struct Asked {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn read(data: &[u8]) -> Option<Self> {
        let cut = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
        let (head, body) = data.split_at(cut);
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = lines.next()?;
        let space = first.iter().position(|byte| *byte == b' ')?;
        let mut headers = HeaderMap::new();
        for line in lines.take(HEADERS_MAX) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if let (Ok(name), Ok(value)) =
                (header::HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                headers.append(name, value);
            }
        }
        Some(Self {
            method: Method::from_bytes(&first[..space]).ok()?,
            target: Uri::try_from(&first[space + 1..]).ok()?,
            headers,
            body: Bytes::copy_from_slice(body.get(2..).unwrap_or_default()),
        })
    }
}

/// A daemon without a network, with one torrent that its users have named, and a session of each.
struct Daemon {
    /// What runs can't be dropped while its thread ends, and needn't be.
    running: ManuallyDrop<Running>,
    asked: u32,
    _folder: TempDir,
}

struct Running {
    runtime: Runtime,
    router: Router,
    service: StreamingService,
    engine: Arc<Engine>,
    database: Database,
    tokens: [HeaderValue; 2],
    users: [Identity; 2],
    document: Value,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let running = runtime.block_on(Running::start(folder.path()));
        let (service, engine, database, tokens, users, router) = running;
        let document = serde_json::to_value(routes::description()).expect("JSON");
        let running = Running { runtime, router, service, engine, database, tokens, users, document };
        running.runtime.block_on(running.restore());
        Self { running: ManuallyDrop::new(running), asked: 0, _folder: folder }
    }

    fn end(self) {
        let Running { runtime, router, service, engine, database, .. } =
            ManuallyDrop::into_inner(self.running);
        drop(router);
        runtime.block_on(async {
            service.shutdown().await;
            engine.shutdown().await;
            database.close().await;
        });
    }

    fn answer(&mut self, asked: Asked) {
        self.asked += 1;
        let running = &*self.running;
        running.runtime.block_on(running.answer(asked));
    }
}

/// All that runs, but for what it runs on.
type Started = (StreamingService, Arc<Engine>, Database, [HeaderValue; 2], [Identity; 2], Router);

impl Running {
    async fn start(folder: &Path) -> Started {
        let swarm = SwarmOptions {
            bind: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            peer_port: Some(0),
            no_dht: true,
            ..SwarmOptions::default()
        };
        let swarm = swarm.settle(SwarmOptions::default()).expect("options as they may be");
        // Nobody is there who could have metadata: waiting for it is only waiting.
        let tuning = TuningOptions { torrent_timeout: Some(10), ..TuningOptions::default() };
        let tuning = tuning.settle(TuningOptions::default());
        let config = EngineConfig { swarm, tuning: tuning.clone(), data_dir: folder.to_owned() };
        let engine = Arc::new(Engine::start(config).await.expect("loopback has a free port"));
        let (database, _) = Database::open(folder).expect("our own folder");
        let settings = options().settle(&File::default());
        let config = ServiceConfig {
            storage: StreamStorage::Memory,
            download_folder: folder.join("downloads"),
            downloads: settings.downloads,
            streams: settings.streams,
            streams_per_user: 10_000,
            tuning,
            policy: Arc::new(settings.sources),
            media_key: MediaKey::new([7; 32]),
            suspicious: settings.suspicious,
        };
        let started = StreamingService::start(Arc::clone(&engine), database.clone(), config);
        let service = started.await.expect("a new database has nothing to take up");
        let rules = AuthOptions::default().settle(AuthOptions::default()).expect("nothing is set").rules;
        let key = OwnKey::new(&[9; 32]);
        let texts = USERS.map(|(name, scopes)| token(&key, name, scopes, &rules.audience));
        let verifier = Verifier::new(rules, key, None);
        let users = texts.each_ref().map(|text| verifier.verify(text, unix_now()).expect("our own token"));
        let tokens = texts.map(|text| format!("Bearer {text}").try_into().expect("a token is a header"));
        let base = BaseUrl::new(false, &"127.0.0.1:8080");
        let door = Door::Tokens(Box::new(verifier));
        let router = Api::new(service.clone(), door, 100_000, WindowConfig::default(), base).router();
        (service, engine, database, tokens, users, router)
    }

    /// Puts back what a request may have taken away: the torrent, the sessions, the limits, the users. Of downloads one stays.
    async fn restore(&self) {
        let [viewer, admin] = &self.users;
        for kept in self.service.downloads(admin, &Page::default()).expect("there is a first page") {
            let hash = kept.info_hash.parse().expect("a hash");
            let dropping = Dropping { delete_data: true, force: true };
            self.service.remove_download(admin, hash, dropping).await.expect("nobody is in the way");
        }
        let wish = DownloadWish { paused: true, ..DownloadWish::default() };
        let kept = self.service.add_download(viewer, SourceInput::File(film()), wish).await;
        kept.expect("a good torrent");
        let unlimited = LimitChanges { max_streams: Some(None), ..LimitChanges::default() };
        self.service.change_limits(unlimited).await.expect("that may be said");
        for user in &self.users {
            let enabled = UserChanges {
                disabled: Some(false),
                max_streams: Some(None),
                daily_bytes: Some(None),
                ..UserChanges::default()
            };
            self.service.change_user(&user.user, enabled).await.expect("the database can be written");
            let named = self.service.convert_magnet(user, SourceInput::File(film()));
            let hashes = named.await.expect("a good torrent").hashes;
            self.begin(user, hashes).await;
        }
    }

    /// Starts a session. The torrent may need longer than anybody waits for metadata here.
    async fn begin(&self, user: &Identity, hashes: InfoHashes) {
        loop {
            match self.service.start_stream(user, hashes, Start::default()).await {
                Ok(_) => return,
                Err(refusal) => assert_eq!(refusal.code, Code::NoMetadata, "a good torrent: {refusal}"),
            }
        }
    }

    async fn answer(&self, asked: Asked) {
        let (method, path) = (asked.method.clone(), asked.target.path().to_owned());
        let answer = Answer::new(&method, &path, self.ask(asked).await);
        match self.known(&method, &path) {
            Known::NoRoute => answer.must_be_problem(404).await,
            Known::NoMethod => {
                assert!(answer.head.headers.contains_key(header::ALLOW), "{} without Allow", answer.what);
                answer.must_be_problem(405).await;
            }
            Known::Operation(operation) => {
                let has_changed = answer.head.status.is_success() && !method.is_safe();
                answer.must_be_described(operation).await;
                if has_changed {
                    self.restore().await;
                }
            }
        }
    }

    async fn ask(&self, mut asked: Asked) -> Response<Body> {
        for (name, value) in &mut asked.headers {
            let user = USERS.iter().position(|(user, _)| *name == header::AUTHORIZATION && value == user);
            user.into_iter().for_each(|user| value.clone_from(&self.tokens[user]));
        }
        let mut request = Request::new(Body::from(asked.body));
        *request.method_mut() = asked.method;
        *request.uri_mut() = asked.target;
        *request.headers_mut() = asked.headers;
        self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }

    /// What the description says of a method and a path.
    fn known(&self, method: &Method, path: &str) -> Known<'_> {
        let paths = self.document["paths"].as_object().expect("paths");
        let found =
            paths.iter().find(|(template, _)| !template.starts_with("/stream/") && fits(template, path));
        let Some((_, item)) = found else { return Known::NoRoute };
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let operations = item.as_object().expect("an object");
        let operation = operations.iter().find(|(name, _)| name.to_ascii_uppercase() == method);
        operation.map_or(Known::NoMethod, |(_, operation)| Known::Operation(operation))
    }
}

/// What is described.
enum Known<'a> {
    NoRoute,
    NoMethod,
    Operation(&'a Value),
}

/// An answer, and what it is to.
struct Answer {
    what: String,
    is_head: bool,
    head: Parts,
    body: Body,
}

impl Answer {
    fn new(method: &Method, path: &str, answer: Response<Body>) -> Self {
        let (head, body) = answer.into_parts();
        let what = format!("{method} {path}: {}", head.status.as_u16());
        Self { what, is_head: *method == Method::HEAD, head, body }
    }

    fn kind(&self) -> &str {
        let kind = self.head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.and_then(|kind| kind.split(';').next()).unwrap_or_default()
    }

    /// Fails unless it is a refusal of this status.
    async fn must_be_problem(self, status: u16) {
        assert_eq!(self.head.status, status, "{}", self.what);
        if !self.is_head {
            self.problem().await;
        }
    }

    /// Fails unless its status and code are an operation's.
    async fn must_be_described(self, operation: &Value) {
        let (what, status) = (self.what.clone(), self.head.status);
        let described = operation["responses"].get(status.as_str());
        let described = described.unwrap_or_else(|| panic!("{what} isn't described"));
        if self.is_head {
            return;
        }
        if status.as_u16() < 400 {
            return self.must_be_whole().await;
        }
        let problem = self.problem().await;
        let narrowed = &described["content"]["application/problem+json"]["schema"]["allOf"][1];
        let codes = narrowed["properties"]["code"]["enum"].as_array();
        assert!(
            codes.is_some_and(|codes| codes.contains(&problem["code"])),
            "{what} isn't described: {problem}"
        );
        // The disk is fine: if something can't be read or written, it was asked for wrongly.
        assert!(status != 500 && problem["code"] != "database_unavailable", "{what}: {problem}");
    }

    /// Fails unless what should be JSON is. Events never end, and the film never comes: those bodies are left.
    async fn must_be_whole(self) {
        if self.kind() == "application/json" {
            let (what, body) = (self.what, self.body.collect().await);
            let body = body.unwrap_or_else(|error| panic!("{what}: {error}")).to_bytes();
            serde_json::from_slice::<Value>(&body).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }

    /// The problem document that it must be.
    async fn problem(self) -> Value {
        assert_eq!(self.kind(), "application/problem+json", "{}", self.what);
        let (what, status, body) = (self.what, self.head.status.as_u16(), self.body.collect().await);
        let body = body.unwrap_or_else(|error| panic!("{what}: {error}")).to_bytes();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{what}: {error}"));
        let keys = problem.as_object().into_iter().flat_map(|keys| keys.keys());
        let is_known = |key: &String| ["type", "title", "status", "code", "detail"].contains(&key.as_str());
        assert!(keys.into_iter().all(is_known), "{what}: {problem}");
        let is_said = |key: &str| problem[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(["type", "title", "code"].into_iter().all(is_said), "{what}: {problem}");
        assert_eq!(problem["status"], status, "{what}");
        problem
    }
}

/// Settings under which nothing is asked of anybody, and nothing is too much.
fn options() -> ServiceOptions {
    let never: Option<Threshold> = "0".parse().ok();
    ServiceOptions {
        streams: StreamOptions {
            max_streams: Some(0),
            torrent_grace: Some(Duration::ZERO),
            readers_per_session: Some(1000),
            ..StreamOptions::default()
        },
        sources: SourceOptions {
            deny_tracker: vec![HostPattern::Any],
            deny_host: vec![HostPattern::Any],
            ..SourceOptions::default()
        },
        suspicious: SuspiciousOptions {
            torrents_per_hour: never,
            parse_failures_per_hour: never,
            stream_starts_per_minute: never,
            ranges_per_second: never,
            networks_per_token: never,
            bulk_factor: never,
        },
        ..ServiceOptions::default()
    }
}

fn token(key: &OwnKey, name: &str, scopes: &str, audience: &str) -> String {
    let now = unix_now();
    key.mint(&Claims {
        user: name.parse().expect("a name"),
        scopes: Scopes::strict(scopes).expect("scopes"),
        audience: audience.to_owned(),
        issued: now,
        expires: now + 24 * 3600,
        id: name.to_owned(),
        max_streams: None,
        max_rate: None,
    })
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The torrent of a small film; its hash is in the seeds.
fn film() -> Bytes {
    let bytes = b"\x1a\x45\xdf\xa3 and so on".repeat(100);
    let hash = sha1_smol::Sha1::from(&bytes).digest().bytes();
    let head = format!("d4:infod6:lengthi{}e4:name8:film.mkv12:piece lengthi65536e6:pieces20:", bytes.len());
    [head.as_bytes(), &hash, b"ee"].concat().into()
}

/// Whether a path is one of a template's.
fn fits(template: &str, path: &str) -> bool {
    let (mut parts, mut segments) = (template.split('/'), path.split('/'));
    let same = |part: &str, segment: &str| match part.starts_with('{') {
        true => !segment.is_empty(),
        false => part == segment,
    };
    loop {
        match (parts.next(), segments.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if same(part, segment) => {}
            _ => return false,
        }
    }
}
