//! What users do with their streams.

use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::InfoHashes;
use afflux_stream::session::Place;

use super::seeking::{place_of, time_of};
use super::told::{buffered_seconds, status_asleep};
use super::{Started, Wanted, choose, no_stream};
use crate::auth::{Identity, Scope};
use crate::service::refusal::Refusal;
use crate::service::shapes::{SeekAnswer, SeekWish, StreamSession, StreamStatus};
use crate::service::{Start, StreamingService, buffer, reading};
use crate::user::User;

/// How long a seek waits for the file's index, if that is still being fetched.
const LOOK_TIME: Duration = Duration::from_secs(5);

impl StreamingService {
    /// Starts, or joins, this user's session for a torrent. URLs are paths on the daemon's own address.
    ///
    /// # Errors
    /// Too many streams, no metadata within `TORRENT_TIMEOUT`, no such file, or content that is blocked.
    pub async fn start_stream(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        start: Start,
    ) -> Result<StreamSession, Refusal> {
        let started = self.shared.start(who, hashes, &start, Wanted::Urls).await?;
        Ok(started.session.shape(&self.shared, &started.opened.ready, started.file, started.at.as_ref()))
    }

    /// The same for a player that takes the file's bytes from the same answer; `unpaced` for one that saves them.
    ///
    /// # Errors
    /// As for [`start_stream`](Self::start_stream).
    pub async fn open_stream(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        start: Start,
        unpaced: bool,
    ) -> Result<Arc<dyn afflux_stream::Media>, Refusal> {
        let started = self.shared.start(who, hashes, &start, Wanted::Bytes).await?;
        let Started { session, opened, file, .. } = started;
        self.shared.note_media_request(&session, None).await?;
        let opening = reading::Opening { file, unpaced, client: start.client };
        reading::open(&self.shared, &session, &opened, opening)
    }

    /// What this user's session is at.
    ///
    /// # Errors
    /// There is none.
    pub async fn stream_status(&self, who: &Identity, hashes: InfoHashes) -> Result<StreamStatus, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        // What happened since the last round counts too.
        session.look(Instant::now());
        self.shared.drain(&session);
        Ok(session.status())
    }

    /// What all of this user's sessions are at; everybody's for admins.
    pub fn streams(&self, who: &Identity) -> Vec<StreamStatus> {
        let everybody = who.scopes.contains(Scope::Admin);
        let mut sessions = self.shared.sessions.awake();
        sessions.retain(|session| everybody || session.user == who.user);
        let mut asleep = self.shared.sessions.all_asleep();
        asleep.retain(|row| everybody || row.user == who.user);
        let told = sessions.iter().map(|session| session.status());
        told.chain(asleep.iter().map(status_asleep)).collect()
    }

    /// Ends this user's session, and its URLs.
    ///
    /// # Errors
    /// There is none.
    pub async fn stop_stream(&self, who: &Identity, hashes: InfoHashes) -> Result<(), Refusal> {
        let hash = self.shared.wire(who, hashes).await?;
        let id = self.shared.sessions.find(&who.user, hash).ok_or_else(no_stream)?;
        self.shared.end_session(id, "deleted").await;
        Ok(())
    }

    /// Fetches a place before the player asks for it.
    ///
    /// # Errors
    /// No session, no such file, or a place outside of it.
    pub async fn seek(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        wish: SeekWish,
    ) -> Result<SeekAnswer, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        let opened = session.open(&self.shared).await?;
        let file = match wish.file {
            Some(_) => choose(&opened.ready, wish.file)?,
            None => session.state().file.map_or_else(|| choose(&opened.ready, None), Ok)?,
        };
        self.shared.check_content(&session, &opened, file)?;
        let length = opened.ready.layout.file(file).map_or(0, |file| file.length);
        session.turn_to(&opened, file, &self.shared);
        let looking = session.looking(&self.shared);
        let film = match looking {
            // Somebody waits for a picture: a place that is half a minute off soon is worse than the right one a little later.
            Some(looking) if wish.bytes.is_none() => looking.wait(LOOK_TIME).await,
            looking => looking.and_then(|looking| looking.film()),
        };
        let found = match film.as_deref().and_then(|film| Some((film, time_of(&wish, film)?))) {
            Some((film, time)) => self.shared.search(&opened, file, film, time).await,
            None => None,
        };
        let place = place_of(&wish, length, film.as_deref(), found.as_ref())?;
        let start = place.bytes.start;
        let sought = opened.viewing.prefetch(&opened.ready, file, place.bytes.clone());
        let mut state = session.state();
        state.sought = Some(sought);
        let now = Instant::now();
        if let (None, Some(duration)) = (&film, place.duration) {
            state.rate = Some((length as f64 / duration) as u64);
        }
        state.machine.seek(Place { file: file.0, offset: start }, now);
        state.pace.handle_seek(now);
        drop(state);
        let buffered_bytes = buffer::ahead(&opened.ready, file, start);
        Ok(SeekAnswer {
            byte_offset: start,
            byte_range: [start, place.bytes.end],
            seconds: place.seconds,
            key_frame_seconds: place.key_frame_seconds,
            method: place.method,
            buffered_bytes,
            buffered_seconds: buffered_seconds(
                film.as_deref(),
                place.duration,
                length,
                start..start + buffered_bytes,
            ),
        })
    }

    /// Stops fetching for this user's session. What is there can be read on.
    ///
    /// # Errors
    /// There is none.
    pub async fn pause(&self, who: &Identity, hashes: InfoHashes) -> Result<StreamStatus, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        {
            let mut state = session.state();
            state.machine.pause(Instant::now());
            if let Some(opened) = &state.opened {
                opened.viewing.pause();
            }
        }
        self.shared.drain(&session);
        Ok(session.status())
    }

    /// Fetches on.
    ///
    /// # Errors
    /// There is none.
    pub async fn resume(&self, who: &Identity, hashes: InfoHashes) -> Result<StreamStatus, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        {
            let mut state = session.state();
            state.machine.resume(Instant::now());
            if let Some(opened) = &state.opened {
                opened.viewing.resume();
            }
        }
        self.shared.drain(&session);
        Ok(session.status())
    }

    /// Whether a user has a session for a torrent.
    pub fn has_session(&self, user: &User, hashes: InfoHashes) -> bool {
        self.shared.sessions.find(user, hashes.wire()).is_some()
    }
}
