//! What must hold for any file that claims to be a film.

use std::ops::Range;
use std::time::Duration;

use afflux_media::container::ffprobe::Report;
use afflux_media::container::{Codec, Facts, Foreign, HEAD_BYTES, Inspection, Search, Seek, Step, TrackKind};
use afflux_media::limits::{
    CODEC_BYTES_MAX, FRAME_RATE_MAX, LEARNT_POINTS_MAX, MICROS_MAX, PICTURE_SIDE_MAX, POINTS_MAX,
    READ_BYTES_MAX, READS_MAX, SEARCH_BYTES_MAX, SEARCH_READS_MAX, TITLE_BYTES_MAX, TRACKS_MAX,
};

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

/// A file that is searched for times.
///
/// A search asks for what is in the file, ends within its limits, and finds a place that isn't behind the time; what one has learnt
/// leads the next one no farther astray.
pub fn seek(data: &[u8]) {
    let mut inspection = Inspection::new(data.len() as u64);
    let mut facts = loop {
        match inspection.step() {
            // The second half of some files can't be had.
            Step::Read(Range { start, .. })
                if data.len().is_multiple_of(7) && start > data.len() as u64 / 2 =>
            {
                inspection.cannot_read();
            }
            Step::Read(Range { start, end }) => {
                inspection.supply(start, data[start as usize..end as usize].to_vec());
            }
            Step::Done(facts) => break facts,
            Step::Failed(_) => return,
        }
    };
    is_within_limits(&facts);
    for part_of_four in [2, 0, 4, 1, 3] {
        let time = facts.duration.unwrap_or_default() / 4 * part_of_four;
        let Some(search) = Seek::new(&facts, data.len() as u64, time) else { return };
        if let Search::Found(found) = ended(search, data) {
            let is_good =
                found.point.offset < data.len() as u64 && Duration::from_micros(found.point.micros) <= time;
            assert!(is_good, "{found:?} for {time:?}");
            facts.learn(found.learnt);
        }
    }
    let learnt = facts.learnt.as_ref().map_or(0, |learnt| learnt.points().len());
    assert!(learnt <= LEARNT_POINTS_MAX, "{learnt} points");
}

fn ended(mut search: Seek, data: &[u8]) -> Search {
    let (mut reads, mut bytes) = (0, 0);
    while let Search::Read(Range { start, end }) = search.step() {
        reads += 1;
        bytes += end - start;
        assert!(reads <= SEARCH_READS_MAX && bytes <= SEARCH_BYTES_MAX, "{reads} reads of {bytes} bytes");
        search.supply(start, &data[start as usize..end as usize]);
    }
    search.step()
}

/// What ffprobe may say, for each container that it may be asked about, and the bytes as such a container's begin.
///
/// Whatever it says: what is told of it is within the limits of what we read ourselves, and can be kept. A container is known by a
/// file's head alone.
pub fn ffprobe_report(data: &[u8]) {
    let head = &data[..data.len().min(HEAD_BYTES as usize)];
    assert_eq!(Foreign::recognise(data), Foreign::recognise(head));
    let Ok(report) = serde_json::from_slice::<Report>(data) else { return };
    for foreign in Foreign::ALL {
        let Some(facts) = report.facts(foreign) else { continue };
        is_within_limits(&facts);
        assert!(facts.duration.is_none_or(|duration| duration.as_micros() <= MICROS_MAX.into()));
        for track in &facts.tracks {
            assert!(!matches!(&track.codec, Codec::Other(name) if name.len() > CODEC_BYTES_MAX));
            let TrackKind::Video(video) = track.kind else { continue };
            assert!(video.width.max(video.height) <= PICTURE_SIDE_MAX);
            assert!(video.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= FRAME_RATE_MAX));
        }
        let kept = serde_json::to_string(&facts).expect("facts are JSON");
        assert!(serde_json::from_str::<Facts>(&kept).is_ok(), "{kept}");
    }
}

fn is_within_limits(facts: &Facts) {
    assert!(facts.tracks.len() <= TRACKS_MAX);
    let titles = facts.tracks.iter().filter_map(|track| track.title.as_ref());
    assert!(titles.into_iter().all(|title| title.len() <= TITLE_BYTES_MAX));
    let points = facts.index.as_ref().map_or(&[][..], |index| index.points());
    assert!(points.len() <= POINTS_MAX);
    assert!(points.windows(2).all(|two| two[0].micros < two[1].micros && two[0].offset <= two[1].offset));
}
