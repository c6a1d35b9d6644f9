//! `afflux demo --check`: a player that needs no person. It reads head and tail at once, seeks three times to
//! places that aren't there yet, then plays the film to its end, and compares every byte with the original.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{FileIndex, PieceIndex};
use afflux_stream::Server;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::super::show::Screen;
use super::super::stream::{self, Serving};
use super::sample;
use crate::config::units::show_bytes;
use crate::engine::Torrent;
use crate::engine::torrent::Ready;
use crate::failure::Failure;
use crate::media_choice;

/// Read at the head before the first seek, and at each seek's place.
const READ_BYTES: u64 = 128 * 1024;
/// Read at the tail, where the index is.
const TAIL_BYTES: u64 = 64 * 1024;
/// Where the seeks go, in percent of the film: forward, further, and back.
const SEEKS_PERCENT: [u64; 3] = [55, 80, 30];
/// A response that brings nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to play.
pub(super) struct Film {
    address: SocketAddr,
    path: String,
    file: FileIndex,
    original: &'static [u8],
}

/// Serves the file to be checked.
pub(super) fn serve(
    server: Server,
    torrent: &Torrent,
    ready: &Ready,
    wish: Option<&str>,
) -> Result<(Film, Serving), Failure> {
    let file = media_choice::chosen_file(&ready.layout, wish)?;
    let address = server.local_addr();
    let name = ready.layout.file(file).and_then(|span| span.path.last().cloned()).unwrap_or_default();
    let original = sample(&name).ok_or_else(|| Failure::work(format!("{name} is no sample of the demo")))?;
    let (url, serving) = stream::serve(server, torrent, ready, file)?;
    let path = url.trim_start_matches(&format!("http://{address}")).to_owned();
    Ok((Film { address, path, file, original }, serving))
}

/// One seek.
struct Seek {
    at: u64,
    elapsed: Duration,
}

/// Plays and compares; prints what it measured.
pub(super) async fn check(
    torrent: &Torrent,
    ready: &Arc<Ready>,
    film: &Film,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    let length = film.original.len() as u64;
    let begun = Instant::now();
    let head = read(film, 0..READ_BYTES.min(length));
    let tail = read(film, length - TAIL_BYTES.min(length)..length);
    let (head, tail) = tokio::join!(head, tail);
    let (first_byte, tail_byte) = (head?, tail?);
    let mut seeks = Vec::new();
    for percent in SEEKS_PERCENT {
        let at = missing_place(ready, film.file, length * percent / 100).ok_or_else(|| {
            Failure::work("the film was there before the seeks: nothing was left to seek to")
        })?;
        let elapsed = read(film, at..(at + READ_BYTES).min(length)).await?;
        screen.say(
            &format!(
                "seek to {}, which was missing: {} ms to the first byte",
                show_bytes(at),
                elapsed.as_millis()
            ),
            || json!({"event": "seek", "bytes": at, "missing": true, "ms": elapsed.as_millis() as u64}),
        );
        seeks.push(Seek { at, elapsed });
    }
    let buffered = buffered_from(ready, film.file, seeks.last().map_or(0, |seek| seek.at));
    read(film, 0..length).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let totals = torrent.status().totals;
    screen.say(
        &format!(
            "every byte is right\nfirst byte {} ms, tail {} ms, seeks {} ms, buffer after the last seek {}, \
             whole film in {seconds:.1} s, wasted {}",
            first_byte.as_millis(),
            tail_byte.as_millis(),
            seeks.iter().map(|seek| seek.elapsed.as_millis().to_string()).collect::<Vec<_>>().join(", "),
            show_bytes(buffered),
            show_bytes(totals.wasted),
        ),
        || {
            json!({"event": "checked", "firstByteMs": first_byte.as_millis() as u64,
                   "tailMs": tail_byte.as_millis() as u64,
                   "seekMs": seeks.iter().map(|seek| seek.elapsed.as_millis() as u64).collect::<Vec<_>>(),
                   "bufferedBytes": buffered, "seconds": seconds, "wastedBytes": totals.wasted})
        },
    );
    Ok(ExitCode::SUCCESS)
}

/// Requests a range and compares what comes; tells when its first byte came.
async fn read(film: &Film, range: Range<u64>) -> Result<Duration, Failure> {
    let failed = |error: io::Error| {
        Failure::work(format!("reading bytes {} to {} of the film failed: {error}", range.start, range.end))
    };
    fetch(film, &range).await.map_err(failed)
}

async fn fetch(film: &Film, range: &Range<u64>) -> io::Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(film.address).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nRange: bytes={}-{}\r\nConnection: close\r\n\r\n",
        film.path,
        film.address,
        range.start,
        range.end - 1
    );
    stream.write_all(request.as_bytes()).await?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    if !line.starts_with("HTTP/1.1 206") {
        return Err(io::Error::other(format!("the answer was {:?}", line.trim_end())));
    }
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut first_byte = None;
    let mut at = range.start;
    let mut buffer = vec![0; 64 * 1024];
    while at < range.end {
        let most = buffer.len().min((range.end - at) as usize);
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut buffer[..most])).await??;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        first_byte.get_or_insert_with(|| begun.elapsed());
        if buffer[..count] != film.original[at as usize..at as usize + count] {
            return Err(io::Error::other(format!("bytes from {at} on differ from the original")));
        }
        at += count as u64;
    }
    Ok(first_byte.unwrap_or_default())
}

/// The first byte at or behind `wish` whose piece isn't there at this moment; failing that, the last before it.
fn missing_place(ready: &Ready, file: FileIndex, wish: u64) -> Option<u64> {
    let span = ready.layout.file(file)?;
    let missing = |offset: &u64| {
        ready.layout.piece_at(span.offset + offset).is_some_and(|piece| !ready.store.have(piece))
    };
    let step = ready.layout.piece_length() as usize;
    let behind = (wish..span.length).step_by(step).find(missing);
    behind.or_else(|| (0..wish).rev().step_by(step).find(missing))
}

/// Verified bytes from a place of the file on.
fn buffered_from(ready: &Ready, file: FileIndex, at: u64) -> u64 {
    let Some(span) = ready.layout.file(file) else { return 0 };
    let from = span.offset + at;
    let missing =
        ready.layout.pieces_of(from..span.range().end).find(|&piece| !ready.store.have(PieceIndex(piece)));
    missing.map_or(span.range().end, |piece| ready.layout.piece_offset(PieceIndex(piece)).max(from)) - from
}
