//! Who behaves as no viewer does, and what follows: `stream::suspicion` counts, the settings say how much is too much and what is done.
//!
//! What users do with the API (adding torrents, sending what is none, starting streams) is held against the user; how a stream is read,
//! against its session; where a token is used from, against the token or the session whose URL it is in. What follows, from least to
//! most:
//!
//! | | |
//! |---|---|
//! | `count` | it is written down and told in the figures |
//! | `warn` | it is also logged, and told to who listens to the events |
//! | `throttle` | such requests are refused (429) until the next one would be in time; who copies a film is sent it at a film's pace |
//! | `refuse` | such requests are refused (429) for a minute where the threshold is about seconds, else for ten |
//! | `revoke` | the session ends, or the token counts no more |

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use afflux_stream::limits::SUSPICION_SESSIONS_MAX;
use afflux_stream::session::Place;
use afflux_stream::suspicion::{self, Pattern, Sign, SuspicionConfig, Suspicions};
use afflux_stream::token::SessionId;
use tracing::warn;

use super::events::Event;
use super::refusal::{Code, Refusal};
use super::sessions::{Session, no_stream};
use super::{Shared, unix_now};
use crate::auth::{Identity, TokenId};
use crate::config::service::{Action, SuspiciousSettings, Threshold};
use crate::user::User;

/// Refusals of what happens within seconds.
const REFUSED_SOON: Duration = Duration::from_secs(60);
/// Refusals of what takes minutes and hours.
const REFUSED_LONG: Duration = Duration::from_secs(600);
/// What waits for less comes again before it was told to.
const THROTTLED_MIN: Duration = Duration::from_secs(1);

/// All counts, and who is held back because of them.
#[derive(Debug)]
pub(super) struct Suspects {
    settings: SuspiciousSettings,
    /// A leaf lock.
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    machine: Suspicions,
    /// Sessions and tokens of which requests are refused. Users are remembered by the machine itself.
    held: BTreeMap<SessionId, Hold>,
}

/// For what requests are refused, and until when.
#[derive(Clone, Copy, Debug)]
struct Hold {
    pattern: Pattern,
    until: Instant,
}

/// Who did it, and what is revoked if it comes to that.
#[derive(Clone, Copy, Debug)]
enum Culprit<'a> {
    Token(&'a Identity),
    Session(&'a Session),
}

impl Suspects {
    pub(super) fn new(settings: SuspiciousSettings, now: Instant) -> Self {
        let machine = Suspicions::new(counted(&settings), now);
        Self { settings, counts: Mutex::new(Counts { machine, held: BTreeMap::new() }) }
    }

    /// Forgets a session that has ended.
    pub(super) fn forget(&self, session: SessionId) {
        let mut counts = self.counts();
        counts.machine.forget_session(session);
        counts.held.remove(&session);
    }

    /// Forgets who isn't held back any more.
    pub(super) fn look(&self, now: Instant) {
        self.counts().held.retain(|_, hold| now < hold.until);
    }

    /// Refuses what this user is held back from.
    fn check_user(&self, user: &User, pattern: Pattern, now: Instant) -> Result<(), Refusal> {
        match self.counts().machine.refused_until(user.as_str(), pattern, now) {
            Some(until) => Err(refusal(pattern, until - now)),
            None => Ok(()),
        }
    }

    /// Refuses what a session or token is held back from.
    fn check(&self, key: SessionId, now: Instant) -> Result<(), Refusal> {
        match self.counts().held.get(&key) {
            Some(hold) if now < hold.until => Err(refusal(hold.pattern, hold.until - now)),
            _ => Ok(()),
        }
    }

    /// Holds a session or token back, if the settings say so. One too many is let go on: it is written down all the same.
    fn hold(&self, key: SessionId, pattern: Pattern, now: Instant) {
        let Some(span) = held_for(pattern, self.settings.of(pattern)) else { return };
        let mut counts = self.counts();
        if counts.held.len() < SUSPICION_SESSIONS_MAX {
            counts.held.insert(key, Hold { pattern, until: now + span });
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Refuses what this user does too much of.
    pub(super) fn check_habits(&self, who: &Identity, pattern: Pattern) -> Result<(), Refusal> {
        self.suspects.check_user(&who.user, pattern, Instant::now())
    }

    /// A user added a torrent that it hadn't before.
    pub(super) async fn note_torrent_added(&self, who: &Identity) {
        let sign = self.suspects.counts().machine.handle_torrent_added(who.user.as_str(), Instant::now());
        self.follow(sign, Culprit::Token(who)).await;
    }

    /// A user sent what is no torrent.
    pub(super) async fn note_parse_failure(&self, who: &Identity) {
        let sign = self.suspects.counts().machine.handle_parse_failure(who.user.as_str(), Instant::now());
        self.follow(sign, Culprit::Token(who)).await;
    }

    /// A user started a stream.
    pub(super) async fn note_stream_start(&self, who: &Identity) {
        let sign = self.suspects.counts().machine.handle_stream_start(who.user.as_str(), Instant::now());
        self.follow(sign, Culprit::Token(who)).await;
    }

    /// Somebody asks with a token: refuses one that is used from everywhere.
    pub(super) async fn note_token_used(&self, who: &Identity, from: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(from) = from.filter(|_| who.token != TokenId::NONE) else { return Ok(()) };
        let (key, now) = (key_of(&who.token), Instant::now());
        // Before it is counted: what is refused is no sign of anything new.
        self.suspects.check(key, now)?;
        let sign = self.suspects.counts().machine.handle_token_used(key, from, now);
        if let Some(sign) = sign {
            self.follow(Some(sign), Culprit::Token(who)).await;
            self.suspects.hold(key, sign.pattern, now);
            if self.accounts.is_revoked(&who.token) {
                let detail = "this token is used from too many networks and was revoked: get a new one";
                return Err(Refusal::new(Code::Suspicious, detail));
            }
        }
        self.suspects.check(key, now)
    }

    /// Media of a session is asked for, by a URL of it if the address is told: refuses floods, and URLs that were passed on.
    pub(super) async fn note_media_request(
        &self,
        session: &Session,
        from: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let now = Instant::now();
        self.suspects.check(session.id, now)?;
        let signs = {
            let machine = &mut self.suspects.counts().machine;
            let networks = from.and_then(|from| machine.handle_token_used(session.id, from, now));
            [machine.handle_range_request(session.id, now), networks]
        };
        for sign in signs.into_iter().flatten() {
            self.follow(Some(sign), Culprit::Session(session)).await;
            self.suspects.hold(session.id, sign.pattern, now);
        }
        if session.ended.is_cancelled() {
            return Err(no_stream());
        }
        self.suspects.check(session.id, now)
    }

    /// A session was sent some of its film, `rate` bytes of which are a second.
    pub(super) fn note_read(self: &Arc<Self>, session: &Arc<Session>, place: Place, bytes: u64, rate: u64) {
        let now = Instant::now();
        let sign = self.suspects.counts().machine.handle_read(session.id, place, bytes, rate, now);
        let Some(sign) = sign else { return };
        match self.suspects.settings.of(sign.pattern).action {
            Action::Throttle => {
                let mut state = session.state();
                let most = viewers_rate(rate).min(state.max_rate.unwrap_or(u64::MAX));
                state.pace.set_max_rate(Some(most), now);
            }
            _ => self.suspects.hold(session.id, sign.pattern, now),
        }
        let (shared, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move { shared.follow(Some(sign), Culprit::Session(&session)).await });
    }

    /// Writes a sign down and tells of it; revokes, if that is what follows.
    async fn follow(&self, sign: Option<Sign>, culprit: Culprit<'_>) {
        let Some(sign) = sign else { return };
        let threshold = self.suspects.settings.of(sign.pattern);
        let (user, code, detail) = (culprit.user(), sign.pattern.code(), sentence(sign, threshold));
        self.metrics.suspected(sign.pattern);
        if threshold.action >= Action::Warn {
            warn!(%user, pattern = code, detail, "this looks like abuse");
            let action = threshold.action.as_str();
            let pattern = code.to_owned();
            self.events.tell(user, Event::Suspicious { pattern, detail: detail.clone(), action });
        }
        if let Err(error) = self.database.suspicions().add(user, code, &detail, unix_now()).await {
            warn!(%error, "what looks like abuse can't be written down");
        }
        if threshold.action == Action::Revoke {
            self.revoke_from(culprit, &detail).await;
        }
    }

    async fn revoke_from(&self, culprit: Culprit<'_>, detail: &str) {
        match culprit {
            Culprit::Session(session) => self.end_session(session.id, "revoked").await,
            // Nothing to revoke: whoever starts a daemon without accounts can't ask for it.
            Culprit::Token(who) if who.token == TokenId::NONE => {}
            Culprit::Token(who) => {
                if let Err(error) = self.revoke(who.token, who.expires, detail).await {
                    warn!(%error, user = %who.user, "a token can't be revoked");
                }
            }
        }
    }
}

impl Culprit<'_> {
    fn user(&self) -> &User {
        match self {
            Self::Token(who) => &who.user,
            Self::Session(session) => &session.user,
        }
    }
}

/// A token among sessions: half of a SHA-256 meets no session's random id.
fn key_of(token: &TokenId) -> SessionId {
    let mut key = [0; 16];
    key.copy_from_slice(&token.as_bytes()[..16]);
    SessionId(key)
}

/// What somebody is sent who copies rather than watches: as much more than the film needs as any player gets.
fn viewers_rate(rate: u64) -> u64 {
    rate.saturating_mul(3) / 2
}

/// For how long requests are refused.
fn held_for(pattern: Pattern, threshold: Threshold) -> Option<Duration> {
    match threshold.action {
        Action::Count | Action::Warn | Action::Revoke => None,
        Action::Throttle => Some((pattern.period() / threshold.most.unwrap_or(1).max(1)).max(THROTTLED_MIN)),
        Action::Refuse if pattern.period() <= REFUSED_SOON => Some(REFUSED_SOON),
        Action::Refuse => Some(REFUSED_LONG),
    }
}

fn refusal(pattern: Pattern, wait: Duration) -> Refusal {
    let detail = match pattern {
        Pattern::TorrentsAdded => "you have added many torrents: wait before you add more",
        Pattern::ParseFailures => "much of what you sent is no torrent: wait before you send more",
        Pattern::StreamStarts => "you have started many streams: wait before you start more",
        Pattern::RangeFlood | Pattern::BulkRead => {
            "this stream is read as no player reads: wait before you go on"
        }
        Pattern::ManyNetworks => "this is used from many networks: wait before you go on",
    };
    Refusal::new(Code::Suspicious, detail).retry_after(wait)
}

/// What there was too much of, for people.
fn sentence(sign: Sign, threshold: Threshold) -> String {
    let what = match sign.pattern {
        Pattern::TorrentsAdded => "torrents added within an hour",
        Pattern::ParseFailures => "inputs within an hour that are no torrents",
        Pattern::StreamStarts => "streams started within a minute",
        Pattern::RangeFlood => "requests within a second for one stream",
        Pattern::ManyNetworks => "networks within ten minutes with one token",
        Pattern::BulkRead => "times as fast as the film plays, for ten minutes",
    };
    let (count, most) = (sign.count, threshold.most.unwrap_or(u32::MAX));
    format!("{count} {what}, where {most} are fine: {}", threshold.action.as_str())
}

/// The settings as the machine takes them. What is off has a threshold that nobody reaches.
fn counted(settings: &SuspiciousSettings) -> SuspicionConfig {
    let counted = |pattern: Pattern| {
        let threshold = settings.of(pattern);
        let action = match (threshold.action, held_for(pattern, threshold)) {
            (_, Some(period)) => suspicion::Action::Refuse { period },
            (Action::Count, _) => suspicion::Action::Count,
            (Action::Revoke, _) => suspicion::Action::Revoke,
            _ => suspicion::Action::Warn,
        };
        suspicion::Threshold { most: threshold.most.unwrap_or(u32::MAX), action }
    };
    SuspicionConfig {
        torrents_added: counted(Pattern::TorrentsAdded),
        parse_failures: counted(Pattern::ParseFailures),
        stream_starts: counted(Pattern::StreamStarts),
        range_requests: counted(Pattern::RangeFlood),
        networks: counted(Pattern::ManyNetworks),
        read_speed: counted(Pattern::BulkRead),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> SuspiciousSettings {
        let threshold: Threshold = text.parse().unwrap();
        SuspiciousSettings {
            torrents_per_hour: threshold,
            parse_failures_per_hour: threshold,
            stream_starts_per_minute: threshold,
            ranges_per_second: threshold,
            networks_per_token: threshold,
            bulk_factor: threshold,
        }
    }

    #[test]
    fn throttling_slows_down_to_the_threshold_and_refusing_lasts() {
        let held = |pattern, text: &str| held_for(pattern, text.parse().unwrap()).map(|span| span.as_secs());
        assert_eq!(held(Pattern::StreamStarts, "10:throttle"), Some(6));
        assert_eq!(held(Pattern::TorrentsAdded, "20:throttle"), Some(180));
        assert_eq!(held(Pattern::RangeFlood, "60:throttle"), Some(1));
        assert_eq!(held(Pattern::RangeFlood, "60:refuse"), Some(60));
        assert_eq!(held(Pattern::ParseFailures, "10:refuse"), Some(600));
        for mild in ["10:count", "10:warn", "10:revoke"] {
            assert_eq!(held(Pattern::StreamStarts, mild), None);
        }
    }

    #[test]
    fn who_starts_too_much_is_held_back_for_its_time() {
        let now = Instant::now();
        let suspects = Suspects::new(settings("2:throttle"), now);
        let (anna, bob): (User, User) = ("anna".parse().unwrap(), "bob".parse().unwrap());
        let start = || suspects.counts().machine.handle_stream_start(anna.as_str(), now);
        assert_eq!((start(), start()), (None, None));
        suspects.check_user(&anna, Pattern::StreamStarts, now).unwrap();
        assert_eq!(start().unwrap().count, 3);
        let refused = suspects.check_user(&anna, Pattern::StreamStarts, now).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::Suspicious, Some(Duration::from_secs(30))));
        suspects.check_user(&anna, Pattern::TorrentsAdded, now).unwrap();
        suspects.check_user(&bob, Pattern::StreamStarts, now).unwrap();
        suspects.check_user(&anna, Pattern::StreamStarts, now + Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn what_is_off_is_never_told() {
        let now = Instant::now();
        let suspects = Suspects::new(settings("0"), now);
        let mut counts = suspects.counts();
        for n in 0..1000u32 {
            assert_eq!(counts.machine.handle_parse_failure("anna", now), None);
            assert_eq!(
                counts.machine.handle_token_used(SessionId([1; 16]), n.to_be_bytes().into(), now),
                None
            );
        }
    }

    #[test]
    fn a_held_session_is_let_go_on_in_time() {
        let now = Instant::now();
        let suspects = Suspects::new(settings("5:refuse"), now);
        let key = key_of(&TokenId::of_jti("key", "1"));
        suspects.hold(key, Pattern::RangeFlood, now);
        assert_eq!(suspects.check(key, now).unwrap_err().retry_after, Some(REFUSED_SOON));
        assert!(suspects.check(SessionId([0; 16]), now).is_ok());
        let later = now + REFUSED_SOON;
        assert!(suspects.check(key, later).is_ok());
        suspects.look(later);
        assert!(suspects.counts().held.is_empty());
    }
}
