//! What the database forgets: everything that has an end is thrown away here, and nowhere else.

use std::time::Duration;

use tracing::{debug, warn};

use super::Shared;
use crate::database::{DatabaseError, Day};

/// Between two purges. What is over is no longer used anyway; this only gives back its room.
pub(super) const PURGE: Duration = Duration::from_secs(3600);

impl Shared {
    /// Forgets what is over at a time (in seconds since 1970): analytics and what was watched beyond their retention, sessions and revoked tokens that
    /// have expired.
    pub(super) async fn purge(&self, now: u64) {
        let oldest = now.saturating_sub(self.config.streams.analytics_retention.as_secs());
        // Today's rows are in use: quotas are held against them.
        let (day, database) = (Day::of(oldest), &self.database);
        told("views", database.views().purge(oldest).await);
        told("watching", database.watching().purge(oldest).await);
        told("usage", database.usage().purge(day).await);
        told("sessions", database.sessions().purge(now).await);
        told("revocations", database.revocations().purge(now).await);
        told("suspicions", database.suspicions().purge(day).await);
        self.accounts.forget_revoked(now);
    }
}

fn told(what: &'static str, purged: Result<usize, DatabaseError>) {
    match purged {
        // At the daemon's end the next start goes on with it.
        Ok(0) | Err(DatabaseError::Closed) => {}
        Ok(rows) => debug!(what, rows, "forgotten"),
        Err(error) => warn!(what, %error, "what is over can't be forgotten; it is tried again in an hour"),
    }
}
