//! Hostile and damaged files, and what is believed after a stop or a kill.

use std::collections::BTreeMap;
use std::sync::Arc;

use afflux_metainfo::Layout;

use super::*;
use crate::files::Places;
use crate::limits::SPOT_CHECKS;

fn sample() -> Resume {
    let mut have = Bitfield::new(10);
    have.insert(3.into());
    have.insert(9.into());
    Resume {
        info_hash: InfoHash([7; 20]),
        have,
        partial: vec![Partial { piece: PieceIndex(4), blocks: vec![0, 9] }],
        files: vec![Some(Fingerprint { length: 100, modified_ns: -5 }), None],
        parts: Some(Fingerprint { length: 9, modified_ns: 5 }),
        renamed: vec![(FileIndex(1), vec!["other".to_owned(), "name".to_owned()])],
        priorities: vec![2, 0],
        clean: true,
        extra: b"d1:xi1ee".to_vec(),
    }
}

/// A file with these raw entries in its body and the right checksum.
fn forged(body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.dict(|root| {
        root.bytes("body").raw(body).bytes("sha1").bytes(Sha1::digest(body));
    });
    writer.finish()
}

#[test]
fn what_is_encoded_is_decoded() {
    let mut resume = sample();
    assert_eq!(Resume::decode(&resume.encode()), Ok(resume.clone()));
    resume.clean = false;
    resume.extra.clear();
    resume.files.clear();
    resume.partial.clear();
    resume.renamed.clear();
    resume.priorities.clear();
    resume.parts = None;
    assert_eq!(Resume::decode(&resume.encode()), Ok(resume));
}

#[test]
fn one_flipped_bit_or_missing_byte_anywhere_is_noticed() {
    let bytes = sample().encode();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Resume::decode(&damaged).is_err(), "bit in byte {at}");
        assert!(Resume::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn numbers_with_a_right_checksum_are_checked_too() {
    let body = |pieces: &str, have: &str, files: &str, clean: &str| {
        format!(
            "d5:clean{clean}5:extra0:5:files{files}4:have{have}9:info-hash20:aaaaaaaaaaaaaaaaaaaa6:pieces{pieces}7:versioni1ee"
        )
    };
    let outcome = |body: String| Resume::decode(&forged(body.as_bytes()));
    assert!(outcome(body("i8e", "1:x", "0:", "i0e")).is_ok());
    for (pieces, have, files, clean) in [
        ("i0e", "0:", "0:", "i0e"),
        ("i-8e", "1:x", "0:", "i0e"),
        ("i9223372036854775807e", "1:x", "0:", "i0e"),
        ("i9e", "1:x", "0:", "i0e"),
        ("i7e", "1:y", "0:", "i0e"),
        ("i8e", "1:x", "15:aaaaaaaaaaaaaaa", "i0e"),
        ("i8e", "1:x", "16:aaaaaaaaaaaaaaaa", "i0e"),
        ("i8e", "1:x", "0:", "i2e"),
        ("i8e", "1:x", "de", "i0e"),
    ] {
        let error = outcome(body(pieces, have, files, clean)).unwrap_err();
        assert!(matches!(error, Error::Damaged(_)), "{pieces} {have} {files} {clean}: {error}");
    }
    assert_eq!(Resume::decode(&forged(b"d7:versioni2ee")), Err(Error::Version(2)));
    assert!(Resume::decode(&forged(b"le")).is_err());
    assert!(Resume::decode(b"i1e").is_err());
}

#[test]
fn saving_replaces_the_whole_file_and_ignores_what_a_kill_left() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("state");
    let mut resume = sample();
    assert_eq!(Resume::load(&dir, resume.info_hash), Ok(None));
    resume.save(&dir).unwrap();
    // A save that was killed midway leaves a torn temporary file: the old data is still what counts.
    std::fs::write(dir.join(format!("{}.resume.new", resume.info_hash)), b"d4:bo").unwrap();
    assert_eq!(Resume::load(&dir, resume.info_hash), Ok(Some(resume.clone())));
    resume.have.insert(0.into());
    resume.save(&dir).unwrap();
    assert_eq!(Resume::load(&dir, resume.info_hash), Ok(Some(resume.clone())));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    Resume::remove(&dir, resume.info_hash).unwrap();
    Resume::remove(&dir, resume.info_hash).unwrap();
    assert_eq!(Resume::load(&dir, resume.info_hash), Ok(None));
}

#[test]
fn a_save_that_fails_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let resume = sample();
    resume.save(folder.path()).unwrap();
    let temporary = folder.path().join(format!("{}.resume.new", resume.info_hash));
    std::fs::create_dir(&temporary).unwrap();
    let newer = Resume { clean: false, ..resume.clone() };
    assert!(matches!(newer.save(folder.path()), Err(disk::Error::InTheWay { .. })));
    assert_eq!(Resume::load(folder.path(), resume.info_hash), Ok(Some(resume)));
}

#[test]
fn another_torrents_file_is_foreign_and_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let resume = sample();
    resume.save(folder.path()).unwrap();
    let other = InfoHash([8; 20]);
    std::fs::copy(path(folder.path(), resume.info_hash), path(folder.path(), other)).unwrap();
    assert_eq!(Resume::load(folder.path(), other), Err(Error::Foreign));
    let linked = InfoHash([9; 20]);
    std::os::unix::fs::symlink(path(folder.path(), resume.info_hash), path(folder.path(), linked)).unwrap();
    assert!(matches!(Resume::load(folder.path(), linked), Err(Error::Disk(disk::Error::Symlink { .. }))));
}

#[test]
fn what_cannot_be_used_can_be_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let resume = sample();
    let path = path(folder.path(), resume.info_hash);
    std::fs::write(&path, "damaged").unwrap();
    assert!(Resume::load(folder.path(), resume.info_hash).is_err());
    Resume::set_aside(folder.path(), resume.info_hash).unwrap();
    assert_eq!(Resume::load(folder.path(), resume.info_hash), Ok(None));
    assert_eq!(std::fs::read(path.with_extension("resume.unusable")).unwrap(), b"damaged");
}

#[test]
fn an_endless_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hash = InfoHash([1; 20]);
    let file = std::fs::File::create(path(folder.path(), hash)).unwrap();
    file.set_len(RESUME_BYTES_MAX as u64 + 1).unwrap();
    assert!(matches!(Resume::load(folder.path(), hash), Err(Error::Damaged(_))));
}

/// Two files of 30 bytes, pieces of 20: piece 1 has bytes of both.
fn two_files(folder: &Path) -> Arc<Layout> {
    std::fs::write(folder.join("a"), [1; 30]).unwrap();
    std::fs::write(folder.join("b"), [2; 30]).unwrap();
    Arc::new(Layout::new(20, ["a", "b"].map(|name| (vec![name.to_owned()], 30, false))).unwrap())
}

fn touched(path: &Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
}

fn resume_of(layout: &Arc<Layout>, folder: &Path, have: &[u32], clean: bool) -> Resume {
    let mut pieces = Bitfield::new(layout.piece_count());
    for &piece in have {
        pieces.insert(piece.into());
    }
    let info_hash = InfoHash([1; 20]);
    let survey = Places::new(folder.to_path_buf(), layout.clone(), info_hash, BTreeMap::new()).survey();
    let (partial, renamed, priorities, extra) = Default::default();
    let (files, parts) = (survey.files, survey.parts);
    Resume { info_hash, have: pieces, partial, files, parts, renamed, priorities, clean, extra }
}

fn numbers(field: &Bitfield) -> Vec<u32> {
    field.iter().map(|piece| piece.0).collect()
}

#[test]
fn only_the_pieces_of_changed_files_are_rechecked() {
    let folder = tempfile::tempdir().unwrap();
    let layout = two_files(folder.path());
    let resume = resume_of(&layout, folder.path(), &[0, 1, 2], true);
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!((numbers(&trusted.have), numbers(&trusted.recheck)), (vec![0, 1, 2], vec![]));
    touched(&folder.path().join("b"));
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!((numbers(&trusted.have), numbers(&trusted.recheck)), (vec![0], vec![1, 2]));
    std::fs::remove_file(folder.path().join("a")).unwrap();
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!((numbers(&trusted.have), numbers(&trusted.recheck)), (vec![], vec![0, 1, 2]));
}

#[test]
fn after_a_kill_files_under_way_may_be_newer_but_not_shorter() {
    let folder = tempfile::tempdir().unwrap();
    let layout = two_files(folder.path());
    let resume = resume_of(&layout, folder.path(), &[0, 1], false);
    touched(&folder.path().join("b"));
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!(numbers(&trusted.have), [0, 1], "b had a piece missing: it was being written");
    touched(&folder.path().join("a"));
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert!(trusted.have.is_empty(), "a was complete: nobody should have written it");
    std::fs::write(folder.path().join("b"), [2; 29]).unwrap();
    let clean = resume_of(&two_files(folder.path()), folder.path(), &[0, 1], false);
    std::fs::write(folder.path().join("b"), [2; 29]).unwrap();
    assert_eq!(numbers(&clean.trust(&layout, folder.path(), 1).unwrap().have), [0]);
}

#[test]
fn missing_pieces_of_changed_files_may_have_come_before_the_kill() {
    let folder = tempfile::tempdir().unwrap();
    let layout = two_files(folder.path());
    std::fs::write(folder.path().join("b"), b"").unwrap();
    let resume = resume_of(&layout, folder.path(), &[0], false);
    let untouched = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!((numbers(&untouched.have), numbers(&untouched.recheck)), (vec![0], vec![]));
    std::fs::write(folder.path().join("b"), [2; 30]).unwrap();
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!((numbers(&trusted.have), numbers(&trusted.recheck)), (vec![0], vec![1, 2]));
}

#[test]
fn holes_need_no_look_after_a_kill() {
    const PIECE: usize = 64 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(PIECE as u64, [(vec!["a".to_owned()], 16 * PIECE as u64, false)]);
    let layout = Arc::new(layout.unwrap());
    let file = std::fs::File::create(folder.path().join("a")).unwrap();
    file.set_len(16 * PIECE as u64).unwrap();
    let resume = resume_of(&layout, folder.path(), &[], false);
    std::os::unix::fs::FileExt::write_all_at(&file, &[1; PIECE], 5 * PIECE as u64).unwrap();
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!(numbers(&trusted.recheck), [5]);
}

#[test]
fn without_a_memory_all_that_is_written_is_looked_at_and_zeros_in_holes() {
    const PIECE: usize = 64 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(PIECE as u64, [(vec!["a".to_owned()], 8 * PIECE as u64, false)]);
    let layout = Arc::new(layout.unwrap());
    let file = std::fs::File::create(folder.path().join("a")).unwrap();
    file.set_len(6 * PIECE as u64).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[1; PIECE], 3 * PIECE as u64).unwrap();
    let mut hashes = vec![[0; 20]; 8];
    (hashes[2], hashes[7]) = (Sha1::digest([0; PIECE]).into(), Sha1::digest([0; PIECE]).into());
    let find = || Leftovers::find(&layout, folder.path(), InfoHash([1; 20]), &[], &hashes);
    assert_eq!((numbers(&find().pieces), find().files), (vec![2, 3], vec![(FileIndex(0), 6 * PIECE as u64)]));
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; PIECE], 3 * PIECE as u64).unwrap();
    assert_eq!((numbers(&find().pieces), find().files), (vec![2, 3], vec![]), "zeros are nobody's");
}

#[test]
fn after_an_unclean_end_spots_of_what_nothing_speaks_against_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), vec![1; 2000]).unwrap();
    let layout = Arc::new(Layout::new(20, [(vec!["a".to_owned()], 2000, false)]).unwrap());
    let all: Vec<u32> = (0..100).collect();
    let spots = |have: &[u32], clean, seed| {
        let resume = resume_of(&layout, folder.path(), have, clean);
        let trusted = resume.trust(&layout, folder.path(), seed).unwrap();
        assert!(trusted.recheck.is_empty() && numbers(&trusted.have) == have);
        numbers(&trusted.spots)
    };
    assert_eq!(spots(&all, true, 1), []);
    assert_eq!(spots(&[4, 9], false, 1), [4, 9]);
    let some = spots(&all, false, 1);
    assert!((SPOT_CHECKS / 2..=SPOT_CHECKS).contains(&some.len()), "{some:?}");
    assert_ne!(some, spots(&all, false, 2), "nobody knows which");
}

#[test]
fn what_lies_in_the_part_file_is_believed_as_long_as_that_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let layout = two_files(folder.path());
    std::fs::remove_file(folder.path().join("b")).unwrap();
    let parts = folder.path().join(format!(".{}.parts", InfoHash([1; 20])));
    std::fs::write(&parts, [2; 40]).unwrap();
    let mut resume = resume_of(&layout, folder.path(), &[0, 1], true);
    resume.partial = vec![Partial { piece: PieceIndex(2), blocks: vec![0] }];
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!((numbers(&trusted.have), trusted.partial.len()), (vec![0, 1], 1));
    std::fs::remove_file(&parts).unwrap();
    let trusted = resume.trust(&layout, folder.path(), 1).unwrap();
    assert_eq!((numbers(&trusted.have), trusted.partial.len()), (vec![0], 0));
}

#[test]
fn resume_data_of_another_geometry_is_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let layout = two_files(folder.path());
    assert_eq!(sample().trust(&layout, folder.path(), 1), Err(Error::Foreign));
    let mut resume = resume_of(&layout, folder.path(), &[0], true);
    resume.files.pop();
    assert_eq!(resume.trust(&layout, folder.path(), 1), Err(Error::Foreign));
}
