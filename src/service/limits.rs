//! What the daemon is limited to, changeable while it runs; and whose turn it is where the link is short.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use afflux_metainfo::InfoHash;
use afflux_stream::session::State as StreamState;
use afflux_swarm::shaper::{Limits as Rates, Need};

use super::accounts::Account;
use super::refusal::{Code, Refusal};
use super::sessions::Session;
use super::shapes::{DaemonLimits, LimitChanges};
use super::{Shared, StreamingService};
use crate::engine::{Engine, Torrent, UserShare};
use crate::user::User;

/// Connections over all torrents that may be asked for, as on the command line.
const PEERS_MAX: u32 = 100_000;
/// Connections of a torrent that may be asked for, likewise.
const CONNS_MAX: u32 = 10_000;
/// Streams of all users together, likewise.
const STREAMS_MAX: u32 = 100_000;
/// More dials at once fill any router's table.
const HALF_OPEN_MAX: u32 = 1_000;
/// Requests queued for a peer: what the engine takes.
const REQUEST_QUEUE_MAX: u32 = 512;
/// A stream with less ahead than this many of the least read-ahead comes to the end of it soon.
const SOON_FACTOR: u64 = 8;

/// Limits that the service keeps itself, and users' places among the engine's rates.
#[derive(Debug)]
pub(super) struct Limits {
    max_streams: Mutex<Option<u32>>,
    turns: Mutex<Turns>,
}

/// Torrents, and for whom each is how urgently.
type Wishes = BTreeMap<InfoHash, (Torrent, BTreeMap<User, Need>)>;

/// Who has a share of the rates, and which torrents were told whom they are for.
#[derive(Debug, Default)]
struct Turns {
    users: BTreeMap<User, Share>,
    torrents: BTreeMap<InfoHash, Torrent>,
}

#[derive(Debug)]
struct Share {
    share: UserShare,
    limits: Rates,
}

impl Limits {
    pub(super) fn new(max_streams: Option<u32>) -> Self {
        Self { max_streams: Mutex::new(max_streams), turns: Mutex::default() }
    }

    /// Streams of all users together.
    pub(super) fn max_streams(&self) -> Option<u32> {
        *lock(&self.max_streams)
    }
}

impl StreamingService {
    /// What the daemon as a whole is limited to.
    pub fn limits(&self) -> DaemonLimits {
        let engine = self.shared.engine.limits();
        DaemonLimits {
            download_limit: engine.rates.download,
            upload_limit: engine.rates.upload,
            max_peers: engine.connections_max,
            max_conns: engine.torrent_connections_max,
            max_half_open: engine.half_open_max,
            max_served: engine.served_max,
            request_queue: engine.request_queue_max,
            max_streams: self.shared.limits.max_streams(),
        }
    }

    /// Limits the daemon otherwise, from now until it ends or reads its configuration again.
    ///
    /// # Errors
    /// A number out of its bounds; then nothing is changed.
    pub async fn change_limits(&self, changes: LimitChanges) -> Result<DaemonLimits, Refusal> {
        check(&changes)?;
        let engine = &self.shared.engine;
        let known = engine.limits().rates;
        engine.set_limits(Rates {
            download: changes.download_limit.unwrap_or(known.download).filter(|&rate| rate > 0),
            upload: changes.upload_limit.unwrap_or(known.upload).filter(|&rate| rate > 0),
        });
        if let Some(max) = changes.max_peers {
            engine.set_connections_max(max);
        }
        if let Some(max) = changes.max_conns {
            engine.set_torrent_connections_max(max).await;
        }
        if let Some(max) = changes.max_half_open {
            engine.set_half_open_max(max);
        }
        if let Some(max) = changes.max_served {
            engine.set_served_max(max);
        }
        if let Some(max) = changes.request_queue {
            engine.set_request_queue_max(max);
        }
        if let Some(max) = changes.max_streams {
            *lock(&self.shared.limits.max_streams) = max;
        }
        Ok(self.limits())
    }
}

fn check(changes: &LimitChanges) -> Result<(), Refusal> {
    let numbers = [
        ("maxPeers", changes.max_peers, 1, PEERS_MAX),
        ("maxConns", changes.max_conns, 1, CONNS_MAX),
        ("maxHalfOpen", changes.max_half_open, 1, HALF_OPEN_MAX),
        ("maxServed", changes.max_served, 0, PEERS_MAX),
        ("requestQueue", changes.request_queue, 1, REQUEST_QUEUE_MAX),
        ("maxStreams", changes.max_streams.flatten(), 0, STREAMS_MAX),
    ];
    for (name, value, least, most) in numbers {
        if value.is_some_and(|value| !(least..=most).contains(&value)) {
            let detail = format!("{name:?} is a number from {least} to {most}");
            return Err(Refusal::new(Code::BadRequest, detail));
        }
    }
    Ok(())
}

impl Shared {
    /// Says for whom each torrent is and how urgently, as it is now. To be called a few times a second.
    pub(super) fn share_out(&self) {
        let mut wishes = Wishes::new();
        let mut turns = lock(&self.limits.turns);
        let mut seen = BTreeSet::new();
        let mut wish = |user: &User, account: &Account, torrent: Torrent, need: Need| {
            turns.give_share(user, account, &self.engine);
            seen.insert(user.clone());
            let (_, users) = wishes.entry(torrent.info_hash()).or_insert_with(|| (torrent, BTreeMap::new()));
            let known = users.entry(user.clone()).or_insert(need);
            *known = (*known).min(need);
        };
        for session in self.sessions.awake() {
            let need = session.need(self.config.tuning.buffer_bytes);
            wish(&session.user, &session.account, session.torrent(), need);
        }
        for (kept, torrent) in self.running_downloads() {
            wish(kept.user(), kept.account(), torrent, Need::Background);
        }
        turns.users.retain(|user, _| seen.contains(user));
        turns.tell(wishes);
    }
}

impl Turns {
    fn give_share(&mut self, user: &User, account: &Account, engine: &Engine) {
        let known = account.limits();
        let limits = Rates { download: known.download_limit, upload: known.upload_limit };
        let share = self
            .users
            .entry(user.clone())
            .or_insert_with(|| Share { share: engine.add_user(limits), limits });
        if share.limits != limits {
            share.limits = limits;
            share.share.set_limits(limits);
        }
    }

    fn tell(&mut self, wishes: Wishes) {
        // One that ran on after its last user is for nobody in particular again.
        for (hash, torrent) in &self.torrents {
            if !wishes.contains_key(hash) {
                torrent.set_shares(&[]);
            }
        }
        self.torrents.clear();
        for (hash, (torrent, users)) in wishes {
            let known = users.iter().filter_map(|(user, &need)| Some((self.users.get(user)?, need)));
            let shares: Vec<_> = known.map(|(share, need)| (share.share.key(), need)).collect();
            torrent.set_shares(&shares);
            self.torrents.insert(hash, torrent);
        }
    }
}

impl Session {
    /// How urgently its viewer needs what comes next.
    fn need(&self, buffer_bytes: u64) -> Need {
        let state = self.state();
        let ahead = state.machine.buffered_bytes();
        match state.machine.state() {
            StreamState::Paused => Need::Idle,
            StreamState::Complete => Need::Full,
            StreamState::Stalled => Need::Stalling,
            _ if ahead < buffer_bytes => Need::Stalling,
            _ if ahead < buffer_bytes.saturating_mul(SOON_FACTOR) => Need::Soon,
            _ => Need::Full,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
