//! What is done about downloads, once a second: who begins, how far each is, who has to stop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use afflux_metainfo::{Bitfield, FileIndex};
use tracing::{info, warn};

use super::content::{self, Content};
use super::kept::{After, Kept, Run, State};
use super::{BEGUN_AT_ONCE_MAX, RUNNING_MAX, RUNNING_PER_USER_MAX, places};
use crate::config::service::DownloadSettings;
use crate::engine::torrent::Ready;
use crate::engine::{Remembered, Torrent};
use crate::service::catalog::Named;
use crate::service::events::Event;
use crate::service::refusal::{Code, Refusal};
use crate::service::torrents::Purpose;
use crate::service::{Shared, unix_now};
use crate::source::Source;
use crate::user::User;

type Info = Arc<afflux_metainfo::info::Info>;

impl Shared {
    /// Takes up the downloads of the last run. What is there of each is looked up in the background; none begins before.
    pub(in crate::service) async fn wake_downloads(self: &Arc<Self>) -> Result<(), Refusal> {
        for row in self.database.downloads().list(None).await? {
            let account = self.accounts.get(&row.user);
            let name = row.info_hash.to_string();
            self.downloads.insert(Kept::new(row, name, account));
        }
        tokio::spawn(learn_all(Arc::downgrade(self)));
        Ok(())
    }

    /// Looks at all downloads.
    pub(in crate::service) async fn look_at_downloads(self: &Arc<Self>, now: Instant) {
        if !self.downloads.is_learned.load(Ordering::Acquire) {
            return;
        }
        let mut begun = 0;
        for (kept, has_place) in places_for(self.downloads.all(), self.settings(), now) {
            let runs = kept.state().run.is_some();
            match (has_place, runs) {
                (true, false) if begun >= BEGUN_AT_ONCE_MAX => {}
                (true, false) => {
                    begun += 1;
                    self.begin_download(&kept, None, now).await;
                }
                (true, true) => {
                    if let Some(info) = self.observe(&kept, now) {
                        self.begin_download(&kept, Some(info), now).await;
                    }
                }
                (false, true) => self.stop_download(&kept, now),
                (false, false) => {}
            }
            self.tell_download(&kept);
        }
    }

    /// Begins a download, within files if its metadata is known.
    async fn begin_download(&self, kept: &Arc<Kept>, info: Option<Info>, now: Instant) {
        if let Err(refusal) = self.try_to_begin(kept, info, now).await {
            warn!(hash = %kept.info_hash, %refusal, "a download can't begin");
            kept.state().is_refused(&refusal, now);
            self.stop_download(kept, now);
        }
    }

    async fn try_to_begin(&self, kept: &Arc<Kept>, info: Option<Info>, now: Instant) -> Result<(), Refusal> {
        // Whoever changes or removes it at this moment goes first.
        let Ok(_turn) = kept.changing.try_lock() else { return Ok(()) };
        // They may have been there since it got its place.
        if !kept.state().wants_to_run(self.settings(), now) {
            return Ok(());
        }
        let named = self.allowed(self.named_by(&kept.user, kept.info_hash).await?)?;
        let settled = kept.state().folder().map(PathBuf::from);
        let info = match (&settled, &named.source) {
            (Some(_), _) => None,
            (None, Source::Torrent(torrent)) => Some(Arc::new(torrent.info.clone())),
            (None, Source::Magnet(_)) => match info {
                Some(info) => Some(info),
                None => self.remembered(kept).await.map(|known| Arc::new(known.info)),
            },
        };
        let link = matches!(named.source, Source::Magnet(_)).then(|| named.source.ways());
        let (source, purpose) = match (settled, info) {
            (Some(folder), _) => (named.source, Purpose::Keep { folder }),
            (None, None) => (named.source, Purpose::Learn),
            (None, Some(info)) => {
                let complete = named.completed(&info)?;
                self.remember(&kept.user, &complete).await;
                let folder = self.settle(kept, &named, &info).await?;
                (complete.source, Purpose::Keep { folder })
            }
        };
        let using = self.torrents.take_up(&source, &purpose, kept.state().wish())?;
        let torrent = using.torrent();
        if let (Source::Torrent(_), Some(ways)) = (&source, link) {
            // The link may name peers, and a .torrent can't.
            torrent.learn(ways).await;
        }
        let sent_before = torrent.status().totals.payload_sent;
        let mut state = kept.state();
        state.trouble = None;
        state.turn_began = None;
        state.run = Some(Run { using, begun: now, torrent, sent_before, counted: None, looked_at: now });
        Ok(())
    }

    /// Says where the files of a download go, now that its metadata is known, and which are wanted.
    async fn settle(&self, kept: &Arc<Kept>, named: &Named, info: &Info) -> Result<PathBuf, Refusal> {
        let mut row = kept.state().row.clone();
        if let (None, Source::Magnet(magnet)) = (&row.files, &named.source)
            && !magnet.select.is_empty()
        {
            // BEP 53: the link itself names the files.
            let files = (0u32..).zip(info.layout.files());
            let named = files.filter(|(nth, file)| magnet.selects(*nth) && !file.pad);
            row.files = Some(named.map(|(nth, _)| FileIndex(nth)).collect());
        }
        content::check(&info.layout, row.files.as_deref())
            .map_err(|detail| Refusal::new(Code::NoFile, detail))?;
        let hash = kept.info_hash;
        row.folder = match self.downloads.folder_of(hash).or_else(|| self.torrents.folder_of(hash)) {
            Some(folder) => folder,
            None => self.choose_folder(kept, info).await?,
        };
        self.database.downloads().save(row.clone()).await?;
        let none = Bitfield::new(info.layout.piece_count());
        let mut state = kept.state();
        state.content = Some(Content::new(&info.layout, row.files.as_deref(), &none));
        state.name = info.name.clone();
        (state.row.folder, state.row.files) = (row.folder.clone(), row.files);
        Ok(row.folder)
    }

    async fn choose_folder(&self, kept: &Kept, info: &Info) -> Result<PathBuf, Refusal> {
        let (engine, downloads) = (Arc::clone(&self.engine), Arc::clone(&self.downloads));
        let (root, hash, info) = (self.config.download_folder.clone(), kept.info_hash, Arc::clone(info));
        let choose = move || places::choose(&downloads, &engine, &root, hash, &info.layout);
        let chosen = tokio::task::spawn_blocking(choose).await;
        chosen.map_err(|_| Refusal::new(Code::Internal, "the download folder can't be looked at"))
    }

    /// Looks at a running download; gives the metadata when it has come and the files' place is to be settled.
    fn observe(&self, kept: &Kept, now: Instant) -> Option<Info> {
        let mut state = kept.state();
        let (torrent, begun, passed) = state.look_at_run(now)?;
        let status = torrent.status();
        if state.folder().is_some() {
            state.hear_fault(&status);
            if status.checked.is_some() {
                // Others have to wait for the disk too.
                state.note_growth(true, now);
            }
            if let Some(ready) = torrent.ready() {
                let before = state.run.as_ref().and_then(|run| run.counted);
                let has_grown = before.is_some_and(|(_, have)| status.progress.bytes_have > have);
                let is_finished = state.is_finished();
                state.note_growth(has_grown || is_finished, now);
                state.handle_progress(&ready, (status.progress.bytes_selected, status.progress.bytes_have));
                state.handle_seeding(passed);
            }
            return None;
        }
        let timeout = self.config.tuning.torrent_timeout;
        state.note_growth(false, now);
        match torrent.info() {
            // Whether it can be kept in memory is of no interest.
            Some(info) => return Some(info),
            None if status.fault.is_some() => state.hear_fault(&status),
            None if now.duration_since(begun) >= timeout => {
                let detail = status.no_metadata(timeout).to_string();
                state.is_troubled("no_metadata", detail, After::Meanwhile);
            }
            None => {}
        }
        None
    }

    /// A download has no place any more.
    pub(super) fn stop_download(&self, kept: &Kept, now: Instant) {
        // What it sent since the last look counts.
        self.observe(kept, now);
        let run = kept.state().run.take();
        if run.is_some() {
            drop(run);
            self.torrents.release(kept.info_hash);
        }
    }

    /// Tells its user what a download is at, if that is news, and writes down what was reached.
    pub(super) fn tell_download(self: &Arc<Self>, kept: &Arc<Kept>) {
        let mut state = kept.state();
        let trouble = state.trouble.as_ref().map(|trouble| trouble.code.to_owned());
        let now = (state.at(self.settings()), trouble);
        if state.is_removed || state.told.as_ref() == Some(&now) {
            return;
        }
        let (at, trouble) = now.clone();
        let before = state.told.replace(now);
        drop(state);
        info!(hash = %kept.info_hash, state = at.as_str(), trouble, "a download");
        if before.is_some() {
            let (shared, kept) = (Arc::clone(self), Arc::clone(kept));
            tokio::spawn(async move { shared.save_download(&kept).await });
        }
        let info_hash = kept.info_hash.to_string();
        self.events.tell(&kept.user, Event::Download { info_hash, state: at.as_str().to_owned() });
    }

    /// Writes down what downloads have reached.
    pub(in crate::service) async fn write_down_downloads(&self) {
        let now = Instant::now();
        for kept in self.downloads.all() {
            self.observe(&kept, now);
            // One that is being changed is written down by that, or the next time.
            if kept.state().is_unsaved
                && let Ok(_turn) = kept.changing.try_lock()
            {
                self.write_down_download(&kept).await;
            }
        }
    }

    async fn save_download(&self, kept: &Kept) {
        let _turn = kept.changing.lock().await;
        self.write_down_download(kept).await;
    }

    async fn write_down_download(&self, kept: &Kept) {
        let row = {
            let mut state = kept.state();
            if state.is_removed {
                return;
            }
            state.is_unsaved = false;
            state.written()
        };
        if let Err(error) = self.database.downloads().save(row).await {
            kept.state().is_unsaved = true;
            warn!(%error, "how far a download is can't be written down");
        }
    }

    /// All downloads that run, with their torrents.
    pub(in crate::service) fn running_downloads(&self) -> Vec<(Arc<Kept>, Torrent)> {
        let all = self.downloads.all().into_iter();
        all.filter_map(|kept| kept.torrent().map(|torrent| (kept, torrent))).collect()
    }

    /// What is remembered of a download's torrent.
    pub(super) async fn remembered(&self, kept: &Kept) -> Option<Remembered> {
        let (engine, hash) = (Arc::clone(&self.engine), kept.info_hash);
        tokio::task::spawn_blocking(move || engine.remembered(hash)).await.ok().flatten()
    }

    /// Looks up what is known of a download that doesn't run.
    pub(super) async fn learn(&self, kept: &Kept) {
        self.accounts.read(&kept.account).await;
        let named = self.named_by(&kept.user, kept.info_hash).await.ok();
        let remembered = self.remembered(kept).await;
        let mut state = kept.state();
        if let Some(named) = &named {
            state.name = named.source.name();
        }
        let content = |layout: &afflux_metainfo::Layout, have: &Bitfield, files: Option<&[FileIndex]>| {
            Some(Content::new(layout, files, have))
        };
        let files = state.row.files.clone();
        state.content = match (&remembered, named.map(|named| named.source)) {
            (Some(known), _) => content(&known.info.layout, &known.have, files.as_deref()),
            (None, Some(Source::Torrent(torrent))) => {
                let layout = &torrent.info.layout;
                content(layout, &Bitfield::new(layout.piece_count()), files.as_deref())
            }
            (None, _) => None,
        };
        if let Some(known) = remembered {
            state.name = known.info.name;
        }
        if !state.content.as_ref().is_some_and(Content::is_whole) {
            // Something was lost, or other files are wanted: it is fetched again.
            state.row.progress.finished_at = None;
        }
    }

    pub(super) fn settings(&self) -> &DownloadSettings {
        &self.config.downloads
    }
}

impl State {
    /// Counts what the torrent has sent since the last look; gives it, when it began, and how long ago that look was.
    fn look_at_run(&mut self, now: Instant) -> Option<(Torrent, Instant, Duration)> {
        let run = self.run.as_mut()?;
        let torrent = run.using.torrent();
        if !run.torrent.is(&torrent) {
            // It moved, and counts from nothing.
            (run.torrent, run.sent_before, run.counted) = (torrent.clone(), 0, None);
        }
        let sent = torrent.status().totals.payload_sent;
        let news = sent.saturating_sub(std::mem::replace(&mut run.sent_before, sent));
        let passed = now.saturating_duration_since(std::mem::replace(&mut run.looked_at, now));
        let begun = run.begun;
        self.row.progress.uploaded_bytes += news;
        self.is_unsaved |= news > 0;
        Some((torrent, begun, passed))
    }

    /// Counts what is there of what is wanted, unless nothing has come or gone.
    fn handle_progress(&mut self, ready: &Ready, (selected, have): (u64, u64)) {
        let Some(run) = &mut self.run else { return };
        if run.counted.replace((selected, have)) == Some((selected, have)) {
            return;
        }
        let content = Content::new(&ready.layout, self.row.files.as_deref(), &ready.store.have_all());
        let is_whole = content.is_whole();
        self.content = Some(content);
        self.name = ready.info.name.clone();
        if is_whole != self.is_finished() {
            self.row.progress.finished_at = is_whole.then(unix_now);
            self.is_unsaved = true;
        }
    }

    /// Counts the time that everything was there and nothing was wrong.
    fn handle_seeding(&mut self, passed: Duration) {
        if self.is_finished() && self.trouble.is_none() {
            self.seeded += passed;
            self.is_unsaved = true;
        }
    }
}

/// Looks up what is known of all downloads of the last run, one by one.
async fn learn_all(shared: Weak<Shared>) {
    let Some(all) = shared.upgrade().map(|shared| shared.downloads.all()) else { return };
    for kept in all {
        let Some(shared) = shared.upgrade().filter(|shared| !shared.stop.is_cancelled()) else { return };
        shared.learn(&kept).await;
    }
    if let Some(shared) = shared.upgrade() {
        shared.downloads.is_learned.store(true, Ordering::Release);
    }
}

/// Each download, and whether there is a place for it: of a user those that fetch come before those that seed, those that get
/// something before those that wait in vain, and among each the older ones; and nobody has one more as long as somebody waits
/// who has less.
fn places_for(all: Vec<Arc<Kept>>, settings: &DownloadSettings, now: Instant) -> Vec<(Arc<Kept>, bool)> {
    let mut waiting: BTreeMap<User, Vec<(bool, u32, u64, usize)>> = BTreeMap::new();
    for (nth, kept) in all.iter().enumerate() {
        let state = kept.state();
        if state.wants_to_run(settings, now) && kept.account.check_enabled().is_ok() {
            let turn = (state.is_finished(), state.barren_turns, kept.added_at, nth);
            waiting.entry(kept.user.clone()).or_default().push(turn);
        }
    }
    let mut turns = Vec::new();
    for own in waiting.values_mut() {
        own.sort_unstable();
        let first = own.iter().take(RUNNING_PER_USER_MAX).enumerate();
        turns.extend(first.map(|(turn, &(_, _, added_at, nth))| (turn, added_at, nth)));
    }
    turns.sort_unstable();
    let mut has_place = vec![false; all.len()];
    turns.iter().take(RUNNING_MAX).for_each(|&(_, _, nth)| has_place[nth] = true);
    all.into_iter().zip(has_place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Progress;

    fn kept(name: &str, nth: u8, finished: bool) -> Arc<Kept> {
        let progress = Progress { finished_at: finished.then_some(1), ..Progress::default() };
        Arc::new(Kept::for_tests(name, nth, progress))
    }

    #[test]
    fn each_users_oldest_downloads_run_and_seeding_has_what_places_they_leave() {
        let settings = DownloadSettings { seed_ratio: 1.0, seed_time: None };
        let mut all: Vec<_> = (0..30).map(|nth| kept("anna", nth, nth < 12)).collect();
        all.extend((0..3).map(|nth| kept("bert", nth, false)));
        let placed = places_for(all, &settings, Instant::now());
        let running = |name: &str| -> Vec<u64> {
            let own = placed.iter().filter(|(kept, place)| *place && kept.user.as_str() == name);
            own.map(|(kept, _)| kept.added_at).collect()
        };
        assert_eq!(running("anna").len(), RUNNING_PER_USER_MAX);
        assert_eq!(running("anna"), [vec![0, 1], (12..30).collect()].concat());
        assert_eq!(running("bert"), [0, 1, 2]);
    }

    #[test]
    fn dead_downloads_let_others_go_first() {
        let settings = DownloadSettings { seed_ratio: 1.0, seed_time: None };
        let all: Vec<_> = (0..30).map(|nth| kept("anna", nth, false)).collect();
        for (dead, turns) in [(0, 2), (1, 1), (2, 1)] {
            all[dead].state().barren_turns = turns;
        }
        let running = |all: &[Arc<Kept>]| -> Vec<u64> {
            let placed = places_for(all.to_vec(), &settings, Instant::now());
            placed.iter().filter(|(_, place)| *place).map(|(kept, _)| kept.added_at).collect()
        };
        let expected: Vec<u64> = (3..).take(RUNNING_PER_USER_MAX).collect();
        assert_eq!(running(&all), expected);
        // Where nobody waits they go on.
        assert_eq!(running(&all[..5]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn where_places_are_short_everybody_has_as_many() {
        let settings = DownloadSettings { seed_ratio: 1.0, seed_time: None };
        let names: Vec<String> = (0..100).map(|nth| format!("user {nth:03}")).collect();
        let all = names.iter().flat_map(|name| (0..15).map(move |nth| kept(name, nth, false)));
        let placed = places_for(all.collect(), &settings, Instant::now());
        for name in &names {
            let own = placed.iter().filter(|(kept, place)| *place && kept.user.as_str() == name);
            assert_eq!(own.count(), RUNNING_MAX / 100, "{name}");
        }
    }
}
