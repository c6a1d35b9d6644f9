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

/// The latest time in a film, in microseconds: a year, far beyond any and far from overflowing what it is added to.
pub const MICROS_MAX: u64 = 366 * 24 * 3600 * 1_000_000;

/// Bytes of the EBML header and of a Matroska `Info`, of which both say a few dozen.
pub const INFO_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a Matroska `SeekHead`. Of the second kind that lists every Cluster, twenty bytes for each.
pub const SEEK_HEAD_BYTES_MAX: u64 = 1 << 20;

/// Matroska `SeekHead`s that are followed: each names the next one, and could name itself.
pub const SEEK_HEADS_MAX: u32 = 4;

/// Bytes of Matroska `Tracks`. The greatest have the heads of dozens of scripts with drawings in them.
pub const TRACKS_BYTES_MAX: u64 = 8 << 20;

/// Bytes of Matroska `Cues`: fifty for each of four tracks at [`POINTS_MAX`] times, and as much again.
pub const CUES_BYTES_MAX: u64 = 32 << 20;

/// Children of a Matroska Segment that are hopped over on the way to its first Cluster. Each may cost a read; files have ten.
pub const HOPS_MAX: u32 = 64;

/// Bytes of a subtitle's script head that are kept for a track.
pub const SCRIPT_BYTES_MAX: usize = 1 << 20;

/// Bytes that every block of a Matroska track may have had taken from its front. mkvmerge takes up to four; since they are put
/// back into each block, many would make a small file a great one.
pub const STRIPPED_BYTES_MAX: usize = 16;

/// Bytes of one subtitle. Drawings in SubStation Alpha have tens of thousands; what is longer is left out.
pub const SUBTITLE_BLOCK_BYTES_MAX: u64 = 256 << 10;

const _: () = assert!(TRACKS_BYTES_MAX + CUES_BYTES_MAX < INSPECTED_BYTES_MAX as u64);
const _: () = assert!(HOPS_MAX < READS_MAX / 2);

/// Bytes of a release's name that are looked at. File systems allow 255; a longer one is an attack or a story.
pub const NAME_BYTES_MAX: usize = 1024;

/// Folders above a file that may say what it is. A path of a thousand would cost as many names.
pub const FOLDERS_MAX: usize = 6;

/// Seasons that one name may say: "S1-S9999" would fill a list for each file.
pub const SEASONS_MAX: usize = 100;

/// Episodes that one name may say. The longest series have not many more, and nobody packs them whole.
pub const EPISODES_MAX: usize = 2000;

/// Bytes of a parameter set that are read. One with all its scaling lists has less than two thousand.
pub const PARAMETER_SET_BYTES_MAX: usize = 4096;

/// NAL units in which a parameter set is looked for. The first of a stream that is whole is understood.
pub const PARAMETER_SETS_MAX: usize = 64;

/// A side of a picture, in pixels: more than any level of H.265 has (16888 across, level 7.2), so that widths times heights stay
/// small numbers.
pub const PICTURE_SIDE_MAX: u32 = 1 << 15;

/// Pictures in a second. What says that it has more is damaged.
pub const FRAME_RATE_MAX: f64 = 1000.0;

/// Bytes at the start of a transport stream in which its tables and first key frame are looked for: half a second of a Blu-ray
/// disc at its highest rate, two of a broadcast. Mostly the first 64 KiB are enough.
pub const TS_HEAD_BYTES_MAX: u64 = 1 << 20;

/// Bytes at the end of a transport stream in which its last time is looked for.
pub const TS_TAIL_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a transport stream that are looked at together: one has a time in it at up to 20 Mbit/s.
pub const TS_WINDOW_BYTES: u64 = 64 << 10;

/// Programs of a transport stream. A whole satellite channel has about as many, a film one.
pub const PROGRAMS_MAX: usize = 16;

/// Bytes at the start of a picture or of some sound in which parameters are looked for: they come before any slice.
pub const ELEMENTARY_BYTES_MAX: usize = 16 << 10;

/// Bytes of a transport stream in a row without a time before a search for one turns to another place.
pub const TS_PROBE_BYTES_MAX: u64 = 512 << 10;

/// Bytes of Clusters or fragments in a row without the start of one: ffmpeg ends a Cluster at 5 MiB, and a fragment of ten seconds
/// at 4 Mbit/s has as many.
pub const PROBE_BYTES_MAX: u64 = 6 << 20;

/// Bytes of one read of a search that goes on where the last one ended. The first has [`TS_WINDOW_BYTES`], each that follows twice
/// as many.
pub const SEARCH_WINDOW_BYTES_MAX: u64 = 256 << 10;

/// Bytes before a place that is no key frame in which one is looked for: ten seconds at 3 Mbit/s.
pub const LOOK_BACK_BYTES_MAX: u64 = 4 << 20;

/// Reads of a search for a time. It ends with the best place so far.
pub const SEARCH_READS_MAX: u32 = 64;

/// Bytes of a search for a time in all: two of the widest gaps, and the way back to a key frame. Whoever reads them may have to
/// fetch them from a swarm.
pub const SEARCH_BYTES_MAX: u64 = 2 * PROBE_BYTES_MAX + LOOK_BACK_BYTES_MAX;

/// Bytes at the end of a file in which its last Cluster or fragment is looked for, if nothing says how long the film is.
pub const TAIL_BYTES_MAX: u64 = PROBE_BYTES_MAX;

/// Points that searches learnt: each of them leaves about ten, and a thousand are less than ten seconds apart in most films.
pub const LEARNT_POINTS_MAX: usize = 1024;

const _: () =
    assert!(TS_WINDOW_BYTES <= SEARCH_WINDOW_BYTES_MAX && FRAGMENT_BYTES_MAX <= SEARCH_WINDOW_BYTES_MAX);
const _: () = assert!(PROBE_BYTES_MAX / SEARCH_WINDOW_BYTES_MAX < SEARCH_READS_MAX as u64 / 2);

/// Bytes of an AVI's headers. Those of a film with eight tracks and room for their indexes have 40 KB.
pub const AVI_HEADERS_BYTES_MAX: u64 = 1 << 20;

/// Bytes of an AVI's `INFO` that are read.
pub const AVI_INFO_BYTES_MAX: u64 = 64 << 10;

/// Bytes of an `idx1`, and of all standard indexes together: a film of four hours has 15 MB, at 16 bytes a frame and 63 frames of
/// pictures and sound a second. Of more, the beginning is of use.
pub const AVI_INDEX_BYTES_MAX: u64 = 16 << 20;

/// Chunks of a RIFF file that are passed over, each a read: headers, `INFO`, padding, `movi`, `idx1` are five.
pub const AVI_CHUNKS_MAX: u32 = 64;

/// Standard indexes that are read, each a read somewhere in the film: one for each gigabyte, or one for a few minutes.
pub const AVI_STANDARD_INDEXES_MAX: usize = 128;

/// Bytes of a subtitle file. A long film's text is 200 KB, one with every sign typeset a few megabytes.
pub const SUBTITLE_BYTES_MAX: usize = 10 << 20;

/// Cues of a subtitle. A long film has three thousand, one with every sign typeset tens of thousands; each costs memory beyond its
/// text.
pub const CUES_MAX: usize = 1 << 17;

/// Bytes of one cue's text: a screen holds a few hundred letters. What is beyond is left out.
pub const CUE_BYTES_MAX: usize = 8 << 10;

/// Lines of one cue, comment or style sheet: they are kept until all are there, and a line may be a single byte.
pub const CUE_LINES_MAX: usize = 4096;

/// Bytes of a subtitle that is written. Escapes, and tags that end and begin again, make a file longer, but no honest one four
/// times as long.
pub const SUBTITLE_WRITTEN_BYTES_MAX: usize = 4 * SUBTITLE_BYTES_MAX;

/// Milliseconds at which the last cue may end: a hundred hours, so that hours have two digits. Later cues are dropped.
pub const CUE_END_MS_MAX: u64 = 100 * 3_600_000 - 1;

/// Bytes of the name of a cue, a voice, a class or a region. A style repeats them for each part of the text that it is changed in.
pub const CUE_NAME_BYTES_MAX: usize = 64;

/// Tags inside each other in a cue.
pub const CUE_DEPTH_MAX: usize = 16;

/// Styles that a SubStation Alpha file defines.
pub const CUE_STYLES_MAX: usize = 4096;

/// Bytes of all comments, styles and regions of a WebVTT file.
pub const CUE_PREAMBLE_BYTES_MAX: usize = 64 << 10;

/// Subtitle files that one video is said to have. The largest packs have fifty languages, in three forms each.
pub const SIDECARS_MAX: usize = 256;

/// Bytes of a path that is looked at as a subtitle's. File systems allow 255 for a name, and a name is compared with others once
/// for each of its separators.
pub const SIDECAR_PATH_BYTES_MAX: usize = 1024;

/// Bytes of text that are kept of one track of a film, and of all its tracks together: a film's text is 200 KB a language, and
/// discs have fifty. A track that has more is given up.
pub const TEXT_TRACK_BYTES_MAX: usize = SUBTITLE_BYTES_MAX;
/// The same of all tracks of a film.
pub const TEXT_BYTES_MAX: usize = 48 << 20;

/// What a text costs beside its bytes, so that empty ones aren't free.
pub const TEXT_OVERHEAD_BYTES: usize = 128;

/// Samples of text in an MP4, and gaps between them, of which it is known where they are before they are read; each costs fifty
/// bytes. They are enough for fifty languages, or for one of which every sign is typeset. A track that has more is given up.
pub const TEXT_SAMPLES_MAX: usize = 1 << 18;

/// Places of a film from which its text is looked for at once. Each costs a hundred bytes, and a question each time more of the
/// film may be there.
pub const TEXT_WALKS_MAX: usize = 4096;

/// Bytes between such places where an index names none: what is behind a gap of one piece needn't wait for it.
pub const TEXT_SPAN_BYTES: u64 = 16 << 20;

/// Bytes read where a Matroska element or an MP4 box begins: a page, so that small blocks of sound that follow each other cost one
/// read, and a picture behind them is hopped over. Measured with a film of 9 Mbit/s: 11 % of it in 29 reads for each of its
/// seconds; a quarter as much reads 5 % in 53, four times as much 36 % in 24, and 64 KiB 72 % in 12.
pub const TEXT_AHEAD_BYTES: u64 = 4 << 10;

/// Bytes read at once where it isn't known what begins where, and of samples of text that lie near each other.
pub const TEXT_SEARCH_BYTES: u64 = 64 << 10;

/// Bytes between samples of text that are read with them rather than twice.
pub const TEXT_GAP_BYTES: u64 = 4 << 10;

const _: () = assert!(TEXT_BYTES_MAX > TEXT_TRACK_BYTES_MAX);
const _: () = assert!(TEXT_TRACK_BYTES_MAX as u64 > SUBTITLE_BLOCK_BYTES_MAX);
