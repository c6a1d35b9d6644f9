//! Every bound of this crate's core, with the attack or the waste it stops. The leaves' bounds stand in their files.

use std::time::Duration;

use afflux_metainfo::BLOCK_LENGTH;

/// Most readers of one torrent at once; a stream server that leaks readers must not make each pick slower.
pub const READERS_MAX: usize = 256;

/// Most peers whatever the configuration says: state per peer is a bitfield and a request list.
pub const PEERS_MAX: u32 = 2_000;

/// Most blocks asked of one peer at once, whatever its pipeline says (ours: the largest `reqq` we honour).
pub const OUTSTANDING_MAX: u32 = 2_000;

/// A queue of so many blocks is topped up in batches. It belongs to a peer of 8 MiB/s or more: slower ones get each request at once.
pub const DEEP_QUEUE: u32 = 256;

/// The batch is this part of the queue.
pub const DEEP_QUEUE_PARTS: u32 = 16;

/// Most blocks asked of one peer for a strategy that wants queues of a certain time: what a client that says nothing about
/// its queue is assumed to hold (BEP 10, `reqq`).
pub const QUEUE_DEPTH_MAX: u32 = 250;

/// Of the blocks that were taken back no more are reckoned to come: what the sockets between hold of a slow peer, 64 KiB. What
/// lay further back in its queue is dropped.
pub const LINGERING_MAX: u32 = 4;

/// While a reader waits: what a peer is asked for beyond a round trip.
pub const READER_SLACK: Duration = Duration::from_millis(50);

/// While a reader waits: least blocks asked of a peer at once.
pub const READER_DEPTH_MIN: u32 = 2;

/// The same for a peer that has sent nothing yet and whose link may not know yet that a reader waits.
pub const READER_DEPTH_UNKNOWN: u32 = 4;

/// Most peers asked for the same block at once: what a late block can cost in duplicates.
pub const ASKERS_MAX: usize = 3;

/// Most pieces open at once, whatever their length: bounds what a pick may look through when pieces are small.
pub const OPEN_PIECES_MAX: usize = 4_096;

/// Pieces that may be open whatever `open_bytes_max` says: with none, nothing would ever be fetched.
pub const OPEN_PIECES_MIN: usize = 1;

/// How long a peer isn't asked for a piece that it refused. Attack: a peer that rejects everything at once would be
/// asked without end.
pub const REFUSAL: Duration = Duration::from_secs(30);

/// Allowed-fast pieces remembered per peer (BEP 6 suggests ten).
pub const ALLOWED_FAST_MAX: usize = 64;

/// Default of `Config::duplicate_percent`: what other clients waste at the end of a download is more (4 to 14 %).
pub const DUPLICATE_PERCENT: u32 = 3;

/// Duplicates allowed on top of that: the first pieces matter most, and have no history, and a small download has an end
/// too.
pub const DUPLICATES_FREE_BYTES: u64 = 32 * BLOCK_LENGTH as u64;

/// Added to what a peer's history makes us expect, before a block counts as late.
pub const LATE_MARGIN: Duration = Duration::from_millis(100);

/// A late block is asked of a second peer only if a reader needs it within this time: before that, it may still come.
pub const LATE_HORIZON: Duration = Duration::from_secs(1);

/// A block that its peer itself is expected to bring so long after a reader needs it is as good as late.
pub const HOPELESS: Duration = Duration::from_millis(500);

/// A block moves from one peer's queue to another's only if it comes sooner by a quarter and this much: expectations
/// aren't more exact.
pub const PROMOTE_MARGIN: Duration = Duration::from_millis(30);

/// A piece of which so few blocks are still to come, and all of them asked for, is finished whatever a reader does.
pub const NEARLY_THERE_BLOCKS: u32 = 4;

/// A buffer that lasts so long is safe: then what the swarm needs comes before what the reader needs later.
pub const SAFE_SECONDS: u64 = 30;

/// Leechers per seed from which on what a seed sends twice is missed elsewhere (ours; with fewer, seeds can send everybody
/// what is due).
pub const CROWD_LEECHERS: usize = 2;

/// Seeds that send a leecher less than this part of what it reads, in percent, can't keep anybody's film going alone: they
/// are better asked for what the swarm lacks (ours: with 75, films that seeds can carry begin to pause; with 35, a swarm
/// around one slow seed has a fifth more pauses).
pub const SCARCE_PERCENT: u64 = 50;

/// How far ahead of a reader seeds are asked for pieces that only they have, where seeds are scarce: far enough that others
/// hardly ask for the same ones, near enough that they are needed soon (ours: with 10 s, twice as many pauses).
pub const SOWN_SECONDS: u64 = 60;

/// What leechers are asked for in order where seeds are scarce; the rest of what they have is fetched rarest first.
pub const SCARCE_AHEAD_SECONDS: u64 = 10;

/// What is read ahead of a reader that has only begun, where memory is no question.
pub const AHEAD_SECONDS: u64 = 10;

/// A playing reader's pieces come before those of readers that wait, if they're due within this time: it stops otherwise.
pub const GUARD: Duration = Duration::from_secs(2);

/// Of the rate at which peers send, what playing readers can be promised together, in percent.
pub const PROMISED_PERCENT: u64 = 95;

/// Readers that wait and that are served turn by turn, block by block; the others follow by the time they've waited. One
/// after the other is sooner for all, but the head and the tail of a film are of no use without each other.
pub const LANES: usize = 4;

/// How often late blocks are looked for while a reader needs them.
pub const LATE_TICK: Duration = Duration::from_millis(50);

/// How often everything that isn't driven by an event is looked at.
pub const TICK: Duration = Duration::from_secs(1);

/// Urgent blocks that may be held back for faster peers in one turn. Too few, and a slow peer that wants a block gets one that
/// twenty fast ones would have had sooner.
pub const HELD_BLOCKS_MAX: u32 = 512;

/// Bytes at a file's end where players look for an index; a reader that starts there gets all of it at once.
pub const TAIL_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes at a file's head and tail that stay in memory if there is room: where players return to.
pub const EDGE_BYTES: u64 = 8 * 1024 * 1024;

/// A reader that has read this much of its media since it came or jumped plays: a player's first look is less.
pub const SETTLED_SECONDS: u64 = 3;

/// Of a memory-kind torrent's memory, the part (one in so many) for what is read next.
pub const NEXT_SHARE: u64 = 8;

/// What lies beside films is due so long after it was wished for: later than what a player needs at once. On a link that is too slow
/// for the film somebody always waits, and subtitles must come all the same.
pub const BESIDE_PATIENCE: Duration = Duration::from_secs(5);

/// The same for what lies beside films, at most: subtitles are small, and a torrent that says otherwise takes no film's memory.
pub const BESIDE_SHARE: u64 = 8;

/// What a reader is assumed to play at when nobody knows: a high rate only makes its deadlines earlier.
pub const READER_RATE_DEFAULT: u64 = 2 * 1024 * 1024;

/// What a peer is assumed to send at before it has sent anything and no other peer tells.
pub const PEER_RATE_DEFAULT: u64 = 256 * 1024;

/// Least rate used in divisions; a peer below it is as good as silent.
pub const PEER_RATE_MIN: u64 = 1024;

/// A round trip that nobody has measured.
pub const ROUND_TRIP_DEFAULT: Duration = Duration::from_millis(100);

/// Peer ids of banned loopback peers that are remembered.
pub const SHUNNED_MAX: usize = 64;

/// Pieces with deadlines that are looked at in one turn, shared by the readers (one each at least).
pub const URGENT_PIECES_MAX: u32 = 64;

/// Open pieces of a reader's urgent band that are searched for late blocks.
pub const LATE_PROBES_MAX: usize = 64;

/// Blocks looked at for one that another peer is slow with, in the endgame.
pub const ENDGAME_PROBES_MAX: usize = 512;

/// Pieces looked at in the rarest-first buckets before falling back to the scan of the peer's own pieces.
pub const PROBES_MAX: usize = 64;

/// Open pieces looked at for a partial piece.
pub const PARTIAL_PROBES_MAX: usize = 64;

/// How often more addresses are asked for at most; a waiting reader shortens it.
pub const NEED_PEERS_INTERVAL: Duration = Duration::from_secs(60);

/// The same while a reader waits.
pub const NEED_PEERS_INTERVAL_WAITING: Duration = Duration::from_secs(15);

const _: () = assert!(OPEN_PIECES_MIN >= 1 && OPEN_PIECES_MAX > OPEN_PIECES_MIN);
const _: () = assert!(ASKERS_MAX >= 2);
