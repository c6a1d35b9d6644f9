//! The SHA instructions of x86 processors, several hashes side by side.
//!
//! Each of these instructions does four rounds at once. The registers of all lanes are arrays that the compiler
//! unrolls, so that between two steps of one lane there is a step of each other lane. Read Intel's "SHA Extensions"
//! paper (Gulley et al., 2013) first.

use core::arch::x86_64::*;
use core::array::from_fn;

use super::{CHUNK_BYTES, State};

/// Adds the same number of chunks to each state; `false` if the processor can't.
#[expect(unsafe_code, reason = "whether the processor has an instruction is known only at run time")]
pub(super) fn compress<const N: usize>(states: &mut [State; N], chunks: [&[[u8; CHUNK_BYTES]]; N]) -> bool {
    if !(is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3"))
    {
        return false;
    }
    // SAFETY: everything inside is safe code but for what its instructions ask of the processor, and it has those.
    unsafe { rounds(states, chunks) };
    true
}

/// Four words of the message, first word in the highest lane as the instructions want it.
#[inline]
#[target_feature(enable = "sse2,ssse3")]
fn load(chunks: &[[u8; CHUNK_BYTES]], chunk: usize, at: usize) -> __m128i {
    let (words, _) = chunks[chunk][at..].as_chunks::<8>();
    let [low, high] = [words[0], words[1]].map(i64::from_le_bytes);
    _mm_shuffle_epi8(_mm_set_epi64x(high, low), _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f))
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn rounds<const N: usize>(states: &mut [State; N], chunks: [&[[u8; CHUNK_BYTES]]; N]) {
    let mut abcd =
        states.each_ref().map(|&[a, b, c, d, _]| _mm_set_epi32(a as i32, b as i32, c as i32, d as i32));
    let mut e = states.each_ref().map(|state| _mm_set_epi32(state[4] as i32, 0, 0, 0));
    let count = chunks.iter().map(|chunks| chunks.len()).min().unwrap_or_default();
    for chunk in 0..count {
        let before = (abcd, e);
        let mut w0: [__m128i; N] = from_fn(|lane| load(chunks[lane], chunk, 0));
        let mut w1: [__m128i; N] = from_fn(|lane| load(chunks[lane], chunk, 16));
        let mut w2: [__m128i; N] = from_fn(|lane| load(chunks[lane], chunk, 32));
        let mut w3: [__m128i; N] = from_fn(|lane| load(chunks[lane], chunk, 48));

        // Four rounds: F says which of the four functions, w has the words.
        macro_rules! quad {
            ($f:literal, $w:ident) => {
                for lane in 0..N {
                    let sum = _mm_sha1nexte_epu32(e[lane], $w[lane]);
                    e[lane] = abcd[lane];
                    abcd[lane] = _mm_sha1rnds4_epu32::<$f>(abcd[lane], sum);
                }
            };
        }
        // The next four words of the message take the place of the oldest, and are used.
        macro_rules! next {
            ($f:literal, $a:ident, $b:ident, $c:ident, $d:ident) => {
                for lane in 0..N {
                    let sum = _mm_xor_si128(_mm_sha1msg1_epu32($a[lane], $b[lane]), $c[lane]);
                    $a[lane] = _mm_sha1msg2_epu32(sum, $d[lane]);
                }
                quad!($f, $a);
            };
        }

        for lane in 0..N {
            // The first E isn't rotated yet.
            let sum = _mm_add_epi32(e[lane], w0[lane]);
            e[lane] = abcd[lane];
            abcd[lane] = _mm_sha1rnds4_epu32::<0>(abcd[lane], sum);
        }
        quad!(0, w1);
        quad!(0, w2);
        quad!(0, w3);
        next!(0, w0, w1, w2, w3);

        next!(1, w1, w2, w3, w0);
        next!(1, w2, w3, w0, w1);
        next!(1, w3, w0, w1, w2);
        next!(1, w0, w1, w2, w3);
        next!(1, w1, w2, w3, w0);

        next!(2, w2, w3, w0, w1);
        next!(2, w3, w0, w1, w2);
        next!(2, w0, w1, w2, w3);
        next!(2, w1, w2, w3, w0);
        next!(2, w2, w3, w0, w1);

        next!(3, w3, w0, w1, w2);
        next!(3, w0, w1, w2, w3);
        next!(3, w1, w2, w3, w0);
        next!(3, w2, w3, w0, w1);
        next!(3, w3, w0, w1, w2);

        for lane in 0..N {
            e[lane] = _mm_sha1nexte_epu32(e[lane], before.1[lane]);
            abcd[lane] = _mm_add_epi32(abcd[lane], before.0[lane]);
        }
    }
    for ((state, abcd), e) in states.iter_mut().zip(abcd).zip(e) {
        *state = [
            _mm_extract_epi32::<3>(abcd) as u32,
            _mm_extract_epi32::<2>(abcd) as u32,
            _mm_extract_epi32::<1>(abcd) as u32,
            _mm_extract_epi32::<0>(abcd) as u32,
            _mm_extract_epi32::<3>(e) as u32,
        ];
    }
}
