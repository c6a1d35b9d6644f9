//! The service as its users meet it: the daemon's own program, real sockets on loopback, real peers, several users.
//!
//! Nothing here measures time. Waits look again and again, with a generous deadline, and say what they waited for.

mod accounts;
mod analytics;
mod bounds;
mod content;
mod daemon;
mod downloads;
mod embedded;
mod film;
mod films;
mod foreign;
#[path = "../interop/harness/mod.rs"]
#[expect(dead_code, reason = "the tests with other people's programs use the rest")]
mod harness;
mod http;
mod isolation;
mod limits;
mod load;
mod matroska;
mod meeting;
mod metrics;
#[path = "../traces/mod.rs"]
#[expect(dead_code, reason = "the tests with players record")]
mod recorded;
mod reopening;
mod restarts;
mod serving;
mod sources;
mod streams;
mod suspicion;
mod traces;
mod troubles;
mod watching;
mod web;
#[path = "../e2e/wire.rs"]
#[expect(dead_code, reason = "the tests with players use the rest")]
mod wire;
