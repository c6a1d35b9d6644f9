//! Announces over HTTP (BEP 3, 7, 23, 24): the URL that is fetched, and what the body says.

use crate::announce::{AnnounceRequest, Reply, ReplyError};
use crate::url::TrackerUrl;

/// The URL to fetch for an announce; the query that the tracker's own URL has is kept.
pub fn announce_url(tracker: &TrackerUrl, request: &AnnounceRequest) -> String {
    let _ = (tracker, request);
    todo!()
}

/// Reads the body of a tracker's answer.
pub fn parse_reply(body: &[u8]) -> Result<Reply, ReplyError> {
    let _ = body;
    todo!()
}
