//! One run in the process: how it is stopped, and what is said when it breaks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use afflux_sim::{Log, Outcome};
use afflux_swarm::StrategyName;

use super::{INTERRUPTED, Loaded};
use crate::cli::session;
use crate::failure::Failure;

/// Two signals within this time are one.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Whether Ctrl-C was pressed.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Raised by the first SIGINT or SIGTERM. The next one ends the process at once, unless it comes so soon that it is the
    /// same: some programs pass on a signal that reaches us anyway.
    ///
    /// The thread that listens has nothing to finish, and ends with the process.
    pub(super) fn at_signal() -> Result<Self, Failure> {
        let stop = Self::default();
        let raised = Arc::clone(&stop.0);
        let runtime = session::runtime()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                if session::interrupted().await.is_ok() {
                    raised.store(true, Ordering::Relaxed);
                    tokio::time::sleep(SAME_SIGNAL).await;
                    if session::interrupted().await.is_ok() {
                        std::process::exit(i32::from(INTERRUPTED));
                    }
                }
            });
        });
        Ok(stop)
    }

    pub(super) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// One run. What breaks in it, a broken invariant or a panic, is told with the command that makes it happen again.
pub(super) fn simulate(
    loaded: &Loaded,
    strategy: StrategyName,
    seed: u64,
    log: &mut dyn Log,
    stop: &dyn Fn() -> bool,
) -> Result<Outcome, Failure> {
    let run = || afflux_sim::run(&loaded.scenario, strategy.as_str(), seed, log, stop);
    let why = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(outcome)) => return Ok(outcome),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => format!("{} panicked: {}", loaded.named, said(&*panic)),
    };
    let named = &loaded.named;
    Err(Failure::work(format!(
        "{why}\nseed {seed}; it happens again with:  \
         afflux sim run '{named}' --strategy {strategy} --seed {seed} --events events.log"
    )))
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}
