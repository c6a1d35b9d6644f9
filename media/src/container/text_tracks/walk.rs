//! Walks through a file from element to element, from many of its places at once.

use std::ops::Range;

use crate::container::Point;
use crate::container::matroska::OpenCluster;
use crate::limits::TEXT_WALKS_MAX;

/// Bytes that tell what begins somewhere: more than any header has, and the head of a Cluster.
pub(in crate::container) const HEADER_BYTES: u64 = 16;

/// A walk from one place of a file towards the next.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Where it was sent.
    start: u64,
    /// Where it is the first to have read: behind `start` if no element was found there. What is before is for the walk before.
    pub(super) begin: u64,
    /// It has found nothing yet.
    pub(super) is_unconfirmed: bool,
    pub(super) place: Place,
}

/// Where a walk is.
#[derive(Clone, Debug)]
pub(in crate::container) struct Place {
    /// Of the next byte that is needed.
    pub(in crate::container) at: u64,
    /// How many bytes from there it takes to go on.
    pub(in crate::container) needs: u64,
    /// It isn't known what begins here.
    pub(in crate::container) is_lost: bool,
    /// Of the earliest and the latest time that it came by, in microseconds.
    pub(in crate::container) micros: Option<(u64, u64)>,
    /// Of Matroska: the Cluster that it is in.
    pub(in crate::container) cluster: Option<OpenCluster>,
}

/// What a look at a place led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::container) enum Step {
    /// What is there was read or is of no use.
    To(u64),
    /// An element was found that begins at the first, and the walk goes on at the second.
    Found(u64, u64),
    /// It takes so many bytes from here on.
    Needs(u64),
}

impl Place {
    fn new(at: u64, is_lost: bool) -> Self {
        Self { at, needs: HEADER_BYTES, is_lost, micros: None, cluster: None }
    }

    /// A time of the film was met.
    pub(in crate::container) fn meet(&mut self, micros: u64) {
        let (first, last) = self.micros.unwrap_or((micros, micros));
        self.micros = Some((first, last.max(micros)));
    }

    /// What is here can't be read, and nobody knows what is behind.
    pub(in crate::container) fn lose(&mut self) -> Step {
        self.is_lost = true;
        self.cluster = None;
        Step::To(self.at.saturating_add(1))
    }
}

impl Walk {
    fn new(at: u64, is_lost: bool) -> Self {
        Self { start: at, begin: at, is_unconfirmed: is_lost, place: Place::new(at, is_lost) }
    }

    /// Takes bytes from where it is of a file of so many, as many of them as are whole elements; none from `end` on.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        (end, length): (u64, u64),
        step: impl FnMut(&mut Place, &[u8]) -> Step,
    ) {
        self.advance(bytes, (end, length), step);
        // What is behind that is for the walk of the next place.
        self.begin = self.begin.min(end.max(self.start));
    }

    fn advance(
        &mut self,
        bytes: &[u8],
        (end, length): (u64, u64),
        mut step: impl FnMut(&mut Place, &[u8]) -> Step,
    ) {
        let offset = self.place.at;
        while self.place.at < end {
            let from = usize::try_from(self.place.at - offset).unwrap_or(usize::MAX);
            let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) else { return };
            match step(&mut self.place, rest) {
                Step::Needs(needs) => return self.wait(needs, rest.len() as u64, length),
                Step::Found(begin, at) => {
                    self.place.is_lost = false;
                    self.begin = if self.is_unconfirmed { begin } else { self.begin };
                    self.is_unconfirmed = false;
                    self.go_to(at);
                }
                Step::To(at) => self.go_to(at),
            }
        }
    }

    /// A page is read where an element is known to begin or probably does, more where one is looked for.
    pub(super) fn is_searching_on(&self) -> bool {
        self.place.is_lost && self.place.at > self.start
    }

    /// Another walk has come here from before.
    pub(super) fn go_on_from(&mut self, place: Place) {
        self.begin = place.at;
        self.is_unconfirmed = false;
        let micros = place.micros.map(|(_, last)| (last, last));
        self.place = Place { micros, ..place };
    }

    fn go_to(&mut self, at: u64) {
        self.place.at = self.place.at.max(at);
        self.place.needs = HEADER_BYTES;
        if self.is_unconfirmed {
            self.begin = self.place.at;
        }
    }

    /// Waits for so many bytes, or as many as the file has. If it had those, they are of no use.
    fn wait(&mut self, needs: u64, had: u64, length: u64) {
        let needs = needs.min(length - self.place.at);
        if needs > had {
            self.place.needs = needs;
        } else {
            self.go_to(length);
        }
    }
}

/// Walks from the beginning of a range, from the points of an index, and from so many bytes behind each where there is none.
pub(super) fn starts(range: Range<u64>, points: &[Point], span_bytes: u64) -> Vec<Walk> {
    if range.is_empty() {
        return Vec::new();
    }
    let span_bytes = span_bytes.max((range.end - range.start) / (TEXT_WALKS_MAX as u64 / 2)).max(1);
    let stride = points.len().div_ceil(TEXT_WALKS_MAX / 2).max(1);
    let points = points.iter().step_by(stride).map(|point| point.offset);
    let mut walks = vec![Walk::new(range.start, false)];
    let mut last = range.start;
    for next in points.chain([range.end]).filter(|&next| next <= range.end) {
        while last.saturating_add(span_bytes) < next {
            last += span_bytes;
            walks.push(Walk::new(last, true));
        }
        if next > last && next < range.end {
            last = next;
            walks.push(Walk::new(last, true));
        }
    }
    walks
}

/// Spans in order, none of which touches another.
pub(super) fn merged(mut spans: Vec<Range<u64>>) -> Vec<Range<u64>> {
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable_by_key(|span| span.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for span in spans {
        match merged.last_mut().filter(|last| last.end >= span.start) {
            Some(last) => last.end = last.end.max(span.end),
            None => merged.push(span),
        }
    }
    merged
}

/// What is in spans and not in others, both in order and apart; from microseconds to milliseconds.
pub(super) fn without(spans: Vec<Range<u64>>, missing: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut missing = missing.into_iter().peekable();
    for span in spans {
        let mut from = span.start;
        while let Some(gap) = missing.next_if(|gap| gap.end <= span.end) {
            left.push(from..gap.start);
            from = from.max(gap.end);
        }
        // One that goes on behind it may be in the next, too.
        let end = missing.peek().map_or(span.end, |gap| gap.start.min(span.end));
        left.push(from..end);
    }
    let ms = |micros: u64| if micros == u64::MAX { micros } else { micros / 1000 };
    let spans = left.into_iter().map(|span| span.start.div_ceil(1000)..ms(span.end));
    spans.filter(|span| span.start < span.end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(points: &[u64], span_bytes: u64) -> Vec<u64> {
        let points: Vec<Point> = points.iter().map(|&offset| Point { micros: 0, offset }).collect();
        starts(100..1000, &points, span_bytes).iter().map(|walk| walk.start).collect()
    }

    #[test]
    fn walks_start_at_the_points_of_an_index_and_a_span_apart_where_there_are_none() {
        assert_eq!(offsets(&[], 2000), [100]);
        assert_eq!(offsets(&[], 400), [100, 500, 900]);
        assert_eq!(offsets(&[50, 100, 300, 300, 1000, 2000], 2000), [100, 300]);
        assert_eq!(offsets(&[300, 350], 300), [100, 300, 350, 650, 950]);
        assert!(starts(5..5, &[], 1).is_empty());
    }

    #[test]
    fn walks_are_bounded_however_long_the_file_and_its_index() {
        let points: Vec<Point> = (0..60_000).map(|nth| Point { micros: nth, offset: nth << 20 }).collect();
        assert!(starts(0..u64::MAX / 2, &points, 1).len() <= TEXT_WALKS_MAX + 1);
    }

    #[test]
    fn gaps_are_taken_out_of_spans() {
        let of = |spans: &[(u64, u64)]| {
            merged(spans.iter().map(|&(start, end)| start * 1000..end * 1000).collect())
        };
        assert_eq!(of(&[(5, 6), (1, 2), (2, 3), (4, 4)]), [1000..3000, 5000..6000]);
        let left = without(of(&[(0, 10), (20, 30), (40, 50)]), of(&[(2, 3), (9, 22), (25, 26), (49, 99)]));
        assert_eq!(left, [0..2, 3..9, 22..25, 26..30, 40..49]);
        assert_eq!(without(of(&[(0, 10)]), of(&[(0, 10)])), []);
    }
}
