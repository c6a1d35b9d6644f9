//! Disk and hash threads, shared by all torrents, and what can go wrong with files.
//!
//! Three kinds of threads, so that none can starve another: hash threads verify what arrives, write threads
//! put verified pieces on disk, read threads serve readers and peers and recheck. Only read threads ever wait
//! for memory; what is to be hashed or written holds its memory already, so writing always gets on and gives
//! memory back. The queues of the first two are bounded by the ledger (a piece is in each at most once, and
//! all of its bytes are charged or on disk); reads by [`READS_QUEUED_MAX`].

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use afflux_metainfo::PieceIndex;
use rustix::io::Errno;
use thiserror::Error;

use crate::cache::StoreId;
use crate::check::CheckRun;
use crate::files::Handles;
use crate::hashing::{self, HashJob};
use crate::ledger::Charge;
use crate::limits::READS_QUEUED_MAX;
use crate::queue::Queue;
use crate::read::ReadJob;
use crate::spill::Relief;
use crate::torrent::Torrent;

/// What went wrong with a file: ours, so the torrent stops with this as its reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// ENOSPC or EDQUOT.
    #[error("the disk is full: {} could not grow; free some space there, or use another folder", path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// EFBIG: a limit of the file system or of the process.
    #[error("{} is larger than the file system or the process allows", path.display())]
    TooLarge {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// ENOENT.
    #[error("{} is not there", path.display())]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// The file ends before bytes that were written to it.
    #[error("{} was cut short by something else", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// The file is other than we left it.
    #[error("{} was changed by something else; it is checked again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// EACCES, EPERM or EROFS.
    #[error("no permission to use {}", path.display())]
    Denied {
        /// What could not be used.
        path: PathBuf,
    },
    /// A symbolic link lies where a file or folder of the torrent belongs. It is not followed.
    #[error("{} is a symbolic link, which is never followed; remove it", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A folder, device or pipe lies where a file belongs, or something else where a folder does.
    #[error("{} is in the way: it is not what the torrent has there", path.display())]
    InTheWay {
        /// What lies there.
        path: PathBuf,
    },
    /// A path that could lead out of the download folder.
    #[error("{path:?} is no safe path")]
    UnsafePath {
        /// The path, as the layout has it.
        path: String,
    },
    /// A file system without holes: what is evicted there would take its space for ever.
    #[error("the file system of {} can't give back parts of a file, so no bounded cache can be kept there", path.display())]
    NoHoles {
        /// The folder.
        path: PathBuf,
    },
    /// The store was opened with a configuration that fits no torrent.
    #[error("misuse: {0}")]
    Misuse(&'static str),
    /// No thread could be started.
    #[error("no thread could be started: {}", io::Error::from_raw_os_error(*.errno))]
    Thread {
        /// The system's error number.
        errno: i32,
    },
    /// Anything else: EIO, EMFILE, …
    #[error("{action} {} failed: {}", path.display(), io::Error::from_raw_os_error(*.errno))]
    Io {
        /// What was done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's error number.
        errno: i32,
    },
}

impl Error {
    /// Sorts a system error.
    pub(crate) fn from_errno(action: &'static str, path: &Path, errno: Errno) -> Self {
        let path = path.to_path_buf();
        match errno {
            Errno::NOSPC | Errno::DQUOT => Self::Full { path },
            Errno::FBIG => Self::TooLarge { path },
            Errno::NOENT => Self::Missing { path },
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Self::Denied { path },
            Errno::LOOP => Self::Symlink { path },
            Errno::NOTDIR | Errno::ISDIR | Errno::NXIO => Self::InTheWay { path },
            other => Self::Io { action, path, errno: other.raw_os_error() },
        }
    }

    /// Whether bytes that were once written are gone, or may be, so that they have to be fetched again.
    pub fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Truncated { .. }
                | Self::Changed { .. }
                | Self::Symlink { .. }
                | Self::InTheWay { .. }
        )
    }
}

/// How many threads and file handles all torrents share.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Threads that hash arriving blocks. One keeps up with more than 10 Gbit/s where the processor has SHA
    /// instructions.
    pub hash_threads: usize,
    /// Threads that write verified pieces.
    pub write_threads: usize,
    /// Threads that read for peers and readers, and recheck.
    pub read_threads: usize,
    /// Files open at once, over all torrents (each thread may hold one more for a moment).
    pub files_open_max: usize,
    /// Called by each thread when it starts.
    pub thread_started: fn(),
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self { hash_threads: 1, write_threads: 1, read_threads: 2, files_open_max: 64, thread_started: || {} }
    }
}

/// The threads; all clones are the same. They end when the last clone and the last store are gone.
#[derive(Clone)]
pub struct Disk(Arc<Threads>);

/// What stores share: the way to the threads.
struct Threads {
    queues: Arc<Queues>,
    handles: Arc<Handles>,
    relief: Arc<Relief>,
    read_threads: usize,
    next_store: AtomicU64,
}

struct Queues {
    hash: Queue<HashJob>,
    write: Queue<WriteWork>,
    read: Queue<ReadWork>,
}

enum WriteWork {
    /// A verified piece.
    Write(Arc<Torrent>, PieceIndex),
    /// A piece of a bounded cache is given up, and with it its place there.
    Punch(Arc<Torrent>, PieceIndex, Charge),
    /// Memory is short.
    Relieve(Arc<Relief>),
    /// Pieces that nothing comes of hold memory for nobody.
    SpillIdle(Arc<Relief>),
}

enum ReadWork {
    Read(ReadJob),
    /// One step of a check; it queues itself anew, behind the reads that came meanwhile.
    Check(Arc<CheckRun>),
}

impl Disk {
    /// Starts the threads. Zeros in the configuration count as one.
    pub fn start(config: DiskConfig) -> Result<Self, Error> {
        let queues = Arc::new(Queues { hash: Queue::new(), write: Queue::new(), read: Queue::new() });
        // Made first: if a thread can't be started, dropping this ends those that were.
        let disk = Self(Arc::new(Threads {
            queues: queues.clone(),
            handles: Arc::new(Handles::new(config.files_open_max.max(1))),
            relief: Arc::default(),
            read_threads: config.read_threads.max(1),
            next_store: AtomicU64::new(0),
        }));
        let started = config.thread_started;
        spawn("hash", config.hash_threads, &queues, started, |queues| {
            while let Some(jobs) = hashing::gather(&queues.hash) {
                hashing::hash(jobs);
            }
        })?;
        spawn("write", config.write_threads, &queues, started, |queues| {
            while let Some(work) = queues.write.pop() {
                match work {
                    WriteWork::Write(torrent, piece) => {
                        shielded(|| torrent.write(piece));
                        torrent.job_done();
                    }
                    WriteWork::Punch(torrent, piece, place) => {
                        shielded(|| torrent.punch(piece, place));
                        torrent.job_done();
                    }
                    WriteWork::Relieve(relief) => shielded(|| relief.run()),
                    WriteWork::SpillIdle(relief) => shielded(|| relief.run_idle()),
                }
            }
        })?;
        spawn("read", config.read_threads, &queues, started, |queues| {
            while let Some(work) = queues.read.pop() {
                shielded(|| match work {
                    ReadWork::Read(job) => job.run(),
                    ReadWork::Check(run) => {
                        if run.step() {
                            queues.read.push(ReadWork::Check(run));
                        }
                    }
                });
            }
        })?;
        Ok(disk)
    }

    /// Files open now, over all torrents.
    pub fn open_files(&self) -> usize {
        self.0.handles.open_count()
    }

    pub(crate) fn handles(&self) -> &Arc<Handles> {
        &self.0.handles
    }

    pub(crate) fn next_store(&self) -> StoreId {
        StoreId(self.0.next_store.fetch_add(1, Relaxed))
    }

    /// The caller counts the job ([`Torrent::job_queued`]) before.
    pub(crate) fn queue_hash(&self, torrent: Arc<Torrent>, piece: PieceIndex) {
        self.0.queues.hash.push(HashJob { torrent, piece });
    }

    /// The caller counts the job ([`Torrent::job_queued`]) before.
    pub(crate) fn queue_write(&self, torrent: Arc<Torrent>, piece: PieceIndex) {
        self.0.queues.write.push(WriteWork::Write(torrent, piece));
    }

    /// The caller counts the job ([`Torrent::job_queued`]) before.
    pub(crate) fn queue_punch(&self, torrent: Arc<Torrent>, piece: PieceIndex, place: Charge) {
        self.0.queues.write.push(WriteWork::Punch(torrent, piece, place));
    }

    /// Puts what came of pieces under way on disk, if nothing has come of them since the last call.
    pub fn spill_idle(&self) {
        self.0.queues.write.push(WriteWork::SpillIdle(self.0.relief.clone()));
    }

    /// The want of memory.
    pub(crate) fn relief(&self) -> &Relief {
        &self.0.relief
    }

    /// Somebody found no memory for so many bytes: makes some free, if that can be.
    pub(crate) fn relieve(&self, bytes: usize) {
        if self.0.relief.ask(bytes) {
            self.0.queues.write.push(WriteWork::Relieve(self.0.relief.clone()));
        }
    }

    /// Gives the job back if too many wait.
    pub(crate) fn queue_read(&self, job: ReadJob) -> Result<(), ReadJob> {
        self.0.queues.read.try_push(ReadWork::Read(job), READS_QUEUED_MAX).map_err(|work| match work {
            ReadWork::Read(job) => job,
            ReadWork::Check(_) => unreachable!("a read was pushed"),
        })
    }

    /// For a job that was taken from the queue already.
    pub(crate) fn queue_read_again(&self, job: ReadJob) {
        self.0.queues.read.push(ReadWork::Read(job));
    }

    /// Lets every read thread take part in a check.
    pub(crate) fn queue_check(&self, run: &Arc<CheckRun>) {
        for _ in 0..self.0.read_threads {
            self.0.queues.read.push(ReadWork::Check(run.clone()));
        }
    }

    /// How many threads take part in a check.
    pub(crate) fn check_threads(&self) -> usize {
        self.0.read_threads
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disk({} files open)", self.open_files())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queues.hash.close();
        self.queues.write.close();
        self.queues.read.close();
    }
}

fn spawn(
    name: &str,
    count: usize,
    queues: &Arc<Queues>,
    started: fn(),
    work: impl Fn(&Queues) + Clone + Send + 'static,
) -> Result<(), Error> {
    for number in 0..count.max(1) {
        let (queues, work) = (queues.clone(), work.clone());
        std::thread::Builder::new()
            .name(format!("{name}-{number}"))
            .spawn(move || {
                started();
                work(&queues);
            })
            .map_err(|error| Error::Thread { errno: error.raw_os_error().unwrap_or_default() })?;
    }
    Ok(())
}

/// Runs a job so that a panic in a callback costs that job and not the thread.
pub(crate) fn shielded(job: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a disk job panicked; the thread goes on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_are_sorted_by_what_can_be_done() {
        let sorted = |errno| Error::from_errno("writing", Path::new("/x"), errno);
        let path = PathBuf::from("/x");
        assert_eq!(sorted(Errno::NOSPC), Error::Full { path: path.clone() });
        assert_eq!(sorted(Errno::DQUOT), Error::Full { path: path.clone() });
        assert_eq!(sorted(Errno::ROFS), Error::Denied { path: path.clone() });
        assert_eq!(sorted(Errno::FBIG), Error::TooLarge { path: path.clone() });
        let io = sorted(Errno::IO);
        assert!(io.to_string().starts_with("writing /x failed: "), "{io}");
        assert!(!io.is_loss() && !sorted(Errno::NOSPC).is_loss() && sorted(Errno::NOENT).is_loss());
    }

    #[test]
    fn a_panicking_callback_costs_no_thread() {
        let mut after = false;
        shielded(|| panic!("on purpose"));
        shielded(|| after = true);
        assert!(after);
    }
}
