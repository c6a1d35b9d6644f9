//! The right to the data folder's database, and how the last one who had it ended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use super::error::OpenError;

/// The file that is locked. It stays: if it were removed, somebody who has just opened it could lock what nobody else
/// finds any more.
const FILE_NAME: &str = "afflux.db.lock";

/// What the file says after an end in good order.
const CLEAN: &str = "clean\n";
/// What it says once something in the database couldn't be.
const SUSPECT: &str = "suspect\n";

/// How the last process that had the database ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastEnd {
    /// It closed the database.
    Clean,
    /// It was killed, or the power went, or there was none yet.
    Unclean,
    /// It met damage.
    Suspect,
}

/// Only one process works on a database: SQLite alone would let two daemons share it, and each would overrule what the
/// other keeps in memory.
#[derive(Debug)]
pub(super) struct FolderLock {
    /// The lock is on the open file.
    file: File,
    is_suspect: AtomicBool,
}

impl FolderLock {
    /// Doesn't wait.
    pub(super) fn acquire(folder: &Path) -> Result<(Self, LastEnd), OpenError> {
        let path = folder.join(FILE_NAME);
        let unusable = |source| OpenError::Folder { path: path.clone(), source };
        let mut file = private().open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { folder: folder.to_path_buf() }),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let last_end = last_end(&mut file).map_err(unusable)?;
        let is_suspect = AtomicBool::new(last_end == LastEnd::Suspect);
        Ok((Self { file, is_suspect }, last_end))
    }

    /// From now on any end but [`mark_clean`](Self::mark_clean) is an unclean one. Needs no room on the disk.
    pub(super) fn mark_running(&self) -> io::Result<()> {
        self.is_suspect.store(false, Ordering::Relaxed);
        self.file.set_len(0)?;
        self.file.sync_all()
    }

    /// The next start looks at everything.
    pub(super) fn mark_suspect(&self) {
        if !self.is_suspect.swap(true, Ordering::Relaxed) {
            self.write(SUSPECT);
        }
    }

    /// The database is closed and in good order.
    pub(super) fn mark_clean(&self) {
        if !self.is_suspect.load(Ordering::Relaxed) {
            self.write(CLEAN);
        }
    }

    /// What can't be written only costs a check at the next start.
    fn write(&self, mark: &str) {
        let mut file = &self.file;
        let written = file.rewind().and_then(|()| file.write_all(mark.as_bytes()));
        if let Err(error) = written.and_then(|()| file.set_len(mark.len() as u64)) {
            warn!(%error, "how the database ended can't be remembered; it is checked at the next start");
        }
    }
}

/// Anything but the two marks, and nothing above all, is an unclean end.
fn last_end(file: &mut File) -> io::Result<LastEnd> {
    let mut text = Vec::new();
    file.take(SUSPECT.len() as u64 + 1).read_to_end(&mut text)?;
    Ok(match &text[..] {
        text if text == CLEAN.as_bytes() => LastEnd::Clean,
        text if text == SUSPECT.as_bytes() => LastEnd::Suspect,
        _ => LastEnd::Unclean,
    })
}

/// Opens or makes a file that only its owner can read: it will hold names, and what they watched.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(folder: &Path, end: impl FnOnce(&FolderLock)) -> LastEnd {
        let (lock, last_end) = FolderLock::acquire(folder).unwrap();
        lock.mark_running().unwrap();
        end(&lock);
        last_end
    }

    #[test]
    fn the_next_one_learns_how_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ends(folder.path(), FolderLock::mark_clean), LastEnd::Unclean, "there was none");
        assert_eq!(ends(folder.path(), |_| {}), LastEnd::Clean);
        let meets_damage = |lock: &FolderLock| {
            lock.mark_suspect();
            lock.mark_clean();
        };
        assert_eq!(ends(folder.path(), meets_damage), LastEnd::Unclean);
        assert_eq!(ends(folder.path(), FolderLock::mark_clean), LastEnd::Suspect);
        assert_eq!(ends(folder.path(), |_| {}), LastEnd::Clean);
    }

    #[test]
    fn nobody_else_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (_lock, _) = FolderLock::acquire(folder.path()).unwrap();
        assert!(matches!(FolderLock::acquire(folder.path()), Err(OpenError::InUse { .. })));
    }
}
