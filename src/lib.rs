//! The engine: tasks, sockets, clock and wiring.

pub mod announce;
pub mod fetch;
pub mod tracker_server;
