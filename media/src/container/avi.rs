//! AVI: RIFF (Microsoft's "AVI RIFF File Reference"), with the OpenDML extensions of 1996 for files beyond a gigabyte.
//!
//! The headers are at the start, what the streams are made of is in `movi`, and the index `idx1` behind it. In larger files more
//! of the RIFFs follow, and each stream has an index of indexes among its headers.

mod chunk;
mod codec;
mod header;
mod idx1;
mod open_dml;

use std::ops::Range;
use std::time::Duration;

use self::chunk::{Chunk, Head};
use self::header::{Header, Stream};
use super::facts::{Container, Facts};
use super::index::{Index, Point};
use super::inspect::{Budget, Fault, Halt, Parser};
use super::known::Known;
use crate::language::Tag;
use crate::limits::{AVI_CHUNKS_MAX, AVI_HEADERS_BYTES_MAX, AVI_INDEX_BYTES_MAX, AVI_INFO_BYTES_MAX};

/// `RIFF`, a length and `AVI `.
const RIFF_HEADER_BYTES: u64 = 12;

/// Bytes that are read along with the headers: with them mostly come `INFO`, padding, and the first chunk of `movi`.
const BEHIND_HEADERS_BYTES: u64 = 4096;

/// Whether a file begins like one.
pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ")
}

/// What is known of one.
#[derive(Debug, Default)]
pub(super) struct Avi {
    header: Option<Header>,
    /// The chunk that is looked at next, and how many were.
    at: u64,
    chunks: u32,
    is_walked: bool,
    /// Where `movi` begins: at that word, behind the length of its list.
    movi: Option<u64>,
    idx1: Option<Range<u64>>,
    /// Languages of its sound, by their order.
    languages: Vec<Option<Tag>>,
    index: IndexSoFar,
    /// It can't be read.
    is_index_lost: bool,
}

/// What was gathered from standard indexes.
#[derive(Debug, Default)]
struct IndexSoFar {
    points: Vec<Point>,
    /// Standard indexes that were read, their bytes, and the frames that they were of.
    nth: usize,
    bytes: u64,
    frames: u64,
}

impl Parser for Avi {
    fn advance(&mut self, file: &Known, budget: &mut Budget) -> Result<Facts, Halt> {
        if self.header.is_none() {
            self.read_header(file, budget)?;
        }
        unless_cut(self.walk(file, budget))?;
        let index = if self.is_index_lost { None } else { unless_cut(self.read_index(file))?.flatten() };
        let Some(header) = &self.header else { return Err(Fault::Broken("no headers in the AVI").into()) };
        Ok(Facts {
            container: Container::Avi,
            duration: header.micros().map(Duration::from_micros),
            tracks: header.tracks(&self.languages),
            index,
            searchable: None,
            learnt: None,
        })
    }

    fn go_without(&mut self) -> bool {
        // On the way to the index or in it: either way there is none. Of several, the first would lead into a part of the film.
        self.is_walked = true;
        self.is_index_lost = true;
        self.header.is_some()
    }
}

/// Nothing where the file ends too early: what was there before counts.
fn unless_cut<T>(result: Result<T, Halt>) -> Result<Option<T>, Halt> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Halt::Truncated) => Ok(None),
        Err(halt) => Err(halt),
    }
}

impl Avi {
    /// `hdrl`, the first list.
    fn read_header(&mut self, file: &Known, budget: &mut Budget) -> Result<(), Halt> {
        let list = Head::read(file, RIFF_HEADER_BYTES)?;
        if list.list != Some(*b"hdrl") {
            return Err(Fault::Broken("no headers at the start of the AVI").into());
        }
        let body = list.list_body();
        if body.end - body.start > AVI_HEADERS_BYTES_MAX {
            return Err(Fault::TooMuch("headers of an AVI").into());
        }
        let bytes = file.bytes_up_to(body.start..body.end + BEHIND_HEADERS_BYTES)?;
        let length = usize::try_from(body.end - body.start).unwrap_or(usize::MAX);
        self.header = Some(Header::read(&bytes[..bytes.len().min(length)], budget)?);
        self.at = list.next();
        Ok(())
    }

    /// Goes from chunk to chunk to the end of the first RIFF.
    fn walk(&mut self, file: &Known, budget: &mut Budget) -> Result<(), Halt> {
        while !self.is_walked && self.at < file.length() {
            let head = Head::read(file, self.at)?;
            match (&head.id, head.list.as_ref()) {
                (_, Some(b"movi")) => self.movi = Some(head.list_body().start - 4),
                (_, Some(b"INFO")) => self.read_info(file, head.list_body())?,
                (b"idx1", _) => self.idx1 = Some(head.body.clone()),
                _ => {}
            }
            budget.element()?;
            self.chunks += 1;
            self.at = head.next();
            // Nothing but other RIFFs comes behind the index.
            self.is_walked = self.idx1.is_some() || &head.id == b"RIFF" || self.chunks == AVI_CHUNKS_MAX;
        }
        Ok(())
    }

    /// `IAS1` to `IAS9`: languages of the first streams of sound.
    fn read_info(&mut self, file: &Known, body: Range<u64>) -> Result<(), Halt> {
        let end = body.end.min(body.start + AVI_INFO_BYTES_MAX);
        for Chunk { id, body } in chunk::all(file.bytes_up_to(body.start..end)?) {
            let &[b'I', b'A', b'S', nth @ b'1'..=b'9'] = &id else { continue };
            let nth = usize::from(nth - b'1');
            self.languages.resize(self.languages.len().max(nth + 1), None);
            self.languages[nth] = chunk::text(body).and_then(|text| header::language(&text));
        }
        Ok(())
    }

    /// The index of the pictures: `idx1` if it is of the whole file, otherwise the standard indexes.
    fn read_index(&mut self, file: &Known) -> Result<Option<Index>, Halt> {
        let Some((number, stream)) = self.header.as_ref().and_then(Header::pictures) else { return Ok(None) };
        let has_more_riffs = self.at + RIFF_HEADER_BYTES < file.length() && self.movi.is_some();
        if !stream.standard_indexes.is_empty() && (has_more_riffs || self.idx1.is_none()) {
            read_standard_indexes(&mut self.index, stream, file)?;
            let index = Index::new(std::mem::take(&mut self.index.points));
            if index.is_some() {
                return Ok(index);
            }
        }
        let (Some(movi), Some(range)) = (self.movi, self.idx1.clone()) else { return Ok(None) };
        // What is cut at its end is of use up to there.
        let end = range.end.min(file.length()).min(range.start + AVI_INDEX_BYTES_MAX);
        let entries = file.bytes(range.start..end)?;
        let Some(base) = idx1::base(entries, movi, file)? else { return Ok(None) };
        Ok(Index::new(idx1::points(entries, number, stream, base, file.length())))
    }
}

/// One after the other; a broken one ends there, and the next counts on from what its entry says.
fn read_standard_indexes(so_far: &mut IndexSoFar, stream: &Stream, file: &Known) -> Result<(), Halt> {
    while let Some(entry) = stream.standard_indexes.get(so_far.nth) {
        let length = u64::from(entry.bytes);
        if so_far.bytes + length > AVI_INDEX_BYTES_MAX {
            break;
        }
        let bytes = file.bytes_up_to(entry.offset..entry.offset.saturating_add(length))?;
        let frames = open_dml::points(bytes, stream, so_far.frames, file.length(), &mut so_far.points);
        so_far.nth += 1;
        so_far.bytes += length;
        so_far.frames += frames.max(u64::from(entry.duration));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
