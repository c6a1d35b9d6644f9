//! What the tests of containers share: looking into a file that is in memory.

use std::ops::Range;
use std::time::Duration;

use super::{Facts, Fault, Found, Inspection, Search, Seek, Step, TextOptions, TextTracks};
use crate::limits::{SEARCH_BYTES_MAX, SEARCH_READS_MAX};

/// Drives an inspection to its end, as whoever has the whole file does. What came of it, and what it read.
pub(super) fn inspect(file: &[u8]) -> (Result<Facts, Fault>, Vec<Range<u64>>) {
    let mut inspection = Inspection::new(file.len() as u64);
    let mut reads = Vec::new();
    loop {
        match inspection.step() {
            Step::Read(range) => {
                let bytes = file[range.start as usize..range.end as usize].to_vec();
                inspection.supply(range.start, bytes);
                reads.push(range);
            }
            Step::Done(facts) => return (Ok(*facts), reads),
            Step::Failed(fault) => return (Err(fault), reads),
        }
    }
}

/// The same where some of it can't be had: what comes of it.
pub(super) fn inspect_without(file: &[u8], missing: Range<u64>) -> Result<Facts, Fault> {
    let mut inspection = Inspection::new(file.len() as u64);
    loop {
        match inspection.step() {
            Step::Read(range) if range.start < missing.end && missing.start < range.end => {
                inspection.cannot_read()
            }
            Step::Read(range) => {
                inspection.supply(range.start, file[range.start as usize..range.end as usize].to_vec());
            }
            Step::Done(facts) => return Ok(*facts),
            Step::Failed(fault) => return Err(fault),
        }
    }
}

/// A file with some of its bytes changed, and cut: what hostile or broken ones are like.
pub(super) fn damaged(mut file: Vec<u8>, changes: &[(usize, u8)], cut: usize) -> Vec<u8> {
    for &(at, value) in changes {
        let at = at % file.len();
        file[at] = value;
    }
    file.truncate(cut.max(1));
    file
}

/// Pieces of a file, of which some are there.
pub(super) struct Pieces {
    piece: usize,
    length: usize,
    has: Vec<bool>,
}

impl Pieces {
    pub(super) fn new(length: usize, piece: usize) -> Self {
        Self { piece, length, has: vec![false; length.div_ceil(piece)] }
    }

    /// Up to where the file is there from an offset on.
    fn there(&self, offset: u64) -> u64 {
        let first = (offset as usize / self.piece).min(self.has.len());
        let count = self.has[first..].iter().take_while(|&&has| has).count();
        (((first + count) * self.piece).min(self.length) as u64).max(offset)
    }

    /// One more piece has come: reads what can be read now, and says what that was.
    pub(super) fn come(&mut self, nth: usize, file: &[u8], tracks: &mut TextTracks) -> Vec<Range<u64>> {
        self.has[nth] = true;
        let mut reads = Vec::new();
        while let Some(range) = tracks.next(|offset| self.there(offset)) {
            assert!(range.start < range.end && self.there(range.start) >= range.end, "{range:?}");
            assert!(reads.len() < 4 * file.len() + 64, "it doesn't end");
            tracks.supply(range.start, &file[range.start as usize..range.end as usize]);
            reads.push(range);
        }
        reads
    }
}

/// Numbers up to a count: as they are, backwards, or in an order that a seed decides.
pub(super) fn order(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    match seed {
        0 => {}
        1 => order.reverse(),
        _ => order.sort_by_cached_key(|&nth| (nth as u64 + 1).wrapping_mul(seed.wrapping_mul(2) | 1) ^ seed),
    }
    order
}

/// What tells of the text in a file, before anything was read of it; places to look from are so far apart.
pub(super) fn text_tracks(file: &[u8], span_bytes: u64) -> Option<TextTracks> {
    let mut inspection = Inspection::new(file.len() as u64);
    let facts = loop {
        match inspection.step() {
            Step::Read(range) => {
                inspection.supply(range.start, file[range.start as usize..range.end as usize].to_vec());
            }
            Step::Done(facts) => break *facts,
            Step::Failed(_) => return None,
        }
    };
    TextTracks::with_spans(&inspection, &facts, file.len() as u64, span_bytes)
}

/// All text of a file of which pieces of so many bytes come in an order, and what was read of it.
pub(super) fn texts(
    file: &[u8],
    piece: usize,
    seed: u64,
    span_bytes: u64,
) -> Option<(TextTracks, Vec<Range<u64>>)> {
    let mut tracks = text_tracks(file, span_bytes)?;
    let mut pieces = Pieces::new(file.len(), piece);
    let mut reads = Vec::new();
    for nth in order(pieces.has.len(), seed) {
        reads.extend(pieces.come(nth, file, &mut tracks));
    }
    assert!(tracks.is_complete(), "all of it was there");
    Some((tracks, reads))
}

/// A track as WebVTT without its first line, and lines divided by a bar.
pub(super) fn cues(tracks: &TextTracks, track: u64) -> Vec<String> {
    let text = tracks.write(track, &TextOptions::default()).unwrap();
    text.split("\n\n").skip(1).map(|cue| cue.trim_end().replace('\n', "|")).collect()
}

/// Milliseconds of the film of which all text is read: from when to when.
pub(super) fn covered(tracks: &TextTracks) -> Vec<(u64, u64)> {
    tracks.covered().into_iter().map(|span| (span.start, span.end)).collect()
}

/// What came of a search, and what it read.
pub(super) type Sought = (Result<Found, Fault>, Vec<Range<u64>>);

/// Drives a search to its end, and sees to what holds for any file: it asks for bytes that there are, within its limits, and finds
/// a place of the file that isn't behind the time.
pub(super) fn seek(
    facts: &Facts,
    length: u64,
    time: Duration,
    read: impl Fn(Range<u64>) -> Vec<u8>,
) -> Option<Sought> {
    let mut search = Seek::new(facts, length, time)?;
    let mut reads = Vec::new();
    loop {
        match search.step() {
            Search::Read(range) => {
                assert!(range.start < range.end && range.end <= length, "{range:?}");
                search.supply(range.start, &read(range.clone()));
                reads.push(range);
                let bytes: u64 = reads.iter().map(|range| range.end - range.start).sum();
                assert!(reads.len() <= SEARCH_READS_MAX as usize && bytes <= SEARCH_BYTES_MAX, "{reads:?}");
            }
            Search::Found(found) => {
                assert!(found.point.offset < length, "{found:?}");
                assert!(Duration::from_micros(found.point.micros) <= time, "{found:?} for {time:?}");
                return Some((Ok(found), reads));
            }
            Search::Failed(fault) => return Some((Err(fault), reads)),
        }
    }
}
