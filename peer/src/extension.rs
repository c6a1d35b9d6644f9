//! The extension handshake (BEP 10), with the keys of BEP 9, 21 and 54.

use std::net::IpAddr;

/// What an extension handshake said; absent or senseless values are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionHandshake {
    /// `v`: the peer's name for itself, made printable and short.
    pub client: Option<String>,
    /// `reqq`: requests that the peer queues; clamped to what we use.
    pub reqq: Option<u32>,
    /// `metadata_size` in bytes (BEP 9); only sizes that we would take.
    pub metadata_size: Option<u32>,
    /// `p`: the peer's TCP port for incoming connections.
    pub listen_port: Option<u16>,
    /// `upload_only` (BEP 21).
    pub upload_only: Option<bool>,
    /// `yourip`: our address as the peer sees it. A vote, not a fact.
    pub your_ip: Option<IpAddr>,
    /// The peer's id for `ut_metadata` (BEP 9), `None` if not supported or switched off.
    pub ut_metadata: Option<u8>,
    /// The peer's id for `lt_donthave` (BEP 54).
    pub lt_donthave: Option<u8>,
}
