//! The engine: tasks, sockets, clock and wiring.
