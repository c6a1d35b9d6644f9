//! Offsets, lazy and safe opening, bounded handles.

mod changes;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;

use afflux_metainfo::{InfoHash, Layout};

use super::*;
use crate::resume::Fingerprint;

fn layout(piece_length: u64, files: &[(&str, u64, bool)]) -> Arc<Layout> {
    let rows = files
        .iter()
        .map(|&(path, length, pad)| (path.split('/').map(str::to_owned).collect::<Vec<_>>(), length, pad));
    Arc::new(Layout::new(piece_length, rows).unwrap())
}

fn places(root: &Path, layout: &Arc<Layout>) -> Places {
    Places::new(root.to_path_buf(), layout.clone(), InfoHash([7; 20]), BTreeMap::new())
}

fn files(root: &Path, layout: &Arc<Layout>, unwanted: &[u32]) -> Files {
    let unwanted: Vec<FileIndex> = unwanted.iter().map(|&file| FileIndex(file)).collect();
    let mut places = places(root, layout);
    places.leave_out(&unwanted);
    Files::new(places, Arc::new(Handles::new(4)), StoreId(0), Allocation::Sparse, Survey::default())
}

fn fingerprints(layout: &Arc<Layout>, root: &Path) -> Vec<Option<Fingerprint>> {
    places(root, layout).survey().files
}

const PARTS_NAME: &str = ".0707070707070707070707070707070707070707.parts";

fn listing(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn writes_and_reads_cross_file_borders_and_pass_over_pads() {
    let folder = tempfile::tempdir().unwrap();
    let layout =
        layout(16, &[("a", 10, false), (".pad/6", 6, true), ("sub/deep/b", 20, false), ("c", 4, false)]);
    let files = files(folder.path(), &layout, &[]);
    let bytes: Vec<u8> = (0..40).collect();
    files.write_at(0, &[&bytes[..7], &bytes[7..8], &bytes[8..25], &bytes[25..]]).unwrap();
    assert_eq!(listing(folder.path()), ["a", "c", "sub"], "a pad file is never created");
    assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), &bytes[..10]);
    assert_eq!(std::fs::read(folder.path().join("sub/deep/b")).unwrap(), &bytes[16..36]);
    assert_eq!(std::fs::read(folder.path().join("c")).unwrap(), &bytes[36..]);
    let mut read = vec![0xff; 32];
    files.read_at(5, &mut read).unwrap();
    let expected: Vec<u8> = (5..37).map(|n| if (10..16).contains(&n) { 0 } else { n }).collect();
    assert_eq!(read, expected, "a pad reads as zeros");
}

#[test]
fn files_are_created_when_first_written_at_full_length_with_a_hole() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(1 << 18, &[("large", 64 << 20, false), ("other", 10, false)]);
    let files = files(folder.path(), &layout, &[]);
    let mut byte = [0];
    assert!(matches!(files.read_at(0, &mut byte), Err(Error::Missing { .. })));
    assert_eq!(listing(folder.path()), Vec::<String>::new(), "reading creates nothing");
    files.write_at(1 << 20, &[b"x"]).unwrap();
    assert_eq!(listing(folder.path()), ["large"]);
    let metadata = std::fs::metadata(folder.path().join("large")).unwrap();
    assert_eq!(metadata.len(), 64 << 20);
    assert!(metadata.blocks() * 512 < 1 << 20, "the file is not sparse: {} blocks", metadata.blocks());
}

#[test]
fn what_a_shared_piece_needs_of_an_unwanted_file_goes_to_the_part_file() {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(
        16,
        &[("wanted", 10, false), ("unwanted", 1 << 20, false), ("none", 0, false), ("no", 0, false)],
    );
    let files = files(folder.path(), &layout, &[1, 3]);
    files.write_at(0, &[&[1; 16]]).unwrap();
    files.create_empty().unwrap();
    assert_eq!(listing(folder.path()), [PARTS_NAME, "none", "wanted"]);
    let mut read = [0; 16];
    files.read_at(0, &mut read).unwrap();
    assert_eq!(read, [1; 16]);
}

#[test]
fn planted_symlinks_are_not_followed() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("secret"), b"0123456789").unwrap();
    symlink(outside.path().join("secret"), folder.path().join("file")).unwrap();
    symlink(outside.path(), folder.path().join("sub")).unwrap();
    let layout = layout(16, &[("file", 10, false), ("sub/secret", 10, false)]);
    let files = files(folder.path(), &layout, &[]);
    for (offset, name) in [(0, "file"), (10, "sub")] {
        let refused = Err(Error::Symlink { path: folder.path().join(name) });
        assert_eq!(files.write_at(offset, &[b"x"]), refused);
        assert_eq!(files.read_at(offset, &mut [0]), refused);
    }
    assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"0123456789");
    assert_eq!(listing(outside.path()), ["secret"]);
    assert_eq!(fingerprints(&layout, folder.path()), [None, None]);
}

#[test]
fn what_lies_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("file")).unwrap();
    std::fs::write(folder.path().join("sub"), b"").unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    let layout = layout(16, &[("file", 10, false), ("sub/b", 10, false), ("pipe", 10, false)]);
    let files = files(folder.path(), &layout, &[]);
    for (offset, name) in [(0, "file"), (10, "sub"), (20, "pipe")] {
        assert_eq!(
            files.write_at(offset, &[b"x"]),
            Err(Error::InTheWay { path: folder.path().join(name) }),
            "{name}"
        );
        assert!(files.read_at(offset, &mut [0]).unwrap_err().is_loss());
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in
        [vec!["..", "x"], vec!["a/../../x"], vec!["."], vec![""], vec!["a", "", "b"], vec!["/x"], vec!["a\0"]]
    {
        let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
        let layout = Arc::new(Layout::new(16, [(path.clone(), 1, false)]).unwrap());
        let outcome = files(folder.path(), &layout, &[]).write_at(0, &[b"x"]);
        assert_eq!(outcome, Err(Error::UnsafePath { path: path.join("/") }));
    }
}

#[test]
fn a_file_cut_short_is_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(16, &[("a", 32, false)]);
    let files = files(folder.path(), &layout, &[]);
    files.write_at(0, &[&[1; 32]]).unwrap();
    std::fs::OpenOptions::new().write(true).open(folder.path().join("a")).unwrap().set_len(20).unwrap();
    assert_eq!(files.read_at(0, &mut [0; 20]), Err(Error::Changed { path: folder.path().join("a") }));
    assert_eq!(files.read_at(0, &mut [0; 20]), Ok(()));
    let error = files.read_at(0, &mut [0; 21]).unwrap_err();
    assert_eq!(error, Error::Truncated { path: folder.path().join("a") });
    assert!(error.is_loss());
}

#[test]
fn handles_stay_bounded_and_the_least_used_closes_first() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
    let rows: Vec<(&str, u64, bool)> = names.iter().map(|name| (&name[..], 10, false)).collect();
    let layout = layout(16, &rows);
    let files = files(folder.path(), &layout, &[]);
    files.write_at(0, &[&[7; 200]]).unwrap();
    assert_eq!(files.handles.open_count(), 4);
    files.read_at(160, &mut [0]).unwrap();
    files.write_at(0, &[&[8]]).unwrap();
    let open: Vec<u32> = files.handles.keys().iter().map(|(_, file)| file.0).collect();
    assert_eq!(open, [0, 16, 18, 19]);
    let handles = files.handles.clone();
    drop(files);
    assert_eq!(handles.open_count(), 0);
}

#[test]
fn long_rows_of_buffers_are_written_in_several_calls() {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(16, &[("a", 5000, false)]);
    let files = files(folder.path(), &layout, &[]);
    let bytes: Vec<u8> = (0..5000u32).map(|n| (n % 251) as u8).collect();
    let buffers: Vec<&[u8]> = bytes.chunks(3).collect();
    files.write_at(0, &buffers).unwrap();
    assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), bytes);
    files.sync().unwrap();
}

#[test]
fn a_file_with_good_bytes_is_never_made_anew_or_grown_over_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let layout = layout(16, &[("a", 64, false)]);
    let files = files(folder.path(), &layout, &[]);
    files.write_at(16, &[&[1; 16]]).unwrap();
    // Cut and removed while a handle is open, and while none is.
    for keep_handle in [true, false] {
        let cut = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        cut.set_len(31).unwrap();
        if !keep_handle {
            files.close();
        }
        assert_eq!(files.write_at(48, &[&[2; 16]]), Err(Error::Truncated { path: path.clone() }));
        assert_eq!(cut.metadata().unwrap().len(), 31);
        cut.set_len(64).unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        if !keep_handle {
            files.close();
            assert_eq!(files.write_at(48, &[&[2; 16]]), Err(Error::Missing { path: path.clone() }));
        }
        std::fs::rename(folder.path().join("moved"), &path).unwrap();
    }
    files.write_at(48, &[&[2; 16]]).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(files.write_at(48, &[&[2; 16]]), Err(Error::Missing { path: path.clone() }));
    assert_eq!(files.survey_damage(), [Damage { file: FileIndex(0), kept_bytes: 0, changed: false }]);
    files.write_at(48, &[&[2; 16]]).unwrap();
    assert_eq!(std::fs::metadata(path).unwrap().len(), 64, "once the loss is known it may be made anew");
}
