//! Bytes that leave the part file when their file is wanted.

use afflux_metainfo::FileIndex;
use rustix::fd::AsFd;

use super::places::data_ranges;
use super::walk::{Access, retry};
use super::{Files, PARTS, Places};
use crate::disk::Error;
use crate::limits::CHECK_READ_BYTES;
use crate::lock::lock;

impl Files {
    /// From now on these files aren't wanted, and all others are. What the part file has of the others goes to where
    /// it belongs. Blocks, and so do reads and writes meanwhile.
    pub(crate) fn leave_out(&self, unwanted: &[FileIndex]) -> Result<(), Error> {
        let mut places = self.places_to_change();
        let mut changed = places.clone();
        changed.leave_out(unwanted);
        self.empty_parts(&changed)?;
        *places = changed;
        Ok(())
    }

    /// Moves out of the part file what doesn't belong there. When nothing is left it is removed.
    fn empty_parts(&self, places: &Places) -> Result<(), Error> {
        let parts = match places.open(PARTS, Access::Write) {
            Ok(parts) => parts,
            Err(Error::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut left = false;
        let mut moved = Vec::new();
        for range in data_ranges(&parts, 0..places.layout.total_length()) {
            for slice in places.layout.file_slices(range) {
                if places.is_in_parts(slice.file) {
                    left = true;
                } else if !places.layout.files()[slice.file.as_usize()].pad {
                    moved.push(slice);
                }
            }
        }
        for bytes in moved.chunk_by(|one, next| one.file == next.file) {
            let file = bytes[0].file;
            // If it exists already it has its bytes itself, and these are of the time before.
            if places.fingerprint(file).is_some() {
                continue;
            }
            for slice in bytes {
                self.copy_out(places, &parts, file, slice.offset, slice.length)?;
            }
            let handle = self.handle(places, file, true)?;
            retry(|| rustix::fs::fdatasync(&handle.fd))
                .map_err(|errno| Error::from_errno("syncing", &places.path(file), errno))?;
        }
        if left {
            moved.iter().for_each(|slice| {
                let offset = places.layout.files()[slice.file.as_usize()].offset + slice.offset;
                give_back(&parts, offset, slice.length);
            });
            lock(&self.state).witness.forget(PARTS);
            return Ok(());
        }
        self.handles.close((self.store, PARTS));
        {
            let mut state = lock(&self.state);
            state.witness.forget(PARTS);
            *state.least(PARTS) = 0;
        }
        places.remove_parts()
    }

    fn copy_out(
        &self,
        places: &Places,
        parts: &impl AsFd,
        file: FileIndex,
        offset: u64,
        length: u64,
    ) -> Result<(), Error> {
        let mut at = offset;
        let end = offset + length;
        let mut scratch = vec![0; length.min(CHECK_READ_BYTES as u64) as usize];
        while at < end {
            let part = &mut scratch[..(end - at).min(CHECK_READ_BYTES as u64) as usize];
            let from = places.layout.files()[file.as_usize()].offset + at;
            let count = retry(|| rustix::io::pread(parts, &mut *part, from))
                .map_err(|errno| Error::from_errno("reading", &places.path(PARTS), errno))?;
            if count == 0 {
                return Err(Error::Truncated { path: places.path(PARTS) });
            }
            self.write_file(places, file, at, vec![&part[..count]])?;
            at += count as u64;
        }
        Ok(())
    }
}

/// Gives the space of bytes back that aren't needed any more. Where the file system can't they stay: nobody reads them.
#[cfg(target_os = "linux")]
fn give_back(file: &impl AsFd, offset: u64, length: u64) {
    use rustix::fs::FallocateFlags;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let _ = retry(|| rustix::fs::fallocate(file, flags, offset, length));
}

#[cfg(not(target_os = "linux"))]
fn give_back(_file: &impl AsFd, _offset: u64, _length: u64) {}
