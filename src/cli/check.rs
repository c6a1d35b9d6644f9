//! `afflux check`: verifies data on disk against a .torrent.

use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, show::Screen};
use crate::failure::Failure;
use crate::source::Source;

/// Bad pieces named in the human view; `--json` names all.
const NAMED_MAX: usize = 20;

/// Arguments of `afflux check`.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// The .torrent file
    torrent: String,
    /// Folder that the torrent's files are in
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(super) fn run(context: &Context, arguments: CheckArguments) -> Result<ExitCode, Failure> {
    let Source::Torrent(torrent) = Source::local(&arguments.torrent)? else {
        return Err(Failure::usage(
            "afflux check needs a .torrent file: a magnet link or info-hash has no piece hashes",
        ));
    };
    let info = &torrent.info;
    info.transferable().map_err(|reason| Failure::work(reason.to_string()))?;
    if !arguments.output.is_dir() {
        return Err(Failure::work(format!(
            "{} is no folder: say -o with the one that the files are in",
            arguments.output.display()
        )));
    }
    let hashes =
        info.piece_hashes.as_ref().ok_or_else(|| Failure::work("the torrent has no v1 piece hashes"))?;
    let bar = ProgressBar::new(u64::from(info.layout.piece_count()));
    bar.set_style(
        ProgressStyle::with_template("checking {wide_bar} {pos}/{len} pieces, {eta} left")
            .expect("the template is constant"),
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let expected = |piece| hashes.get(piece);
    let bad = afflux_storage::check_files(&info.layout, &arguments.output, threads, &expected, &|done, _| {
        bar.set_position(u64::from(done));
    });
    bar.finish_and_clear();
    let (count, total) = (bad.len(), info.layout.piece_count());
    let sentence = if bad.is_empty() {
        format!("all {total} pieces are right")
    } else {
        let named: Vec<String> = bad.iter().take(NAMED_MAX).map(ToString::to_string).collect();
        let more = if count > NAMED_MAX { format!(" and {} more", count - NAMED_MAX) } else { String::new() };
        format!("{count} of {total} pieces are missing or wrong: {}{more}", named.join(", "))
    };
    Screen::new(context.json).say(&sentence, || {
        let bad: Vec<u32> = bad.iter().map(|piece| piece.0).collect();
        json!({"event": "checked", "pieceCount": total, "badPieces": bad})
    });
    Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
