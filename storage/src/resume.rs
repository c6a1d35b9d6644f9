//! What is remembered of a torrent between runs: one file per torrent, `<info-hash>.resume`.
//!
//! ```text
//! d 4:body d 5:clean i_e  5:extra _  5:files _  4:have _  9:info-hash 20:_  6:pieces i_e  7:version i1e e
//!   4:sha1 20:_ e
//! ```
//! `sha1` is that of the raw `body` value, so that a damaged file is known from a whole one; it is no
//! protection against somebody who writes such files on purpose, and so every number is checked all the same.
//! `files` has 16 bytes per file of the torrent: length and time, big-endian.
//!
//! A file is written whole to a temporary name, synced, and renamed: at every instant there is either the old
//! one or the new one. Pieces verified after the last save are simply not in it.

mod lock;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use afflux_metainfo::bencode::{Dict, Document, Limits, Writer};
use afflux_metainfo::limits::{FILES_MAX, PIECES_MAX, TOTAL_LENGTH_MAX};
use afflux_metainfo::{Bitfield, FileIndex, InfoHash, Layout};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha1::{Digest, Sha1};

use crate::disk;
use crate::limits::RESUME_BYTES_MAX;

pub use self::lock::{LockError, ResumeLock};

const VERSION: i64 = 1;
const FILE_BYTES: usize = 16;
/// Stands for a file that isn't there; no length is that large.
const ABSENT: u64 = u64::MAX;
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
    /// Every file of the torrent as it was, `None` where there was none.
    pub files: Vec<Option<Fingerprint>>,
    /// Saved after the store was closed: nothing was written since.
    pub clean: bool,
    /// The engine's own (info dictionary, trackers); opaque here.
    pub extra: Vec<u8>,
}

/// What of a resume file can be believed, given the files as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Pieces in files that are as they were.
    pub have: Bitfield,
    /// Pieces in files that changed, whether we had them or not: check these.
    pub recheck: Bitfield,
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
        let mut files = Vec::with_capacity(self.files.len() * FILE_BYTES);
        for file in &self.files {
            let (length, modified) = file.map_or((ABSENT, 0), |file| (file.length, file.modified_ns));
            files.extend_from_slice(&length.to_be_bytes());
            files.extend_from_slice(&modified.to_be_bytes());
        }
        let mut writer = Writer::new();
        writer.dict(|body| {
            body.bytes("clean").int(i64::from(self.clean));
            body.bytes("extra").bytes(&self.extra);
            body.bytes("files").bytes(&files);
            body.bytes("have").bytes(self.have.to_wire());
            body.bytes("info-hash").bytes(self.info_hash.0);
            body.bytes("pieces").int(i64::from(self.have.length()));
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
        Ok(Self {
            info_hash: InfoHash(hash.ok_or(Error::Damaged("its info-hash is wrong"))?),
            have: Bitfield::from_wire(have, pieces).map_err(|_| Error::Damaged("its bitfield is wrong"))?,
            files: decode_files(body.get_bytes(b"files").ok_or(Error::Damaged("it has no files"))?)?,
            clean: clean.ok_or(Error::Damaged("its clean flag is wrong"))? == 1,
            extra: body.get_bytes(b"extra").ok_or(Error::Damaged("it has no extra"))?.to_vec(),
        })
    }

    /// Compares the fingerprints with the files as they are below `root` now. Looks at every file: blocks.
    ///
    /// After an unclean end (a kill), files that had pieces missing have been written since, by us: of those only
    /// the length is compared. All others must be exactly as they were. What was written to a changed file since is
    /// not known, so its missing pieces are to be checked too: they may have come before the kill.
    ///
    /// # Errors
    /// [`Error::Foreign`] if this is of a torrent with other pieces or files.
    pub fn trust(&self, layout: &Layout, root: &Path) -> Result<Trusted, Error> {
        if self.have.length() != layout.piece_count() || self.files.len() != layout.files().len() {
            return Err(Error::Foreign);
        }
        let now = crate::files::fingerprints(layout, root);
        let mut trusted = Trusted { have: self.have.clone(), recheck: Bitfield::new(self.have.length()) };
        for (number, file) in layout.files().iter().enumerate() {
            if file.pad || self.files[number] == now[number] {
                continue;
            }
            let believed = self.is_unchanged(layout, FileIndex(number as u32), now[number]);
            let there = now[number].map_or(0, |fingerprint| fingerprint.length.min(file.length));
            for piece in layout.pieces_of(file.range()) {
                let had = self.have.contains(piece.into());
                if had && !believed {
                    trusted.have.remove(piece.into());
                }
                let written = layout.piece_offset(piece.into()) < file.offset + there;
                if (had && !believed) || (!had && written) {
                    trusted.recheck.insert(piece.into());
                }
            }
        }
        Ok(trusted)
    }

    fn is_unchanged(&self, layout: &Layout, file: FileIndex, now: Option<Fingerprint>) -> bool {
        let before = self.files[file.as_usize()];
        let mut pieces = layout.pieces_of(layout.files()[file.as_usize()].range());
        match (before, now) {
            (Some(before), Some(now))
                if !self.clean && pieces.any(|piece| !self.have.contains(piece.into())) =>
            {
                now.length >= before.length
            }
            (before, now) => before == now,
        }
    }
}

fn decode_files(bytes: &[u8]) -> Result<Vec<Option<Fingerprint>>, Error> {
    let (rows, rest) = bytes.as_chunks::<FILE_BYTES>();
    if !rest.is_empty() || rows.len() > FILES_MAX {
        return Err(Error::Damaged("its files are wrong"));
    }
    let row = |row: &[u8; FILE_BYTES]| {
        let number = u128::from_be_bytes(*row);
        let (length, modified_ns) = ((number >> 64) as u64, number as u64 as i64);
        match length {
            ABSENT if modified_ns == 0 => Ok(None),
            length if length <= TOTAL_LENGTH_MAX => Ok(Some(Fingerprint { length, modified_ns })),
            _ => Err(Error::Damaged("its files are wrong")),
        }
    };
    rows.iter().map(row).collect()
}

fn path(dir: &Path, info_hash: InfoHash) -> PathBuf {
    dir.join(format!("{info_hash}.resume"))
}

fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests;
