//! A torrent's files on disk, by offset in the torrent.
//!
//! Files are opened when they are first needed, through a bounded set of handles that all torrents share.
//! Every component of a path below the download folder is opened by itself and without following symbolic
//! links, so nothing that is planted there leads out of it. Files are sparse; pad files (BEP 47) are zeros
//! that exist nowhere. Not here: threads, and what the bytes mean.

mod hot;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use afflux_metainfo::{FileIndex, Layout, PieceIndex, index::BLOCK_LENGTH};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::cache::StoreId;
use crate::disk::Error;
use crate::limits::WRITE_SLICES_MAX;
use crate::lock::lock;
use crate::resume::Fingerprint;

pub use hot::FileLoan;

const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

/// Open files of all torrents, least recently used closed first.
pub(crate) struct Handles {
    open_max: usize,
    open: Mutex<Open>,
}

type HandleKey = (StoreId, FileIndex);

#[derive(Default)]
struct Open {
    handles: BTreeMap<HandleKey, (Arc<Handle>, u64)>,
    by_use: BTreeMap<u64, HandleKey>,
    clock: u64,
}

struct Handle {
    fd: OwnedFd,
    writable: bool,
}

impl Handles {
    pub(crate) fn new(open_max: usize) -> Self {
        Self { open_max, open: Mutex::default() }
    }

    pub(crate) fn open_count(&self) -> usize {
        lock(&self.open).handles.len()
    }

    fn get(&self, key: HandleKey, writable: bool) -> Option<Arc<Handle>> {
        let open = &mut *lock(&self.open);
        let (handle, used) = open.handles.get_mut(&key)?;
        if writable && !handle.writable {
            return None;
        }
        open.by_use.remove(used);
        open.clock += 1;
        *used = open.clock;
        open.by_use.insert(open.clock, key);
        Some(handle.clone())
    }

    fn insert(&self, key: HandleKey, handle: Arc<Handle>) {
        // Closed after the lock is gone: closing can take its time.
        let mut closed = Vec::new();
        {
            let open = &mut *lock(&self.open);
            closed.extend(open.remove(key));
            while open.handles.len() >= self.open_max
                && let Some((_, oldest)) = open.by_use.first_key_value()
            {
                let oldest = *oldest;
                closed.extend(open.remove(oldest));
            }
            open.clock += 1;
            open.by_use.insert(open.clock, key);
            open.handles.insert(key, (handle, open.clock));
        }
        drop(closed);
    }

    fn close(&self, key: HandleKey) {
        let closed = lock(&self.open).remove(key);
        drop(closed);
    }

    fn close_store(&self, store: StoreId) {
        let mut closed = Vec::new();
        {
            let open = &mut *lock(&self.open);
            let range = (store, FileIndex(0))..=(store, FileIndex(u32::MAX));
            let keys: Vec<HandleKey> = open.handles.range(range).map(|(key, _)| *key).collect();
            closed.extend(keys.into_iter().filter_map(|key| open.remove(key)));
        }
        drop(closed);
    }
}

impl Open {
    fn remove(&mut self, key: HandleKey) -> Option<Arc<Handle>> {
        let (handle, used) = self.handles.remove(&key)?;
        self.by_use.remove(&used);
        Some(handle)
    }
}

/// One torrent's files.
pub(crate) struct Files {
    root: PathBuf,
    layout: Arc<Layout>,
    handles: Arc<Handles>,
    store: StoreId,
    unwanted: BTreeSet<FileIndex>,
    state: Mutex<State>,
}

/// What is known of the files.
struct State {
    /// Written since the last [`sync`](Files::sync).
    dirty: BTreeSet<FileIndex>,
    /// How long each file must be at least, since good bytes end there. Growing a shorter one would put holes where
    /// those bytes were, and they would be read out as zeros.
    least: Vec<u64>,
    /// Found shorter than that, or gone.
    damaged: BTreeSet<FileIndex>,
}

impl Files {
    pub(crate) fn new(
        root: PathBuf,
        layout: Arc<Layout>,
        handles: Arc<Handles>,
        store: StoreId,
        unwanted: impl IntoIterator<Item = FileIndex>,
    ) -> Self {
        let least = vec![0; layout.files().len()];
        let state = State { dirty: BTreeSet::new(), least, damaged: BTreeSet::new() };
        let unwanted = unwanted.into_iter().collect();
        Self { root, layout, handles, store, unwanted, state: Mutex::new(state) }
    }

    /// Notes that the bytes of these pieces are good.
    pub(crate) fn trust(&self, pieces: impl IntoIterator<Item = PieceIndex>) {
        let mut state = lock(&self.state);
        for piece in pieces {
            let start = self.layout.piece_offset(piece);
            let end = start + u64::from(self.layout.length_of(piece));
            for slice in self.layout.file_slices(start..end) {
                let least = &mut state.least[slice.file.as_usize()];
                *least = (*least).max(slice.offset + slice.length);
            }
        }
    }

    /// Files that were found damaged since the last call, with the length they still have.
    pub(crate) fn survey_damage(&self) -> Vec<(FileIndex, u64)> {
        let damaged = std::mem::take(&mut lock(&self.state).damaged);
        let survey = |file: FileIndex| {
            self.handles.close((self.store, file));
            let now = fingerprint(&self.root, &self.layout.files()[file.as_usize()].path);
            let length = now.map_or(0, |now| now.length);
            let least = &mut lock(&self.state).least[file.as_usize()];
            *least = (*least).min(length);
            (file, length)
        };
        damaged.into_iter().map(survey).collect()
    }

    /// Fills `buffer` with the torrent's bytes from `offset` on.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let mut rest = buffer;
        let end = offset + rest.len() as u64;
        for slice in self.layout.file_slices(offset..end) {
            let (part, behind) = rest.split_at_mut(slice.length as usize);
            rest = behind;
            if self.layout.files()[slice.file.as_usize()].pad {
                part.fill(0);
            } else {
                let outcome = self.read_file(slice.file, slice.offset, part);
                outcome.inspect_err(|error| self.note_damage(slice.file, error))?;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Error::Misuse("a read beyond the end of the torrent")) }
    }

    /// Writes buffers one behind the other from `offset` of the torrent on.
    pub(crate) fn write_at(&self, offset: u64, buffers: &[&[u8]]) -> Result<(), Error> {
        let length: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut rest = Gather { buffers, skip: 0 };
        for slice in self.layout.file_slices(offset..offset + length as u64) {
            let parts = rest.take(slice.length as usize);
            if !self.layout.files()[slice.file.as_usize()].pad {
                let outcome = self.write_file(slice.file, slice.offset, parts);
                outcome.inspect_err(|error| self.note_damage(slice.file, error))?;
            }
        }
        Ok(())
    }

    /// Creates the wanted files that have no bytes, since no piece ever will.
    pub(crate) fn create_empty(&self) -> Result<(), Error> {
        for (number, file) in (0u32..).zip(self.layout.files()) {
            if file.length == 0 && !file.pad && !self.unwanted.contains(&FileIndex(number)) {
                self.open(FileIndex(number), true)?;
            }
        }
        Ok(())
    }

    /// Makes what was written survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let dirty = std::mem::take(&mut lock(&self.state).dirty);
        let mut outcome = Ok(());
        for file in dirty {
            let synced = self.handle(file, true).and_then(|handle| {
                retry(|| rustix::fs::fdatasync(&handle.fd))
                    .map_err(|errno| Error::from_errno("syncing", &self.path(file), errno))
            });
            if let Err(error) = synced {
                lock(&self.state).dirty.insert(file);
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Every file as it is now.
    pub(crate) fn fingerprints(&self) -> Vec<Option<Fingerprint>> {
        fingerprints(&self.layout, &self.root)
    }

    /// Closes this torrent's handles.
    pub(crate) fn close(&self) {
        self.handles.close_store(self.store);
    }

    fn read_file(&self, file: FileIndex, mut offset: u64, mut buffer: &mut [u8]) -> Result<(), Error> {
        let handle = self.handle(file, false)?;
        while !buffer.is_empty() {
            let count = retry(|| rustix::io::pread(&handle.fd, &mut *buffer, offset))
                .map_err(|errno| Error::from_errno("reading", &self.path(file), errno))?;
            if count == 0 {
                return Err(Error::Truncated { path: self.path(file) });
            }
            offset += count as u64;
            buffer = &mut buffer[count..];
        }
        Ok(())
    }

    fn write_file(&self, file: FileIndex, mut offset: u64, mut parts: Vec<&[u8]>) -> Result<(), Error> {
        let handle = self.handle(file, true)?;
        self.examine(file, &handle)?;
        let end = offset + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let mut rest = &mut parts[..];
        while !rest.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                rest.iter().take(WRITE_SLICES_MAX).map(|part| IoSlice::new(part)).collect();
            let written = retry(|| rustix::io::pwritev(&handle.fd, &slices, offset))
                .and_then(|count| if count == 0 { Err(Errno::IO) } else { Ok(count) })
                .map_err(|errno| Error::from_errno("writing", &self.path(file), errno))?;
            offset += written as u64;
            rest = advance(rest, written);
        }
        let mut state = lock(&self.state);
        state.dirty.insert(file);
        let least = &mut state.least[file.as_usize()];
        *least = (*least).max(end);
        Ok(())
    }

    /// Makes sure that the file behind a handle still has a name and the good bytes that it had.
    fn examine(&self, file: FileIndex, handle: &Handle) -> Result<(), Error> {
        let stat = retry(|| rustix::fs::fstat(&handle.fd))
            .map_err(|errno| Error::from_errno("examining", &self.path(file), errno))?;
        let least = lock(&self.state).least[file.as_usize()];
        match stat.st_nlink {
            0 => Err(Error::Missing { path: self.path(file) }),
            _ if (stat.st_size as u64) < least => Err(Error::Truncated { path: self.path(file) }),
            _ => Ok(()),
        }
    }

    fn note_damage(&self, file: FileIndex, error: &Error) {
        if error.is_loss() {
            lock(&self.state).damaged.insert(file);
        }
    }

    fn handle(&self, file: FileIndex, writable: bool) -> Result<Arc<Handle>, Error> {
        if let Some(handle) = self.handles.get((self.store, file), writable) {
            return Ok(handle);
        }
        let handle = Arc::new(Handle { fd: self.open(file, writable)?, writable });
        self.handles.insert((self.store, file), handle.clone());
        Ok(handle)
    }

    fn open(&self, file: FileIndex, writable: bool) -> Result<OwnedFd, Error> {
        let span = &self.layout.files()[file.as_usize()];
        let least = lock(&self.state).least[file.as_usize()];
        let access = match (writable, least) {
            (false, _) => Access::Read,
            (true, 0) => Access::Create,
            (true, _) => Access::Write,
        };
        let fd = open_below(&self.root, &span.path, access)?;
        let path = || self.path(file);
        let stat =
            retry(|| rustix::fs::fstat(&fd)).map_err(|e| Error::from_errno("examining", &path(), e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::InTheWay { path: path() });
        }
        if writable && (stat.st_size as u64) < least {
            return Err(Error::Truncated { path: path() });
        }
        // Full length at once, as a hole: players and file managers see the size that will be. A file that isn't
        // wanted holds only the edges of its neighbours' pieces.
        if writable && (stat.st_size as u64) < span.length && !self.unwanted.contains(&file) {
            retry(|| rustix::fs::ftruncate(&fd, span.length))
                .map_err(|errno| Error::from_errno("growing", &path(), errno))?;
        }
        Ok(fd)
    }

    fn path(&self, file: FileIndex) -> PathBuf {
        self.layout.files()[file.as_usize()].path.iter().fold(self.root.clone(), |path, name| path.join(name))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    /// To write, making what is missing.
    Create,
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

/// Sizes and times of all files of a torrent, `None` where there is no regular file.
pub(crate) fn fingerprints(layout: &Layout, root: &Path) -> Vec<Option<Fingerprint>> {
    layout.files().iter().map(|file| if file.pad { None } else { fingerprint(root, &file.path) }).collect()
}

fn fingerprint(root: &Path, path: &[String]) -> Option<Fingerprint> {
    let (parent, name) = open_parent(root, path, false).ok()?;
    let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let (seconds, nanoseconds) = (stat.st_mtime as i64, stat.st_mtime_nsec as i64);
    let modified_ns = seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
    regular.then_some(Fingerprint { length: stat.st_size as u64, modified_ns })
}

/// Opens a file below `root`.
fn open_below(root: &Path, path: &[String], access: Access) -> Result<OwnedFd, Error> {
    let (parent, name) = open_parent(root, path, access == Access::Create)?;
    // NONBLOCK: opening a pipe that somebody put there would wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let flags = match access {
        Access::Read => flags | OFlags::RDONLY,
        Access::Write => flags | OFlags::RDWR,
        Access::Create => flags | OFlags::RDWR | OFlags::CREATE,
    };
    retry(|| rustix::fs::openat(&parent, name, flags, FILE_MODE))
        .map_err(|errno| Error::from_errno("opening", &joined(root, path), errno))
}

/// Walks to the folder of a file, one component at a time; gives it and the file's name.
fn open_parent<'a>(root: &Path, path: &'a [String], create: bool) -> Result<(OwnedFd, &'a str), Error> {
    let unsafe_name =
        |name: &String| name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    let Some((name, folders)) = path.split_last().filter(|_| !path.iter().any(unsafe_name)) else {
        return Err(Error::UnsafePath { path: path.join("/") });
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The download folder itself is the user's word: links in its path are followed.
    let mut parent = retry(|| rustix::fs::open(root, flags, Mode::empty()))
        .map_err(|errno| Error::from_errno("opening", root, errno))?;
    for (depth, folder) in folders.iter().enumerate() {
        let failed = |action, errno| {
            let path = joined(root, &path[..=depth]);
            let linked = rustix::fs::statat(&parent, folder.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
            if linked { Error::Symlink { path } } else { Error::from_errno(action, &path, errno) }
        };
        if create {
            match retry(|| rustix::fs::mkdirat(&parent, folder.as_str(), FOLDER_MODE)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed("making", errno)),
            }
        }
        let open = || rustix::fs::openat(&parent, folder.as_str(), flags | OFlags::NOFOLLOW, Mode::empty());
        let child = retry(open).map_err(|errno| failed("opening", errno))?;
        parent = child;
    }
    Ok((parent, name))
}

fn joined(root: &Path, path: &[String]) -> PathBuf {
    path.iter().fold(root.to_path_buf(), |path, name| path.join(name))
}

fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(call)
}

#[cfg(test)]
mod tests;
