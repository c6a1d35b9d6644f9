//! Sessions: one per user and torrent, any number of its files, as long as somebody watches.
//!
//! A session outlives the process: it is written down, sleeps until somebody asks for it, and its URLs go on to work.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use afflux_metainfo::{FileIndex, InfoHash, InfoHashes};
use afflux_stream::magic::ContentPolicy;
use afflux_stream::pace::{Pace, PaceConfig};
use afflux_stream::session::{self, Place, State as StreamState};
use afflux_stream::suspicion::Pattern;
use afflux_stream::token::{Bound, MediaToken, SessionId};
use dashmap::DashMap;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::accounts::Account;
use super::analytics::{self, Grown};
use super::catalog::Named;
use super::content::Checks;
use super::events::Event;
use super::refusal::{Code, Refusal};
use super::shapes::{
    PeerCount, SeekAnswer, SeekCount, SeekWish, StallCount, StreamSession, StreamStatus, SubtitleLink,
    TroubleInfo,
};
use super::torrents::{Files, Purpose, Use};
use super::{Shared, Start, StreamingService, buffer, content, reading, unix_now};
use crate::auth::{Identity, Scope};
use crate::database::SavedSession;
use crate::engine::torrent::Ready;
use crate::engine::{Torrent, Viewing, WarmUp};
use crate::media_choice;
use crate::metrics::SessionTally;
use crate::shelf::encode;
use crate::user::User;

/// Stretches of a file that a status tells of: enough for a bar on a screen.
const RANGES_TOLD_MAX: usize = 64;
/// Ended sessions that are remembered, so that their URLs say that they are over and not that they never were: a few hundred KiB.
const ENDED_MAX: usize = 4096;
/// What is fetched at a place that was sought, before the player asks: about two seconds of a film.
const SEEK_BYTES: u64 = 4 * 1024 * 1024;

/// All sessions, awake and asleep.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    awake: DashMap<SessionId, Arc<Session>>,
    roll: Mutex<Roll>,
}

/// Who has which session. Sessions begin and end under its lock, so that limits hold.
#[derive(Debug, Default)]
struct Roll {
    by_pair: BTreeMap<(User, InfoHash), SessionId>,
    asleep: BTreeMap<SessionId, SavedSession>,
    /// When those were laid down: at the start.
    asleep_from: u64,
    /// Whose those were that ended, the oldest first.
    ended: VecDeque<(SessionId, User, InfoHash)>,
}

/// One user's watching of one torrent.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) user: User,
    pub(super) info_hash: InfoHash,
    pub(super) account: Arc<Account>,
    pub(super) begun_at: u64,
    /// When it began or was woken: its figures are from then on.
    pub(super) awake_since: u64,
    /// Its readers end.
    pub(super) ended: CancellationToken,
    using: Use,
    state: Mutex<State>,
}

/// What changes of a session; a leaf lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) machine: session::Session,
    pub(super) pace: Pace,
    pub(super) expires_at: u64,
    pub(super) max_rate: Option<u64>,
    /// The torrent as it is read now; another one after it moved.
    opened: Option<Opened>,
    pub(super) file: Option<FileIndex>,
    /// Bytes of the file that are a second of the film, where that is known.
    pub(super) rate: Option<u64>,
    pub(super) checks: Checks,
    warm_up: Option<WarmUp>,
    sought: Option<WarmUp>,
    next_reader: u64,
    /// What the torrent received and wasted since the session woke, and the most peers since.
    pub(super) received: Grown,
    pub(super) wasted: Grown,
    pub(super) peers_max: u32,
    /// What of its figures is in the metrics.
    pub(super) tally: SessionTally,
    /// When it was last written down, and whether something changed since.
    pub(super) saved: Option<Instant>,
}

/// A torrent that is open for a session.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    pub(super) viewing: Arc<Viewing>,
    pub(super) ready: Arc<Ready>,
}

impl Session {
    /// The torrent, as it runs now.
    pub(super) fn torrent(&self) -> Torrent {
        self.using.torrent()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The torrent if it is open already.
    pub(super) fn opened(&self) -> Option<Opened> {
        self.state().opened.clone()
    }

    /// Waits until the torrent's files can be read.
    pub(super) async fn open(&self, shared: &Shared) -> Result<Opened, Refusal> {
        let torrent = self.using.torrent();
        if let Some(opened) = self.opened().filter(|opened| opened.viewing.torrent().is(&torrent)) {
            return Ok(opened);
        }
        let (torrent, ready) = shared.ready(&self.using).await?;
        let viewing = Arc::new(torrent.view());
        let mut state = self.state();
        if state.machine.state() == StreamState::Paused {
            viewing.pause();
        }
        let opened = Opened { viewing, ready };
        state.opened = Some(opened.clone());
        drop(state);
        Ok(opened)
    }

    /// Turns to a file: it is fetched, its head is judged, and what players read first is there when they come.
    pub(super) fn turn_to(&self, opened: &Opened, file: FileIndex, shared: &Arc<Shared>) {
        let mut state = self.state();
        if state.file == Some(file) {
            return;
        }
        state.file = Some(file);
        state.rate = None;
        let bytes = shared.config.tuning.buffer_bytes;
        state.warm_up = Some(opened.viewing.warm_up(&opened.ready, file, bytes));
        state.checks.begin(opened, file);
        let length = opened.ready.layout.file(file).map_or(0, |file| file.length);
        state.pace.set_media(length, None, Instant::now());
        drop(state);
        self.using.need(Files::Some(vec![file]));
        shared.torrents.look(Instant::now());
    }

    pub(super) fn next_reader(&self) -> u64 {
        let mut state = self.state();
        // A player came: what was fetched ahead of it is its own business now.
        state.warm_up = None;
        state.next_reader += 1;
        state.next_reader
    }

    /// What its URLs are bound to.
    fn bound(&self) -> Bound<'_> {
        bound(&self.user, &self.info_hash)
    }

    /// The path of a file's URL.
    fn media_path(&self, shared: &Shared, ready: &Ready, file: FileIndex) -> String {
        let name = ready.layout.file(file).and_then(|file| file.path.last().cloned()).unwrap_or_default();
        format!("/stream/{}/{}", self.token(shared, Some(file)), encode(&name))
    }

    /// A token for one file, or for the session as a whole.
    pub(super) fn token(&self, shared: &Shared, file: Option<FileIndex>) -> String {
        let expires_at = self.state().expires_at;
        let token = MediaToken { session: self.id, file: file.map(|FileIndex(index)| index), expires_at };
        shared.config.media_key.seal(&token, &self.bound())
    }

    /// The session with the URLs of a file.
    fn shape(&self, shared: &Shared, ready: &Ready, file: FileIndex) -> StreamSession {
        let subtitles = media_choice::files(&ready.layout).filter(|(_, file)| content::is_subtitle(file));
        StreamSession {
            session_id: self.id.to_string(),
            info_hash: self.info_hash.to_string(),
            file: file.0,
            url: self.media_path(shared, ready, file),
            playlist_url: format!("/stream/{}/playlist.m3u8", self.token(shared, None)),
            subtitles: subtitles
                .map(|(index, file)| SubtitleLink {
                    file: index.0,
                    name: file.path.last().cloned().unwrap_or_default(),
                    url: self.media_path(shared, ready, index),
                })
                .collect(),
            expires_at: self.state().expires_at,
        }
    }

    /// The torrent's videos (without any, its songs) in watching order.
    pub(super) fn playlist(&self, shared: &Shared, ready: &Ready) -> String {
        let mut list = String::from("#EXTM3U\n");
        for file in media_choice::watching_order(&ready.layout) {
            let Some(span) = ready.layout.file(file) else { continue };
            let name = span.path.last().cloned().unwrap_or_default();
            // A line break in a name would be a line of its own.
            let title: String = name.chars().filter(|c| !c.is_control()).collect();
            let token = self.token(shared, Some(file));
            list.push_str(&format!("#EXTINF:-1,{title}\n../{token}/{}\n", encode(&name)));
        }
        list
    }

    /// What it is at.
    pub(super) fn status(&self) -> StreamStatus {
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
        StreamStatus {
            session_id: self.id.to_string(),
            info_hash: self.info_hash.to_string(),
            file: file.map(|FileIndex(index)| index),
            state: state.machine.state().as_str().to_owned(),
            position_bytes: place.offset,
            buffered_bytes: state.machine.buffered_bytes(),
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

impl State {
    /// The torrent as it is read now.
    pub(super) fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }
}

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
        let (session, opened, file) = self.shared.start(who, hashes, &start).await?;
        Ok(session.shape(&self.shared, &opened.ready, file))
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
        let (session, opened, file) = self.shared.start(who, hashes, &start).await?;
        self.shared.note_media_request(&session, None).await?;
        let opening = reading::Opening { file, unpaced, client: start.client };
        reading::open(&self.shared, &session, &opened, opening)
    }

    /// What this user's session is at.
    ///
    /// # Errors
    /// There is none.
    pub async fn stream_status(&self, who: &Identity, hashes: InfoHashes) -> Result<StreamStatus, Refusal> {
        Ok(self.shared.own_session(who, hashes).await?.status())
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
        let answer = place_of(&wish, length)?;
        session.turn_to(&opened, file, &self.shared);
        let (start, end) = (answer.byte_offset, length.min(answer.byte_offset + SEEK_BYTES));
        let sought = opened.viewing.prefetch(&opened.ready, file, start..end);
        let mut state = session.state();
        state.sought = Some(sought);
        if let Some(duration) = answer.duration {
            state.rate = Some((length as f64 / duration) as u64);
        }
        let now = Instant::now();
        state.machine.seek(Place { file: file.0, offset: start }, now);
        state.pace.handle_seek(now);
        let buffered_bytes = buffer::ahead(&opened.ready, file, start);
        let buffered_seconds = answer
            .duration
            .filter(|_| length > 0)
            .map(|duration| duration * buffered_bytes as f64 / length as f64);
        Ok(SeekAnswer {
            byte_offset: start,
            seconds: answer.seconds,
            method: answer.method,
            buffered_bytes,
            buffered_seconds,
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

impl Shared {
    /// A session whose torrent is open and turned to a file.
    async fn start(
        self: &Arc<Self>,
        who: &Identity,
        hashes: InfoHashes,
        start: &Start,
    ) -> Result<(Arc<Session>, Opened, FileIndex), Refusal> {
        let named = self.find_or_hash(who, hashes).await?;
        let hash = named.source.hashes().wire();
        let (session, is_new) = match self.sessions.find(&who.user, hash) {
            Some(id) => (self.awake(id).await?, false),
            None => {
                self.check_habits(who, Pattern::StreamStarts)?;
                let session = self.begin(who, &named.source)?;
                self.note_stream_start(who).await;
                (session, true)
            }
        };
        let opened = match session.open(self).await {
            Ok(opened) => opened,
            Err(refusal) => {
                if is_new {
                    self.end_session(session.id, "failed").await;
                }
                return Err(refusal);
            }
        };
        if named.file().is_none()
            && let Ok(complete) = named.completed(&opened.ready.info)
            && self.remember(&who.user, &complete).await
        {
            self.note_torrent_added(who).await;
        }
        let file = choose(&opened.ready, start.file)?;
        self.check_content(&session, &opened, file)?;
        session.state().expires_at = unix_now() + self.config.streams.url_ttl.as_secs();
        session.turn_to(&opened, file, self);
        self.save(&session).await;
        Ok((session, opened, file))
    }

    /// A new session, within the limits.
    fn begin(
        self: &Arc<Self>,
        who: &Identity,
        source: &crate::source::Source,
    ) -> Result<Arc<Session>, Refusal> {
        let account = self.accounts.get(&who.user);
        account.check_quota()?;
        let hash = source.hashes().wire();
        let (own_max, all_max) = (account.streams_max(who), self.limits.max_streams());
        self.sessions.check(&who.user, own_max, all_max)?;
        let using = self.torrents.take_up(source, &self.purpose(hash), Files::None)?;
        let now = unix_now();
        let row = SavedSession {
            id: new_id()?,
            user: who.user.clone(),
            info_hash: hash,
            file: FileIndex(0),
            created_at: now,
            last_used: now,
            expires_at: now + self.config.streams.url_ttl.as_secs(),
            paused: false,
            position: 0,
            token_max_rate: who.max_rate,
            client: None,
        };
        let session = Arc::new(self.session(&row, account, using));
        let inserted = self.sessions.insert(&session, own_max, all_max)?;
        if Arc::ptr_eq(&inserted, &session) {
            self.metrics.session_started();
        }
        Ok(inserted)
    }

    fn session(&self, row: &SavedSession, account: Arc<Account>, using: Use) -> Session {
        let now = Instant::now();
        let mut machine = session::Session::new(self.session_config(), now);
        let torrent = using.torrent().status();
        if row.paused {
            machine.pause(now);
        }
        let state = State {
            machine,
            pace: Pace::new(PaceConfig { max_rate: row.token_max_rate, ..PaceConfig::default() }, now),
            expires_at: row.expires_at,
            max_rate: row.token_max_rate,
            opened: None,
            file: None,
            rate: None,
            checks: Checks::default(),
            warm_up: None,
            sought: None,
            next_reader: 0,
            received: Grown::from(torrent.totals.payload_received),
            wasted: Grown::from(analytics::wasted(&torrent)),
            peers_max: 0,
            tally: SessionTally::default(),
            saved: None,
        };
        Session {
            id: row.id,
            user: row.user.clone(),
            info_hash: row.info_hash,
            account,
            begun_at: row.created_at,
            awake_since: unix_now(),
            ended: CancellationToken::new(),
            using,
            state: Mutex::new(state),
        }
    }

    pub(super) fn session_config(&self) -> session::SessionConfig {
        session::SessionConfig {
            buffer_bytes: self.config.tuning.buffer_bytes,
            stall_timeout: self.config.tuning.stream_timeout,
            idle_time: self.config.streams.idle_time,
            ..session::SessionConfig::default()
        }
    }

    /// What a torrent is used for when it is streamed: it stays where it is kept.
    fn purpose(&self, hash: InfoHash) -> Purpose {
        self.downloads.folder_of(hash).map_or(Purpose::Stream, |folder| Purpose::Keep { folder })
    }

    /// A session of this user, woken if it is asleep.
    pub(super) async fn own_session(
        self: &Arc<Self>,
        who: &Identity,
        hashes: InfoHashes,
    ) -> Result<Arc<Session>, Refusal> {
        let hash = self.wire(who, hashes).await?;
        let id = self.sessions.find(&who.user, hash).ok_or_else(no_stream)?;
        self.awake(id).await
    }

    /// The hash that a torrent goes by, whichever of its hashes was said.
    pub(super) async fn wire(&self, who: &Identity, hashes: InfoHashes) -> Result<InfoHash, Refusal> {
        let hash = hashes.wire();
        if hashes.v1().is_some() || self.sessions.find(&who.user, hash).is_some() {
            return Ok(hash);
        }
        Ok(self.find(who, hashes).await?.map_or(hash, |named| named.source.hashes().wire()))
    }

    /// A session by its id, woken if it is asleep.
    pub(super) async fn awake(self: &Arc<Self>, id: SessionId) -> Result<Arc<Session>, Refusal> {
        if let Some(session) = self.sessions.get(id) {
            return Ok(session);
        }
        let row = self.sessions.asleep(id).ok_or_else(no_stream)?;
        let named = self.named_by(&row.user, row.info_hash).await?;
        // Its user may come by a URL, which no gate stands before.
        let account = self.accounts.known(&row.user).await;
        let using = self.torrents.take_up(&named.source, &self.purpose(row.info_hash), Files::None)?;
        let session = Arc::new(self.session(&row, account, using));
        self.sessions.wake(session).ok_or_else(no_stream)
    }

    /// What a user named a torrent by, or just the hash.
    pub(super) async fn named_by(&self, user: &User, hash: InfoHash) -> Result<Named, Refusal> {
        let hashes = InfoHashes::V1(hash);
        match self.database.torrents().find(user, hashes).await? {
            Some(row) => Named::read(row.source),
            None => Ok(Named::by_hash(hashes)),
        }
    }

    /// Takes up the sessions of the last run.
    pub(super) async fn wake_sessions(&self) -> Result<(), Refusal> {
        for row in self.database.sessions().all_alive(unix_now()).await? {
            self.sessions.lay_down(row);
        }
        Ok(())
    }

    /// Ends sessions of a torrent.
    pub(super) async fn end_sessions(
        &self,
        hash: InfoHash,
        reason: &'static str,
        is_meant: impl Fn(&Session) -> bool,
    ) {
        let mut sessions = self.sessions.awake();
        sessions.retain(|session| session.info_hash == hash && is_meant(session));
        for session in sessions {
            self.end_session(session.id, reason).await;
        }
    }

    /// Ends all sessions of a user.
    pub(super) async fn end_all_of(&self, user: &User, reason: &'static str) {
        for id in self.sessions.of(user) {
            self.end_session(id, reason).await;
        }
    }

    /// Ends a session: its readers, its URLs, its use of the torrent.
    pub(super) async fn end_session(&self, id: SessionId, reason: &'static str) {
        let Some((user, hash, session)) = self.sessions.remove(id) else { return };
        info!(session = %id, reason, "a stream's session ended");
        self.suspects.forget(id);
        self.metrics.session_ended(reason);
        if let Some(session) = session {
            session.state().machine.end(Instant::now());
            session.ended.cancel();
            session.measure(&self.metrics, Instant::now());
            self.note_view(&session).await;
            session.using.give_up();
        }
        if let Err(error) = self.database.sessions().end(id).await {
            warn!(%error, "the end of a session can't be written down");
        }
        let (session_id, info_hash) = (id.to_string(), hash.to_string());
        self.events.tell(&user, Event::StreamEnded { session_id, info_hash, reason: reason.to_owned() });
    }

    /// Writes a session down. That it can't be is no reason not to play.
    pub(super) async fn save(&self, session: &Session) {
        let row = {
            let mut state = session.state();
            state.saved = Some(Instant::now());
            SavedSession {
                id: session.id,
                user: session.user.clone(),
                info_hash: session.info_hash,
                file: state.file.unwrap_or(FileIndex(0)),
                created_at: session.begun_at,
                last_used: unix_now(),
                expires_at: state.expires_at,
                paused: state.machine.state() == StreamState::Paused,
                position: state.machine.place().offset,
                token_max_rate: state.max_rate,
                client: state.machine.figures(Instant::now()).client,
            }
        };
        if let Err(error) = self.database.sessions().save(row).await {
            warn!(%error, "a session can't be written down");
        }
    }

    /// Whether dangerous files are refused, or only told of.
    pub(super) fn blocks_content(&self) -> bool {
        self.config.streams.content_policy == ContentPolicy::Block
    }

    /// Refuses a file that is dangerous by its name or by what is known of its head.
    pub(super) fn check_content(
        &self,
        session: &Session,
        opened: &Opened,
        file: FileIndex,
    ) -> Result<(), Refusal> {
        let by_name = content::refusal_by_name(&opened.ready.layout, file);
        let by_head = session.state().checks.refusal(file);
        match by_name.or(by_head).filter(|_| self.blocks_content()) {
            Some(reason) => Err(Refusal::new(Code::ContentBlocked, reason)),
            None => Ok(()),
        }
    }
}

impl Sessions {
    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a user for a torrent.
    pub(super) fn find(&self, user: &User, hash: InfoHash) -> Option<SessionId> {
        self.roll().by_pair.get(&(user.clone(), hash)).copied()
    }

    /// A session that is awake.
    pub(super) fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        self.awake.get(&id).map(|session| Arc::clone(&session))
    }

    /// All sessions that are awake.
    pub(super) fn awake(&self) -> Vec<Arc<Session>> {
        self.awake.iter().map(|session| Arc::clone(&session)).collect()
    }

    /// What was written down of a session that is asleep.
    pub(super) fn asleep(&self, id: SessionId) -> Option<SavedSession> {
        self.roll().asleep.get(&id).cloned()
    }

    /// Whether somebody other than this user has a session for a torrent.
    pub(super) fn others_watch(&self, user: &User, hash: InfoHash) -> bool {
        self.roll().by_pair.keys().any(|(other, watched)| *watched == hash && other != user)
    }

    /// All sessions of a user.
    pub(super) fn of(&self, user: &User) -> Vec<SessionId> {
        let roll = self.roll();
        roll.by_pair.iter().filter(|((other, _), _)| other == user).map(|(_, &id)| id).collect()
    }

    /// Whose a session is or was: what its tokens are bound to.
    pub(super) fn whose(&self, id: SessionId) -> Option<(User, InfoHash)> {
        if let Some(session) = self.get(id) {
            return Some((session.user.clone(), session.info_hash));
        }
        let roll = self.roll();
        let asleep = roll.asleep.get(&id).map(|row| (row.user.clone(), row.info_hash));
        let ended = || roll.ended.iter().rev().find(|(ended, ..)| *ended == id);
        asleep.or_else(|| ended().map(|(_, user, hash)| (user.clone(), *hash)))
    }

    /// Sessions asleep whose time is over, and which time that is.
    pub(super) fn overslept(
        &self,
        config: &session::SessionConfig,
        now: u64,
    ) -> Vec<(SessionId, &'static str)> {
        let roll = self.roll();
        let reason = |row: &SavedSession| {
            let idle_time = if row.paused { config.idle_paused_time } else { config.idle_time };
            match now {
                _ if row.expires_at <= now => Some("expired"),
                _ if roll.asleep_from + idle_time.as_secs() <= now => Some("idle"),
                _ => None,
            }
        };
        roll.asleep.iter().filter_map(|(&id, row)| Some((id, reason(row)?))).collect()
    }

    /// All sessions that are asleep.
    fn all_asleep(&self) -> Vec<SavedSession> {
        self.roll().asleep.values().cloned().collect()
    }

    /// How many sessions there are.
    pub(super) fn count(&self) -> usize {
        self.roll().by_pair.len()
    }

    fn check(&self, user: &User, own_max: u32, all_max: Option<u32>) -> Result<(), Refusal> {
        self.roll().check(user, own_max, all_max)
    }

    /// Adds a session, unless the user got one for the same torrent or too many meanwhile.
    fn insert(
        &self,
        session: &Arc<Session>,
        own_max: u32,
        all_max: Option<u32>,
    ) -> Result<Arc<Session>, Refusal> {
        let mut roll = self.roll();
        let pair = (session.user.clone(), session.info_hash);
        if let Some(known) = roll.by_pair.get(&pair).and_then(|&id| self.get(id)) {
            return Ok(known);
        }
        roll.check(&session.user, own_max, all_max)?;
        roll.by_pair.insert(pair, session.id);
        self.awake.insert(session.id, Arc::clone(session));
        Ok(Arc::clone(session))
    }

    /// A session that was asleep goes on; if somebody was quicker, with theirs. None if it was ended meanwhile.
    fn wake(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let mut roll = self.roll();
        if roll.asleep.remove(&session.id).is_none() {
            return self.get(session.id);
        }
        self.awake.insert(session.id, Arc::clone(&session));
        Some(session)
    }

    fn lay_down(&self, row: SavedSession) {
        let mut roll = self.roll();
        roll.by_pair.insert((row.user.clone(), row.info_hash), row.id);
        roll.asleep_from = unix_now();
        roll.asleep.insert(row.id, row);
    }

    /// Forgets a session; the answer is whose it was, and itself if it was awake.
    fn remove(&self, id: SessionId) -> Option<(User, InfoHash, Option<Arc<Session>>)> {
        let mut roll = self.roll();
        let awake = self.awake.remove(&id).map(|(_, session)| session);
        let (user, hash) = match (&awake, roll.asleep.remove(&id)) {
            (Some(session), _) => (session.user.clone(), session.info_hash),
            (None, Some(row)) => (row.user, row.info_hash),
            (None, None) => return None,
        };
        roll.by_pair.remove(&(user.clone(), hash));
        if roll.ended.len() >= ENDED_MAX {
            roll.ended.pop_front();
        }
        roll.ended.push_back((id, user.clone(), hash));
        Some((user, hash, awake))
    }
}

impl Roll {
    fn check(&self, user: &User, own_max: u32, all_max: Option<u32>) -> Result<(), Refusal> {
        let own = self.by_pair.keys().filter(|(other, _)| other == user).count();
        if own >= own_max as usize {
            let detail = format!(
                "{own} streams are open, which is your limit: end one of them (MAX_CONCURRENT_STREAMS)"
            );
            return Err(Refusal::new(Code::TooManyStreams, detail));
        }
        if all_max.is_some_and(|max| self.by_pair.len() >= max as usize) {
            let detail = "the daemon has as many streams as it may have (--max-streams): try again later";
            return Err(Refusal::new(Code::TooManyStreams, detail));
        }
        Ok(())
    }
}

/// What a session is at that nobody has come back to since the daemon started: nothing is fetched for it.
fn status_asleep(row: &SavedSession) -> StreamStatus {
    StreamStatus {
        session_id: row.id.to_string(),
        info_hash: row.info_hash.to_string(),
        file: Some(row.file.0),
        state: StreamState::Paused.as_str().to_owned(),
        position_bytes: row.position,
        buffered_bytes: 0,
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

/// A place in a file, from what a user said.
struct Sought {
    byte_offset: u64,
    seconds: Option<f64>,
    duration: Option<f64>,
    method: &'static str,
}

fn place_of(wish: &SeekWish, length: u64) -> Result<Sought, Refusal> {
    let outside = |what: &str| Refusal::new(Code::OutOfRange, format!("{what}; the file has {length} bytes"));
    let duration = wish.duration;
    if duration.is_some_and(|duration| !duration.is_finite() || duration <= 0.0) {
        return Err(outside("\"duration\" is the film's length in seconds, and no film has none"));
    }
    let by_part = |part: f64| ((length as f64 * part) as u64).min(length.saturating_sub(1));
    match (wish.bytes, wish.fraction, wish.seconds) {
        (Some(bytes), None, None) if bytes < length => {
            let seconds = duration.map(|duration| duration * bytes as f64 / length as f64);
            Ok(Sought { byte_offset: bytes, seconds, duration, method: "exact" })
        }
        (Some(_), None, None) => Err(outside("\"bytes\" lies beyond the end")),
        (None, Some(part), None) if (0.0..=1.0).contains(&part) => {
            let seconds = duration.map(|duration| duration * part);
            Ok(Sought { byte_offset: by_part(part), seconds, duration, method: "linear" })
        }
        (None, Some(_), None) => Err(outside("\"fraction\" is a number from 0 to 1")),
        (None, None, Some(seconds)) => {
            let Some(duration) = duration else {
                let detail = "the film's length isn't known: say \"duration\" in seconds as well, or seek by \"fraction\" or \"bytes\"";
                return Err(Refusal::new(Code::OutOfRange, detail));
            };
            if !(0.0..=duration).contains(&seconds) {
                return Err(outside("\"seconds\" lies outside of the film"));
            }
            let byte_offset = by_part(seconds / duration);
            Ok(Sought { byte_offset, seconds: Some(seconds), duration: Some(duration), method: "linear" })
        }
        _ => {
            Err(Refusal::new(Code::BadRequest, "say exactly one of \"seconds\", \"bytes\" and \"fraction\""))
        }
    }
}

/// The file that is meant by its number, or the main one.
pub(super) fn choose(ready: &Ready, wish: Option<u32>) -> Result<FileIndex, Refusal> {
    let chosen = match wish {
        Some(index) => ready.layout.file(FileIndex(index)).filter(|file| !file.pad).map(|_| FileIndex(index)),
        None => media_choice::main_file(&ready.layout),
    };
    chosen.ok_or_else(|| {
        Refusal::new(
            Code::NoFile,
            "the torrent has no such file, or no video: say ?file= with one of its files' index",
        )
    })
}

pub(super) fn no_stream() -> Refusal {
    Refusal::new(Code::NoStream, "you have no session for this torrent: GET /api/stream/{hash} starts one")
}

/// What the URLs of a session are bound to.
pub(super) fn bound<'a>(user: &'a User, hash: &'a InfoHash) -> Bound<'a> {
    Bound { user: user.as_str(), info_hash: &hash.0 }
}

fn new_id() -> Result<SessionId, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Refusal::new(Code::Internal, format!("the system gives no random numbers: {error}"))
    })?;
    Ok(SessionId(bytes))
}
