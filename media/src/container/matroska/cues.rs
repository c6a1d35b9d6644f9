//! Cues (RFC 9559, section 5.1.5): which Cluster to read for which time.

use super::{id, micros};
use crate::container::ebml::{Elements, uint};
use crate::container::inspect::Budget;
use crate::container::{Index, Point};

/// A `CueTrackPositions` with the `CueTime` of its `CuePoint`, as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cue {
    time: u64,
    track: u64,
    /// From where the Segment's data begins.
    cluster: u64,
}

/// All that are whole. What isn't is left out alone.
pub(super) fn read(body: &[u8], budget: &mut Budget) -> Vec<Cue> {
    let mut cues = Vec::new();
    let mut points = Elements::of(body, budget);
    while let Some((id, body)) = points.next() {
        if id == id::CUE_POINT {
            point(points.within(body), &mut cues);
        }
    }
    cues
}

fn point(mut elements: Elements<'_, '_>, cues: &mut Vec<Cue>) {
    let mut time = None;
    let known = cues.len();
    while let Some((id, body)) = elements.next() {
        match id {
            id::CUE_TIME => time = time.or(uint(body)),
            id::CUE_TRACK_POSITIONS => cues.extend(positions(elements.within(body))),
            _ => {}
        }
    }
    // The time comes first in files, but nothing says that it must.
    match time {
        Some(time) => cues[known..].iter_mut().for_each(|cue| cue.time = time),
        None => cues.truncate(known),
    }
}

fn positions(mut elements: Elements<'_, '_>) -> Option<Cue> {
    let (mut track, mut cluster) = (None, None);
    while let Some((id, body)) = elements.next() {
        match id {
            id::CUE_TRACK => track = track.or(uint(body)),
            id::CUE_CLUSTER_POSITION => cluster = cluster.or(uint(body)),
            _ => {}
        }
    }
    Some(Cue { time: 0, track: track?, cluster: cluster? })
}

/// The index that they make: of the cues of one track, if it has any. Cues that lead out of the Segment are left out.
pub(super) fn index(
    cues: &[Cue],
    track: Option<u64>,
    scale: u64,
    segment: &std::ops::Range<u64>,
) -> Option<Index> {
    let of_track = |cue: &&Cue| track.is_none_or(|track| cue.track == track);
    let point = |cue: &Cue| {
        let offset = segment.start.checked_add(cue.cluster).filter(|offset| segment.contains(offset))?;
        let micros = micros(cue.time.into(), scale)?;
        Some(Point { micros, offset })
    };
    Index::new(cues.iter().filter(of_track).filter_map(point).collect())
}
