//! The way of a file's bytes around hyper: the kernel sends them from the file to the socket, and nobody copies them.
//!
//! hyper writes frames of memory and knows no files. So a body that has a [`FilePart`] to send promises it to the connection's
//! [`Outlet`] and hands hyper a *token*: a frame of that length, cut from one static run of memory, whose content means nothing.
//! hyper puts tokens in order among other bytes, counts them, and hands them on to the socket by address; the socket knows a
//! token by its address and sends the promised bytes in its place.
//!
//! That holds as long as nobody between body and socket copies frames. hyper's HTTP/1 doesn't with a socket that writes vectors
//! (its queue strategy), HTTP/2 does: only requests of HTTP/1 are given an outlet. Not here: what may be sent so (`library`).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::library::FilePart;
use crate::limits::FILE_PART_BYTES_MAX;

/// What tokens are cut from. Never read, so it takes address space and no memory.
static TOKENS: [u8; FILE_PART_BYTES_MAX] = [0; FILE_PART_BYTES_MAX];

/// Parts of files promised to one connection, in their order; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlet(Arc<Mutex<VecDeque<FilePart>>>);

impl Outlet {
    /// Whether this system can do it at all.
    pub(crate) const WORKS: bool = cfg!(target_os = "linux");

    /// Promises a part; its token is for hyper. One longer than [`FILE_PART_BYTES_MAX`] isn't taken.
    pub(crate) fn promise(&self, part: FilePart) -> Option<Bytes> {
        let length = usize::try_from(part.length).ok()?;
        let token = TOKENS.get(..length).filter(|token| !token.is_empty())?;
        self.parts().push_back(part);
        Some(Bytes::from_static(token))
    }

    /// Sends what the first promise still owes, at most `length` bytes, to a socket that doesn't block.
    ///
    /// # Errors
    /// The socket's or the file's. One that was cut short can't keep the promise: the connection is to be cut.
    pub(crate) fn send(&self, socket: impl AsFd, length: usize) -> io::Result<usize> {
        let Some(mut part) = self.parts().pop_front() else {
            return Err(io::Error::other("a token without a promise"));
        };
        let most = usize::try_from(part.length).map_or(length, |left| left.min(length));
        let outcome = system::send(socket, &part, most);
        if let Ok(sent) = outcome {
            part.offset += sent as u64;
            part.length -= sent as u64;
        }
        if part.length > 0 {
            self.parts().push_front(part);
        }
        match outcome {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            outcome => outcome,
        }
    }

    fn parts(&self) -> MutexGuard<'_, VecDeque<FilePart>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether bytes are (part of) a token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && TOKENS.as_ptr_range().contains(&bytes.as_ptr())
}

/// How many slices go before the first token.
pub(crate) fn before_token(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().position(|slice| is_token(slice)).unwrap_or(slices.len())
}

#[cfg(target_os = "linux")]
mod system {
    use super::{AsFd, FilePart, io};

    pub(super) fn send(socket: impl AsFd, part: &FilePart, length: usize) -> io::Result<usize> {
        let mut offset = part.offset;
        let send = || rustix::fs::sendfile(&socket, &*part.file, Some(&mut offset), length);
        Ok(rustix::io::retry_on_intr(send)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{AsFd, FilePart, io};

    pub(super) fn send(_: impl AsFd, _: &FilePart, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
