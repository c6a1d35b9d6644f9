//! Prints what a container says of itself, and how few of its bytes it took.
//!
//! `cargo run -p afflux-media --example inspect -- FILE [--index]`

#![expect(
    clippy::disallowed_types,
    reason = "the crate reads no files; whoever uses it does, and here that is us"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use afflux_media::container::{Facts, Inspection, Step, Track, TrackKind};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = arguments.iter().find(|argument| !argument.starts_with("--")) else {
        eprintln!("usage: inspect FILE [--index]");
        return ExitCode::from(2);
    };
    let with_index = arguments.iter().any(|argument| argument == "--index");
    match inspect(path) {
        Ok((Step::Done(facts), cost)) => {
            print(&facts, with_index);
            println!("read {} bytes in {} reads of {}", cost.bytes, cost.reads, cost.length);
            ExitCode::SUCCESS
        }
        Ok((Step::Failed(fault), cost)) => {
            eprintln!("{path}: {fault} (after {} bytes in {} reads)", cost.bytes, cost.reads);
            ExitCode::FAILURE
        }
        Ok((Step::Read(range), _)) => unreachable!("it was given {range:?}"),
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What an inspection took.
#[derive(Default)]
struct Cost {
    length: u64,
    bytes: u64,
    reads: u32,
}

fn inspect(path: &str) -> io::Result<(Step, Cost)> {
    let file = File::open(path)?;
    let mut cost = Cost { length: file.metadata()?.len(), ..Cost::default() };
    let mut inspection = Inspection::new(cost.length);
    loop {
        let Step::Read(Range { start, end }) = inspection.step() else {
            return Ok((inspection.step(), cost));
        };
        let mut bytes = vec![0; (end - start) as usize];
        file.read_exact_at(&mut bytes, start)?;
        cost.bytes += end - start;
        cost.reads += 1;
        inspection.supply(start, bytes);
    }
}

fn print(facts: &Facts, with_index: bool) {
    println!("container {:?}", facts.container);
    match facts.duration {
        Some(duration) => println!("duration {:.3}", duration.as_secs_f64()),
        None => println!("duration unknown"),
    }
    for track in &facts.tracks {
        println!("track {}", line(track));
    }
    let points = facts.index.as_ref().map_or(&[][..], |index| index.points());
    println!("index {} points", points.len());
    for point in points.iter().filter(|_| with_index) {
        println!("point {:.6} {}", point.micros as f64 / 1e6, point.offset);
    }
}

fn line(track: &Track) -> String {
    let kind = match &track.kind {
        TrackKind::Video(video) => {
            let rate = video.frame_rate.map_or("-".to_owned(), |rate| format!("{rate:.3}"));
            let hdr = video.hdr.map_or("-".to_owned(), |hdr| format!("{hdr:?}"));
            format!("video {}x{} rate {rate} hdr {hdr}", video.width, video.height)
        }
        TrackKind::Audio(audio) => format!("audio {} channels {} Hz", audio.channels, audio.sample_rate),
        TrackKind::Subtitle => "subtitle".to_owned(),
        TrackKind::Other => "other".to_owned(),
    };
    let mut line = format!("{} {kind} {:?}", track.id, track.codec);
    if let Some(language) = track.language {
        line += &format!(" {language}");
    }
    if let Some(title) = &track.title {
        line += &format!(" {title:?}");
    }
    for (said, word) in [
        (track.is_default, "default"),
        (track.is_forced, "forced"),
        (track.is_hearing_impaired, "hearing-impaired"),
    ] {
        if said {
            line += &format!(" {word}");
        }
    }
    line
}
