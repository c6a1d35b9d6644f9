//! Gets a track of text out of a film, of which the pieces come one after another in a random order.
//!
//! `cargo run -p afflux-media --example extract_text -- FILE [--track ID] [--form vtt|srt|raw] [--offset MS] [--piece BYTES]
//! [--seed NUMBER] [--list]`: text to standard output, and to standard error how few bytes it took.

#![expect(
    clippy::disallowed_types,
    reason = "the crate reads no files; whoever uses it does, and here that is us"
)]

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;

use afflux_media::container::{Facts, Inspection, Step, TextForm, TextOptions, TextTracks};

struct Arguments {
    path: String,
    track: Option<u64>,
    options: TextOptions,
    piece_bytes: u64,
    seed: u64,
    is_list: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments().ok_or("usage: extract_text FILE [--track ID] [--form vtt|srt|raw] …")?;
    let file = File::open(&arguments.path)?;
    let length = file.metadata()?.len();
    let (inspection, facts) = inspect(&file, length)?;
    let mut tracks = TextTracks::new(&inspection, &facts, length).ok_or("it has no subtitles")?;
    drop(inspection);
    reveal(&mut tracks, &file, length, &arguments)?;
    assert!(tracks.is_complete(), "all of the file was there");
    for track in tracks.tracks() {
        let raw = track.raw.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        eprintln!("track {}: {raw}, {} texts", track.id, track.texts);
    }
    eprintln!("covered {:?} ms", tracks.covered());
    if !arguments.is_list {
        let first = tracks.tracks().find(|track| track.raw.is_ok()).map(|track| track.id);
        let track = arguments.track.or(first).ok_or("no track of it can be given as text")?;
        print!("{}", tracks.write(track, &arguments.options)?);
    }
    Ok(())
}

fn arguments() -> Option<Arguments> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        path: given.next()?,
        track: None,
        options: TextOptions::default(),
        piece_bytes: 1 << 20,
        seed: 1,
        is_list: false,
    };
    while let Some(name) = given.next() {
        match name.as_str() {
            "--list" => arguments.is_list = true,
            "--track" => arguments.track = Some(given.next()?.parse().ok()?),
            "--offset" => arguments.options.offset_ms = given.next()?.parse().ok()?,
            "--piece" => arguments.piece_bytes = given.next()?.parse().ok().filter(|&bytes| bytes > 0)?,
            "--seed" => arguments.seed = given.next()?.parse().ok()?,
            "--form" => {
                arguments.options.form = match given.next()?.as_str() {
                    "vtt" => TextForm::WebVtt,
                    "srt" => TextForm::Srt,
                    "raw" => TextForm::Raw,
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(arguments)
}

fn read(file: &File, offset: u64, end: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; (end - offset) as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn inspect(file: &File, length: u64) -> Result<(Inspection, Facts), Box<dyn Error>> {
    let mut inspection = Inspection::new(length);
    loop {
        match inspection.step() {
            Step::Read(range) => inspection.supply(range.start, read(file, range.start, range.end)?),
            Step::Done(facts) => return Ok((inspection, *facts)),
            Step::Failed(fault) => return Err(fault.into()),
        }
    }
}

/// Lets one piece after another come, and has all read that can be each time.
fn reveal(
    tracks: &mut TextTracks,
    file: &File,
    length: u64,
    arguments: &Arguments,
) -> Result<(), Box<dyn Error>> {
    let piece = arguments.piece_bytes;
    let mut has = vec![false; usize::try_from(length.div_ceil(piece))?];
    let (mut reads, mut bytes) = (0, 0);
    for nth in shuffled(has.len(), arguments.seed) {
        has[nth] = true;
        let there = |has: &[bool], offset: u64| {
            let missing = has[(offset / piece) as usize..].iter().position(|has| !has);
            let end = missing.map_or(length, |count| (offset / piece + count as u64) * piece);
            end.clamp(offset, length)
        };
        while let Some(range) = tracks.next(|offset| there(&has, offset)) {
            assert!(there(&has, range.start) >= range.end, "it asks for what isn't there: {range:?}");
            tracks.supply(range.start, &read(file, range.start, range.end)?);
            reads += 1;
            bytes += range.end - range.start;
        }
    }
    eprintln!("read {bytes} of {length} bytes in {reads} reads");
    Ok(())
}

/// Numbers up to a count in an order that a seed decides (Fisher and Yates, with xorshift).
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for nth in (1..count).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        order.swap(nth, (random % (nth as u64 + 1)) as usize);
    }
    order
}
