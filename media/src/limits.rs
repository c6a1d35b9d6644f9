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

/// How far before a key frame the sound of its time may lie and still be read with it. Programs interleave by a second at most.
pub const INTERLEAVED_BYTES_MAX: u64 = 8 << 20;

/// Segment indexes (`sidx`) of a fragmented MP4, those in each other included: each may be a read.
pub const SEGMENT_INDEXES_MAX: usize = 32;

/// Bytes of a `sidx` or `mfra`: 65535 segments of twelve bytes are the most that the former can say.
pub const FRAGMENT_INDEX_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a `moof`: a quarter of an hour of pictures in one fragment.
pub const FRAGMENT_BYTES_MAX: u64 = 256 << 10;

/// Boxes of a fragmented MP4 that are hopped over for want of an index: a fragment is two or more, and costs a read.
pub const FRAGMENT_BOXES_MAX: u32 = 256;
