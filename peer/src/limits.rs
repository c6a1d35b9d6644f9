//! Every bound on what a peer may ask of us or make us hold, with the attack it stops.

use std::time::Duration;

use afflux_metainfo::BLOCK_LENGTH;
use afflux_metainfo::bencode::Limits;
use afflux_metainfo::limits::{BENCODE_DIGITS_MAX, METADATA_BYTES_MAX, PIECES_MAX};

/// Both handshakes must be done within this; for whoever accepts and dials. Attack: sockets held open by
/// peers that never speak.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// We send something at least this often (BEP 3: peers close connections that are silent for two minutes).
pub const KEEP_ALIVE: Duration = Duration::from_secs(100);

/// The keep-alives of a connection come up to this much earlier, by its seed, so that those of connections
/// made in the same moment don't leave in the same moment for ever.
pub const KEEP_ALIVE_SPREAD: Duration = Duration::from_secs(10);

/// A peer that sends nothing for this long is gone. BEP 3 has keep-alives every two minutes; the rest is for
/// the way. Attack: idle connections that fill the table.
pub const PEER_SILENT_MAX: Duration = Duration::from_secs(150);

/// A peer that takes none of our bytes for this long is gone. Attack: closed receive windows that pin send
/// buffers.
pub const TRANSMIT_STALL_MAX: Duration = Duration::from_secs(120);

/// A piece of metadata that was asked and hasn't come counts as rejected after this. Attack: a peer that
/// accepts metadata requests and never answers.
pub const METADATA_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Longest message, behind its length prefix. Attack: a length of 4 GiB, in the hope that we allocate it.
pub const MESSAGE_BYTES_MAX: u32 = 1 << 20;

/// Longest extension message. The longest honest one is 16 KiB of metadata behind its dictionary. Attack: a
/// megabyte of buffer per connection, filled a byte at a time.
pub const EXTENDED_BYTES_MAX: u32 = 64 * 1024;

/// Longest block that we serve (BEP 3: 16 KiB; those who ask for more may be cut off). Attack: one small
/// request that makes us read and queue a whole piece.
pub const SERVED_BLOCK_BYTES_MAX: u32 = BLOCK_LENGTH;

/// Requests that a peer queues if it doesn't say: as many as libtorrent asks of such peers, with which every client has to live
/// (its `max_out_request_queue`; BEP 10 names an older default of it, 250). With 250 a peer that sends 1 GiB/s waited for requests
/// half of the time.
pub const PEER_REQQ_DEFAULT: u32 = 500;

/// Most requests that we have outstanding with one peer, whatever it says it queues: 31 MiB under way.
/// Attack: a `reqq` of 2^31.
pub const OUTSTANDING_MAX: u32 = 2_000;

/// Withdrawn requests that we remember, so that their late blocks and rejects aren't held against the peer.
pub const WITHDRAWN_MAX: usize = 2_000;

/// Most requests that we queue for one peer, whatever the configuration says. Attack: a request flood.
pub const REQQ_MAX: u32 = 2_000;

/// Events that may wait before messages are no longer taken. Attack: one segment full of `have`.
pub const EVENTS_WAITING_MAX: usize = 1_024;

/// Bytes of answers that may wait to be sent before messages are no longer taken. Attack: a peer that asks
/// and never reads.
pub const ANSWERS_WAITING_BYTES_MAX: usize = 512 * 1024;

/// Requests refused because the peer was choked or not interested, before it is dropped. To those comes our
/// queue's length, once the peer has been served: requests cross with the choke.
pub const CHOKED_REQUESTS_MAX: u32 = 300;

/// Requests for what can't exist, before the peer is shut out. A client with a wrong idea of the last piece
/// asks a few.
pub const INVALID_REQUESTS_MAX: u32 = 50;

/// Requests beyond our announced queue, before the peer is dropped; each block served takes one off.
pub const EXCESS_REQUESTS_MAX: u32 = 2_000;

/// Pieces that are remembered after the peer was told that they're gone: its requests for them crossed that word and are
/// nobody's fault. More than go within a round trip.
pub const GONE_PIECES_MAX: usize = 32;

/// Payload that nobody asked, before the peer is dropped. A sixteenth of what it sent and we wanted comes to
/// this, for a long talk with a client that is a little wrong.
pub const UNREQUESTED_BYTES_MAX: u64 = 1 << 20;

/// Rejects for what nobody asked, before the peer is dropped.
pub const UNREQUESTED_REJECTS_MAX: u32 = 2_000;

/// Changes of choke and interest in a burst. Attack: flapping, where each change costs us a walk over
/// requests.
pub const FLIPS_BURST_MAX: u32 = 100;

/// One more such change is forgiven in this time.
pub const FLIP_FORGIVEN: Duration = Duration::from_millis(500);

/// Interest is taken back only after we have wanted nothing for this long (ours). Among peers that get pieces as fast as
/// we do it comes and goes several times a second, which others take for an attack, as we do.
pub const DISINTEREST_DELAY: Duration = Duration::from_secs(5);

/// Haves kept while the metadata, and so the number of pieces, is unknown. Attack: `have` with all 2^32
/// indices.
pub const EARLY_HAVES_MAX: usize = 65_536;

/// Extension handshakes of one peer. BEP 10 allows repeats, for changes.
pub const EXTENSION_HANDSHAKES_MAX: u32 = 100;

/// Bytes of messages that we don't know. They cost nothing but the reading of them.
pub const UNKNOWN_BYTES_MAX: u64 = 16 << 20;

/// Characters kept of the peer's name.
pub const CLIENT_NAME_CHARS_MAX: usize = 64;

/// Pieces in the allowed-fast set that we give (BEP 6: "we currently set k to 10").
pub const ALLOWED_FAST_GIVEN: u32 = 10;

/// Times an allowed-fast piece is served to a choked peer. Attack: the same free piece for ever.
pub const ALLOWED_FAST_TIMES_MAX: u32 = 3;

/// Pieces that a peer may allow us; more are ignored.
pub const ALLOWED_FAST_TAKEN_MAX: usize = 64;

/// Bytes in a piece of metadata (BEP 9).
pub const METADATA_PIECE_BYTES: u32 = 16 * 1024;

/// Metadata requests outstanding with one peer; more are returned to the caller as rejected.
pub const METADATA_OUTSTANDING_MAX: usize = 64;

/// Times that the whole metadata is served to one peer; further requests are rejected (BEP 9 names a factor
/// as protection against floods).
pub const METADATA_SERVED_TIMES_MAX: u32 = 4;

/// Metadata requests that are rejected before the peer is dropped.
pub const METADATA_REJECTS_MAX: u32 = 1_000;

/// Most bytes of the send buffer that we fill ahead of the socket.
pub const WATERMARK_BYTES_MAX: u32 = 1 << 20;

/// Bytes of the send buffer that we fill ahead even of a slow peer.
pub const WATERMARK_BYTES_MIN: u32 = 32 * 1024;

/// What an extension handshake or the head of a metadata message may cost. Attack: a nesting bomb
/// (CVE-2020-8437 was one, in exactly this message).
pub const EXTENSION_BENCODE: Limits =
    Limits { bytes: EXTENDED_BYTES_MAX as usize, depth: 8, tokens: 1_000, digits: BENCODE_DIGITS_MAX };

const _: () = assert!(PIECES_MAX.div_ceil(8) < MESSAGE_BYTES_MAX, "the largest bitfield is a message");
const _: () =
    assert!((PIECES_MAX / 8) as usize * 3 / 2 < ANSWERS_WAITING_BYTES_MAX, "our own bitfield is no flood");
const _: () = assert!(METADATA_PIECE_BYTES < EXTENDED_BYTES_MAX, "a piece of metadata is a message");
const _: () = assert!(METADATA_BYTES_MAX <= u32::MAX as usize, "sizes of metadata are u32 here");
const _: () = assert!(SERVED_BLOCK_BYTES_MAX <= WATERMARK_BYTES_MIN, "a block fits below the watermark");
