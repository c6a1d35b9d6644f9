//! Bounds on what a file may make us do, each with the attack it stops.

/// Bytes that one inspection keeps at once. A `moov` grows by 0.6 KB a second for each two tracks: 64 MiB are ten hours of a film
/// with many. A box or element that says it is longer is not read.
pub const INSPECTED_BYTES_MAX: usize = 64 << 20;

/// Reads of one inspection. A chain of boxes of eight bytes each would otherwise cost a piece each.
pub const READS_MAX: u32 = 512;

/// Bytes that one inspection asks for in all: whoever reads them may have to fetch them from a swarm.
pub const READ_BYTES_MAX: u64 = 128 << 20;

/// Boxes, elements, chunks and packets that one inspection looks at.
pub const ELEMENTS_MAX: u32 = 1 << 20;

/// Boxes or elements inside each other. Real files have nine.
pub const DEPTH_MAX: u32 = 16;

/// Tracks that are told of. A Blu-ray disc has a few dozen.
pub const TRACKS_MAX: usize = 128;

/// Points of an index: a key frame a second for eighteen hours, in a megabyte.
pub const POINTS_MAX: usize = 1 << 16;

/// Bytes of a track's title.
pub const TITLE_BYTES_MAX: usize = 256;

/// Bytes of a codec's name that we don't know.
pub const CODEC_BYTES_MAX: usize = 32;
