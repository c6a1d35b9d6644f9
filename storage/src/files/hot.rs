//! Bytes of files that the kernel has in memory already: read or lent without ever waiting for a disk.
//!
//! Where the kernel can't tell (not Linux, some network file systems), nothing is ever hot and the disk threads read it.

use std::ops::Range;
use std::sync::Arc;

use afflux_metainfo::FileIndex;

use super::{Files, Handle};

impl Files {
    /// Fills `buffer` with the torrent's bytes from `offset` on if that takes no disk and no opening of a file. If
    /// `false`, the buffer may hold anything: a disk thread is to read, and to find out what is wrong, if something is.
    pub(crate) fn read_hot(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let places = self.places();
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
            let Some(handle) = self.open_handle(file) else { return false };
            if !system::read_hot(&handle, offset, part) {
                return false;
            }
        }
        rest.is_empty()
    }

    /// Lets the kernel read what is probably wanted next, without waiting for it.
    pub(crate) fn read_ahead(&self, range: Range<u64>) {
        let places = self.places();
        for slice in places.layout.file_slices(range) {
            let (file, offset) = places.place(slice.file, slice.offset);
            if let Some(handle) = self.open_handle(file) {
                system::read_ahead(&handle, offset, slice.length);
            }
        }
    }

    fn open_handle(&self, file: FileIndex) -> Option<Arc<Handle>> {
        self.handles.get((self.store, file), false)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io::IoSliceMut;
    use std::num::NonZeroU64;

    use rustix::fs::Advice;
    use rustix::io::{Errno, ReadWriteFlags};

    use super::Handle;
    use crate::files::retry;

    /// `TMPFS_MAGIC` of the kernel's `magic.h`.
    const TMPFS: u64 = 0x0102_1994;

    pub(super) fn read_hot(handle: &Handle, offset: u64, buffer: &mut [u8]) -> bool {
        let length = buffer.len();
        let read = retry(|| {
            let mut slices = [IoSliceMut::new(&mut *buffer)];
            rustix::io::preadv2(&handle.fd, &mut slices, offset, ReadWriteFlags::NOWAIT)
        });
        match read {
            // tmpfs doesn't know the flag, and is nothing but memory.
            Err(Errno::OPNOTSUPP) if is_memory(handle) => {
                retry(|| rustix::io::pread(&handle.fd, &mut *buffer, offset)) == Ok(length)
            }
            read => read == Ok(length),
        }
    }

    pub(super) fn read_ahead(handle: &Handle, offset: u64, length: u64) {
        // Only advice: what fails here is said by the read.
        let _ = rustix::fs::fadvise(&handle.fd, offset, NonZeroU64::new(length), Advice::WillNeed);
    }

    fn is_memory(handle: &Handle) -> bool {
        rustix::fs::fstatfs(&handle.fd).is_ok_and(|stat| stat.f_type as u64 == TMPFS)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Handle;

    pub(super) fn read_hot(_: &Handle, _: u64, _: &mut [u8]) -> bool {
        false
    }

    pub(super) fn read_ahead(_: &Handle, _: u64, _: u64) {}
}
