//! Clusters from wherever they are, for a search, and the last one, which says how long a film is.

use std::ops::Range;
use std::time::Duration;

use super::cluster::{Cluster, HEAD_BYTES_MAX, Search};
use super::{id, micros};
use crate::container::ebml::{Header, number};
use crate::container::search::{Looked, Place};
use crate::limits::ELEMENTS_MAX;

/// Bytes of a Cluster in which its first key frame is looked for: writers begin a Cluster with one, but for a Cluster that has hardly
/// begun (ffmpeg: 4 KiB). Players begin there, so a Cluster's time is that frame's.
const PICTURE_WITHIN_BYTES: usize = 16 << 10;

/// Elements of a Cluster up to that. What looks like Clusters may be everywhere, and would otherwise cost a walk through
/// all that follows each.
const ELEMENTS_TO_PICTURE: u32 = 256;

/// How a search recognises places in Matroska.
#[derive(Debug)]
pub(in super::super) struct Places {
    within: Range<u64>,
    scale: u64,
    pictures: Option<u64>,
}

impl Places {
    /// Of Clusters between two offsets, with ticks of so many nanoseconds, and the track of the pictures.
    pub(in super::super) fn new(within: Range<u64>, scale: u64, pictures: Option<u64>) -> Self {
        Self { within, scale, pictures }
    }

    pub(in super::super) fn look(&self, offset: u64, bytes: &[u8]) -> Looked {
        let end = offset.saturating_add(bytes.len() as u64);
        let mut looked = Looked { resume: end.saturating_sub(HEAD_BYTES_MAX as u64), ..Looked::default() };
        each(&self.within, offset, bytes, |cluster, rest| {
            let near = &rest[..rest.len().min(PICTURE_WITHIN_BYTES)];
            let pictures = || self.pictures_in(near);
            let key = pictures().find(|block| block.is_key == Some(true));
            let is_cut = near.len() < PICTURE_WITHIN_BYTES && cluster.end.is_none_or(|cluster| cluster > end);
            if key.is_none() && is_cut && self.pictures.is_some() && end < self.within.end {
                looked.resume = cluster.offset;
                looked.wanted = (HEAD_BYTES_MAX + PICTURE_WITHIN_BYTES) as u64;
                return;
            }
            looked.resume = looked.resume.max(cluster.blocks);
            let behind = key.as_ref().map_or(0, |key| key.time);
            let time = micros(i128::from(cluster.timestamp) + i128::from(behind), self.scale);
            let is_key = key.or_else(|| pictures().next()).and_then(|block| block.is_key);
            let place = |micros| Place { offset: cluster.offset, micros, end: cluster.end, is_key };
            looked.places.extend(time.map(place));
        });
        looked
    }

    fn pictures_in<'a>(&self, rest: &'a [u8]) -> impl Iterator<Item = Block> + 'a {
        let pictures = self.pictures;
        Blocks { rest, elements: ELEMENTS_TO_PICTURE }.filter(move |block| Some(block.track) == pictures)
    }
}

/// When the last block of the last Cluster begins in these bytes, the last of the Segment; nothing if no Cluster does.
pub(super) fn last_time(within: &Range<u64>, offset: u64, bytes: &[u8], scale: u64) -> Option<Duration> {
    let mut last = None;
    each(within, offset, bytes, |cluster, rest| last = Some((cluster.timestamp, rest)));
    let (timestamp, rest) = last?;
    let behind = Blocks { rest, elements: ELEMENTS_MAX }.map(|block| block.time).max().unwrap_or(0);
    micros(i128::from(timestamp) + i128::from(behind), scale).map(Duration::from_micros)
}

/// Every Cluster that begins in a part of a file, with what follows its Timestamp there.
fn each<'a>(within: &Range<u64>, offset: u64, bytes: &'a [u8], mut found: impl FnMut(Cluster, &'a [u8])) {
    let mut search = Search::new(within.clone());
    let (mut at, mut rest) = (offset, bytes);
    while let Some(cluster) = search.find(at, rest) {
        let passed = usize::try_from(cluster.blocks.saturating_sub(at)).unwrap_or(usize::MAX);
        (at, rest) = (cluster.blocks, rest.get(passed..).unwrap_or_default());
        found(cluster, rest);
    }
}

/// What a block's header says.
struct Block {
    track: u64,
    /// From its Cluster's, in ticks.
    time: i16,
    /// A Block in a BlockGroup doesn't say it.
    is_key: Option<bool>,
}

/// The blocks of a Cluster whose headers are in some bytes.
struct Blocks<'a> {
    rest: &'a [u8],
    /// As many as are looked at.
    elements: u32,
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        loop {
            self.elements = self.elements.checked_sub(1)?;
            let header = Header::read(self.rest).ok().filter(|header| !id::is_of_segment(header.id))?;
            let body = self.rest.get(header.length..)?;
            // A group's first child is mostly its Block.
            let within = if header.id == id::BLOCK_GROUP { 0 } else { usize::try_from(header.size?).ok()? };
            self.rest = body.get(within..).unwrap_or_default();
            if matches!(header.id, id::SIMPLE_BLOCK | id::BLOCK) {
                let (track, length) = number(body).ok()?;
                let &[high, low, flags] = body.get(length..)?.first_chunk()?;
                let is_key = (header.id == id::SIMPLE_BLOCK).then_some(flags & 0x80 != 0);
                return Some(Block { track, time: i16::from_be_bytes([high, low]), is_key });
            }
        }
    }
}
