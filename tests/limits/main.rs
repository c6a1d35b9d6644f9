//! Limits of whole engines in one process, on loopback: rates over real sockets, and numbers.
//!
//! How much may have come at most is asserted strictly, from the bytes and the time that was measured; how much must have
//! come only coarsely, since machines are slow. `afflux-swarm` has both strictly, in virtual time.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

#[path = "../engine/house.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod house;
mod numbers;
mod rates;
