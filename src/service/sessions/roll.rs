//! Who has which session, awake or asleep; those that ended are remembered for a while.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use afflux_metainfo::InfoHash;
use afflux_stream::session;
use afflux_stream::token::SessionId;
use dashmap::DashMap;

use super::Session;
use crate::auth::TokenId;
use crate::database::SavedSession;
use crate::service::refusal::{Code, Refusal};
use crate::service::unix_now;
use crate::user::User;

/// Ended sessions that are remembered, so that their URLs say that they are over and not that they never were: a few hundred KiB.
const ENDED_MAX: usize = 4096;

/// All sessions, awake and asleep.
#[derive(Debug, Default)]
pub(in crate::service) struct Sessions {
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

impl Sessions {
    fn roll(&self) -> MutexGuard<'_, Roll> {
        self.roll.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a user for a torrent.
    pub(in crate::service) fn find(&self, user: &User, hash: InfoHash) -> Option<SessionId> {
        self.roll().by_pair.get(&(user.clone(), hash)).copied()
    }

    /// A session that is awake.
    pub(in crate::service) fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        self.awake.get(&id).map(|session| Arc::clone(&session))
    }

    /// All sessions that are awake.
    pub(in crate::service) fn awake(&self) -> Vec<Arc<Session>> {
        self.awake.iter().map(|session| Arc::clone(&session)).collect()
    }

    /// What was written down of a session that is asleep.
    pub(in crate::service) fn asleep(&self, id: SessionId) -> Option<SavedSession> {
        self.roll().asleep.get(&id).cloned()
    }

    /// Whether somebody other than this user has a session for a torrent.
    pub(in crate::service) fn others_watch(&self, user: &User, hash: InfoHash) -> bool {
        self.roll().by_pair.keys().any(|(other, watched)| *watched == hash && other != user)
    }

    /// All sessions of a user.
    pub(in crate::service) fn of(&self, user: &User) -> Vec<SessionId> {
        let roll = self.roll();
        roll.by_pair.iter().filter(|((other, _), _)| other == user).map(|(_, &id)| id).collect()
    }

    /// All sessions that were begun or joined with a token.
    pub(in crate::service) fn watched_with(&self, token: &TokenId) -> Vec<SessionId> {
        let awake = self.awake().into_iter().filter(|session| session.state().tokens.contains(token));
        let mut ids: Vec<_> = awake.map(|session| session.id).collect();
        let asleep = self.all_asleep().into_iter().filter(|row| row.tokens.contains(token.as_bytes()));
        ids.extend(asleep.map(|row| row.id));
        ids
    }

    /// Whose a session is or was: what its tokens are bound to.
    pub(in crate::service) fn whose(&self, id: SessionId) -> Option<(User, InfoHash)> {
        if let Some(session) = self.get(id) {
            return Some((session.user.clone(), session.info_hash));
        }
        let roll = self.roll();
        let asleep = roll.asleep.get(&id).map(|row| (row.user.clone(), row.info_hash));
        let ended = || roll.ended.iter().rev().find(|(ended, ..)| *ended == id);
        asleep.or_else(|| ended().map(|(_, user, hash)| (user.clone(), *hash)))
    }

    /// Sessions asleep whose time is over, and which time that is.
    pub(in crate::service) fn overslept(
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
    pub(super) fn all_asleep(&self) -> Vec<SavedSession> {
        self.roll().asleep.values().cloned().collect()
    }

    /// How many sessions there are.
    pub(in crate::service) fn count(&self) -> usize {
        self.roll().by_pair.len()
    }

    pub(super) fn check(&self, user: &User, own_max: u32, all_max: Option<u32>) -> Result<(), Refusal> {
        self.roll().check(user, own_max, all_max)
    }

    /// Adds a session, unless the user got one for the same torrent or too many meanwhile.
    pub(super) fn insert(
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
    pub(super) fn wake(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let mut roll = self.roll();
        if roll.asleep.remove(&session.id).is_none() {
            return self.get(session.id);
        }
        self.awake.insert(session.id, Arc::clone(&session));
        Some(session)
    }

    pub(super) fn lay_down(&self, row: SavedSession) {
        let mut roll = self.roll();
        roll.by_pair.insert((row.user.clone(), row.info_hash), row.id);
        roll.asleep_from = unix_now();
        roll.asleep.insert(row.id, row);
    }

    /// Forgets a session; the answer is whose it was, and itself if it was awake.
    pub(super) fn remove(&self, id: SessionId) -> Option<(User, InfoHash, Option<Arc<Session>>)> {
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
