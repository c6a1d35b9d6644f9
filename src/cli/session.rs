//! What the commands that join a swarm share: the runtime, the engine, signals, and the end within five seconds.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Context, NetworkArguments};
use crate::config::{SwarmSettings, Tuning};
use crate::engine::{Engine, EngineConfig, Status};
use crate::failure::Failure;
use crate::service::shapes::LiveState;
use crate::threads;

/// SIGINT and SIGTERM end a command within five seconds; one is left for the process itself.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);
/// What of it the engine gets at least to end: it tells trackers and saves what it has.
const ENGINE_TIMEOUT_MIN: Duration = Duration::from_millis(750);
/// What blocks may go on for so long after that.
const BLOCKING_TIMEOUT: Duration = Duration::from_millis(500);

/// Settles the options of a command that joins a swarm.
pub(super) fn settle(
    context: &Context,
    network: NetworkArguments,
) -> Result<(SwarmSettings, Tuning), Failure> {
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
    with_engine_until(context, swarm, tuning, async |engine, stop| {
        tokio::select! {
            done = work(engine) => done,
            () = stop.cancelled() => Ok(ExitCode::SUCCESS),
        }
    })
}

/// The same for work that has something to do when it is told to stop: it is waited for, a while.
pub(super) fn with_engine_until<F>(
    context: &Context,
    swarm: SwarmSettings,
    tuning: Tuning,
    work: impl FnOnce(std::sync::Arc<Engine>, CancellationToken) -> F,
) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>>,
{
    let config = EngineConfig { swarm, tuning, data_dir: context.data_dir.clone() };
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let engine = std::sync::Arc::new(Engine::start(config).await?);
        let stop = CancellationToken::new();
        let work = work(std::sync::Arc::clone(&engine), stop.clone());
        let (done, end) = until_interrupted(work, &stop).await;
        if tokio::time::timeout_at(end, engine.shutdown()).await.is_err() {
            warn!("the end took too long; what wasn't saved is checked at the next start");
        }
        done
    });
    // Dropping it would wait for blocking work without end: a disk that hangs, a name server that doesn't answer.
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    done
}

/// What comes of `work`, and when all else has to have ended. When a signal comes, `stop` says so to the work, and it gets some of
/// the time that there is.
async fn until_interrupted(
    work: impl Future<Output = Result<ExitCode, Failure>>,
    stop: &CancellationToken,
) -> (Result<ExitCode, Failure>, Instant) {
    let mut work = std::pin::pin!(work);
    let interruption = tokio::select! {
        done = work.as_mut() => return (done, Instant::now() + SHUTDOWN_TIMEOUT),
        interruption = interrupted() => interruption,
    };
    let end = Instant::now() + SHUTDOWN_TIMEOUT;
    stop.cancel();
    let done = tokio::time::timeout_at(end - ENGINE_TIMEOUT_MIN, work).await;
    (interruption.and(done.unwrap_or(Ok(ExitCode::SUCCESS))), end)
}

/// The runtime of a command.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(threads::take_turns)
        .build()
        .map_err(|error| Failure::work(format!("the runtime can't be started: {error}")))
}

/// Waits for SIGINT or SIGTERM.
pub(super) async fn interrupted() -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::work(format!("signals can't be caught: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Adds a torrent's live state to a JSON object, in the shape of the HTTP API.
pub(crate) fn add_live_state(line: &mut serde_json::Value, status: &Status) {
    let live = serde_json::to_value(LiveState::new(status));
    if let (Some(line), Ok(serde_json::Value::Object(live))) = (line.as_object_mut(), live) {
        line.extend(live);
    }
}
