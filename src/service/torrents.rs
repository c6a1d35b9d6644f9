//! The engine's torrents that somebody uses: started when the first use begins, let go a while after the last one ended.
//!
//! A use says what it wishes of the torrent. In files on disk what is fetched is the union of what all uses need; in memory and in
//! the disk cache the readers' windows alone decide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use afflux_metainfo::{FileIndex, InfoHash};
use afflux_storage::Kind;
use afflux_swarm::shaper::Limits;
use afflux_swarm::{Priority, StrategyName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use super::refusal::{Code, Refusal};
use crate::engine::{AddOptions, Engine, Fault, Torrent};
use crate::source::Source;

/// Where streams keep their bytes.
#[derive(Clone, Debug)]
pub enum StreamStorage {
    /// In memory, within `STREAM_CACHE_SIZE`.
    Memory,
    /// In files.
    Disk {
        /// Below this folder, one folder for each torrent.
        folder: PathBuf,
        /// Order of pieces that no reader asks for.
        strategy: StrategyName,
    },
    /// In the disk cache, within its size.
    Cache {
        /// In this folder.
        folder: PathBuf,
    },
}

/// What a torrent is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody watches it, or wants its metadata.
    Stream,
    /// It is to be kept, and where is known when its metadata is: until then nothing is to be on disk.
    Learn,
    /// It is kept in this folder.
    Keep { folder: PathBuf },
}

/// Which files a use needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Files {
    /// None beyond what its readers ask for.
    #[default]
    None,
    /// These.
    Some(Vec<FileIndex>),
    /// All.
    All,
}

/// What a use wishes of its torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) files: Files,
    /// What a download wishes besides.
    pub(super) keeping: Option<Keeping>,
}

/// How a torrent is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keeping {
    /// Pieces come in their order.
    pub(super) sequential: bool,
    pub(super) limits: Limits,
}

/// The right to a torrent; it lives at least as long as this, unless it is [given up](Use::give_up) before.
#[derive(Debug)]
pub(super) struct Use {
    wish: Arc<Mutex<Option<Wish>>>,
    current: watch::Receiver<Torrent>,
}

#[derive(Debug)]
struct Entry {
    current: watch::Sender<Torrent>,
    /// Where it is.
    kind: Kind,
    /// It is in files that stay.
    kept: bool,
    /// Order of pieces if no use wishes another.
    strategy: StrategyName,
    uses: Vec<Weak<Mutex<Option<Wish>>>>,
    unused_since: Option<Instant>,
    /// What the torrent was told last, and whether it has heard.
    told: Option<(Vec<Priority>, StrategyName)>,
    told_limits: Limits,
    telling: Option<JoinHandle<()>>,
}

/// All torrents that are or were just used. Its lock is held while torrents are added and let go, so that nobody gets one that is
/// about to end; nothing is awaited under it.
#[derive(Debug)]
pub(super) struct Torrents {
    engine: Arc<Engine>,
    storage: StreamStorage,
    grace: Duration,
    entries: Mutex<BTreeMap<InfoHash, Entry>>,
    /// Those whose files are being removed.
    erased: Mutex<BTreeSet<InfoHash>>,
}

/// A torrent's files are being removed: nobody takes it up until this is dropped.
#[derive(Debug)]
pub(super) struct Erasing<'a> {
    torrents: &'a Torrents,
    hash: InfoHash,
}

impl Torrents {
    pub(super) fn new(engine: Arc<Engine>, storage: StreamStorage, grace: Duration) -> Self {
        Self { engine, storage, grace, entries: Mutex::default(), erased: Mutex::default() }
    }

    /// Begins a use, and starts the torrent if it isn't running. One that runs in memory moves to files when it is to be kept:
    /// whoever reads it goes on there. One that failed is started anew, and so is one that looks for its metadata, if this source
    /// knows more: whoever waits for it goes on waiting there.
    pub(super) fn take_up(
        &self,
        source: &Source,
        purpose: &Purpose,
        wish: impl Into<Wish>,
    ) -> Result<Use, Refusal> {
        let hash = source.hashes().wire();
        let mut entries = lock(&self.entries);
        if lock(&self.erased).contains(&hash) {
            let detail = "this torrent's files are being removed: try again in a moment";
            return Err(Refusal::new(Code::Conflict, detail).retry_after(Duration::from_secs(1)));
        }
        let is_kept = matches!(purpose, Purpose::Keep { .. });
        let fits = |entry: &&Entry| !entry.has_failed() && (!is_kept || entry.is_in(purpose));
        let fitting = entries.get(&hash).filter(fits);
        if let Some(entry) = fitting.filter(|entry| !entry.lacks(source)) {
            entry.learn(source);
        } else {
            let was_kept = fitting.is_some_and(|entry| entry.kept);
            let stays = fitting.map(|entry| (entry.kind.clone(), entry.strategy));
            let (kind, strategy) = stays.unwrap_or_else(|| self.place(hash, purpose));
            let options = AddOptions { strategy, hold: is_in_files(&kind), ..AddOptions::new(kind.clone()) };
            let (torrent, old) = self
                .engine
                .replace(source, options)
                .map_err(|failure| Refusal::from_failure(Code::UnsupportedTorrent, &failure))?;
            let entry =
                entries.entry(hash).or_insert_with(|| Entry::new(torrent.clone(), kind.clone(), strategy));
            entry.goes_on_as(torrent.clone(), kind, strategy);
            entry.kept = was_kept;
            // Its readers find the new one from here on.
            if let Some(old) = old {
                tokio::spawn(async move { old.hand_over(&torrent).await });
            }
        }
        let Some(entry) = entries.get_mut(&hash) else {
            return Err(Refusal::new(Code::Internal, "the torrent was lost"));
        };
        entry.kept |= is_kept;
        let wish = Arc::new(Mutex::new(Some(wish.into())));
        entry.uses.push(Arc::downgrade(&wish));
        entry.unused_since = None;
        Ok(Use { wish, current: entry.current.subscribe() })
    }

    /// Tells a torrent that runs already of the trackers and peers that this naming of it brings.
    pub(super) fn learn(&self, source: &Source) {
        if let Some(entry) = lock(&self.entries).get(&source.hashes().wire()) {
            entry.learn(source);
        }
    }

    fn place(&self, hash: InfoHash, purpose: &Purpose) -> (Kind, StrategyName) {
        match (purpose, &self.storage) {
            (Purpose::Keep { folder }, _) => (Kind::Disk { dir: folder.clone() }, StrategyName::Deadline),
            (Purpose::Learn, _) | (Purpose::Stream, StreamStorage::Memory) => {
                (Kind::Memory, StrategyName::Deadline)
            }
            (Purpose::Stream, StreamStorage::Cache { folder }) => {
                (self.engine.cache_in(folder.clone()), StrategyName::Deadline)
            }
            (Purpose::Stream, StreamStorage::Disk { folder, strategy }) => {
                (Kind::Disk { dir: folder.join(hash.to_string()) }, *strategy)
            }
        }
    }

    /// Where a torrent's files are, if it runs in files.
    pub(super) fn folder_of(&self, hash: InfoHash) -> Option<PathBuf> {
        lock(&self.entries).get(&hash)?.folder().map(Path::to_path_buf)
    }

    /// Where a torrent's files would be that is only streamed, if streams leave any.
    pub(super) fn stream_folder(&self, hash: InfoHash) -> Option<PathBuf> {
        match self.place(hash, &Purpose::Stream).0 {
            Kind::Disk { dir } => Some(dir),
            _ => None,
        }
    }

    /// Lets a torrent go at once if nobody uses it any more.
    pub(super) fn release(&self, hash: InfoHash) {
        let mut entries = lock(&self.entries);
        if entries.get_mut(&hash).is_some_and(|entry| !entry.is_used()) {
            entries.remove(&hash);
            self.engine.retire(hash);
        }
    }

    /// Lets a torrent go so that its files can be removed; nothing if somebody uses it, or removes them already.
    pub(super) fn begin_erasing(&self, hash: InfoHash) -> Option<Erasing<'_>> {
        let mut entries = lock(&self.entries);
        if entries.get_mut(&hash).is_some_and(Entry::is_used) || !lock(&self.erased).insert(hash) {
            return None;
        }
        entries.remove(&hash);
        self.engine.retire(hash);
        Some(Erasing { torrents: self, hash })
    }

    /// Tells torrents what is wished of them, and lets those go that nobody has used for the grace time. To be called
    /// every second or so, and when somebody wishes something else.
    pub(super) fn look(&self, now: Instant) {
        let mut entries = lock(&self.entries);
        entries.retain(|hash, entry| {
            if entry.is_used() {
                entry.unused_since = None;
                entry.tell();
                return true;
            }
            let is_over = now.duration_since(*entry.unused_since.get_or_insert(now)) >= self.grace;
            if is_over {
                self.engine.retire(*hash);
            }
            !is_over
        });
    }
}

impl Entry {
    fn new(torrent: Torrent, kind: Kind, strategy: StrategyName) -> Self {
        Self {
            current: watch::Sender::new(torrent),
            kind,
            kept: false,
            strategy,
            uses: Vec::new(),
            unused_since: None,
            told: None,
            told_limits: Limits::default(),
            telling: None,
        }
    }

    /// It runs elsewhere, or anew, from now on.
    fn goes_on_as(&mut self, torrent: Torrent, kind: Kind, strategy: StrategyName) {
        (self.kind, self.strategy, self.kept) = (kind, strategy, false);
        (self.told, self.told_limits) = (None, Limits::default());
        self.current.send_replace(torrent);
    }

    /// Whether it has no metadata yet and this brings it.
    fn lacks(&self, source: &Source) -> bool {
        matches!(source, Source::Torrent(_)) && self.current.borrow().info().is_none()
    }

    /// Tells it of the trackers and peers that this naming of it brings.
    fn learn(&self, source: &Source) {
        let (torrent, ways) = (self.current.borrow().clone(), source.ways());
        if ways.is_empty() {
            return;
        }
        tokio::spawn(async move { torrent.learn(ways).await });
    }

    fn has_failed(&self) -> bool {
        self.current.borrow().status().fault == Some(Fault::Torrent)
    }

    /// Whether its files lie where they are to be kept; those that are kept already stay where they are.
    fn is_in(&self, purpose: &Purpose) -> bool {
        let Purpose::Keep { folder } = purpose else { return false };
        self.folder().is_some_and(|dir| self.kept || dir == folder)
    }

    fn folder(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Disk { dir } => Some(dir),
            _ => None,
        }
    }

    fn is_used(&mut self) -> bool {
        self.uses.retain(|one| one.upgrade().is_some_and(|wish| lock(&wish).is_some()));
        !self.uses.is_empty()
    }

    /// Tells the torrent what its uses wish, if that is news. One word at a time, so that an older one can't come last.
    fn tell(&mut self) {
        let torrent = self.current.borrow().clone();
        let wishes: Vec<Wish> =
            self.uses.iter().filter_map(Weak::upgrade).filter_map(|wish| lock(&wish).clone()).collect();
        let limits = limits(&wishes);
        if std::mem::replace(&mut self.told_limits, limits) != limits {
            torrent.set_limits(limits);
        }
        let Some(ready) = torrent.ready().filter(|_| is_in_files(&self.kind)) else { return };
        let is_sequential = wishes.iter().filter_map(|wish| wish.keeping).any(|keeping| keeping.sequential);
        let strategy = if is_sequential { StrategyName::Sequential } else { self.strategy };
        let news = (wanted(&wishes, ready.layout.files().len()), strategy);
        let is_telling = self.telling.as_ref().is_some_and(|telling| !telling.is_finished());
        if self.told.as_ref() == Some(&news) || is_telling {
            return;
        }
        let strategy_before = self.told.replace(news.clone()).map_or(self.strategy, |(_, before)| before);
        self.telling = Some(tokio::spawn(async move {
            // Before the first piece is chosen.
            if strategy != strategy_before
                && let Err(error) = torrent.set_strategy(strategy).await
            {
                warn!(%error, "the order of pieces stays as it was");
            }
            torrent.prioritize(news.0).await;
        }));
    }
}

/// How much each file is wanted: the union of what all need.
fn wanted(wishes: &[Wish], count: usize) -> Vec<Priority> {
    let mut wanted = vec![Priority::Off; count];
    for wish in wishes {
        match &wish.files {
            Files::None => {}
            Files::All => wanted.fill(Priority::Normal),
            Files::Some(some) => {
                for &FileIndex(index) in some {
                    if let Some(priority) = wanted.get_mut(index as usize) {
                        *priority = Priority::Normal;
                    }
                }
            }
        }
    }
    wanted
}

/// The most generous of what downloads are limited to: nobody's limit slows somebody else down. What is streamed comes as fast
/// as its readers need it.
fn limits(wishes: &[Wish]) -> Limits {
    let is_streamed = wishes.iter().any(|wish| wish.keeping.is_none() && wish.files != Files::None);
    let most = |limit: fn(&Limits) -> Option<u64>| {
        let mut limits = wishes.iter().filter_map(|wish| wish.keeping).map(|keeping| limit(&keeping.limits));
        // One without a limit makes it none; without any download there is none either.
        limits.try_fold(0, |most, limit| limit.map(|limit| limit.max(most))).filter(|&most| most > 0)
    };
    Limits {
        download: most(|limits| limits.download).filter(|_| !is_streamed),
        upload: most(|limits| limits.upload),
    }
}

fn is_in_files(kind: &Kind) -> bool {
    matches!(kind, Kind::Disk { .. })
}

impl From<Files> for Wish {
    fn from(files: Files) -> Self {
        Self { files, keeping: None }
    }
}

impl Use {
    /// The torrent, as it runs now: it is another one after it moved from memory to files.
    pub(super) fn torrent(&self) -> Torrent {
        self.current.borrow().clone()
    }

    /// Needs these files from now on.
    pub(super) fn need(&self, files: Files) {
        if let Some(wish) = &mut *lock(&self.wish) {
            wish.files = files;
        }
    }

    /// Wishes this from now on.
    pub(super) fn wish(&self, wish: Wish) {
        if let Some(known) = &mut *lock(&self.wish) {
            *known = wish;
        }
    }

    /// Needs nothing any more, although somebody may hold on to it for a moment: a player's connection that is ending.
    pub(super) fn give_up(&self) {
        *lock(&self.wish) = None;
    }
}

impl Drop for Erasing<'_> {
    fn drop(&mut self) {
        lock(&self.torrents.erased).remove(&self.hash);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(download: Option<u64>, upload: Option<u64>) -> Wish {
        let limits = Limits { download, upload };
        Wish { files: Files::All, keeping: Some(Keeping { sequential: false, limits }) }
    }

    #[test]
    fn what_is_fetched_is_what_any_use_needs() {
        let some = |files: &[u32]| Wish::from(Files::Some(files.iter().copied().map(FileIndex).collect()));
        let (on, off) = (Priority::Normal, Priority::Off);
        assert_eq!(wanted(&[], 2), [off, off]);
        assert_eq!(wanted(&[some(&[0]), some(&[2, 9]), Files::None.into()], 3), [on, off, on]);
        assert_eq!(wanted(&[some(&[0]), Files::All.into()], 2), [on, on]);
    }

    #[test]
    fn the_most_generous_limit_counts_and_streams_are_not_slowed_down() {
        let limit = |wishes: &[Wish]| {
            let Limits { download, upload } = limits(wishes);
            (download, upload)
        };
        assert_eq!(limit(&[]), (None, None));
        assert_eq!(limit(&[kept(Some(1), Some(5)), kept(Some(3), Some(2))]), (Some(3), Some(5)));
        assert_eq!(limit(&[kept(Some(1), Some(5)), kept(None, Some(2))]), (None, Some(5)));
        let stream = Wish::from(Files::Some(vec![FileIndex(0)]));
        assert_eq!(limit(&[kept(Some(1), Some(5)), stream]), (None, Some(5)));
        assert_eq!(limit(&[kept(Some(1), Some(5)), Files::None.into()]), (Some(1), Some(5)));
    }
}
