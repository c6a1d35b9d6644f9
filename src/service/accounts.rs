//! What users may: limits, quotas, who is disabled, which tokens were revoked.
//!
//! An account is a row of the database that is kept at hand; what users were sent is counted here and written down now and then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::events::Event;
use super::refusal::{Code, Refusal};
use super::revoked::Revoked;
use super::{ServiceConfig, unix_now};
use crate::auth::{Identity, TokenId};
use crate::database::limits::REVOCATION_GRACE_SECONDS;
use crate::database::{Database, Day, KnownUser, LimitsPatch, Revocation, UsageRow, UserLimits};
use crate::user::User;

/// Accounts at hand. Beyond it those that do nothing are forgotten; they are read again when their users come back.
const AT_HAND_MAX: usize = 10_000;
/// A user that is there is noted so often.
const SEEN_EVERY: u64 = 60;
/// Clients of a user that hear of changes at once: a few tabs and a script.
const LISTENERS_MAX: u64 = 8;
/// Listening ends after this in any case; browsers come back by themselves.
const LISTENING_MAX: u64 = 24 * 3600;
const DAY: u64 = 24 * 3600;

/// All users.
#[derive(Debug)]
pub(super) struct Accounts {
    database: Database,
    defaults: UserLimits,
    accounts: DashMap<User, Arc<Account>>,
    revoked: Arc<Revoked>,
}

/// One user.
#[derive(Debug)]
pub(super) struct Account {
    user: User,
    disabled: AtomicBool,
    /// What was set for this user alone.
    own: Mutex<UserLimits>,
    defaults: UserLimits,
    /// The row was read, and when the user was last noted to be there.
    is_read: AtomicBool,
    seen_at: AtomicU64,
    day: Mutex<Count>,
    listeners: AtomicU64,
}

/// What a user was sent today.
#[derive(Clone, Copy, Debug)]
struct Count {
    day: Day,
    bytes_sent: u64,
    /// Of it, what isn't written down yet.
    unwritten_bytes: u64,
    unwritten_requests: u64,
}

impl Accounts {
    /// With what is written down.
    pub(super) async fn load(database: &Database, config: &ServiceConfig) -> Result<Self, Refusal> {
        let revoked = database.revocations().all().await?;
        let revoked = revoked.into_iter().filter_map(|row| Some((row.token_id.parse().ok()?, row.expires)));
        let defaults = UserLimits {
            max_streams: Some(u64::from(config.streams_per_user)),
            download_limit: config.streams.user_download_limit,
            upload_limit: config.streams.user_upload_limit,
            daily_bytes: config.streams.daily_quota,
        };
        Ok(Self {
            database: database.clone(),
            defaults,
            accounts: DashMap::new(),
            revoked: Arc::new(Revoked::new(revoked)),
        })
    }

    /// A user's account, as far as it is at hand.
    pub(super) fn get(&self, user: &User) -> Arc<Account> {
        let make = || Arc::new(Account::new(user.clone(), self.defaults.clone()));
        Arc::clone(&self.accounts.entry(user.clone()).or_insert_with(make))
    }

    /// A user's account with what is written down of it.
    pub(super) async fn known(&self, user: &User) -> Arc<Account> {
        let account = self.get(user);
        self.read(&account).await;
        account
    }

    /// Notes that a user asks for something; refuses who is disabled.
    pub(super) async fn admit(&self, who: &Identity) -> Result<Arc<Account>, Refusal> {
        let account = self.known(&who.user).await;
        account.day().unwritten_requests += 1;
        self.note_seen(&account).await;
        account.check_enabled()?;
        Ok(account)
    }

    /// Reads an account when it is first asked for. Nobody else changes rows while the daemon runs. Without the database the
    /// defaults count.
    pub(super) async fn read(&self, account: &Account) {
        if account.is_read.load(Ordering::Acquire) {
            return;
        }
        let row = self.database.users().find(&account.user).await;
        let today = self.database.usage().of(&account.user, Day::of(unix_now())).await;
        match row.and_then(|row| today.map(|today| (row, today))) {
            Ok((row, today)) => account.take_up(row, today),
            Err(error) => warn!(%error, "an account can't be read"),
        }
    }

    /// Notes now and then that a user is there.
    async fn note_seen(&self, account: &Account) {
        let now = unix_now();
        let seen_at = account.seen_at.load(Ordering::Relaxed);
        if now >= seen_at + SEEN_EVERY {
            account.seen_at.store(now, Ordering::Relaxed);
            if let Err(error) = self.database.users().seen(&account.user, now).await {
                warn!(%error, "a user can't be written down");
            }
        }
    }

    /// Shuts a user out, or lets them in again.
    pub(super) async fn set_disabled(&self, user: &User, disabled: bool) -> Result<(), Refusal> {
        self.database.users().set_disabled(user, disabled, unix_now()).await?;
        self.get(user).disabled.store(disabled, Ordering::Relaxed);
        self.revoked.tell();
        Ok(())
    }

    /// Changes what a user is limited to.
    pub(super) async fn set_limits(&self, user: &User, patch: LimitsPatch) -> Result<(), Refusal> {
        let limits = self.database.users().set_limits(user, patch, unix_now()).await?;
        *self.get(user).own() = limits;
        Ok(())
    }

    /// Whether a token was revoked.
    pub(super) fn is_revoked(&self, token: &TokenId) -> bool {
        self.revoked.contains(token)
    }

    /// Revokes a token, for good.
    pub(super) async fn revoke(&self, token: TokenId, expires: u64, reason: &str) -> Result<(), Refusal> {
        let revocation = Revocation { token_id: token.to_string(), expires, reason: reason.to_owned() };
        self.database.revocations().revoke(revocation).await?;
        self.revoked.add(token, expires);
        Ok(())
    }

    /// Forgets revoked tokens that are of no use anyway. As long after their time as the database does.
    pub(super) fn forget_revoked(&self, now: u64) {
        self.revoked.forget(now.saturating_sub(REVOCATION_GRACE_SECONDS));
    }

    /// Forgets accounts that nobody uses.
    pub(super) fn look(&self) {
        if self.accounts.len() > AT_HAND_MAX {
            self.accounts.retain(|_, account| account.is_used() || account.day().is_unwritten());
        }
    }

    /// Writes down what users were sent.
    pub(super) async fn write_down(&self) {
        let rows: Vec<UsageRow> =
            self.at_hand().into_iter().filter_map(|account| account.take_unwritten()).collect();
        if rows.is_empty() {
            return;
        }
        if let Err(error) = self.database.usage().add(rows.clone()).await {
            warn!(%error, "what users were sent can't be written down; it is tried again");
            for row in rows {
                self.get(&row.user).give_back(&row);
            }
        }
    }

    /// How many are at hand.
    pub(super) fn count(&self) -> usize {
        self.accounts.len()
    }

    fn at_hand(&self) -> Vec<Arc<Account>> {
        self.accounts.iter().map(|account| Arc::clone(&account)).collect()
    }
}

impl Account {
    fn new(user: User, defaults: UserLimits) -> Self {
        Self {
            user,
            disabled: AtomicBool::new(false),
            own: Mutex::default(),
            defaults,
            is_read: AtomicBool::new(false),
            seen_at: AtomicU64::new(0),
            day: Mutex::new(Count::new(Day::of(unix_now()))),
            listeners: AtomicU64::new(0),
        }
    }

    /// Somebody whom nothing is known of.
    #[cfg(test)]
    pub(super) fn for_tests(name: &str) -> Self {
        Self::new(name.parse().expect("a name"), UserLimits::default())
    }

    /// Refuses who is disabled.
    pub(super) fn check_enabled(&self) -> Result<(), Refusal> {
        if self.disabled.load(Ordering::Relaxed) {
            return Err(Refusal::new(
                Code::UserDisabled,
                "this account is disabled: ask who runs the daemon",
            ));
        }
        Ok(())
    }

    /// Streams at once, also as the token has it.
    pub(super) fn streams_max(&self, who: &Identity) -> u32 {
        let own = self.limits().max_streams.unwrap_or(u64::from(u32::MAX));
        let own = u32::try_from(own).unwrap_or(u32::MAX);
        own.min(who.max_streams.unwrap_or(u32::MAX))
    }

    /// What counts for this user: its own limits, else everybody's.
    pub(super) fn limits(&self) -> UserLimits {
        let (own, defaults) = (self.own(), &self.defaults);
        UserLimits {
            max_streams: own.max_streams.or(defaults.max_streams),
            download_limit: own.download_limit.or(defaults.download_limit),
            upload_limit: own.upload_limit.or(defaults.upload_limit),
            daily_bytes: own.daily_bytes.or(defaults.daily_bytes),
        }
    }

    /// Refuses who was sent as much today as one may be.
    pub(super) fn check_quota(&self) -> Result<(), Refusal> {
        if self.has_quota() {
            return Ok(());
        }
        let tomorrow = Duration::from_secs(DAY - unix_now() % DAY);
        let detail = "the day's quota is used up: it begins anew at midnight (UTC)";
        Err(Refusal::new(Code::QuotaUsed, detail).retry_after(tomorrow))
    }

    /// Whether something of the day's quota is left.
    pub(super) fn has_quota(&self) -> bool {
        let Some(most) = self.limits().daily_bytes else { return true };
        self.day().bytes_sent < most
    }

    /// What the user's players were sent today.
    pub(super) fn bytes_today(&self) -> u64 {
        self.day().bytes_sent
    }

    /// Bytes went to a player of this user.
    pub(super) fn sent(&self, bytes: u64) {
        let mut day = self.day();
        day.bytes_sent += bytes;
        day.unwritten_bytes += bytes;
    }

    /// What was written down, today's bytes too. Once.
    fn take_up(&self, row: Option<KnownUser>, today: Option<UsageRow>) {
        if self.is_read.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(row) = row {
            self.disabled.store(row.disabled, Ordering::Relaxed);
            *self.own() = row.limits;
        }
        if let Some(today) = today {
            self.day().bytes_sent += today.bytes_sent;
        }
    }

    /// Somebody else than the registry has it: a session.
    fn is_used(self: &Arc<Self>) -> bool {
        // The registry's, and that of who asks.
        Arc::strong_count(self) > 2
    }

    fn take_unwritten(&self) -> Option<UsageRow> {
        let mut day = self.day();
        let row = UsageRow {
            user: self.user.clone(),
            day: day.day,
            bytes_sent: std::mem::take(&mut day.unwritten_bytes),
            bytes_swarm: 0,
            requests: std::mem::take(&mut day.unwritten_requests),
        };
        (row.bytes_sent > 0 || row.requests > 0).then_some(row)
    }

    fn give_back(&self, row: &UsageRow) {
        let mut day = self.day();
        day.unwritten_bytes += row.bytes_sent;
        day.unwritten_requests += row.requests;
    }

    /// Today's count. What the old day has unwritten goes to the new one: a few seconds of a stream.
    fn day(&self) -> MutexGuard<'_, Count> {
        let mut count = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let today = Day::of(unix_now());
        if count.day != today {
            *count = Count { day: today, bytes_sent: 0, ..*count };
        }
        count
    }

    fn own(&self) -> MutexGuard<'_, UserLimits> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who hear of changes.
#[derive(Debug)]
pub struct Listening {
    account: Arc<Account>,
    events: broadcast::Receiver<(User, Event)>,
    token: TokenId,
    revoked: Arc<Revoked>,
    taken: watch::Receiver<()>,
    /// When the token's time is over.
    until: Instant,
    /// The service ends.
    stop: CancellationToken,
}

impl Listening {
    pub(super) fn begin(
        accounts: &Accounts,
        who: &Identity,
        events: broadcast::Receiver<(User, Event)>,
        stop: CancellationToken,
    ) -> Result<Self, Refusal> {
        let account = accounts.get(&who.user);
        if account.listeners.fetch_add(1, Ordering::Relaxed) >= LISTENERS_MAX {
            account.listeners.fetch_sub(1, Ordering::Relaxed);
            let detail =
                format!("{LISTENERS_MAX} clients listen already, which is all a user may have: close one");
            return Err(Refusal::new(Code::RateLimited, detail));
        }
        let left = Duration::from_secs(who.expires.saturating_sub(unix_now()).min(LISTENING_MAX));
        let revoked = Arc::clone(&accounts.revoked);
        let (token, taken) = (who.token, revoked.listen());
        Ok(Self { account, events, token, revoked, taken, until: Instant::now() + left, stop })
    }

    /// Who listens.
    pub fn user(&self) -> &User {
        &self.account.user
    }

    /// The next change of anybody's; an error if some were missed, or it is over.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] if some were missed, [`RecvError::Closed`] when it is over.
    pub async fn next(&mut self) -> Result<(User, Event), RecvError> {
        while self.may_listen() {
            tokio::select! {
                _ = self.taken.changed() => {}
                event = self.events.recv() => return event,
                () = tokio::time::sleep_until(self.until) => break,
                () = self.stop.cancelled() => break,
            }
        }
        Err(RecvError::Closed)
    }

    fn may_listen(&self) -> bool {
        self.account.check_enabled().is_ok() && !self.revoked.contains(&self.token)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.account.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Count {
    fn new(day: Day) -> Self {
        Self { day, bytes_sent: 0, unwritten_bytes: 0, unwritten_requests: 0 }
    }

    fn is_unwritten(&self) -> bool {
        self.unwritten_bytes > 0 || self.unwritten_requests > 0
    }
}
