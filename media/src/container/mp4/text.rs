//! Where the texts of an MP4 are: of its tables of samples, and of its fragments as they come (ISO 14496-12, section 8.8).
//!
//! Not here: what is in a sample; timed text and WebVTT each have their own way.

use super::boxes::{Boxes, Fields, Header};
use super::fragment::{decode_time, header, run};
use super::movie::FragmentedTrack;
use super::tables::Tables;
use super::timeline::Timeline;
use crate::container::text_tracks::{Found, Place, Sample, Step, Whose};
use crate::container::{Codec, Refusal};
use crate::limits::{FRAGMENT_BYTES_MAX, TEXT_SAMPLES_MAX};

/// Bytes of a `moof`'s header and of what it begins with, an `mfhd`: by both together one is known.
const FRAGMENT_HEAD_BYTES: usize = 16;

/// What is known of the texts of a film once its `moov` is read.
#[derive(Clone, Debug, Default)]
pub(in crate::container) struct TextHead {
    pub(super) tracks: Vec<TextTrack>,
    pub(super) fragmented: Vec<FragmentedTrack>,
    /// Where fragments begin, if there are any.
    pub(super) fragments: Option<u64>,
}

/// A track of text.
#[derive(Clone, Debug)]
pub(super) struct TextTrack {
    id: u32,
    /// What stands before a WebVTT file's first cue.
    head: Vec<u8>,
    /// Bytes of a sample that says something.
    bytes_min: u64,
    /// `None`: there are more than any film has.
    samples: Option<Vec<(Whose, Sample)>>,
}

impl TextTrack {
    /// Of a track's tables and its clock. So many samples are left to be looked at in the film.
    pub(super) fn new(
        id: u32,
        codec: &Codec,
        head: &[u8],
        (tables, timeline): (&Tables<'_>, Timeline),
        samples_left: &mut u64,
    ) -> Self {
        let (head, count) = (head.to_vec(), tables.samples());
        let Some(left) = samples_left.checked_sub(count) else {
            return Self { id, head, bytes_min: 0, samples: None };
        };
        *samples_left = left;
        let bytes_min = match codec {
            // A length of zero, or an empty `vtte`, is there only to pass the time.
            Codec::TimedText => 3,
            _ => 9,
        };
        let mut walk = tables.walk();
        let sample = |nth: u64| {
            let micros = timeline.micros(walk.shown_at(nth)?);
            let end_micros = timeline.micros(walk.shown_at(nth)? + i128::from(walk.lasts(nth)?));
            let duration_micros = Some(end_micros.saturating_sub(micros));
            let sample = Sample { bytes: walk.bytes(nth)?, duration_micros };
            Some(((walk.offset(nth)?, u64::from(id), micros), sample))
        };
        let samples = (0..count).map_while(sample).filter(|(_, sample)| sample.bytes >= bytes_min).collect();
        Self { id, head, bytes_min, samples: Some(samples) }
    }
}

impl TextHead {
    /// What stands before the first cue of a track, or why its texts can't be read.
    pub(in crate::container) fn readable(&self, track: u64) -> Result<&[u8], Refusal> {
        let known = self.tracks.iter().find(|known| u64::from(known.id) == track);
        let known = known.ok_or(Refusal::NoSuchTrack)?;
        known.samples.as_ref().map(|_| &known.head[..]).ok_or(Refusal::TooMuch)
    }

    /// The samples that the tables tell of.
    pub(in crate::container) fn samples(&self) -> impl Iterator<Item = (Whose, Sample)> + '_ {
        self.tracks.iter().filter_map(|track| track.samples.as_ref()).flatten().copied()
    }

    /// How the texts of these tracks are read from fragments, and where those begin.
    pub(in crate::container) fn fragments(&self, readable: &[u64]) -> Option<(Texts, u64)> {
        let is_readable = |track: &&TextTrack| readable.contains(&track.id.into());
        let tracks =
            self.tracks.iter().filter(is_readable).map(|track| (track.id, track.bytes_min)).collect();
        Some((Texts { tracks, fragmented: self.fragmented.clone() }, self.fragments?))
    }
}

/// How texts are found in fragments.
#[derive(Clone, Debug)]
pub(in crate::container) struct Texts {
    /// The tracks of text, and the bytes of a sample that says something.
    tracks: Vec<(u32, u64)>,
    fragmented: Vec<FragmentedTrack>,
}

impl Texts {
    /// What begins where a walk is.
    pub(in crate::container) fn step(&self, place: &mut Place, rest: &[u8], found: &mut Found) -> Step {
        if place.is_lost {
            return search(place, rest);
        }
        let Some(header) = Header::parse(rest) else {
            return if rest.len() < Header::BYTES_MAX as usize {
                Step::Needs(Header::BYTES_MAX)
            } else {
                place.lose()
            };
        };
        if !header.kind.iter().all(u8::is_ascii_graphic) {
            return place.lose();
        }
        let size = header.size.unwrap_or(u64::MAX);
        if header.kind == *b"moof" && size <= FRAGMENT_BYTES_MAX {
            let Some(whole) = rest.get(..size as usize) else { return Step::Needs(size) };
            self.fragment(place, &whole[header.bytes as usize..], found);
        }
        Step::To(place.at.saturating_add(size))
    }

    fn fragment(&self, place: &mut Place, content: &[u8], found: &mut Found) {
        // Samples of which nothing is said are free to write, and may be billions: there are no more than bytes.
        let mut samples_left = content.len().min(TEXT_SAMPLES_MAX);
        for (_, traf) in Boxes(content).filter(|(kind, _)| kind == b"traf") {
            let Some(mut runs) = Runs::parse(traf, place.at, &self.fragmented) else { continue };
            place.meet(runs.timeline.micros(runs.ticks.into()));
            let Some(&(id, bytes_min)) = self.tracks.iter().find(|(id, _)| *id == runs.track) else {
                continue;
            };
            for (_, content) in Boxes(traf).filter(|(kind, _)| kind == b"trun") {
                let timeline = runs.timeline;
                let add = |offset: u64, ticks: i128, lasts: u32, bytes: u32| {
                    let micros = timeline.micros(ticks);
                    let end_micros = timeline.micros(ticks + i128::from(lasts));
                    let duration_micros = Some(end_micros.saturating_sub(micros));
                    if u64::from(bytes) >= bytes_min {
                        let sample = Sample { bytes: bytes.into(), duration_micros };
                        found.samples.push(((offset, id.into(), micros), sample));
                    }
                };
                // One that ends early counts as far as it goes.
                let _ = runs.add(content, &mut samples_left, add);
            }
        }
    }
}

/// Looks for a `moof` where it isn't known what begins where.
fn search(place: &mut Place, rest: &[u8]) -> Step {
    let is_fragment = |head: &[u8]| head[4..8] == *b"moof" && head[12..16] == *b"mfhd";
    match rest.windows(FRAGMENT_HEAD_BYTES).position(is_fragment) {
        Some(nth) => {
            let at = place.at + nth as u64;
            Step::Found(at, at)
        }
        None => match rest.len().checked_sub(FRAGMENT_HEAD_BYTES - 1) {
            Some(passed @ 1..) => Step::To(place.at + passed as u64),
            _ => Step::Needs(FRAGMENT_HEAD_BYTES as u64),
        },
    }
}

/// The samples of one track in a fragment (`traf`), as they are gone through.
#[derive(Clone, Copy, Debug)]
struct Runs {
    track: u32,
    timeline: Timeline,
    /// When the next sample is decoded, and where it is.
    ticks: u64,
    at: u64,
    /// From where offsets count.
    base: u64,
    sample_ticks: u32,
    sample_bytes: u32,
}

impl Runs {
    /// Of the content of a `traf` in a `moof` that begins there. One that doesn't say when it is (`tfdt`) can't be read on its own.
    fn parse(content: &[u8], moof: u64, tracks: &[FragmentedTrack]) -> Option<Self> {
        let mut fields = Fields(Boxes(content).first(b"tfhd")?);
        let (_, flags) = fields.full()?;
        let track = fields.u32()?;
        let known = tracks.iter().find(|known| known.id == track)?;
        let said = if flags & header::BASE_DATA_OFFSET != 0 { Some(fields.u64()?) } else { None };
        if flags & header::SAMPLE_DESCRIPTION != 0 {
            fields.u32()?;
        }
        let sample_ticks = if flags & header::DURATION != 0 { fields.u32()? } else { known.sample_ticks };
        let sample_bytes = if flags & header::SIZE != 0 { fields.u32()? } else { known.sample_bytes };
        let ticks = Boxes(content).first(b"tfdt").and_then(decode_time)?;
        let base = said.unwrap_or(moof);
        Some(Self { track, timeline: known.timeline, ticks, at: base, base, sample_ticks, sample_bytes })
    }

    /// The samples of a `trun`: of each where it is, when it is shown, how long, and its bytes.
    fn add(
        &mut self,
        content: &[u8],
        samples_left: &mut usize,
        mut add: impl FnMut(u64, i128, u32, u32),
    ) -> Option<()> {
        let mut fields = Fields(content);
        let (_, flags) = fields.full()?;
        let count = usize::try_from(fields.u32()?).unwrap_or(usize::MAX).min(*samples_left);
        *samples_left -= count;
        if flags & run::DATA_OFFSET != 0 {
            self.at = self.base.checked_add_signed((fields.u32()? as i32).into())?;
        }
        if flags & run::FIRST_FLAGS != 0 {
            fields.u32()?;
        }
        for _ in 0..count {
            let mut optional = |flag| if flags & flag != 0 { fields.u32().map(Some) } else { Some(None) };
            let lasts = optional(run::DURATION)?.unwrap_or(self.sample_ticks);
            let bytes = optional(run::SIZE)?.unwrap_or(self.sample_bytes);
            optional(run::FLAGS)?;
            let shift = optional(run::SHIFT)?.unwrap_or(0) as i32;
            add(self.at, i128::from(self.ticks) + i128::from(shift), lasts, bytes);
            self.at = self.at.checked_add(bytes.into())?;
            self.ticks = self.ticks.saturating_add(lasts.into());
        }
        Some(())
    }
}
