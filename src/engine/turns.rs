//! Runs of one torrent, one after the other: a new one waits until the old one has saved what it has and let go of its files.
//!
//! [`ResumeLock`] keeps other processes away and doesn't wait; within this process it's known that the other is about to end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use afflux_metainfo::InfoHash;
use afflux_storage::ResumeLock;
use afflux_storage::resume::LockError;

/// A run that ends saves within some seconds (`STOP_TIMEOUT` in `torrent`); a disk that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who has which torrent's resume data and files.
#[derive(Debug, Default)]
pub(super) struct Turns {
    taken: Mutex<BTreeSet<InfoHash>>,
    freed: Condvar,
}

/// The right to a torrent's resume data and files; it ends on drop.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    info_hash: InfoHash,
    lock: Option<ResumeLock>,
}

impl Turns {
    /// Waits for whoever of this process has the torrent, then locks it against others. Blocks.
    ///
    /// # Errors
    /// As for [`ResumeLock::acquire`]; also if whoever has it doesn't let go in time.
    pub(super) fn take(self: &Arc<Self>, folder: &Path, info_hash: InfoHash) -> Result<Turn, LockError> {
        let is_taken = |taken: &mut BTreeSet<InfoHash>| taken.contains(&info_hash);
        let waited = self.freed.wait_timeout_while(self.taken(), PATIENCE, is_taken);
        let (mut taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(info_hash) {
            return Err(LockError::InUse);
        }
        drop(taken);
        // Given back when the file can't be locked.
        let mut turn = Turn { turns: Arc::clone(self), info_hash, lock: None };
        turn.lock = Some(ResumeLock::acquire(folder, info_hash)?);
        Ok(turn)
    }

    /// Waits until nobody has anything, for as long as a run may take to end. Blocks.
    pub(super) fn wait_for_all(&self) {
        let waited = self.freed.wait_timeout_while(self.taken(), PATIENCE, |taken| !taken.is_empty());
        drop(waited);
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<InfoHash>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Whoever is woken finds the file unlocked.
        self.lock = None;
        self.turns.taken().remove(&self.info_hash);
        self.turns.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_of_a_torrent_waits_for_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let turns = Arc::new(Turns::default());
        let (one, other) = (InfoHash([1; 20]), InfoHash([2; 20]));
        let first = turns.take(folder.path(), one).unwrap();
        assert!(turns.take(folder.path(), other).is_ok(), "another torrent is nobody's concern");
        let (next, path) = (Arc::clone(&turns), folder.path().to_owned());
        let next = std::thread::spawn(move || next.take(&path, one).map(drop));
        drop(first);
        assert_eq!(next.join().unwrap(), Ok(()));
        turns.wait_for_all();
    }

    #[test]
    fn a_folder_that_cannot_be_locked_leaves_the_turn_free() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let turns = Arc::new(Turns::default());
        for _ in 0..2 {
            let refused = turns.take(&file, InfoHash([1; 20]));
            assert!(matches!(refused, Err(LockError::Disk(_))), "{refused:?}");
        }
    }
}
