//! Announces to trackers, as pure code: what is said to a tracker and what is made of its answer.
//!
//! Here: the [request and reply](announce) both transports share, [HTTP](http) text, the [UDP](udp) machine, the
//! [order and times](tiers) in which a torrent's trackers are asked, checked tracker [URLs](url), and the
//! [policy](guard) that says which addresses a torrent may make us talk to.
//! Not here: sockets, name resolution, TLS and the clock; the announcer of the engine has those.
//!
//! BEPs: 3 (announce), 7 (IPv6), 12 (tiers), 15 (UDP), 23 (compact peers), 24 (external address), 41 (path of a
//! UDP tracker).

pub mod announce;
pub mod guard;
pub mod http;
pub mod limits;
mod random;
#[cfg(test)]
mod testing;
pub mod tiers;
pub mod udp;
pub mod url;

pub use announce::{AnnounceRequest, Event, Reply, ReplyError};
pub use guard::{Policy, Refused, is_global};
pub use tiers::{Tiers, TrackerKey};
pub use url::{Host, Scheme, TrackerUrl, UrlError};
