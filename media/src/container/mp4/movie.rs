//! The `moov` (ISO 14496-12 section 8.2.1): everything that a film in one piece says of itself.

use std::num::NonZeroU32;
use std::time::Duration;

use super::super::facts::{Track, TrackKind};
use super::super::index::Point;
use super::super::inspect::{Budget, Fault};
use super::super::search;
use super::boxes::{Boxes, Fields, column};
use super::points::{of_sound, of_video};
use super::text::TextTrack;
use super::timeline::{Timeline, micros};
use super::track::Trak;
use crate::limits::{TEXT_SAMPLES_MAX, TRACKS_MAX};

/// What is known of a film once its `moov` is read; fragments add to it.
#[derive(Clone, Debug)]
pub(super) struct Movie {
    pub(super) is_fragmented: bool,
    /// What is said of the length of the whole, if anything is.
    pub(super) said_duration: Option<Duration>,
    /// How far that goes whose samples we know, in microseconds.
    pub(super) end_micros: u64,
    pub(super) tracks: Vec<Track>,
    pub(super) points: Vec<Point>,
    pub(super) fragmented: Vec<FragmentedTrack>,
    pub(super) texts: Vec<TextTrack>,
    /// The track that the index is of: the first with pictures, or else with sound.
    pub(super) lead: Option<u32>,
}

/// What fragments need to know of a track.
#[derive(Clone, Copy, Debug)]
pub(super) struct FragmentedTrack {
    pub(super) id: u32,
    pub(super) timeline: Timeline,
    /// Where its next fragment begins if that says nothing, in ticks.
    pub(super) next_ticks: u64,
    /// What `trex` says its samples are if their fragments say nothing (section 8.8.3).
    pub(super) sample_ticks: u32,
    pub(super) sample_bytes: u32,
    pub(super) sample_flags: u32,
}

/// As it is kept for a search.
impl From<FragmentedTrack> for search::FragmentedTrack {
    fn from(track: FragmentedTrack) -> Self {
        let FragmentedTrack { id, timeline, sample_ticks, sample_flags, .. } = track;
        let (timescale, media_time, delay_micros) = timeline.parts();
        Self { id, timescale, media_time, delay_micros, sample_ticks, sample_flags }
    }
}

impl From<search::FragmentedTrack> for FragmentedTrack {
    fn from(track: search::FragmentedTrack) -> Self {
        let search::FragmentedTrack { id, timescale, media_time, delay_micros, sample_ticks, sample_flags } =
            track;
        let timeline = Timeline::of_parts(timescale, media_time, delay_micros);
        // How large its samples are doesn't matter to their times.
        Self { id, timeline, next_ticks: 0, sample_ticks, sample_bytes: 0, sample_flags }
    }
}

impl Movie {
    /// Of the content of a `moov`.
    pub(super) fn parse(content: &[u8], budget: &mut Budget) -> Result<Self, Fault> {
        let mut boxes = MovieBoxes::default();
        for (kind, content) in Boxes(content) {
            budget.element()?;
            match &kind {
                b"cmov" => return Err(Fault::Unsupported("its moov is compressed (cmov)")),
                b"mvhd" => boxes.header = content,
                b"mvex" => boxes.extends = Some(content),
                b"trak" if boxes.traks.len() < TRACKS_MAX => boxes.traks.push(Trak::parse(content)),
                _ => {}
            }
        }
        boxes.movie().ok_or(Fault::Broken("its moov has no tracks"))
    }
}

/// The boxes of a `moov` that we look at.
#[derive(Debug, Default)]
struct MovieBoxes<'a> {
    header: &'a [u8],
    traks: Vec<Trak<'a>>,
    extends: Option<&'a [u8]>,
}

impl MovieBoxes<'_> {
    fn movie(&self) -> Option<Movie> {
        let (timescale, duration) = length(self.header).map_or((None, 0), |(timescale, ticks)| {
            let timescale = NonZeroU32::new(timescale);
            (timescale, timescale.map_or(0, |timescale| micros(ticks, timescale)))
        });
        let tracks = self.tracks();
        let lead = lead(&tracks)?;
        let end_of_tracks = || self.traks.iter().map(|trak| trak.end_micros(timescale)).max();
        let end_micros = if duration > 0 { duration } else { end_of_tracks()? };
        let said = match self.extends {
            Some(extends) => timescale.and_then(|timescale| extended_length(extends, timescale)),
            None => Some(end_micros),
        };
        Some(Movie {
            is_fragmented: self.extends.is_some(),
            said_duration: said.filter(|micros| *micros > 0).map(Duration::from_micros),
            end_micros,
            points: self.points(&tracks, lead, timescale),
            fragmented: self.extends.map_or(Vec::new(), |extends| self.fragmented(extends, timescale)),
            texts: self.texts(&tracks, timescale),
            lead: self.traks.get(lead).map(|trak| trak.id),
            tracks,
        })
    }

    fn tracks(&self) -> Vec<Track> {
        let mut tracks: Vec<Track> = self.traks.iter().map(Trak::track).collect();
        let chapters = self.traks.iter().flat_map(|trak| trak.chapters.as_chunks::<4>().0);
        let chapters: Vec<u64> = chapters.take(TRACKS_MAX).map(|id| u32::from_be_bytes(*id).into()).collect();
        // Chapters are tracks of text and of pictures, but nothing that is shown over the film.
        for track in tracks.iter_mut().filter(|track| chapters.contains(&track.id)) {
            track.kind = TrackKind::Other;
        }
        tracks
    }

    /// An index of what isn't in fragments.
    fn points(&self, tracks: &[Track], lead: usize, timescale: Option<NonZeroU32>) -> Vec<Point> {
        let timed = |nth: usize| self.traks.get(nth)?.timed(tracks.get(nth)?, timescale);
        let Some(timed_lead) = timed(lead) else { return Vec::new() };
        if matches!(tracks[lead].kind, TrackKind::Video(_)) {
            of_video(&timed_lead, first_sound(tracks).and_then(timed).as_ref())
        } else {
            of_sound(&timed_lead)
        }
    }

    /// Where texts are, as far as that isn't in fragments.
    fn texts(&self, tracks: &[Track], timescale: Option<NonZeroU32>) -> Vec<TextTrack> {
        let mut samples_left = TEXT_SAMPLES_MAX as u64;
        let tracks = self.traks.iter().zip(tracks);
        tracks.filter_map(|(trak, track)| trak.texts(track, timescale, &mut samples_left)).collect()
    }

    fn fragmented(&self, extends: &[u8], timescale: Option<NonZeroU32>) -> Vec<FragmentedTrack> {
        let extends = Boxes(extends).filter(|(kind, _)| kind == b"trex").take(TRACKS_MAX);
        let rows: Vec<&[u8; 24]> = extends.filter_map(|(_, content)| content.first_chunk()).collect();
        let of = |trak: &Trak| {
            // Its version and flags, the track, a description, and then what is said of its samples.
            let row = rows.iter().find(|row| column(row, 1) == trak.id);
            Some(FragmentedTrack {
                id: trak.id,
                timeline: trak.timeline(timescale)?,
                next_ticks: trak.tables.extent().1,
                sample_ticks: row.map_or(0, |row| column(row, 3)),
                sample_bytes: row.map_or(0, |row| column(row, 4)),
                sample_flags: row.map_or(0, |row| column(row, 5)),
            })
        };
        self.traks.iter().filter_map(of).collect()
    }
}

/// The timescale of an `mvhd`, and the length in it; 0 if it isn't known.
fn length(content: &[u8]) -> Option<(u32, u64)> {
    let mut fields = Fields(content);
    let (version, _) = fields.full()?;
    let is_long = version == 1;
    fields.skip(if is_long { 16 } else { 8 })?;
    let timescale = fields.u32()?;
    let duration = fields.word(is_long)?;
    let is_unknown = if is_long { duration == u64::MAX } else { duration == u64::from(u32::MAX) };
    Some((timescale, if is_unknown { 0 } else { duration }))
}

/// The length with all fragments (`mehd`, section 8.8.2), in microseconds.
fn extended_length(extends: &[u8], timescale: NonZeroU32) -> Option<u64> {
    let mut fields = Fields(Boxes(extends).first(b"mehd")?);
    let (version, _) = fields.full()?;
    fields.word(version == 1).map(|ticks| micros(ticks, timescale))
}

fn lead(tracks: &[Track]) -> Option<usize> {
    let first_video = tracks.iter().position(|track| matches!(track.kind, TrackKind::Video(_)));
    first_video.or(first_sound(tracks)).or((!tracks.is_empty()).then_some(0))
}

fn first_sound(tracks: &[Track]) -> Option<usize> {
    tracks.iter().position(|track| matches!(track.kind, TrackKind::Audio(_)))
}
