//! Prints where a search finds times in a file that has no index, and how few of its bytes that took.
//!
//! `cargo run -p afflux-media --example seek -- FILE [--learn] SECONDS…`

#![expect(
    clippy::disallowed_types,
    reason = "the crate reads no files; whoever uses it does, and here that is us"
)]

use std::error::Error;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use afflux_media::container::{Facts, Inspection, Search, Seek, Step};

/// What is no farther away is of the same piece, mostly.
const BESIDE_BYTES: u64 = 64 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let learns = arguments.iter().any(|argument| argument == "--learn");
    let mut arguments = arguments.iter().filter(|argument| !argument.starts_with("--"));
    let path = arguments.next().ok_or("usage: seek FILE [--learn] SECONDS…")?;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut facts = inspect(&file, length)?;
    println!("{:?} of {length} bytes, {:?}", facts.container, facts.duration.unwrap_or_default());
    for seconds in arguments {
        let time = Duration::try_from_secs_f64(seconds.parse()?)?;
        let Some(search) = Seek::new(&facts, length, time) else {
            return Err("it has an index, or nothing to search by".into());
        };
        let (ended, reads) = drive(search, &file)?;
        let bytes: u64 = reads.iter().map(|range| range.end - range.start).sum();
        let is_apart = |two: &&[Range<u64>]| {
            two[0].end + BESIDE_BYTES < two[1].start || two[1].end + BESIDE_BYTES < two[0].start
        };
        let places = 1 + reads.windows(2).filter(is_apart).count();
        match ended {
            Search::Found(found) => {
                println!(
                    "{seconds} {:.3} at {} key {} reads {} places {places} bytes {bytes}",
                    found.point.micros as f64 / 1e6,
                    found.point.offset,
                    found.is_key_frame,
                    reads.len()
                );
                if learns {
                    facts.learn(found.learnt);
                }
            }
            other => println!("{seconds} {other:?}"),
        }
    }
    Ok(())
}

fn inspect(file: &File, length: u64) -> Result<Facts, Box<dyn Error>> {
    let mut inspection = Inspection::new(length);
    loop {
        match inspection.step() {
            Step::Read(range) => inspection.supply(range.start, read(file, &range)?),
            Step::Done(facts) => return Ok(*facts),
            Step::Failed(fault) => return Err(fault.into()),
        }
    }
}

fn drive(mut search: Seek, file: &File) -> io::Result<(Search, Vec<Range<u64>>)> {
    let mut reads = Vec::new();
    loop {
        let Search::Read(range) = search.step() else { return Ok((search.step(), reads)) };
        search.supply(range.start, &read(file, &range)?);
        reads.push(range);
    }
}

fn read(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}
