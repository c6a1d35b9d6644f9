//! Where addresses come from.

/// Who told us of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The user.
    Given,
    /// A tracker.
    Tracker,
    /// The DHT.
    Dht,
    /// Another peer.
    Pex,
    /// Local service discovery.
    Lsd,
    /// It dialled us.
    Incoming,
    /// `x.pe` of a magnet.
    Magnet,
}
