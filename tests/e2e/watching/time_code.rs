//! Pictures that say which one they are, in marks that survive any encoder: a strip of sixteen blocks is the number of the
//! frame in binary, a strip below it the same upside down, so that half a picture of one frame and half of another is none.
//!
//! Below that is faint noise, which keeps the rate of the film steady, and a grey field where players that burn subtitles in
//! write them.

use crate::harness::payload::noise;

pub(crate) const WIDTH: usize = 320;
pub(crate) const HEIGHT: usize = 180;
/// Bytes of a picture that is brightness only.
pub(crate) const LUMA: usize = WIDTH * HEIGHT;

/// Digits of a number: enough for three quarters of an hour.
const BITS: usize = 16;
const BLOCK_WIDTH: usize = WIDTH / BITS;
const STRIP_ROWS: usize = 32;
const NOISE_ROWS: usize = 64;
const FIELD_ROWS: usize = HEIGHT - 2 * STRIP_ROWS - NOISE_ROWS;
/// The grey of the field. Letters are white with a black edge.
const GREY: u8 = 112;
const LETTERS: [std::ops::RangeInclusive<u8>; 2] = [0..=50, 200..=255];
/// Letters of a short line cover more pixels than this; an encoder's faults in a grey field none.
const LETTER_PIXELS: usize = 20;

/// Frames in their order, as brightness.
pub(crate) fn frames(count: u32) -> impl Iterator<Item = Vec<u8>> {
    let noise: Vec<u8> = noise(7, 8 * WIDTH * NOISE_ROWS).into_iter().map(|byte| GREY + byte / 4).collect();
    (0..count).map(move |number| {
        let row = |inverted: bool| -> Vec<u8> {
            let bit = |nth: usize| (number >> (BITS - 1 - nth) & 1 == 1) != inverted;
            (0..WIDTH).map(|column| if bit(column / BLOCK_WIDTH) { 255 } else { 0 }).collect()
        };
        let start = number as usize * 7919 % (7 * WIDTH * NOISE_ROWS);
        [
            row(false).repeat(STRIP_ROWS),
            row(true).repeat(STRIP_ROWS),
            noise[start..start + WIDTH * NOISE_ROWS].to_vec(),
            vec![GREY; WIDTH * FIELD_ROWS],
        ]
        .concat()
    })
}

/// The number of the frame that a picture shows; `None` for what is no frame of ours.
pub(crate) fn number(luma: &[u8]) -> Option<u32> {
    (0..BITS).try_fold(0, |number, nth| {
        let (upper, lower) = (block(luma, 0, nth), block(luma, STRIP_ROWS, nth));
        (upper.abs_diff(lower) > 128).then(|| number << 1 | u32::from(upper > lower))
    })
}

/// The mean of the middle of a block: edges are blurred.
fn block(luma: &[u8], strip: usize, nth: usize) -> u8 {
    let rows = strip + STRIP_ROWS / 4..strip + STRIP_ROWS * 3 / 4;
    let columns = nth * BLOCK_WIDTH + BLOCK_WIDTH / 4..nth * BLOCK_WIDTH + BLOCK_WIDTH * 3 / 4;
    let count = rows.len() * columns.len();
    let pixels = rows.flat_map(|row| columns.clone().map(move |column| row * WIDTH + column));
    let sum: usize = pixels.map(|at| usize::from(luma[at])).sum();
    (sum / count) as u8
}

/// Whether something is written in the grey field.
pub(crate) fn has_text(luma: &[u8]) -> bool {
    let field = &luma[LUMA - WIDTH * FIELD_ROWS..LUMA];
    let letters = field.iter().filter(|pixel| LETTERS.iter().any(|range| range.contains(pixel)));
    letters.count() > LETTER_PIXELS
}

#[test]
fn a_picture_says_which_frame_it_is_and_half_of_another_none() {
    let pictures: Vec<Vec<u8>> = frames(2000).collect();
    assert!((0..2000).all(|nth| number(&pictures[nth]) == Some(nth as u32)));
    let torn = [&pictures[0][..LUMA / 5], &pictures[1999][LUMA / 5..]].concat();
    assert_eq!((number(&torn), number(&vec![GREY; LUMA])), (None, None));
    assert!(!has_text(&pictures[5]));
}
