//! The `afflux` binary: see `afflux::cli`.

mod descriptors;
mod memory;

use std::process::ExitCode;

fn main() -> ExitCode {
    descriptors::raise_limit();
    memory::give_freed_memory_back();
    afflux::cli::run()
}
