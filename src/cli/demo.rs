//! `afflux demo`: a swarm on loopback that shares the sample media, streamed the way `stream` does it.
//!
//! Everything is real: an HTTP tracker, seeders that are whole engines of their own, sockets, rates. The
//! seeders together send a little faster than the film plays, so that it is watched while it arrives.

mod play;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use afflux_metainfo::create::{Builder, Envelope};
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_storage::Kind;
use afflux_stream::ServerConfig;
use serde_json::json;

use super::show::Screen;
use super::{Context, session, stream};
use crate::config::{HttpOptions, SwarmOptions, SwarmSettings, Tuning, TuningOptions};
use crate::engine::{AddOptions, CLIENT, Engine, EngineConfig, State, Torrent};
use crate::failure::Failure;
use crate::source::Source;
use crate::tracker_server::TrackerServer;

/// The sample media, inside the program, so that the demo works wherever the program is.
const SAMPLES: [(&str, &[u8]); 4] = [
    ("Afflux Clock (2026) 360p.en.srt", include_bytes!("../../samples/Afflux Clock (2026) 360p.en.srt")),
    ("Afflux Clock (2026) 360p.mkv", include_bytes!("../../samples/Afflux Clock (2026) 360p.mkv")),
    (
        "Afflux Test Card (2026) 360p.en.srt",
        include_bytes!("../../samples/Afflux Test Card (2026) 360p.en.srt"),
    ),
    ("Afflux Test Card (2026) 360p.mp4", include_bytes!("../../samples/Afflux Test Card (2026) 360p.mp4")),
];
/// Name of the shared folder.
const FOLDER: &str = "Afflux demo";
/// Small pieces, as small files have.
const PIECE_LENGTH: u32 = 32 * 1024;
/// The samples' length in seconds and the largest one's size, which make the rate at which they play.
const FILM_SECONDS: u64 = 72;
/// How much faster than it plays the film arrives, in percent.
const RATE_PERCENT: u64 = 150;
/// Seeders; together they have the whole rate.
const SEEDERS: u64 = 4;

/// Arguments of `afflux demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// Play it without a person: read head and tail at once, seek three times to what is missing, compare every
    /// byte, print what was measured, and exit with 0 or 1
    #[arg(long)]
    check: bool,
    /// File to stream: its number, or a pattern [default: the largest video]
    #[arg(long, value_name = "INDEX|GLOB")]
    file: Option<String>,
    /// Start this player with the URL: a command such as mpv or vlc
    #[arg(long, value_name = "PLAYER", conflicts_with = "check")]
    open: Option<String>,
    /// HTTP port on loopback; 0 takes any free one [default: 8080]
    #[arg(long, value_name = "PORT", env = "STREAM_PORT", value_parser = crate::config::units::port("STREAM_PORT"))]
    port: Option<u16>,
    #[command(flatten)]
    tuning: TuningOptions,
}

pub(super) fn run(context: Context, arguments: DemoArguments) -> Result<ExitCode, Failure> {
    let scratch = Scratch::new()?;
    let tuning = arguments.tuning.clone().settle(context.file.limits.clone());
    let json = context.json;
    let swarm = viewer_settings()?;
    let context = Context { data_dir: scratch.path.join("viewer"), ..context };
    let http =
        HttpOptions { port: arguments.port, ..Default::default() }.settle(context.file.http.clone())?;
    // Without a person the port doesn't matter, so that checks never get in each other's way.
    let listen = if arguments.check && arguments.port.is_none() { loopback(0) } else { http.listen };
    let settings = tuning.clone();
    session::with_engine(&context, swarm, tuning, async |engine| {
        let mut screen = Screen::new(json);
        let server = stream::bind(stream::windowed(ServerConfig::new(listen), &settings)).await?;
        let crowd = Crowd::gather(&scratch.path, &settings).await?;
        screen.say(
            &format!(
                "a swarm of {SEEDERS} seeders on loopback shares {FOLDER:?}, each at {} KiB/s",
                crowd.rate / 1024
            ),
            || json!({"event": "swarm", "seeders": SEEDERS, "rate": crowd.rate, "tracker": crowd.tracker.announce_url()}),
        );
        let source = Source::Torrent(Box::new(crowd.torrent.clone()));
        let torrent = engine.add(&source, AddOptions::new(Kind::Memory))?;
        let done = if arguments.check {
            let ready = stream::metadata(&torrent, &mut screen, settings.torrent_timeout).await?;
            let (url, serving) = play::serve(server, &torrent, &ready, arguments.file.as_deref())?;
            let done = play::check(&torrent, &ready, &url, &screen).await;
            serving.stop().await;
            done
        } else {
            let show = stream::Showing { file: arguments.file.clone(), open: arguments.open.clone(), server };
            stream::watch(&torrent, show, &settings, &mut screen).await
        };
        crowd.disperse().await;
        done
    })
}

/// The viewer is a plain engine that keeps to loopback.
fn viewer_settings() -> Result<SwarmSettings, Failure> {
    let options = SwarmOptions {
        bind: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        peer_port: Some(0),
        no_dht: true,
        allow_local_addresses: true,
        ..Default::default()
    };
    options.settle(SwarmOptions::default())
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The tracker and the seeders.
struct Crowd {
    tracker: TrackerServer,
    seeders: Vec<Engine>,
    torrent: TorrentFile,
    /// Bytes per second of each seeder.
    rate: u64,
}

impl Crowd {
    /// Writes the samples to `scratch`, makes a torrent of them and starts seeding it.
    async fn gather(scratch: &Path, tuning: &Tuning) -> Result<Self, Failure> {
        let media = scratch.join("media");
        write_samples(&media.join(FOLDER)).map_err(|error| {
            Failure::work(format!("the samples can't be written to {}: {error}", media.display()))
        })?;
        let tracker = TrackerServer::start(loopback(0))
            .await
            .map_err(|error| Failure::work(format!("the demo's tracker can't be started: {error}")))?;
        let torrent = make_torrent(&media, tracker.announce_url())?;
        let largest = SAMPLES.iter().map(|(_, bytes)| bytes.len() as u64).max().unwrap_or(0);
        let rate = largest / FILM_SECONDS * RATE_PERCENT / 100 / SEEDERS;
        let mut seeders = Vec::new();
        for number in 0..SEEDERS {
            let mut swarm = viewer_settings()?;
            swarm.upload_limit = Some(rate);
            let config = EngineConfig {
                swarm,
                tuning: tuning.clone(),
                data_dir: scratch.join(format!("seeder-{number}")),
            };
            let engine = Engine::start(config).await?;
            let options =
                AddOptions { read_only: true, ..AddOptions::new(Kind::Disk { dir: media.clone() }) };
            let seeded = engine.add(&Source::Torrent(Box::new(torrent.clone())), options)?;
            seeders.push(engine);
            wait_until_seeding(&seeded).await?;
        }
        Ok(Self { tracker, seeders, torrent, rate })
    }

    async fn disperse(self) {
        for seeder in self.seeders {
            seeder.shutdown().await;
        }
    }
}

async fn wait_until_seeding(torrent: &Torrent) -> Result<(), Failure> {
    let mut seen = torrent.watch();
    loop {
        match torrent.next_status(&mut seen).await?.state {
            State::Seeding => return Ok(()),
            State::Error => return Err(Failure::work("a seeder of the demo can't read the samples")),
            _ => {}
        }
    }
}

fn write_samples(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    SAMPLES.iter().try_for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes))
}

fn make_torrent(media: &Path, tracker: String) -> Result<TorrentFile, Failure> {
    let wrong = |error: String| Failure::work(format!("the demo's torrent can't be made: {error}"));
    let files = SAMPLES.iter().map(|(name, bytes)| (vec![(*name).to_owned()], bytes.len() as u64));
    let envelope = Envelope {
        trackers: vec![vec![tracker]],
        created_by: Some(CLIENT.to_owned()),
        ..Envelope::default()
    };
    let builder = Builder::folder(FOLDER, files, PIECE_LENGTH)
        .map_err(|error| wrong(error.to_string()))?
        .envelope(envelope);
    let hashes = afflux_storage::hash_files(builder.layout(), media, 1, &|_, _| {})
        .map_err(|error| wrong(error.to_string()))?;
    let bytes = builder.build(&hashes).map_err(|error| wrong(error.to_string()))?;
    TorrentFile::parse(&bytes).map_err(|error| wrong(error.to_string()))
}

/// A folder of its own below the system's temporary one, gone with the demo.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::work(format!("the system gives no random numbers: {error}")))?;
        let path = std::env::temp_dir().join(format!("afflux-demo-{:016x}", u64::from_le_bytes(random)));
        std::fs::create_dir(&path)
            .map_err(|error| Failure::work(format!("{} can't be made: {error}", path.display())))?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the demo's folder can't be removed");
        }
    }
}

/// A sample by its name in the torrent.
fn sample(name: &str) -> Option<&'static [u8]> {
    SAMPLES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}
