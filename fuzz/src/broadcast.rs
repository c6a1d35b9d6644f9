//! Targets of the media crate: streams of pictures, and searches in transport streams.

use std::time::Duration;

use afflux_media::container::parameter_sets::{
    avc_configuration, avc_stream, hevc_configuration, hevc_stream, mpeg2_stream,
};
use afflux_media::container::ts::{Bisection, Search};
use afflux_media::container::{Inspection, Step};
use afflux_media::limits::{BISECTION_READS_MAX, FRAME_RATE_MAX, PICTURE_SIDE_MAX};

/// A stream of pictures, or a decoder's configuration.
///
/// What any of them says is a size that pictures have and a rate that they may be shown at.
pub fn parameter_sets(data: &[u8]) {
    for read in [avc_stream, hevc_stream, mpeg2_stream, avc_configuration, hevc_configuration] {
        let Some(video) = read(data) else { continue };
        let sides = 1..=PICTURE_SIDE_MAX;
        assert!(sides.contains(&video.width) && sides.contains(&video.height), "{video:?}");
        assert!(video.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= FRAME_RATE_MAX), "{video:?}");
    }
}

/// A transport stream.
///
/// A search for any time in it asks for what is in the file, ends within its limits, and finds a place that isn't behind the time.
pub fn bisection(data: &[u8]) {
    let length = data.len() as u64;
    let part = |range: std::ops::Range<u64>| &data[range.start as usize..range.end as usize];
    let mut inspection = Inspection::new(length);
    let facts = loop {
        match inspection.step() {
            Step::Read(range) => inspection.supply(range.start, part(range).to_vec()),
            Step::Done(facts) => break facts,
            Step::Failed(_) => return,
        }
    };
    for part_of_four in 0..=4 {
        let time = facts.duration.unwrap_or_default() / 4 * part_of_four;
        let Some(mut search) = Bisection::new(&facts, length, time) else { return };
        let mut reads = 0;
        while let Search::Read(range) = search.step() {
            reads += 1;
            assert!(reads <= BISECTION_READS_MAX);
            search.supply(range.start, part(range));
        }
        if let Search::Found(point) = search.step() {
            assert!(
                point.offset < length && Duration::from_micros(point.micros) <= time,
                "{point:?} for {time:?}"
            );
        }
    }
}
