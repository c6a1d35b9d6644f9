//! The `afflux` binary: see `afflux::cli`.

mod memory;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::give_freed_memory_back();
    afflux::cli::run()
}
