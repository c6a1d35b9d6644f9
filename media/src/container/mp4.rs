//! MP4 and QuickTime (ISO 14496-12, -14 and -15; QuickTime File Format), in one piece and in fragments.
//!
//! Boxes are hopped over from header to header until `moov`, which is read whole. A film in one piece is known then, wherever its
//! `moov` is. One in fragments has its index elsewhere, and it is taken from the first of these that there is:
//!
//! 1. `sidx` before the first fragment, if it reaches the end of the film.
//! 2. `mfra` at the end of the file; how long the film is, the last fragment that it names says.
//! 3. The fragments themselves, if hopping over all of them takes few enough reads.
//!
//! Where there is none, the film has no index, but it can be searched; its length is what `mehd` says, or else the last fragment at
//! the end of the file.

pub(crate) mod boxes;
mod fragment;
mod movie;
mod places;
mod points;
mod sample_entry;
mod segments;
mod tables;
mod text;
mod timeline;
mod track;

#[cfg(test)]
mod tests;

pub(super) use places::Places;

use std::time::Duration;

use self::boxes::{Header, Kind};
use self::fragment::{Fragment, RandomAccess};
use self::movie::{FragmentedTrack, Movie};
use self::segments::SegmentIndex;
pub(super) use self::text::{TextHead, Texts};
use super::facts::{Container, Facts};
use super::index::{Index, Point};
use super::inspect::{Budget, Fault, Halt, Parser};
use super::known::Known;
use super::search::{Layout, Searchable};
use super::tail::Tail;
use crate::limits::{
    FRAGMENT_BOXES_MAX, FRAGMENT_BYTES_MAX, FRAGMENT_INDEX_BYTES_MAX, INSPECTED_BYTES_MAX, MICROS_MAX,
    SEGMENT_INDEXES_MAX,
};

/// Read where a header is expected: the header, and mostly the next one behind a small box.
const HEADER_BYTES: u64 = 32;

/// Read where a fragment is expected: mostly all of its `moof`, and the header behind it.
const FRAGMENT_HEAD_BYTES: u64 = 4096;

/// Boxes of a fragmented film after which we guess how many there are.
const BOXES_TO_GUESS_BY: u32 = 16;

/// Whether a file begins as these do.
pub(super) fn begins(head: &[u8]) -> bool {
    let Some(header) = Header::parse(head) else { return false };
    match &header.kind {
        // Brands of four bytes each; real ones are a few dozen bytes.
        b"ftyp" | b"styp" => header.size.is_some_and(|size| (8..=1024).contains(&size)),
        b"mdat" | b"free" | b"skip" => true,
        b"moov" | b"moof" | b"wide" | b"pnot" => header.size.is_some(),
        _ => false,
    }
}

/// An MP4 that is looked into.
#[derive(Debug)]
pub(super) struct Mp4 {
    stage: Stage,
    /// Where the next box begins.
    at: u64,
    movie: Option<Movie>,
    /// Where the `sidx` are that have to be read yet.
    pending: Vec<u64>,
    segments: Vec<SegmentIndex>,
    hops: Hops,
    /// Where the first fragment is, and what was before it in the film.
    fragments_at: Option<u64>,
    texts: Option<TextHead>,
    /// The index is known; fragments only say how long the film is.
    is_indexed: bool,
    tail: Tail,
}

/// What is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Boxes, until the `moov`; of a fragmented film, until its first `moof`.
    Boxes,
    /// The `sidx` that were met.
    Segments,
    /// The `mfra`.
    RandomAccess,
    /// Each `moof`.
    Fragments,
    /// The end of the file, for the last `moof`.
    Tail,
    /// Nothing.
    Done,
}

/// How far hopping over fragments came.
#[derive(Clone, Copy, Debug, Default)]
struct Hops {
    from: u64,
    boxes: u32,
}

impl Hops {
    /// Whether going on to the end of the film takes more boxes than we look at.
    fn are_too_many(&self, at: u64, length: u64) -> bool {
        let done = u128::from(at.saturating_sub(self.from).max(1));
        let guessed = u128::from(length.saturating_sub(self.from)) * u128::from(self.boxes) / done;
        self.boxes >= FRAGMENT_BOXES_MAX
            || self.boxes >= BOXES_TO_GUESS_BY && guessed > FRAGMENT_BOXES_MAX.into()
    }
}

/// A box of the file itself.
#[derive(Clone, Copy, Debug)]
struct Found {
    kind: Kind,
    start: u64,
    header_bytes: usize,
    end: u64,
}

impl Found {
    /// The box at a place, if one can begin there; `ahead` are the bytes to read if it has to be.
    fn at(file: &Known, start: u64, ahead: u64) -> Result<Option<Self>, Halt> {
        if file.length().saturating_sub(start) < Header::BYTES_MIN {
            return Ok(None);
        }
        let bytes = match file.bytes_up_to(start..start.saturating_add(Header::BYTES_MAX)) {
            Err(Halt::Missing(_)) => file.bytes_up_to(start..start.saturating_add(ahead))?,
            known => known?,
        };
        Ok(Header::parse(bytes).map(|header| Self {
            kind: header.kind,
            start,
            header_bytes: header.bytes as usize,
            end: header.size.map_or(file.length(), |size| start.saturating_add(size)),
        }))
    }

    fn bytes(&self) -> u64 {
        self.end - self.start
    }

    fn content<'a>(&self, file: &'a Known) -> Result<&'a [u8], Halt> {
        // It is no shorter than its header says of itself: `Header::parse` and the end of the file see to it.
        file.bytes(self.start..self.end).map(|bytes| bytes.get(self.header_bytes..).unwrap_or_default())
    }
}

impl Parser for Mp4 {
    fn advance(&mut self, file: &Known, budget: &mut Budget) -> Result<Facts, Halt> {
        loop {
            self.stage = match self.stage {
                Stage::Boxes => self.boxes(file, budget)?,
                Stage::Segments => self.segments(file, budget)?,
                Stage::RandomAccess => self.random_access(file)?,
                Stage::Fragments => self.fragments(file, budget)?,
                Stage::Tail => self.read_tail(file)?,
                Stage::Done => return self.facts(),
            };
        }
    }

    fn go_without(&mut self) -> bool {
        let Some(movie) = &mut self.movie else { return false };
        self.stage = match self.stage {
            Stage::Segments => Stage::RandomAccess,
            Stage::RandomAccess => Stage::Fragments,
            Stage::Boxes | Stage::Fragments => movie.lose_fragments(self.is_indexed),
            Stage::Tail | Stage::Done => Stage::Done,
        };
        true
    }

    fn mp4(&self) -> Option<&TextHead> {
        self.texts.as_ref()
    }
}

impl Mp4 {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Boxes,
            at: 0,
            movie: None,
            pending: Vec::new(),
            segments: Vec::new(),
            hops: Hops::default(),
            fragments_at: None,
            texts: None,
            is_indexed: false,
            tail: Tail::default(),
        }
    }

    /// How much to read where a header is expected: behind the `moov` begin the fragments and their index.
    fn ahead(&self) -> u64 {
        if self.movie.is_some() { FRAGMENT_HEAD_BYTES } else { HEADER_BYTES }
    }

    fn boxes(&mut self, file: &Known, budget: &mut Budget) -> Result<Stage, Halt> {
        while let Some(found) = Found::at(file, self.at, self.ahead())? {
            budget.element()?;
            match (&found.kind, &self.movie) {
                (b"moov", None) => {
                    let movie = read_moov(file, &found, budget)?;
                    let is_whole = !movie.is_fragmented;
                    self.movie = Some(movie);
                    if is_whole {
                        return Ok(Stage::Done);
                    }
                }
                (b"moof", Some(_)) => {
                    self.fragments_at = Some(found.start);
                    break;
                }
                (b"sidx", _) if self.pending.len() < SEGMENT_INDEXES_MAX => self.pending.push(found.start),
                _ => {}
            }
            self.at = found.end;
        }
        match self.movie {
            Some(_) => Ok(if self.pending.is_empty() { Stage::RandomAccess } else { Stage::Segments }),
            None if self.at > file.length() => Err(Halt::Truncated),
            None => Err(Fault::Broken("it has no moov").into()),
        }
    }

    fn segments(&mut self, file: &Known, budget: &mut Budget) -> Result<Stage, Halt> {
        while let Some(&at) = self.pending.last() {
            let found = Found::at(file, at, FRAGMENT_HEAD_BYTES)?;
            let Some(found) = found.filter(|found| is_to_be_read(found, b"sidx", file)) else {
                return Ok(Stage::RandomAccess);
            };
            let Some(index) = SegmentIndex::parse(found.content(file)?, found.end) else {
                return Ok(Stage::RandomAccess);
            };
            budget.element()?;
            self.pending.pop();
            let known = self.segments.len() + self.pending.len() + index.nested.len();
            if known >= SEGMENT_INDEXES_MAX {
                return Ok(Stage::RandomAccess);
            }
            self.pending.extend(&index.nested);
            self.segments.push(index);
        }
        let (points, end_micros, end) = self.chosen_segments();
        let is_whole = match Found::at(file, end, HEADER_BYTES)? {
            Some(behind) => !matches!(&behind.kind, b"moof" | b"sidx" | b"styp" | b"emsg" | b"prft"),
            None => true,
        };
        if !is_whole || points.is_empty() {
            return Ok(Stage::RandomAccess);
        }
        if let Some(movie) = &mut self.movie {
            movie.points.extend(points);
            movie.end_micros = movie.end_micros.max(end_micros);
        }
        Ok(Stage::Done)
    }

    /// The points of all indexes of one track, and where they end in time and in the file. That of the pictures, if there is one.
    fn chosen_segments(&self) -> (Vec<Point>, u64, u64) {
        let lead = self.movie.as_ref().and_then(|movie| movie.lead);
        let of_lead = self.segments.iter().find(|index| Some(index.track) == lead);
        let track = of_lead.or(self.segments.first()).map(|index| index.track);
        let chosen = || self.segments.iter().filter(|index| Some(index.track) == track);
        let end_micros = chosen().map(|index| index.end_micros).max().unwrap_or(0);
        let end = chosen().map(|index| index.end).max().unwrap_or(0);
        (chosen().flat_map(|index| index.points.iter().copied()).collect(), end_micros, end)
    }

    /// `mfro` (section 8.8.11) is the last box of the file, and says how long the `mfra` is that it ends.
    fn random_access(&mut self, file: &Known) -> Result<Stage, Halt> {
        const MFRO_BYTES: u64 = 16;
        self.hops.from = self.at;
        let length = file.length();
        let Some(tail) = length.checked_sub(MFRO_BYTES) else { return Ok(Stage::Fragments) };
        let bytes = file.bytes(tail..length)?;
        let size = match bytes {
            [0, 0, 0, 16, b'm', b'f', b'r', b'o', _, _, _, _, size @ ..] => boxes::Fields(size).u32(),
            _ => None,
        };
        let size = size.map(u64::from).filter(|size| (MFRO_BYTES..=FRAGMENT_INDEX_BYTES_MAX).contains(size));
        let Some(start) = size.and_then(|size| length.checked_sub(size)) else {
            return Ok(Stage::Fragments);
        };
        let found = Found::at(file, start, FRAGMENT_INDEX_BYTES_MAX)?;
        if let Some(found) = found.filter(|found| is_to_be_read(found, b"mfra", file)) {
            self.take(RandomAccess::all(found.content(file)?), length);
        }
        Ok(Stage::Fragments)
    }

    fn take(&mut self, tables: Vec<RandomAccess>, length: u64) {
        let Some(movie) = &mut self.movie else { return };
        let of_lead = tables.iter().find(|table| Some(table.track) == movie.lead);
        let Some(table) = of_lead.or(tables.first()) else { return };
        let Some(track) = movie.fragmented.iter().find(|track| track.id == table.track) else { return };
        let inside = |&&(_, offset): &&(u64, u64)| (self.at..length).contains(&offset);
        let point =
            |&(ticks, offset): &(u64, u64)| Point { micros: track.timeline.micros(ticks.into()), offset };
        let points: Vec<Point> = table.entries.iter().filter(inside).map(point).collect();
        let entries = tables.iter().flat_map(|table| &table.entries).filter(inside);
        let Some(last) = entries.map(|&(_, offset)| offset).max().filter(|_| !points.is_empty()) else {
            return;
        };
        movie.points.extend(points);
        self.is_indexed = true;
        self.at = last;
        self.hops.from = last;
    }

    fn fragments(&mut self, file: &Known, budget: &mut Budget) -> Result<Stage, Halt> {
        let Some(movie) = &mut self.movie else { return Ok(Stage::Done) };
        while let Some(found) = Found::at(file, self.at, FRAGMENT_HEAD_BYTES)? {
            let is_fragment = found.kind == *b"moof";
            if is_fragment && found.end > file.length() {
                break;
            }
            if self.hops.are_too_many(self.at, file.length())
                || is_fragment && found.bytes() > FRAGMENT_BYTES_MAX
            {
                return Ok(movie.lose_fragments(self.is_indexed));
            }
            if is_fragment {
                let fragment = Fragment::parse(found.content(file)?, movie);
                movie.end_micros = movie.end_micros.max(fragment.end_micros);
                let point = fragment.key_micros.map(|micros| Point { micros, offset: found.start });
                movie.points.extend(point.filter(|_| !self.is_indexed));
            }
            budget.element()?;
            self.hops.boxes += 1;
            self.at = found.end;
        }
        Ok(Stage::Done)
    }

    /// Goes back from the end until a fragment of the pictures begins there.
    fn read_tail(&mut self, file: &Known) -> Result<Stage, Halt> {
        let Some(movie) = &mut self.movie else { return Ok(Stage::Done) };
        let Some(lead) = movie.lead_in_fragments() else { return Ok(Stage::Done) };
        while self.tail.grow(file, self.at, file.length())? {
            if let Some(end_micros) = Places::end_micros(lead, self.tail.bytes()) {
                movie.end_micros = end_micros.min(MICROS_MAX);
                break;
            }
        }
        Ok(Stage::Done)
    }

    fn facts(&mut self) -> Result<Facts, Halt> {
        let movie = self.movie.take().ok_or(Fault::Broken("it has no moov"))?;
        let searchable = movie.lead_in_fragments().filter(|_| movie.points.is_empty()).map(|track| {
            let track = track.into();
            Searchable(Layout::Fragments { begin: self.hops.from, track })
        });
        let (tracks, fragmented) = (movie.texts, movie.fragmented);
        self.texts = Some(TextHead { tracks, fragmented, fragments: self.fragments_at });
        let seen = (movie.end_micros > 0).then_some(Duration::from_micros(movie.end_micros));
        Ok(Facts {
            container: if movie.is_fragmented { Container::FragmentedMp4 } else { Container::Mp4 },
            duration: movie.said_duration.max(seen),
            tracks: movie.tracks,
            index: Index::new(movie.points),
            searchable,
            learnt: None,
        })
    }
}

impl Movie {
    /// Not all fragments could be seen. What is read next, unless something said how long the film is.
    fn lose_fragments(&mut self, is_indexed: bool) -> Stage {
        if is_indexed {
            return Stage::Done;
        }
        self.points.clear();
        self.end_micros = 0;
        if self.said_duration.is_some() { Stage::Done } else { Stage::Tail }
    }

    fn lead_in_fragments(&self) -> Option<FragmentedTrack> {
        self.fragmented.iter().find(|track| Some(track.id) == self.lead).copied()
    }
}

fn read_moov(file: &Known, found: &Found, budget: &mut Budget) -> Result<Movie, Halt> {
    if found.end <= file.length() && found.bytes() > INSPECTED_BYTES_MAX as u64 {
        return Err(Fault::TooMuch("a moov of more than 64 MiB").into());
    }
    Ok(Movie::parse(found.content(file)?, budget)?)
}

/// Whether it is the index that is looked for, whole, and no longer than an honest one.
fn is_to_be_read(found: &Found, kind: &Kind, file: &Known) -> bool {
    found.kind == *kind && found.end <= file.length() && found.bytes() <= FRAGMENT_INDEX_BYTES_MAX
}
