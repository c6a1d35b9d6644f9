//! Chunks: four letters, a length, and so many bytes, padded to two; a list has four more letters at its start.

use std::ops::Range;

use super::super::inspect::Halt;
use super::super::known::Known;

const HEADER_BYTES: u64 = 8;

/// The start of a chunk in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: [u8; 4],
    pub(super) body: Range<u64>,
    /// What a list is of.
    pub(super) list: Option<[u8; 4]>,
}

impl Head {
    pub(super) fn read(file: &Known, at: u64) -> Result<Self, Halt> {
        let bytes = file.bytes_up_to(at..at.saturating_add(HEADER_BYTES + 4))?;
        let Some((&[a, b, c, d, e, f, g, h], rest)) = bytes.split_first_chunk() else {
            return Err(Halt::Truncated);
        };
        let (id, start) = ([a, b, c, d], at + HEADER_BYTES);
        let length = u64::from(u32::from_le_bytes([e, f, g, h]));
        let list = rest.first_chunk().copied().filter(|_| matches!(&id, b"LIST" | b"RIFF") && length >= 4);
        Ok(Self { id, body: start..start + length, list })
    }

    /// What is in a list.
    pub(super) fn list_body(&self) -> Range<u64> {
        self.body.start + 4..self.body.end.max(self.body.start + 4)
    }

    /// Where the next chunk begins.
    pub(super) fn next(&self) -> u64 {
        self.body.end + (self.body.end - self.body.start) % 2
    }
}

/// A chunk in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub(super) id: [u8; 4],
    pub(super) body: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// What a list is of, and what is in it.
    pub(super) fn list(&self) -> Option<([u8; 4], &'a [u8])> {
        let (kind, rest) = self.body.split_first_chunk()?;
        (&self.id == b"LIST").then_some((*kind, rest))
    }
}

/// The chunks in a list. One that is longer than its list ends where that ends, and is the last.
pub(super) fn all(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&[a, b, c, d, e, f, g, h], behind) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes([e, f, g, h])).unwrap_or(usize::MAX);
        let (body, next) = behind.split_at(length.min(behind.len()));
        rest = next.get(length % 2..).unwrap_or_default();
        Some(Chunk { id: [a, b, c, d], body })
    })
}

/// Text up to its first zero, if it says anything. Writers put their system's encoding there; UTF-8 is what we can know.
pub(super) fn text(body: &[u8]) -> Option<String> {
    let text = body.split(|&byte| byte == 0).next()?;
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Numbers at places of a body.
pub(super) fn u16_at(body: &[u8], at: usize) -> Option<u16> {
    body.get(at..)?.first_chunk().map(|two| u16::from_le_bytes(*two))
}

pub(super) fn u32_at(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..)?.first_chunk().map(|four| u32::from_le_bytes(*four))
}

pub(super) fn u64_at(body: &[u8], at: usize) -> Option<u64> {
    body.get(at..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}
