//! Downloads over the service's own interface: whole engines on loopback, real files, a real database.
//!
//! Nothing here measures time.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod daemon;
#[path = "../engine/house.rs"]
#[expect(dead_code, reason = "the engine's own tests use the rest")]
mod house;
mod keep;
mod remove;
mod restart;
mod share;
mod stream;
