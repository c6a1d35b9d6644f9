//! Announces and outgoing HTTP against real sockets on loopback, well-behaved and hostile.

mod announcer;
mod fetcher;
mod servers;
