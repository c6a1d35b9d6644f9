//! Afflux and other people's clients exchange torrents: on loopback, and in network namespaces where a client refuses
//! loopback. Needs what `cargo xtask test` installs; a missing program fails the tests that need it, by its name.

mod discovery;
#[expect(dead_code, reason = "the end-to-end tests use the rest")]
mod harness;
mod metadata;
mod transfers;
