//! The film that is streamed: bytes that look random and can be made at any place, so that none has to be kept.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

/// The unit of the wire.
pub(crate) const BLOCK_BYTES: u64 = 16 * 1024;

/// 8 Mbit/s: what the film plays at.
pub(crate) const FILM_BYTES_PER_SECOND: u64 = 1_000_000;

const MIB: u64 = 1024 * 1024;

/// A film of one file.
#[derive(Debug)]
pub(crate) struct Film {
    seed: u64,
    pub(crate) length: u64,
    pub(crate) piece_bytes: u64,
    /// What blocks are cut from; a block's first bytes are its own number, so that none is like another.
    noise: Vec<u8>,
}

impl Film {
    /// `length` is a multiple of `piece_bytes`.
    pub(crate) fn new(seed: u64, length: u64, piece_bytes: u64) -> Self {
        let mut random = Random::new(seed);
        let words = (MIB + BLOCK_BYTES) / 8;
        let noise = (0..words).flat_map(|_| random.next().to_be_bytes()).collect();
        Self { seed, length, piece_bytes, noise }
    }

    pub(crate) fn pieces(&self) -> u64 {
        self.length / self.piece_bytes
    }

    /// The bytes from `offset` on.
    pub(crate) fn read(&self, mut offset: u64, mut out: &mut [u8]) {
        while !out.is_empty() {
            let within = (offset % BLOCK_BYTES) as usize;
            let block = self.block(offset / BLOCK_BYTES);
            let count = (block.len() - within).min(out.len());
            out[..count].copy_from_slice(&block[within..within + count]);
            offset += count as u64;
            out = &mut out[count..];
        }
    }

    /// Whether these are the bytes at `offset`. Compared where they are, since who reads fast is compared while it is timed.
    pub(crate) fn holds(&self, mut offset: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let within = (offset % BLOCK_BYTES) as usize;
            let (own, start) = self.cut(offset / BLOCK_BYTES);
            let count = (BLOCK_BYTES as usize - within).min(bytes.len());
            let (these, rest) = bytes.split_at(count);
            // Of its first bytes, which are its number, as many as are in here.
            let number = own.get(within..).unwrap_or_default();
            let number = &number[..number.len().min(count)];
            let noise = &self.noise[start + within + number.len()..start + within + count];
            if !these.starts_with(number) || these[number.len()..] != *noise {
                return false;
            }
            offset += count as u64;
            bytes = rest;
        }
        true
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut file = BufWriter::with_capacity(MIB as usize, file);
        for index in 0..self.length / BLOCK_BYTES {
            file.write_all(&self.block(index)).with_context(|| path.display().to_string())?;
        }
        file.flush().with_context(|| path.display().to_string())
    }

    fn block(&self, index: u64) -> Vec<u8> {
        let (own, start) = self.cut(index);
        let mut block = self.noise[start..start + BLOCK_BYTES as usize].to_vec();
        block[..own.len()].copy_from_slice(&own);
        block
    }

    /// A block's own number, and where it is cut from the noise.
    fn cut(&self, index: u64) -> ([u8; 8], usize) {
        let own = Random::new(self.seed ^ index).next();
        (own.to_be_bytes(), (own % MIB) as usize)
    }
}

/// What the seeders of one run have sent, right bytes only.
#[derive(Debug)]
pub(crate) struct Ledger {
    blocks_per_piece: u64,
    /// How often each block was sent.
    sent: Mutex<Vec<u32>>,
}

impl Ledger {
    pub(crate) fn new(film: &Film) -> Self {
        let blocks = (film.length / BLOCK_BYTES) as usize;
        Self { blocks_per_piece: film.piece_bytes / BLOCK_BYTES, sent: Mutex::new(vec![0; blocks]) }
    }

    /// Notes that the block at `offset` is sent.
    pub(crate) fn note(&self, offset: u64) {
        if let Some(count) = self.sent().get_mut((offset / BLOCK_BYTES) as usize) {
            *count += 1;
        }
    }

    /// Whether nothing of these pieces was sent.
    pub(crate) fn is_fresh(&self, pieces: Range<u64>) -> bool {
        let blocks = pieces.start * self.blocks_per_piece..pieces.end * self.blocks_per_piece;
        let sent = self.sent();
        sent.get(blocks.start as usize..blocks.end as usize)
            .is_some_and(|blocks| blocks.iter().all(|&count| count == 0))
    }

    /// The share of blocks that were sent though they had been sent before.
    pub(crate) fn again_share(&self) -> f64 {
        let sent = self.sent();
        let all: u64 = sent.iter().map(|&count| u64::from(count)).sum();
        let again: u64 = sent.iter().map(|&count| u64::from(count.saturating_sub(1))).sum();
        again as f64 / all.max(1) as f64
    }

    fn sent(&self) -> MutexGuard<'_, Vec<u32>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// splitmix64: enough for bytes that don't repeat and places to seek to.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_however_they_are_read() {
        let film = Film::new(7, 4 * MIB, MIB);
        let mut whole = vec![0; 100_000];
        film.read(12_345, &mut whole);
        let mut parts = vec![0; 100_000];
        for (nth, part) in parts.chunks_mut(777).enumerate() {
            film.read(12_345 + 777 * nth as u64, part);
        }
        assert!(whole == parts && film.holds(12_345, &whole));
        assert!(!film.holds(12_346, &whole));
        for wrong in [0, 50_000, 99_999] {
            whole[wrong] ^= 1;
            assert!(!film.holds(12_345, &whole), "{wrong}");
            whole[wrong] ^= 1;
        }
        // From within a block's number, up to within the next one's.
        for (from, to) in [(3, 5), (3, 20), (16_379, 16_387), (16_384, 16_392)] {
            let mut part = vec![0; to - from];
            film.read(from as u64, &mut part);
            assert!(film.holds(from as u64, &part), "{from} {to}");
            part[0] ^= 1;
            assert!(!film.holds(from as u64, &part), "{from} {to}");
        }
    }

    #[test]
    fn no_block_is_like_another() {
        let film = Film::new(7, 64 * MIB, MIB);
        let mut blocks: Vec<_> =
            (0..film.length / BLOCK_BYTES).map(|index| film.block(index)[..8].to_vec()).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len() as u64, film.length / BLOCK_BYTES);
    }

    #[test]
    fn a_piece_is_fresh_until_a_block_of_it_was_sent() {
        let film = Film::new(7, 4 * MIB, MIB);
        let ledger = Ledger::new(&film);
        assert!(ledger.is_fresh(0..4) && !ledger.is_fresh(3..5));
        ledger.note(2 * MIB + 5 * BLOCK_BYTES);
        assert!(ledger.is_fresh(0..2) && !ledger.is_fresh(1..3) && ledger.is_fresh(3..4));
        assert_eq!(ledger.again_share(), 0.0);
        ledger.note(2 * MIB + 5 * BLOCK_BYTES);
        assert_eq!(ledger.again_share(), 0.5);
    }
}
