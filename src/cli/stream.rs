//! `afflux stream`: joins a swarm and serves its film over HTTP while it arrives.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::FileIndex;
use afflux_storage::Kind;
use afflux_stream::{Problem, ResponseBody, Server, ServerConfig};
use afflux_swarm::StrategyName;
use http::{Response, StatusCode};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::files::Preallocate;
use super::show::{Screen, status_line};
use super::{Context, NetworkArguments, session};
use crate::config::units::show_bytes;
use crate::config::{HttpOptions, Tuning};
use crate::engine::torrent::Ready;
use crate::engine::{AddOptions, Engine, Search, State, Status, Torrent, WarmUp};
use crate::failure::Failure;
use crate::media_choice;
use crate::shelf::{Shelf, media_path};
use crate::trace::stall_json;
use crate::watch::{Watch, Watched};

/// Arguments of `afflux stream`.
#[derive(Clone, Debug, clap::Args)]
pub struct StreamArguments {
    /// Magnet link, .torrent file, http(s) URL of one, or info-hash
    pub(super) source: String,
    /// File to stream: its number, or a pattern such as '*.mkv' [default: the largest video]
    #[arg(long, value_name = "INDEX|GLOB")]
    pub(super) file: Option<String>,
    /// Start this player with the URL: a command such as mpv or vlc
    #[arg(long, value_name = "PLAYER")]
    pub(super) open: Option<String>,
    /// Keep what arrives on disk
    #[arg(long, conflicts_with = "memory")]
    pub(super) keep: bool,
    /// Folder for --keep
    #[arg(short, long, value_name = "DIR", default_value = ".", requires = "keep")]
    pub(super) output: PathBuf,
    /// Replace files that are there already and aren't this torrent's, with --keep
    #[arg(long, requires = "keep")]
    pub(super) overwrite: bool,
    /// When files take their space on disk, with --keep
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, requires = "keep")]
    pub(super) preallocate: Preallocate,
    /// Hold what arrives in memory only, within STREAM_CACHE_SIZE (this is the default)
    #[arg(long)]
    pub(super) memory: bool,
    /// Hold what arrives in the disk cache, within --disk-cache-size; it is gone at the end
    #[arg(long, conflicts_with_all = ["memory", "keep"])]
    pub(super) cache: bool,
    /// Address and port to serve HTTP on [default: 127.0.0.1 and --port]
    #[arg(long, value_name = "ADDR:PORT", help_heading = "HTTP")]
    pub(super) listen: Option<std::net::SocketAddr>,
    /// HTTP port on loopback; 0 takes any free one [default: 8080]
    #[arg(long, value_name = "PORT", env = "STREAM_PORT", help_heading = "HTTP",
          value_parser = crate::config::units::port("STREAM_PORT"))]
    pub(super) port: Option<u16>,
    #[command(flatten)]
    pub(super) network: NetworkArguments,
}

pub(super) fn run(context: Context, arguments: StreamArguments) -> Result<ExitCode, Failure> {
    let (swarm, tuning) = session::settle(&context, arguments.network.clone())?;
    let http = HttpOptions { listen: arguments.listen, port: arguments.port, ..Default::default() }
        .settle(context.file.http.clone())?;
    if !http.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {}: without accounts, which aren't built yet, streams are served on loopback only",
            http.listen
        )));
    }
    let (json, settings) = (context.json, tuning.clone());
    session::with_engine(&context, swarm, tuning, async |engine| {
        let mut screen = Screen::new(json);
        let source = engine.resolve(&arguments.source).await?;
        let server = bind(windowed(ServerConfig::new(http.listen), &settings)).await?;
        let torrent = engine.add(&source, options(&arguments, &engine)?)?;
        screen.say(&format!("{}: looking for peers", source.name()), || {
            json!({"event": "started", "infoHash": torrent.info_hash().to_string(), "name": source.name()})
        });
        let show = Showing { file: arguments.file.clone(), open: arguments.open.clone(), server };
        watch(&torrent, show, &settings, &mut screen).await
    })
}

/// What to show and how.
pub(super) struct Showing {
    pub(super) file: Option<String>,
    pub(super) open: Option<String>,
    pub(super) server: Server,
}

/// Serves a torrent's film until stopped.
pub(super) async fn watch(
    torrent: &Torrent,
    show: Showing,
    tuning: &Tuning,
    screen: &mut Screen,
) -> Result<ExitCode, Failure> {
    let ready = metadata(torrent, screen, tuning.torrent_timeout).await?;
    let file = media_choice::chosen_file(&ready.layout, show.file.as_deref())?;
    select_only(torrent, &ready, file).await;
    let warm_up = torrent.warm_up(&ready, file, tuning.buffer_bytes);
    let (url, serving) = serve(show.server, torrent, &ready, file)?;
    announce(screen, &url, &ready, file);
    let _player = show.open.as_deref().map(|player| start_player(player, &url)).transpose()?;
    let shown = follow(torrent, &ready, file, tuning, screen, Some(warm_up)).await;
    serving.stop().await;
    shown
}

fn options(arguments: &StreamArguments, engine: &Engine) -> Result<AddOptions, Failure> {
    let kind = match (arguments.keep, arguments.cache) {
        (true, _) => Kind::Disk { dir: arguments.output.clone() },
        (false, true) => engine.cache(),
        (false, false) => Kind::Memory,
    };
    let strategy = match arguments.network.swarm.strategy {
        Some(strategy) if strategy != StrategyName::Deadline && kind.is_evictable() => {
            return Err(Failure::usage(format!(
                "--strategy {strategy}: a stream that isn't kept fetches nothing but what its readers need soon; \
                 add --keep, which keeps the rest on disk"
            )));
        }
        chosen => chosen.unwrap_or_default(),
    };
    Ok(AddOptions {
        strategy,
        overwrite: arguments.overwrite,
        allocation: arguments.preallocate.into(),
        hold: true,
        ..AddOptions::new(kind)
    })
}

/// A server that looks as far ahead as its memory lets it.
pub(super) fn windowed(mut config: ServerConfig, tuning: &Tuning) -> ServerConfig {
    config.window.buffer_bytes = tuning.buffer_bytes;
    // Several readers share the memory: each looks ahead over a part of it.
    config.window.ahead_bytes_max = (tuning.cache_bytes / 4).max(tuning.buffer_bytes);
    config
}

/// Binds the HTTP server.
pub(super) async fn bind(config: ServerConfig) -> Result<Server, Failure> {
    let listen = config.listen;
    Server::bind(config).await.map_err(|error| {
        Failure::work(match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "HTTP port {} is used by another program: end it, or say --port 0 for any free one",
                listen.port()
            ),
            _ => format!("the HTTP server can't listen on {listen}: {error}"),
        })
    })
}

/// A running HTTP server of one command.
pub(super) struct Serving {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// Lets responses end, briefly, then closes.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(Duration::from_millis(500), self.task).await;
    }
}

/// Serves one torrent's files; gives the URL of `file`.
pub(super) fn serve(
    server: Server,
    torrent: &Torrent,
    ready: &Ready,
    file: FileIndex,
) -> Result<(String, Serving), Failure> {
    let shelf = Arc::new(Shelf::default());
    let id = shelf.offer(torrent)?;
    let url = format!("http://{}{}", server.local_addr(), media_path(&id, &ready.layout, file));
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.serve(shelf, async |request| nothing_else(&request), stop.clone()));
    Ok((url, Serving { stop, task }))
}

fn nothing_else(_request: &http::Request<hyper::body::Incoming>) -> Response<ResponseBody> {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here but the stream").into_response()
}

/// Waits for the metadata, showing how that goes.
pub(super) async fn metadata(
    torrent: &Torrent,
    screen: &mut Screen,
    timeout: Duration,
) -> Result<Arc<Ready>, Failure> {
    let mut seen = torrent.watch();
    let mut ready = std::pin::pin!(torrent.wait_metadata(timeout));
    loop {
        tokio::select! {
            done = ready.as_mut() => return done,
            status = torrent.next_status(&mut seen) => show(screen, &status?, None),
        }
    }
}

/// Beside the chosen file only subtitles are wanted: they are small, and players ask for them.
async fn select_only(torrent: &Torrent, ready: &Ready, file: FileIndex) {
    let wanted = ready.layout.files().iter().enumerate().map(|(nth, span)| {
        let name = span.path.last().map(String::as_str).unwrap_or_default();
        nth == file.as_usize() || afflux_stream::media_type(name).kind == afflux_stream::Kind::Subtitle
    });
    torrent.select(wanted.collect()).await;
}

fn announce(screen: &Screen, url: &str, ready: &Ready, file: FileIndex) {
    let span = ready.layout.file(file);
    let (path, size) = span.map_or_else(Default::default, |span| (span.display_path(), span.length));
    screen.say(
        &format!("{path} ({})\n{url}", show_bytes(size)),
        || json!({"event": "ready", "url": url, "file": file.0, "path": path, "size": size}),
    );
}

/// Starts a player. It is a child of ours: it ends when it likes, and we go on serving.
fn start_player(player: &str, url: &str) -> Result<tokio::process::Child, Failure> {
    let mut words = player.split_whitespace();
    let program =
        words.next().ok_or_else(|| Failure::usage("--open needs the name of a player, such as mpv"))?;
    tokio::process::Command::new(program)
        .args(words)
        .arg(url)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| Failure::work(format!("the player {program} can't be started: {error}")))
}

/// Shows how the stream goes until it is stopped or can't go on.
async fn follow(
    torrent: &Torrent,
    ready: &Arc<Ready>,
    file: FileIndex,
    tuning: &Tuning,
    screen: &mut Screen,
    mut warm_up: Option<WarmUp>,
) -> Result<ExitCode, Failure> {
    let mut watch = Watch::new(torrent.clone(), Arc::clone(ready), file, tuning);
    let mut seen = torrent.watch();
    let mut told_until = None;
    loop {
        let status = torrent.next_status(&mut seen).await?;
        let watched = watch.look(&status, Instant::now());
        told_until = tell_stalls(torrent, ready, screen, told_until).await?;
        if watched.readers > 0 {
            warm_up = None;
        }
        if watched.newly_stalled {
            torrent.find_more_peers(Search::Everywhere).await;
        }
        show(screen, &status, Some(&watched));
        if status.state == State::Error && warm_up.is_some() {
            return Err(Failure::work(status.error.unwrap_or_else(|| "the stream failed".to_owned())));
        }
    }
}

/// Tells programs of the waits that ended since the last look, and why they were; people see the state. Returns the end of the
/// last one.
async fn tell_stalls(
    torrent: &Torrent,
    ready: &Ready,
    screen: &mut Screen,
    since: Option<Instant>,
) -> Result<Option<Instant>, Failure> {
    if !screen.is_json() {
        return Ok(since);
    }
    let now = Instant::now();
    let stalls = torrent.stalls(since).await?;
    for stall in stalls.iter().filter(|stall| stall.until.is_some()) {
        let mut line = stall_json(stall, &ready.layout, now);
        line["event"] = "wait".into();
        screen.say("", || line);
    }
    Ok(stalls.iter().filter_map(|stall| stall.until).max().or(since))
}

/// A look at a stream, for people and programs.
pub(super) fn show(screen: &mut Screen, status: &Status, watched: Option<&Watched>) {
    let state = watched.map_or(status.state.as_str(), |watched| watched.state.as_str());
    let buffered = watched.map_or(0, |watched| watched.buffered_bytes);
    screen.status(
        || status_line(status, state, &format!("{} ahead", show_bytes(buffered))),
        || {
            let mut line = json!({"event": "status"});
            session::add_live_state(&mut line, status);
            line["state"] = state.into();
            if let Some(watched) = watched {
                line["positionBytes"] = watched.position.into();
                line["bufferedBytes"] = buffered.into();
                line["readers"] = watched.readers.into();
                line["stalls"] = json!({"count": watched.stalls, "totalMs": watched.stalled_ms});
            }
            line
        },
    );
}
