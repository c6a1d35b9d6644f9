//! What changed, told to whoever listens: each user hears of its own streams, torrents and downloads.

use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

use crate::user::User;

/// Events that a slow listener may be behind. More are left out, and it is told so: it asks for the states anew.
const BEHIND_MAX: usize = 256;

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event {
    /// A stream is at something else now.
    #[serde(rename_all = "camelCase")]
    Stream {
        /// The session.
        session_id: String,
        /// Its torrent.
        info_hash: String,
        /// What it was at.
        from: String,
        /// What it is at.
        to: String,
        /// What is wrong, if something is.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<super::shapes::TroubleInfo>,
    },
    /// A stream's session is over.
    #[serde(rename_all = "camelCase")]
    StreamEnded {
        /// The session.
        session_id: String,
        /// Its torrent.
        info_hash: String,
        /// Why: `deleted`, `idle`, `expired`, `revoked`, `disabled` or `failed`.
        reason: String,
    },
    /// This user does what no viewer does: from `warn` on it is told.
    Suspicious {
        /// What: the words of the analytics.
        pattern: String,
        /// How much of it, for people.
        detail: String,
        /// What follows: `warn`, `throttle`, `refuse` or `revoke`.
        action: &'static str,
    },
    /// A download is at something else now.
    #[serde(rename_all = "camelCase")]
    Download {
        /// Its torrent.
        info_hash: String,
        /// What it is at.
        state: String,
    },
}

impl Event {
    /// The name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stream { .. } => "stream",
            Self::StreamEnded { .. } => "streamEnded",
            Self::Suspicious { .. } => "suspicious",
            Self::Download { .. } => "download",
        }
    }
}

/// The way from who changes things to who listens.
#[derive(Clone, Debug)]
pub(crate) struct Events(broadcast::Sender<(User, Event)>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND_MAX))
    }
}

impl Events {
    /// Tells a user's listeners; without any it is forgotten.
    pub(crate) fn tell(&self, user: &User, event: Event) {
        let _ = self.0.send((user.clone(), event));
    }

    /// All events from now on, of all users.
    pub(crate) fn listen(&self) -> broadcast::Receiver<(User, Event)> {
        self.0.subscribe()
    }
}
