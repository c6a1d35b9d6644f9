//! Where each file's bytes lie: below the download folder, under the file's own name or one that the user gave it,
//! or in the part file.
//!
//! A file that isn't wanted is never made. What a piece that it shares with a wanted file needs of it goes into one
//! hidden *part file* for the whole torrent, at the place that the bytes have in the torrent, so that it needs no
//! index; it is sparse, and so takes only what is in it. (A stub of the file itself would look to people and players
//! like the file.) An unwanted file that exists all the same, since it was wanted once, takes its bytes itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use afflux_metainfo::{FileIndex, InfoHash, Layout};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::walk::{Access, Walker, joined, open_below, retry};
use crate::disk::Error;
use crate::limits::DATA_RANGES_MAX;
use crate::resume::Fingerprint;

/// Stands for the part file among a torrent's files.
pub(crate) const PARTS: FileIndex = FileIndex(u32::MAX);

/// A torrent's files in the file system.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(super) root: PathBuf,
    pub(super) layout: Arc<Layout>,
    /// Files that the user gave another path.
    pub(super) renamed: BTreeMap<FileIndex, Vec<String>>,
    pub(super) parts: [String; 1],
    /// Files whose bytes go to the part file; empty if none do.
    pub(super) in_parts: Vec<bool>,
}

/// All files as they are at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// By number; `None` where there is no regular file, or nothing is known of it.
    pub(crate) files: Vec<Option<Fingerprint>>,
    pub(crate) parts: Option<Fingerprint>,
}

impl Places {
    pub(crate) fn new(
        root: PathBuf,
        layout: Arc<Layout>,
        info_hash: InfoHash,
        renamed: BTreeMap<FileIndex, Vec<String>>,
    ) -> Self {
        let parts = [format!(".{info_hash}.parts")];
        Self { root, layout, renamed, parts, in_parts: Vec::new() }
    }

    /// Sends the bytes of these files to the part file, but for those that exist.
    pub(crate) fn leave_out(&mut self, unwanted: &[FileIndex]) {
        let mut in_parts = vec![false; self.layout.files().len()];
        let mut walker = Walker::new(&self.root);
        for &file in unwanted {
            if self.layout.file(file).is_some() {
                in_parts[file.as_usize()] = walker.fingerprint(self.path_below(file)).is_none();
            }
        }
        self.in_parts = if in_parts.contains(&true) { in_parts } else { Vec::new() };
    }

    pub(super) fn is_in_parts(&self, file: FileIndex) -> bool {
        self.in_parts.get(file.as_usize()).copied().unwrap_or(false)
    }

    /// Where a byte of a file really lies: in which file, and where in it.
    pub(super) fn place(&self, file: FileIndex, offset: u64) -> (FileIndex, u64) {
        if self.is_in_parts(file) {
            (PARTS, self.layout.files()[file.as_usize()].offset + offset)
        } else {
            (file, offset)
        }
    }

    /// A file's path below the download folder.
    pub(super) fn path_below(&self, file: FileIndex) -> &[String] {
        match self.renamed.get(&file) {
            _ if file == PARTS => &self.parts,
            Some(path) => path,
            None => &self.layout.files()[file.as_usize()].path,
        }
    }

    /// A file's path.
    pub(crate) fn path(&self, file: FileIndex) -> PathBuf {
        joined(&self.root, self.path_below(file))
    }

    /// Looks at every file: blocks.
    pub(crate) fn survey(&self) -> Survey {
        let mut walker = Walker::new(&self.root);
        let mut look = |(number, file): (u32, &afflux_metainfo::layout::FileSpan)| {
            (!file.pad).then(|| walker.fingerprint(self.path_below(FileIndex(number)))).flatten()
        };
        let files = (0u32..).zip(self.layout.files()).map(&mut look).collect();
        Survey { files, parts: walker.fingerprint(&self.parts) }
    }

    pub(super) fn fingerprint(&self, file: FileIndex) -> Option<Fingerprint> {
        Walker::new(&self.root).fingerprint(self.path_below(file))
    }

    pub(super) fn open(&self, file: FileIndex, access: Access) -> Result<OwnedFd, Error> {
        open_below(&self.root, self.path_below(file), access)
    }

    /// The parts of a file's bytes that were ever written, as ranges of the torrent; holes are not. Where the file
    /// system can't tell, all that the file is long.
    pub(crate) fn written(&self, file: FileIndex) -> Vec<Range<u64>> {
        let span = self.layout.file(file).map_or(0..self.layout.total_length(), |span| span.range());
        let Ok(fd) = self.open(file, Access::Read) else { return Vec::new() };
        let ranges = data_ranges(&fd, 0..span.end - span.start).into_iter();
        ranges.map(|range| range.start + span.start..range.end + span.start).collect()
    }
}

impl Places {
    /// Whether a file has more in it than zeros, as far as a look at a few of its parts can tell: clients that take all
    /// space in advance leave such files.
    pub(crate) fn holds_something(&self, file: FileIndex) -> bool {
        let Ok(fd) = self.open(file, Access::Read) else { return false };
        let mut part = [0; 16 * 1024];
        data_ranges(&fd, 0..u64::MAX).into_iter().take(16).any(|range| {
            let length = (range.end - range.start).min(part.len() as u64) as usize;
            let count = retry(|| rustix::io::pread(&fd, &mut part[..length], range.start)).unwrap_or(0);
            part[..count].iter().any(|byte| *byte != 0)
        })
    }
}

/// The parts of a range of a file that aren't holes.
pub(super) fn data_ranges(fd: &impl AsFd, range: Range<u64>) -> Vec<Range<u64>> {
    let length = retry(|| rustix::fs::fstat(fd)).map_or(0, |stat| stat.st_size as u64);
    let end = range.end.min(length);
    let mut ranges = Vec::new();
    let mut at = range.start;
    while at < end {
        let data = match retry(|| rustix::fs::seek(fd, SeekFrom::Data(at))) {
            Ok(data) => data,
            // Nothing but a hole from here on.
            Err(Errno::NXIO) => break,
            // A file system that can't tell.
            Err(_) => at,
        };
        if data >= end {
            break;
        }
        let hole = retry(|| rustix::fs::seek(fd, SeekFrom::Hole(data))).unwrap_or(end).clamp(data + 1, end);
        // Too many to list: the rest counts as written.
        let hole = if ranges.len() + 1 == DATA_RANGES_MAX { end } else { hole };
        ranges.push(data..hole);
        at = hole;
    }
    ranges
}
