//! Clusters from wherever they are, for a search, and the last one, which says how long a film is.

use std::ops::Range;
use std::time::Duration;

use super::cluster::{Cluster, HEAD_BYTES_MAX, Search};
use super::{id, micros};
use crate::container::ebml::{Header, number};
use crate::container::search::{Looked, Place};

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
        let mut places = Vec::new();
        let mut resume = end.saturating_sub(HEAD_BYTES_MAX as u64);
        each(&self.within, offset, bytes, |cluster, rest| {
            resume = resume.max(cluster.blocks);
            places.extend(micros(cluster.timestamp.into(), self.scale).map(|micros| Place {
                offset: cluster.offset,
                micros,
                end: cluster.end,
                is_key: self.pictures.and_then(|pictures| begins_with_key(rest, pictures)),
            }));
        });
        Looked { places, resume, wanted: 0 }
    }
}

/// When the last block of the last Cluster begins in these bytes, the last of the Segment; nothing if no Cluster does.
pub(super) fn last_time(within: &Range<u64>, offset: u64, bytes: &[u8], scale: u64) -> Option<Duration> {
    let mut last = None;
    each(within, offset, bytes, |cluster, rest| {
        let behind = Blocks(rest).map(|block| block.time).max().unwrap_or(0);
        last = micros(i128::from(cluster.timestamp) + i128::from(behind), scale).or(last);
    });
    last.map(Duration::from_micros)
}

/// Every Cluster that begins in a part of a file, with what follows its Timestamp there.
fn each(within: &Range<u64>, offset: u64, bytes: &[u8], mut found: impl FnMut(Cluster, &[u8])) {
    let mut search = Search::new(within.clone());
    let (mut at, mut rest) = (offset, bytes);
    while let Some(cluster) = search.find(at, rest) {
        let passed = usize::try_from(cluster.blocks.saturating_sub(at)).unwrap_or(usize::MAX);
        (at, rest) = (cluster.blocks, rest.get(passed..).unwrap_or_default());
        found(cluster, rest);
    }
}

/// Whether the first picture behind the head of a Cluster needs no other; nothing if it isn't there, or doesn't say.
fn begins_with_key(blocks: &[u8], pictures: u64) -> Option<bool> {
    Blocks(blocks).find(|block| block.track == pictures)?.is_key
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
struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        loop {
            let header = Header::read(self.0).ok().filter(|header| !id::is_of_segment(header.id))?;
            let body = self.0.get(header.length..)?;
            // A group's first child is mostly its Block.
            let within = if header.id == id::BLOCK_GROUP { 0 } else { usize::try_from(header.size?).ok()? };
            self.0 = body.get(within..).unwrap_or_default();
            if matches!(header.id, id::SIMPLE_BLOCK | id::BLOCK) {
                let (track, length) = number(body).ok()?;
                let &[high, low, flags] = body.get(length..)?.first_chunk()?;
                let is_key = (header.id == id::SIMPLE_BLOCK).then_some(flags & 0x80 != 0);
                return Some(Block { track, time: i16::from_be_bytes([high, low]), is_key });
            }
        }
    }
}
