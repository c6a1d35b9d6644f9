//! The tables of samples (ISO 14496-12 sections 8.6 and 8.7): when each is, where, and which begin anew.
//!
//! They are walked along in order and never written out per sample, so they cost what their bytes do: a table may say in twenty
//! bytes that there are four billion samples.

use super::boxes::{Boxes, Fields, column};

/// The tables of one track, as far as they are there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tables<'a> {
    /// `stts`: how many samples are how long.
    durations: &'a [[u8; 8]],
    /// `ctts`: how many samples are shown how long after they are decoded. None if all are at once.
    shifts: Option<&'a [[u8; 8]]>,
    /// `stss`: the samples that need no other, counted from 1. None if all are such.
    sync: Option<&'a [[u8; 4]]>,
    /// `stsc`: from which chunk on a chunk has how many samples.
    chunks: &'a [[u8; 12]],
    sizes: Sizes<'a>,
    offsets: Offsets<'a>,
}

impl<'a> Tables<'a> {
    /// Of an `stbl`.
    pub(super) fn parse(content: &'a [u8]) -> Self {
        let mut tables = Self::default();
        for (kind, content) in Boxes(content) {
            // What a damaged table leaves out ends the index, and nothing else.
            let _ = tables.add(&kind, content);
        }
        tables
    }

    fn add(&mut self, kind: &[u8; 4], content: &'a [u8]) -> Option<()> {
        let mut fields = Fields(content);
        fields.full()?;
        match kind {
            b"stts" => self.durations = fields.table()?,
            b"ctts" => self.shifts = Some(fields.table()?),
            b"stss" => self.sync = Some(fields.table()?),
            b"stsc" => self.chunks = fields.table()?,
            b"stsz" => self.sizes = Sizes::parse(fields)?,
            b"stz2" => self.sizes = Sizes::parse_compact(fields)?,
            b"stco" => self.offsets = Offsets::Short(fields.table()?),
            b"co64" => self.offsets = Offsets::Long(fields.table()?),
            _ => {}
        }
        Some(())
    }

    /// How many samples there are.
    pub(super) fn samples(&self) -> u64 {
        self.sizes.count.into()
    }

    /// The samples that need no other, counted from 1 as the file does; none if all are such.
    pub(super) fn sync(&self) -> Option<&'a [[u8; 4]]> {
        self.sync
    }

    /// Whether each sample is said to be of one byte, as QuickTime says of sound whose frames it counts.
    pub(super) fn sizes_are_one(&self) -> bool {
        self.sizes.constant == Some(1)
    }

    /// Samples, and the ticks that they last.
    pub(super) fn extent(&self) -> (u64, u64) {
        self.durations.iter().fold((0, 0), |(samples, ticks): (u64, u64), row| {
            let (count, ticks_each) = (column(row, 0).into(), u64::from(column(row, 1)));
            (samples.saturating_add(count), ticks.saturating_add(ticks_each.saturating_mul(count)))
        })
    }

    /// Samples in a second, if each is as long as the others. The last may be of any length, and where the clock is too coarse to
    /// say the length each is off by a tick at most.
    pub(super) fn constant_rate(&self, timescale: u32) -> Option<f64> {
        let (last, before) = self.durations.split_last()?;
        let rows = if column(last, 0) == 1 && !before.is_empty() { before } else { self.durations };
        let lengths = rows.iter().map(|row| column(row, 1));
        let (shortest, longest) = (lengths.clone().min()?, lengths.max()?);
        let (samples, ticks) = Tables { durations: rows, ..Self::default() }.extent();
        (ticks > 0 && samples > 1 && longest - shortest <= 1)
            .then(|| samples as f64 * f64::from(timescale) / ticks as f64)
    }

    /// From the first sample on.
    pub(super) fn walk(&self) -> Walk<'a> {
        Walk {
            durations: Runs { rows: self.durations, first: 0, before: 0 },
            shifts: self.shifts.map(|rows| Runs { rows, first: 0, before: 0 }),
            chunks: Chunks { rows: self.chunks, offsets: self.offsets, first: 0 },
            sizes: self.sizes,
            summed: Summed::default(),
        }
    }
}

/// `stsz` or `stz2`: how long each sample is.
#[derive(Clone, Copy, Debug, Default)]
struct Sizes<'a> {
    count: u32,
    /// Of each, if they are all the same.
    constant: Option<u32>,
    /// How wide a size is in the table.
    bits: u8,
    table: &'a [u8],
}

impl<'a> Sizes<'a> {
    fn parse(mut fields: Fields<'a>) -> Option<Self> {
        let (constant, count) = (fields.u32()?, fields.u32()?);
        let constant = (constant > 0).then_some(constant);
        Some(Self { count, constant, bits: 32, table: fields.0 })
    }

    fn parse_compact(mut fields: Fields<'a>) -> Option<Self> {
        let (bits, count) = ((fields.u32()? & 0xff) as u8, fields.u32()?);
        matches!(bits, 4 | 8 | 16).then_some(Self { count, constant: None, bits, table: fields.0 })
    }

    fn of(&self, sample: u64) -> Option<u64> {
        if sample >= self.count.into() {
            return None;
        }
        let sample = usize::try_from(sample).ok()?;
        let size = match self.bits {
            4 => {
                let both = *self.table.get(sample / 2)?;
                u32::from(if sample.is_multiple_of(2) { both >> 4 } else { both & 0x0f })
            }
            8 => u32::from(*self.table.get(sample)?),
            16 => u16::from_be_bytes(*self.table.as_chunks().0.get(sample)?).into(),
            _ => u32::from_be_bytes(*self.table.as_chunks().0.get(sample)?),
        };
        Some(size.into())
    }
}

/// `stco` or `co64`: where each chunk begins in the file.
#[derive(Clone, Copy, Debug)]
enum Offsets<'a> {
    Short(&'a [[u8; 4]]),
    Long(&'a [[u8; 8]]),
}

impl Default for Offsets<'_> {
    fn default() -> Self {
        Self::Short(&[])
    }
}

impl Offsets<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Short(rows) => rows.len() as u64,
            Self::Long(rows) => rows.len() as u64,
        }
    }

    fn of(&self, chunk: u64) -> Option<u64> {
        let chunk = usize::try_from(chunk).ok()?;
        match self {
            Self::Short(rows) => rows.get(chunk).map(|row| u32::from_be_bytes(*row).into()),
            Self::Long(rows) => rows.get(chunk).map(|row| u64::from_be_bytes(*row)),
        }
    }
}

/// A walk along one track. Samples and times that are asked for must not go back: each table is gone through once.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    durations: Runs<'a>,
    shifts: Option<Runs<'a>>,
    chunks: Chunks<'a>,
    sizes: Sizes<'a>,
    summed: Summed,
}

/// Samples that lie one after the other in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) offset: u64,
    pub(super) first_sample: u64,
}

/// How far the sizes of a chunk's samples are summed up.
#[derive(Clone, Copy, Debug, Default)]
struct Summed {
    first_sample: u64,
    next_sample: u64,
    bytes: u64,
}

impl Walk<'_> {
    /// When a sample is shown, in ticks of the track.
    pub(super) fn shown_at(&mut self, sample: u64) -> Option<i128> {
        let (before, into, ticks) = self.durations.at(sample)?;
        let decoded = i128::from(before.saturating_add(into.saturating_mul(ticks.into())));
        // Unsigned in version 0 (section 8.6.1.3), but as a signed number too is what writers of version 0 mean by it.
        let shift = match &mut self.shifts {
            Some(shifts) => shifts.at(sample)?.2 as i32,
            None => 0,
        };
        Some(decoded + i128::from(shift))
    }

    /// How long a sample lasts, in ticks of the track.
    pub(super) fn lasts(&mut self, sample: u64) -> Option<u32> {
        self.durations.at(sample).map(|(_, _, ticks)| ticks)
    }

    /// How long a sample is.
    pub(super) fn bytes(&self, sample: u64) -> Option<u64> {
        match self.sizes.constant {
            Some(size) => Some(size.into()),
            None => self.sizes.of(sample),
        }
    }

    /// The sample that is decoded at a time.
    pub(super) fn sample_at(&mut self, ticks: u64) -> Option<u64> {
        self.durations.at_total(ticks)
    }

    /// The chunk that a sample is in.
    pub(super) fn chunk(&mut self, sample: u64) -> Option<Chunk> {
        self.chunks.of(sample)
    }

    /// Where a sample is in the file.
    pub(super) fn offset(&mut self, sample: u64) -> Option<u64> {
        let chunk = self.chunks.of(sample)?;
        let bytes = match self.sizes.constant {
            Some(size) => (sample - chunk.first_sample).saturating_mul(size.into()),
            None => self.bytes_before(sample, chunk.first_sample)?,
        };
        chunk.offset.checked_add(bytes)
    }

    fn bytes_before(&mut self, sample: u64, first_sample: u64) -> Option<u64> {
        if self.summed.first_sample != first_sample || self.summed.next_sample > sample {
            self.summed = Summed { first_sample, next_sample: first_sample, bytes: 0 };
        }
        while self.summed.next_sample < sample {
            self.summed.bytes = self.summed.bytes.saturating_add(self.sizes.of(self.summed.next_sample)?);
            self.summed.next_sample += 1;
        }
        Some(self.summed.bytes)
    }
}

/// Rows of "so many samples, each of that".
#[derive(Clone, Debug)]
struct Runs<'a> {
    rows: &'a [[u8; 8]],
    /// The first sample of the first row that is left.
    first: u64,
    /// What the rows before it come to.
    before: u64,
}

impl Runs<'_> {
    /// What all rows before a sample's come to, how many samples of its row are before it, and what each of them is.
    fn at(&mut self, sample: u64) -> Option<(u64, u64, u32)> {
        let into =
            self.leave(|runs, count, _| sample.checked_sub(runs.first).map(|into| (into, into < count)))?;
        Some((self.before, into, column(self.rows.first()?, 1)))
    }

    /// The sample within which the sum passes a total.
    fn at_total(&mut self, total: u64) -> Option<u64> {
        let into = self.leave(|runs, count, each| {
            let into = total.checked_sub(runs.before)?;
            Some((into, into < count.saturating_mul(each)))
        })?;
        let each = u64::from(column(self.rows.first()?, 1));
        Some(self.first + into.checked_div(each)?)
    }

    /// Leaves rows behind until it is in the one that is looked for.
    fn leave(&mut self, is_here: impl Fn(&Self, u64, u64) -> Option<(u64, bool)>) -> Option<u64> {
        loop {
            let (row, rest) = self.rows.split_first()?;
            let (count, each) = (u64::from(column(row, 0)), u64::from(column(row, 1)));
            match is_here(self, count, each)? {
                (into, true) => return Some(into),
                (_, false) => {
                    self.first = self.first.saturating_add(count);
                    self.before = self.before.saturating_add(count.saturating_mul(each));
                    self.rows = rest;
                }
            }
        }
    }
}

/// Rows of "from this chunk on, so many samples in each".
#[derive(Clone, Debug)]
struct Chunks<'a> {
    rows: &'a [[u8; 12]],
    offsets: Offsets<'a>,
    /// The first sample of the first row that is left.
    first: u64,
}

impl Chunks<'_> {
    fn of(&mut self, sample: u64) -> Option<Chunk> {
        loop {
            let (row, rest) = self.rows.split_first()?;
            // Counted from 1 in the file.
            let first_chunk = u64::from(column(row, 0)).checked_sub(1)?;
            let end = rest
                .first()
                .map_or(Some(self.offsets.len()), |next| u64::from(column(next, 0)).checked_sub(1))?;
            let (chunks, each) = (end.checked_sub(first_chunk)?, u64::from(column(row, 1)));
            let into = sample.checked_sub(self.first)?.checked_div(each)?;
            if into < chunks {
                let offset = self.offsets.of(first_chunk + into)?;
                return Some(Chunk { offset, first_sample: self.first + into * each });
            }
            self.first = self.first.saturating_add(chunks.saturating_mul(each));
            self.rows = rest;
        }
    }
}
