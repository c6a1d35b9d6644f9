//! Stores as the engine uses them: real threads, real files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;
mod disk;
mod faults;
mod memory;
mod parked;
mod spares;
mod spilling;
