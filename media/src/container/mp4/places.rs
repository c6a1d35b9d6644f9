//! Fragments from wherever they are, for a search, and the last one, which says how long a film is.

use super::super::search::{FragmentedTrack as Track, Looked, Place};
use super::boxes::Header;
use super::fragment::Fragment;
use super::movie::FragmentedTrack;
use crate::limits::FRAGMENT_BYTES_MAX;

/// What a fragment begins with, behind its size: its type, and the box that is always the first in it, whole but for what is
/// numbered (ISO 14496-12 section 8.8.5). By accident that isn't found in any film.
const SIGN: [u8; 12] = *b"moof\0\0\0\x10mfhd";

/// Of a box that holds samples.
const HEADER_BYTES: u64 = Header::BYTES_MAX;

/// How a search recognises places in a fragmented MP4.
#[derive(Debug)]
pub(in super::super) struct Places {
    track: FragmentedTrack,
    length: u64,
}

impl Places {
    /// Of fragments that have such a track, in a file of so many bytes.
    pub(in super::super) fn new(track: Track, length: u64) -> Self {
        Self { track: track.into(), length }
    }

    pub(in super::super) fn look(&self, offset: u64, bytes: &[u8]) -> Looked {
        let mut looked = Looked { resume: end_of(offset, bytes), ..Looked::default() };
        let mut at = 0;
        while let Some(found) = find(&bytes[at..]) {
            let begin = at + found;
            let start = offset.saturating_add(begin as u64);
            at = begin + SIGN.len();
            let Some(size) =
                size_of(&bytes[begin..]).filter(|size| start.saturating_add(*size) <= self.length)
            else {
                continue;
            };
            let whole = usize::try_from(size).ok().and_then(|size| bytes[begin..].split_at_checked(size));
            let Some((fragment, behind)) = whole else {
                looked.resume = start;
                looked.wanted = size + HEADER_BYTES;
                return looked;
            };
            // There is none in another, so that each byte is looked at once.
            at = begin + fragment.len();
            looked.places.extend(self.place(start, fragment, behind));
        }
        // The last bytes may be the beginning of a sign.
        looked.resume = looked.resume.saturating_sub(4 + SIGN.len() as u64 - 1).max(offset + at as u64);
        looked
    }

    fn place(&self, offset: u64, fragment: &[u8], behind: &[u8]) -> Option<Place> {
        let content = fragment.get(Header::BYTES_MIN as usize..)?;
        let times = Fragment::of_track(content, self.track)?;
        let samples = Header::parse(behind).filter(|header| &header.kind == b"mdat");
        let end = samples.and_then(|header| header.size);
        Some(Place {
            offset,
            micros: times.key_micros.unwrap_or(times.start_micros),
            end: end.map(|size| offset.saturating_add(fragment.len() as u64).saturating_add(size)),
            is_key: Some(times.key_micros.is_some()),
        })
    }

    /// When the last fragment that begins in some bytes is over.
    pub(super) fn end_micros(track: FragmentedTrack, bytes: &[u8]) -> Option<u64> {
        let mut rest = bytes;
        let mut end_micros = None;
        while let Some(begin) = find(rest) {
            rest = &rest[begin..];
            let size = size_of(rest).and_then(|size| usize::try_from(size).ok());
            let Some((fragment, behind)) = size.and_then(|size| rest.split_at_checked(size)) else {
                rest = &rest[SIGN.len()..];
                continue;
            };
            let times = Fragment::of_track(&fragment[Header::BYTES_MIN as usize..], track);
            end_micros = times.map(|times| times.end_micros).or(end_micros);
            rest = behind;
        }
        end_micros
    }
}

/// Where the next fragment begins: at its size.
fn find(bytes: &[u8]) -> Option<usize> {
    let behind_size = bytes.get(4..)?;
    behind_size.windows(SIGN.len()).position(|window| window == SIGN)
}

/// Bytes of a fragment that isn't longer than it should be, and has room for what it begins with.
fn size_of(bytes: &[u8]) -> Option<u64> {
    let size = Header::parse(bytes)?.size?;
    (4 + SIGN.len() as u64..=FRAGMENT_BYTES_MAX).contains(&size).then_some(size)
}

fn end_of(offset: u64, bytes: &[u8]) -> u64 {
    offset.saturating_add(bytes.len() as u64)
}
