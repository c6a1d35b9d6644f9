//! Opening a torrent's storage with what is remembered of it, and remembering.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use afflux_metainfo::info::Info;
use afflux_metainfo::{Bitfield, FileIndex, InfoHash, Layout, PieceIndex};
use afflux_storage::resume::{self, Leftovers, LockError, Partial, Trusted};
use afflux_storage::{Allocation, Event, FileOptions, Kind, Resume, Store, StoreConfig, Survey};
use afflux_swarm::Priority;
use tracing::warn;

use super::Shared;
use super::shares::Share;
use super::torrent::Ready;
use super::turns::{Turn, Turns};

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
    /// Files that are there and aren't the torrent's may be replaced.
    pub(super) overwrite: bool,
    /// When files take their space.
    pub(super) allocation: Allocation,
}

/// A torrent's storage, as it was found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) info: Arc<Info>,
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
    /// Pieces that were under way: what is on disk of them.
    pub(super) partial: Vec<Partial>,
    /// Files that may be somebody else's.
    pub(super) strangers: Vec<FileIndex>,
    /// Nothing is remembered of it yet.
    pub(super) is_new: bool,
    /// How much each file was wanted the last time; empty if nothing was ever said.
    pub(super) priorities: Vec<Priority>,
    /// The right to its resume data, for as long as any of it may be saved.
    pub(super) lock: Option<Turn>,
}

/// Opens storage. Blocks; the error is a sentence for people.
pub(super) fn open(
    info: Arc<Info>,
    place: &Place,
    shared: &Shared,
    notify: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<Opened, String> {
    let layout = Arc::new(info.layout.clone());
    let hashes = info.piece_hashes.as_ref().ok_or("the torrent has no v1 piece hashes")?;
    let kind = shared.fitting_kind(&layout, &place.kind)?;
    let share = shared.share(&layout, &kind)?;
    let lock = lock(place, &shared.turns)?;
    let hashes: Arc<[[u8; 20]]> = hashes.iter().copied().collect();
    let found = found(&layout, &hashes, place, shared.seed())?;
    let priorities: Vec<Priority> = found.priorities.iter().map(|byte| Priority::from_byte(*byte)).collect();
    let config = StoreConfig {
        info_hash: place.info_hash,
        kind,
        layout: Arc::clone(&layout),
        hashes,
        have: found.trusted.have.clone(),
        unwanted: unwanted(&priorities),
        files: FileOptions {
            allocation: place.allocation,
            survey: found.trusted.survey,
            renamed: found.renamed,
        },
        read_only: place.read_only,
    };
    let store = Store::open(config, &shared.disk, &shared.pool, notify).map_err(|error| error.to_string())?;
    let Trusted { have, recheck, spots, mut partial, .. } = found.trusted;
    partial.retain(|partial| !recheck.contains(partial.piece) && store.resume(partial));
    let (strangers, is_new) = (found.strangers, found.is_new);
    Ok(Opened {
        info,
        layout,
        store,
        share,
        have,
        recheck,
        spots,
        partial,
        strangers,
        is_new,
        priorities,
        lock,
    })
}

/// The files that aren't wanted.
pub(super) fn unwanted(priorities: &[Priority]) -> Vec<FileIndex> {
    let off = (0u32..).zip(priorities).filter(|(_, priority)| **priority == Priority::Off);
    off.map(|(file, _)| FileIndex(file)).collect()
}

/// The right to the resume data, where there is any. Two processes with one torrent's would undo each other's; an older run of
/// ours is waited for.
fn lock(place: &Place, turns: &Arc<Turns>) -> Result<Option<Turn>, String> {
    let Some(folder) = &place.resume_dir else { return Ok(None) };
    match turns.take(folder, place.info_hash) {
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
    strangers: Vec<FileIndex>,
    is_new: bool,
}

impl Found {
    fn new(recheck: Bitfield, strangers: Vec<FileIndex>) -> Self {
        let none = || Bitfield::new(recheck.length());
        let trusted =
            Trusted { have: none(), spots: none(), partial: Vec::new(), survey: Survey::default(), recheck };
        Self { trusted, renamed: Vec::new(), priorities: Vec::new(), strangers, is_new: true }
    }
}

/// Looks for what is on disk already: what to believe, and what to verify first. The error is a sentence for people.
fn found(layout: &Arc<Layout>, hashes: &[[u8; 20]], place: &Place, seed: u64) -> Result<Found, String> {
    let Kind::Disk { dir } = &place.kind else {
        return Ok(Found::new(Bitfield::new(layout.piece_count()), Vec::new()));
    };
    let leftovers = |renamed: &[_]| Leftovers::find(layout, dir, place.info_hash, renamed, hashes);
    let trusted = remembered(place).and_then(|resume| match resume.trust(layout, dir, seed) {
        Ok(trusted) => Some((resume, trusted)),
        Err(error) => {
            set_aside(place, &error);
            None
        }
    });
    let Some((resume, mut trusted)) = trusted else {
        let Leftovers { pieces, files } = leftovers(&[]);
        return Ok(Found::new(pieces, strangers(layout, place, dir, &files)?));
    };
    if place.recheck {
        let recheck = leftovers(&resume.renamed).pieces;
        trusted = Found::new(recheck, Vec::new()).trusted;
        for piece in resume.have.iter() {
            trusted.recheck.insert(piece);
        }
    }
    let (renamed, priorities) = (resume.renamed, resume.priorities);
    Ok(Found { trusted, renamed, priorities, strangers: Vec::new(), is_new: false })
}

/// What was remembered, if it can be used.
fn remembered(place: &Place) -> Option<Resume> {
    let folder = place.resume_dir.as_ref()?;
    match Resume::load(folder, place.info_hash) {
        // The info dictionary is known by now, and may be long.
        Ok(resume) => resume.map(|resume| Resume { extra: Vec::new(), ..resume }),
        Err(resume::Error::Disk(error)) => {
            warn!(%error, "the resume data can't be read; files are checked instead");
            None
        }
        Err(error) => {
            set_aside(place, &error);
            None
        }
    }
}

fn set_aside(place: &Place, error: &resume::Error) {
    warn!(%error, "the resume data can't be used; it is set aside, and files are checked instead");
    if let Some(Err(error)) = place.resume_dir.as_ref().map(|dir| Resume::set_aside(dir, place.info_hash)) {
        warn!(%error, "the resume data can't be set aside");
    }
}

/// The files of which nothing is remembered and that would be written to. One that is longer than the torrent's is
/// surely another; of the rest a check will tell.
fn strangers(
    layout: &Layout,
    place: &Place,
    dir: &Path,
    files: &[(FileIndex, u64)],
) -> Result<Vec<FileIndex>, String> {
    if place.read_only || place.overwrite {
        return Ok(Vec::new());
    }
    let spans = layout.files();
    if let Some((file, length)) = files.iter().find(|(file, length)| *length > spans[file.as_usize()].length)
    {
        let theirs = spans[file.as_usize()].length;
        return Err(in_the_way(
            layout,
            dir,
            *file,
            &format!("it has {length} bytes and the torrent's has {theirs}"),
        ));
    }
    Ok(files.iter().map(|(file, _)| *file).collect())
}

/// A file that isn't the torrent's, as a sentence for people: none of the pieces that lie in it whole is right.
pub(super) fn stranger(
    layout: &Layout,
    dir: &Path,
    strangers: &[FileIndex],
    have: &Bitfield,
) -> Option<String> {
    let is_strange = |file: &&FileIndex| {
        let range = layout.files()[file.as_usize()].range();
        let length = u64::from(layout.piece_length());
        let mut whole = (range.start.div_ceil(length)..range.end / length)
            .map(|piece| PieceIndex(piece as u32))
            .peekable();
        whole.peek().is_some() && !whole.any(|piece| have.contains(piece))
    };
    let file = strangers.iter().find(is_strange)?;
    Some(in_the_way(layout, dir, *file, "none of its pieces is right"))
}

fn in_the_way(layout: &Layout, dir: &Path, file: FileIndex, why: &str) -> String {
    let path =
        layout.files()[file.as_usize()].path.iter().fold(dir.to_path_buf(), |path, name| path.join(name));
    format!(
        "{} is there already and isn't this torrent's ({why}): move it away, use another folder, or say --overwrite",
        path.display()
    )
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
            overwrite: false,
            allocation: Allocation::Sparse,
        };
        let held = lock(&place, &Arc::default()).unwrap();
        assert!(held.is_some());
        let sentence = lock(&place, &Arc::default()).unwrap_err();
        assert!(sentence.contains("another afflux") && sentence.contains("--data-dir"), "{sentence}");
        let in_memory = Place { resume_dir: None, kind: Kind::Memory, ..place.clone() };
        assert!(
            lock(&in_memory, &Arc::default()).unwrap().is_none(),
            "nothing is remembered, nothing is locked"
        );
        drop(held);
        assert!(lock(&place, &Arc::default()).unwrap().is_some());
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
            overwrite: false,
            allocation: Allocation::Sparse,
        };
        assert!(lock(&place, &Arc::default()).unwrap().is_none());
    }
}
