//! What a file may cost that ffprobe is asked about, each with the attack it stops.

use std::time::Duration;

/// ffprobes at once. Each may use all of its memory: a list of hostile files must not be this many times as many.
pub(super) const PROBES_MAX: usize = 2;

/// How long one may run, waiting for its bytes included. An honest file takes a tenth of a second once its bytes are there; one that is
/// no end of nothing keeps a place until then.
pub(super) const TIME_MAX: Duration = Duration::from_secs(20);

/// Seconds of a processor: a loop that a file makes ends with them, whatever becomes of us.
pub(super) const CPU_SECONDS_MAX: u32 = 10;

/// KiB of address space. ffprobe and its libraries take 300 MiB of it before the first byte; a file may say that it needs gigabytes.
pub(super) const MEMORY_KIB_MAX: u32 = 768 * 1024;

/// Open files and sockets; ffprobe has eight.
pub(super) const FILES_MAX: u32 = 32;

/// Bytes of the file that it may read. What it looks at is bounded by [`PROBED_BYTES`]; this is for one that seeks around.
pub(super) const READ_BYTES_MAX: u64 = 16 << 20;

/// Requests that it may make, one for each place in the file: a chain of headers that lead to each other would cost a piece each.
pub(super) const REQUESTS_MAX: u32 = 64;

/// Bytes from the file's start in which it looks for tracks.
pub(super) const PROBED_BYTES: u64 = 2 << 20;

/// Microseconds of the film in which it looks for what it doesn't know of a track yet.
pub(super) const ANALYSED_MICROSECONDS: u64 = 5_000_000;

/// Bytes of its answer: a hundred tracks have 60 KB.
pub(super) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Bytes kept of its complaints, for the log. A damaged file makes megabytes of them.
pub(super) const COMPLAINT_BYTES_MAX: usize = 2 << 10;

/// Bytes that are wanted of the swarm at once: ffprobe reads through some parts and seeks away from others, and what was
/// fetched beyond is wasted.
pub(super) const STEP_BYTES: u64 = 128 << 10;

/// Send buffer of its connections, for the same reason: what lies there was read from the file.
pub(super) const SEND_BUFFER_BYTES: u32 = 64 << 10;

const _: () = assert!(PROBED_BYTES < READ_BYTES_MAX / 2);
