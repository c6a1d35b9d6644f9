//! Making .torrent files (BEP 3, 5, 12, 19, 27): v1, keys in canonical order.
//!
//! Not here: reading and hashing what is shared. The caller walks [`Builder::layout`] and brings the hashes.

use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::layout::{Layout, LayoutError};
use crate::limits::{FILES_MAX, PATH_DEPTH_MAX};
use crate::path::{disambiguate, safe_component};
use crate::torrent::Torrent;

/// Smallest piece that [`piece_length_for`] chooses: one block.
pub const PIECE_LENGTH_CHOSEN_MIN: u32 = 16 * 1024;

/// Largest piece that [`piece_length_for`] chooses. A reader waits for a whole piece, and so larger ones
/// would make streams start late.
pub const PIECE_LENGTH_CHOSEN_MAX: u32 = 16 * 1024 * 1024;

/// Pieces that [`piece_length_for`] stays below while it can: 40 KB of hashes.
const PIECES_CHOSEN_MAX: u64 = 2000;

/// The piece length to choose for so many bytes: a power of two from 16 KiB to 16 MiB that makes 1,000 to
/// 2,000 pieces where it can. Fewer make large pieces that start late; more make a large .torrent.
pub fn piece_length_for(total: u64) -> u32 {
    let mut length = PIECE_LENGTH_CHOSEN_MIN;
    while length < PIECE_LENGTH_CHOSEN_MAX && total.div_ceil(u64::from(length)) > PIECES_CHOSEN_MAX {
        length *= 2;
    }
    length
}

/// What surrounds an `info` dictionary in a .torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Tracker URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seed URLs (BEP 19).
    pub web_seeds: Vec<String>,
    /// DHT nodes (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// A comment.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// Seconds since 1970.
    pub creation_date: Option<i64>,
}

impl Envelope {
    /// The .torrent file around an `info` dictionary, whose bytes go in as they are: the way to a .torrent
    /// of what came from peers, too. `info` must be one bencoded value.
    pub fn seal(&self, info: &[u8]) -> Vec<u8> {
        let before = Before {
            announce: self.trackers.iter().flatten().next().map(String::as_str),
            // One tracker needs no list.
            announce_list: Some(&self.trackers[..]).filter(|tiers| tiers.iter().flatten().count() > 1),
            comment: self.comment.as_deref(),
            created_by: self.created_by.as_deref(),
            creation_date: self.creation_date,
        };
        let after = After { nodes: &self.nodes, url_list: &self.web_seeds };
        // serde_bencode can't embed bytes that are bencode already: the two halves are written without the
        // frame between.
        let (before, after) = (to_bytes(&before), to_bytes(&after));
        let mut file = Vec::with_capacity(before.len() + info.len() + after.len() + 8);
        file.extend_from_slice(before.strip_suffix(b"e").unwrap_or(&before));
        file.extend_from_slice(b"4:info");
        file.extend_from_slice(info);
        file.extend_from_slice(after.strip_prefix(b"d").unwrap_or(&after));
        file
    }
}

impl From<&Torrent> for Envelope {
    /// What surrounds a torrent that was read; v2 piece layers don't come along.
    fn from(torrent: &Torrent) -> Self {
        Self {
            trackers: torrent.trackers.clone(),
            web_seeds: torrent.web_seeds.clone(),
            nodes: torrent.nodes.clone(),
            comment: torrent.comment.clone(),
            created_by: torrent.created_by.clone(),
            creation_date: torrent.creation_date,
        }
    }
}

/// The keys that sort before `info`.
#[derive(Serialize)]
struct Before<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    announce: Option<&'a str>,
    #[serde(rename = "announce-list", skip_serializing_if = "Option::is_none")]
    announce_list: Option<&'a [Vec<String>]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(rename = "created by", skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
    #[serde(rename = "creation date", skip_serializing_if = "Option::is_none")]
    creation_date: Option<i64>,
}

/// The keys that sort after it.
#[derive(Serialize)]
struct After<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    nodes: &'a [(String, u16)],
    #[serde(rename = "url-list", skip_serializing_if = "<[_]>::is_empty")]
    url_list: &'a [String],
}

/// Why no .torrent can be made: the caller's mistake, or a name that can't be shared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Sizes or counts that no torrent has.
    #[error("no torrent can be made of this: {0}")]
    Layout(#[from] LayoutError),
    /// A name that other programs would have to change.
    #[error("{0:?} cannot be shared under this name: rename it")]
    UnsafeName(String),
    /// Two files that one folder can't hold on every system.
    #[error("{0:?} has the same name as another file, or differs only in case: rename it")]
    DuplicateName(String),
    /// Not one hash for each piece.
    #[error("{expected} pieces need as many hashes, not {actual}")]
    HashCount {
        /// Pieces that the files make.
        expected: u32,
        /// Hashes that were given.
        actual: usize,
    },
}

/// A v1 .torrent in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    folder: bool,
    layout: Layout,
    private: bool,
    envelope: Envelope,
}

impl Builder {
    /// A torrent that is one file.
    pub fn single_file(name: &str, length: u64, piece_length: u32) -> Result<Self, CreateError> {
        Self::new(name, false, vec![(Vec::new(), length)], piece_length)
    }

    /// A torrent that is a folder; paths are below it, one component each, in the order in which they're
    /// laid out.
    pub fn folder(
        name: &str,
        files: impl IntoIterator<Item = (Vec<String>, u64)>,
        piece_length: u32,
    ) -> Result<Self, CreateError> {
        // One more than there may be is enough to be refused.
        Self::new(name, true, files.into_iter().take(FILES_MAX + 1).collect(), piece_length)
    }

    fn new(
        name: &str,
        folder: bool,
        files: Vec<(Vec<String>, u64)>,
        piece_length: u32,
    ) -> Result<Self, CreateError> {
        let (mut paths, lengths): (Vec<Vec<String>>, Vec<u64>) = files.into_iter().unzip();
        for path in &mut paths {
            if path.is_empty() == folder {
                return Err(CreateError::UnsafeName(String::new()));
            }
            path.insert(0, name.to_owned());
            let safe = |name: &String| safe_component(name.as_bytes()).as_deref() == Some(name);
            if path.len() > PATH_DEPTH_MAX || !path.iter().all(safe) {
                return Err(CreateError::UnsafeName(path.join("/")));
            }
        }
        let mut apart = paths.clone();
        // Too many duplicates are duplicates: the first one stands for them.
        let renamed = disambiguate(&mut apart.iter_mut().collect::<Vec<_>>());
        if let Some(first) = renamed.map_or(Some(0), |renamed| renamed.first().copied()) {
            return Err(CreateError::DuplicateName(paths[first].join("/")));
        }
        let rows = paths.into_iter().zip(lengths).map(|(path, length)| (path, length, false));
        let layout = Layout::new(u64::from(piece_length), rows)?;
        let (private, envelope) = (false, Envelope::default());
        Ok(Self { name: name.to_owned(), folder, layout, private, envelope })
    }

    /// Marks it private (BEP 27).
    pub fn private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Puts this around it.
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// Where its bytes lie: what to hash.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The .torrent file, given the SHA-1 of every piece in order.
    pub fn build(&self, piece_hashes: &[[u8; 20]]) -> Result<Vec<u8>, CreateError> {
        let (expected, actual) = (self.layout.piece_count(), piece_hashes.len());
        if expected as usize != actual {
            return Err(CreateError::HashCount { expected, actual });
        }
        let listed =
            self.layout.files().iter().map(|file| InfoFile { length: file.length, path: &file.path[1..] });
        let info = InfoV1 {
            files: self.folder.then(|| listed.collect()),
            length: (!self.folder).then(|| self.layout.total_length()),
            name: &self.name,
            piece_length: self.layout.piece_length(),
            pieces: Octets(piece_hashes.as_flattened()),
            private: self.private.then_some(1),
        };
        Ok(self.envelope.seal(&to_bytes(&info)))
    }
}

#[derive(Serialize)]
struct InfoV1<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<InfoFile<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    name: &'a str,
    #[serde(rename = "piece length")]
    piece_length: u32,
    pieces: Octets<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<u8>,
}

#[derive(Serialize)]
struct InfoFile<'a> {
    length: u64,
    path: &'a [String],
}

/// Bytes that serde would otherwise take for a list of numbers.
struct Octets<'a>(&'a [u8]);

impl Serialize for Octets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_bencode::to_bytes(value).expect("strings, integers, lists and structs have a bencoded form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::Document;
    use crate::limits;

    #[test]
    fn what_is_made_is_read_back() {
        let envelope = Envelope {
            trackers: vec![
                vec!["http://a.example/announce".into(), "udp://b.example:1".into()],
                vec!["wss://c".into()],
            ],
            web_seeds: vec!["https://w.example/".into()],
            nodes: vec![("n.example".into(), 6881)],
            comment: Some("for tests".into()),
            created_by: Some("Afflux".into()),
            creation_date: Some(1_700_000_000),
        };
        let files = [(vec!["b".into(), "film.mkv".into()], 40_000), (vec!["empty".into()], 0)];
        let builder = Builder::folder("pack", files, 16384).unwrap().private(true).envelope(envelope.clone());
        let hashes = [[1; 20], [2; 20], [3; 20]];
        let bytes = builder.build(&hashes).unwrap();
        let torrent = Torrent::parse(&bytes).unwrap();
        assert_eq!(torrent.info.warnings, [], "keys are in canonical order");
        assert_eq!((&torrent.info.layout, torrent.info.private), (builder.layout(), true));
        assert!(torrent.info.piece_hashes.as_ref().unwrap().iter().eq(&hashes));
        assert_eq!(Envelope::from(&torrent), envelope);
    }

    #[test]
    fn a_single_file_without_surroundings_is_only_an_info_dictionary() {
        let bytes = Builder::single_file("a", 5, 16384).unwrap().build(&[[b'x'; 20]]).unwrap();
        let expected =
            b"d4:infod6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxee".to_vec();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn one_tracker_needs_no_list() {
        let envelope = Envelope { trackers: vec![vec!["http://a/".into()]], ..Envelope::default() };
        let bytes = envelope.seal(b"de");
        let document = Document::parse(&bytes, &limits::TORRENT).unwrap();
        let outer = document.root().as_dict().unwrap();
        assert_eq!(outer.get_bytes(b"announce"), Some(&b"http://a/"[..]));
        assert!(outer.get(b"announce-list").is_none());
    }

    #[test]
    fn names_that_others_would_change_are_refused() {
        let folder = |paths: &[&str]| {
            let files = paths.iter().map(|path| (path.split('/').map(str::to_owned).collect(), 1));
            Builder::folder("pack", files.collect::<Vec<_>>(), 16384).map(|_| ())
        };
        assert_eq!(folder(&["a", "b/a"]), Ok(()));
        for bad in ["../a", "a:b", "con", "a/./b", ""] {
            assert_eq!(folder(&[bad]), Err(CreateError::UnsafeName(format!("pack/{bad}"))));
        }
        assert_eq!(folder(&["a", "A"]), Err(CreateError::DuplicateName("pack/A".into())));
        assert_eq!(folder(&[]), Err(CreateError::Layout(LayoutError::FileCount(0))));
        assert!(matches!(Builder::single_file("a/b", 1, 16384), Err(CreateError::UnsafeName(_))));
    }

    #[test]
    fn hashes_must_be_as_many_as_pieces() {
        let builder = Builder::single_file("a", 16385, 16384).unwrap();
        assert_eq!(builder.build(&[[0; 20]]), Err(CreateError::HashCount { expected: 2, actual: 1 }));
    }

    #[test]
    fn piece_lengths_make_one_to_two_thousand_pieces() {
        assert_eq!((piece_length_for(0), piece_length_for(1 << 20)), (16384, 16384));
        for total in [100 << 20, 700 << 20, 4 << 30, (20 << 30) + 1] {
            let length = piece_length_for(total);
            let pieces = total.div_ceil(u64::from(length));
            assert!(length.is_power_of_two() && (1000..=2000).contains(&pieces), "{total}: {pieces}");
        }
        assert_eq!(piece_length_for(1 << 40), 16 << 20);
    }
}
