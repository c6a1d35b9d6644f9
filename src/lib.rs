//! The engine: tasks, sockets, clock and wiring.

pub mod dht;
