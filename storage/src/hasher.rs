//! SHA-1 of several pieces at once (FIPS 180-4).
//!
//! One SHA-1 is a chain: each step waits for the one before, so the processor's SHA unit idles most of the time. Steps
//! of independent hashes fill those gaps. Measured on Zen 5, MiB/s on one core, data in the cache: the `sha1` crate 1,880,
//! two lanes 3,340, three 4,450, four 4,850 (more lanes than four run out of registers). Where the processor has no SHA
//! instructions, or isn't an x86, lanes are hashed one after the other by the `sha1` crate.
//!
//! Not here: which pieces are hashed together (`disk`, `check`).

#[cfg(target_arch = "x86_64")]
mod lanes;

/// Lanes that are hashed at once; more gain nothing.
pub const LANES: usize = 4;

/// The unit that SHA-1 works on.
const CHUNK_BYTES: usize = 64;

/// The first state (FIPS 180-4, 5.3.1).
const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

type State = [u32; 5];

/// A SHA-1 under way.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    /// Bytes taken so far.
    length: u64,
    /// The last of them, while they are no whole chunk.
    rest: [u8; CHUNK_BYTES],
}

/// A hash and what is to be added to it.
#[derive(Debug)]
pub struct Lane<'a, P> {
    hasher: &'a mut Hasher,
    parts: P,
    /// What is left of the part under way.
    part: &'a [u8],
}

impl Hasher {
    /// The hash of nothing yet.
    pub fn new() -> Self {
        Self { state: START, length: 0, rest: [0; CHUNK_BYTES] }
    }

    /// Adds bytes, alone: see [`update_lanes`] for several hashes at once.
    pub fn update(&mut self, bytes: &[u8]) {
        update_lanes(&mut [Lane::new(self, std::iter::once(bytes))]);
    }

    /// The digest of all that was added.
    pub fn finish(mut self) -> [u8; 20] {
        let bits = self.length * 8;
        let mut padding = [0; CHUNK_BYTES];
        padding[0] = 0x80;
        let used = self.rest_length();
        // One chunk more where the length doesn't fit behind the rest.
        let zeros = if used < CHUNK_BYTES - 8 { CHUNK_BYTES - 8 - used } else { 2 * CHUNK_BYTES - 8 - used };
        self.update(&padding[..zeros.min(CHUNK_BYTES)]);
        self.update(&[0; CHUNK_BYTES][..zeros.saturating_sub(CHUNK_BYTES)]);
        self.update(&bits.to_be_bytes());
        let mut digest = [0; 20];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    fn rest_length(&self) -> usize {
        (self.length % CHUNK_BYTES as u64) as usize
    }

    /// Takes what can't be hashed in whole chunks straight from `part`: what completes the rest, or becomes it. Gives what
    /// is left.
    fn take_rest<'a>(&mut self, part: &'a [u8]) -> &'a [u8] {
        let used = self.rest_length();
        if used == 0 && part.len() >= CHUNK_BYTES {
            return part;
        }
        let (taken, left) = part.split_at(part.len().min(CHUNK_BYTES - used));
        self.rest[used..used + taken.len()].copy_from_slice(taken);
        self.length += taken.len() as u64;
        if used + taken.len() == CHUNK_BYTES {
            sha1::block_api::compress(&mut self.state, &[self.rest]);
        }
        left
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, P: Iterator<Item = &'a [u8]>> Lane<'a, P> {
    /// A lane that adds `parts`, in order.
    pub fn new(hasher: &'a mut Hasher, parts: P) -> Self {
        Self { hasher, parts, part: &[] }
    }

    /// Makes sure that at least one whole chunk is ready; `false` when all parts are used up.
    fn refill(&mut self) -> bool {
        loop {
            if self.part.is_empty() {
                let Some(part) = self.parts.next() else { return false };
                self.part = part;
            }
            self.part = self.hasher.take_rest(self.part);
            if self.part.len() >= CHUNK_BYTES {
                return true;
            }
        }
    }

    fn chunks(&self) -> usize {
        self.part.len() / CHUNK_BYTES
    }

    fn take_chunks(&mut self, count: usize) -> &'a [[u8; CHUNK_BYTES]] {
        let (chunks, _) = self.part.as_chunks::<CHUNK_BYTES>();
        self.part = &self.part[count * CHUNK_BYTES..];
        self.hasher.length += (count * CHUNK_BYTES) as u64;
        &chunks[..count]
    }
}

/// Adds all parts of all lanes, up to [`LANES`] of them at a time.
pub fn update_lanes<'a, P: Iterator<Item = &'a [u8]>>(lanes: &mut [Lane<'a, P>]) {
    let mut active: Vec<&mut Lane<'a, P>> =
        lanes.iter_mut().filter_map(|lane| lane.refill().then_some(lane)).collect();
    while !active.is_empty() {
        match &mut active[..] {
            [a, b, c, d, ..] => step([a, b, c, d]),
            [a, b, c] => step([a, b, c]),
            [a, b] => step([a, b]),
            [a] => step([a]),
            [] => {}
        }
        active.retain_mut(|lane| lane.refill());
    }
}

/// Hashes as many chunks as every one of these lanes has ready.
fn step<'a, const N: usize, P: Iterator<Item = &'a [u8]>>(mut lanes: [&mut &mut Lane<'a, P>; N]) {
    let count = lanes.iter().map(|lane| lane.chunks()).min().unwrap_or_default();
    let mut states = lanes.each_ref().map(|lane| lane.hasher.state);
    let chunks = lanes.each_mut().map(|lane| lane.take_chunks(count));
    compress(&mut states, chunks);
    for (lane, state) in lanes.iter_mut().zip(states) {
        lane.hasher.state = state;
    }
}

/// Adds the same number of chunks to each state.
fn compress<const N: usize>(states: &mut [State; N], chunks: [&[[u8; CHUNK_BYTES]]; N]) {
    #[cfg(target_arch = "x86_64")]
    if N > 1 && lanes::compress(states, chunks) {
        return;
    }
    for (state, chunks) in states.iter_mut().zip(chunks) {
        sha1::block_api::compress(state, chunks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| (((at + seed) * 31) >> 3) as u8).collect()
    }

    fn expected(bytes: &[u8]) -> [u8; 20] {
        sha1_smol::Sha1::from(bytes).digest().bytes()
    }

    #[test]
    fn every_length_around_a_chunk_has_the_right_digest() {
        for length in (0..200).chain([16 * 1024, 16 * 1024 + 1, 65_537]) {
            let bytes = sample(length, length);
            let mut hasher = Hasher::new();
            hasher.update(&bytes);
            assert_eq!(hasher.finish(), expected(&bytes), "{length} bytes");
        }
    }

    #[test]
    fn parts_of_any_length_make_the_same_hash() {
        let bytes = sample(10_000, 1);
        for step in [1, 7, 63, 64, 65, 130, 4096] {
            let mut hasher = Hasher::new();
            bytes.chunks(step).for_each(|part| hasher.update(part));
            assert_eq!(hasher.finish(), expected(&bytes), "in parts of {step}");
        }
    }

    #[test]
    fn lanes_of_unequal_length_dont_mix() {
        for count in 0..=2 * LANES {
            let pieces: Vec<_> = (0..count).map(|n| sample(1000 * n * n + 37 * n, n)).collect();
            let mut hashers = vec![Hasher::new(); count];
            let mut lanes: Vec<_> = (hashers.iter_mut().zip(&pieces))
                .map(|(hasher, piece)| Lane::new(hasher, piece.chunks(97 + piece.len() % 300)))
                .collect();
            update_lanes(&mut lanes);
            for (hasher, piece) in hashers.into_iter().zip(&pieces) {
                assert_eq!(hasher.finish(), expected(piece), "{} bytes, {count} lanes", piece.len());
            }
        }
    }

    #[test]
    fn lanes_go_on_from_any_state() {
        let pieces = [sample(50_000, 3), sample(50_000, 4), sample(50_000, 5)];
        let mut hashers = [(); 3].map(|()| Hasher::new());
        for run in 0..5 {
            let mut lanes: Vec<_> = (hashers.iter_mut().zip(&pieces))
                .map(|(hasher, piece)| Lane::new(hasher, std::iter::once(&piece[run * 10_000..][..10_000])))
                .collect();
            update_lanes(&mut lanes);
        }
        for (hasher, piece) in hashers.into_iter().zip(&pieces) {
            assert_eq!(hasher.finish(), expected(piece));
        }
    }
}
