//! A TCP link made slow on purpose, for tests and benchmarks: delay, rate and loss between a client and a server.
//!
//! This is what `tc netem` does where a kernel has it. Not a part of the product.
//!
//! [`Link::start`] listens on a loopback address and carries every connection to its target as if a slow line lay
//! between. What is modelled, by [`Line`] and [`Flow`], which are pure:
//!
//! - **Rate**: each direction sends one quantum after another at its rate. All connections of a link share it.
//! - **Queue**: what waits for the rate is bounded. When the queue is full, the link stops reading, and the sender
//!   waits as it does when TCP's window is closed; nothing is dropped for it.
//! - **Delay**: each way. TCP's own handshake takes a round trip too: the target hears of a connection that much later.
//! - **Loss**: the link carries a byte stream and can't lose any of it, so it does what TCP makes of a lost packet: what
//!   follows waits a round trip for the second copy (or a timeout, where too little is under way to notice the gap),
//!   and the window is halved and grows again by a packet each round trip.
//!
//! What is not: headers (rates count payload), packets that overtake, slow start of a link without loss (its
//! window is open from the first byte), several bottlenecks in a row, congestion control other than Reno's. When the
//! target refuses, a client sees a connection that is closed at once.
//!
//! The sockets' own buffers are kept small, so that what waits, waits where it is counted. Linux on x86-64 and aarch64.

mod flow;
mod line;
mod link;
mod relay;

pub use flow::{Flow, PACKET_BYTES, TIMEOUT_MIN};
pub use line::Line;
pub use link::{Config, Link, bound_buffers, connect};
