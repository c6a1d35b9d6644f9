//! From how many networks a token is used.

use std::net::IpAddr;
use std::time::Instant;

use super::{NETWORKS_MAX, Pattern, Sign, Threshold};

/// The part of an address that one household or one mobile network keeps: /24 of IPv4, /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    V4([u8; 3]),
    V6([u8; 6]),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Network {
        // An IPv4 client of a socket that takes both is written as IPv6.
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Network::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Network::V6([a, b, c, d, e, f])
            }
        }
    }
}

/// The networks of the last while.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    seen: Vec<(Network, Instant)>,
    quiet_until: Option<Instant>,
}

impl Networks {
    /// Notes a use, and says if those are too many networks; then not again for the pattern's period.
    pub(super) fn note(&mut self, from: IpAddr, threshold: Threshold, now: Instant) -> Option<Sign> {
        let (network, pattern) = (Network::from(from), Pattern::ManyNetworks);
        self.seen
            .retain(|&(seen, at)| seen != network && now.saturating_duration_since(at) < pattern.period());
        if self.seen.len() == NETWORKS_MAX {
            // The first is the oldest.
            self.seen.remove(0);
        }
        self.seen.push((network, now));
        let count = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        let quiet = self.quiet_until.is_some_and(|until| now < until);
        if count <= threshold.most || quiet {
            return None;
        }
        self.quiet_until = Some(now + pattern.period());
        Some(Sign { pattern, count, action: threshold.action })
    }
}
