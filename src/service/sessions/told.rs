//! What is told of a session: its URLs, what it is at.

use std::ops::Range;
use std::time::Instant;

use afflux_metainfo::FileIndex;
use afflux_stream::session::State as StreamState;
use afflux_stream::token::{Bound, MediaToken};

use super::{Session, bound};
use crate::database::{SavedSession, Watched};
use crate::engine::torrent::Ready;
use crate::media_choice;
use crate::service::films::{Film, Looking};
use crate::service::shapes::{
    PeerCount, SeasonLink, SeekCount, StallCount, StreamSession, StreamStatus, TroubleInfo,
};
use crate::service::{Shared, buffer, subtitles, unix_now};
use crate::shelf::encode;

/// Stretches of a file that a status tells of: enough for a bar on a screen.
const RANGES_TOLD_MAX: usize = 64;

impl Session {
    /// What its URLs are bound to.
    fn bound(&self) -> Bound<'_> {
        bound(&self.user, &self.info_hash)
    }

    /// The path of a file's URL.
    pub(in crate::service) fn media_path(&self, shared: &Shared, ready: &Ready, file: FileIndex) -> String {
        let name = ready.layout.file(file).and_then(|file| file.path.last().cloned()).unwrap_or_default();
        format!("/stream/{}/{}", self.token(shared, Some(file)), encode(&name))
    }

    /// A token for one file, or for the session as a whole.
    pub(in crate::service) fn token(&self, shared: &Shared, file: Option<FileIndex>) -> String {
        let expires_at = self.state().expires_at;
        let token = MediaToken { session: self.id, file: file.map(|FileIndex(index)| index), expires_at };
        shared.config.media_key.seal(&token, &self.bound())
    }

    /// The session with the URLs of a file.
    pub(super) fn shape(
        &self,
        shared: &Shared,
        ready: &Ready,
        file: FileIndex,
        at: Option<&Watched>,
    ) -> StreamSession {
        let playlist_url = format!("/stream/{}/playlist.m3u8", self.token(shared, None));
        let season = |(number, episodes): (u16, Vec<FileIndex>)| SeasonLink {
            season: number,
            episodes: episodes.len() as u32,
            playlist_url: format!("{playlist_url}?season={number}"),
        };
        StreamSession {
            session_id: self.id.to_string(),
            info_hash: self.info_hash.to_string(),
            file: file.0,
            url: self.media_path(shared, ready, file),
            seasons: media_choice::seasons(&ready.layout).into_iter().map(season).collect(),
            resume_seconds: at.and_then(|at| at.seconds),
            resume_bytes: at.and_then(|at| at.position),
            playlist_url,
            subtitles: subtitles::links(self, shared, ready, file),
            expires_at: self.state().expires_at,
        }
    }

    /// What it is at.
    pub(in crate::service) fn status(&self) -> StreamStatus {
        let (torrent, now) = (self.torrent().status(), Instant::now());
        let state = self.state();
        let (place, figures) = (state.machine.place(), state.machine.figures(now));
        let file = state.opened.as_ref().and(state.file).map(|_| FileIndex(place.file));
        let ranges = match (&state.opened, file) {
            (Some(opened), Some(file)) => buffer::ranges(&opened.ready, file, RANGES_TOLD_MAX),
            _ => Vec::new(),
        };
        let length =
            state.opened.as_ref().zip(file).and_then(|(opened, file)| opened.ready.layout.file(file));
        let trouble = state.machine.trouble();
        let film = state.film_of(FileIndex(place.file));
        let buffered_bytes = state.machine.buffered_bytes();
        let buffered = place.offset..place.offset.saturating_add(buffered_bytes);
        let file_length = length.map_or(0, |file| file.length);
        StreamStatus {
            session_id: self.id.to_string(),
            info_hash: self.info_hash.to_string(),
            file: file.map(|FileIndex(index)| index),
            state: state.machine.state().as_str().to_owned(),
            position_bytes: place.offset,
            position_seconds: film.as_ref().and_then(|film| film.seconds_at(place.offset)),
            duration_seconds: film.as_ref().and_then(|film| film.seconds()),
            media_problem: state.looking.as_ref().and_then(Looking::problem).map(|why| why.to_string()),
            buffered_bytes,
            buffered_seconds: film
                .as_ref()
                .and_then(|film| buffered_seconds(Some(film), None, file_length, buffered)),
            buffered_ranges: ranges,
            length: length.map(|file| file.length),
            ttfb_ms: figures.ttfb.map(|time| time.as_millis() as u64),
            stalls: StallCount {
                count: figures.stalls.count,
                total_ms: figures.stalls.total.as_millis() as u64,
            },
            seeks: SeekCount {
                count: figures.seeks.count,
                total_ms: figures.seeks.total.as_millis() as u64,
                max_ms: figures.seeks.max.as_millis() as u64,
            },
            bytes_served: figures.bytes_sent,
            readers: figures.readers as u32,
            download_rate: torrent.snapshot.download_rate,
            peers: PeerCount::new(&torrent),
            error: trouble.map(|known| {
                let since = unix_now().saturating_sub(now.duration_since(known.since).as_secs());
                TroubleInfo {
                    code: known.trouble.code().to_owned(),
                    detail: torrent.error.clone().unwrap_or_else(|| known.trouble.to_string()),
                    since,
                }
            }),
        }
    }
}

/// How long a stretch of a file lasts: by its index, or of a film that lasts `duration` by proportion.
pub(super) fn buffered_seconds(
    film: Option<&Film>,
    duration: Option<f64>,
    length: u64,
    stretch: Range<u64>,
) -> Option<f64> {
    let by_index =
        film.and_then(|film| Some(film.seconds_at(stretch.end)? - film.seconds_at(stretch.start)?));
    let by_part = || Some(duration? * (stretch.end - stretch.start) as f64 / length.max(1) as f64);
    by_index.or_else(by_part)
}

/// What a session is at that nobody has come back to since the daemon started: nothing is fetched for it.
pub(super) fn status_asleep(row: &SavedSession) -> StreamStatus {
    StreamStatus {
        session_id: row.id.to_string(),
        info_hash: row.info_hash.to_string(),
        file: Some(row.file.0),
        state: StreamState::Paused.as_str().to_owned(),
        position_bytes: row.position,
        position_seconds: None,
        duration_seconds: None,
        media_problem: None,
        buffered_bytes: 0,
        buffered_seconds: None,
        buffered_ranges: Vec::new(),
        length: None,
        ttfb_ms: None,
        stalls: StallCount::default(),
        seeks: SeekCount::default(),
        bytes_served: 0,
        readers: 0,
        download_rate: 0,
        peers: PeerCount::default(),
        error: None,
    }
}
