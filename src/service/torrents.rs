//! The engine's torrents that somebody uses: started when the first use begins, let go a while after the last one ended.
//!
//! A use says which files it needs. In files on disk what is fetched is the union of what all uses need; in memory and in the
//! disk cache the readers' windows alone decide.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use afflux_metainfo::{FileIndex, InfoHash};
use afflux_storage::Kind;
use afflux_swarm::{Priority, StrategyName};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::refusal::{Code, Refusal};
use crate::engine::{AddOptions, Engine, Torrent};
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
    /// It is kept in this folder.
    Keep { folder: PathBuf, strategy: StrategyName },
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

/// The right to a torrent; it lives at least as long as this.
#[derive(Debug)]
pub(super) struct Use {
    files: Arc<Mutex<Files>>,
    current: watch::Receiver<Torrent>,
}

#[derive(Debug)]
struct Entry {
    current: watch::Sender<Torrent>,
    /// It is in files that stay.
    kept: bool,
    /// It is in files, and has to be told which are needed.
    in_files: bool,
    uses: Vec<Weak<Mutex<Files>>>,
    unused_since: Option<Instant>,
    /// What the torrent was told last, a priority per file, and whether it has heard.
    told: Option<Vec<Priority>>,
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
}

impl Torrents {
    pub(super) fn new(engine: Arc<Engine>, storage: StreamStorage, grace: Duration) -> Self {
        Self { engine, storage, grace, entries: Mutex::default() }
    }

    /// Begins a use, and starts the torrent if it isn't running. One that runs in memory moves to files when it is to be kept:
    /// whoever reads it goes on there.
    pub(super) fn take_up(&self, source: &Source, purpose: &Purpose, files: Files) -> Result<Use, Refusal> {
        let hash = source.hashes().wire();
        let mut entries = lock(&self.entries);
        let is_new = match entries.get(&hash) {
            Some(entry) => !entry.kept && matches!(purpose, Purpose::Keep { .. }),
            None => true,
        };
        if is_new {
            self.engine.retire(hash);
            let (kind, strategy) = self.place(hash, purpose);
            let in_files = matches!(kind, Kind::Disk { .. });
            let options = AddOptions { strategy, hold: in_files, ..AddOptions::new(kind) };
            let torrent = self
                .engine
                .add(source, options)
                .map_err(|failure| Refusal::from_failure(Code::UnsupportedTorrent, &failure))?;
            let entry = entries.entry(hash).or_insert_with(|| Entry::new(torrent.clone()));
            entry.kept = matches!(purpose, Purpose::Keep { .. });
            entry.in_files = in_files;
            entry.told = None;
            entry.current.send_replace(torrent);
        }
        let Some(entry) = entries.get_mut(&hash) else {
            return Err(Refusal::new(Code::Internal, "the torrent was lost"));
        };
        let files = Arc::new(Mutex::new(files));
        entry.uses.push(Arc::downgrade(&files));
        entry.unused_since = None;
        Ok(Use { files, current: entry.current.subscribe() })
    }

    fn place(&self, hash: InfoHash, purpose: &Purpose) -> (Kind, StrategyName) {
        match (purpose, &self.storage) {
            (Purpose::Keep { folder, strategy }, _) => (Kind::Disk { dir: folder.clone() }, *strategy),
            (Purpose::Stream, StreamStorage::Memory) => (Kind::Memory, StrategyName::Deadline),
            (Purpose::Stream, StreamStorage::Cache { folder }) => {
                (self.engine.cache_in(folder.clone()), StrategyName::Deadline)
            }
            (Purpose::Stream, StreamStorage::Disk { folder, strategy }) => {
                (Kind::Disk { dir: folder.join(hash.to_string()) }, *strategy)
            }
        }
    }

    /// Ends a torrent at once, whoever used it.
    pub(super) fn end(&self, hash: InfoHash) {
        lock(&self.entries).remove(&hash);
        self.engine.retire(hash);
    }

    /// How many uses a torrent has at this moment.
    pub(super) fn uses(&self, hash: InfoHash) -> usize {
        let entries = lock(&self.entries);
        entries.get(&hash).map_or(0, |entry| entry.uses.iter().filter(|one| one.strong_count() > 0).count())
    }

    /// Tells torrents which files are needed, and lets those go that nobody has used for the grace time. To be called
    /// every second or so, and when somebody needs other files.
    pub(super) fn look(&self, now: Instant) {
        let mut entries = lock(&self.entries);
        entries.retain(|hash, entry| {
            entry.uses.retain(|one| one.strong_count() > 0);
            if !entry.uses.is_empty() {
                entry.unused_since = None;
                entry.tell_files();
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
    fn new(torrent: Torrent) -> Self {
        Self {
            current: watch::Sender::new(torrent),
            kept: false,
            in_files: false,
            uses: Vec::new(),
            unused_since: None,
            told: None,
            telling: None,
        }
    }

    /// Tells the torrent the union of what its uses need, if that is news. One word at a time, so that an older one
    /// can't come last.
    fn tell_files(&mut self) {
        let torrent = self.current.borrow().clone();
        let Some(ready) = torrent.ready().filter(|_| self.in_files) else { return };
        let wanted = self.wanted(ready.layout.files().len());
        let is_telling = self.telling.as_ref().is_some_and(|telling| !telling.is_finished());
        if self.told.as_ref() == Some(&wanted) || is_telling {
            return;
        }
        self.told = Some(wanted.clone());
        self.telling = Some(tokio::spawn(async move { torrent.prioritize(wanted).await }));
    }

    fn wanted(&self, count: usize) -> Vec<Priority> {
        let mut wanted = vec![Priority::Off; count];
        for files in self.uses.iter().filter_map(Weak::upgrade) {
            match &*lock(&files) {
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
}

impl Use {
    /// The torrent, as it runs now: it is another one after it moved from memory to files.
    pub(super) fn torrent(&self) -> Torrent {
        self.current.borrow().clone()
    }

    /// Needs these files from now on.
    pub(super) fn need(&self, files: Files) {
        *lock(&self.files) = files;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
