//! What must hold for any file that claims to be a film.

use std::ops::Range;

use afflux_media::container::{Facts, Inspection, Step};
use afflux_media::limits::{POINTS_MAX, READ_BYTES_MAX, READS_MAX, TITLE_BYTES_MAX, TRACKS_MAX};

/// A file, of which an inspection is given what it asks for.
///
/// Whatever it is: the inspection ends, asks for no more than it may and only for what is in the file, and what it tells is within
/// its limits and in order.
pub fn container(data: &[u8]) {
    let mut inspection = Inspection::new(data.len() as u64);
    let (mut reads, mut bytes) = (0, 0);
    let facts = loop {
        match inspection.step() {
            Step::Read(Range { start, end }) => {
                assert!(start <= end && end <= data.len() as u64, "{start}..{end} of {}", data.len());
                reads += 1;
                bytes += end - start;
                assert!(reads <= READS_MAX && bytes <= READ_BYTES_MAX, "{reads} reads of {bytes} bytes");
                inspection.supply(start, data[start as usize..end as usize].to_vec());
            }
            Step::Done(facts) => break facts,
            Step::Failed(_) => return,
        }
    };
    is_within_limits(&facts);
}

fn is_within_limits(facts: &Facts) {
    assert!(facts.tracks.len() <= TRACKS_MAX);
    let titles = facts.tracks.iter().filter_map(|track| track.title.as_ref());
    assert!(titles.into_iter().all(|title| title.len() <= TITLE_BYTES_MAX));
    let points = facts.index.as_ref().map_or(&[][..], |index| index.points());
    assert!(points.len() <= POINTS_MAX);
    assert!(points.windows(2).all(|two| two[0].micros < two[1].micros && two[0].offset <= two[1].offset));
}
