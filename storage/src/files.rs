//! A torrent's files on disk, by offset in the torrent.
//!
//! Files are opened when they are first needed, through a bounded set of handles that all torrents share
//! (`handles`), and without following links that somebody planted (`walk`). They are sparse unless the user wants
//! all space taken at once; pad files (BEP 47) are zeros that exist nowhere; what belongs to files that aren't
//! wanted lies elsewhere (`places`, `parts`). Not here: threads, and what the bytes mean.

mod allocate;
mod gather;
mod handles;
mod hot;
mod moving;
mod opening;
mod parts;
mod places;
mod removing;
mod walk;
mod witness;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use afflux_metainfo::{FileIndex, PieceIndex};

use crate::cache::StoreId;
use crate::disk::Error;
use crate::lock::lock;
use crate::resume::Fingerprint;

pub use self::allocate::Allocation;
use self::gather::Gather;
pub(crate) use self::gather::write_all;
use self::handles::Handle;
pub(crate) use self::handles::Handles;
pub use self::hot::FileLoan;
pub use self::places::Survey;
pub(crate) use self::places::{PARTS, Places};
pub use self::removing::remove_files;
use self::walk::{fingerprint_of, retry, sync_folders};
use self::witness::{Witness, fingerprint};

/// A file that lost what was in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) file: FileIndex,
    /// From here on its bytes are gone.
    pub(crate) kept_bytes: u64,
    /// Nothing is known to be gone, but nothing can be trusted until it's checked.
    pub(crate) changed: bool,
}

/// One torrent's files.
pub(crate) struct Files {
    /// Held shared while bytes are read and written, so that no file moves away meanwhile. Nothing but `state` and
    /// the handles is locked under it.
    places: RwLock<Places>,
    handles: Arc<Handles>,
    store: StoreId,
    allocation: Allocation,
    state: Mutex<State>,
}

/// What is known of the files.
struct State {
    /// Written since the last [`sync`](Files::sync).
    dirty: BTreeSet<FileIndex>,
    /// Made since then: their names are to survive too.
    made: BTreeSet<FileIndex>,
    /// How long each file must be at least, since good bytes end there. Growing a shorter one would put holes where
    /// those bytes were, and they would be read out as zeros.
    least: Vec<u64>,
    least_parts: u64,
    /// Found shorter than that, or gone.
    damaged: BTreeSet<FileIndex>,
    /// Files that have all their space.
    allocated: BTreeSet<FileIndex>,
    /// Grows with each write.
    writes: u64,
    /// Whether somebody else changes files.
    witness: Witness,
}

impl State {
    fn least(&mut self, file: FileIndex) -> &mut u64 {
        if file == PARTS { &mut self.least_parts } else { &mut self.least[file.as_usize()] }
    }
}

impl Files {
    /// `survey`: the files as they were when it was decided what of them can be trusted.
    pub(crate) fn new(
        places: Places,
        handles: Arc<Handles>,
        store: StoreId,
        allocation: Allocation,
        survey: Survey,
    ) -> Self {
        let state = State {
            dirty: BTreeSet::new(),
            made: BTreeSet::new(),
            least: vec![0; places.layout.files().len()],
            least_parts: 0,
            damaged: BTreeSet::new(),
            allocated: BTreeSet::new(),
            writes: 0,
            witness: Witness::new(survey),
        };
        Self { places: RwLock::new(places), handles, store, allocation, state: Mutex::new(state) }
    }

    /// Notes that the bytes of these pieces are good.
    pub(crate) fn trust(&self, pieces: impl IntoIterator<Item = PieceIndex>) {
        let places = self.places();
        let mut state = lock(&self.state);
        for piece in pieces {
            let start = places.layout.piece_offset(piece);
            let end = start + u64::from(places.layout.length_of(piece));
            for slice in places.layout.file_slices(start..end) {
                let (file, offset) = places.place(slice.file, slice.offset);
                let least = state.least(file);
                *least = (*least).max(offset + slice.length);
            }
        }
    }

    /// Files that were found damaged since the last call.
    pub(crate) fn survey_damage(&self) -> Vec<Damage> {
        let places = self.places();
        let (damaged, changed) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.damaged), state.witness.take_changed())
        };
        let mut found = Vec::new();
        for file in damaged.union(&changed).copied() {
            self.handles.close((self.store, file));
            let length = places.fingerprint(file).map_or(0, |now| now.length);
            {
                let mut state = lock(&self.state);
                // Whatever is there now, it's where we begin from.
                state.witness.forget(file);
                let least = state.least(file);
                *least = (*least).min(length);
            }
            let changed = changed.contains(&file);
            let kept = |offset: u64| if changed { 0 } else { length.saturating_sub(offset) };
            if file == PARTS {
                let spans = (0u32..).zip(places.layout.files());
                let inside = spans.filter(|(number, _)| places.is_in_parts(FileIndex(*number)));
                found.extend(inside.map(|(number, span)| {
                    let kept_bytes = kept(span.offset).min(span.length);
                    Damage { file: FileIndex(number), kept_bytes, changed }
                }));
            } else {
                found.push(Damage { file, kept_bytes: kept(0), changed });
            }
        }
        found
    }

    /// Fills `buffer` with the torrent's bytes from `offset` on.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let places = self.places();
        let mut rest = buffer;
        let end = offset + rest.len() as u64;
        for slice in places.layout.file_slices(offset..end) {
            let (part, behind) = rest.split_at_mut(slice.length as usize);
            rest = behind;
            if places.layout.files()[slice.file.as_usize()].pad {
                part.fill(0);
            } else {
                let (file, offset) = places.place(slice.file, slice.offset);
                let outcome = self.read_file(&places, file, offset, part);
                outcome.inspect_err(|error| self.note_damage(file, error))?;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Error::Misuse("a read beyond the end of the torrent")) }
    }

    /// Writes buffers one behind the other from `offset` of the torrent on.
    pub(crate) fn write_at(&self, offset: u64, buffers: &[&[u8]]) -> Result<(), Error> {
        let places = self.places();
        let length: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut rest = Gather::new(buffers);
        for slice in places.layout.file_slices(offset..offset + length as u64) {
            let parts = rest.take(slice.length as usize);
            if !places.layout.files()[slice.file.as_usize()].pad {
                let (file, offset) = places.place(slice.file, slice.offset);
                let outcome = self.write_file(&places, file, offset, parts);
                outcome.inspect_err(|error| self.note_damage(file, error))?;
            }
        }
        Ok(())
    }

    /// Creates the wanted files that have no bytes, since no piece ever will.
    pub(crate) fn create_empty(&self) -> Result<(), Error> {
        let places = self.places();
        for (number, span) in (0u32..).zip(places.layout.files()) {
            let file = FileIndex(number);
            if span.length == 0 && !span.pad && !places.is_in_parts(file) {
                self.open(&places, file, true, None)?;
            }
        }
        Ok(())
    }

    /// Makes what was written survive a power cut: bytes, lengths and names.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let places = self.places();
        let (dirty, made) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.dirty), std::mem::take(&mut state.made))
        };
        let mut outcome = Ok(());
        for file in dirty {
            // Whether it was changed is for those to say who read or write it.
            let handle = match self.handles.get((self.store, file), true) {
                Some(handle) => Ok(handle),
                None => self.open_handle(&places, file, true, None),
            };
            let synced = handle.and_then(|handle| {
                retry(|| rustix::fs::fdatasync(&handle.fd))
                    .map_err(|errno| Error::from_errno("syncing", &places.path(file), errno))
            });
            if let Err(error) = synced {
                lock(&self.state).dirty.insert(file);
                outcome = Err(error);
            }
        }
        let folders: BTreeSet<&[String]> = made
            .iter()
            .filter_map(|file| places.path_below(*file).split_last())
            .map(|(_, folders)| folders)
            .collect();
        for folder in folders {
            if let Err(error) = sync_folders(&places.root, folder) {
                lock(&self.state).made.extend(&made);
                outcome = Err(error);
                break;
            }
        }
        outcome
    }

    /// Every file as it is now.
    pub(crate) fn survey(&self) -> Survey {
        self.places().survey()
    }

    /// The files that the user gave another path, and those paths.
    pub(crate) fn renamed(&self) -> Vec<(FileIndex, Vec<String>)> {
        self.places().renamed.iter().map(|(file, path)| (*file, path.clone())).collect()
    }

    /// Closes this torrent's handles.
    pub(crate) fn close(&self) {
        self.handles.close_store(self.store);
    }

    fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn places_to_change(&self) -> RwLockWriteGuard<'_, Places> {
        self.places.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_file(
        &self,
        places: &Places,
        file: FileIndex,
        mut offset: u64,
        mut buffer: &mut [u8],
    ) -> Result<(), Error> {
        let handle = self.handle(places, file, false)?;
        let before = lock(&self.state).witness.known(file);
        while !buffer.is_empty() {
            let count = retry(|| rustix::io::pread(&handle.fd, &mut *buffer, offset))
                .map_err(|errno| Error::from_errno("reading", &places.path(file), errno))?;
            if count == 0 {
                return Err(Error::Truncated { path: places.path(file) });
            }
            offset += count as u64;
            buffer = &mut buffer[count..];
        }
        self.attest(places, file, before, fingerprint(&handle))
    }

    fn write_file(
        &self,
        places: &Places,
        file: FileIndex,
        offset: u64,
        parts: Vec<&[u8]>,
    ) -> Result<(), Error> {
        let before = {
            let mut state = lock(&self.state);
            state.writes += 1;
            state.witness.begin_write(file)
        };
        let outcome = self.write_known(places, file, before, offset, parts);
        let now = self.handles.get((self.store, file), true).and_then(|handle| fingerprint(&handle));
        let mut state = lock(&self.state);
        state.witness.end_write(file, now);
        let end = outcome?;
        state.dirty.insert(file);
        let least = state.least(file);
        *least = (*least).max(end);
        Ok(())
    }

    /// Writes to a file if it is as it was `before`; gives where that ends.
    fn write_known(
        &self,
        places: &Places,
        file: FileIndex,
        before: Option<Fingerprint>,
        offset: u64,
        mut parts: Vec<&[u8]>,
    ) -> Result<u64, Error> {
        let handle = match self.handles.get((self.store, file), true) {
            Some(handle) => {
                self.examine(places, file, &handle, before)?;
                handle
            }
            None => self.open_handle(places, file, true, before)?,
        };
        let end = offset + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        write_all(&handle.fd, offset, &mut parts)
            .map_err(|errno| Error::from_errno("writing", &places.path(file), errno))?;
        Ok(end)
    }

    /// Makes sure that the file behind a handle still has a name and the good bytes that it had.
    fn examine(
        &self,
        places: &Places,
        file: FileIndex,
        handle: &Handle,
        before: Option<Fingerprint>,
    ) -> Result<(), Error> {
        let stat = retry(|| rustix::fs::fstat(&handle.fd))
            .map_err(|errno| Error::from_errno("examining", &places.path(file), errno))?;
        let least = *lock(&self.state).least(file);
        match stat.st_nlink {
            0 => Err(Error::Missing { path: places.path(file) }),
            _ if (stat.st_size as u64) < least => Err(Error::Truncated { path: places.path(file) }),
            _ if before.is_some() && before != fingerprint_of(&stat) => Err(self.changed(places, file)),
            _ => Ok(()),
        }
    }

    fn note_damage(&self, file: FileIndex, error: &Error) {
        if error.is_loss() {
            lock(&self.state).damaged.insert(file);
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
