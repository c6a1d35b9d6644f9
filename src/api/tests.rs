//! How the routes answer what is odd, over a service without a network. Most of it was found by `tests/e2e/schema.rs`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use afflux_stream::token::MediaKey;
use afflux_stream::{BaseUrl, WindowConfig};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::{Api, Door, routes};
use crate::config::service::ServiceOptions;
use crate::config::{File, SwarmOptions, TuningOptions};
use crate::database::Database;
use crate::engine::{Engine, EngineConfig};
use crate::service::{ServiceConfig, StreamStorage, StreamingService};

/// A daemon's routes, for one user who may everything.
struct Daemon {
    router: Router,
    engine: Arc<Engine>,
    database: Database,
    _folder: TempDir,
}

/// What came back.
struct Answered {
    status: u16,
    kind: String,
    allow: Option<String>,
    value: Value,
}

impl Daemon {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let swarm = SwarmOptions {
            bind: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            peer_port: Some(0),
            no_dht: true,
            ..SwarmOptions::default()
        };
        let swarm = swarm.settle(SwarmOptions::default()).unwrap();
        let tuning = TuningOptions { torrent_timeout: Some(100), ..TuningOptions::default() };
        let tuning = tuning.settle(TuningOptions::default());
        let config = EngineConfig { swarm, tuning: tuning.clone(), data_dir: folder.path().to_owned() };
        let engine = Arc::new(Engine::start(config).await.unwrap());
        let (database, _) = Database::open(folder.path()).unwrap();
        let settings = ServiceOptions::default().settle(&File::default());
        let config = ServiceConfig {
            storage: StreamStorage::Memory,
            download_folder: folder.path().join("downloads"),
            downloads: settings.downloads,
            streams: settings.streams,
            streams_per_user: 5,
            tuning,
            policy: Arc::new(settings.sources),
            media_key: MediaKey::new([7; 32]),
            suspicious: settings.suspicious,
        };
        let service = StreamingService::start(Arc::clone(&engine), database.clone(), config).await.unwrap();
        let base = BaseUrl::new(false, &"127.0.0.1:8080");
        let router = Api::new(service, Door::Unguarded, 1000, WindowConfig::default(), base).router();
        Self { router, engine, database, _folder: folder }
    }

    async fn end(self) {
        self.engine.shutdown().await;
        self.database.close().await;
    }

    async fn send(&self, request: Request<Body>) -> Answered {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let text = |name| answer.headers().get(name).map(|value| value.to_str().expect("a text").to_owned());
        let (status, kind, allow) =
            (answer.status().as_u16(), text(header::CONTENT_TYPE).unwrap_or_default(), text(header::ALLOW));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answered { status, kind, allow, value: serde_json::from_slice(&body).unwrap_or_default() }
    }

    async fn get(&self, path: &str) -> Answered {
        let request = Request::get(path).header(header::ACCEPT, "application/json");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn json(&self, method: &str, path: &str, body: Value) -> Answered {
        self.body(method, path, "application/json", body.to_string()).await
    }

    async fn body(&self, method: &str, path: &str, kind: &str, body: impl Into<Body>) -> Answered {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
        self.send(request.body(body.into()).unwrap()).await
    }
}

impl Answered {
    /// The status and code of what must be a problem document.
    #[track_caller]
    fn problem(&self) -> (u16, &str) {
        assert_eq!(self.kind, "application/problem+json", "{}: {}", self.status, self.value);
        assert_eq!(self.value["status"], self.status);
        (self.status, self.value["code"].as_str().expect("a code"))
    }
}

/// One small film, as a torrent.
fn film() -> (Vec<u8>, String) {
    let bytes = b"\x1a\x45\xdf\xa3 and so on".repeat(100);
    let hash = sha1_smol::Sha1::from(&bytes).digest().bytes();
    let mut info =
        format!("d6:lengthi{}e4:name8:film.mkv12:piece lengthi65536e6:pieces20:", bytes.len()).into_bytes();
    info.extend(hash);
    info.push(b'e');
    let named = sha1_smol::Sha1::from(&info).digest().to_string();
    ([b"d4:info".as_slice(), &info, b"e"].concat(), named)
}

#[tokio::test]
async fn a_users_name_that_is_no_text_is_refused_with_a_problem() {
    let daemon = Daemon::start().await;
    for path in ["/api/users/%ff", "/api/users/a%00b"] {
        assert_eq!(daemon.json("PATCH", path, json!({})).await.problem(), (400, "bad_request"), "{path}");
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_list_is_no_object() {
    let daemon = Daemon::start().await;
    let many: Vec<u8> = [b"[".repeat(100_000)].concat();
    assert_eq!(
        daemon.json("PATCH", "/api/limits", json!([null, null])).await.problem(),
        (400, "bad_request")
    );
    let nested = daemon.body("PATCH", "/api/limits", "application/json", many).await;
    assert_eq!(nested.problem(), (400, "bad_request"));
    daemon.end().await;
}

#[tokio::test]
async fn null_is_refused_where_it_would_mean_nothing() {
    let daemon = Daemon::start().await;
    let peers = daemon.json("PATCH", "/api/limits", json!({"maxPeers": null})).await;
    assert_eq!(peers.problem(), (400, "bad_request"));
    let disabled = daemon.json("PATCH", "/api/users/anna", json!({"disabled": null})).await;
    assert_eq!(disabled.problem(), (400, "bad_request"));
    let unlimited = daemon.json("PATCH", "/api/limits", json!({"downloadLimit": null})).await;
    assert_eq!(unlimited.status, 200, "{}", unlimited.value);
    daemon.end().await;
}

#[tokio::test]
async fn whole_numbers_may_be_written_with_a_point_and_are_bounded() {
    let daemon = Daemon::start().await;
    let set = daemon.json("PATCH", "/api/users/anna", json!({"downloadLimit": 115.0})).await;
    assert_eq!((set.status, &set.value["downloadLimit"]), (200, &json!(115)));
    let most = (1_u64 << 53) - 1;
    let set = daemon.json("PATCH", "/api/users/anna", json!({"dailyBytes": most})).await;
    assert_eq!((set.status, &set.value["dailyBytes"]), (200, &json!(most)));
    for wrong in [json!(1.5), json!(-1), json!(most + 1), json!(1e300), json!("7"), json!(true)] {
        let set = daemon.json("PATCH", "/api/users/anna", json!({"downloadLimit": wrong})).await;
        assert_eq!(set.problem(), (400, "bad_request"), "{wrong}");
    }
    for (key, wrong) in [("maxPeers", 1_u64 << 32), ("maxStreams", 100_001)] {
        let set = daemon.json("PATCH", "/api/limits", json!({key: wrong})).await;
        assert_eq!(set.problem(), (400, "bad_request"), "{key}");
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_page_of_none_or_of_too_many_is_refused() {
    let daemon = Daemon::start().await;
    for path in ["/api/torrents", "/api/users", "/api/downloads"] {
        for limit in ["0", "1001", "-1", "x"] {
            let answer = daemon.get(&format!("{path}?limit={limit}")).await;
            assert_eq!(answer.problem(), (400, "bad_request"), "{path} {limit}");
        }
        assert_eq!(daemon.get(&format!("{path}?limit=1000")).await.status, 200);
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_torrent_that_is_no_base64_is_a_source_that_cannot_be_used() {
    let daemon = Daemon::start().await;
    let answer = daemon.json("POST", "/api/torrents/parse", json!({"torrent": "no base64!"})).await;
    assert_eq!(answer.problem(), (422, "bad_source"));
    daemon.end().await;
}

#[tokio::test]
async fn a_form_with_a_field_that_nobody_knows_is_refused() {
    let daemon = Daemon::start().await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"magnte\"\r\n\r\nmagnet:?\r\n--x--\r\n";
    let kind = "multipart/form-data; boundary=x";
    let answer = daemon.body("POST", "/api/torrents/parse", kind, form).await;
    assert_eq!(answer.problem(), (400, "bad_request"));
    assert!(answer.value["detail"].as_str().is_some_and(|detail| detail.contains("magnte")));
    daemon.end().await;
}

#[tokio::test]
async fn no_film_lasts_no_time() {
    let daemon = Daemon::start().await;
    let (torrent, hash) = film();
    let parsed = daemon.body("POST", "/api/torrents/parse", "application/x-bittorrent", torrent).await;
    assert_eq!(parsed.value["infoHash"], hash.as_str());
    assert_eq!(daemon.get(&format!("/api/stream/{hash}")).await.status, 200);
    let seek = format!("/api/stream/{hash}/seek");
    for duration in [0.0, -5.0] {
        let wish = json!({"fraction": 0.5, "duration": duration});
        assert_eq!(daemon.json("POST", &seek, wish).await.problem(), (422, "out_of_range"), "{duration}");
    }
    let half = daemon.json("POST", &seek, json!({"fraction": 0.5, "duration": 10.0})).await;
    assert_eq!((half.status, &half.value["seconds"]), (200, &json!(5.0)));
    daemon.end().await;
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_refused_with_those_that_it_has() {
    let daemon = Daemon::start().await;
    for route in routes::list() {
        let path = route.path.replace("{hash}", &"ab".repeat(20)).replace("{name}", "anna");
        let path = path.replace("{file}", "0");
        let answer = daemon.body("TRACE", &path, "text/plain", "").await;
        assert_eq!(answer.problem(), (405, "method_not_allowed"), "{path}");
        assert!(answer.allow.is_some_and(|allow| allow.contains(&route.method)), "{path}");
    }
    assert_eq!(daemon.get("/api/nothing").await.problem(), (404, "not_found"));
    daemon.end().await;
}

#[tokio::test]
async fn the_example_of_every_body_is_understood() {
    let daemon = Daemon::start().await;
    let document = daemon.get("/openapi.json").await.value;
    let mut tried = 0;
    for route in routes::list() {
        let operation = &document["paths"][&route.path][route.method.to_ascii_lowercase()];
        let Some(shape) = operation.pointer("/requestBody/content/application~1json/schema/$ref") else {
            continue;
        };
        let pointer = shape.as_str().and_then(|shape| shape.strip_prefix('#')).expect("one of our own");
        let shape = document.pointer(pointer).expect("it is there");
        let example = shape.get("example").unwrap_or(&shape["examples"][0]);
        assert!(example.is_object(), "{pointer} has no example");
        let path = route.path.replace("{hash}", &"ab".repeat(20)).replace("{name}", "anna");
        let path = path.replace("{file}", "0");
        let answer = daemon.json(&route.method, &path, example.clone()).await;
        assert!(answer.status != 400, "{} {path}: {}", route.method, answer.value);
        tried += 1;
    }
    assert!(tried > 5, "{tried}");
    daemon.end().await;
}
