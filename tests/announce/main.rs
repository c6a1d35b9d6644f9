//! Announces and outgoing HTTP against real sockets on loopback, well-behaved and hostile.

#![expect(clippy::unwrap_used, reason = "a failing step of a test fails the test")]

mod announcer;
mod fetcher;
mod forbidden;
mod servers;
