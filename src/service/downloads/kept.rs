//! One download: what its user wants, what it has reached, what it is at. Not here: doing anything about it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use afflux_metainfo::InfoHash;
use afflux_swarm::shaper::Limits;

use super::content::Content;
use super::shapes::{DownloadState, DownloadStatus};
use crate::config::service::DownloadSettings;
use crate::database::Download;
use crate::engine::{Fault, State as TorrentState, Status, Torrent};
use crate::service::accounts::Account;
use crate::service::refusal::{Code, Refusal};
use crate::service::shapes::{CheckedCount, PeerCount, TroubleInfo};
use crate::service::torrents::{Files, Keeping, Use, Wish};
use crate::service::unix_now;
use crate::user::User;

/// What can't begin for a reason that may pass is tried again after this.
const RETRY: Duration = Duration::from_secs(30);
/// A download that runs for so long without getting anything lets those go first that had fewer such turns. Long enough for a
/// magnet whose swarm is small, and for a peer that comes back.
const BARREN_TURN: Duration = Duration::from_secs(10 * 60);

/// A download while the service runs.
#[derive(Debug)]
pub(in crate::service) struct Kept {
    pub(super) user: User,
    pub(super) info_hash: InfoHash,
    pub(super) added_at: u64,
    pub(super) account: Arc<Account>,
    /// Held while it is changed, removed or written down, so that none of these undoes another.
    pub(super) changing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// What changes of it; a leaf lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) row: Download,
    pub(super) name: String,
    /// What is known of its content; nothing before its metadata.
    pub(super) content: Option<Content>,
    pub(super) run: Option<Run>,
    pub(super) trouble: Option<Trouble>,
    /// It was removed, and nothing is done about it any more.
    pub(super) is_removed: bool,
    /// Turns of [`BARREN_TURN`] in which nothing came, since something did.
    pub(super) barren_turns: u32,
    /// When this turn began, while it runs.
    pub(super) turn_began: Option<Instant>,
    /// How long it seeded, more exactly than it is written down.
    pub(super) seeded: Duration,
    /// What its user was told last that it is at.
    pub(super) told: Option<(DownloadState, Option<String>)>,
    /// Its figures changed since they were written down.
    pub(super) is_unsaved: bool,
}

/// A download's torrent while it runs.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) using: Use,
    pub(super) begun: Instant,
    /// The torrent as it ran at the last look, what it had sent by then, and how much of it was there.
    pub(super) torrent: Torrent,
    pub(super) sent_before: u64,
    pub(super) counted: Option<(u64, u64)>,
    pub(super) looked_at: Instant,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) code: &'static str,
    pub(super) detail: String,
    /// In seconds since 1970.
    since: u64,
    pub(super) after: After,
}

/// How a trouble may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It goes on all the same.
    Meanwhile,
    /// It has stopped, and goes on by itself.
    Passing,
    /// It couldn't begin, and is begun again then.
    Retry(Instant),
    /// Somebody has to do something, and say that it is to go on.
    Never,
}

impl Kept {
    pub(super) fn new(row: Download, name: String, account: Arc<Account>) -> Self {
        Self {
            user: row.user.clone(),
            info_hash: row.info_hash,
            added_at: row.added_at,
            account,
            changing: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                name,
                content: None,
                run: None,
                trouble: None,
                is_removed: false,
                barren_turns: 0,
                turn_began: None,
                seeded: Duration::from_secs(row.progress.seeded_seconds),
                told: None,
                is_unsaved: false,
                row,
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its torrent, if it runs.
    pub(in crate::service) fn torrent(&self) -> Option<Torrent> {
        self.state().run.as_ref().map(|run| run.using.torrent())
    }

    pub(in crate::service) fn user(&self) -> &User {
        &self.user
    }

    pub(in crate::service) fn account(&self) -> &Account {
        &self.account
    }
}

impl State {
    /// What it wishes of its torrent.
    pub(super) fn wish(&self) -> Wish {
        let limits = Limits { download: self.row.download_limit, upload: self.row.upload_limit };
        let files = self.row.files.clone().map_or(Files::All, Files::Some);
        Wish { files, keeping: Some(Keeping { sequential: self.row.sequential, limits }) }
    }

    /// Where its files are, once that is settled.
    pub(super) fn folder(&self) -> Option<&std::path::Path> {
        Some(self.row.folder.as_path()).filter(|folder| !folder.as_os_str().is_empty())
    }

    pub(super) fn is_finished(&self) -> bool {
        self.row.progress.finished_at.is_some()
    }

    /// Whether everything wanted is there and was given to others as much as it is to be.
    pub(super) fn is_over(&self, settings: &DownloadSettings) -> bool {
        let Some(content) = self.content.as_ref().filter(|_| self.is_finished()) else { return false };
        let ratio = self.row.seed_ratio.unwrap_or(settings.seed_ratio);
        let time = match self.row.seed_seconds {
            Some(seconds) => Some(Duration::from_secs(seconds)).filter(|time| !time.is_zero()),
            None => settings.seed_time,
        };
        let enough = ratio * content.wanted_bytes as f64;
        self.row.progress.uploaded_bytes as f64 >= enough || time.is_some_and(|time| self.seeded >= time)
    }

    /// Whether it has something to do at this moment, if there is a place for it.
    pub(super) fn wants_to_run(&self, settings: &DownloadSettings, now: Instant) -> bool {
        let is_held = match self.trouble.as_ref().map(|trouble| trouble.after) {
            Some(After::Never) => true,
            Some(After::Retry(at)) => at > now,
            Some(After::Meanwhile | After::Passing) | None => false,
        };
        !self.is_removed && !self.row.paused && !is_held && !self.is_over(settings)
    }

    /// Notes whether something came since the last look.
    pub(super) fn note_growth(&mut self, has_grown: bool, now: Instant) {
        let began = *self.turn_began.get_or_insert(now);
        if has_grown {
            (self.turn_began, self.barren_turns) = (Some(now), 0);
        } else if now.duration_since(began) >= BARREN_TURN {
            self.turn_began = Some(now);
            self.barren_turns = self.barren_turns.saturating_add(1);
        }
    }

    /// Something is wrong, if it wasn't already.
    pub(super) fn is_troubled(&mut self, code: &'static str, detail: String, after: After) {
        let since = match &self.trouble {
            Some(known) if known.code == code => known.since,
            _ => unix_now(),
        };
        self.trouble = Some(Trouble { code, detail, since, after });
    }

    /// It couldn't begin.
    pub(super) fn is_refused(&mut self, refusal: &Refusal, now: Instant) {
        let after = match refusal.code {
            Code::BadSource | Code::UnsupportedTorrent | Code::NoFile => After::Never,
            _ => After::Retry(now + refusal.retry_after.unwrap_or(RETRY)),
        };
        self.is_troubled(refusal.code.as_str(), refusal.detail.clone(), after);
    }

    /// What its torrent says is wrong.
    pub(super) fn hear_fault(&mut self, status: &Status) {
        let detail = || status.error.clone().unwrap_or_default();
        match status.fault {
            Some(Fault::DiskFull) => self.is_troubled("disk_full", detail(), After::Passing),
            Some(Fault::Disk) => self.is_troubled("disk_error", detail(), After::Passing),
            Some(Fault::Torrent) => self.is_troubled("torrent_failed", detail(), After::Never),
            None => self.trouble = None,
        }
    }

    /// What it is at.
    pub(super) fn at(&self, settings: &DownloadSettings) -> DownloadState {
        if self.row.paused && !self.is_over(settings) {
            return DownloadState::Paused;
        }
        if self.trouble.as_ref().is_some_and(|trouble| trouble.after != After::Meanwhile) {
            return DownloadState::Error;
        }
        if self.is_over(settings) {
            return DownloadState::Complete;
        }
        let Some(run) = &self.run else { return DownloadState::Queued };
        match run.using.torrent().status().state {
            _ if self.folder().is_none() => DownloadState::Metadata,
            TorrentState::Metadata | TorrentState::Checking => DownloadState::Checking,
            TorrentState::Error => DownloadState::Error,
            TorrentState::Downloading | TorrentState::Seeding if self.is_finished() => DownloadState::Seeding,
            TorrentState::Downloading | TorrentState::Seeding => DownloadState::Downloading,
        }
    }

    /// All there is to say about it; whose it is for those who see others' too.
    pub(super) fn status(&self, settings: &DownloadSettings, tell_user: bool) -> DownloadStatus {
        let (row, content) = (&self.row, self.content.as_ref());
        let torrent = self.run.as_ref().map(|run| run.using.torrent().status()).unwrap_or_default();
        let uploaded = row.progress.uploaded_bytes;
        let size = content.map(|content| content.wanted_bytes);
        DownloadStatus {
            info_hash: row.info_hash.to_string(),
            name: self.name.clone(),
            user: tell_user.then(|| row.user.to_string()),
            state: self.at(settings),
            progress: content.map_or(0.0, Content::progress),
            size,
            files: row.files.as_ref().map(|files| files.iter().map(|file| file.0).collect()),
            sequential: row.sequential,
            download_rate: torrent.snapshot.download_rate,
            upload_rate: torrent.snapshot.upload_rate,
            peers: PeerCount::new(&torrent),
            uploaded,
            ratio: size.filter(|&size| size > 0).map_or(0.0, |size| uploaded as f64 / size as f64),
            seeded_seconds: self.seeded.as_secs(),
            download_limit: row.download_limit,
            upload_limit: row.upload_limit,
            seed_ratio: row.seed_ratio,
            seed_time: row.seed_seconds,
            added_at: row.added_at,
            finished_at: row.progress.finished_at,
            checked: torrent.checked.map(|(done, total)| CheckedCount { done, total }),
            error: self.trouble.as_ref().map(|trouble| TroubleInfo {
                code: trouble.code.to_owned(),
                detail: trouble.detail.clone(),
                since: trouble.since,
            }),
        }
    }

    /// The row as it is to be written down.
    pub(super) fn written(&self) -> Download {
        let mut row = self.row.clone();
        row.progress.seeded_seconds = self.seeded.as_secs();
        row.error = self.trouble.as_ref().map(|trouble| trouble.detail.clone());
        row
    }
}

#[cfg(test)]
impl Kept {
    /// A download of which only this is said.
    pub(super) fn for_tests(user: &str, nth: u8, progress: crate::database::Progress) -> Self {
        let row = Download {
            user: user.parse().expect("a name"),
            info_hash: InfoHash([nth; 20]),
            folder: "/films".into(),
            files: None,
            sequential: false,
            paused: false,
            download_limit: None,
            upload_limit: None,
            seed_ratio: None,
            seed_seconds: None,
            added_at: u64::from(nth),
            progress,
            error: None,
        };
        Self::new(row, "film".to_owned(), Arc::new(Account::for_tests(user)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Progress;

    const SETTINGS: DownloadSettings = DownloadSettings { seed_ratio: 1.0, seed_time: None };

    fn state() -> State {
        let kept = Kept::for_tests("anna", 1, Progress::default());
        kept.state.into_inner().unwrap()
    }

    fn finished(uploaded_bytes: u64) -> State {
        let mut state = state();
        state.content = Some(Content { wanted_bytes: 100, have_bytes: 100, top: "film".to_owned() });
        state.row.progress = Progress { uploaded_bytes, seeded_seconds: 0, finished_at: Some(2) };
        state
    }

    #[test]
    fn turns_in_which_nothing_comes_are_counted_until_something_does() {
        let (mut state, start) = (state(), Instant::now());
        for (minute, grows, turns) in [
            (0, false, 0),
            (9, false, 0),
            (10, false, 1),
            (19, false, 1),
            (20, false, 2),
            (29, true, 0),
            (38, false, 0),
        ] {
            state.note_growth(grows, start + Duration::from_secs(60 * minute));
            assert_eq!(state.barren_turns, turns, "after {minute} minutes");
        }
    }

    #[test]
    fn seeding_ends_at_the_ratio_or_the_time_whichever_comes_first() {
        assert!(!finished(99).is_over(&SETTINGS) && finished(100).is_over(&SETTINGS));
        let mut state = finished(100);
        state.row.seed_ratio = Some(2.0);
        assert!(!state.is_over(&SETTINGS), "its own ratio counts");
        state.row.seed_seconds = Some(60);
        state.seeded = Duration::from_secs(60);
        assert!(state.is_over(&SETTINGS), "the time is over");
        state.row.seed_seconds = Some(0);
        let timed = DownloadSettings { seed_time: Some(Duration::from_secs(1)), ..SETTINGS };
        assert!(!state.is_over(&timed), "0 is as long as the ratio takes, whatever is usual");
        state.row.seed_seconds = None;
        assert!(state.is_over(&timed));
        let mut state = finished(0);
        state.row.seed_ratio = Some(0.0);
        assert!(state.is_over(&SETTINGS), "0 is not at all");
        state.row.progress.finished_at = None;
        assert!(!state.is_over(&SETTINGS), "what isn't all there isn't over");
    }

    #[test]
    fn what_is_paused_over_or_beyond_help_does_not_want_to_run() {
        let now = Instant::now();
        let mut state = state();
        assert!(state.wants_to_run(&SETTINGS, now));
        assert_eq!(state.at(&SETTINGS), DownloadState::Queued);
        state.is_troubled("disk_full", String::new(), After::Passing);
        assert!(state.wants_to_run(&SETTINGS, now), "it goes on by itself");
        state.is_troubled("torrent_failed", String::new(), After::Never);
        assert!(!state.wants_to_run(&SETTINGS, now));
        assert_eq!(state.at(&SETTINGS), DownloadState::Error);
        state.is_troubled("conflict", String::new(), After::Retry(now + RETRY));
        assert!(!state.wants_to_run(&SETTINGS, now) && state.wants_to_run(&SETTINGS, now + RETRY));
        state.row.paused = true;
        assert!(!state.wants_to_run(&SETTINGS, now + RETRY));
        assert_eq!(state.at(&SETTINGS), DownloadState::Paused);
        let mut over = finished(100);
        over.row.paused = true;
        assert_eq!(over.at(&SETTINGS), DownloadState::Complete);
        assert!(!over.wants_to_run(&SETTINGS, now));
    }

    #[test]
    fn a_full_disk_is_told_and_forgotten_when_there_is_room() {
        let mut state = state();
        let error = Some("the disk is full: make room".to_owned());
        state.hear_fault(&Status { fault: Some(Fault::DiskFull), error: error.clone(), ..Status::default() });
        let told = state.status(&SETTINGS, false);
        assert_eq!((told.state, told.error.map(|trouble| trouble.detail)), (DownloadState::Error, error));
        assert!(state.wants_to_run(&SETTINGS, Instant::now()), "the engine goes on by itself");
        state.hear_fault(&Status::default());
        assert_eq!(state.trouble, None);
    }

    #[test]
    fn a_trouble_that_goes_on_keeps_its_time() {
        let mut state = state();
        state.is_troubled("disk_full", "full".to_owned(), After::Passing);
        state.trouble.as_mut().unwrap().since = 7;
        state.is_troubled("disk_full", "still full".to_owned(), After::Passing);
        assert_eq!(state.trouble.as_ref().unwrap().since, 7);
        state.is_troubled("disk_error", "broken".to_owned(), After::Passing);
        assert_ne!(state.trouble.as_ref().unwrap().since, 7);
    }
}
