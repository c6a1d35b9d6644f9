//! A look at everything, a few times a second: what streams are at, what is over, what has to be written down.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use afflux_metainfo::FileIndex;
use afflux_stream::session::{Look, Output, Step, Trouble};
use tracing::{debug, info};

use super::events::Event;
use super::retention::PURGE;
use super::sessions::Session;
use super::shapes::TroubleInfo;
use super::watching::NOTED;
use super::{Shared, buffer, unix_now};
use crate::engine::{Fault, Search, State, Status};

/// Between two looks: states follow what happens soon enough for people.
const LOOK: Duration = Duration::from_millis(250);
/// Between two looks at what changes slowly: torrents without users, expired sessions.
const SLOW_LOOK: Duration = Duration::from_secs(1);
/// How often is written down where sessions are, and what users were sent.
const SAVE: Duration = Duration::from_secs(15);

/// Looks until the service is gone or stopped.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut slow, mut save, mut noted) = (Instant::now(), Instant::now(), Instant::now());
    let mut purged: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade().filter(|shared| !shared.stop.is_cancelled()) else { return };
        let now = Instant::now();
        for session in shared.sessions.awake() {
            session.look(now);
            session.measure(&shared.metrics, now);
            shared.drain(&session);
        }
        shared.share_out();
        if now.duration_since(slow) >= SLOW_LOOK {
            slow = now;
            shared.look_slowly(now).await;
        }
        if now.duration_since(noted) >= NOTED {
            noted = now;
            shared.note_watching().await;
        }
        if now.duration_since(save) >= SAVE {
            save = now;
            shared.write_down().await;
        }
        // At once too: a daemon may never run for an hour.
        if purged.is_none_or(|at| now.duration_since(at) >= PURGE) {
            purged = Some(now);
            // Beside the looks: after a long time there may be much to forget.
            tokio::spawn(async move { shared.purge(unix_now()).await });
        }
    }
}

impl Session {
    /// Tells the session what its torrent looks like.
    pub(super) fn look(&self, now: Instant) {
        let status = self.torrent().status();
        let opened = self.opened();
        let mut state = self.state();
        let place = state.machine.place();
        let file = FileIndex(place.file);
        let (buffered_bytes, file_length, complete) = match &opened {
            Some(opened) => {
                let length = opened.ready.layout.file(file).map_or(0, |file| file.length);
                let ahead = buffer::ahead(&opened.ready, file, place.offset);
                (ahead, length, buffer::is_complete(&opened.ready, file))
            }
            None => (0, 0, false),
        };
        let trouble = self.trouble(&status, &state, buffered_bytes);
        state.follow(&status);
        state.learn_rate(file, file_length, now);
        let checking = status.state == State::Checking;
        let look = Look {
            metadata: opened.is_some(),
            checking,
            trouble,
            place,
            buffered_bytes,
            file_length,
            complete,
        };
        state.machine.handle_look(look, now);
        state.machine.handle_timeout(now);
    }

    /// What is wrong with the torrent, as far as it can be seen from here.
    fn trouble(
        &self,
        status: &Status,
        state: &super::sessions::State,
        buffered_bytes: u64,
    ) -> Option<Trouble> {
        if !self.account.has_quota() {
            return Some(Trouble::Quota);
        }
        // Another file's head is no trouble of this one.
        if state.file.is_some_and(|file| state.checks.refusal(file).is_some()) {
            return Some(Trouble::BlockedContent);
        }
        match status.fault {
            Some(Fault::DiskFull) => return Some(Trouble::DiskFull),
            Some(Fault::Disk) => return Some(Trouble::DiskError),
            Some(Fault::Torrent) => return Some(Trouble::Corrupt),
            None => {}
        }
        let snapshot = &status.snapshot;
        match snapshot.connected {
            _ if status.state == State::Seeding => None,
            0 if status.trackers.all_fail() => Some(Trouble::TrackerDown),
            0 => Some(Trouble::NoPeers),
            _ if snapshot.stuck_readers > 0 && buffered_bytes == 0 => Some(Trouble::SwarmIncomplete),
            _ => None,
        }
    }
}

impl Shared {
    /// Does what a session wants done.
    pub(super) fn drain(self: &Arc<Self>, session: &Arc<Session>) {
        loop {
            let Some(output) = session.state().machine.poll_output() else { return };
            match output {
                Output::StateChanged { from, to, trouble } => {
                    debug!(session = %session.id, from = from.as_str(), to = to.as_str(), "stream");
                    self.events.tell(
                        &session.user,
                        Event::Stream {
                            session_id: session.id.to_string(),
                            info_hash: session.info_hash.to_string(),
                            from: from.as_str().to_owned(),
                            to: to.as_str().to_owned(),
                            error: trouble.map(trouble_now),
                        },
                    );
                }
                Output::TroubleChanged(trouble) => {
                    let at = session.state().machine.state().as_str().to_owned();
                    self.events.tell(
                        &session.user,
                        Event::Stream {
                            session_id: session.id.to_string(),
                            info_hash: session.info_hash.to_string(),
                            from: at.clone(),
                            to: at,
                            error: Some(trouble_now(trouble)),
                        },
                    );
                }
                Output::Stalled { .. } => info!(session = %session.id, "a stream stalled"),
                Output::Recovered { after } => {
                    info!(session = %session.id, seconds = after.as_secs_f64(), "a stream goes on");
                }
                Output::Escalate(step) => {
                    debug!(session = %session.id, ?step, "looking for more peers");
                    let (torrent, search) = (session.torrent(), search_of(step));
                    tokio::spawn(async move { torrent.find_more_peers(search).await });
                }
                Output::Idle => {
                    let (shared, id) = (Arc::clone(self), session.id);
                    tokio::spawn(async move { shared.end_session(id, "idle").await });
                }
            }
        }
    }

    async fn look_slowly(self: &Arc<Self>, now: Instant) {
        self.look_at_downloads(now).await;
        self.torrents.look(now);
        let unix = unix_now();
        for session in self.sessions.awake() {
            if session.state().expires_at <= unix {
                self.end_session(session.id, "expired").await;
            } else if session.account.check_enabled().is_err() {
                self.end_session(session.id, "disabled").await;
            } else {
                session.looking(self);
                // Texts are read as they pass, whether or not somebody wants them yet: they may not pass again.
                if let Some(texts) = session.texts(self) {
                    texts.turn_to(session.state().machine.place().offset);
                }
            }
        }
        for (id, reason) in self.sessions.overslept(&self.session_config(), unix) {
            self.end_session(id, reason).await;
        }
        self.accounts.look();
        self.suspects.look(now);
        self.measure_traffic();
    }

    /// Writes down where sessions are and what users were sent.
    pub(super) async fn write_down(&self) {
        for session in self.sessions.awake() {
            self.save(&session).await;
        }
        self.note_watching().await;
        self.write_down_downloads().await;
        self.accounts.write_down().await;
    }
}

fn search_of(step: Step) -> Search {
    match step {
        Step::Announce => Search::Trackers,
        Step::Lookup => Search::Dht,
        Step::MorePeers => Search::Everywhere,
    }
}

fn trouble_now(trouble: Trouble) -> TroubleInfo {
    TroubleInfo { code: trouble.code().to_owned(), detail: trouble.to_string(), since: unix_now() }
}
