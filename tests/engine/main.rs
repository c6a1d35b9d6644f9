//! Whole engines in one process, on loopback: real sockets, real files, no tracker and no DHT.
//!
//! Nothing here asserts how fast something is, but for rates over several seconds, and those coarsely.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod download;
mod erase;
mod faults;
mod files;
mod house;
mod memory;
mod metadata;
