//! Opening a torrent's storage with what is remembered of it, and remembering.

use std::path::PathBuf;
use std::sync::Arc;

use afflux_metainfo::info::Info;
use afflux_metainfo::{Bitfield, FileIndex, InfoHash, Layout, PieceIndex};
use afflux_storage::resume::{LockError, ResumeLock, Trusted, candidates};
use afflux_storage::{Allocation, Event, FileOptions, Kind, Resume, Store, StoreConfig};
use afflux_swarm::Priority;
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
    /// When files take their space.
    pub(super) allocation: Allocation,
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
    /// Pieces to believe in that are verified all the same, to see whether their files can be trusted.
    pub(super) spots: Bitfield,
    /// How much each file was wanted the last time; empty if nothing was ever said.
    pub(super) priorities: Vec<Priority>,
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
    let hashes: Arc<[[u8; 20]]> = hashes.iter().copied().collect();
    let found = found(&layout, &hashes, place, shared.seed());
    let priorities: Vec<Priority> = found.priorities.iter().map(|byte| Priority::from_byte(*byte)).collect();
    let config = StoreConfig {
        info_hash: place.info_hash,
        kind,
        layout: Arc::clone(&layout),
        hashes,
        have: found.trusted.have.clone(),
        unwanted: unwanted(&priorities),
        files: FileOptions { allocation: place.allocation, renamed: found.renamed },
        read_only: place.read_only,
    };
    let store = Store::open(config, &shared.disk, &shared.pool, notify).map_err(|error| error.to_string())?;
    let Trusted { have, recheck, spots, .. } = found.trusted;
    Ok(Opened { info, layout, store, share, have, recheck, spots, priorities, lock })
}

/// The files that aren't wanted.
pub(super) fn unwanted(priorities: &[Priority]) -> Vec<FileIndex> {
    let off = (0u32..).zip(priorities).filter(|(_, priority)| **priority == Priority::Off);
    off.map(|(file, _)| FileIndex(file)).collect()
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

/// What is on disk already.
struct Found {
    trusted: Trusted,
    renamed: Vec<(FileIndex, Vec<String>)>,
    priorities: Vec<u8>,
}

/// Looks for what is on disk already: what to believe, and what to verify first.
fn found(layout: &Arc<Layout>, hashes: &[[u8; 20]], place: &Place, seed: u64) -> Found {
    let none = || Bitfield::new(layout.piece_count());
    let unknown = |recheck| Found {
        trusted: Trusted { have: none(), recheck, spots: none(), partial: Vec::new() },
        renamed: Vec::new(),
        priorities: Vec::new(),
    };
    let Kind::Disk { dir } = &place.kind else { return unknown(none()) };
    let Some(resume) = remembered(place) else {
        return unknown(candidates(layout, dir, place.info_hash, hashes));
    };
    match resume.trust(layout, dir, seed) {
        Ok(mut trusted) => {
            if place.recheck {
                trusted.recheck = candidates(layout, dir, place.info_hash, hashes);
                for piece in resume.have.iter() {
                    trusted.recheck.insert(piece);
                }
                (trusted.have, trusted.spots, trusted.partial) = (none(), none(), Vec::new());
            }
            Found { trusted, renamed: resume.renamed, priorities: resume.priorities }
        }
        Err(error) => {
            warn!(%error, "the resume data doesn't fit the torrent; files are checked instead");
            unknown(candidates(layout, dir, place.info_hash, hashes))
        }
    }
}

/// What was remembered, if it can be used.
fn remembered(place: &Place) -> Option<Resume> {
    let folder = place.resume_dir.as_ref()?;
    Resume::load(folder, place.info_hash).unwrap_or_else(|error| {
        warn!(%error, "the resume data can't be used; files are checked instead");
        None
    })
}

/// Remembers what is verified and written. Blocks.
pub(super) fn save(ready: &Ready, place: &Place, priorities: &[Priority]) {
    let Some(folder) = place.resume_dir.as_ref().filter(|_| matches!(place.kind, Kind::Disk { .. })) else {
        return;
    };
    let saved = ready.store.snapshot().and_then(|mut resume| {
        resume.extra = ready.info.raw.to_vec();
        resume.priorities = priorities.iter().map(|priority| priority.to_byte()).collect();
        resume.save(folder)
    });
    if let Err(error) = saved {
        // What was saved before isn't marked clean, so the next start looks again at what was touched since.
        warn!(%error, "resume data can't be saved; files will be checked at the next start");
    }
}

/// Ends a torrent's storage and remembers it as left in good order. Blocks.
pub(super) fn close(ready: &Ready, place: &Place, priorities: &[Priority]) {
    ready.store.close();
    save(ready, place, priorities);
}

/// All pieces of the files that these pieces lie in, but for those that were looked at already.
pub(super) fn suspects(layout: &Layout, wrong: &Bitfield, checked: &Bitfield) -> Vec<PieceIndex> {
    let mut suspects = Bitfield::new(layout.piece_count());
    for piece in wrong.iter() {
        let start = layout.piece_offset(piece);
        for slice in layout.file_slices(start..start + u64::from(layout.length_of(piece))) {
            for piece in layout.pieces_of(layout.files()[slice.file.as_usize()].range()).map(PieceIndex) {
                suspects.insert(piece);
            }
        }
    }
    suspects.iter().filter(|piece| !checked.contains(*piece)).collect()
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
            allocation: Allocation::Sparse,
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
            allocation: Allocation::Sparse,
        };
        assert!(lock(&place).unwrap().is_none());
    }
}
