//! The shapes that the service answers with: what scripts, players' front ends and Rust callers rely on.
//!
//! Sizes and offsets are bytes, times seconds unless the name says `Ms`, rates bytes per second.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::torrent_info::TorrentInfo;

/// One user's session for one torrent.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "sessionId": "0f8fad5bd9cb469fa165708672895f2a",
    "infoHash": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c",
    "file": 1,
    "url": "http://127.0.0.1:8080/stream/TOKEN/Big%20Buck%20Bunny.mp4",
    "playlistUrl": "http://127.0.0.1:8080/stream/TOKEN/playlist.m3u8",
    "seasons": [],
    "subtitles": [],
    "resumeSeconds": 1234.5,
    "resumeBytes": 284_164_096,
    "expiresAt": 1795513279u64,
}))]
pub struct StreamSession {
    /// The session's id.
    pub session_id: String,
    /// The torrent.
    pub info_hash: String,
    /// The file that `url` gives.
    pub file: u32,
    /// Where players get the file. Good until `expiresAt`, and no longer than the session.
    pub url: String,
    /// All videos of the torrent in watching order.
    pub playlist_url: String,
    /// The seasons that the names of its videos count, each with a playlist of its own.
    pub seasons: Vec<SeasonLink>,
    /// The second of the file that its user goes on from, if they were watching it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_seconds: Option<f64>,
    /// The same as a byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_bytes: Option<u64>,
    /// Subtitles of the file, with URLs of their own.
    pub subtitles: Vec<SubtitleLink>,
    /// When the URLs end, in seconds since 1970.
    pub expires_at: u64,
}

/// A season of a torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeasonLink {
    /// Which; 0: what belongs to none.
    pub season: u16,
    /// How many videos of it there are.
    pub episodes: u32,
    /// Where a playlist of them is.
    pub playlist_url: String,
}

/// A subtitle: a file of the torrent, or a track inside of the film's file.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubtitleLink {
    /// The file of the torrent that it is or is in.
    pub file: u32,
    /// Of a track, the number that the film's container knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its language (BCP 47), where its name or the container says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What else its name says, or the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Shown even to those who want no subtitles.
    pub forced: bool,
    /// Players choose it if nobody says otherwise.
    pub default: bool,
    /// For people who don't hear well.
    pub sdh: bool,
    /// What it is, by its extension or codec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Where to get it: a file as it is in the torrent, a track as nearly as it can be what it was. Tracks that are pictures have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where to get it as WebVTT, if it is text; with `.srt` at its end as SubRip. `?offset_ms=-1500` shows it earlier. Of a track it
    /// is what has come so far; `?from_ms=600000&to_ms=660000` waits for that time's and gives only those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vtt_url: Option<String>,
    /// Of a track: whether all of it has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Of a track: the times of the film of which it has come, each `[start, end)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered_seconds: Option<Vec<[f64; 2]>>,
    /// Why it can't be given as text, if that is so, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// By what databases of subtitles know a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"file": 0, "size": 276_445_467, "hash": "8e245d9679d31e12"}))]
pub struct OpenSubtitlesHash {
    /// The file's number.
    pub file: u32,
    /// Its length.
    pub size: u64,
    /// The hash of its ends, in sixteen hexadecimal digits.
    pub hash: String,
}

/// What a stream is at.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// The session's id.
    pub session_id: String,
    /// The torrent.
    pub info_hash: String,
    /// The file that is read, or was last; none before the metadata is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<u32>,
    /// One of `metadata`, `buffering`, `ready`, `playing`, `paused`, `stalled`, `complete`, `error`.
    pub state: String,
    /// The newest reader's place in the file.
    pub position_bytes: u64,
    /// The same in time, once the film's length is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_seconds: Option<f64>,
    /// How long the film lasts, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Why nothing is known of the film, if that is so: its container is damaged, none that we read, or one that only ffprobe
    /// reads and there is none. Without a length there are no seeks by seconds; the file plays all the same, and `?download=1`
    /// saves it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_problem: Option<String>,
    /// Bytes that are there from the position on, without a gap.
    pub buffered_bytes: u64,
    /// The same in time, once the film's length is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffered_seconds: Option<f64>,
    /// All stretches of the file that are there, each `[start, end)`; the longest ones if there are many.
    pub buffered_ranges: Vec<[u64; 2]>,
    /// The file's length in bytes, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// From the session's start to the first byte that a player got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttfb_ms: Option<u64>,
    /// Waits longer than `STREAM_TIMEOUT`.
    pub stalls: StallCount,
    /// Places a player jumped to, and how long its first byte took there.
    pub seeks: SeekCount,
    /// Bytes sent to players.
    pub bytes_served: u64,
    /// Parallel reads at this moment.
    pub readers: u32,
    /// Payload that the torrent gets, in bytes per second.
    pub download_rate: u64,
    /// Peers of the torrent.
    pub peers: PeerCount,
    /// What is wrong and since when, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<TroubleInfo>,
}

/// How often readers waited too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StallCount {
    /// How often.
    pub count: u32,
    /// How long in all.
    pub total_ms: u64,
}

/// How often a player jumped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeekCount {
    /// How often.
    pub count: u32,
    /// From the request to its first byte, in all.
    pub total_ms: u64,
    /// The longest of them.
    pub max_ms: u64,
}

/// Peers of a torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerCount {
    /// Connected.
    pub connected: u32,
    /// Addresses known.
    pub known: u32,
    /// Connected ones that have everything.
    pub seeds: u32,
}

/// Something that is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TroubleInfo {
    /// A stable word.
    pub code: String,
    /// A sentence for people.
    pub detail: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

/// Where to seek to: exactly one of `seconds`, `bytes` and `fraction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"fraction": 0.5}))]
pub struct SeekWish {
    /// A time in the film.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub seconds: Option<f64>,
    /// A byte of the file.
    #[serde(default, deserialize_with = "number")]
    #[schema(maximum = 9_007_199_254_740_991u64)]
    pub bytes: Option<u64>,
    /// A part of the file, from 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub fraction: Option<f64>,
    /// The film's length in seconds, if the player knows it: `seconds` needs it where the file itself doesn't say.
    #[schema(exclusive_minimum = 0, maximum = 1_000_000_000)]
    pub duration: Option<f64>,
    /// The file, if it isn't the one that is read.
    #[serde(default, deserialize_with = "number")]
    pub file: Option<u32>,
}

/// Where that is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "byteOffset": 138_222_990, "byteRange": [138_222_990, 142_417_294], "seconds": 600.0, "keyFrameSeconds": 598.0,
    "method": "cues", "bufferedBytes": 4_194_304, "bufferedSeconds": 4.1,
}))]
pub struct SeekAnswer {
    /// The byte to ask for.
    pub byte_offset: u64,
    /// What is fetched there first, `[start, end)`.
    pub byte_range: [u64; 2],
    /// The time that was asked for, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// When the key frame is shown from which a player has to begin, where the file's index says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_frame_seconds: Option<f64>,
    /// How the place was found: by the file's own index (`cues`, `stbl`, `sidx`, `idx1`), by a `search` for it in a file without one,
    /// `linear` (by proportion), or `exact` (a byte was named).
    pub method: &'static str,
    /// Bytes that are there already from that place on.
    pub buffered_bytes: u64,
    /// The same in seconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffered_seconds: Option<f64>,
}

/// How a torrent is doing.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveState {
    /// One of `metadata`, `checking`, `downloading`, `streaming`, `seeding`, `paused`, `error`.
    pub state: String,
    /// The part of what is wanted that is there, from 0 to 1.
    pub progress: f64,
    /// Payload received, in bytes per second.
    pub download_rate: u64,
    /// Payload sent, in bytes per second.
    pub upload_rate: u64,
    /// Its peers.
    pub peers: PeerCount,
    /// Payload received and sent since it was started, and what was received in vain.
    pub bytes: TransferCount,
    /// Payload in memory, of the whole process.
    pub memory: MemoryUse,
    /// What went to disk before its piece was whole, because memory was short.
    pub spills: SpillCount,
    /// Pieces that were verified, while files on disk are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<CheckedCount>,
    /// Why it can't go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Bytes that a torrent carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferCount {
    /// From peers.
    pub received: u64,
    /// To peers.
    pub sent: u64,
    /// Received and thrown away: blocks that came twice, pieces that were corrupt.
    pub wasted: u64,
}

/// Payload bytes that the process holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryUse {
    /// At this moment.
    pub used_bytes: u64,
    /// The most so far.
    pub peak_bytes: u64,
    /// The most there may be (`STREAM_CACHE_SIZE`).
    pub limit_bytes: u64,
}

/// Payload that made room in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpillCount {
    /// Bytes written to disk before their piece was whole.
    pub spilled_bytes: u64,
    /// Bytes read again to verify their piece.
    pub read_back_bytes: u64,
}

/// How far checking files has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckedCount {
    /// Pieces checked.
    pub done: u32,
    /// Of so many.
    pub total: u32,
}

/// A torrent in a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedTorrent {
    /// Its v1 info-hash, or its v2 one in 40 digits.
    pub info_hash: String,
    /// What it is called.
    pub name: String,
    /// Who named it; told to admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When this user named it first, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_at: Option<u64>,
    /// How it is doing, if it runs.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveState>,
}

/// A running torrent after a change.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedTorrent {
    /// Its v1 info-hash, or its v2 one in 40 digits.
    pub info_hash: String,
    /// What it is called.
    pub name: String,
    /// Order of pieces that no reader asks for.
    pub strategy: String,
    /// How it is doing.
    #[serde(flatten)]
    pub live: LiveState,
}

/// What a torrent says and how it is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LiveTorrent {
    /// What it says.
    #[serde(flatten)]
    pub info: TorrentInfo,
    /// How it is doing, if it runs.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveState>,
}

/// Why readers of a torrent waited.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The torrent.
    pub info_hash: String,
    /// The waits, the oldest first, with what was done about each.
    #[schema(value_type = Vec<Object>)]
    pub stalls: Vec<serde_json::Value>,
}

/// A user as who runs the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "name": "anna", "disabled": false, "maxStreams": 2, "bytesToday": 734_003_200, "firstSeen": 1795470077u64,
    "lastSeen": 1795477277u64,
}))]
pub struct UserAccount {
    /// The name that tokens say.
    pub name: String,
    /// Shut out: no token of theirs counts.
    pub disabled: bool,
    /// Streams at once, if it isn't what everybody may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_streams: Option<u64>,
    /// Bytes per second from the swarm, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_limit: Option<u64>,
    /// Bytes per second to the swarm, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_limit: Option<u64>,
    /// Bytes sent to their players in a day, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_bytes: Option<u64>,
    /// Bytes sent to their players today (UTC).
    pub bytes_today: u64,
    /// When they came first, in seconds since 1970.
    pub first_seen: u64,
    /// When they were there last.
    pub last_seen: u64,
}

/// What to change about a user. What isn't named stays; `null` gives a limit back to what everybody has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
#[schema(example = json!({"maxStreams": 2, "downloadLimit": 2_000_000, "dailyBytes": null}))]
pub struct UserChanges {
    /// Shut out, or let in again: running streams end.
    #[serde(deserialize_with = "given")]
    #[schema(nullable = false)]
    pub disabled: Option<bool>,
    /// Streams at once.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub max_streams: Option<Option<u64>>,
    /// Bytes per second from the swarm.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub download_limit: Option<Option<u64>>,
    /// Bytes per second to the swarm.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub upload_limit: Option<Option<u64>>,
    /// Bytes sent to their players in a day.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub daily_bytes: Option<Option<u64>>,
}

/// What the daemon as a whole is limited to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonLimits {
    /// Bytes per second from the swarm over all torrents; `null`: no limit.
    pub download_limit: Option<u64>,
    /// Bytes per second to the swarm over all torrents; `null`: no limit.
    pub upload_limit: Option<u64>,
    /// Connections to peers over all torrents.
    pub max_peers: u32,
    /// Connections to peers of one torrent.
    pub max_conns: u32,
    /// Dials under way.
    pub max_half_open: u32,
    /// Peers that are served at once over all torrents (unchoke slots).
    pub max_served: u32,
    /// Requests queued for one peer.
    pub request_queue: u32,
    /// Streams of all users together; `null`: no limit.
    pub max_streams: Option<u32>,
}

/// What to limit otherwise; what isn't named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
#[schema(example = json!({"downloadLimit": 5_000_000, "maxPeers": 200}))]
pub struct LimitChanges {
    /// Bytes per second from the swarm over all torrents; `null`: no limit.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub download_limit: Option<Option<u64>>,
    /// Bytes per second to the swarm over all torrents; `null`: no limit.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991u64)]
    pub upload_limit: Option<Option<u64>>,
    /// Connections to peers over all torrents. Those beyond it stay, and nobody new comes until there are fewer.
    #[serde(deserialize_with = "given_number")]
    #[schema(nullable = false, minimum = 1, maximum = 100_000)]
    pub max_peers: Option<u32>,
    /// Connections to peers of one torrent.
    #[serde(deserialize_with = "given_number")]
    #[schema(nullable = false, minimum = 1, maximum = 10_000)]
    pub max_conns: Option<u32>,
    /// Dials under way.
    #[serde(deserialize_with = "given_number")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000)]
    pub max_half_open: Option<u32>,
    /// Peers that are served at once over all torrents (unchoke slots).
    #[serde(deserialize_with = "given_number")]
    #[schema(nullable = false, minimum = 0, maximum = 100_000)]
    pub max_served: Option<u32>,
    /// Requests queued for one peer that comes from now on.
    #[serde(deserialize_with = "given_number")]
    #[schema(nullable = false, minimum = 1, maximum = 512)]
    pub request_queue: Option<u32>,
    /// Streams of all users together; `null`: no limit.
    #[serde(deserialize_with = "named_number")]
    #[schema(value_type = Option<u32>, maximum = 100_000)]
    pub max_streams: Option<Option<u32>>,
}

/// The largest number that is taken: what every reader of JSON keeps exactly, and far beyond any rate or size.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// A whole number up to [`NUMBER_MAX`]. JSON has one kind of number: 7.0 is whole too.
#[derive(Clone, Copy, Debug)]
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(value)?;
        let whole = number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
            (0.0..=NUMBER_MAX as f64).contains(&float).then_some(float as u64)
        });
        let wrong = || D::Error::custom(format!("{number} isn't a whole number from 0 to {NUMBER_MAX}"));
        whole.filter(|&whole| whole <= NUMBER_MAX).map(Self).ok_or_else(wrong)
    }
}

/// A whole number, where `null` says none.
pub(crate) fn number<'de, D, N>(value: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u64>,
{
    let Some(Whole(whole)) = Option::deserialize(value)? else { return Ok(None) };
    let fitting = N::try_from(whole);
    fitting.map(Some).map_err(|_| D::Error::custom(format!("{whole} is too large a number")))
}

/// The same, where `null` is something else than a key that isn't there.
pub(crate) fn named_number<'de, D, N>(value: D) -> Result<Option<Option<N>>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u64>,
{
    number(value).map(Some)
}

/// A list of whole numbers, where `null` says none.
pub(crate) fn numbers<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<u32>>, D::Error> {
    let Some(list) = Option::<Vec<Whole>>::deserialize(value)? else { return Ok(None) };
    let fitting = list.into_iter().map(|Whole(whole)| u32::try_from(whole)).collect::<Result<_, _>>();
    fitting.map(Some).map_err(|_| D::Error::custom(format!("no number above {} is one of a file", u32::MAX)))
}

/// The same, where `null` is something else than a key that isn't there.
pub(crate) fn named_numbers<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Option<Vec<u32>>>, D::Error> {
    numbers(value).map(Some)
}

/// A key that may be left out, but not be `null`.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// A number that may be left out, but not be `null`.
fn given_number<'de, D, N>(value: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<u64>,
{
    let number = number(value)?;
    number.map(Some).ok_or_else(|| D::Error::custom("null isn't a number"))
}

/// How a stream goes, or went: one session of one user.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamView {
    /// It isn't over.
    pub running: bool,
    /// Who watches.
    pub user: String,
    /// The torrent.
    pub info_hash: String,
    /// The file watched last.
    pub file: u32,
    /// What it is called.
    pub name: String,
    /// What the player calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// When it began, or the daemon did, in seconds since 1970.
    pub started_at: u64,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// From its start to the first byte that a player got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttfb_ms: Option<u64>,
    /// Places a player jumped to, and how long its first byte took there.
    pub seeks: SeekCount,
    /// Waits longer than `STREAM_TIMEOUT`.
    pub stalls: StallCount,
    /// Payload that the torrent got from the swarm meanwhile, for whomever.
    pub bytes_swarm: u64,
    /// Bytes sent to the user's players.
    pub bytes_sent: u64,
    /// Payload of the torrent that came in vain meanwhile.
    pub bytes_wasted: u64,
    /// Most peers connected at once.
    pub peers_max: u64,
    /// How far into the file the player was, from 0 to 1.
    pub completion: f64,
}

/// Some of the views, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewsPage {
    /// What runs, if this is the first page; then what has ended, the newest first.
    pub views: Vec<StreamView>,
    /// What to ask for as `after`, if there may be more.
    pub next: Option<u64>,
}

/// What one user's views come to.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserTotals {
    /// Who.
    pub user: String,
    /// How many there are, running ones too.
    pub views: u64,
    /// The mean of their times to the first byte, over those that had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttfb_ms_mean: Option<f64>,
    /// Jumps to other places.
    pub seeks: SeekCount,
    /// Waits longer than `STREAM_TIMEOUT`.
    pub stalls: StallCount,
    /// Payload that their torrents got from the swarm meanwhile. What two watched at once counts for each.
    pub bytes_swarm: u64,
    /// Bytes sent to their players.
    pub bytes_sent: u64,
    /// Payload that came in vain.
    pub bytes_wasted: u64,
}

/// Something that no viewer does, and how often a user did it on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuspicionCount {
    /// Who.
    pub user: String,
    /// One of `torrents_added`, `parse_failures`, `stream_starts`, `range_flood`, `many_networks`, `bulk_read`.
    pub pattern: String,
    /// When that day began (UTC), in seconds since 1970.
    pub day: u64,
    /// How often the threshold was crossed.
    pub count: u64,
    /// When that was last.
    pub last_at: u64,
    /// What it was the last time, for people.
    pub detail: String,
}

/// How streams went.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analytics {
    /// On the first page all streams that run; then those that have ended, the newest first.
    pub views: Vec<StreamView>,
    /// What to ask for as `after`, if there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// The sums by user, of all pages; on the first one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<UserTotals>>,
    /// What users did that no viewer does; on the first page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicions: Option<Vec<SuspicionCount>>,
}
