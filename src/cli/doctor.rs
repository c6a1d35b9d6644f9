//! `afflux doctor`: what works on this machine, what doesn't, and what to do about it.
//!
//! It looks with the same options and the same configuration as the daemon would start with, changes nothing that stays, and is
//! done within ten seconds whatever hangs.

mod network;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::{Context, DaemonArguments, session};
use crate::config::{HttpOptions, HttpSettings, SwarmOptions, SwarmSettings};
use crate::failure::Failure;

/// How long what asks the file system may take: a network folder may hang for ever.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(6);

/// Arguments of `afflux doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArguments {
    /// Skip what needs a network
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    daemon: DaemonArguments,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but something goes without.
    Warn,
    /// It doesn't work.
    Fail,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// The thing, for people and programs.
    check: &'static str,
    verdict: Verdict,
    /// How it is, in a sentence.
    says: String,
    /// What to do about it; empty when there is nothing to do.
    advice: String,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, says: says.into(), advice: String::new() }
    }

    fn warn(check: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, says: says.into(), advice: advice.into() }
    }

    fn fail(check: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, says: says.into(), advice: advice.into() }
    }
}

/// What is looked at: the daemon's settings, or defaults where those can't be settled.
#[derive(Clone, Debug)]
struct Patient {
    data_dir: PathBuf,
    swarm: SwarmSettings,
    http: HttpSettings,
}

/// `broken`: why the configuration file can't be read, if it can't.
pub(super) fn run(
    context: Context,
    arguments: DoctorArguments,
    broken: Option<Failure>,
) -> Result<ExitCode, Failure> {
    let DoctorArguments { offline, daemon } = arguments;
    let (patient, configuration) = settle(&context, daemon, broken)?;
    let runtime = session::runtime()?;
    let mut findings = vec![configuration];
    findings.extend(runtime.block_on(examine(patient, offline)));
    // Not waited for: a file system that hangs would keep us.
    runtime.shutdown_background();
    for finding in &findings {
        print(finding, context.json);
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The settings as the daemon would have them. Those that can't be settled are a finding, and the rest is looked at with defaults.
fn settle(
    context: &Context,
    daemon: DaemonArguments,
    broken: Option<Failure>,
) -> Result<(Patient, Finding), Failure> {
    const CHECK: &str = "configuration";
    const ADVICE: &str = "mend it; the rest is looked at with defaults";
    let swarm = daemon.network.swarm.settle(context.file.swarm.clone());
    let http = daemon.http.settle(context.file.http.clone());
    let _ = daemon.service.settle(&context.file);
    let wrong = broken.as_ref().or(swarm.as_ref().err()).or(http.as_ref().err());
    let finding = match wrong {
        Some(failure) => Finding::fail(CHECK, failure.to_string(), ADVICE),
        None => Finding::ok(CHECK, "all settings can be read"),
    };
    let patient = Patient {
        data_dir: context.data_dir.clone(),
        swarm: swarm.or_else(|_| SwarmOptions::default().settle(SwarmOptions::default()))?,
        http: http.or_else(|_| HttpOptions::default().settle(HttpOptions::default()))?,
    };
    Ok((patient, finding))
}

async fn examine(patient: Patient, offline: bool) -> Vec<Finding> {
    let local = {
        let patient = patient.clone();
        tokio::task::spawn_blocking(move || system::examine(&patient))
    };
    let (local, ffprobe, network) = tokio::join!(
        tokio::time::timeout(LOCAL_TIMEOUT, local),
        system::ffprobe(),
        network::examine(&patient, offline),
    );
    let mut findings = match local {
        Ok(Ok(findings)) => findings,
        _ => vec![Finding::fail(
            "data folder",
            format!("{} doesn't answer", patient.data_dir.display()),
            "look whether its disk or network folder hangs",
        )],
    };
    findings.push(ffprobe);
    findings.extend(network);
    findings
}

fn print(finding: &Finding, json: bool) {
    let Finding { check, verdict, says, advice } = finding;
    if json {
        let mut line = json!({"check": check, "verdict": verdict.as_str(), "says": says});
        if !advice.is_empty() {
            line["advice"] = advice.as_str().into();
        }
        println!("{line}");
        return;
    }
    println!("{:<5} {check}: {says}", verdict.as_str());
    if !advice.is_empty() {
        println!("      -> {advice}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::File;

    fn context() -> Context {
        Context { data_dir: PathBuf::from("/nowhere"), json: false, config: None, file: File::default() }
    }

    #[test]
    fn a_broken_configuration_is_a_finding_and_the_rest_is_looked_at() {
        let broken = Some(Failure::usage("in the configuration file a.toml: a mistake"));
        let (patient, finding) = settle(&context(), DaemonArguments::default(), broken).unwrap();
        assert_eq!((finding.verdict, patient.http.listen.port()), (Verdict::Fail, 8080));
        let mut context = context();
        context.file.http.tls_cert = Some("alone.pem".into());
        let (_, finding) = settle(&context, DaemonArguments::default(), None).unwrap();
        assert!(finding.verdict == Verdict::Fail && finding.says.contains("--tls-key"), "{finding:?}");
    }
}
