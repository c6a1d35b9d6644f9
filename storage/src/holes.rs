//! One torrent's part of a bounded disk cache: a sparse file without a name, in which evicted pieces become holes.
//!
//! The name goes as soon as the file is open, so the system takes the space back whenever the process ends, however it
//! ends: nothing of it survives, and nothing is left to be tidied up. Each piece has its place at a whole number of
//! file system blocks, so that punching one frees all of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use afflux_metainfo::{Layout, PieceIndex};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::cache::StoreId;
use crate::disk::Error;
use crate::files::write_all;
use crate::ledger::Ledger;
use crate::limits::HOLE_BYTES;

/// Names that are tried: another process may have had our number and died between making and removing one.
const NAMES_MAX: u32 = 64;

pub(crate) struct HoleFile {
    fd: OwnedFd,
    /// The folder, for messages.
    dir: PathBuf,
    layout: Arc<Layout>,
    /// What all caches of the process may take on disk.
    places: Ledger,
}

impl HoleFile {
    /// Makes the file. Fails where the file system can't punch holes.
    pub(crate) fn create(
        dir: PathBuf,
        layout: Arc<Layout>,
        places: Ledger,
        store: StoreId,
    ) -> Result<Self, Error> {
        let fd = nameless(&dir, store)?;
        let file = Self { fd, dir, layout, places };
        file.punch_at(0, HOLE_BYTES)?;
        Ok(file)
    }

    /// The ledger that every place is charged to.
    pub(crate) fn places(&self) -> &Ledger {
        &self.places
    }

    /// Bytes that the place of a piece takes.
    pub(crate) fn place_bytes(layout: &Layout, piece: PieceIndex) -> u64 {
        u64::from(layout.length_of(piece)).next_multiple_of(HOLE_BYTES)
    }

    /// Fills `buffer` from `offset` of the torrent on; all of it in one piece.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let (mut at, mut rest) = (self.place(offset), buffer);
        while !rest.is_empty() {
            let count = rustix::io::retry_on_intr(|| rustix::io::pread(&self.fd, &mut *rest, at))
                .map_err(|errno| self.failed("reading the cache in", errno))?;
            if count == 0 {
                return Err(Error::Truncated { path: self.dir.clone() });
            }
            at += count as u64;
            rest = &mut rest[count..];
        }
        Ok(())
    }

    /// Writes buffers one behind the other from `offset` of the torrent on; all of them in one piece.
    pub(crate) fn write_at(&self, offset: u64, buffers: &[&[u8]]) -> Result<(), Error> {
        write_all(&self.fd, self.place(offset), &mut buffers.to_vec())
            .map_err(|errno| self.failed("writing the cache in", errno))
    }

    /// Gives a piece's place back to the file system.
    pub(crate) fn punch(&self, piece: PieceIndex) -> Result<(), Error> {
        let place = self.place(self.layout.piece_offset(piece));
        self.punch_at(place, Self::place_bytes(&self.layout, piece))
    }

    fn place(&self, offset: u64) -> u64 {
        let length = u64::from(self.layout.piece_length());
        offset / length * length.next_multiple_of(HOLE_BYTES) + offset % length
    }

    #[cfg(target_os = "linux")]
    fn punch_at(&self, at: u64, length: u64) -> Result<(), Error> {
        use rustix::fs::FallocateFlags;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.fd, flags, at, length)).map_err(|errno| {
            match errno {
                Errno::OPNOTSUPP | Errno::NOSYS => Error::NoHoles { path: self.dir.clone() },
                errno => self.failed("freeing the cache in", errno),
            }
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn punch_at(&self, _at: u64, _length: u64) -> Result<(), Error> {
        Err(Error::NoHoles { path: self.dir.clone() })
    }

    fn failed(&self, action: &'static str, errno: Errno) -> Error {
        Error::from_errno(action, &self.dir, errno)
    }
}

/// A new file in a folder, whose name is gone already.
fn nameless(dir: &Path, store: StoreId) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut outcome = Err(Errno::EXIST);
    for nth in 0..NAMES_MAX {
        let path = dir.join(format!("afflux-{}-{}-{nth}.cache", std::process::id(), store.0));
        outcome = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600));
        match outcome {
            Err(Errno::EXIST) => {}
            Ok(fd) => {
                rustix::fs::unlink(&path).map_err(|errno| Error::from_errno("removing", &path, errno))?;
                return Ok(fd);
            }
            Err(_) => break,
        }
    }
    outcome.map_err(|errno| Error::from_errno("making a file in", dir, errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocated(file: &HoleFile) -> u64 {
        rustix::fs::fstat(&file.fd).unwrap().st_blocks as u64 * 512
    }

    #[test]
    fn a_punched_piece_takes_no_space_and_its_neighbours_stay() {
        let folder = tempfile::tempdir().unwrap();
        // Pieces of five and a half file system blocks.
        let layout = Arc::new(Layout::new(22_528, [(vec!["film".into()], 3 * 22_528, false)]).unwrap());
        let (dir, places) = (folder.path().to_path_buf(), Ledger::new(1 << 20));
        let file = HoleFile::create(dir, layout.clone(), places, StoreId(1)).unwrap();
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "it has no name");
        for piece in layout.pieces() {
            let bytes = vec![piece.0 as u8 + 1; 11_264];
            file.write_at(layout.piece_offset(piece), &[&bytes, &bytes]).unwrap();
        }
        let before = allocated(&file);
        file.punch(PieceIndex(1)).unwrap();
        assert_eq!(before - allocated(&file), HoleFile::place_bytes(&layout, PieceIndex(1)));
        for (piece, byte) in [(0, 1), (1, 0), (2, 3)] {
            let mut bytes = vec![9; 22_528];
            file.read_at(piece * 22_528, &mut bytes).unwrap();
            assert!(bytes.iter().all(|read| *read == byte), "piece {piece}");
        }
    }
}
