//! A torrent's files on disk, by offset in the torrent.
//!
//! Files are opened when they are first needed, through a bounded set of handles that all torrents share
//! (`handles`), and without following links that somebody planted (`walk`). They are sparse unless the user wants
//! all space taken at once; pad files (BEP 47) are zeros that exist nowhere; what belongs to files that aren't
//! wanted lies elsewhere (`places`, `parts`). Not here: threads, and what the bytes mean.

mod handles;
mod hot;
mod moving;
mod parts;
mod places;
mod walk;

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use afflux_metainfo::{FileIndex, PieceIndex, index::BLOCK_LENGTH};
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::cache::StoreId;
use crate::disk::Error;
use crate::limits::WRITE_SLICES_MAX;
use crate::lock::lock;

use self::handles::Handle;
pub(crate) use self::handles::Handles;
pub use self::hot::FileLoan;
pub(crate) use self::places::{PARTS, Places, Survey};
use self::walk::{Access, retry, sync_folders};

/// When a file takes its space on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocation {
    /// It grows as it is written, and has its length at the end.
    None,
    /// It has its length at once, as a hole that is filled: players and file managers see the size that will be.
    #[default]
    Sparse,
    /// All of it is taken when it is first written, so that the disk can't become full halfway, and the file isn't
    /// scattered. Where the file system can't, the file is sparse.
    Full,
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
}

impl State {
    fn least(&mut self, file: FileIndex) -> &mut u64 {
        if file == PARTS { &mut self.least_parts } else { &mut self.least[file.as_usize()] }
    }
}

impl Files {
    pub(crate) fn new(places: Places, handles: Arc<Handles>, store: StoreId, allocation: Allocation) -> Self {
        let state = State {
            dirty: BTreeSet::new(),
            made: BTreeSet::new(),
            least: vec![0; places.layout.files().len()],
            least_parts: 0,
            damaged: BTreeSet::new(),
            allocated: BTreeSet::new(),
            writes: 0,
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

    /// Files that were found damaged since the last call, with the length they still have.
    pub(crate) fn survey_damage(&self) -> Vec<(FileIndex, u64)> {
        let places = self.places();
        let damaged = std::mem::take(&mut lock(&self.state).damaged);
        let mut found = Vec::new();
        for file in damaged {
            self.handles.close((self.store, file));
            let length = places.fingerprint(file).map_or(0, |now| now.length);
            {
                let mut state = lock(&self.state);
                let least = state.least(file);
                *least = (*least).min(length);
            }
            if file == PARTS {
                let spans = (0u32..).zip(places.layout.files());
                let inside = spans.filter(|(number, _)| places.is_in_parts(FileIndex(*number)));
                found.extend(inside.map(|(number, span)| {
                    (FileIndex(number), length.saturating_sub(span.offset).min(span.length))
                }));
            } else {
                found.push((file, length));
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
        let mut rest = Gather { buffers, skip: 0 };
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
                self.open(&places, file, true)?;
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
            let synced = self.handle(&places, file, true).and_then(|handle| {
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
        while !buffer.is_empty() {
            let count = retry(|| rustix::io::pread(&handle.fd, &mut *buffer, offset))
                .map_err(|errno| Error::from_errno("reading", &places.path(file), errno))?;
            if count == 0 {
                return Err(Error::Truncated { path: places.path(file) });
            }
            offset += count as u64;
            buffer = &mut buffer[count..];
        }
        Ok(())
    }

    fn write_file(
        &self,
        places: &Places,
        file: FileIndex,
        offset: u64,
        mut parts: Vec<&[u8]>,
    ) -> Result<(), Error> {
        let handle = self.handle(places, file, true)?;
        self.examine(places, file, &handle)?;
        lock(&self.state).writes += 1;
        let end = offset + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        write_all(&handle.fd, offset, &mut parts)
            .map_err(|errno| Error::from_errno("writing", &places.path(file), errno))?;
        let mut state = lock(&self.state);
        state.dirty.insert(file);
        let least = state.least(file);
        *least = (*least).max(end);
        Ok(())
    }

    /// Makes sure that the file behind a handle still has a name and the good bytes that it had.
    fn examine(&self, places: &Places, file: FileIndex, handle: &Handle) -> Result<(), Error> {
        let stat = retry(|| rustix::fs::fstat(&handle.fd))
            .map_err(|errno| Error::from_errno("examining", &places.path(file), errno))?;
        let least = *lock(&self.state).least(file);
        match stat.st_nlink {
            0 => Err(Error::Missing { path: places.path(file) }),
            _ if (stat.st_size as u64) < least => Err(Error::Truncated { path: places.path(file) }),
            _ => Ok(()),
        }
    }

    fn note_damage(&self, file: FileIndex, error: &Error) {
        if error.is_loss() {
            lock(&self.state).damaged.insert(file);
        }
    }

    fn handle(&self, places: &Places, file: FileIndex, writable: bool) -> Result<Arc<Handle>, Error> {
        if let Some(handle) = self.handles.get((self.store, file), writable) {
            return Ok(handle);
        }
        let handle = Arc::new(Handle { fd: self.open(places, file, writable)?, writable });
        self.handles.insert((self.store, file), handle.clone());
        Ok(handle)
    }

    fn open(&self, places: &Places, file: FileIndex, writable: bool) -> Result<OwnedFd, Error> {
        let least = *lock(&self.state).least(file);
        let access = match (writable, least) {
            (false, _) => Access::Read,
            (true, 0) => Access::Create,
            (true, _) => Access::Write,
        };
        let fd = places.open(file, access)?;
        let path = || places.path(file);
        let stat =
            retry(|| rustix::fs::fstat(&fd)).map_err(|e| Error::from_errno("examining", &path(), e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::InTheWay { path: path() });
        }
        if writable && (stat.st_size as u64) < least {
            return Err(Error::Truncated { path: path() });
        }
        if access == Access::Create {
            lock(&self.state).made.insert(file);
        }
        if writable && file != PARTS {
            let length = places.layout.files()[file.as_usize()].length;
            self.allocate(file, &fd, &stat, length)
                .map_err(|errno| Error::from_errno("growing", &path(), errno))?;
        }
        Ok(fd)
    }

    /// Gives a file its length, and its space if it's to have that now.
    fn allocate(
        &self,
        file: FileIndex,
        fd: &OwnedFd,
        stat: &rustix::fs::Stat,
        length: u64,
    ) -> rustix::io::Result<()> {
        let short = (stat.st_size as u64) < length;
        match self.allocation {
            Allocation::None => return Ok(()),
            Allocation::Sparse => {}
            Allocation::Full => {
                if length == 0 || !lock(&self.state).allocated.insert(file) {
                    return Ok(());
                }
                match take_space(fd, length) {
                    Ok(()) => return Ok(()),
                    // File systems that can't take space in advance.
                    Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                    Err(errno) => {
                        lock(&self.state).allocated.remove(&file);
                        // What was taken so far is given back: others need it, and it helps nobody here.
                        let _ = rustix::fs::ftruncate(fd, stat.st_size as u64);
                        return Err(errno);
                    }
                }
            }
        }
        if short { retry(|| rustix::fs::ftruncate(fd, length)) } else { Ok(()) }
    }
}

#[cfg(target_os = "linux")]
fn take_space(fd: &OwnedFd, length: u64) -> rustix::io::Result<()> {
    retry(|| rustix::fs::fallocate(fd, rustix::fs::FallocateFlags::empty(), 0, length))
}

#[cfg(not(target_os = "linux"))]
fn take_space(_fd: &OwnedFd, _length: u64) -> rustix::io::Result<()> {
    Err(Errno::OPNOTSUPP)
}

impl Drop for Files {
    fn drop(&mut self) {
        self.close();
    }
}

/// What is left of a row of buffers.
struct Gather<'a> {
    buffers: &'a [&'a [u8]],
    /// Bytes of the first buffer that are used up.
    skip: usize,
}

impl<'a> Gather<'a> {
    fn take(&mut self, mut length: usize) -> Vec<&'a [u8]> {
        let mut parts = Vec::with_capacity(length.div_ceil(BLOCK_LENGTH as usize).min(self.buffers.len()));
        while length > 0
            && let Some((first, behind)) = self.buffers.split_first()
        {
            let part = &first[self.skip..];
            let count = part.len().min(length);
            parts.push(&part[..count]);
            length -= count;
            self.skip += count;
            if self.skip == first.len() {
                (self.buffers, self.skip) = (behind, 0);
            }
        }
        parts
    }
}

/// Writes parts one behind the other from `offset` on.
pub(crate) fn write_all(fd: &OwnedFd, mut offset: u64, parts: &mut [&[u8]]) -> rustix::io::Result<()> {
    let mut rest = parts;
    while !rest.is_empty() {
        let slices: Vec<IoSlice<'_>> =
            rest.iter().take(WRITE_SLICES_MAX).map(|part| IoSlice::new(part)).collect();
        let written = retry(|| rustix::io::pwritev(fd, &slices, offset))
            .and_then(|count| if count == 0 { Err(Errno::IO) } else { Ok(count) })?;
        offset += written as u64;
        rest = advance(rest, written);
    }
    Ok(())
}

/// Takes `count` bytes off the front of a row of buffers.
fn advance<'p, 'a>(mut parts: &'p mut [&'a [u8]], mut count: usize) -> &'p mut [&'a [u8]] {
    while let Some(first) = parts.first_mut() {
        if count < first.len() {
            *first = &first[count..];
            break;
        }
        count -= first.len();
        parts = &mut parts[1..];
    }
    parts
}

#[cfg(test)]
mod tests;
