//! The program from end to end: players watch films that are still arriving, peers misbehave, the program is killed,
//! disks are full, people mistype. Needs what `cargo xtask test` installs.

mod bad_input;
mod containers;
mod crashes;
mod demo;
mod disks;
mod faults;
mod film;
mod foreign;
#[path = "../interop/harness/mod.rs"]
#[expect(dead_code, reason = "the interop tests use the rest")]
mod harness;
mod memory;
mod mpv;
mod players;
mod probes;
mod recordings;
mod resume;
mod scale;
mod scheduler;
mod schema;
mod searches;
mod serve;
mod served;
#[path = "../traces/mod.rs"]
mod traces;
mod vlc;
mod watching;
mod wire;
