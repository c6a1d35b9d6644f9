//! Reading a part of a file for our own use: fetched before what players want, with nothing beside it, or only if it is there.

use std::future::poll_fn;
use std::ops::Range;

use afflux_metainfo::{FileIndex, PieceIndex};
use afflux_storage::ReadError;
use afflux_storage::limits::READ_BYTES_MAX;
use afflux_stream::{Media, Reader, Window};
use tokio::sync::oneshot;

use crate::engine::torrent::Ready;

/// The bytes of a range, once they are there; `None` if they can't be had any more.
pub(super) async fn read_part(media: &dyn Media, range: Range<u64>) -> Option<Vec<u8>> {
    let mut part = Vec::new();
    visit(media, range, |bytes| part.extend_from_slice(bytes)).await?;
    Some(part)
}

/// Waits until the bytes of a range are there, for somebody who reads them soon; `None` if they can't be had any more.
pub(super) async fn await_part(media: &dyn Media, range: Range<u64>) -> Option<()> {
    visit(media, range, |_| {}).await
}

async fn visit(media: &dyn Media, range: Range<u64>, mut each: impl FnMut(&[u8])) -> Option<()> {
    if range.is_empty() {
        return Some(());
    }
    let mut reader = media.reader(range.clone());
    reader.set_window(Window {
        position: range.start,
        urgent_end: range.end,
        soon_end: range.end,
        end: range.end,
        rate: (range.end - range.start).max(1),
        waiting: true,
        probe: true,
    });
    let mut at = range.start;
    while at < range.end {
        let most = usize::try_from(range.end - at).unwrap_or(usize::MAX);
        let bytes = read(&mut *reader, at, most).await?;
        each(&bytes);
        at += bytes.len() as u64;
    }
    Some(())
}

async fn read(reader: &mut dyn Reader, at: u64, most: usize) -> Option<bytes::Bytes> {
    poll_fn(|cx| reader.poll_read(cx, at, most)).await.ok().filter(|bytes| !bytes.is_empty())
}

/// Bytes of a file that are there. Nothing is fetched for it: what isn't there, or has gone from memory, is an error.
pub(super) async fn read_stored(
    ready: &Ready,
    file: FileIndex,
    range: Range<u64>,
) -> Result<Vec<u8>, ReadError> {
    let span = ready.layout.file(file).filter(|span| range.end <= span.length).ok_or(ReadError::Range)?;
    let (mut at, end) = (span.offset + range.start, span.offset + range.end);
    let mut part = Vec::new();
    while at < end {
        let piece = PieceIndex((at / u64::from(ready.layout.piece_length())) as u32);
        let start = ready.layout.piece_offset(piece);
        let piece_end = start + u64::from(ready.layout.length_of(piece));
        let most = end.min(piece_end).min(at + u64::from(READ_BYTES_MAX));
        let (reply, answer) = oneshot::channel();
        let answered = Box::new(move |read| {
            // Whoever asked may have gone.
            let _ = reply.send(read);
        });
        ready.store.read(piece, (at - start) as u32..(most - start) as u32, answered);
        let runs = answer.await.unwrap_or(Err(ReadError::Closed))?;
        runs.iter().for_each(|run| part.extend_from_slice(run));
        at = most;
    }
    Ok(part)
}
