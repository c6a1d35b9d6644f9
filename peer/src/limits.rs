//! Every bound on what a peer may ask of us or make us hold, with the attack it stops.

use std::time::Duration;

/// Both handshakes must be done within this; for whoever accepts and dials. Attack: sockets held open by
/// peers that never speak.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// We send something at least this often (BEP 3: peers close connections that are silent for two minutes).
pub const KEEP_ALIVE: Duration = Duration::from_secs(100);

/// A peer that sends nothing for this long is gone. BEP 3 has keep-alives every two minutes; the rest is for
/// the way. Attack: idle connections that fill the table.
pub const PEER_SILENT_MAX: Duration = Duration::from_secs(150);

/// A peer that takes none of our bytes for this long is gone. Attack: closed receive windows that pin send
/// buffers.
pub const TRANSMIT_STALL_MAX: Duration = Duration::from_secs(120);
