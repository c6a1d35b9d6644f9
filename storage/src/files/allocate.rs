//! When files take their space.

use afflux_metainfo::FileIndex;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::Files;
use super::walk::retry;
use crate::lock::lock;

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

impl Files {
    /// Gives a file its length, and its space if it's to have that now.
    pub(super) fn allocate(
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
