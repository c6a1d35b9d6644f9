//! Clusters (RFC 9559, section 5.1.3): finding them in bytes of which it isn't known where they begin.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Head, id, micros};
use crate::container::ebml::{Header, Unread, uint};
use crate::container::{Index, Point};
use crate::limits::POINTS_MAX;

/// Enough for a Cluster's header, its Timestamp, and the small elements that may stand before that: CRC-32, Position, PrevSize.
const HEAD_BYTES_MAX: usize = 64;

/// What a Cluster begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Where it begins.
    pub(super) offset: u64,
    /// Where what follows its Timestamp begins.
    pub(super) blocks: u64,
    /// Where it ends, if that is said.
    pub(super) end: Option<u64>,
    /// In ticks.
    pub(super) timestamp: u64,
}

impl Cluster {
    /// The Cluster that begins with these bytes.
    fn read(bytes: &[u8], offset: u64) -> Result<Self, Unread> {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
        let header = Header::read(bytes)?;
        if header.id != id::CLUSTER {
            return Err(Unread::Invalid);
        }
        let end = header.size.map(|size| offset.saturating_add(header.length as u64).saturating_add(size));
        let mut at = header.length;
        loop {
            let child = Header::read(&bytes[at..])?;
            let size = child.size.and_then(|size| usize::try_from(size).ok()).ok_or(Unread::Invalid)?;
            let begin = at + child.length;
            // Whatever doesn't fit the head doesn't stand before a Timestamp.
            let until =
                begin.checked_add(size).filter(|&until| until <= HEAD_BYTES_MAX).ok_or(Unread::Invalid)?;
            let body = bytes.get(begin..until).ok_or(Unread::Short)?;
            match child.id {
                id::TIMESTAMP => {
                    let timestamp = uint(body).ok_or(Unread::Invalid)?;
                    return Ok(Self { offset, blocks: offset.saturating_add(until as u64), end, timestamp });
                }
                id::CRC_32 | id::POSITION | id::PREV_SIZE | id::VOID => at = until,
                _ => return Err(Unread::Invalid),
            }
        }
    }
}

/// Looks for Clusters in bytes of a Segment that come in any order.
///
/// A Cluster is known by its id, the shape of what follows, and that it fits the Segment: by accident that isn't found once in
/// many terabytes.
#[derive(Clone, Debug)]
pub(super) struct Search {
    segment: Range<u64>,
    /// The last bytes that were looked at, in which a Cluster may begin that goes on behind them; `next` is where that is.
    tail: Vec<u8>,
    next: u64,
}

impl Search {
    pub(super) fn new(segment: Range<u64>) -> Self {
        Self { segment, tail: Vec::new(), next: 0 }
    }

    /// The first Cluster in what the tail and these bytes hold. After one is found, it is told again only of bytes from
    /// [`Cluster::blocks`] on; those are always among the ones given.
    pub(super) fn find(&mut self, offset: u64, bytes: &[u8]) -> Option<Cluster> {
        if offset != self.next {
            self.tail.clear();
        }
        self.next = offset.saturating_add(bytes.len() as u64);
        let found = self.find_across(offset, bytes).or_else(|| self.find_in(bytes, offset, bytes.len()));
        match found {
            Some(_) => self.tail.clear(),
            None => self.keep(bytes),
        }
        found
    }

    /// One that begins in the tail.
    fn find_across(&self, offset: u64, bytes: &[u8]) -> Option<Cluster> {
        let begin = offset.checked_sub(self.tail.len() as u64)?;
        let mut joined = self.tail.clone();
        joined.extend_from_slice(&bytes[..bytes.len().min(HEAD_BYTES_MAX)]);
        self.find_in(&joined, begin, self.tail.len())
    }

    /// One that begins in the first `count` of some bytes.
    fn find_in(&self, bytes: &[u8], offset: u64, count: usize) -> Option<Cluster> {
        let first = id::CLUSTER.to_be_bytes()[0];
        let begins = bytes[..count].iter().enumerate().filter(|&(_, &octet)| octet == first);
        let clusters =
            begins.filter_map(|(at, _)| Cluster::read(&bytes[at..], offset.saturating_add(at as u64)).ok());
        clusters.into_iter().find(|cluster| self.is_in_segment(cluster))
    }

    fn is_in_segment(&self, cluster: &Cluster) -> bool {
        let end = cluster.end.unwrap_or(cluster.blocks);
        self.segment.start <= cluster.offset && cluster.blocks <= end && end <= self.segment.end
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(HEAD_BYTES_MAX - 1)..]);
        let excess = self.tail.len().saturating_sub(HEAD_BYTES_MAX - 1);
        self.tail.drain(..excess);
    }
}

/// Makes an index for a file without Cues, from its Clusters as their bytes pass, in any order.
///
/// A Cluster whose head lies across two parts that come apart from each other is missed: the one before it leads there too.
#[derive(Clone, Debug)]
pub struct ClusterScan {
    search: Search,
    scale: u64,
    /// Time in microseconds by offset.
    points: BTreeMap<u64, u64>,
}

impl ClusterScan {
    /// For the file of which this is the head.
    pub fn new(head: &Head) -> Self {
        Self { search: Search::new(head.segment()), scale: head.scale, points: BTreeMap::new() }
    }

    /// Bytes of the file, from an offset on. Says whether a Cluster was found in them that wasn't known.
    pub fn handle(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let (mut at, mut rest) = (offset, bytes);
        let mut is_new = false;
        while let Some(cluster) = self.search.find(at, rest) {
            if let Some(micros) = micros(cluster.timestamp.into(), self.scale) {
                is_new |= self.points.insert(cluster.offset, micros).is_none();
                self.thin_out();
            }
            let passed = usize::try_from(cluster.blocks.saturating_sub(at)).unwrap_or(usize::MAX);
            rest = &rest[passed.min(rest.len())..];
            at = cluster.blocks;
        }
        is_new
    }

    /// What was found so far.
    pub fn index(&self) -> Option<Index> {
        Index::new(self.points.iter().map(|(&offset, &micros)| Point { micros, offset }).collect())
    }

    /// Leaves out every second if there are too many.
    fn thin_out(&mut self) {
        if self.points.len() > POINTS_MAX {
            let mut nth = 0;
            self.points.retain(|_, _| {
                nth += 1;
                nth % 2 == 1
            });
        }
    }
}
