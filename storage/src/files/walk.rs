//! Finding files below the download folder.
//!
//! Every component of a path is opened by itself and without following symbolic links, so nothing that is planted
//! there leads out of it.

use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::Error;
use crate::resume::Fingerprint;

const FOLDER_MODE: Mode = Mode::from_raw_mode(0o777);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    /// To write, making what is missing.
    Create,
}

/// Looks at many files, and walks to their folder once for all that lie in it.
pub(crate) struct Walker<'a> {
    root: &'a Path,
    last: Option<(&'a [String], OwnedFd)>,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(root: &'a Path) -> Self {
        Self { root, last: None }
    }

    /// Size and time of a file; `None` if there is no regular file.
    pub(crate) fn fingerprint(&mut self, path: &'a [String]) -> Option<Fingerprint> {
        let (name, folders) = split(path).ok()?;
        if self.last.as_ref().is_none_or(|(known, _)| *known != folders) {
            self.last = Some((folders, walk(self.root, folders, false).ok()?));
        }
        let (_, parent) = self.last.as_ref()?;
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        fingerprint_of(&stat)
    }
}

/// Size and time of what was examined, if it is a regular file.
pub(super) fn fingerprint_of(stat: &rustix::fs::Stat) -> Option<Fingerprint> {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    // Their types differ between systems.
    #[allow(clippy::unnecessary_cast)]
    let (seconds, nanoseconds) = (stat.st_mtime as i64, stat.st_mtime_nsec as i64);
    let modified_ns = seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
    regular.then_some(Fingerprint { length: stat.st_size as u64, modified_ns })
}

/// Opens a file below `root`.
pub(super) fn open_below(root: &Path, path: &[String], access: Access) -> Result<OwnedFd, Error> {
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

/// Walks to the folder of a file; gives it and the file's name.
pub(super) fn open_parent<'a>(
    root: &Path,
    path: &'a [String],
    create: bool,
) -> Result<(OwnedFd, &'a str), Error> {
    let (name, folders) = split(path)?;
    Ok((walk(root, folders, create)?, name))
}

/// Makes new names in the folder of a file, and in those above it, survive a power cut.
pub(super) fn sync_folders(root: &Path, folders: &[String]) -> Result<(), Error> {
    for depth in (0..=folders.len()).rev() {
        let folder = walk(root, &folders[..depth], false)?;
        retry(|| rustix::fs::fsync(&folder))
            .map_err(|errno| Error::from_errno("syncing", &joined(root, &folders[..depth]), errno))?;
    }
    Ok(())
}

/// A path's last component and those before it.
fn split(path: &[String]) -> Result<(&str, &[String]), Error> {
    let unsafe_name =
        |name: &String| name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    match path.split_last() {
        Some((name, folders)) if !path.iter().any(unsafe_name) => Ok((name, folders)),
        _ => Err(Error::UnsafePath { path: path.join("/") }),
    }
}

/// Opens a folder below `root`, one component at a time.
fn walk(root: &Path, folders: &[String], create: bool) -> Result<OwnedFd, Error> {
    // The download folder itself is the user's word: links in its path are followed.
    let mut parent = retry(|| rustix::fs::open(root, FOLDER_FLAGS, Mode::empty()))
        .map_err(|errno| Error::from_errno("opening", root, errno))?;
    for (depth, folder) in folders.iter().enumerate() {
        let failed = |action, errno| {
            let path = joined(root, &folders[..=depth]);
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
        let flags = FOLDER_FLAGS | OFlags::NOFOLLOW;
        let open = || rustix::fs::openat(&parent, folder.as_str(), flags, Mode::empty());
        let child = retry(open).map_err(|errno| failed("opening", errno))?;
        parent = child;
    }
    Ok(parent)
}

pub(super) fn joined(root: &Path, path: &[String]) -> PathBuf {
    path.iter().fold(root.to_path_buf(), |path, name| path.join(name))
}

pub(super) fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(call)
}
