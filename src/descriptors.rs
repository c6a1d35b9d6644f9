//! How many files and sockets the process may have open.
//!
//! Most systems let a program begin with 1,024, for the sake of old ones that can't count further, and let it raise that
//! itself. Here every torrent holds a lock file, every connection is one more, and peers alone may be 200 per torrent. Like
//! the allocator's settings this is the binary's only: a program that uses the library decides for itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system allows.
pub(crate) fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If that's refused (some systems want a number), things stay as they are, and what can't be opened says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
