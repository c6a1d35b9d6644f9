//! Rows of buffers that are written as if they were one.

use std::io::IoSlice;

use afflux_metainfo::BLOCK_LENGTH;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::walk::retry;
use crate::limits::WRITE_SLICES_MAX;

/// What is left of a row of buffers.
pub(super) struct Gather<'a> {
    buffers: &'a [&'a [u8]],
    /// Bytes of the first buffer that are used up.
    skip: usize,
}

impl<'a> Gather<'a> {
    pub(super) fn new(buffers: &'a [&'a [u8]]) -> Self {
        Self { buffers, skip: 0 }
    }

    pub(super) fn take(&mut self, mut length: usize) -> Vec<&'a [u8]> {
        let mut parts = Vec::with_capacity(length.div_ceil(BLOCK_LENGTH as usize).min(self.buffers.len()));
        while length > 0
            && let Some((first, behind)) = self.buffers.split_first()
        {
            let part = &first[self.skip..];
            let count = part.len().min(length);
            parts.push(&part[..count]);
            length -= count;
            self.skip += count;
            if self.skip == first.len() {
                (self.buffers, self.skip) = (behind, 0);
            }
        }
        parts
    }
}

/// Writes parts one behind the other from `offset` on.
pub(crate) fn write_all(fd: &OwnedFd, mut offset: u64, parts: &mut [&[u8]]) -> rustix::io::Result<()> {
    let mut rest = parts;
    while !rest.is_empty() {
        let slices: Vec<IoSlice<'_>> =
            rest.iter().take(WRITE_SLICES_MAX).map(|part| IoSlice::new(part)).collect();
        let written = retry(|| rustix::io::pwritev(fd, &slices, offset))
            .and_then(|count| if count == 0 { Err(Errno::IO) } else { Ok(count) })?;
        offset += written as u64;
        rest = advance(rest, written);
    }
    Ok(())
}

/// Takes `count` bytes off the front of a row of buffers.
fn advance<'p, 'a>(mut parts: &'p mut [&'a [u8]], mut count: usize) -> &'p mut [&'a [u8]] {
    while let Some(first) = parts.first_mut() {
        if count < first.len() {
            *first = &first[count..];
            break;
        }
        count -= first.len();
        parts = &mut parts[1..];
    }
    parts
}
