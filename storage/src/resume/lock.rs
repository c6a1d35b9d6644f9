//! Who may work with a torrent's resume data: one owner at a time, over all processes.
//!
//! Two that write the same resume file, and often the same download, would each believe in pieces that only the
//! other knows of. The lock is advisory and the system's own, so it ends with its process however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use afflux_metainfo::InfoHash;
use rustix::fs::{Mode, OFlags};
use thiserror::Error;

use super::errno_of;
use crate::disk;

/// The right to a torrent's resume data; it ends on drop.
///
/// The file `<info-hash>.lock` stays: if it were removed, somebody who has just opened it could lock what nobody else
/// finds any more.
#[derive(Debug)]
pub struct ResumeLock {
    /// The lock is on the open file.
    _file: File,
}

/// Why there is no lock.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LockError {
    /// Somebody else has it.
    #[error(
        "another afflux is working on this torrent with the same data folder: end it, or use another --data-dir"
    )]
    InUse,
    /// The lock file can't be opened or locked.
    #[error(transparent)]
    Disk(#[from] disk::Error),
}

impl ResumeLock {
    /// Takes the lock `<info-hash>.lock` in `dir`, which is made if missing. Doesn't wait.
    ///
    /// # Errors
    /// [`LockError::InUse`] if another process has it, or this one already.
    pub fn acquire(dir: &Path, info_hash: InfoHash) -> Result<Self, LockError> {
        let path = dir.join(format!("{info_hash}.lock"));
        std::fs::create_dir_all(dir)
            .map_err(|error| disk::Error::from_errno("making the folder of", &path, errno_of(&error)))?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600))
            .map_err(|errno| disk::Error::from_errno("opening", &path, errno))?;
        let file = File::from(fd);
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(error)) => {
                Err(disk::Error::from_errno("locking", &path, errno_of(&error)).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    /// Tells the child where the lock is to be.
    const CHILD_FOLDER: &str = "AFFLUX_TEST_LOCK_FOLDER";
    /// What the child says when it has it.
    const HELD: &str = "the child has it";
    const ONE: InfoHash = InfoHash([1; 20]);
    const OTHER: InfoHash = InfoHash([2; 20]);

    #[test]
    fn a_torrent_has_one_owner_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("resume");
        let lock = ResumeLock::acquire(&dir, ONE).unwrap();
        assert_eq!(ResumeLock::acquire(&dir, ONE).unwrap_err(), LockError::InUse);
        assert!(ResumeLock::acquire(&dir, OTHER).is_ok(), "another torrent is nobody's concern");
        assert!(ResumeLock::acquire(&folder.path().join("other"), ONE).is_ok(), "nor is another folder");
        drop(lock);
        assert!(ResumeLock::acquire(&dir, ONE).is_ok(), "a lock file that was left says nothing");
    }

    #[test]
    fn another_process_is_refused_and_its_end_frees_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "resume::lock::tests::child_that_holds_the_lock"])
            .env(CHILD_FOLDER, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(HELD)));
        assert_eq!(ResumeLock::acquire(folder.path(), ONE).unwrap_err(), LockError::InUse);
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(ResumeLock::acquire(folder.path(), ONE).is_ok());
    }

    #[test]
    #[ignore = "run by another_process_is_refused_and_its_end_frees_the_lock, in a process of its own"]
    fn child_that_holds_the_lock() {
        let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
        let _lock = ResumeLock::acquire(Path::new(&folder), ONE).unwrap();
        println!("{HELD}");
        // Until it's killed, or whoever started it is gone.
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }

    #[test]
    fn what_is_no_lock_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("{ONE}.lock"));
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        let error = ResumeLock::acquire(folder.path(), ONE).unwrap_err();
        assert_eq!(error, LockError::Disk(disk::Error::Symlink { path }));
        assert!(!folder.path().join("elsewhere").exists());
    }
}
