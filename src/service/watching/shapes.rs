//! The shapes of what is watched.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::database::Watched;
use crate::release_info::ReleaseInfo;
use crate::service::shapes::{given, number};

/// A film that a user can go on with: from where they were, or with what comes next if it is finished.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "infoHash": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c", "name": "The Long Way Home S02", "file": 4,
    "path": "The Long Way Home S02/The.Long.Way.Home.S02E05.mkv",
    "release": {"title": "The Long Way Home", "seasons": [2], "episodes": [5], "absoluteEpisodes": [], "audio": [], "hdr": [],
        "languages": [], "container": "mkv"},
    "finished": false, "positionSeconds": 1234.5, "positionBytes": 284_164_096, "durationSeconds": 2700.0, "progress": 0.457,
    "updatedAt": 1795470077u64, "nextFile": 5, "nextPath": "The Long Way Home S02/The.Long.Way.Home.S02E06.mkv",
}))]
pub struct WatchedFile {
    /// The torrent.
    pub info_hash: String,
    /// What it is called.
    pub name: String,
    /// The file's number.
    pub file: u32,
    /// What the file is called, with its folders.
    pub path: String,
    /// What its name says.
    pub release: ReleaseInfo,
    /// It was watched to its end, or nearly: `nextFile` is what to go on with.
    pub finished: bool,
    /// The second to go on from, where it is known, and unless it is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_seconds: Option<f64>,
    /// The byte to go on from, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_bytes: Option<u64>,
    /// How long the film lasts, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// The part of it that was watched, from 0 to 1.
    pub progress: f64,
    /// When that was, in seconds since 1970.
    pub updated_at: u64,
    /// The file that comes after it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_file: Option<u32>,
    /// What that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_path: Option<String>,
}

/// Where a user is in a file: exactly one of `positionSeconds`, `positionBytes` and `finished`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"positionSeconds": 1234.5}))]
pub struct WatchingWish {
    /// The second of the film.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub position_seconds: Option<f64>,
    /// The byte of the file.
    #[serde(default, deserialize_with = "number")]
    #[schema(maximum = 9_007_199_254_740_991u64)]
    pub position_bytes: Option<u64>,
    /// `true`: it was watched to its end.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = yes)]
    pub finished: Option<bool>,
    /// How long the film lasts, if the player knows it; counts where the file itself doesn't say.
    #[schema(exclusive_minimum = 0, maximum = 1_000_000_000)]
    pub duration_seconds: Option<f64>,
}

fn yes() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).build()
}

impl From<Watched> for WatchedFile {
    fn from(row: Watched) -> Self {
        let progress = super::progress(&row);
        let (next_file, next_path) = row.next.map(|(file, path)| (file.0, path)).unzip();
        Self {
            info_hash: row.info_hash.to_string(),
            release: ReleaseInfo::of(&row.path),
            name: row.name,
            file: row.file.0,
            path: row.path,
            finished: row.finished,
            position_seconds: row.seconds,
            position_bytes: row.position,
            duration_seconds: row.duration,
            progress,
            updated_at: row.updated_at,
            next_file,
            next_path,
        }
    }
}
