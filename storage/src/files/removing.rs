//! A torrent's files leave the disk, and nothing else does.
//!
//! What belongs to a torrent is what lies at the paths of its layout (or those that the user gave its files) and its part
//! file. A link, a folder or a pipe that lies there isn't the torrent's; a folder goes when nothing is left in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use afflux_metainfo::{FileIndex, InfoHash, Layout};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::moving::remove_empty_folders;
use super::walk::{fingerprint_of, open_parent, retry};
use super::{PARTS, Places};
use crate::disk::Error;

/// Removes a torrent's files below a download folder, its part file, and the folders that are empty then; says how many
/// files that were. The download folder itself stays. Blocks; nobody may have the torrent open.
///
/// # Errors
/// The first file that is there and can't be removed; all others are gone all the same.
pub fn remove_files(
    root: &Path,
    layout: &Arc<Layout>,
    info_hash: InfoHash,
    renamed: &[(FileIndex, Vec<String>)],
) -> Result<u32, Error> {
    let renamed: BTreeMap<_, _> = renamed.iter().cloned().collect();
    let places = Places::new(root.to_path_buf(), Arc::clone(layout), info_hash, renamed);
    let spans = (0u32..).map(FileIndex).zip(layout.files());
    let files: Vec<FileIndex> = spans.filter(|(_, span)| !span.pad).map(|(file, _)| file).collect();
    let (mut removed, mut outcome) = (0, Ok(()));
    for &file in files.iter().chain([&PARTS]) {
        match remove_file(&places, file) {
            Ok(was_there) => removed += u32::from(was_there),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    // One file stands for all that lay in its folder.
    let folders: BTreeMap<&[String], FileIndex> =
        files.iter().filter_map(|&file| Some((places.path_below(file).split_last()?.1, file))).collect();
    folders.values().for_each(|&file| remove_empty_folders(&places, file));
    outcome.map(|()| removed)
}

/// Removes a file if it is one; says whether it was there.
fn remove_file(places: &Places, file: FileIndex) -> Result<bool, Error> {
    let (parent, name) = match open_parent(&places.root, places.path_below(file), false) {
        Ok(found) => found,
        // Nothing of ours lies behind what isn't a folder, and a link leads to what isn't ours.
        Err(error) if error.is_loss() => return Ok(false),
        Err(error) => return Err(error),
    };
    let failed = |errno| Error::from_errno("removing", &places.path(file), errno);
    match retry(|| rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(stat) if fingerprint_of(&stat).is_some() => {}
        Ok(_) | Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(failed(errno)),
    }
    // Should a link have come in between, it goes itself, and not what it leads to.
    retry(|| rustix::fs::unlinkat(&parent, name, AtFlags::empty())).map(|()| true).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const HASH: InfoHash = InfoHash([7; 20]);

    fn layout() -> Arc<Layout> {
        let rows =
            [("set/a", 10, false), ("set/.pad/6", 6, true), ("set/deep/b", 20, false), ("set/c", 4, false)];
        let path = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        Arc::new(Layout::new(16, rows.map(|(name, length, pad)| (path(name), length, pad))).unwrap())
    }

    fn folder(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "bytes").unwrap();
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_part_file_and_empty_folders_go_and_the_download_folder_stays() {
        let parts = format!(".{HASH}.parts");
        let folder = folder(&["set/a", "set/deep/b", &parts]);
        assert_eq!(remove_files(folder.path(), &layout(), HASH, &[]), Ok(3));
        assert_eq!(names(folder.path()), [""; 0]);
        assert_eq!(remove_files(folder.path(), &layout(), HASH, &[]), Ok(0), "nothing is left to remove");
    }

    #[test]
    fn what_a_stranger_put_beside_them_survives() {
        let folder = folder(&["set/a", "set/deep/b", "set/deep/holiday.jpg", "set/.pad/6", "other/a"]);
        assert_eq!(remove_files(folder.path(), &layout(), HASH, &[]), Ok(2));
        assert_eq!(names(folder.path()), ["other", "set"]);
        assert_eq!(names(&folder.path().join("set")), [".pad", "deep"]);
        assert_eq!(names(&folder.path().join("set/deep")), ["holiday.jpg"]);
        assert!(folder.path().join("other/a").exists());
    }

    #[test]
    fn links_and_folders_in_a_files_place_are_not_the_torrents() {
        let (folder, outside) = (folder(&["set/a/within"]), folder(&["b", "c"]));
        symlink(outside.path(), folder.path().join("set/deep")).unwrap();
        symlink(outside.path().join("c"), folder.path().join("set/c")).unwrap();
        assert_eq!(remove_files(folder.path(), &layout(), HASH, &[]), Ok(0));
        assert_eq!(names(outside.path()), ["b", "c"]);
        assert_eq!(names(&folder.path().join("set")), ["a", "c", "deep"]);
        assert!(folder.path().join("set/a/within").exists());
    }

    #[test]
    fn renamed_files_go_by_their_new_path_and_no_path_leads_out() {
        let folder = folder(&["below/set/a", "below/films/b", "a"]);
        let root = folder.path().join("below");
        let path = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        let renamed = [(FileIndex(0), path("../a")), (FileIndex(2), path("films/b"))];
        let outcome = remove_files(&root, &layout(), HASH, &renamed);
        assert!(matches!(outcome, Err(Error::UnsafePath { .. })), "{outcome:?}");
        assert!(folder.path().join("a").exists());
        assert_eq!(names(&root), ["set"], "the other one is gone");
    }
}
