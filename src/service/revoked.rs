//! Which tokens count no more, and word of it for whoever was let in with one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::auth::TokenId;

/// The tokens that were revoked. How many there may be is the database's to say, which has them all.
#[derive(Debug)]
pub(super) struct Revoked {
    /// Until when each would have been good.
    until: Mutex<BTreeMap<TokenId, u64>>,
    /// Something was taken from somebody.
    taken: watch::Sender<()>,
}

impl Revoked {
    pub(super) fn new(tokens: impl IntoIterator<Item = (TokenId, u64)>) -> Self {
        Self { until: Mutex::new(tokens.into_iter().collect()), taken: watch::Sender::new(()) }
    }

    pub(super) fn contains(&self, token: &TokenId) -> bool {
        self.until().contains_key(token)
    }

    /// From now on, and at least until it expires.
    pub(super) fn add(&self, token: TokenId, expires: u64) {
        let mut tokens = self.until();
        let until = tokens.entry(token).or_insert(expires);
        *until = expires.max(*until);
        drop(tokens);
        self.tell();
    }

    /// Forgets those that expired before.
    pub(super) fn forget(&self, before: u64) {
        self.until().retain(|_, expires| *expires >= before);
    }

    /// Whoever is in looks again whether they still may be.
    pub(super) fn tell(&self) {
        self.taken.send_replace(());
    }

    /// Hears of every time that something was taken.
    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.taken.subscribe()
    }

    fn until(&self) -> MutexGuard<'_, BTreeMap<TokenId, u64>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
