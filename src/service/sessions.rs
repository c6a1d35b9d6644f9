//! Sessions: one per user and torrent, any number of its files, as long as somebody watches.
//!
//! A session outlives the process: it is written down, sleeps until somebody asks for it, and its URLs go on to work.

mod asked;
mod playlist;
mod roll;
mod seeking;
mod told;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use afflux_metainfo::{FileIndex, InfoHash, InfoHashes};
use afflux_stream::magic::ContentPolicy;
use afflux_stream::pace::{Pace, PaceConfig};
use afflux_stream::session::{self, State as StreamState};
use afflux_stream::suspicion::Pattern;
use afflux_stream::token::{Bound, SessionId};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(super) use self::roll::Sessions;
use super::accounts::Account;
use super::analytics::{self, Grown};
use super::catalog::Named;
use super::content::Checks;
use super::events::Event;
use super::films::{Film, Looking};
use super::refusal::{Code, Refusal};
use super::texts::Reading;
use super::torrents::{Files, Purpose, Use};
use super::watching::Noted;
use super::{Shared, Start, beside, content, unix_now};
use crate::auth::{Identity, TokenId};
use crate::database::{SavedSession, Watched};
use crate::engine::torrent::Ready;
use crate::engine::{Torrent, Viewing, WarmUp};
use crate::media_choice;
use crate::metrics::SessionTally;
use crate::user::User;

/// Tokens that a session was watched with, of those it knows: a user's devices. The oldest is forgotten for a new one.
const TOKENS_MAX: usize = 16;

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
    /// What the file's container says.
    pub(super) looking: Option<Looking>,
    /// The texts inside of it, while they are read.
    pub(super) texts: Option<Arc<Reading>>,
    warm_up: Option<WarmUp>,
    /// The film's subtitles, fetched and kept.
    beside: Option<WarmUp>,
    sought: Option<WarmUp>,
    next_reader: u64,
    /// What the torrent received and wasted since the session woke, and the most peers since.
    pub(super) received: Grown,
    pub(super) wasted: Grown,
    pub(super) peers_max: u32,
    /// The tokens it was watched with, the newest last: who holds its URLs got them with one of these.
    tokens: Vec<TokenId>,
    /// What was noted of where its user is.
    pub(super) noted: Noted,
    /// What of its figures is in the metrics.
    pub(super) tally: SessionTally,
    /// When it was last written down, and whether something changed since.
    pub(super) saved: Option<Instant>,
}

/// What a session is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its URLs.
    Urls,
    /// A file's bytes, by the answer itself.
    Bytes,
}

/// A session whose torrent is open and turned to a file.
struct Started {
    session: Arc<Session>,
    opened: Opened,
    file: FileIndex,
    /// Where its user was in that file.
    at: Option<Watched>,
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
        // After a torrent moved, they are wanted where it is now.
        state.beside = state.file.map(|file| beside::fetch(&opened, file));
        state.opened = Some(opened.clone());
        drop(state);
        Ok(opened)
    }

    /// Whether a file is no film itself but goes with the one that the session is at: a subtitle, a cover.
    pub(super) fn is_beside(&self, opened: &Opened, file: FileIndex) -> bool {
        let plays = opened.ready.layout.file(file).is_some_and(content::plays);
        !plays && self.state().file.is_some_and(|film| film != file)
    }

    /// Turns to a file: it is fetched, its head is judged, and what players read first is there when they come. Of what goes beside
    /// the film only the head is judged, and the session stays with the film.
    pub(super) fn turn_to(&self, opened: &Opened, file: FileIndex, shared: &Arc<Shared>) {
        if self.state().file == Some(file) {
            return;
        }
        if self.is_beside(opened, file) {
            self.state().checks.begin(opened, file);
            return;
        }
        let looking = shared.look_at(opened, file, &self.ended);
        let mut state = self.state();
        if state.file == Some(file) {
            // Another request turned there meanwhile.
            return;
        }
        state.file = Some(file);
        state.rate = None;
        let bytes = shared.config.tuning.buffer_bytes;
        state.warm_up = Some(opened.viewing.warm_up(&opened.ready, file, bytes));
        state.beside = Some(beside::fetch(opened, file));
        state.checks.begin(opened, file);
        state.looking = Some(looking);
        state.texts = None;
        state.machine.turn_to(file.0, Instant::now());
        let length = opened.ready.layout.file(file).map_or(0, |file| file.length);
        state.pace.set_media(length, None, Instant::now());
        drop(state);
        self.using.need(Files::Some(vec![file]));
        shared.torrents.look(Instant::now());
    }

    /// The look at its film; begun anew if that was given up.
    pub(super) fn looking(&self, shared: &Arc<Shared>) -> Option<Looking> {
        let (opened, file, known) = {
            let state = self.state();
            (state.opened.clone(), state.file, state.looking.clone())
        };
        if known.as_ref().is_some_and(|known| !known.is_given_up()) {
            return known;
        }
        let (opened, file) = (opened?, file?);
        let looking = shared.look_at(&opened, file, &self.ended);
        let mut state = self.state();
        if state.file == Some(file) {
            state.looking = Some(looking.clone());
        }
        Some(looking)
    }

    pub(super) fn next_reader(&self) -> u64 {
        let mut state = self.state();
        // A player came: what was fetched ahead of it is its own business now.
        state.warm_up = None;
        state.next_reader += 1;
        state.next_reader
    }
}

impl State {
    /// The torrent as it is read now.
    pub(super) fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// What is known of the film by now.
    pub(super) fn film(&self) -> Option<Arc<Film>> {
        self.looking.as_ref()?.film()
    }

    /// The same if it is this file.
    pub(super) fn film_of(&self, file: FileIndex) -> Option<Arc<Film>> {
        self.film().filter(|_| self.file == Some(file))
    }

    /// Paces by the film's own rate as soon as it is known.
    pub(super) fn learn_rate(&mut self, file: FileIndex, file_length: u64, now: Instant) {
        if self.rate.is_some() {
            return;
        }
        if let Some(rate) = self.film_of(file).and_then(|film| film.rate()) {
            self.rate = Some(rate);
            self.pace.set_media(file_length, Some(rate), now);
        }
    }

    /// Somebody watches who came with this token.
    fn note_token(&mut self, token: TokenId) {
        self.tokens.retain(|known| *known != token);
        if self.tokens.len() >= TOKENS_MAX {
            self.tokens.remove(0);
        }
        self.tokens.push(token);
    }
}

impl Shared {
    /// A session whose torrent is open and turned to a file.
    async fn start(
        self: &Arc<Self>,
        who: &Identity,
        hashes: InfoHashes,
        start: &Start,
        wanted: Wanted,
    ) -> Result<Started, Refusal> {
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
        {
            let mut state = session.state();
            state.machine.touch(Instant::now());
            state.note_token(who.token);
        }
        // Noted first, asked then: whoever revokes it does it the other way round, so one of both ends this.
        if self.accounts.is_revoked(&who.token) {
            self.end_session(session.id, "revoked").await;
            return Err(no_stream());
        }
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
        let (file, at) = self.goes_on(&session, &opened.ready, start.file, wanted).await?;
        self.check_content(&session, &opened, file)?;
        session.state().expires_at = unix_now() + self.config.streams.url_ttl.as_secs();
        session.turn_to(&opened, file, self);
        self.save(&session).await;
        Ok(Started { session, opened, file, at })
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
            tokens: Vec::new(),
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
            looking: None,
            texts: None,
            warm_up: None,
            beside: None,
            sought: None,
            next_reader: 0,
            received: Grown::from(torrent.totals.payload_received),
            wasted: Grown::from(analytics::wasted(&torrent)),
            peers_max: 0,
            tokens: row.tokens.iter().copied().map(TokenId::from).collect(),
            noted: Noted::default(),
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
        let session = self.awake(id).await?;
        session.state().machine.touch(Instant::now());
        Ok(session)
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

    /// Revokes a token, and ends what was begun or joined with it: its holder has those sessions' URLs.
    pub(super) async fn revoke(&self, token: TokenId, expires: u64, reason: &str) -> Result<(), Refusal> {
        self.accounts.revoke(token, expires, reason).await?;
        for id in self.sessions.watched_with(&token) {
            self.end_session(id, "revoked").await;
        }
        Ok(())
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
            self.note_last_watched(&session).await;
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
                tokens: state.tokens.iter().map(|token| *token.as_bytes()).collect(),
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
