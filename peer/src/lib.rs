//! One BitTorrent conversation as a pure state machine.
//!
//! [`Connection`] is the talk with one remote peer after both handshakes: bytes and the time go in, events
//! and bytes come out. Whoever drives it owns the socket, the block buffers and the clock; whoever knows the
//! torrent decides what to ask and whom to choke, and says so in [`Command`]s.
//!
//! Here: the [wire codec](wire), the [handshake], the [extension handshake](extension) and
//! [metadata messages](metadata), the [allowed-fast set](fast), the request pipeline, and what counts as
//! a [violation]. Not here: sockets, encryption, which block to want, what to do with payload.
//!
//! BEPs: 3 (peer wire), 6 (fast), 9 (metadata), 10 (extension protocol), 21 (upload only), 54
//! (`lt_donthave`).

pub mod command;
pub mod connection;
pub mod decay;
pub mod event;
pub mod extension;
pub mod fast;
pub mod handshake;
pub mod limits;
pub mod metadata;
mod meter;
mod pipeline;
pub mod violation;
pub mod wire;

pub use command::Command;
pub use connection::{Config, Connection, Direction, Expect, Facts, Totals};
pub use event::{CloseReason, Event};
pub use extension::ExtensionHandshake;
pub use handshake::{Handshake, HandshakeError, Reserved};
pub use violation::{Severity, Violation};
pub use wire::Message;
