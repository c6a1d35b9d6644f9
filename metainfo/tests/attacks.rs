//! Hostile .torrents and magnets: each test builds one and says what becomes of it.

use afflux_metainfo::bencode::{self, Document, ErrorKind, Writer};
use afflux_metainfo::layout::LayoutError;
use afflux_metainfo::{
    FileIndex, Info, InfoHash, InfoHashes, Magnet, MagnetError, PieceIndex, Torrent, TorrentError, Warning,
    limits,
};
use sha2::{Digest, Sha256};

// ---- building torrents ----

/// A dictionary under construction: keys are sorted when it is written, unless a test wants disorder.
#[derive(Default)]
struct Keys(Vec<(Vec<u8>, Vec<u8>)>);

impl Keys {
    fn with(mut self, key: impl AsRef<[u8]>, value: impl Into<Bencoded>) -> Self {
        self.0.push((key.as_ref().to_vec(), value.into().0));
        self
    }

    fn without(mut self, key: &str) -> Self {
        self.0.retain(|(name, _)| name != key.as_bytes());
        self
    }

    /// Puts a value in the place of another.
    fn set(self, key: &str, value: impl Into<Bencoded>) -> Self {
        self.without(key).with(key, value)
    }

    fn sorted(mut self) -> Vec<u8> {
        self.0.sort();
        self.as_they_are()
    }

    fn as_they_are(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.dict(|dict| {
            for (key, value) in &self.0 {
                dict.bytes(key).raw(value);
            }
        });
        writer.finish()
    }
}

/// A value that is bencode already.
struct Bencoded(Vec<u8>);

impl From<&str> for Bencoded {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for Bencoded {
    fn from(bytes: &[u8]) -> Self {
        Self(Writer::new().bytes(bytes).finish())
    }
}

impl From<i64> for Bencoded {
    fn from(number: i64) -> Self {
        Self(Writer::new().int(number).finish())
    }
}

impl From<Keys> for Bencoded {
    fn from(keys: Keys) -> Self {
        Self(keys.sorted())
    }
}

impl<T: Into<Bencoded>> From<Vec<T>> for Bencoded {
    fn from(values: Vec<T>) -> Self {
        let mut writer = Writer::new();
        writer.list(|list| {
            for value in values {
                list.raw(&value.into().0);
            }
        });
        Self(writer.finish())
    }
}

fn keys() -> Keys {
    Keys::default()
}

const PIECE: i64 = 16384;

fn hashes(count: usize) -> Bencoded {
    vec![7u8; 20 * count][..].into()
}

/// A sound torrent of one file of 20,000 bytes.
fn single() -> Keys {
    keys()
        .with("length", 20_000)
        .with("name", "film.mkv")
        .with("piece length", PIECE)
        .with("pieces", hashes(2))
}

fn file(path: &[&str], length: i64) -> Keys {
    raw_file(&path.iter().map(|component| component.as_bytes()).collect::<Vec<_>>(), length)
}

fn raw_file(path: &[&[u8]], length: i64) -> Keys {
    keys().with("length", length).with("path", path.to_vec())
}

/// A torrent of several files, with as many hashes as they need.
fn folder(files: Vec<Keys>, total: i64) -> Keys {
    let pieces = (total as usize).div_ceil(PIECE as usize);
    keys()
        .with("files", files)
        .with("name", "pack")
        .with("piece length", PIECE)
        .with("pieces", hashes(pieces))
}

fn sealed(info: impl Into<Bencoded>) -> Vec<u8> {
    keys().with("info", info).sorted()
}

fn parse(info: impl Into<Bencoded>) -> Result<Info, TorrentError> {
    Torrent::parse(&sealed(info)).map(|torrent| torrent.info)
}

/// Files by these paths, of one byte each.
fn named(paths: &[&[&[u8]]]) -> Result<Info, TorrentError> {
    parse(folder(paths.iter().map(|path| raw_file(path, 1)).collect(), paths.len() as i64))
}

fn stored(info: &Info) -> Vec<String> {
    info.layout.files().iter().filter(|file| !file.pad).map(|file| file.display_path()).collect()
}

fn bencode_error(error: TorrentError) -> ErrorKind {
    match error {
        TorrentError::Bencode(error) => error.kind,
        other => panic!("{other:?} is no bencode error"),
    }
}

// ---- v2 ----

fn leaf(length: i64, root: u8) -> Keys {
    keys().with("", keys().with("length", length).with("pieces root", &[root; 32][..]))
}

fn v2(tree: impl Into<Bencoded>) -> Keys {
    keys()
        .with("file tree", tree)
        .with("meta version", 2)
        .with("name", "pack")
        .with("piece length", 2 * PIECE)
}

fn sha256(left: &[u8], right: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// A sound hybrid: `a` of 10 bytes, padding to the piece's end, `b` of 5.
fn hybrid() -> Keys {
    v2(keys().with("a", leaf(10, 1)).with("b", leaf(5, 2)))
        .with("files", vec![file(&["a"], 10), pad(2 * PIECE - 10), file(&["b"], 5)])
        .with("pieces", hashes(2))
}

fn pad(length: i64) -> Keys {
    file(&[".pad", "0"], length).with("attr", "p")
}

// ---- 1 to 6: bencode ----

#[test]
fn nesting_bombs_stop_at_the_depth_limit() {
    // Attack 1.
    for opening in ["l", "d1:a"] {
        let bomb = opening.repeat(1_000_000);
        assert_eq!(bencode_error(Torrent::parse(bomb.as_bytes()).unwrap_err()), ErrorKind::TooDeep);
    }
    let mut tree = Bencoded::from(leaf(1, 1));
    for _ in 0..200 {
        tree = Bencoded(keys().with("d", tree).sorted());
    }
    assert_eq!(bencode_error(parse(v2(tree)).unwrap_err()), ErrorKind::TooDeep);
}

#[test]
fn token_bombs_stop_at_the_token_limit() {
    // Attack 2.
    let bomb = [&b"l"[..], &b"0:".repeat(limits::TORRENT_TOKENS_MAX as usize), b"e"].concat();
    assert_eq!(bencode_error(Torrent::parse(&bomb).unwrap_err()), ErrorKind::TooManyTokens);
}

#[test]
fn lying_length_prefixes_are_refused_without_allocating() {
    // Attack 3.
    for bad in
        ["99999999999999999999:a", "18446744073709551615:a", "9223372036854775807:a", "04:spam", "5:spam"]
    {
        let bytes = format!("d4:info{bad}e");
        let error = bencode_error(Torrent::parse(bytes.as_bytes()).unwrap_err());
        // `5:spam` takes the closing `e` with it.
        assert!(matches!(error, ErrorKind::StringLength | ErrorKind::Truncated), "{bad}: {error:?}");
    }
    let error = bencode_error(Torrent::parse(b"d4:info-1:ae").unwrap_err());
    assert_eq!(error, ErrorKind::UnexpectedByte(b'-'));
}

#[test]
fn integers_have_one_form() {
    // Attack 4.
    for bad in [
        "i-0e",
        "i00e",
        "i01e",
        "ie",
        "i-e",
        "i+1e",
        "i 1e",
        "i1",
        "i10000000000000000000e",
        "i9223372036854775808e",
    ] {
        let info = single().set("length", Bencoded(bad.into()));
        assert!(
            matches!(bencode_error(parse(info).unwrap_err()), ErrorKind::Integer | ErrorKind::Truncated),
            "{bad}"
        );
    }
}

#[test]
fn unsorted_keys_keep_their_info_hash() {
    // Attack 5: never re-encoded, so the hash is that of the bytes.
    let raw = Keys(single().0.into_iter().rev().collect()).as_they_are();
    let info = parse(Bencoded(raw.clone())).unwrap();
    assert_eq!(info.hashes, InfoHashes::V1(InfoHash::of(&raw)));
    assert_eq!(
        (&info.raw[..], &info.warnings[..]),
        (&raw[..], &[Warning::UnsortedKeys("info dictionary")][..])
    );

    let outer = keys().with("info", single()).with("comment", "b before i").as_they_are();
    let torrent = Torrent::parse(&outer).unwrap();
    assert_eq!(torrent.info.hashes, InfoHashes::V1(InfoHash::of(&single().sorted())));
    assert_eq!(torrent.info.warnings, [Warning::UnsortedKeys("outermost dictionary")]);
    assert_eq!(torrent.comment.as_deref(), Some("b before i"));
}

#[test]
fn repeated_keys_are_refused_in_hashed_data() {
    // Attack 5.
    let twice = single().with("name", "another");
    assert_eq!(parse(twice), Err(TorrentError::DuplicateKey("name".into())));
    let file = file(&["a"], 1).with("length", 2);
    assert_eq!(parse(folder(vec![file], 1)), Err(TorrentError::DuplicateKey("length".into())));
}

#[test]
fn unsorted_file_trees_are_refused() {
    // Attack 5.
    let tree = keys().with("b", leaf(1, 1)).with("a", leaf(1, 1)).as_they_are();
    assert_eq!(parse(v2(Bencoded(tree))), Err(TorrentError::FileTree));
    let inner = keys().with("pieces root", &[1; 32][..]).with("length", 1).as_they_are();
    let tree = keys().with("a", keys().with("", Bencoded(inner)));
    assert_eq!(parse(v2(tree)), Err(TorrentError::FileTree));
}

#[test]
fn what_is_no_torrent_is_named() {
    // Attack 6.
    let large = vec![b'x'; limits::TORRENT_BYTES_MAX + 1];
    assert_eq!(bencode_error(Torrent::parse(&large).unwrap_err()), ErrorKind::TooLarge);
    assert_eq!(Torrent::parse(b"4:spam"), Err(TorrentError::NotADictionary));
    assert_eq!(Torrent::parse(b"de"), Err(TorrentError::Field("info")));
    assert_eq!(Torrent::parse(b"d4:info4:spame"), Err(TorrentError::Field("info")));
    assert_eq!(Info::from_metadata(b"le".to_vec().into()), Err(TorrentError::NotADictionary));
    assert_eq!(bencode_error(Torrent::parse(b"").unwrap_err()), ErrorKind::Truncated);
    let trailing = [sealed(single()), b"x".to_vec()].concat();
    assert_eq!(bencode_error(Torrent::parse(&trailing).unwrap_err()), ErrorKind::TrailingBytes);
    let large = vec![b'x'; limits::METADATA_BYTES_MAX + 1];
    assert_eq!(bencode_error(Info::from_metadata(large.into()).unwrap_err()), ErrorKind::TooLarge);
}

// ---- 7 to 10: numbers ----

#[test]
fn piece_hashes_must_fit_the_files() {
    // Attack 7.
    let with = |pieces: Bencoded| parse(single().set("pieces", pieces)).map(|_| ());
    assert_eq!(with(hashes(2)), Ok(()));
    assert_eq!(with(vec![7u8; 39][..].into()), Err(TorrentError::PiecesUnaligned(39)));
    for count in [0, 1, 3] {
        assert_eq!(with(hashes(count)), Err(TorrentError::PiecesCount { expected: 2, actual: count }));
    }
    assert_eq!(with(5.into()), Err(TorrentError::Field("pieces")));
    assert_eq!(parse(single().without("pieces")), Err(TorrentError::Field("pieces")));
    let twice = single().with("pieces", hashes(2));
    assert_eq!(parse(twice), Err(TorrentError::DuplicateKey("pieces".into())));
}

#[test]
fn impossible_piece_lengths_are_refused() {
    // Attack 8.
    for bad in [0, -1, i64::MIN, i64::MAX, (1 << 29) + 1] {
        assert_eq!(parse(single().set("piece length", bad)), Err(TorrentError::PieceLength(bad)));
    }
    assert_eq!(parse(single().without("piece length")), Err(TorrentError::Field("piece length")));
    assert_eq!(parse(single().set("piece length", "16384")), Err(TorrentError::Field("piece length")));
    for bad in [1, 8192, 16385, 3 * 16384] {
        let info = v2(keys().with("a", leaf(1, 1))).set("piece length", bad);
        assert_eq!(parse(info), Err(TorrentError::PieceLengthV2(bad)));
    }
}

#[test]
fn piece_count_bombs_are_refused() {
    // Attack 9.
    let bomb = |length: i64, piece: i64| {
        parse(single().set("length", length).set("piece length", piece)).unwrap_err()
    };
    assert_eq!(bomb(1 << 40, 1), TorrentError::Layout(LayoutError::PieceCount(1 << 40)));
    assert_eq!(bomb(i64::MAX, 1 << 29), TorrentError::Layout(LayoutError::TotalLength));
    let tree = keys().with("a", leaf(i64::MAX, 1)).with("b", leaf(i64::MAX, 1));
    assert_eq!(parse(v2(tree)), Err(TorrentError::Layout(LayoutError::TotalLength)));
    let both = hybrid().set("files", vec![file(&["a"], i64::MAX), file(&["b"], i64::MAX)]);
    let tree = keys().with("a", leaf(i64::MAX, 1)).with("b", leaf(i64::MAX, 1));
    assert!(parse(both.set("file tree", tree)).is_err());
}

#[test]
fn impossible_file_sizes_are_refused() {
    // Attack 10.
    assert_eq!(parse(single().set("length", -1)), Err(TorrentError::FileLength(0)));
    assert_eq!(parse(single().without("length")), Err(TorrentError::Field("length")));
    assert_eq!(parse(single().set("length", 0)), Err(TorrentError::Layout(LayoutError::TotalLength)));
    let negative = folder(vec![file(&["a"], 5), file(&["b"], -5)], 5);
    assert_eq!(parse(negative), Err(TorrentError::FileLength(1)));
    let no_length = folder(vec![file(&["a"], 5).without("length")], 5);
    assert_eq!(parse(no_length), Err(TorrentError::FileLength(0)));
    let overflow = folder(vec![file(&["a"], i64::MAX), file(&["b"], i64::MAX), file(&["c"], 2)], 5);
    assert_eq!(parse(overflow), Err(TorrentError::Layout(LayoutError::TotalLength)));
    let zeros = folder(vec![file(&["a"], 0), file(&["b"], 0)], 5);
    assert_eq!(parse(zeros), Err(TorrentError::Layout(LayoutError::TotalLength)));
    assert_eq!(parse(folder(vec![], 5)), Err(TorrentError::Layout(LayoutError::FileCount(0))));
    assert_eq!(parse(v2(keys().with("a", leaf(-1, 1)))), Err(TorrentError::FileLength(0)));
    assert_eq!(parse(v2(keys())), Err(TorrentError::Layout(LayoutError::FileCount(0))));
}

// ---- 11 to 17: names and attributes ----

#[test]
fn paths_never_leave_the_folder() {
    // Attack 11.
    let paths: &[(&[&[u8]], &str)] = &[
        (&[b"..", b"..", b"etc", b"passwd"], "pack/etc/passwd"),
        (&[b".", b"a"], "pack/a"),
        (&[b"", b"b"], "pack/b"),
        (&[b"/etc/shadow"], "pack/_etc_shadow"),
        (&[b"../../x"], "pack/.._.._x"),
        (&[b"..\\..\\y"], "pack/.._.._y"),
        (&[b"C:", b"windows"], "pack/C_/windows"),
        (&[b"nul\0byte"], "pack/nul_byte"),
        (&[b".. ", b"z"], "pack/_/z"),
        (&[b"..", b"."], "pack/_.1"),
    ];
    let info = named(&paths.iter().map(|(raw, _)| *raw).collect::<Vec<_>>()).unwrap();
    assert_eq!(stored(&info), paths.iter().map(|(_, safe)| *safe).collect::<Vec<_>>());
    assert_eq!(info.warnings.len(), paths.len());

    for (raw, safe) in
        [("..", None), ("/", Some("_")), ("../up", Some(".._up")), ("a/b", Some("a_b")), ("", None)]
    {
        let info = parse(single().set("name", raw)).unwrap();
        let hash = info.hashes.wire().to_string();
        assert_eq!(stored(&info), [safe.unwrap_or(&hash)]);
        assert_eq!(info.name, safe.unwrap_or(&hash));
        assert!(matches!(&info.warnings[..], [Warning::Renamed { .. }]), "{:?}", info.warnings);
    }
}

#[test]
fn files_without_a_path_are_refused() {
    // Attack 11.
    for bad in [file(&[], 1), file(&["a"], 1).without("path"), file(&["a"], 1).set("path", "a")] {
        assert_eq!(parse(folder(vec![bad], 1)), Err(TorrentError::FilePath(0)));
    }
    assert_eq!(parse(folder(vec![file(&["a"], 1).set("path", vec![1])], 1)), Err(TorrentError::FilePath(0)));
    assert_eq!(parse(single().without("name")), Err(TorrentError::Field("name")));
    assert_eq!(parse(single().set("name", 1)), Err(TorrentError::Field("name")));
}

#[test]
fn deceptive_characters_are_replaced() {
    // Attack 12.
    let info = named(&[
        &["movie\u{202e}4pm.exe".as_bytes()],
        &[b"\x1b[31mred"],
        &[b"bad\xff\xfeutf8"],
        &[b"overlong\xc0\xaf"],
        &[b"surrogate\xed\xa0\x80"],
        &["\u{2066}isolate\u{2069}".as_bytes()],
    ])
    .unwrap();
    let expected = ["movie_4pm.exe", "_[31mred", "bad__utf8", "overlong__", "surrogate___", "_isolate_"];
    assert_eq!(stored(&info), expected.map(|name| format!("pack/{name}")));
    let shown = info.warnings[0].to_string();
    assert!(shown.contains("\\u{202e}") && !shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn long_names_are_cut_and_keep_their_extension() {
    // Attack 12.
    let long = "ж".repeat(1000) + ".mkv";
    let info = named(&[&[long.as_bytes()]]).unwrap();
    let name = &info.layout.files()[0].path[1];
    assert!(name.len() <= 240 && name.ends_with("ж.mkv"), "{name}");
}

#[test]
fn colliding_names_are_numbered() {
    // Attack 13.
    let info = named(&[&[b"a.srt"], &[b"A.SRT"], &[b"a.srt"], &[b"d", b"x"], &[b"D", b"X"]]).unwrap();
    assert_eq!(stored(&info), ["pack/a.srt", "pack/A.1.SRT", "pack/a.2.srt", "pack/d/x", "pack/D/X.1"]);
    assert_eq!(info.warnings.len(), 3);
}

#[test]
fn names_that_become_equal_when_cleaned_are_numbered() {
    // Attack 13.
    let info = named(&[&[b"a:b"], &[b"a?b"], &[b"a_b"], &[b"a_b."]]).unwrap();
    assert_eq!(stored(&info), ["pack/a_b", "pack/a_b.1", "pack/a_b.2", "pack/a_b.3"]);
}

#[test]
fn thousands_of_equal_names_are_refused() {
    // Attack 13.
    let same = [&b"same"[..]];
    let many = vec![&same[..]; limits::RENAMED_FILES_MAX + 2];
    assert_eq!(named(&many), Err(TorrentError::DuplicateNames));
    let few = named(&many[..limits::RENAMED_FILES_MAX + 1]).unwrap();
    assert_eq!(few.warnings.len(), limits::RENAMED_WARNINGS_MAX + 1, "not each is listed");
}

#[test]
fn a_file_gives_way_to_a_folder_of_its_name() {
    // Attack 14.
    let info = named(&[&[b"a"], &[b"a", b"b"], &[b"A", b"B", b"c"]]).unwrap();
    assert_eq!(stored(&info), ["pack/a.1", "pack/a/b.1", "pack/A/B/c"]);
}

#[test]
fn folder_bombs_are_refused() {
    // Attack 15.
    let deep = |levels: usize| named(&[&vec![&b"d"[..]; levels]]).map(|_| ());
    assert_eq!(deep(limits::PATH_DEPTH_MAX - 1), Ok(()));
    assert_eq!(deep(limits::PATH_DEPTH_MAX), Err(TorrentError::PathDepth));
    assert_eq!(deep(10_000), Err(TorrentError::PathDepth));
}

#[test]
fn a_folder_that_is_named_once_cannot_be_multiplied() {
    // Attack 15, in a v2 tree: megabytes of path for each of many files.
    let long = vec![b'x'; 1 << 20];
    let inner = (0..200).fold(keys(), |dir, n| dir.with(format!("{n:03}"), leaf(1, 1)));
    assert_eq!(parse(v2(keys().with(&long, inner))), Err(TorrentError::PathBytes));
}

#[test]
fn symlinks_are_left_out() {
    // Attack 16.
    let link = |target: &[&str]| {
        let target: Vec<&str> = target.to_vec();
        file(&["link"], 0).with("attr", "l").with("symlink path", target)
    };
    for target in [&["..", "..", "etc"][..], &["link"], &["a"]] {
        let info = parse(folder(vec![file(&["a"], 5), link(target), file(&["link", "b"], 5)], 10)).unwrap();
        assert_eq!(stored(&info), ["pack/a", "pack/link/b"]);
        assert_eq!(info.layout.files().len(), 3, "the numbers of the files behind it stay");
        let original = "link".to_owned();
        assert_eq!(info.warnings, [Warning::Symlink { file: FileIndex(1), original }]);
    }
    // A link claims no bytes, whatever it says.
    let heavy = link(&["a"]).set("length", 1 << 40);
    assert_eq!(parse(folder(vec![file(&["a"], 5), heavy], 5)).unwrap().layout.total_length(), 5);
    // In a v2 tree.
    let leaf_link =
        keys().with("", keys().with("attr", "l").with("length", 0).with("symlink path", vec!["..", "x"]));
    let info = parse(v2(keys().with("a", leaf(1, 1)).with("z", leaf_link))).unwrap();
    assert_eq!(stored(&info), ["pack/a"]);
}

#[test]
fn pad_files_are_virtual() {
    // Attack 17.
    let info = parse(folder(vec![file(&["a"], 10), pad(PIECE - 10), file(&["b"], 5)], PIECE + 5)).unwrap();
    assert_eq!(stored(&info), ["pack/a", "pack/b"]);
    assert!(info.layout.files()[1].pad);
    // Its path is noise: missing, or another file's.
    for lie in [pad(6).without("path"), pad(6).set("path", vec!["..", "a"]), pad(6).set("path", vec!["a"])] {
        let info = parse(folder(vec![file(&["a"], 10), lie], 16)).unwrap();
        assert_eq!((stored(&info), info.layout.total_length()), (vec!["pack/a".to_owned()], 16));
    }
}

#[test]
fn pad_files_that_cannot_be_are_refused() {
    // Attack 17.
    let pads = |lie: Keys| parse(folder(vec![file(&["a"], 10), lie], PIECE)).map(|_| ());
    assert_eq!(pads(pad(PIECE + 1)), Err(TorrentError::PadFile(1)));
    assert_eq!(pads(pad(-1)), Err(TorrentError::FileLength(1)));
    let padding =
        keys().with("", keys().with("attr", "p").with("length", 5).with("pieces root", &[1; 32][..]));
    let tree = keys().with("a", leaf(5, 1)).with("b", padding);
    assert_eq!(parse(v2(tree)), Err(TorrentError::PadFile(1)));
}

// ---- 18, 19: v2 and hybrids ----

#[test]
fn a_sound_hybrid_is_known_by_both_hashes() {
    let info = parse(hybrid()).unwrap();
    let raw = hybrid().sorted();
    assert_eq!(info.hashes.v1(), Some(InfoHash::of(&raw)));
    assert_eq!(info.hashes.v2().unwrap().0, <[u8; 32]>::from(Sha256::digest(&raw)));
    let v2 = info.v2.as_ref().unwrap();
    let roots: Vec<_> = v2.files.iter().map(|file| (file.file.0, file.pieces_root[0])).collect();
    assert_eq!((roots, info.transferable()), (vec![(0, 1), (2, 2)], Ok(())));
    assert_eq!(info.warnings, []);
    assert_eq!(info.piece_hashes.unwrap().get(PieceIndex(1)), Some([7; 20]));
}

#[test]
fn hybrids_whose_halves_disagree_are_refused() {
    // Attack 18.
    let files = |files: Vec<Keys>| parse(hybrid().set("files", files)).map(|_| ());
    let gap = 2 * PIECE - 10;
    let (a, b) = (|| file(&["a"], 10), || file(&["b"], 5));
    assert_eq!(files(vec![a(), pad(gap), b()]), Ok(()));
    assert_eq!(files(vec![file(&["x"], 10), pad(gap), b()]), Err(TorrentError::HybridMismatch(0)));
    assert_eq!(files(vec![a(), pad(gap), file(&["b"], 6)]), Err(TorrentError::HybridMismatch(2)));
    assert_eq!(files(vec![b(), pad(gap), a()]), Err(TorrentError::HybridMismatch(0)));
    assert_eq!(files(vec![a()]), Err(TorrentError::HybridMismatch(1)));
    assert_eq!(files(vec![a(), pad(gap), b(), file(&["c"], 0)]), Err(TorrentError::HybridMismatch(3)));
    assert_eq!(files(vec![a(), b()]), Err(TorrentError::HybridAlignment(1)));
    assert_eq!(files(vec![a(), pad(gap - 1), b()]), Err(TorrentError::HybridAlignment(2)));
    // Padding behind the last file may be there or not.
    assert_eq!(files(vec![a(), pad(gap), b(), pad(2 * PIECE - 5)]), Ok(()));
    // A symlink is no file.
    let link = file(&["b"], 0).with("attr", "l");
    assert_eq!(files(vec![a(), pad(gap), link]), Err(TorrentError::HybridMismatch(2)));
    assert!(parse(hybrid().set("files", vec![a(), pad(gap), b()]).set("pieces", hashes(1))).is_err());
    assert_eq!(parse(hybrid().without("file tree")), Err(TorrentError::Field("file tree")));
}

#[test]
fn a_single_file_hybrid_agrees_with_itself() {
    // Attack 18: in v1 `length`, in v2 a tree with one file by the torrent's name.
    let info = v2(keys().with("pack", leaf(5, 1))).with("length", 5).with("pieces", hashes(1));
    assert_eq!(stored(&parse(info).unwrap()), ["pack"]);
    let info = v2(keys().with("other", leaf(5, 1))).with("length", 5).with("pieces", hashes(1));
    assert_eq!(parse(info), Err(TorrentError::HybridMismatch(0)));
}

#[test]
fn v2_only_torrents_are_read_but_not_transferred() {
    let tree = keys()
        .with("a", leaf(10, 1))
        .with(
            "d",
            keys().with("b", leaf(2 * PIECE, 2)).with("empty", keys().with("", keys().with("length", 0))),
        )
        .with("e", leaf(1, 3));
    let info = parse(v2(tree)).unwrap();
    assert_eq!(stored(&info), ["pack/a", "pack/d/b", "pack/d/empty", "pack/e"]);
    let real: Vec<_> = info.layout.files().iter().filter(|file| !file.pad).map(|file| file.offset).collect();
    assert_eq!(real, [0, 2 * PIECE as u64, 4 * PIECE as u64, 4 * PIECE as u64]);
    for file in &info.v2.as_ref().unwrap().files {
        assert!(!info.layout.file(file.file).unwrap().pad);
    }
    assert!(info.transferable().unwrap_err().to_string().contains("v2-only"));
    assert!(info.hashes.v1().is_none() && info.piece_hashes.is_none());
    let future = v2(keys().with("a", leaf(1, 1))).set("meta version", 3);
    assert_eq!(parse(future), Err(TorrentError::MetaVersion(3)));
}

#[test]
fn malformed_file_trees_are_refused() {
    // Attack 19 and the tree around it.
    let tree = |tree: Keys| parse(v2(tree)).map(|_| ());
    assert_eq!(tree(keys().with("a", leaf(1, 0))), Err(TorrentError::PiecesRoot(0)), "a root of zeros");
    let bare = keys().with("", keys().with("length", 5));
    assert_eq!(tree(keys().with("a", bare)), Err(TorrentError::PiecesRoot(0)));
    let short = keys().with("", keys().with("length", 5).with("pieces root", "short"));
    assert_eq!(tree(keys().with("a", short)), Err(TorrentError::PiecesRoot(0)));
    assert_eq!(
        tree(keys().with("a", leaf(1, 1).with("b", leaf(1, 1)))),
        Err(TorrentError::FileTree),
        "a file with children"
    );
    assert_eq!(tree(keys().with("a", 5)), Err(TorrentError::FileTree));
    assert_eq!(tree(leaf(1, 1)), Err(TorrentError::FileTree), "a file without a name");
    assert_eq!(tree(keys().with("a", keys().with("", 5))), Err(TorrentError::FileTree));
    assert_eq!(
        tree(keys().with("a", leaf(1, 1)).with("dir", keys())),
        Ok(()),
        "empty folders are passed over"
    );
}

/// A v2 torrent of one file of three 32 KiB pieces, with this under `piece layers`.
fn layered(layers: impl Fn(&[u8; 32], &[u8]) -> Keys) -> Torrent {
    let zero_piece = sha256(&[0; 32], &[0; 32]);
    let layer = [[1; 32], [2; 32], [3; 32]];
    let root = sha256(&sha256(&layer[0], &layer[1]), &sha256(&layer[2], &zero_piece));
    let leaf = keys().with("", keys().with("length", 5 * PIECE).with("pieces root", &root[..]));
    let info = v2(keys().with("a", leaf));
    let layers = layers(&root, layer.as_flattened());
    Torrent::parse(&keys().with("info", info).with("piece layers", layers).sorted())
        .expect("the torrent around the layers is sound")
}

#[test]
fn piece_layers_are_kept_if_they_hash_to_their_root() {
    // Attack 19.
    let torrent = layered(|root, layer| keys().with(root, layer));
    assert_eq!(torrent.piece_layers.get(FileIndex(0)), Some(&[[1; 32], [2; 32], [3; 32]][..]));
    assert_eq!(torrent.info.warnings, []);
}

#[test]
fn lying_piece_layers_are_left_out() {
    // Attack 19: peers can be asked for the right ones.
    let lies: [Lie; 6] = [
        |root, layer| keys().with(root, &layer[..64]),
        |root, layer| keys().with(root, &layer[..95]),
        |root, layer| keys().with(root, &[layer, &[0; 32]].concat()[..]),
        |root, layer| keys().with(root, &[&layer[32..], &layer[..32]].concat()[..]),
        |_, layer| keys().with([9; 32], layer),
        |root, _| keys().with(root, 5),
    ];
    for lie in lies {
        let torrent = layered(lie);
        assert_eq!(torrent.piece_layers.count(), 0);
        assert_eq!(torrent.info.warnings, [Warning::PieceLayers(1)]);
    }
    assert_eq!(layered(|_, _| keys()).info.warnings, [], "a missing layer is no lie");
}

type Lie = fn(&[u8; 32], &[u8]) -> Keys;

// ---- 20: magnets ----

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

fn magnet(rest: &str) -> Result<Magnet, MagnetError> {
    format!("magnet:?xt=urn:btih:{HASH}{rest}").parse()
}

#[test]
fn magnets_without_a_valid_hash_are_refused() {
    // Attack 20.
    let parse = |text: &str| text.parse::<Magnet>().unwrap_err();
    assert_eq!(parse("magnet:?dn=x"), MagnetError::NoHash);
    assert_eq!(parse("magnet:?xt=urn:sha1:ABC"), MagnetError::NoHash);
    assert_eq!(parse("http://example.com"), MagnetError::Scheme);
    assert_eq!(parse("magn"), MagnetError::Scheme);
    for bad in [
        "",
        "abc",
        &HASH[1..],
        &format!("{HASH}0"),
        &HASH.replace('a', "g"),
        &"1".repeat(32),
        &"é".repeat(20),
    ] {
        assert!(matches!(parse(&format!("magnet:?xt=urn:btih:{bad}")), MagnetError::Hash(_)), "{bad}");
    }
    for bad in [
        "",
        "1220",
        &format!("1220{HASH}"),
        &format!("1320{}", "a".repeat(64)),
        &format!("1220{}", "x".repeat(64)),
    ] {
        assert_eq!(parse(&format!("magnet:?xt=urn:btmh:{bad}")), MagnetError::Multihash, "{bad}");
    }
    let other = "f".repeat(40);
    assert_eq!(magnet(&format!("&xt=urn:btih:{other}")), Err(MagnetError::TwoTorrents));
    assert!(magnet(&format!("&xt.2=urn:btih:{HASH}")).is_ok());
}

#[test]
fn broken_selections_are_refused_and_huge_ones_cost_nothing() {
    // Attack 20.
    for bad in ["5-2", "a", "-", "1-", "-1", "1,,2", "", "4294967296", "+1", "1-2-3", "0x1"] {
        assert_eq!(magnet(&format!("&so={bad}")), Err(MagnetError::Select(bad.into())));
    }
    let huge = magnet("&so=0-2147483647").unwrap();
    assert_eq!(huge.select, [0..=2_147_483_647]);
    assert!(huge.selects(2_000_000_000));
}

#[test]
fn broken_escapes_and_numbers_are_refused() {
    // Attack 20.
    for bad in ["%", "%2", "%zz", "a%", "%ff", "%+1"] {
        assert_eq!(magnet(&format!("&dn={bad}")), Err(MagnetError::Escape("dn".into())), "{bad}");
        assert_eq!(magnet(&format!("&tr={bad}")), Err(MagnetError::Escape("tr".into())), "{bad}");
    }
    for bad in ["", "x", "-1", "+1", "18446744073709551616"] {
        assert_eq!(magnet(&format!("&xl={bad}")), Err(MagnetError::Length(bad.into())));
    }
    for bad in
        ["", "host", "host:", "host:0", "host:65536", ":1", "1.2.3.4", "::1:1", "[::1]", "a b:1", "h:+1"]
    {
        assert_eq!(magnet(&format!("&x.pe={bad}")), Err(MagnetError::Peer(bad.into())));
    }
}

#[test]
fn lists_in_magnets_are_capped() {
    // Attack 20.
    let many = |item: &dyn Fn(usize) -> String| magnet(&(0..500).map(item).collect::<String>()).unwrap();
    assert_eq!(many(&|n| format!("&tr=udp://t{n}:1")).trackers.len(), limits::TRACKERS_MAX);
    assert_eq!(many(&|n| format!("&ws=http://w{n}/")).web_seeds.len(), limits::WEB_SEEDS_MAX);
    assert_eq!(many(&|n| format!("&x.pe=10.0.0.1:{}", n + 1)).peers.len(), limits::MAGNET_PEERS_MAX);
    assert_eq!(many(&|_| "&tr=udp://same:1".into()).trackers.len(), 1);
    assert_eq!(magnet("&tr=file:///etc/passwd&tr=javascript:1&ws=udp://x:1").unwrap().trackers.len(), 0);
    assert_eq!(magnet(&"x".repeat(limits::MAGNET_BYTES_MAX)), Err(MagnetError::TooLong));
    let deceptive = magnet("&dn=a%0Ab%1B%5B31m%E2%80%AE").unwrap();
    assert_eq!(deceptive.name.as_deref(), Some("a_b_[31m_"));
}

// ---- 21: lists around the info dictionary ----

#[test]
fn tracker_lists_are_deduplicated_and_capped() {
    // Attack 21.
    let tier = |urls: &[&'static str]| urls.to_vec();
    let outer = keys()
        .with("announce", "http://ignored.example/")
        .with(
            "announce-list",
            vec![
                tier(&["http://a.example/", "udp://b.example:1", "http://a.example/"]),
                tier(&[
                    "http://a.example/",
                    "file:///etc/passwd",
                    "http://c.example/\r\nX: y",
                    "gopher://d",
                    "http://",
                ]),
                tier(&[" wss://e.example "]),
            ],
        )
        .with("info", single());
    let torrent = Torrent::parse(&outer.sorted()).unwrap();
    assert_eq!(torrent.trackers, [vec!["http://a.example/", "udp://b.example:1"], vec!["wss://e.example"]]);
    assert_eq!(torrent.info.warnings, [Warning::LeftOut { what: "trackers", count: 6 }]);

    let bomb: Vec<Vec<String>> = (0..5000).map(|n| vec![format!("udp://t{n}.example:1")]).collect();
    let bomb: Vec<Vec<&str>> = bomb.iter().map(|tier| tier.iter().map(String::as_str).collect()).collect();
    let torrent =
        Torrent::parse(&keys().with("announce-list", bomb).with("info", single()).sorted()).unwrap();
    assert_eq!(torrent.trackers.len(), limits::TRACKERS_MAX);
}

#[test]
fn announce_stands_in_for_an_unusable_list() {
    // Attack 21; BEP 12.
    for list in [Bencoded::from(Vec::<&str>::new()), vec![vec!["nonsense"]].into(), 5.into()] {
        let outer =
            keys().with("announce", "http://a.example/").with("announce-list", list).with("info", single());
        assert_eq!(Torrent::parse(&outer.sorted()).unwrap().trackers, [["http://a.example/"]]);
    }
}

#[test]
fn web_seeds_and_nodes_are_deduplicated_and_capped() {
    // Attack 21.
    let seeds: Vec<String> = (0..500).map(|n| format!("http://w{}.example/", n / 2)).collect();
    let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
    let node = |host: &str, port: i64| vec![Bencoded::from(host), port.into()];
    let mut nodes: Vec<Vec<Bencoded>> = (0..500).map(|n| node(&format!("n{}", n / 2), 1)).collect();
    nodes.insert(0, node("zero.example", 0));
    nodes.insert(0, node("line\r\nbreak", 1));
    nodes.insert(0, vec![1.into()]);
    let outer = keys().with("info", single()).with("nodes", nodes).with("url-list", seeds);
    let torrent = Torrent::parse(&outer.sorted()).unwrap();
    assert_eq!((torrent.web_seeds.len(), torrent.nodes.len()), (limits::WEB_SEEDS_MAX, limits::NODES_MAX));
    assert_eq!(torrent.nodes[0], ("n0".to_owned(), 1));

    let one = keys().with("info", single()).with("url-list", "http://w.example/");
    assert_eq!(Torrent::parse(&one.sorted()).unwrap().web_seeds, ["http://w.example/"]);
}

#[test]
fn errors_are_sentences() {
    let error = Torrent::parse(b"d4:infoi1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "this is not a torrent file: malformed bencode at byte 9: it ends too early"
    );
    let error = bencode::Error { kind: ErrorKind::TooDeep, offset: 3 };
    assert!(
        Document::parse(b"", &limits::TORRENT).is_err() && TorrentError::from(error).to_string().len() > 20
    );
}
