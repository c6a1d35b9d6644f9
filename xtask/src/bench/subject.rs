//! Who is measured: Afflux, the others, and what the machine itself can do.

/// A column of the tables.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Subject {
    /// Receives, hashes and writes, and does nothing else: what a download costs at least.
    Floor,
    /// Serves files, with sendfile: what a range server can reach.
    Nginx,
    /// One stream through loopback.
    Iperf3,
    /// SHA-1 alone.
    Openssl,
    /// Copies, and writes into a file in memory.
    Memory,
    Afflux,
    /// 2.1
    Libtorrent,
    /// 2.0, which maps files into memory.
    Libtorrent20,
    Aria2,
    Rqbit,
    Qbittorrent,
    Transmission,
    Webtorrent,
    Peerflix,
}

impl Subject {
    pub(crate) const ALL: [Self; 14] = [
        Self::Floor,
        Self::Nginx,
        Self::Iperf3,
        Self::Openssl,
        Self::Memory,
        Self::Afflux,
        Self::Libtorrent,
        Self::Libtorrent20,
        Self::Aria2,
        Self::Rqbit,
        Self::Qbittorrent,
        Self::Transmission,
        Self::Webtorrent,
        Self::Peerflix,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Nginx => "nginx",
            Self::Iperf3 => "iperf3",
            Self::Openssl => "openssl",
            Self::Memory => "memory",
            Self::Afflux => "afflux",
            Self::Libtorrent => "libtorrent",
            Self::Libtorrent20 => "libtorrent-2.0",
            Self::Aria2 => "aria2",
            Self::Rqbit => "rqbit",
            Self::Qbittorrent => "qbittorrent",
            Self::Transmission => "transmission",
            Self::Webtorrent => "webtorrent",
            Self::Peerflix => "peerflix",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.name() == name)
    }

    /// Whether it is no client but what the machine can do: measured beside whatever is asked for.
    pub(crate) fn is_limit(self) -> bool {
        matches!(self, Self::Floor | Self::Nginx | Self::Iperf3 | Self::Openssl | Self::Memory)
    }
}
