//! `afflux seed`: serves files that are there, until stopped.

use std::mem;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use afflux_metainfo::create::Envelope;
use afflux_metainfo::magnet::Magnet;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_storage::Kind;
use serde_json::json;

use super::show::Screen;
use super::{Context, NetworkArguments, create, download, session};
use crate::config::units::show_bytes;
use crate::engine::{AddOptions, CLIENT, Engine, State, Status, Torrent};
use crate::failure::Failure;
use crate::source::Source;

/// Between two looks at several torrents.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `afflux seed`.
#[derive(Debug, clap::Args)]
pub struct SeedArguments {
    /// .torrent whose files are below -o, or a file or folder to make one of; as many as you like
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder that the torrents' files are in [default: the folder of each PATH]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Verify all files first, whatever was remembered
    #[arg(long)]
    recheck: bool,
    #[command(flatten)]
    network: NetworkArguments,
}

pub(super) fn run(context: Context, arguments: SeedArguments) -> Result<ExitCode, Failure> {
    let (swarm, tuning) = session::settle(&context, arguments.network.clone())?;
    swarm.refuse_strategy("a seed fetches nothing")?;
    let shares: Vec<Share> = arguments
        .paths
        .iter()
        .map(|path| Share::new(path, &arguments, &swarm.trackers))
        .collect::<Result<_, _>>()?;
    let json = context.json;
    session::with_engine(&context, swarm, tuning, async |engine| {
        let mut screen = Screen::new(json);
        let mut torrents = Vec::with_capacity(shares.len());
        for share in shares {
            torrents.push(share.seed(&engine, arguments.recheck, &screen)?);
        }
        match &torrents[..] {
            [torrent] => follow(torrent, &mut screen).await,
            torrents => follow_all(torrents, &mut screen).await,
        }
    })
}

/// One torrent to seed.
struct Share {
    source: Source,
    folder: PathBuf,
}

impl Share {
    fn new(path: &Path, arguments: &SeedArguments, trackers: &[String]) -> Result<Self, Failure> {
        let source = source(path, trackers)?;
        let folder = arguments.output.clone().unwrap_or_else(|| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        });
        if !folder.is_dir() {
            return Err(Failure::work(format!(
                "{} is no folder: say -o with the one that the torrent's files are in",
                folder.display()
            )));
        }
        Ok(Self { source, folder })
    }

    fn seed(self, engine: &Engine, recheck: bool, screen: &Screen) -> Result<Torrent, Failure> {
        let options =
            AddOptions { read_only: true, recheck, ..AddOptions::new(Kind::Disk { dir: self.folder }) };
        let source = self.source;
        let torrent = engine.add(&source, options)?;
        let mut magnet = Magnet::new(source.hashes());
        magnet.name = Some(source.name());
        magnet.trackers = source.trackers().concat();
        let port = engine.port();
        screen.say(&format!("seeding {} on port {port}\n{magnet}", source.name()), || {
            json!({"event": "seeding", "infoHash": torrent.info_hash().to_string(), "name": source.name(),
                   "magnet": magnet.to_string(), "port": port})
        });
        Ok(torrent)
    }
}

/// Shows one torrent until stopped.
async fn follow(torrent: &Torrent, screen: &mut Screen) -> Result<ExitCode, Failure> {
    let mut seen = torrent.watch();
    let mut warned = false;
    loop {
        let status = torrent.next_status(&mut seen).await?;
        download::show(screen, &status);
        match status.state {
            State::Error => return Err(Failure::work(reason(&status))),
            State::Seeding if !warned => {
                warned = true;
                warn_of_missing(torrent, &status, screen);
            }
            _ => {}
        }
    }
}

/// Shows the sum of several torrents until stopped. One that fails is told, and the others go on.
async fn follow_all(torrents: &[Torrent], screen: &mut Screen) -> Result<ExitCode, Failure> {
    let mut told = vec![false; torrents.len()];
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let mut sum = Sum::default();
        for (torrent, told) in torrents.iter().zip(&mut told) {
            let status = torrent.status();
            sum.add(&status);
            match status.state {
                State::Error if !mem::replace(told, true) => {
                    let (name, reason) = (torrent.name(), reason(&status));
                    screen.say(&format!("{name}: {reason}"), || {
                        json!({"event": "failed", "infoHash": torrent.info_hash().to_string(), "name": name,
                               "reason": reason})
                    });
                }
                State::Seeding if !mem::replace(told, true) => warn_of_missing(torrent, &status, screen),
                _ => {}
            }
        }
        if sum.failed == torrents.len() {
            return Err(Failure::work("none of the torrents can be seeded"));
        }
        screen.status(|| sum.line(), || sum.object());
    }
}

/// What several torrents are at.
#[derive(Debug, Default)]
struct Sum {
    seeding: usize,
    checking: usize,
    failed: usize,
    upload_rate: u64,
    connected: u64,
}

impl Sum {
    fn add(&mut self, status: &Status) {
        match status.state {
            State::Error => self.failed += 1,
            State::Seeding => self.seeding += 1,
            State::Metadata | State::Checking | State::Downloading => self.checking += 1,
        }
        self.upload_rate += status.snapshot.upload_rate;
        self.connected += u64::from(status.snapshot.connected);
    }

    fn line(&self) -> String {
        let others = match (self.checking, self.failed) {
            (0, 0) => String::new(),
            (checking, 0) => format!("  {checking} to check"),
            (0, failed) => format!("  {failed} failed"),
            (checking, failed) => format!("  {checking} to check  {failed} failed"),
        };
        let (rate, connected) = (show_bytes(self.upload_rate), self.connected);
        format!("{} torrents seeding{others}  up {rate}/s  peers {connected}", self.seeding)
    }

    fn object(&self) -> serde_json::Value {
        json!({"event": "status", "seeding": self.seeding, "checking": self.checking, "failed": self.failed,
               "uploadRate": self.upload_rate, "peers": {"connected": self.connected}})
    }
}

fn reason(status: &Status) -> String {
    status.error.clone().unwrap_or_else(|| "seeding failed".to_owned())
}

fn warn_of_missing(torrent: &Torrent, status: &Status, screen: &Screen) {
    let all = torrent.ready().map_or(0, |ready| ready.layout.piece_count());
    let missing = all.saturating_sub(status.progress.pieces_have);
    if missing > 0 {
        let sentence = format!("{missing} pieces are missing or wrong on disk; only the others are served");
        screen.say(&sentence, || json!({"event": "incomplete", "missingPieces": missing}));
    }
}

/// A .torrent is taken as it is; of anything else one is made.
fn source(path: &Path, trackers: &[String]) -> Result<Source, Failure> {
    if !path.exists() {
        return Err(Failure::usage(format!("{} does not exist", path.display())));
    }
    let named_torrent = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"));
    if named_torrent && path.is_file() {
        return Source::local(&path.to_string_lossy());
    }
    let envelope = Envelope {
        trackers: trackers.iter().map(|url| vec![url.clone()]).collect(),
        created_by: Some(CLIENT.to_owned()),
        ..Envelope::default()
    };
    let bytes = create::make(path, None, false, envelope)?;
    let torrent = TorrentFile::parse(&bytes)
        .map_err(|error| Failure::work(format!("what was made is wrong: {error}")))?;
    Ok(Source::Torrent(Box::new(torrent)))
}
