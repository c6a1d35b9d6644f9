//! Which byte is which time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::POINTS_MAX;

/// A place from which a player can go on: a key frame, or the cluster that begins with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it is shown, in microseconds from the start.
    pub micros: u64,
    /// Where it is in the file.
    pub offset: u64,
}

/// Places in a film, by time and by byte at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Index {
    points: Vec<Point>,
}

impl Index {
    /// Of points in any order. Those that go back in the file are left out: a player that follows them is read
    /// on from a place before. Of more than [`POINTS_MAX`] every second is left out until they fit.
    pub fn new(mut points: Vec<Point>) -> Option<Self> {
        points.sort_unstable_by_key(|point| (point.micros, point.offset));
        let mut end = 0;
        points.retain(|point| {
            let goes_on = point.offset >= end;
            end = end.max(point.offset);
            goes_on
        });
        points.dedup_by_key(|point| point.micros);
        (!points.is_empty()).then_some(Self { points }.thinned_out(POINTS_MAX))
    }

    /// With points that were learnt besides, by the same rules.
    #[must_use]
    pub fn with(mut self, learnt: Vec<Point>) -> Self {
        let first = self.points[0];
        self.points.extend(learnt);
        // It has points, so there is always one that goes on.
        Self::new(self.points).unwrap_or(Self { points: vec![first] })
    }

    /// Without every second point, until no more than so many are left.
    pub(super) fn thinned_out(mut self, points_max: usize) -> Self {
        while self.points.len() > points_max.max(1) {
            let mut nth = 0;
            self.points.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        self
    }

    /// The last point at or before a time; the first if there is none.
    pub fn before(&self, time: Duration) -> Point {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let behind = self.points.partition_point(|point| point.micros <= micros);
        self.points[behind.saturating_sub(1)]
    }

    /// The bytes from the point before a time up to the next point, of a file of so many bytes.
    pub fn bytes_at(&self, time: Duration, length: u64) -> std::ops::Range<u64> {
        let start = self.before(time);
        let next = self.points.partition_point(|point| point.offset <= start.offset);
        let end = self.points.get(next).map_or(length, |point| point.offset);
        start.offset..end.max(start.offset)
    }

    /// About which time a byte belongs to: between two points as if the rate were even there. `end` is the film's.
    pub fn time_at(&self, offset: u64, end: Point) -> Duration {
        let behind = self.points.partition_point(|point| point.offset <= offset);
        let Some(before) = behind.checked_sub(1).map(|at| self.points[at]) else { return Duration::ZERO };
        let after = self.points.get(behind).copied().unwrap_or(end);
        let bytes = after.offset.saturating_sub(before.offset);
        let micros = after.micros.saturating_sub(before.micros);
        let into = offset.min(after.offset).saturating_sub(before.offset);
        let part = u128::from(micros) * u128::from(into) / u128::from(bytes.max(1));
        Duration::from_micros(before.micros.saturating_add(u64::try_from(part).unwrap_or(u64::MAX)))
    }

    /// All points, by time and by byte.
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

/// As it is kept: by how much each point lies behind the one before it, in time and in bytes.
impl From<Index> for Vec<(u64, u64)> {
    fn from(index: Index) -> Self {
        let mut last = Point { micros: 0, offset: 0 };
        let step = |point: Point| {
            let before = std::mem::replace(&mut last, point);
            (point.micros - before.micros, point.offset - before.offset)
        };
        index.points.into_iter().map(step).collect()
    }
}

/// An index without a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an index has at least one point")]
pub struct Empty;

impl TryFrom<Vec<(u64, u64)>> for Index {
    type Error = Empty;

    fn try_from(steps: Vec<(u64, u64)>) -> Result<Self, Empty> {
        let mut at = Point { micros: 0, offset: 0 };
        let point = |(micros, bytes): (u64, u64)| {
            at = Point { micros: at.micros.saturating_add(micros), offset: at.offset.saturating_add(bytes) };
            at
        };
        Self::new(steps.into_iter().map(point).collect()).ok_or(Empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(pairs: &[(u64, u64)]) -> Vec<Point> {
        pairs.iter().map(|&(seconds, offset)| Point { micros: seconds * 1_000_000, offset }).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_time_leads_to_the_key_frame_before_it() {
        let index = Index::new(points(&[(10, 900), (0, 100), (20, 2000)])).unwrap();
        for (time, offset) in [(0, 100), (9, 100), (10, 900), (15, 900), (20, 2000), (9999, 2000)] {
            assert_eq!(index.before(seconds(time)).offset, offset, "{time} s");
        }
        assert_eq!(index.bytes_at(seconds(12), 5000), 900..2000);
        assert_eq!(index.bytes_at(seconds(25), 5000), 2000..5000);
        assert_eq!(index.bytes_at(seconds(25), 10), 2000..2000, "a file shorter than its index says");
    }

    #[test]
    fn a_byte_leads_to_about_its_time() {
        let index = Index::new(points(&[(0, 100), (10, 1100), (20, 1600)])).unwrap();
        let end = Point { micros: 30_000_000, offset: 3600 };
        for (offset, time) in [(0, 0), (100, 0), (600, 5), (1100, 10), (1350, 15), (2600, 25), (9999, 30)] {
            assert_eq!(index.time_at(offset, end), seconds(time), "byte {offset}");
        }
    }

    #[test]
    fn an_index_is_kept_as_steps_and_read_back() {
        let index = Index::new(points(&[(0, 100), (10, 900), (20, 2000)])).unwrap();
        let kept: Vec<(u64, u64)> = index.clone().into();
        assert_eq!(kept, [(0, 100), (10_000_000, 800), (10_000_000, 1100)]);
        assert_eq!(Index::try_from(kept), Ok(index));
        assert!(Index::try_from(Vec::new()).is_err());
        assert!(Index::try_from(vec![(u64::MAX, u64::MAX); 3]).is_ok(), "what somebody else wrote");
    }

    #[test]
    fn points_that_go_back_are_left_out() {
        let index = Index::new(points(&[(0, 100), (1, 5000), (2, 300), (3, 6000), (3, 7000)])).unwrap();
        assert_eq!(index.points(), points(&[(0, 100), (1, 5000), (3, 6000)]));
        assert_eq!(Index::new(Vec::new()), None);
    }

    #[test]
    fn learnt_points_come_between_those_that_are_known() {
        let index = Index::new(points(&[(0, 100), (20, 2000)])).unwrap();
        let grown = index.with(points(&[(10, 900), (30, 150), (20, 2000)]));
        assert_eq!(grown.points(), points(&[(0, 100), (10, 900), (20, 2000)]), "one of them went back");
        assert_eq!(grown.clone().with(Vec::new()), grown);
    }

    #[test]
    fn more_points_than_fit_are_thinned_out_evenly() {
        let many = (0..2 * POINTS_MAX as u64 + 1).map(|nth| (nth, nth * 10)).collect::<Vec<_>>();
        let index = Index::new(points(&many)).unwrap();
        assert!(index.points().len() <= POINTS_MAX && index.points().len() > POINTS_MAX / 4);
        assert_eq!(index.before(seconds(0)).offset, 0);
    }
}
