//! The command line: what can be said, and which function does it.

pub mod check;
pub mod create;
pub mod demo;
pub mod doctor;
pub mod download;
mod files;
pub mod inspect;
pub mod seed;
pub mod serve;
pub(crate) mod session;
mod show;
pub mod sim;
pub mod stream;
pub mod token;
pub mod user;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{
    AuthOptions, File, GlobalOptions, HttpOptions, ServiceOptions, SwarmOptions, TuningOptions,
    default_data_dir,
};
use crate::failure::Failure;

/// Everything `afflux` understands.
#[derive(Debug, Parser)]
#[command(
    name = "afflux",
    version,
    about = "A BitTorrent engine with streaming built in",
    long_about = "Afflux joins a torrent's swarm and serves its film over HTTP while it downloads, \
                  to VLC, mpv, a browser or a TV.\n\n\
                  A SOURCE is a magnet link, a .torrent file, the http(s) URL of one, or an info-hash.",
    after_help = "Try it without a network:  afflux demo\n\
                  Watch something:           afflux stream 'magnet:?xt=urn:btih:…' --open mpv\n\n\
                  Exit status: 0 done, 1 the work failed, 2 wrong usage.",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stream sample media from a swarm on this machine: no network, nothing to install
    Demo(demo::DemoArguments),
    /// Join a swarm and serve its film over HTTP while it downloads
    Stream(stream::StreamArguments),
    /// Run the daemon: HTTP API and streams
    Serve(serve::ServeArguments),
    /// Download a torrent; ends when it is complete and verified
    Download(download::DownloadArguments),
    /// Seed files that are there until stopped
    Seed(seed::SeedArguments),
    /// Make a .torrent of a file or folder
    Create(create::CreateArguments),
    /// Show everything a .torrent or magnet link says
    Inspect(inspect::InspectArguments),
    /// Verify files on disk against a .torrent
    Check(check::CheckArguments),
    /// Make a token, with which a user may use the daemon
    Token(token::TokenArguments),
    /// See who uses the daemon, shut users out and let them in again
    User(user::UserArguments),
    /// See what works on this machine, and what to do about the rest
    Doctor(doctor::DoctorArguments),
    /// Simulate swarms, and compare piece selection strategies
    Sim(sim::SimArguments),
    /// Print shell completions
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write man pages of all commands
    Man {
        /// Folder to write them to
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

/// What every command gets: the global options, settled.
#[derive(Clone, Debug)]
pub struct Context {
    /// Folder for state.
    pub data_dir: PathBuf,
    /// Whether output is for programs.
    pub json: bool,
    /// The configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// The configuration file's values.
    pub file: File,
}

/// Options of the commands that join a swarm.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct NetworkArguments {
    #[command(flatten)]
    pub(crate) swarm: SwarmOptions,
    #[command(flatten)]
    pub(crate) tuning: TuningOptions,
}

/// Options of the commands that serve HTTP as daemons do.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DaemonArguments {
    #[command(flatten)]
    pub(crate) network: NetworkArguments,
    #[command(flatten)]
    pub(crate) http: HttpOptions,
    #[command(flatten)]
    pub(crate) auth: AuthOptions,
    #[command(flatten)]
    pub(crate) service: ServiceOptions,
}

/// Parses the process's arguments and runs what they say. Never returns for `--help` and wrong usage.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("afflux: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (file, broken) = match File::load(arguments.global.config.as_deref()) {
        Ok(file) => (file, None),
        // It says so, and looks at the rest.
        Err(failure) if matches!(arguments.command, Command::Doctor(_)) => (File::default(), Some(failure)),
        Err(failure) => return Err(failure),
    };
    start_log(arguments.global.log.as_deref().or(file.log.as_deref()), arguments.global.json)?;
    let data_dir = match arguments.global.data_dir.or_else(|| file.data_dir.clone()) {
        Some(folder) => folder,
        None => default_data_dir()?,
    };
    let context = Context { data_dir, json: arguments.global.json, config: arguments.global.config, file };
    match arguments.command {
        Command::Demo(arguments) => demo::run(context, arguments),
        Command::Stream(arguments) => stream::run(context, arguments),
        Command::Serve(arguments) => serve::run(context, arguments),
        Command::Download(arguments) => download::run(context, arguments),
        Command::Seed(arguments) => seed::run(context, arguments),
        Command::Create(arguments) => create::run(&context, arguments),
        Command::Inspect(arguments) => inspect::run(context, arguments),
        Command::Check(arguments) => check::run(&context, arguments),
        Command::Token(arguments) => token::run(&context, arguments),
        Command::User(arguments) => user::run(&context, &arguments),
        Command::Doctor(arguments) => doctor::run(context, arguments, broken),
        Command::Sim(arguments) => sim::run(&context, arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "afflux", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { output } => {
            std::fs::create_dir_all(&output)
                .and_then(|()| clap_mangen::generate_to(Arguments::command(), &output))
                .map_err(|error| {
                    Failure::work(format!("the man pages can't be written to {}: {error}", output.display()))
                })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn start_log(level: Option<&str>, json: bool) -> Result<(), Failure> {
    let level = level.unwrap_or("warn");
    let filter = tracing_subscriber::EnvFilter::try_new(level).map_err(|_| {
        Failure::usage(format!(
            "--log {level:?} is no level: allowed are error, warn, info, debug, trace, or a filter"
        ))
    })?;
    let mut lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people: in a file or another program they'd be rubbish. NO_COLOR is heeded by the library.
    if !std::io::stderr().is_terminal() {
        lines = lines.with_ansi(false);
    }
    if json {
        lines.json().init()
    } else {
        lines.with_target(false).init()
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_option_has_a_line_of_help() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }
}
