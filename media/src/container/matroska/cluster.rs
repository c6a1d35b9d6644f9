//! Clusters (RFC 9559, section 5.1.3): finding them in bytes of which it isn't known where they begin.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Head, id, micros};
use crate::container::ebml::{Header, Unread, uint};
use crate::container::{Index, Point};
use crate::limits::POINTS_MAX;

/// Enough for a Cluster's header, its Timestamp, and the small elements that may stand before that: CRC-32, Position, PrevSize.
pub(super) const HEAD_BYTES_MAX: usize = 64;

const ID: [u8; 4] = id::CLUSTER.to_be_bytes();

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
        let id = bytes.len().min(ID.len());
        if bytes[..id] != ID[..id] {
            return Err(Unread::Invalid);
        }
        let header = Header::read(bytes)?;
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

/// Looks for Clusters in bytes of a Segment, from wherever they are.
///
/// A Cluster is known by its id, the shape of what follows, and that it fits the Segment: by accident that isn't found once in
/// many terabytes. What is found doesn't depend on how contiguous bytes were divided.
#[derive(Clone, Debug)]
pub(super) struct Search {
    segment: Range<u64>,
    /// The last bytes that were looked at, if a Cluster may begin with them that goes on behind; `next` is where that is.
    kept: Vec<u8>,
    next: u64,
}

impl Search {
    pub(super) fn new(segment: Range<u64>) -> Self {
        Self { segment, kept: Vec::new(), next: 0 }
    }

    /// The first Cluster whose head ends in these bytes. The search goes on with what follows it, from [`Cluster::blocks`] on.
    pub(super) fn find(&mut self, offset: u64, bytes: &[u8]) -> Option<Cluster> {
        if offset != self.next {
            self.kept.clear();
        }
        self.next = offset.saturating_add(bytes.len() as u64);
        let mut at = 0;
        while at < bytes.len() {
            if self.kept.is_empty() {
                at += bytes[at..].iter().position(|&octet| octet == ID[0])?;
            }
            let octet = bytes[at];
            self.kept.push(octet);
            at += 1;
            let begin = offset.saturating_add(at as u64).saturating_sub(self.kept.len() as u64);
            match Cluster::read(&self.kept, begin) {
                Err(Unread::Short) if self.kept.len() < HEAD_BYTES_MAX => {}
                Ok(cluster) if self.is_in_segment(&cluster) => {
                    self.kept.clear();
                    self.next = cluster.blocks;
                    return Some(cluster);
                }
                // It is none. The byte that shows it may be another's first, as no later byte of an id is.
                _ => {
                    self.kept.clear();
                    self.kept.extend((octet == ID[0]).then_some(octet));
                }
            }
        }
        None
    }

    /// Where the search goes on: what is before needn't be looked at again.
    pub(super) fn kept_from(&self) -> u64 {
        self.next - self.kept.len() as u64
    }

    fn is_in_segment(&self, cluster: &Cluster) -> bool {
        let end = cluster.end.unwrap_or(cluster.blocks);
        self.segment.start <= cluster.offset && cluster.blocks <= end && end <= self.segment.end
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
