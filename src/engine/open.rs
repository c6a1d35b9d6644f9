//! Opening a torrent's storage with what is remembered of it, and remembering.

use std::path::PathBuf;
use std::sync::Arc;

use afflux_metainfo::info::Info;
use afflux_metainfo::{Bitfield, InfoHash, Layout, PieceIndex};
use afflux_storage::resume::{LockError, ResumeLock};
use afflux_storage::{Event, Kind, Resume, Store, StoreConfig};
use tracing::warn;

use super::Shared;
use super::shares::Share;
use super::torrent::Ready;

/// Where a torrent's bytes and its resume data go.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) info_hash: InfoHash,
    pub(super) kind: Kind,
    /// Never creates or changes a file (seeding).
    pub(super) read_only: bool,
    /// Folder of resume files; `None`: nothing is remembered.
    pub(super) resume_dir: Option<PathBuf>,
    /// Verify what is on disk, whatever resume data says.
    pub(super) recheck: bool,
}

/// A torrent's storage, as it was found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) info: Info,
    pub(super) layout: Arc<Layout>,
    pub(super) store: Store,
    /// Its part of the memory, if it lives there.
    pub(super) share: Option<Share>,
    /// Pieces to believe in at once.
    pub(super) have: Bitfield,
    /// Pieces that may be there and must be verified first.
    pub(super) recheck: Bitfield,
    /// The right to its resume data, for as long as any of it may be saved.
    pub(super) lock: Option<ResumeLock>,
}

/// Opens storage. Blocks; the error is a sentence for people.
pub(super) fn open(
    info: Info,
    place: &Place,
    shared: &Shared,
    notify: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<Opened, String> {
    let layout = Arc::new(info.layout.clone());
    let hashes = info.piece_hashes.as_ref().ok_or("the torrent has no v1 piece hashes")?;
    let kind = shared.fitting_kind(&layout, &place.kind)?;
    let share = shared.share(&layout, &kind)?;
    let lock = lock(place)?;
    let (have, recheck) = found(&layout, place);
    let config = StoreConfig {
        info_hash: place.info_hash,
        kind,
        layout: Arc::clone(&layout),
        hashes: hashes.iter().copied().collect(),
        have: have.clone(),
        unwanted: Vec::new(),
        read_only: place.read_only,
    };
    let store = Store::open(config, &shared.disk, &shared.pool, notify).map_err(|error| error.to_string())?;
    Ok(Opened { info, layout, store, share, have, recheck, lock })
}

/// The right to the resume data, where there is any. Two processes with one torrent's would undo each other's.
fn lock(place: &Place) -> Result<Option<ResumeLock>, String> {
    let Some(folder) = &place.resume_dir else { return Ok(None) };
    match ResumeLock::acquire(folder, place.info_hash) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ LockError::InUse) => Err(error.to_string()),
        // Where nothing can be locked most likely nothing can be saved either, and that only costs a check.
        Err(LockError::Disk(error)) => {
            warn!(%error, "the resume data can't be locked against other processes");
            Ok(None)
        }
    }
}

/// What is on disk already: what to believe, and what to verify first.
fn found(layout: &Layout, place: &Place) -> (Bitfield, Bitfield) {
    let nothing = Bitfield::new(layout.piece_count());
    let Kind::Disk { dir } = &place.kind else { return (nothing.clone(), nothing) };
    let remembered = match &place.resume_dir {
        Some(folder) if !place.recheck => match Resume::load(folder, place.info_hash) {
            Ok(resume) => resume,
            Err(error) => {
                warn!(%error, "the resume data can't be used; files are checked instead");
                None
            }
        },
        _ => None,
    };
    let trusted = remembered.and_then(|resume| match resume.trust(layout, dir) {
        Ok(trusted) => Some(trusted),
        Err(error) => {
            warn!(%error, "the resume data doesn't fit the torrent; files are checked instead");
            None
        }
    });
    match trusted {
        Some(trusted) => (trusted.have, trusted.recheck),
        None => (nothing, on_disk(layout, dir)),
    }
}

/// The pieces of files that exist with any length: they may be right.
fn on_disk(layout: &Layout, dir: &std::path::Path) -> Bitfield {
    let mut pieces = Bitfield::new(layout.piece_count());
    for file in layout.files().iter().filter(|file| !file.pad && file.length > 0) {
        let path = file.path.iter().fold(dir.to_path_buf(), |path, part| path.join(part));
        let length =
            std::fs::symlink_metadata(&path).map_or(0, |facts| if facts.is_file() { facts.len() } else { 0 });
        for piece in layout.pieces_of(file.offset..file.offset + length.min(file.length)) {
            pieces.insert(PieceIndex(piece));
        }
    }
    pieces
}

/// Remembers what is verified and written. Blocks.
pub(super) fn save(ready: &Ready, place: &Place) {
    let Some(folder) = place.resume_dir.as_ref().filter(|_| matches!(place.kind, Kind::Disk { .. })) else {
        return;
    };
    let mut resume = ready.store.snapshot();
    resume.extra = ready.info.raw.to_vec();
    if let Err(error) = resume.save(folder) {
        warn!(%error, "resume data can't be saved; files will be checked at the next start");
    }
}

/// Ends a torrent's storage and remembers it as left in good order. Blocks.
pub(super) fn close(ready: &Ready, place: &Place) {
    ready.store.close();
    match ready.store.sync() {
        Ok(()) => save(ready, place),
        // What was saved before isn't marked clean, so the next start looks again at what was touched since.
        Err(error) => {
            warn!(%error, "what was written may not survive a power cut; it is checked at the next start")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_that_somebody_else_works_on_is_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            info_hash: InfoHash([1; 20]),
            kind: Kind::Disk { dir: folder.path().join("out") },
            read_only: false,
            resume_dir: Some(folder.path().join("resume")),
            recheck: false,
        };
        let held = lock(&place).unwrap();
        assert!(held.is_some());
        let sentence = lock(&place).unwrap_err();
        assert!(sentence.contains("another afflux") && sentence.contains("--data-dir"), "{sentence}");
        let in_memory = Place { resume_dir: None, kind: Kind::Memory, ..place.clone() };
        assert!(lock(&in_memory).unwrap().is_none(), "nothing is remembered, nothing is locked");
        drop(held);
        assert!(lock(&place).unwrap().is_some());
    }

    #[test]
    fn a_folder_without_locks_is_worked_in_without() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let place = Place {
            info_hash: InfoHash([1; 20]),
            kind: Kind::Disk { dir: folder.path().join("out") },
            read_only: false,
            resume_dir: Some(file),
            recheck: false,
        };
        assert!(lock(&place).unwrap().is_none());
    }
}
