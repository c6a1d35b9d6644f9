//! Bytes of files that the kernel has in memory already: read or lent without ever waiting for a disk.
//!
//! Where the kernel can't tell (not Linux, some network file systems), nothing is ever hot and the disk threads read it.

use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLockReadGuard, TryLockError};

use afflux_metainfo::FileIndex;

use super::{Files, Handle, PARTS, Places};
use crate::limits::{HOT_SAMPLE_BYTES, HOT_STREAK_BYTES, HOT_STREAK_SAMPLE_BYTES};

impl Files {
    /// Fills `buffer` with the torrent's bytes from `offset` on if that takes no disk and no opening of a file. If
    /// `false`, the buffer may hold anything: a disk thread is to read, and to find out what is wrong, if something is.
    pub(crate) fn read_hot(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let Some(places) = self.places_now() else { return false };
        let mut rest = buffer;
        let end = offset + rest.len() as u64;
        for slice in places.layout.file_slices(offset..end) {
            let (part, behind) = rest.split_at_mut(slice.length as usize);
            rest = behind;
            if places.layout.files()[slice.file.as_usize()].pad {
                part.fill(0);
                continue;
            }
            let (file, offset) = places.place(slice.file, slice.offset);
            let Some(handle) = self.handle_now(file) else { return false };
            if !system::read_hot(&handle, offset, part) || !self.is_as_known(file, &handle) {
                return false;
            }
        }
        rest.is_empty()
    }

    /// Where the torrent's bytes lie from the start of `range` on, as far as they lie in one open file and in memory.
    pub(crate) fn lend(&self, range: Range<u64>) -> Option<FileLoan> {
        let places = self.places_now()?;
        let slice = places.layout.file_slices(range).next()?;
        let (file, offset) = places.place(slice.file, slice.offset);
        // Parts move to files of their own when those are wanted, and leave holes.
        if file == PARTS || places.layout.files()[slice.file.as_usize()].pad {
            return None;
        }
        let handle = self.handle_now(file).filter(|handle| self.is_as_known(file, handle))?;
        let length = hot_length(&handle, offset, slice.length);
        if length < slice.length {
            system::read_ahead(&handle, offset + length, slice.length - length);
        }
        (length > 0).then_some(FileLoan { handle, offset, length })
    }

    /// Lets the kernel read what is probably wanted next, without waiting for it.
    pub(crate) fn read_ahead(&self, range: Range<u64>) {
        let places = self.places();
        for slice in places.layout.file_slices(range) {
            let (file, offset) = places.place(slice.file, slice.offset);
            if let Some(handle) = self.handle_now(file) {
                system::read_ahead(&handle, offset, slice.length);
            }
        }
    }

    /// Where files are, unless one is just being moved.
    fn places_now(&self) -> Option<RwLockReadGuard<'_, Places>> {
        match self.places.try_read() {
            Ok(places) => Some(places),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn handle_now(&self, file: FileIndex) -> Option<Arc<Handle>> {
        self.handles.get((self.store, file), false)
    }
}

/// How much of a stretch is in memory, by samples: the kernel fetches neighbouring pages together.
fn hot_length(handle: &Handle, offset: u64, length: u64) -> u64 {
    let is_hot = |at: u64| system::read_hot(handle, offset + at, &mut [0]);
    if system::is_memory(handle) && length > 0 && is_hot(length - 1) {
        return length;
    }
    if !is_hot(0) {
        return 0;
    }
    let streak = handle.hot_streak.load(Ordering::Relaxed);
    let distance = if streak < HOT_STREAK_BYTES { HOT_SAMPLE_BYTES } else { HOT_STREAK_SAMPLE_BYTES };
    let mut hot = 0;
    while hot < length {
        let next = (hot + distance).min(length);
        if !is_hot(next - 1) {
            break;
        }
        hot = next;
    }
    // Only says how often to look: readers that overwrite each other's do no harm.
    handle.hot_streak.store(if hot < length { 0 } else { streak.saturating_add(hot) }, Ordering::Relaxed);
    hot
}

/// A stretch of a file on disk whose bytes are verified, for the kernel to send from where they are.
#[derive(Clone)]
pub struct FileLoan {
    handle: Arc<Handle>,
    offset: u64,
    length: u64,
}

impl FileLoan {
    /// The file; it stays open as long as this is held.
    pub fn file(&self) -> Arc<dyn AsFd + Send + Sync> {
        self.handle.clone()
    }

    /// Where in the file the stretch begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes in the stretch, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it's never empty")]
    pub fn len(&self) -> u64 {
        self.length
    }
}

impl fmt::Debug for FileLoan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileLoan({} bytes at {})", self.length, self.offset)
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io::IoSliceMut;
    use std::num::NonZeroU64;

    use rustix::fs::Advice;
    use rustix::io::ReadWriteFlags;

    use super::Handle;
    use crate::files::retry;

    /// `TMPFS_MAGIC` of the kernel's `magic.h`.
    const TMPFS: u64 = 0x0102_1994;

    pub(super) fn read_hot(handle: &Handle, offset: u64, buffer: &mut [u8]) -> bool {
        let length = buffer.len();
        let read = retry(|| {
            if is_memory(handle) {
                return rustix::io::pread(&handle.fd, &mut *buffer, offset);
            }
            let mut slices = [IoSliceMut::new(&mut *buffer)];
            rustix::io::preadv2(&handle.fd, &mut slices, offset, ReadWriteFlags::NOWAIT)
        });
        read == Ok(length)
    }

    pub(super) fn read_ahead(handle: &Handle, offset: u64, length: u64) {
        // Only advice: what fails here is said by the read.
        let _ = rustix::fs::fadvise(&handle.fd, offset, NonZeroU64::new(length), Advice::WillNeed);
    }

    /// tmpfs doesn't know the flag, and is nothing but memory.
    pub(super) fn is_memory(handle: &Handle) -> bool {
        let look = || rustix::fs::fstatfs(&handle.fd).is_ok_and(|stat| stat.f_type as u64 == TMPFS);
        *handle.in_memory.get_or_init(look)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Handle;

    pub(super) fn read_hot(_: &Handle, _: u64, _: &mut [u8]) -> bool {
        false
    }

    pub(super) fn read_ahead(_: &Handle, _: u64, _: u64) {}

    pub(super) fn is_memory(_: &Handle) -> bool {
        false
    }
}
