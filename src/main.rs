//! The `afflux` binary: see `afflux::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    afflux::cli::run()
}
