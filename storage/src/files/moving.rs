//! Files that get another name, and downloads that get another folder.

use std::path::Path;

use afflux_metainfo::FileIndex;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::places::data_ranges;
use super::walk::{Access, fingerprint_of, joined, open_parent, retry};
use super::{Files, PARTS, Places};
use crate::disk::Error;
use crate::limits::CHECK_READ_BYTES;
use crate::lock::lock;

impl Files {
    /// Gives a file another path below the download folder. Nothing that lies there is replaced.
    ///
    /// # Errors
    /// If something is there already, another file of the torrent has that path, or the path leads out.
    pub(crate) fn rename(&self, file: FileIndex, path: Vec<String>) -> Result<(), Error> {
        let mut places = self.places_to_change();
        let layout = places.layout.clone();
        if layout.file(file).is_none_or(|span| span.pad) {
            return Err(Error::Misuse("no such file"));
        }
        let numbers = (0u32..).take(layout.files().len()).map(FileIndex);
        let taken = numbers.filter(|other| *other != file).any(|other| {
            let (short, long) = (places.path_below(other), &path[..]);
            short.starts_with(long) || long.starts_with(short)
        });
        if taken {
            return Err(Error::InTheWay { path: joined(&places.root, &path) });
        }
        // Open handles stay with the file.
        rename_below(&places.root, places.path_below(file), &places.root, &path)?;
        if path == layout.files()[file.as_usize()].path {
            places.renamed.remove(&file);
        } else {
            places.renamed.insert(file, path);
        }
        lock(&self.state).made.insert(file);
        Ok(())
    }

    /// Moves all files to another folder, which is made if missing: by renaming, or, if it's on another file system, by
    /// copying and removing. All of them or, if anything fails, none. Blocks; reads go on, and nothing must be
    /// written meanwhile.
    ///
    /// # Errors
    /// If something is there already, or something was written meanwhile.
    pub(crate) fn move_to(&self, root: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(root).map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            Error::from_errno("making", root, errno)
        })?;
        let old = self.places().clone();
        let files = old.existing();
        let new = Places { root: root.to_path_buf(), ..old.clone() };
        if let Some(there) = files.iter().find(|file| new.fingerprint(**file).is_some()) {
            return Err(Error::InTheWay { path: new.path(*there) });
        }
        match self.rename_all(&old, &new, &files) {
            Err(Error::Io { errno, .. }) if errno == Errno::XDEV.raw_os_error() => {
                self.copy_all(&old, &new, &files)
            }
            outcome => outcome,
        }
    }

    fn rename_all(&self, old: &Places, new: &Places, files: &[FileIndex]) -> Result<(), Error> {
        let mut places = self.places_to_change();
        let rename = |file: FileIndex, from: &Places, to: &Places| {
            rename_below(&from.root, from.path_below(file), &to.root, to.path_below(file))
        };
        for (nth, &file) in files.iter().enumerate() {
            if let Err(error) = rename(file, old, new) {
                // Best effort: where even going back fails, the files are found missing and nothing is overwritten.
                let _ = files[..nth].iter().rev().try_for_each(|&file| rename(file, new, old));
                return Err(error);
            }
        }
        places.root = new.root.clone();
        lock(&self.state).made.extend(files);
        files.iter().for_each(|&file| remove_empty_folders(old, file));
        Ok(())
    }

    fn copy_all(&self, old: &Places, new: &Places, files: &[FileIndex]) -> Result<(), Error> {
        let writes = lock(&self.state).writes;
        let copied = files.iter().try_for_each(|&file| copy(old, new, file));
        let mut places = self.places_to_change();
        let unchanged = lock(&self.state).writes == writes;
        let outcome = copied.and(if unchanged { Ok(()) } else { Err(Error::Misuse("written while moved")) });
        let leave = if outcome.is_ok() { old } else { new };
        if outcome.is_ok() {
            places.root = new.root.clone();
            self.handles.close_store(self.store);
            let mut state = lock(&self.state);
            state.witness.forget_all();
            state.made.extend(files);
        }
        for &file in files {
            remove(leave, file);
            remove_empty_folders(leave, file);
        }
        outcome
    }
}

impl Places {
    /// The files that are there, the part file among them.
    fn existing(&self) -> Vec<FileIndex> {
        let survey = self.survey();
        let files = (0u32..).zip(&survey.files).filter(|(_, file)| file.is_some());
        files.map(|(number, _)| FileIndex(number)).chain(survey.parts.map(|_| PARTS)).collect()
    }

    /// Removes the part file.
    pub(super) fn remove_parts(&self) -> Result<(), Error> {
        let (parent, name) = open_parent(&self.root, self.path_below(PARTS), false)?;
        retry(|| rustix::fs::unlinkat(&parent, name, AtFlags::empty()))
            .map_err(|errno| Error::from_errno("removing", &self.path(PARTS), errno))
    }
}

/// Renames a file without replacing anything. One that isn't there needs no renaming.
fn rename_below(from: &Path, path: &[String], to: &Path, new: &[String]) -> Result<(), Error> {
    let failed = |errno| match errno {
        Errno::EXIST => Error::InTheWay { path: joined(to, new) },
        errno => Error::from_errno("renaming", &joined(from, path), errno),
    };
    let (old_parent, old_name) = match open_parent(from, path, false) {
        Err(Error::Missing { .. }) => return open_parent(to, new, false).map(drop).or_else(missing_is_fine),
        found => found?,
    };
    let there = rustix::fs::statat(&old_parent, old_name, AtFlags::SYMLINK_NOFOLLOW);
    match there.map(|stat| fingerprint_of(&stat)) {
        Err(Errno::NOENT) => return open_parent(to, new, false).map(drop).or_else(missing_is_fine),
        Err(errno) => return Err(failed(errno)),
        Ok(None) => return Err(Error::InTheWay { path: joined(from, path) }),
        Ok(Some(_)) => {}
    }
    let (new_parent, new_name) = open_parent(to, new, true)?;
    retry(|| rustix::fs::renameat_with(&old_parent, old_name, &new_parent, new_name, RenameFlags::NOREPLACE))
        .map_err(failed)
}

/// A path that has yet to be made is a good one; one that leads out isn't.
fn missing_is_fine(error: Error) -> Result<(), Error> {
    if matches!(error, Error::Missing { .. }) { Ok(()) } else { Err(error) }
}

/// Copies what isn't a hole, and makes it survive a power cut.
fn copy(from: &Places, to: &Places, file: FileIndex) -> Result<(), Error> {
    let source = from.open(file, Access::Read)?;
    let target = to.open(file, Access::Create)?;
    let reading = |errno| Error::from_errno("reading", &from.path(file), errno);
    let writing = |errno| Error::from_errno("writing", &to.path(file), errno);
    let length = retry(|| rustix::fs::fstat(&source)).map_err(reading)?.st_size as u64;
    retry(|| rustix::fs::ftruncate(&target, length)).map_err(writing)?;
    let mut scratch = vec![0; CHECK_READ_BYTES];
    for range in data_ranges(&source, 0..length) {
        let mut at = range.start;
        while at < range.end {
            let part = &mut scratch[..(range.end - at).min(CHECK_READ_BYTES as u64) as usize];
            let count = retry(|| rustix::io::pread(&source, &mut *part, at)).map_err(reading)?;
            if count == 0 {
                return Err(Error::Truncated { path: from.path(file) });
            }
            let mut rest = &part[..count];
            while !rest.is_empty() {
                let count = retry(|| rustix::io::pwrite(&target, rest, at)).map_err(writing)?;
                at += count as u64;
                rest = &rest[count..];
            }
        }
    }
    retry(|| rustix::fs::fdatasync(&target)).map_err(writing)
}

fn remove(places: &Places, file: FileIndex) {
    if let Ok((parent, name)) = open_parent(&places.root, places.path_below(file), false) {
        let _ = rustix::fs::unlinkat(&parent, name, AtFlags::empty());
    }
}

/// Removes the folders that a file lay in, as far as nothing else lies there.
pub(super) fn remove_empty_folders(places: &Places, file: FileIndex) {
    let mut path = places.path_below(file);
    while let Some((_, folders)) = path.split_last().filter(|(_, folders)| !folders.is_empty()) {
        let Ok((parent, name)) = open_parent(&places.root, folders, false) else { return };
        if rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR).is_err() {
            return;
        }
        path = folders;
    }
}
