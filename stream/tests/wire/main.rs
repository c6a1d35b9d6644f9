//! The real server on loopback, a library in memory, and clients that see every byte on the wire.

#![allow(clippy::unwrap_used, reason = "what can't be unwrapped is a test's failure, in its helpers too")]

mod edges;
mod files;
mod players;
mod server;
mod support;
#[cfg(feature = "tls")]
mod tls;
