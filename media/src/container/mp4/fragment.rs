//! One fragment (`moof`, ISO 14496-12 section 8.8.4).

use super::super::facts::TrackKind;
use super::boxes::{Boxes, Fields};
use super::movie::{FragmentedTrack, Movie};

/// When a fragment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    /// When the first sample in it is decoded, in microseconds.
    pub(super) start_micros: u64,
    /// When the first key frame in it is shown, in microseconds.
    pub(super) key_micros: Option<u64>,
    /// When it is over.
    pub(super) end_micros: u64,
}

impl Fragment {
    /// Of the content of a `moof`. Where each track goes on is kept in the movie.
    pub(super) fn parse(content: &[u8], movie: &mut Movie) -> Self {
        let mut fragment = Self::default();
        for (_, content) in Boxes(content).filter(|(kind, _)| kind == b"traf") {
            let Some((track, run)) = Run::parse(content, &mut movie.fragmented) else { continue };
            track.next_ticks = run.ticks;
            fragment.end_micros = fragment.end_micros.max(track.timeline.micros(run.ticks.into()));
            if movie.lead == Some(track.id) {
                let rate = run.constant_rate(track.timeline.timescale().get());
                let lead = movie.tracks.iter_mut().find(|known| known.id == u64::from(track.id));
                if let Some(TrackKind::Video(video)) = lead.map(|track| &mut track.kind) {
                    video.frame_rate = video.frame_rate.or(rate);
                }
                let key_micros = run.key_ticks.map(|ticks| track.timeline.micros(ticks));
                fragment.key_micros = fragment.key_micros.or(key_micros);
            }
        }
        fragment
    }

    /// The same for one track, whose fragments were not all seen: only if it says itself when it begins.
    pub(super) fn of_track(content: &[u8], track: FragmentedTrack) -> Option<Self> {
        let mut tracks = [track];
        let mut parts = Boxes(content).filter(|(kind, _)| kind == b"traf");
        parts.find_map(|(_, content)| {
            Boxes(content).first(b"tfdt")?;
            let (track, run) = Run::parse(content, &mut tracks)?;
            Some(Self {
                start_micros: track.timeline.micros(run.first_ticks.into()),
                key_micros: run.key_ticks.map(|ticks| track.timeline.micros(ticks)),
                end_micros: track.timeline.micros(run.ticks.into()),
            })
        })
    }
}

/// One track's samples in a fragment (`traf`), gone through.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// When the first sample and the next are decoded.
    first_ticks: u64,
    ticks: u64,
    samples: u64,
    /// The shortest sample and the longest, in ticks.
    lengths: Option<(u32, u32)>,
    /// When the first key frame is shown.
    key_ticks: Option<i128>,
    sample_ticks: u32,
    sample_flags: u32,
}

/// What a `tfhd` has (section 8.8.7).
pub(super) mod header {
    pub(in crate::container::mp4) const BASE_DATA_OFFSET: u32 = 0x01;
    pub(in crate::container::mp4) const SAMPLE_DESCRIPTION: u32 = 0x02;
    pub(in crate::container::mp4) const DURATION: u32 = 0x08;
    pub(in crate::container::mp4) const SIZE: u32 = 0x10;
    pub(in crate::container::mp4) const FLAGS: u32 = 0x20;
}

/// What a `trun` has (section 8.8.8), of itself and of each sample.
pub(super) mod run {
    pub(in crate::container::mp4) const DATA_OFFSET: u32 = 0x001;
    pub(in crate::container::mp4) const FIRST_FLAGS: u32 = 0x004;
    pub(in crate::container::mp4) const DURATION: u32 = 0x100;
    pub(in crate::container::mp4) const SIZE: u32 = 0x200;
    pub(in crate::container::mp4) const FLAGS: u32 = 0x400;
    pub(in crate::container::mp4) const SHIFT: u32 = 0x800;
}

/// Of a sample's flags (section 8.8.3.1): it needs others.
const IS_NO_SYNC: u32 = 0x1_0000;

impl Run {
    /// Of the content of a `traf`, and whose it is.
    fn parse<'t>(
        content: &[u8],
        tracks: &'t mut [FragmentedTrack],
    ) -> Option<(&'t mut FragmentedTrack, Self)> {
        let boxes = Boxes(content);
        let mut fields = Fields(boxes.clone().first(b"tfhd")?);
        let (_, flags) = fields.full()?;
        let id = fields.u32()?;
        let track = tracks.iter_mut().find(|track| track.id == id)?;
        if flags & header::BASE_DATA_OFFSET != 0 {
            fields.u64()?;
        }
        if flags & header::SAMPLE_DESCRIPTION != 0 {
            fields.u32()?;
        }
        let sample_ticks = if flags & header::DURATION != 0 { fields.u32()? } else { track.sample_ticks };
        if flags & header::SIZE != 0 {
            fields.u32()?;
        }
        let sample_flags = if flags & header::FLAGS != 0 { fields.u32()? } else { track.sample_flags };
        let ticks = boxes.clone().first(b"tfdt").and_then(decode_time).unwrap_or(track.next_ticks);
        let mut run = Self {
            first_ticks: ticks,
            ticks,
            samples: 0,
            lengths: None,
            key_ticks: None,
            sample_ticks,
            sample_flags,
        };
        for (_, content) in boxes.filter(|(kind, _)| kind == b"trun") {
            // One that ends early counts as far as it goes.
            let _ = run.add(content);
        }
        Some((track, run))
    }

    /// The samples of a `trun`.
    fn add(&mut self, content: &[u8]) -> Option<()> {
        let mut fields = Fields(content);
        let (_, flags) = fields.full()?;
        let count = fields.u32()?;
        if flags & run::DATA_OFFSET != 0 {
            fields.u32()?;
        }
        let first_flags = if flags & run::FIRST_FLAGS != 0 { Some(fields.u32()?) } else { None };
        let of_each = flags & (run::DURATION | run::SIZE | run::FLAGS | run::SHIFT);
        if of_each == 0 {
            self.add_alike(count, first_flags);
            return Some(());
        }
        let row_bytes = 4 * of_each.count_ones() as usize;
        let rows = fields.0.chunks_exact(row_bytes).take(usize::try_from(count).unwrap_or(usize::MAX));
        for (nth, row) in rows.enumerate() {
            let first_flags = first_flags.filter(|_| nth == 0);
            self.add_sample(Fields(row), of_each, first_flags)?;
        }
        Some(())
    }

    /// Samples of which nothing is said but how many they are.
    fn add_alike(&mut self, count: u32, first_flags: Option<u32>) {
        if count > 0 {
            self.meet(first_flags.unwrap_or(self.sample_flags), 0);
            self.pass(count, self.sample_ticks);
        }
    }

    fn add_sample(&mut self, mut row: Fields, of_each: u32, first_flags: Option<u32>) -> Option<()> {
        let mut optional = |flag| if of_each & flag != 0 { row.u32() } else { None };
        let ticks = optional(run::DURATION).unwrap_or(self.sample_ticks);
        optional(run::SIZE);
        let flags = optional(run::FLAGS);
        let shift = optional(run::SHIFT).unwrap_or(0) as i32;
        self.meet(first_flags.or(flags).unwrap_or(self.sample_flags), shift);
        self.pass(1, ticks);
        Some(())
    }

    /// So many samples of a length are over.
    fn pass(&mut self, count: u32, ticks: u32) {
        let (shortest, longest) = self.lengths.unwrap_or((ticks, ticks));
        self.lengths = Some((shortest.min(ticks), longest.max(ticks)));
        self.samples = self.samples.saturating_add(count.into());
        self.ticks = self.ticks.saturating_add(u64::from(ticks).saturating_mul(count.into()));
    }

    /// Samples in a second, if each is as long as the others to a tick.
    fn constant_rate(&self, timescale: u32) -> Option<f64> {
        let (shortest, longest) = self.lengths?;
        let ticks = self.ticks - self.first_ticks;
        (ticks > 0 && self.samples > 1 && longest - shortest <= 1)
            .then(|| self.samples as f64 * f64::from(timescale) / ticks as f64)
    }

    fn meet(&mut self, flags: u32, shift: i32) {
        if self.key_ticks.is_none() && flags & IS_NO_SYNC == 0 {
            self.key_ticks = Some(i128::from(self.ticks) + i128::from(shift));
        }
    }
}

/// Of a `tfdt` (section 8.8.12).
pub(super) fn decode_time(content: &[u8]) -> Option<u64> {
    let mut fields = Fields(content);
    let (version, _) = fields.full()?;
    fields.word(version == 1)
}

/// Of an `mfra` (section 8.8.9): where the fragments of one track are that have key frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RandomAccess {
    pub(super) track: u32,
    /// When in ticks of the track, and where the `moof` begins.
    pub(super) entries: Vec<(u64, u64)>,
}

impl RandomAccess {
    /// Of the content of an `mfra`: each `tfra` in it (section 8.8.10).
    pub(super) fn all(content: &[u8]) -> Vec<Self> {
        Boxes(content)
            .filter(|(kind, _)| kind == b"tfra")
            .filter_map(|(_, content)| Self::parse(content))
            .collect()
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content);
        let (version, _) = fields.full()?;
        let is_long = version == 1;
        let (track, widths, count) = (fields.u32()?, fields.u32()?, fields.u32()?);
        // Three numbers of one to four bytes each, which lead to the sample in the fragment.
        let rest_bytes: u32 = [4, 2, 0].iter().map(|shift| (widths >> shift & 3) + 1).sum();
        let row_bytes = if is_long { 16 } else { 8 } + rest_bytes as usize;
        let rows = fields.0.chunks_exact(row_bytes).take(usize::try_from(count).unwrap_or(usize::MAX));
        let entry = |row| {
            let mut row = Fields(row);
            Some((row.word(is_long)?, row.word(is_long)?))
        };
        Some(Self { track, entries: rows.map_while(entry).collect() })
    }
}
