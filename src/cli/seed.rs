//! `afflux seed`: serves files that are there, until stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use afflux_metainfo::create::Envelope;
use afflux_metainfo::magnet::Magnet;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_storage::Kind;
use serde_json::json;

use super::show::Screen;
use super::{Context, NetworkArguments, create, download, session};
use crate::engine::{AddOptions, CLIENT, State};
use crate::failure::Failure;
use crate::source::Source;

/// Arguments of `afflux seed`.
#[derive(Debug, clap::Args)]
pub struct SeedArguments {
    /// A .torrent whose files are below -o, or a file or folder to make one of
    path: PathBuf,
    /// Folder that the torrent's files are in [default: the folder of PATH]
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
    let source = source(&arguments, &swarm.trackers)?;
    let folder = arguments.output.clone().unwrap_or_else(|| match arguments.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    });
    if !folder.is_dir() {
        return Err(Failure::work(format!(
            "{} is no folder: say -o with the one that the torrent's files are in",
            folder.display()
        )));
    }
    let json = context.json;
    session::with_engine(&context, swarm, tuning, async |engine| {
        let mut screen = Screen::new(json);
        let options = AddOptions {
            read_only: true,
            recheck: arguments.recheck,
            ..AddOptions::new(Kind::Disk { dir: folder })
        };
        let torrent = engine.add(&source, options)?;
        let mut magnet = Magnet::new(source.hashes());
        magnet.name = Some(source.name());
        magnet.trackers = source.trackers().concat();
        let port = engine.port();
        screen.say(&format!("seeding {} on port {port}\n{magnet}", source.name()), || {
            json!({"event": "seeding", "infoHash": torrent.info_hash().to_string(), "name": source.name(),
                   "magnet": magnet.to_string(), "port": port})
        });
        let mut seen = torrent.watch();
        let mut warned = false;
        loop {
            let status = torrent.next_status(&mut seen).await?;
            download::show(&mut screen, &status);
            match status.state {
                State::Error => {
                    return Err(Failure::work(status.error.unwrap_or_else(|| "seeding failed".to_owned())));
                }
                State::Seeding if !warned => {
                    warned = true;
                    let all = torrent.ready().map_or(0, |ready| ready.layout.piece_count());
                    let missing = all.saturating_sub(status.progress.pieces_have);
                    if missing > 0 {
                        let sentence = format!(
                            "{missing} pieces are missing or wrong on disk; only the others are served"
                        );
                        screen.say(&sentence, || json!({"event": "incomplete", "missingPieces": missing}));
                    }
                }
                _ => {}
            }
        }
    })
}

/// A .torrent is taken as it is; of anything else one is made.
fn source(arguments: &SeedArguments, trackers: &[String]) -> Result<Source, Failure> {
    let path = &arguments.path;
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
