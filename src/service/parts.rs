//! Reading a part of a file for our own use: it is fetched before what players want, and nothing is fetched beside it.

use std::future::poll_fn;
use std::ops::Range;

use afflux_stream::{Media, Reader, Window};

/// The bytes of a range, once they are there; `None` if they can't be had any more.
pub(super) async fn read_part(media: &dyn Media, range: Range<u64>) -> Option<Vec<u8>> {
    let length = usize::try_from(range.end - range.start).ok()?;
    let mut part = Vec::new();
    if length == 0 {
        return Some(part);
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
    while part.len() < length {
        let bytes = read(&mut *reader, range.start + part.len() as u64, length - part.len()).await?;
        part.extend_from_slice(&bytes);
    }
    Some(part)
}

async fn read(reader: &mut dyn Reader, at: u64, most: usize) -> Option<bytes::Bytes> {
    poll_fn(|cx| reader.poll_read(cx, at, most)).await.ok().filter(|bytes| !bytes.is_empty())
}
