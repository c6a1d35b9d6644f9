//! `afflux serve`: the daemon. Its HTTP routes are in `crate::api`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::show::Screen;
use super::{Context, DaemonArguments, session, stream};
use crate::api::{Api, StreamStorage};
use crate::failure::Failure;
use crate::shelf::Shelf;

/// Arguments of `afflux serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArguments {
    /// Folder for what streams keep on disk [default: downloads or, with --storage cache, cache in the data folder]
    #[arg(long, value_name = "DIR")]
    download_dir: Option<PathBuf>,
    /// Where streams are kept: memory (within STREAM_CACHE_SIZE), disk, or cache (on disk within --disk-cache-size, and only
    /// while the daemon runs)
    #[arg(long, value_name = "KIND", default_value = "memory")]
    storage: String,
    #[command(flatten)]
    daemon: DaemonArguments,
}

pub(super) fn run(context: Context, arguments: ServeArguments) -> Result<ExitCode, Failure> {
    let (swarm, tuning) = session::settle(&context, arguments.daemon.network.clone())?;
    let http = arguments.daemon.http.clone().settle(context.file.http.clone())?;
    if http.auth_required {
        return Err(Failure::usage(
            "accounts aren't built in this version: afflux serve starts only with STREAM_AUTH_REQUIRED=false \
             (--auth-required false), and then on loopback",
        ));
    }
    if !http.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {}: without accounts the daemon listens on loopback only (127.0.0.1 or ::1)",
            http.listen
        )));
    }
    let evicting = "streams that don't stay fetch only what their readers ask for";
    let storage = match arguments.storage.as_str() {
        "memory" => {
            if arguments.download_dir.is_some() {
                return Err(Failure::usage(
                    "--download-dir has no effect while streams are in memory: add --storage disk or --storage cache",
                ));
            }
            swarm.refuse_strategy(evicting)?;
            StreamStorage::Memory
        }
        "disk" => {
            let folder = arguments.download_dir.clone().unwrap_or_else(|| context.data_dir.join("downloads"));
            StreamStorage::Disk { folder, strategy: swarm.strategy.unwrap_or_default() }
        }
        "cache" => {
            swarm.refuse_strategy(evicting)?;
            let folder = arguments.download_dir.clone().unwrap_or_else(|| context.data_dir.join("cache"));
            StreamStorage::Cache { folder }
        }
        other => {
            return Err(Failure::usage(format!("--storage {other:?}: allowed are memory, disk and cache")));
        }
    };
    let (json, settings) = (context.json, tuning.clone());
    session::with_engine(&context, swarm, tuning, async |engine| {
        let screen = Screen::new(json);
        let server = stream::bind(http.listen, &settings).await?;
        let address = server.local_addr();
        let shelf = Arc::new(Shelf::default());
        let api = Api::new(engine, Arc::clone(&shelf), storage, &http, settings, address);
        let stop = CancellationToken::new();
        // Dropped when a signal ends this command: responses get their chance to end.
        let _stop_serving = stop.clone().drop_guard();
        screen.say(
            &format!(
                "listening on http://{address}, without accounts: whoever can use this machine can use it"
            ),
            || json!({"event": "listening", "url": format!("http://{address}"), "authRequired": false}),
        );
        server.serve(shelf, api.service(), stop).await;
        Ok(ExitCode::SUCCESS)
    })
}
