//! `afflux create`: a .torrent of a file or folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use afflux_metainfo::Layout;
use afflux_metainfo::create::{Builder, Envelope, piece_length_for};
use afflux_metainfo::torrent::Torrent;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, show::Screen};
use crate::config::units;
use crate::engine::CLIENT;
use crate::failure::Failure;

/// Smallest and largest piece that is made: below, a .torrent is mostly hashes; above, players wait too long.
const PIECE_LENGTHS: (u64, u64) = (16 * 1024, 64 * 1024 * 1024);
/// Folders in folders that are followed when files are collected.
const DEPTH_MAX: usize = 64;

/// Arguments of `afflux create`.
#[derive(Debug, clap::Args)]
pub struct CreateArguments {
    /// File or folder to share
    path: PathBuf,
    /// Where to write the .torrent
    #[arg(short, long, value_name = "FILE.torrent")]
    output: PathBuf,
    /// Tracker to announce to; may be repeated, each its own tier
    #[arg(long, value_name = "URL")]
    tracker: Vec<String>,
    /// HTTP server that has the files too; may be repeated
    #[arg(long, value_name = "URL")]
    web_seed: Vec<String>,
    /// Bytes of a piece, a power of two, K and M allowed [default: by size]
    #[arg(long, value_name = "BYTES", value_parser = units::size("--piece-length", PIECE_LENGTHS.0, PIECE_LENGTHS.1))]
    piece_length: Option<u64>,
    /// Peers come from the trackers alone (BEP 27)
    #[arg(long)]
    private: bool,
    /// v1, v2 or hybrid
    #[arg(long, value_name = "FORMAT", default_value = "v1")]
    format: String,
    /// A sentence for people
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

pub(super) fn run(context: &Context, arguments: CreateArguments) -> Result<ExitCode, Failure> {
    match arguments.format.as_str() {
        "v1" => {}
        "v2" | "hybrid" => {
            let format = &arguments.format;
            return Err(Failure::usage(format!(
                "--format {format} can't be made yet: only v1 is built in this version"
            )));
        }
        other => return Err(Failure::usage(format!("--format {other:?}: allowed are v1, v2 and hybrid"))),
    }
    let bytes = make(
        &arguments.path,
        arguments.piece_length,
        arguments.private,
        Envelope {
            trackers: arguments.tracker.into_iter().map(|url| vec![url]).collect(),
            web_seeds: arguments.web_seed,
            nodes: Vec::new(),
            comment: arguments.comment,
            created_by: Some(CLIENT.to_owned()),
            creation_date: SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs() as i64),
        },
    )?;
    let output = &arguments.output;
    std::fs::write(output, &bytes)
        .map_err(|error| Failure::work(format!("{} can't be written: {error}", output.display())))?;
    let torrent =
        Torrent::parse(&bytes).map_err(|error| Failure::work(format!("what was made is wrong: {error}")))?;
    let hash = torrent.info.hashes.wire();
    Screen::new(context.json).say(
        &format!("{}: info-hash {hash}, {} pieces", output.display(), torrent.info.layout.piece_count()),
        || json!({"event": "created", "path": output, "infoHash": hash.to_string()}),
    );
    Ok(ExitCode::SUCCESS)
}

/// Makes the .torrent of `path`, hashing with all cores.
pub(super) fn make(
    path: &Path,
    piece_length: Option<u64>,
    private: bool,
    envelope: Envelope,
) -> Result<Vec<u8>, Failure> {
    let wrong = |error| Failure::work(format!("{} can't be shared: {error}", path.display()));
    let (builder, root) = plan(path, piece_length)?;
    let builder = builder.private(private).envelope(envelope);
    let hashes = hash(builder.layout(), &root).map_err(|error| wrong(error.to_string()))?;
    builder.build(&hashes).map_err(|error| wrong(error.to_string()))
}

/// What to share, and the folder that its paths are below.
fn plan(path: &Path, piece_length: Option<u64>) -> Result<(Builder, PathBuf), Failure> {
    let shown = path.display();
    let path =
        path.canonicalize().map_err(|error| Failure::work(format!("{shown} can't be read: {error}")))?;
    let (Some(name), Some(root)) = (path.file_name().and_then(|name| name.to_str()), path.parent()) else {
        return Err(Failure::usage(format!("{shown} has no name that can be shared: it must be UTF-8")));
    };
    let facts =
        std::fs::metadata(&path).map_err(|error| Failure::work(format!("{shown} can't be read: {error}")))?;
    let wrong = |error: afflux_metainfo::create::CreateError| Failure::work(format!("{shown}: {error}"));
    if facts.is_file() {
        let piece_length = chosen(piece_length, facts.len())?;
        let builder = Builder::single_file(name, facts.len(), piece_length).map_err(wrong)?;
        return Ok((builder, root.to_path_buf()));
    }
    let mut files = Vec::new();
    collect(&path, &mut Vec::new(), &mut files)?;
    if files.is_empty() {
        return Err(Failure::work(format!("{shown} has no files to share")));
    }
    files.sort();
    let piece_length = chosen(piece_length, files.iter().map(|(_, length)| length).sum())?;
    let builder = Builder::folder(name, files, piece_length).map_err(wrong)?;
    Ok((builder, root.to_path_buf()))
}

fn chosen(piece_length: Option<u64>, total: u64) -> Result<u32, Failure> {
    match piece_length {
        Some(length) if length.is_power_of_two() => Ok(length as u32),
        Some(length) => Err(Failure::usage(format!("--piece-length {length} is no power of two"))),
        None => Ok(piece_length_for(total)),
    }
}

/// Files below a folder. Symbolic links are left out: they may lead anywhere.
fn collect(
    folder: &Path,
    below: &mut Vec<String>,
    files: &mut Vec<(Vec<String>, u64)>,
) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| Failure::work(format!("{} can't be read: {error}", folder.display()));
    if below.len() >= DEPTH_MAX {
        return Err(Failure::work(format!("{} is nested too deeply", folder.display())));
    }
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let kind = entry.file_type().map_err(wrong)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Failure::work(format!("{} has a name that is no UTF-8: rename it", folder.join(name).display()))
        })?;
        below.push(name);
        if kind.is_dir() {
            collect(&entry.path(), below, files)?;
        } else if kind.is_file() {
            files.push((below.clone(), entry.metadata().map_err(wrong)?.len()));
        }
        below.pop();
    }
    Ok(())
}

fn hash(layout: &Layout, root: &Path) -> Result<Vec<[u8; 20]>, afflux_storage::disk::Error> {
    let bar = ProgressBar::new(u64::from(layout.piece_count()));
    bar.set_style(
        ProgressStyle::with_template("hashing {wide_bar} {pos}/{len} pieces, {eta} left")
            .expect("the template is constant"),
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let hashes =
        afflux_storage::hash_files(layout, root, threads, &|done, _| bar.set_position(u64::from(done)));
    bar.finish_and_clear();
    hashes
}
