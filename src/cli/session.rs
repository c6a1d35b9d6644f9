//! What the commands that join a swarm share: the runtime, the engine, signals, and the end within five seconds.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use super::{Context, NetworkArguments};
use crate::config::{SwarmSettings, Tuning};
use crate::engine::{Engine, EngineConfig};
use crate::failure::Failure;

/// SIGINT and SIGTERM end a command within five seconds; one is left for the process itself.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);

/// Settles the options of a command that joins a swarm.
pub(super) fn settle(context: &Context, network: NetworkArguments) -> Result<(SwarmSettings, Tuning), Failure> {
    let swarm = network.swarm.settle(context.file.swarm.clone())?;
    let tuning = network.tuning.settle(context.file.limits.clone());
    Ok((swarm, tuning))
}

/// Runs `work` with an engine until it is done or a signal comes, then ends the engine.
pub(super) fn with_engine<F>(
    context: &Context,
    swarm: SwarmSettings,
    tuning: Tuning,
    work: impl FnOnce(std::sync::Arc<Engine>) -> F,
) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let config = EngineConfig { swarm, tuning, data_dir: context.data_dir.clone() };
    runtime()?.block_on(async {
        let engine = std::sync::Arc::new(Engine::start(config).await?);
        let done = tokio::select! {
            done = work(std::sync::Arc::clone(&engine)) => done,
            stopped = interrupted() => stopped.map(|()| ExitCode::SUCCESS),
        };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, engine.shutdown()).await.is_err() {
            warn!("the end took too long; what wasn't saved is checked at the next start");
        }
        done
    })
}

/// The runtime of a command.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::work(format!("the runtime can't be started: {error}")))
}

/// Waits for SIGINT or SIGTERM.
pub(super) async fn interrupted() -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::work(format!("signals can't be caught: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
