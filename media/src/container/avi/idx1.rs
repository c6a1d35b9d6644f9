//! `idx1`: one entry for each chunk in `movi`.

use super::super::index::Point;
use super::super::inspect::Halt;
use super::super::known::Known;
use super::chunk::u32_at;
use super::header::Stream;

/// `ckid`, `dwFlags`, `dwOffset`, `dwSize`
const ENTRY_BYTES: usize = 16;

/// `AVIIF_KEYFRAME`
const KEY_FRAME: u32 = 0x10;

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: [u8; 4],
    flags: u32,
    offset: u64,
}

fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let (offset, flags) = (u32_at(entry, 8)?, u32_at(entry, 4)?);
        Some(Entry { id: *entry.first_chunk()?, flags, offset: u64::from(offset) })
    })
}

/// What offsets are counted from: the word `movi`, as they should be, or the start of the file. The first chunk that is where its
/// entry says decides; if it is at neither place, the index is of another file.
pub(super) fn base(bytes: &[u8], movi: u64, file: &Known) -> Result<Option<u64>, Halt> {
    let Some(entry) = entries(bytes).find(|entry| number(entry.id).is_some()) else { return Ok(None) };
    for base in [movi, 0] {
        let at = base + entry.offset;
        match file.bytes(at..at + 4) {
            Ok(id) if id == entry.id => return Ok(Some(base)),
            Ok(_) | Err(Halt::Truncated) => {}
            Err(halt) => return Err(halt),
        }
    }
    Ok(None)
}

/// The key frames of a stream. Every chunk of it is a frame, but for changes of its palette.
pub(super) fn points(
    bytes: &[u8],
    stream_number: usize,
    stream: &Stream,
    base: u64,
    length: u64,
) -> Vec<Point> {
    let is_frame = |entry: &Entry| number(entry.id) == Some(stream_number) && !entry.id.ends_with(b"pc");
    let frames = entries(bytes).filter(is_frame).zip(0u64..);
    let keys = frames.filter(|(entry, _)| entry.flags & KEY_FRAME != 0);
    let points = keys.filter_map(|(entry, nth)| {
        let offset = base + entry.offset;
        Some(Point { micros: stream.micros(nth)?, offset }).filter(|_| offset < length)
    });
    points.collect()
}

/// The stream that a chunk belongs to: its name begins with two digits, and says with two letters what is in it.
fn number(id: [u8; 4]) -> Option<usize> {
    let digit = |byte: u8| char::from(byte).to_digit(10);
    let (high, low) = (digit(id[0])?, digit(id[1])?);
    let is_frame = id[2].is_ascii_alphabetic() && id[3].is_ascii_alphabetic();
    is_frame.then_some((high * 10 + low) as usize)
}
