//! The shapes of downloads.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::service::shapes::{CheckedCount, PeerCount, TroubleInfo, given, named_number, named_numbers};

/// What a download is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DownloadState {
    /// It waits: its user has as many running as may run at once.
    Queued,
    /// The metadata is being fetched.
    Metadata,
    /// Files on disk are being opened and verified.
    Checking,
    /// Pieces are missing.
    Downloading,
    /// Everything wanted is there, and others get it.
    Seeding,
    /// Its user stopped it.
    Paused,
    /// Everything wanted is there, and it was given to others as much as it was to be. It can be streamed from disk.
    Complete,
    /// It can't go on, or not now.
    Error,
}

impl DownloadState {
    /// The word of the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Metadata => "metadata",
            Self::Checking => "checking",
            Self::Downloading => "downloading",
            Self::Seeding => "seeding",
            Self::Paused => "paused",
            Self::Complete => "complete",
            Self::Error => "error",
        }
    }
}

/// A torrent that a user keeps, and how far that is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DownloadStatus {
    /// The torrent.
    pub info_hash: String,
    /// What it is called.
    pub name: String,
    /// Whose it is; told to admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it is at.
    pub state: DownloadState,
    /// The part of what is wanted that is there, from 0 to 1.
    pub progress: f64,
    /// Bytes that are wanted, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Numbers of the files that are wanted; left out if all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<u32>>,
    /// Pieces are fetched in their order.
    pub sequential: bool,
    /// Payload received, in bytes per second.
    pub download_rate: u64,
    /// Payload sent, in bytes per second.
    pub upload_rate: u64,
    /// Its peers.
    pub peers: PeerCount,
    /// Bytes given to others for as long as it has been kept.
    pub uploaded: u64,
    /// That, as a part of its size.
    pub ratio: f64,
    /// How long it was given to others since it was all there, in seconds.
    pub seeded_seconds: u64,
    /// Bytes per second that it may receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_limit: Option<u64>,
    /// Bytes per second that it may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_limit: Option<u64>,
    /// Seeding ends at this ratio, if it isn't the daemon's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_ratio: Option<f64>,
    /// Seeding ends after so many seconds, likewise; 0: however long the ratio takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_time: Option<u64>,
    /// When it was asked for, in seconds since 1970.
    pub added_at: u64,
    /// When everything wanted was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<u64>,
    /// Pieces that were verified, while files on disk are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<CheckedCount>,
    /// What is wrong and since when, if something is. With `state` other than `error` it may still come right by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<TroubleInfo>,
}

/// How a torrent is to be kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DownloadWish {
    /// Numbers of the files that are wanted; all without it.
    pub files: Option<Vec<u32>>,
    /// Fetch pieces in their order.
    pub sequential: bool,
    /// Don't begin yet.
    pub paused: bool,
    /// Bytes per second from the swarm; 0: no limit.
    pub download_limit: Option<u64>,
    /// Bytes per second to the swarm; 0: no limit.
    pub upload_limit: Option<u64>,
    /// Seed until so many times its size was sent, from 0 (not at all) to 1000; the daemon's own without it.
    pub seed_ratio: Option<f64>,
    /// Seed for so many seconds at most; 0: however long the ratio takes; the daemon's own without it.
    pub seed_time: Option<u64>,
}

/// What to change about a download. What isn't named stays; `null` gives a value back to what is usual.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
#[schema(example = json!({"files": [0, 2], "seedRatio": 1.5, "uploadLimit": null}))]
pub struct DownloadChanges {
    /// Numbers of the files that are wanted; `null`: all.
    #[serde(deserialize_with = "named_numbers")]
    #[schema(value_type = Option<Vec<u32>>, min_items = 1)]
    pub files: Option<Option<Vec<u32>>>,
    /// Fetch pieces in their order.
    #[serde(deserialize_with = "given")]
    #[schema(nullable = false)]
    pub sequential: Option<bool>,
    /// Stop it, or let it go on.
    #[serde(deserialize_with = "given")]
    #[schema(nullable = false)]
    pub paused: Option<bool>,
    /// Bytes per second from the swarm; 0: no limit.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub download_limit: Option<Option<u64>>,
    /// Bytes per second to the swarm; 0: no limit.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub upload_limit: Option<Option<u64>>,
    /// Seed until so many times its size was sent, from 0 (not at all) to 1000.
    #[serde(deserialize_with = "named")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 1000)]
    pub seed_ratio: Option<Option<f64>>,
    /// Seed for so many seconds at most; 0: however long the ratio takes.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub seed_time: Option<Option<u64>>,
}

/// A key that is there with `null` is something else than a key that isn't.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(value).map(Some)
}
