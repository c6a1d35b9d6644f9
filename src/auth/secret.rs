//! The daemon's secrets: 32 random bytes each, in a file of their own under `<data-dir>/secrets`, made when they're first needed.
//!
//! Whoever can read such a file can be any user, so it is made for its owner alone, and refused when others may read it:
//! a secret that was open once can't be trusted again by closing it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;
use thiserror::Error;

/// Bytes of a secret: the least that HS256 allows (RFC 7518, section 3.2), and nobody guesses as many.
pub const SECRET_BYTES: usize = 32;
/// Permissions that anybody but the owner has.
const OTHERS: u32 = 0o077;
/// Permissions with which others could put another file into a folder.
const OTHERS_WRITE: u32 = 0o022;

/// Why a secret can't be used.
#[derive(Debug, Error)]
pub enum BadSecret {
    /// Others may read or write it.
    #[error(
        "{path} may be read or written by others (mode {mode:04o}): whoever has read it can be any user. If that can't have happened, \
         close it (chmod 600); otherwise delete it, and a new one is made; tokens and URLs made with it end then",
        path = .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others could replace it.
    #[error("others may write to the folder {path} (mode {mode:04o}), and so replace its secrets: close it (chmod 700)",
        path = .path.display())]
    OpenFolder {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It isn't as long as it must be.
    #[error(
        "{path} has {length} bytes and must have {SECRET_BYTES} random ones: bring back the right file, or delete it, \
         and a new one is made; tokens and URLs made with the old one end then",
        path = .path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes in it.
        length: u64,
    },
    /// It is a folder, a device, or a link.
    #[error("{path} is no regular file: move it away, and a secret is made there", path = .path.display())]
    NoFile {
        /// What was found.
        path: PathBuf,
    },
    /// The system says no.
    #[error("{path} can't be {action}: {error}", path = .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Reads the secret at a path, making it and the folder it is in if they aren't there. Several processes may do so at once:
/// all get the same. Blocks.
pub fn load_or_make(path: &Path) -> Result<[u8; SECRET_BYTES], BadSecret> {
    if let Some(secret) = load(path)? {
        return Ok(secret);
    }
    make(path)?;
    // What is there now may be another process's.
    load(path)?.ok_or_else(|| failed("read", path)(io::ErrorKind::NotFound.into()))
}

/// Reads a secret; `None` if there is none.
fn load(path: &Path) -> Result<Option<[u8; SECRET_BYTES]>, BadSecret> {
    // A link isn't followed, and a pipe isn't waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            return Err(BadSecret::NoFile { path: path.to_owned() });
        }
        Err(error) => return Err(failed("opened", path)(error)),
    };
    let metadata = file.metadata().map_err(failed("looked at", path))?;
    if !metadata.is_file() {
        return Err(BadSecret::NoFile { path: path.to_owned() });
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(BadSecret::Open { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
    }
    check_folder(folder(path))?;
    if metadata.len() != SECRET_BYTES as u64 {
        return Err(BadSecret::Length { path: path.to_owned(), length: metadata.len() });
    }
    let mut secret = [0; SECRET_BYTES];
    file.read_exact(&mut secret).map_err(failed("read", path))?;
    Ok(Some(secret))
}

/// Makes a secret unless there is one by then: written beside, synced, then given its name.
fn make(path: &Path) -> Result<(), BadSecret> {
    let folder = folder(path);
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).map_err(failed("made", above))?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("made", folder)(error));
        }
        _ => check_folder(folder)?,
    }
    let beside = beside(path).map_err(failed("made", path))?;
    let made = write(&beside).and_then(|()| name(&beside, path));
    if made.is_err() {
        // Nothing else knows this file, and it is a secret or part of one.
        let _ = std::fs::remove_file(&beside);
    }
    made.and_then(|()| File::open(folder)?.sync_all()).map_err(failed("made", path))
}

/// A name that no other process takes at the same time.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}.new", getrandom::u64().map_err(io::Error::other)?));
    Ok(name.into())
}

fn write(path: &Path) -> io::Result<()> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&secret)?;
    file.sync_all()
}

/// Gives a file its name, but doesn't take that from another process's file: tokens may be signed with it already.
fn name(beside: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, beside, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => std::fs::remove_file(beside),
        // Some network file systems can't: there a secret is made by one process at a time, or the last one stays.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => std::fs::rename(beside, path),
        Err(errno) => Err(errno.into()),
    }
}

fn check_folder(folder: &Path) -> Result<(), BadSecret> {
    let mode = std::fs::metadata(folder).map_err(failed("looked at", folder))?.mode();
    if mode & OTHERS_WRITE == 0 {
        Ok(())
    } else {
        Err(BadSecret::OpenFolder { path: folder.to_owned(), mode: mode & 0o7777 })
    }
}

/// The folder that a path is in; a bare name is in the current one.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BadSecret {
    move |error| BadSecret::Io { action, path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/secrets/jwt.key");
        let secret = load_or_make(&path).unwrap();
        assert_eq!(load_or_make(&path).unwrap(), secret);
        assert_ne!(load_or_make(&path.with_file_name("media.key")).unwrap(), secret);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(names.count(), 2, "nothing is left beside them");
    }

    #[test]
    fn processes_that_start_together_agree_on_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/jwt.key");
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_make(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/jwt.key");
        let secret = load_or_make(&path).unwrap();
        for open in [0o640, 0o604, 0o620, 0o601] {
            set_mode(&path, open);
            let error = load_or_make(&path).unwrap_err();
            assert!(matches!(error, BadSecret::Open { mode, .. } if mode == open), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        set_mode(&path, 0o400);
        assert_eq!(load_or_make(&path).unwrap(), secret);
        set_mode(path.parent().unwrap(), 0o770);
        assert!(matches!(load_or_make(&path), Err(BadSecret::OpenFolder { .. })));
    }

    #[test]
    fn a_secret_of_another_length_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/jwt.key");
        load_or_make(&path).unwrap();
        for length in [0, 31, 33, 1 << 20] {
            std::fs::write(&path, vec![7; length]).unwrap();
            assert!(matches!(load_or_make(&path), Err(BadSecret::Length { .. })), "{length}");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), length as u64);
        }
    }

    #[test]
    fn what_is_no_regular_file_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("secrets/other.key");
        load_or_make(&elsewhere).unwrap();
        let path = folder.path().join("secrets/jwt.key");
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(matches!(load_or_make(&path), Err(BadSecret::NoFile { .. })));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(load_or_make(&path), Err(BadSecret::NoFile { .. })));
    }
}
