//! `afflux download`: a torrent to disk; ends when it is complete and verified.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_storage::Kind;
use serde_json::json;

use super::files::Preallocate;
use super::show::{Screen, status_line};
use super::{Context, NetworkArguments, files, session};
use crate::config::units::show_bytes;
use crate::engine::torrent::Ready;
use crate::engine::{AddOptions, State, Status, Torrent};
use crate::failure::Failure;
use crate::source::Source;
use afflux_swarm::StrategyName;

/// Arguments of `afflux download`.
#[derive(Debug, clap::Args)]
pub struct DownloadArguments {
    /// Magnet link, .torrent file, http(s) URL of one, or info-hash
    source: String,
    /// Folder to download to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Fetch pieces in ascending order
    #[arg(long, conflicts_with = "strategy")]
    sequential: bool,
    /// Files to download: numbers and ranges (0,2,4-7) or a pattern (*.mkv)
    #[arg(long, value_name = "SPEC")]
    files: Option<String>,
    /// Files to fetch before the others, as in --files
    #[arg(long, value_name = "SPEC")]
    first: Option<String>,
    /// Files to fetch after the others, as in --files
    #[arg(long, value_name = "SPEC")]
    last: Option<String>,
    /// Replace files that are there already and aren't this torrent's
    #[arg(long)]
    overwrite: bool,
    /// When files take their space on disk
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    preallocate: Preallocate,
    /// Seed after completion until so many times the size was sent
    #[arg(long, value_name = "R", value_parser = ratio)]
    seed_ratio: Option<f64>,
    /// Seed for so many minutes after completion
    #[arg(long, value_name = "MINUTES")]
    seed_time: Option<u64>,
    /// Verify what is on disk before anything else
    #[arg(long)]
    recheck: bool,
    #[command(flatten)]
    network: NetworkArguments,
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio.is_finite() && (0.0..=1000.0).contains(&ratio) => Ok(ratio),
        _ => Err("allowed is a number from 0 to 1000, such as 1.5".to_owned()),
    }
}

pub(super) fn run(context: Context, arguments: DownloadArguments) -> Result<ExitCode, Failure> {
    let (swarm, tuning) = session::settle(&context, arguments.network.clone())?;
    let timeout = tuning.torrent_timeout;
    let strategy = match swarm.strategy {
        _ if arguments.sequential => StrategyName::Sequential,
        Some(strategy) => strategy,
        None => StrategyName::Deadline,
    };
    let json = context.json;
    session::with_engine(&context, swarm, tuning, async |engine| {
        let mut screen = Screen::new(json);
        let source = engine.resolve(&arguments.source).await?;
        let options = AddOptions {
            recheck: arguments.recheck,
            strategy,
            overwrite: arguments.overwrite,
            allocation: arguments.preallocate.into(),
            // Which files are wanted is known when the metadata is.
            hold: true,
            ..AddOptions::new(Kind::Disk { dir: arguments.output.clone() })
        };
        let torrent = engine.add(&source, options)?;
        announce_start(&screen, &source);
        let ready = prepare(&torrent, &arguments, &source, &mut screen, timeout).await?;
        let done = complete(&torrent, &mut screen).await?;
        let seconds = done.elapsed.as_secs_f64();
        let sentence =
            format!("complete: {} in {seconds:.1} s", show_bytes(done.status.progress.bytes_selected));
        screen.say(&sentence, || {
            json!({"event": "complete", "infoHash": torrent.info_hash().to_string(), "name": ready.info.name,
                   "seconds": seconds, "bytes": done.status.progress.bytes_selected,
                   "downloadedBytes": done.status.totals.payload_received,
                   "wastedBytes": done.status.totals.wasted,
                   "copiedBytes": done.status.copied_bytes,
                   "ledgerPeakBytes": engine.ledger().peak()})
        });
        seed_on(&torrent, &arguments, &mut screen).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn announce_start(screen: &Screen, source: &Source) {
    screen.say(
        &source.name(),
        || json!({"event": "started", "infoHash": source.hashes().wire().to_string(), "name": source.name()}),
    );
}

/// Waits for metadata and storage, and selects files.
async fn prepare(
    torrent: &Torrent,
    arguments: &DownloadArguments,
    source: &Source,
    screen: &mut Screen,
    timeout: Duration,
) -> Result<Arc<Ready>, Failure> {
    let mut seen = torrent.watch();
    let mut ready = std::pin::pin!(torrent.wait_metadata(timeout));
    let ready = loop {
        tokio::select! {
            done = ready.as_mut() => break done?,
            status = torrent.next_status(&mut seen) => show(screen, &status?),
        }
    };
    let count = ready.layout.files().len() as u32;
    let selected = match (&arguments.files, source) {
        (Some(spec), _) => files::selection(&ready.layout, "--files", spec)?,
        // BEP 53: the link itself names the files.
        (None, Source::Magnet(magnet)) if !magnet.select.is_empty() => {
            (0..count).map(|file| magnet.selects(file)).collect()
        }
        _ => vec![true; count as usize],
    };
    let (first, last) = (arguments.first.as_deref(), arguments.last.as_deref());
    torrent.prioritize(files::priorities(&ready.layout, selected, first, last)?).await;
    Ok(ready)
}

/// A finished download.
struct Done {
    status: Status,
    elapsed: Duration,
}

async fn complete(torrent: &Torrent, screen: &mut Screen) -> Result<Done, Failure> {
    let begun = Instant::now();
    let mut seen = torrent.watch();
    loop {
        let status = torrent.next_status(&mut seen).await?;
        show(screen, &status);
        match status.state {
            State::Seeding => return Ok(Done { status, elapsed: begun.elapsed() }),
            State::Error => {
                return Err(Failure::work(status.error.unwrap_or_else(|| "the download failed".to_owned())));
            }
            _ => {}
        }
    }
}

/// Seeds as long as asked: by ratio, by time, whichever is reached first.
async fn seed_on(
    torrent: &Torrent,
    arguments: &DownloadArguments,
    screen: &mut Screen,
) -> Result<(), Failure> {
    if arguments.seed_ratio.is_none() && arguments.seed_time.is_none() {
        return Ok(());
    }
    let until =
        arguments.seed_time.map(|minutes| Instant::now() + Duration::from_secs(minutes.min(1_000_000) * 60));
    let mut seen = torrent.watch();
    loop {
        let status = torrent.next_status(&mut seen).await?;
        show(screen, &status);
        let sent = status.totals.payload_sent as f64;
        let enough =
            arguments.seed_ratio.is_some_and(|ratio| sent >= ratio * status.progress.bytes_selected as f64);
        if enough || until.is_some_and(|until| until <= Instant::now()) {
            return Ok(());
        }
    }
}

/// A look at a transfer, for people and programs.
pub(super) fn show(screen: &mut Screen, status: &Status) {
    let have = || format!("{:.1} %  {}", status.fraction() * 100.0, show_bytes(status.progress.bytes_have));
    screen.status(
        || status_line(status, status.state.as_str(), &have()),
        || {
            let mut line = json!({"event": "status"});
            session::add_live_state(&mut line, status);
            line
        },
    );
}
