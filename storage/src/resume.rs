//! What is remembered of a torrent between runs: one file per torrent, `<info-hash>.resume`.
//!
//! ```text
//! d 4:body d 5:clean i_e  5:extra _  5:files _  4:have _  9:info-hash 20:_  7:partial _  5:parts _  6:pieces i_e
//!            10:priorities _  7:renamed _  7:version i1e e
//!   4:sha1 20:_ e
//! ```
//! `sha1` is that of the raw `body` value, so that a damaged file is known from a whole one; it is no
//! protection against somebody who writes such files on purpose, and so every number is checked all the same.
//! `files` has 16 bytes per file of the torrent, and `parts` for the part file: length and time, big-endian. How the rows
//! of `partial` and `renamed` look stands in `rows`. What is empty is left out.
//!
//! A file is written whole to a temporary name, synced, and renamed: at every instant there is either the old
//! one or the new one. Pieces verified after the last save are simply not in it.

mod lock;
mod rows;
mod trust;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use afflux_metainfo::bencode::{Dict, Document, Limits, Writer};
use afflux_metainfo::limits::PIECES_MAX;
use afflux_metainfo::{Bitfield, FileIndex, InfoHash, PieceIndex};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha1::{Digest, Sha1};

use crate::disk;
use crate::limits::RESUME_BYTES_MAX;

pub use self::lock::{LockError, ResumeLock};
pub use self::trust::{Leftovers, Trusted};

const VERSION: i64 = 1;
const LIMITS: Limits = Limits { bytes: RESUME_BYTES_MAX, depth: 2, tokens: 64, digits: 19 };

/// Size and time of a file when it was last known to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size in bytes.
    pub length: u64,
    /// Last change, nanoseconds since 1970.
    pub modified_ns: i64,
}

/// One torrent's resume data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Whose it is.
    pub info_hash: InfoHash,
    /// Pieces that are verified and on disk.
    pub have: Bitfield,
    /// Pieces of which some blocks are on disk, not verified.
    pub partial: Vec<Partial>,
    /// Every file of the torrent as it was, `None` where there was none.
    pub files: Vec<Option<Fingerprint>>,
    /// The part file, if there was one.
    pub parts: Option<Fingerprint>,
    /// Files that have another path than the torrent gives them.
    pub renamed: Vec<(FileIndex, Vec<String>)>,
    /// The caller's: how much each file is wanted. Empty if nothing was ever said.
    pub priorities: Vec<u8>,
    /// Saved after the store was closed: nothing was written since.
    pub clean: bool,
    /// The engine's own (info dictionary, trackers); opaque here.
    pub extra: Vec<u8>,
}

/// A piece under way: what is on disk of it counts as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The piece.
    pub piece: PieceIndex,
    /// Its blocks on disk, ascending.
    pub blocks: Vec<u32>,
}

/// Why a resume file is of no use; the torrent is to be checked whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a resume file, or a damaged one.
    #[error("the resume file is damaged: {0}")]
    Damaged(&'static str),
    /// Written by another version.
    #[error("the resume file has version {0}, not {VERSION}")]
    Version(i64),
    /// Another torrent's: another info-hash, or other pieces or files.
    #[error("the resume file belongs to another torrent")]
    Foreign,
    /// It can't be read.
    #[error(transparent)]
    Disk(#[from] disk::Error),
}

impl Resume {
    /// Reads `<info-hash>.resume` in `dir`; `None` if there is none.
    ///
    /// # Errors
    /// If it's damaged, of another version or torrent, or can't be read. It is left where it is.
    pub fn load(dir: &Path, info_hash: InfoHash) -> Result<Option<Self>, Error> {
        let path = path(dir, info_hash);
        let failed = |errno| disk::Error::from_errno("reading", &path, errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno).into()),
        };
        let mut bytes = Vec::new();
        // One byte more than allowed, so that the decoder sees that it is too large.
        let taken = File::from(fd).take(RESUME_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        taken.map_err(|error| failed(errno_of(&error)))?;
        let resume = Self::decode(&bytes)?;
        if resume.info_hash == info_hash { Ok(Some(resume)) } else { Err(Error::Foreign) }
    }

    /// Writes `<info-hash>.resume` in `dir`, which is made if missing: whole, synced, then renamed. Blocks.
    pub fn save(&self, dir: &Path) -> Result<(), disk::Error> {
        let path = path(dir, self.info_hash);
        let temporary = path.with_extension("resume.new");
        let failed = |action| {
            let path = path.clone();
            move |error: std::io::Error| disk::Error::from_errno(action, &path, errno_of(&error))
        };
        std::fs::create_dir_all(dir).map_err(failed("making the folder of"))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&temporary, flags, Mode::from_raw_mode(0o600))
            .map_err(|errno| disk::Error::from_errno("opening", &temporary, errno))?;
        let mut file = File::from(fd);
        let written = file.write_all(&self.encode()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            drop(file);
            // What is left of it would only take space from a full disk.
            let _ = std::fs::remove_file(&temporary);
            return Err(failed("writing")(error));
        }
        std::fs::rename(&temporary, &path).map_err(failed("replacing"))?;
        File::open(dir).and_then(|folder| folder.sync_all()).map_err(failed("syncing the folder of"))
    }

    /// Gives a file that can't be used another name, `<info-hash>.resume.unusable`, since the next save would replace it.
    pub fn set_aside(dir: &Path, info_hash: InfoHash) -> Result<(), disk::Error> {
        let path = path(dir, info_hash);
        std::fs::rename(&path, path.with_extension("resume.unusable"))
            .map_err(|error| disk::Error::from_errno("renaming", &path, errno_of(&error)))
    }

    /// Removes `<info-hash>.resume` if it is there.
    pub fn remove(dir: &Path, info_hash: InfoHash) -> Result<(), disk::Error> {
        let path = path(dir, info_hash);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(disk::Error::from_errno("removing", &path, errno_of(&error)))
            }
            _ => Ok(()),
        }
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.dict(|body| {
            body.bytes("clean").int(i64::from(self.clean));
            body.bytes("extra").bytes(&self.extra);
            body.bytes("files").bytes(rows::encode_files(&self.files));
            body.bytes("have").bytes(self.have.to_wire());
            body.bytes("info-hash").bytes(self.info_hash.0);
            if !self.partial.is_empty() {
                body.bytes("partial").bytes(rows::encode_partial(&self.partial));
            }
            if self.parts.is_some() {
                body.bytes("parts").bytes(rows::encode_files(&[self.parts]));
            }
            body.bytes("pieces").int(i64::from(self.have.length()));
            if !self.priorities.is_empty() {
                body.bytes("priorities").bytes(&self.priorities);
            }
            if !self.renamed.is_empty() {
                body.bytes("renamed").bytes(rows::encode_renamed(&self.renamed));
            }
            body.bytes("version").int(VERSION);
        });
        let body = writer.finish();
        writer.dict(|root| {
            root.bytes("body").raw(&body);
            root.bytes("sha1").bytes(Sha1::digest(&body));
        });
        writer.finish()
    }

    /// Reads such bytes, whoever wrote them.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let document = Document::parse(bytes, &LIMITS).map_err(|_| Error::Damaged("it is not bencode"))?;
        let root = document.root().as_dict().ok_or(Error::Damaged("it is no dictionary"))?;
        let body = root.get(b"body").ok_or(Error::Damaged("it has no body"))?;
        if root.get_bytes(b"sha1") != Some(&Sha1::digest(body.raw())[..]) {
            return Err(Error::Damaged("its checksum is wrong"));
        }
        let body = body.as_dict().ok_or(Error::Damaged("its body is no dictionary"))?;
        match body.get_int(b"version").ok_or(Error::Damaged("it has no version"))? {
            VERSION => Self::decode_body(body),
            other => Err(Error::Version(other)),
        }
    }

    fn decode_body(body: Dict<'_, '_>) -> Result<Self, Error> {
        let hash = body.get_bytes(b"info-hash").and_then(|hash| hash.try_into().ok());
        let pieces = body.get_int(b"pieces").and_then(|count| u32::try_from(count).ok());
        let pieces = pieces.filter(|count| (1..=PIECES_MAX).contains(count));
        let pieces = pieces.ok_or(Error::Damaged("its number of pieces is wrong"))?;
        let have = body.get_bytes(b"have").ok_or(Error::Damaged("it has no pieces"))?;
        let clean = body.get_int(b"clean").filter(|clean| (0..=1).contains(clean));
        let files = body.get_bytes(b"files").ok_or(Error::Damaged("it has no files"))?;
        let files = rows::decode_files(files).ok_or(Error::Damaged("its files are wrong"))?;
        let rows = |key: &[u8]| body.get_bytes(key).unwrap_or_default();
        let parts = rows::decode_files(rows(b"parts")).filter(|rows| rows.len() <= 1);
        let priorities =
            Some(rows(b"priorities")).filter(|rows| rows.is_empty() || rows.len() == files.len());
        Ok(Self {
            info_hash: InfoHash(hash.ok_or(Error::Damaged("its info-hash is wrong"))?),
            have: Bitfield::from_wire(have, pieces).map_err(|_| Error::Damaged("its bitfield is wrong"))?,
            partial: rows::decode_partial(rows(b"partial"), pieces)
                .ok_or(Error::Damaged("its partial pieces are wrong"))?,
            parts: parts.ok_or(Error::Damaged("its part file is wrong"))?.pop().flatten(),
            renamed: rows::decode_renamed(rows(b"renamed"), files.len())
                .ok_or(Error::Damaged("its file names are wrong"))?,
            priorities: priorities.ok_or(Error::Damaged("its priorities are wrong"))?.to_vec(),
            files,
            clean: clean.ok_or(Error::Damaged("its clean flag is wrong"))? == 1,
            extra: body.get_bytes(b"extra").ok_or(Error::Damaged("it has no extra"))?.to_vec(),
        })
    }
}

fn path(dir: &Path, info_hash: InfoHash) -> PathBuf {
    dir.join(format!("{info_hash}.resume"))
}

fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests;
