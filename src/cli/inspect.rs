//! `afflux inspect`: everything a .torrent or magnet says.

use std::process::ExitCode;

use afflux_storage::Kind;

use super::{Context, NetworkArguments, session, show::Screen};
use crate::config::units::show_bytes;
use crate::engine::AddOptions;
use crate::failure::Failure;
use crate::source::Source;
use crate::torrent_info::TorrentInfo;

/// Arguments of `afflux inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArguments {
    /// Magnet link, .torrent file, http(s) URL of one, or info-hash
    source: String,
    /// Get what the source doesn't say itself: a URL's .torrent, a magnet's metadata from peers
    #[arg(long)]
    fetch: bool,
    #[command(flatten)]
    network: NetworkArguments,
}

pub(super) fn run(context: Context, arguments: InspectArguments) -> Result<ExitCode, Failure> {
    if !arguments.fetch {
        let source = Source::local(&arguments.source)?;
        print(&context, &TorrentInfo::new(&source, None));
        return Ok(ExitCode::SUCCESS);
    }
    let (swarm, tuning) = session::settle(&context, arguments.network)?;
    swarm.refuse_strategy("only metadata is fetched")?;
    let timeout = tuning.torrent_timeout;
    session::with_engine(&context, swarm, tuning, async |engine| {
        let source = engine.resolve(&arguments.source).await?;
        if let Source::Torrent(_) = &source {
            print(&context, &TorrentInfo::new(&source, None));
            return Ok(ExitCode::SUCCESS);
        }
        // Only the metadata is wanted: nothing is fetched without a reader, and nothing touches the disk.
        let options = AddOptions { read_only: true, ..AddOptions::new(Kind::Memory) };
        let torrent = engine.add(&source, options)?;
        let ready = torrent.wait_metadata(timeout).await?;
        print(&context, &TorrentInfo::new(&source, Some(&ready.info)));
        Ok(ExitCode::SUCCESS)
    })
}

fn print(context: &Context, about: &TorrentInfo) {
    let screen = Screen::new(context.json);
    screen.say(&describe(about), || serde_json::to_value(about).unwrap_or_default());
}

/// The human view: a line per fact, a line per file.
fn describe(about: &TorrentInfo) -> String {
    let json = serde_json::to_value(about).unwrap_or_default();
    let mut lines = Vec::new();
    for (label, key) in [
        ("name", "name"),
        ("info-hash (v1)", "infoHash"),
        ("info-hash (v2)", "infoHashV2"),
        ("comment", "comment"),
        ("created by", "createdBy"),
    ] {
        if let Some(text) = json[key].as_str() {
            lines.push(format!("{label:<15} {text}"));
        }
    }
    if let Some(size) = json["totalSize"].as_u64() {
        lines.push(format!("{:<15} {} ({size} bytes)", "size", show_bytes(size)));
    }
    if let (Some(count), Some(length)) = (json["pieceCount"].as_u64(), json["pieceLength"].as_u64()) {
        lines.push(format!("{:<15} {count} of {}", "pieces", show_bytes(length)));
    }
    if json["private"] == true {
        lines.push(format!("{:<15} yes: peers come from its trackers alone", "private"));
    }
    for (label, key) in [("tracker", "trackers"), ("web seed", "webSeeds")] {
        let urls = json[key].as_array().into_iter().flatten().filter_map(|url| url.as_str());
        lines.extend(urls.map(|url| format!("{label:<15} {url}")));
    }
    for file in about.files() {
        let mark = if json["mainFile"] == file.index() { " (main file)" } else { "" };
        lines.push(format!(
            "file {:<10} {:>11}  {:<8}  {}{mark}",
            file.index(),
            show_bytes(file.size()),
            file.kind(),
            file.path()
        ));
    }
    let warnings = json["warnings"].as_array().into_iter().flatten().filter_map(|warning| warning.as_str());
    lines.extend(warnings.map(|warning| format!("{:<15} {warning}", "warning")));
    lines.join("\n")
}
