//! `afflux serve`: the daemon. What it does is `crate::service`'s, its HTTP routes are in `crate::api`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use afflux_stream::token::{MediaKey, redact};
use afflux_stream::{BaseUrl, Server};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::show::Screen;
use super::user::AddressFile;
use super::{Context, DaemonArguments, session, stream};
use crate::api::{self, Api, Door};
use crate::auth::{IssuerKeys, OwnKey, Verifier, secret};
use crate::config::{AuthSettings, File, HttpSettings, ServiceSettings, SwarmSettings, Tuning};
use crate::cors;
use crate::database::Database;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::service::shapes::LimitChanges;
use crate::service::{ServiceConfig, StreamStorage, StreamingService};
use crate::signals::Reloads;

/// The key of media URLs in the data folder.
const MEDIA_KEY: &str = "secrets/media.key";

/// Answers under way when the daemon ends have this long to end. Films were cut then; the engine needs most of the five seconds.
const ANSWERS_GRACE: Duration = Duration::from_millis(500);

/// Arguments of `afflux serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArguments {
    /// Folder for downloads, and for streams with --storage disk [default: downloads in the data folder]
    #[arg(long, value_name = "DIR")]
    download_dir: Option<PathBuf>,
    /// Where streams are kept: memory (within STREAM_CACHE_SIZE), disk, or cache (on disk within --disk-cache-size, and only
    /// while the daemon runs)
    #[arg(long, value_name = "KIND", default_value = "memory")]
    storage: String,
    /// Serve without accounts although others can reach the address: whoever can may do everything
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    daemon: DaemonArguments,
}

/// What the arguments come to.
struct Settled {
    http: HttpSettings,
    auth: AuthSettings,
    service: ServiceSettings,
    storage: StreamStorage,
    download_folder: PathBuf,
    tuning: Tuning,
    data_dir: PathBuf,
}

pub(super) fn run(context: Context, arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let (swarm, tuning) = session::settle(&context, arguments.daemon.network.clone())?;
    let http = arguments.daemon.http.clone().settle(context.file.http.clone())?;
    if !http.auth_required && !http.listen.ip().is_loopback() && !arguments.insecure {
        return Err(Failure::usage(format!(
            "--listen {} without accounts (STREAM_AUTH_REQUIRED=false) would let everybody in who can reach it: leave accounts on, \
             listen on loopback (127.0.0.1), or say --insecure if that is what you want",
            http.listen
        )));
    }
    let downloads = arguments.download_dir.clone().unwrap_or_else(|| context.data_dir.join("downloads"));
    let download_folder = std::path::absolute(&downloads)
        .map_err(|error| Failure::work(format!("{} can't be used: {error}", downloads.display())))?;
    let settled = Settled {
        auth: arguments.daemon.auth.clone().settle(context.file.auth.clone())?,
        service: arguments.daemon.service.clone().settle(&context.file),
        storage: storage(&context, &arguments, &swarm, &download_folder)?,
        download_folder,
        data_dir: context.data_dir.clone(),
        http,
        tuning: tuning.clone(),
    };
    settled.service.suspicious.check(settled.http.auth_required).map_err(Failure::usage)?;
    let screen = Screen::new(context.json);
    let limits = || limits_now(&context, &arguments.daemon);
    session::with_engine_until(&context, swarm, tuning, async |engine, stop| {
        serve(engine, settled, &limits, &screen, stop).await.map(|()| ExitCode::SUCCESS)
    })
}

fn storage(
    context: &Context,
    arguments: &ServeArguments,
    swarm: &SwarmSettings,
    downloads: &Path,
) -> Result<StreamStorage, Failure> {
    let evicting = "streams that don't stay fetch only what their readers ask for";
    match arguments.storage.as_str() {
        "memory" => swarm.refuse_strategy(evicting).map(|()| StreamStorage::Memory),
        "disk" => Ok(StreamStorage::Disk {
            folder: downloads.to_path_buf(),
            strategy: swarm.strategy.unwrap_or_default(),
        }),
        "cache" => {
            let folder = context.data_dir.join("cache");
            swarm.refuse_strategy(evicting).map(|()| StreamStorage::Cache { folder })
        }
        other => Err(Failure::usage(format!("--storage {other:?}: allowed are memory, disk and cache"))),
    }
}

/// What the configuration file says now of limits that may change while the daemon runs, below flags and environment.
fn limits_now(context: &Context, arguments: &DaemonArguments) -> Result<LimitChanges, Failure> {
    let file = File::load(context.config.as_deref())?;
    let swarm = arguments.network.swarm.clone().settle(file.swarm.clone())?;
    let streams = arguments.service.clone().settle(&file).streams;
    Ok(LimitChanges {
        download_limit: Some(swarm.download_limit),
        upload_limit: Some(swarm.upload_limit),
        max_peers: Some(swarm.max_peers),
        max_conns: Some(swarm.max_conns),
        max_streams: Some(streams.max_streams),
        ..LimitChanges::default()
    })
}

async fn serve(
    engine: Arc<Engine>,
    settled: Settled,
    limits: &dyn Fn() -> Result<LimitChanges, Failure>,
    screen: &Screen,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let Settled { http, auth, service, storage, download_folder, tuning, data_dir } = settled;
    let server = bind(&http, &tuning).await?;
    let (address, tls, window) = (server.local_addr(), server.tls(), server.window());
    engine.add_own_ports(&[address.port()]);
    let peer_port = engine.port();
    let database = open_database(&data_dir).await?;
    let is_new = !data_dir.join(MEDIA_KEY).exists();
    let media_key = secret::load_or_make(&data_dir.join(MEDIA_KEY));
    let config = ServiceConfig {
        storage,
        download_folder,
        downloads: service.downloads,
        streams: service.streams,
        streams_per_user: http.max_concurrent_streams,
        tuning,
        policy: Arc::new(service.sources),
        suspicious: service.suspicious,
        media_key: MediaKey::new(media_key.map_err(|error| Failure::work(error.to_string()))?),
    };
    let audience = auth.rules.audience.clone();
    let door = door(&http, auth, &data_dir)?;
    let service = StreamingService::start(engine, database.clone(), config).await;
    let service = service.map_err(|refusal| Failure::work(refusal.detail))?;
    let base = BaseUrl::new(tls.is_some(), &address);
    let api = Api::new(service.clone(), door, http.rate_limit, window, base.clone());
    let mut router = api.router();
    if let Some(layer) = cors::layer(&http.cors_origins) {
        router = router.layer(layer);
    }
    let local = BaseUrl::new(tls.is_some(), &reachable(address));
    let _address = AddressFile::write(&data_dir, local.to_string(), audience)
        .inspect_err(|error| warn!(%error, "afflux user can't ask this daemon"));
    tell(screen, &base, &http, peer_port, is_new, &data_dir);
    let serving =
        tokio::spawn(server.serve(Arc::new(service.clone()), api::as_service(router), stop.clone()));
    let mut reloads =
        Reloads::listen().map_err(|error| Failure::work(format!("signals can't be caught: {error}")))?;
    loop {
        tokio::select! {
            () = reloads.next() => reload(&api, &service, limits(), tls.as_ref()).await,
            () = stop.cancelled() => break,
        }
    }
    service.shutdown().await;
    // What is still under way then is cut with the runtime.
    let _ = tokio::time::timeout(ANSWERS_GRACE, serving).await;
    database.close().await;
    Ok(())
}

async fn bind(http: &HttpSettings, tuning: &Tuning) -> Result<Server, Failure> {
    let mut config = http.server_config()?;
    config.redact = redact;
    stream::bind(stream::windowed(config, tuning)).await
}

async fn open_database(data_dir: &Path) -> Result<Database, Failure> {
    let folder = data_dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || Database::open(&folder)).await;
    let opened = opened.map_err(|error| Failure::work(format!("the database can't be opened: {error}")))?;
    let (database, notice) = opened.map_err(|error| Failure::work(error.to_string()))?;
    if let Some(notice) = notice {
        warn!("{notice}");
    }
    Ok(database)
}

fn door(http: &HttpSettings, auth: AuthSettings, data_dir: &Path) -> Result<Door, Failure> {
    if !http.auth_required {
        return Ok(Door::Unguarded);
    }
    let own = OwnKey::open(data_dir).map_err(|error| Failure::work(error.to_string()))?;
    let issuer = auth.keys.map(|path| IssuerKeys::open(&path)).transpose();
    let issuer = issuer.map_err(|error| Failure::work(error.to_string()))?;
    Ok(Door::Tokens(Box::new(Verifier::new(auth.rules, own, issuer))))
}

/// An address on this machine that leads to a listening one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

/// Reads what can be read again while the daemon runs.
async fn reload(
    api: &Api,
    service: &StreamingService,
    limits: Result<LimitChanges, Failure>,
    tls: Option<&afflux_stream::Tls>,
) {
    info!("reading limits, keys and certificates again");
    let limited = match limits {
        Ok(changes) => service.change_limits(changes).await.map(drop).map_err(|refusal| refusal.detail),
        Err(failure) => Err(failure.to_string()),
    };
    if let Err(error) = limited {
        warn!(error, "the limits can't be read again: the old ones count");
    }
    if let Err(error) = api.reload_keys() {
        warn!(%error, "the keys can't be read again: the old ones count");
    }
    if let Some(Err(error)) = tls.map(afflux_stream::Tls::reload) {
        warn!(%error, "the certificate can't be read again: the old one is shown");
    }
}

fn tell(screen: &Screen, base: &BaseUrl, http: &HttpSettings, peer_port: u16, is_new: bool, data_dir: &Path) {
    let mut sentence = format!("listening on {base}");
    if !http.auth_required {
        sentence.push_str(", without accounts: whoever can reach it may do everything");
    } else if is_new {
        sentence.push_str(&format!(
            "\n\nTo get in, make a token and send it with every request:\n\n  \
             TOKEN=$(afflux token --data-dir {} --user \"$(id -un)\" --scope admin)\n  \
             curl -H \"Authorization: Bearer $TOKEN\" {base}/api/torrents\n",
            data_dir.display()
        ));
    } else {
        sentence.push_str("; afflux token makes tokens");
    }
    screen.say(
        &sentence,
        || {
            json!({
                "event": "listening", "url": base.as_str(), "authRequired": http.auth_required, "peerPort": peer_port,
            })
        },
    );
}
