//! Files that are wanted or not, allocated, renamed and moved.

use std::os::unix::fs::MetadataExt;

use super::*;

/// `wanted` shares its last piece with `unwanted`, and that its last with `also`.
fn three(folder: &Path, unwanted: &[u32]) -> Files {
    let layout = layout(16, &[("wanted", 10, false), ("sub/unwanted", 38, false), ("also", 16, false)]);
    files(folder, &layout, unwanted)
}

fn bytes() -> Vec<u8> {
    (1..65).collect()
}

#[test]
fn a_file_that_becomes_wanted_gets_what_was_put_aside_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = three(folder.path(), &[1]);
    files.write_at(0, &[&bytes()[..16]]).unwrap();
    files.write_at(32, &[&bytes()[32..]]).unwrap();
    files.trust([PieceIndex(0), PieceIndex(2), PieceIndex(3)]);
    assert_eq!(listing(folder.path()), [PARTS_NAME, "also", "wanted"]);
    files.leave_out(&[]).unwrap();
    assert_eq!(listing(folder.path()), ["also", "sub", "wanted"], "the part file is gone");
    let mut read = vec![0; 16];
    files.read_at(0, &mut read).unwrap();
    assert_eq!(read, bytes()[..16]);
    files.read_at(32, &mut read).unwrap();
    assert_eq!(read, bytes()[32..48]);
    assert_eq!(std::fs::metadata(folder.path().join("sub/unwanted")).unwrap().len(), 38);
    files.write_at(16, &[&bytes()[16..32]]).unwrap();
    assert_eq!(std::fs::read(folder.path().join("sub/unwanted")).unwrap(), bytes()[10..48]);
}

#[test]
fn a_file_that_exists_keeps_its_bytes_when_it_is_wanted_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let files = three(folder.path(), &[]);
    files.write_at(0, &[&bytes()[..32]]).unwrap();
    files.leave_out(&[1, 2].map(FileIndex)).unwrap();
    files.write_at(32, &[&bytes()[32..]]).unwrap();
    assert_eq!(listing(folder.path()), [PARTS_NAME, "sub", "wanted"], "also is not made");
    assert_eq!(std::fs::read(folder.path().join("sub/unwanted")).unwrap(), bytes()[10..48]);
    let mut read = vec![0; 64];
    files.read_at(0, &mut read).unwrap();
    assert_eq!(read, bytes());
}

#[test]
fn what_was_put_aside_never_replaces_a_file_that_came_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let before = three(folder.path(), &[1]);
    before.write_at(0, &[&bytes()[..16]]).unwrap();
    drop(before);
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/unwanted"), [0xff; 38]).unwrap();
    let after = three(folder.path(), &[]);
    after.leave_out(&[]).unwrap();
    assert_eq!(std::fs::read(folder.path().join("sub/unwanted")).unwrap(), [0xff; 38]);
    assert_eq!(listing(folder.path()), ["sub", "wanted"]);
}

#[test]
fn a_lost_part_file_is_a_loss_of_what_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = three(folder.path(), &[1]);
    files.write_at(0, &[&bytes()[..16]]).unwrap();
    std::fs::remove_file(folder.path().join(PARTS_NAME)).unwrap();
    assert!(files.write_at(32, &[&bytes()[32..48]]).unwrap_err().is_loss());
    assert_eq!(files.survey_damage(), [Damage { file: FileIndex(1), kept_bytes: 0, changed: false }]);
    files.write_at(32, &[&bytes()[32..48]]).unwrap();
}

#[test]
fn space_is_taken_as_it_was_wished() {
    const LENGTH: u64 = 4 << 20;
    for (allocation, length, allocated) in [
        (Allocation::None, 16, 0..LENGTH / 2),
        (Allocation::Sparse, LENGTH, 0..LENGTH / 2),
        (Allocation::Full, LENGTH, LENGTH..2 * LENGTH),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(16, &[("a", LENGTH, false)]);
        let handles = Arc::new(Handles::new(4));
        let files =
            Files::new(places(folder.path(), &layout), handles, StoreId(0), allocation, Survey::default());
        files.write_at(0, &[&[1; 16]]).unwrap();
        let facts = std::fs::metadata(folder.path().join("a")).unwrap();
        assert_eq!(facts.len(), length, "{allocation:?}");
        assert!(allocated.contains(&(facts.blocks() * 512)), "{allocation:?}: {} blocks", facts.blocks());
    }
}

#[test]
fn a_renamed_file_is_read_and_written_under_its_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let files = three(folder.path(), &[]);
    files.write_at(0, &[&bytes()[..32]]).unwrap();
    let path = || vec!["other".to_owned(), "name".to_owned()];
    files.rename(FileIndex(1), path()).unwrap();
    files.write_at(32, &[&bytes()[32..]]).unwrap();
    files.sync().unwrap();
    assert_eq!(std::fs::read(folder.path().join("other/name")).unwrap(), bytes()[10..48]);
    assert_eq!(files.renamed(), [(FileIndex(1), path())]);
    files.rename(FileIndex(1), vec!["sub".to_owned(), "unwanted".to_owned()]).unwrap();
    assert_eq!(files.renamed(), [], "its own name needs no remembering");
    assert_eq!(std::fs::read(folder.path().join("sub/unwanted")).unwrap(), bytes()[10..48]);
}

#[test]
fn renaming_replaces_nothing_and_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let files = three(folder.path(), &[]);
    files.write_at(0, &[&bytes()]).unwrap();
    std::fs::write(folder.path().join("there"), "mine").unwrap();
    let rename =
        |path: &[&str]| files.rename(FileIndex(0), path.iter().map(|&name| name.to_owned()).collect());
    for path in [&["there"][..], &["also"], &["also", "below"], &["sub"]] {
        assert!(matches!(rename(path), Err(Error::InTheWay { .. })), "{path:?}");
    }
    for path in [&["..", "x"][..], &["/x"], &[], &["a/b"], &["."]] {
        assert!(matches!(rename(path), Err(Error::UnsafePath { .. } | Error::InTheWay { .. })), "{path:?}");
    }
    assert_eq!(std::fs::read(folder.path().join("there")).unwrap(), b"mine");
    assert_eq!(std::fs::read(folder.path().join("wanted")).unwrap(), bytes()[..10]);
}

fn assert_moved(from: &Path, to: &Path) {
    let files = three(from, &[2]);
    files.write_at(0, &[&bytes()]).unwrap();
    files.move_to(to).unwrap();
    assert_eq!(listing(from), Vec::<String>::new());
    assert_eq!(listing(to), [PARTS_NAME, "sub", "wanted"]);
    let mut read = vec![0; 64];
    files.read_at(0, &mut read).unwrap();
    assert_eq!(read, bytes());
    files.write_at(0, &[&bytes()[..16]]).unwrap();
    files.sync().unwrap();
}

#[test]
fn files_move_to_another_folder() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    std::fs::create_dir(&from).unwrap();
    assert_moved(&from, &folder.path().join("deep/to"));
}

#[test]
fn files_move_to_another_file_system() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
    assert_ne!(device(here.path()), device(there.path()), "/dev/shm is to be another file system");
    assert_moved(here.path(), there.path());
}

#[test]
fn nothing_moves_if_something_is_in_the_way() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = three(from.path(), &[]);
    files.write_at(0, &[&bytes()]).unwrap();
    // A folder where a file belongs: noticed only when it's the file's turn.
    std::fs::create_dir(to.path().join("also")).unwrap();
    assert!(matches!(files.move_to(to.path()), Err(Error::InTheWay { .. })));
    assert_eq!(listing(from.path()), ["also", "sub", "wanted"]);
    std::fs::remove_dir(to.path().join("also")).unwrap();
    std::fs::write(to.path().join("also"), "mine").unwrap();
    assert!(matches!(files.move_to(to.path()), Err(Error::InTheWay { .. })));
    assert_eq!(std::fs::read(to.path().join("also")).unwrap(), b"mine");
    let mut read = vec![0; 64];
    files.read_at(0, &mut read).unwrap();
    assert_eq!(read, bytes());
}

fn write_by_another(path: &Path, offset: u64, bytes: &[u8]) {
    // Times have the grain of the kernel's clock.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, offset).unwrap();
}

#[test]
fn a_change_by_another_is_noticed_once_by_whoever_reads_or_writes_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wanted");
    let changed = Err(Error::Changed { path: path.clone() });
    let damage = Damage { file: FileIndex(0), kept_bytes: 0, changed: true };
    let files = three(folder.path(), &[]);
    files.write_at(0, &[&bytes()]).unwrap();
    files.read_at(0, &mut [0; 64]).unwrap();
    for closed in [false, true] {
        write_by_another(&path, 3, b"x");
        if closed {
            files.close();
        }
        assert_eq!(files.read_at(16, &mut [0; 16]), Ok(()), "another file");
        assert!(!files.read_hot(0, &mut [0; 10]));
        assert_eq!(files.read_at(0, &mut [0; 16]), changed);
        assert_eq!(files.survey_damage(), [damage]);
        files.read_at(0, &mut [0; 16]).unwrap();

        write_by_another(&path, 3, b"x");
        if closed {
            files.close();
        }
        assert_eq!(files.write_at(0, &[&[1; 5]]), changed);
        assert_eq!(files.survey_damage(), [damage]);
        files.write_at(0, &[&[1; 5]]).unwrap();
        files.read_at(0, &mut [0; 16]).unwrap();
    }
}

#[test]
fn our_own_changes_are_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let files = three(folder.path(), &[1]);
    for round in 0..3 {
        for offset in [0, 16, 32, 48] {
            files.write_at(offset, &[&[round; 16]]).unwrap();
            files.read_at(0, &mut [0; 16]).unwrap();
            if round == 1 {
                files.close();
            }
        }
        files.leave_out(&if round == 0 { vec![] } else { vec![FileIndex(2)] }).unwrap();
        files.sync().unwrap();
        files.read_at(0, &mut [0; 64]).unwrap();
    }
    files.move_to(&folder.path().join("elsewhere")).unwrap();
    files.read_at(0, &mut [0; 64]).unwrap();
}
