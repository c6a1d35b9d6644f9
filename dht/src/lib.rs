//! One Kademlia node of the BitTorrent DHT as a pure state machine.
//!
//! Here: the [krpc codec](krpc), [node ids](id) and their distance, the [routing table](table), iterative
//! lookups, tokens, a bounded [store of peers](peers), and the [`Node`] that joins them: a client and an
//! answering server over IPv4 and IPv6. Not here: sockets, host names, the clock, files (all in `src`), and
//! the rule that private torrents (BEP 27) never touch the DHT: the engine knows what is private and simply
//! doesn't ask.
//!
//! BEPs: 5 (the protocol), 20 (the `v` key), 32 (IPv6), 42 (node ids bound to addresses; preferred, never
//! enforced), 43 (read-only nodes). Of BEP 44 only that `get` is answered with nodes: no items are stored.
//!
//! After any call that takes `now`: drain [`Node::poll_output`], then sleep until [`Node::deadline`].

pub mod address;
pub mod id;
pub mod krpc;
pub mod limits;
pub mod peers;
pub mod saved;
pub mod table;

mod external;
mod flood;
mod lookup;
mod node;
mod queries;
mod random;
mod server;
mod tokens;

pub use address::Contact;
pub use id::NodeId;
pub use node::{Announce, Config, Lookup, LookupKey, Node, Output, Stats};
pub use saved::Saved;
