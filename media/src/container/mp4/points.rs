//! From tables of samples to the points of an index.

use super::super::index::Point;
use super::boxes::column;
use super::tables::{Tables, Walk};
use super::timeline::Timeline;
use crate::limits::{INTERLEAVED_BYTES_MAX, POINTS_MAX};

/// A track with what an index needs of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed<'a> {
    pub(super) tables: Tables<'a>,
    pub(super) timeline: Timeline,
    /// Its samples are counted in another unit than their sizes (uncompressed sound in QuickTime): only where its chunks begin
    /// is known.
    pub(super) by_chunk: bool,
}

/// The key frames of a film, each where it or the sound of its time begins, whichever is before.
pub(super) fn of_video(video: &Timed, sound: Option<&Timed>) -> Vec<Point> {
    let mut sound = sound.map(|sound| (sound.tables.walk(), sound.timeline));
    let with_sound = |point: Point| {
        let of_sound =
            sound.as_mut().and_then(|(walk, timeline)| chunk_at(walk, timeline.ticks(point.micros)));
        // Sound that is far off is kept apart: reading on from it would read another part of the film.
        let near = of_sound.filter(|&offset| {
            point.offset.checked_sub(offset).is_some_and(|gap| gap <= INTERLEAVED_BYTES_MAX)
        });
        Point { offset: near.unwrap_or(point.offset), ..point }
    };
    match video.tables.sync() {
        Some(rows) => {
            let stride = rows.len().div_ceil(POINTS_MAX).max(1);
            let numbers = rows.iter().step_by(stride).map(|row| u64::from(column(row, 0)));
            // Of no sample number 0 is there one before.
            points(video, numbers.map_while(|number| number.checked_sub(1))).map(with_sound).collect()
        }
        None => points(video, every(video, 1)).map(with_sound).collect(),
    }
}

/// About a point for each second of sound.
pub(super) fn of_sound(sound: &Timed) -> Vec<Point> {
    let (samples, ticks) = sound.tables.extent();
    let seconds = ticks / u64::from(sound.timeline.timescale().get());
    points(sound, every(sound, samples / seconds.max(1))).collect()
}

/// Every so manyth sample; fewer if they would be too many.
fn every(track: &Timed, stride: u64) -> impl Iterator<Item = u64> + use<> {
    let samples = track.tables.samples();
    let stride = stride.max(samples.div_ceil(POINTS_MAX as u64)).max(1);
    (0..samples.div_ceil(stride)).map(move |nth| nth * stride)
}

/// As far as the tables go, and the samples go on: to go back would cost the sizes of a chunk once more each time.
fn points(track: &Timed, samples: impl Iterator<Item = u64>) -> impl Iterator<Item = Point> {
    let (mut walk, timeline, by_chunk) = (track.tables.walk(), track.timeline, track.by_chunk);
    let mut next_sample = 0;
    samples.map_while(move |sample| {
        if sample < next_sample {
            return None;
        }
        next_sample = sample + 1;
        let sample = if by_chunk { walk.chunk(sample)?.first_sample } else { sample };
        let micros = timeline.micros(walk.shown_at(sample)?);
        Some(Point { micros, offset: walk.offset(sample)? })
    })
}

/// Where the chunk begins that has the sound of a time.
fn chunk_at(walk: &mut Walk, ticks: u64) -> Option<u64> {
    let sample = walk.sample_at(ticks)?;
    walk.chunk(sample).map(|chunk| chunk.offset)
}
