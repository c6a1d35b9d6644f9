//! What who runs the daemon does about users.

use std::net::IpAddr;

use super::accounts::Listening;
use super::refusal::{Code, Refusal};
use super::shapes::{UserAccount, UserChanges};
use super::{Page, StreamingService, unix_now};
use crate::auth::{Identity, TokenId};
use crate::database::{KnownUser, LimitsPatch};
use crate::user::User;

/// A revoked token of which it isn't known when it expires is remembered for so long: no token of ours lives longer.
const TOKEN_LIFE_MAX: u64 = 366 * 24 * 3600;

impl StreamingService {
    /// Notes that a user asks for something; refuses who is disabled.
    ///
    /// # Errors
    /// The account is disabled, or the token is used from too many networks.
    pub async fn admit(&self, who: &Identity, from: Option<IpAddr>) -> Result<(), Refusal> {
        self.shared.accounts.admit(who).await?;
        self.shared.note_token_used(who, from).await
    }

    /// Whether a token was revoked.
    pub fn is_revoked(&self, token: &TokenId) -> bool {
        self.shared.accounts.is_revoked(token)
    }

    /// A place among those who hear of changes, until the token's time is over.
    ///
    /// # Errors
    /// The user has as many as it may have.
    pub fn begin_listening(&self, who: &Identity) -> Result<Listening, Refusal> {
        Listening::begin(&self.shared.accounts, who, self.shared.events.listen(), self.shared.stop.clone())
    }

    /// Users by name, those after `after`.
    ///
    /// # Errors
    /// A limit of none or of too many, or the database can't be read.
    pub async fn users(&self, after: Option<&User>, limit: Option<u32>) -> Result<Vec<UserAccount>, Refusal> {
        let limit = Page::size(limit)?;
        let rows = self.shared.database.users().list(after, limit).await?;
        let mut users = Vec::with_capacity(rows.len());
        for row in rows {
            users.push(self.account(row).await);
        }
        Ok(users)
    }

    /// Disables or enables a user, or changes their limits. Who is disabled loses their streams at once.
    ///
    /// # Errors
    /// The database can't be written.
    pub async fn change_user(&self, user: &User, changes: UserChanges) -> Result<UserAccount, Refusal> {
        let accounts = &self.shared.accounts;
        let patch = LimitsPatch {
            max_streams: changes.max_streams,
            download_limit: changes.download_limit,
            upload_limit: changes.upload_limit,
            daily_bytes: changes.daily_bytes,
        };
        if patch != LimitsPatch::default() {
            accounts.set_limits(user, patch).await?;
        }
        if let Some(disabled) = changes.disabled {
            accounts.set_disabled(user, disabled).await?;
            if disabled {
                self.shared.end_all_of(user, "disabled").await;
            }
        }
        let row = self.shared.database.users().find(user).await?;
        let row = row.ok_or_else(|| Refusal::new(Code::NoUser, format!("nobody is called {user}")))?;
        Ok(self.account(row).await)
    }

    /// Revokes a token for good. Sessions that were watched with it end, and whoever listens with it.
    ///
    /// # Errors
    /// The database can't be written, or holds as many as it may.
    pub async fn revoke(&self, token: TokenId, expires: Option<u64>, reason: &str) -> Result<(), Refusal> {
        let expires = expires.unwrap_or_else(|| unix_now() + TOKEN_LIFE_MAX);
        self.shared.revoke(token, expires, reason).await
    }

    async fn account(&self, row: KnownUser) -> UserAccount {
        let account = self.shared.accounts.known(&row.user).await;
        UserAccount {
            name: row.user.to_string(),
            disabled: row.disabled,
            max_streams: row.limits.max_streams,
            download_limit: row.limits.download_limit,
            upload_limit: row.limits.upload_limit,
            daily_bytes: row.limits.daily_bytes,
            bytes_today: account.bytes_today(),
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}
