//! Outgoing HTTP: trackers, web seeds, URLs of .torrent files.

use std::net::IpAddr;
use std::time::Duration;

use afflux_tracker::Policy;
use thiserror::Error;

/// How outgoing HTTP behaves.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// Which addresses may be asked.
    pub policy: Policy,
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// Time for a whole request, redirects and body included.
    pub timeout: Duration,
    /// `http://`, `https://`, `socks5://` or `socks5h://` URL that all requests go through.
    pub proxy: Option<String>,
    /// Local address to dial from (`--bind`).
    pub bind: Option<IpAddr>,
}

/// Why nothing was fetched, in one sentence.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct FetchError(String);

/// Fetches over HTTP within bounds.
#[derive(Debug)]
pub struct Fetcher {
    config: FetchConfig,
}

impl Fetcher {
    /// Builds the clients; fails for a proxy URL that can't be used.
    pub fn new(config: FetchConfig) -> Result<Self, FetchError> {
        Ok(Self { config })
    }

    /// The body behind `url`, at most `bytes_max` bytes after decompression.
    pub async fn get(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
        let _ = (url, bytes_max, &self.config);
        todo!()
    }
}
