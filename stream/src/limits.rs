//! The bounds of this crate, each with the attack or the waste it stops.

use std::time::Duration;

/// Ranges in one request. A request of a few hundred bytes could otherwise ask for thousands of parts, each with a head
/// of its own (RFC 9110 section 17.15). No player sends more than one.
pub const RANGES_MAX: usize = 8;

/// Bytes of a `Range` header that are looked at. Eight ranges of two 20-digit numbers fit twice.
pub const RANGE_HEADER_BYTES_MAX: usize = 1024;

/// Bytes every part of a multipart answer has at least, when there are more than [`RANGES_TINY_MAX`]: a part's head costs about
/// as much, so that less is a flood, not a wish.
pub const RANGE_TINY_BYTES: u64 = 80;

/// Parts of one answer that may be tiny: a client may want the first and the last byte, or a few fields of a header.
pub const RANGES_TINY_MAX: usize = 4;

/// Entity tags looked at in one `If-Match` or `If-None-Match`; more are ignored, as if they didn't match.
pub const ETAGS_MAX: usize = 64;

/// Bytes in the opaque id of a media route. Longer ids are nobody's, and needn't reach the library.
pub const ID_BYTES_MAX: usize = 128;

/// Bytes of a file name that go into `Content-Disposition`: three times as many when percent-encoded, and still within
/// what clients accept as one header.
pub const NAME_BYTES_MAX: usize = 255;

/// Bytes in all headers of a request, names and values. Stops a client from making us hold more.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Headers in a request.
pub const HEADERS_MAX: usize = 64;

/// Bytes hyper may buffer per connection and direction: bounds what a client makes us hold before its head is refused, and how
/// much of a body waits in user space for a slow socket. Four blocks are enough for one gathered write.
pub const CONNECTION_BUFFER_BYTES: usize = 64 * 1024;

/// Most bytes asked of a reader at once: one frame of a body, and what a slow socket holds on to.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of a file that the kernel is asked to send at once, for a reader that reads on. They hold no memory of ours; each
/// time costs a look at the file and a word to the torrent.
pub const FILE_PART_BYTES_MAX: usize = 4 * 1024 * 1024;

/// `SO_SNDBUF` of a connection whose client reads on and gets its bytes from files: what waits there is the file's own memory,
/// and the longer it lasts the rarer we are woken. Measured with 16 clients, MiB per CPU second: 4,660 with what the kernel chooses,
/// 4,920 with half of this, 5,680 with this. Only where the system allows it (`net.core.wmem_max`): less would be less than what
/// the kernel chooses by itself.
pub const FILE_SEND_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Parallel requests on one HTTP/2 connection. One connection must not stand for hundreds of readers.
pub const H2_STREAMS_MAX: u32 = 16;

/// How long a shutdown waits for answers under way. A film never ends in this time, short answers do.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// How long an idle connection is kept.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// How often a connection is looked at for a client that left behind the bytes of a next request. Bounds how long such a client
/// holds a place and a reader that waits.
pub const HANG_UP_LOOK: Duration = Duration::from_secs(1);

/// Connections that may wait in the kernel's queue while all slots are taken: a player's burst of opens, of many players at once.
pub const ACCEPT_BACKLOG: u32 = 256;

/// Pause after `accept` failed for want of descriptors or memory, so that the loop doesn't spin.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Readers of one session at once. Browsers open six connections, and a player that looks through a file a dozen one after the
/// other; a client that opens hundreds would make each of its events slower for all.
pub const SESSION_READERS_MAX: usize = 32;

/// News of a session that wait for its owner. One input makes fewer than ten, and they are drained after each.
pub const SESSION_OUTPUTS_MAX: usize = 64;

/// Bytes kept of what a client calls itself.
pub const CLIENT_BYTES_MAX: usize = 256;

/// Handshakes of TLS under way. They hold no place of a connection; at this number nobody is accepted until one ends.
pub const HANDSHAKES_MAX: usize = 64;

/// The same of one address (of IPv6, one /64). A browser opens six connections to a host; a quarter of all places isn't enough for
/// one attacker to keep everybody out.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 16;

/// How long a handshake may take: a few round trips, on the slowest of lines. Attack: clients that never finish one.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a certificate's or key's file. A chain of four has 8 KiB; a wrong path may name anything.
pub const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Certificates of a chain; more would be sent to every client in vain.
pub const CERTIFICATES_MAX: usize = 16;

/// Hops looked at in `Forwarded` and `X-Forwarded-For`. Honest chains have one to three; attack: headers of thousands.
pub const FORWARDED_HOPS_MAX: usize = 16;

/// Bytes of a request id taken over from a proxy: a UUID has 36.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Bytes of a client's text in one field of the log. Attack: filling the disk with paths of 16 KiB.
pub const LOGGED_BYTES_MAX: usize = 512;

const _: () = assert!(HANDSHAKES_PER_ADDRESS_MAX < HANDSHAKES_MAX);
/// Files of a torrent that are worth a warning: releases have hundreds, collections a few thousand.
pub const TORRENT_FILES_MANY: usize = 10_000;

/// Files of a torrent that are looked at for patterns; a .torrent of 10 MiB could name a quarter of a million.
pub const TORRENT_FILES_JUDGED: usize = 20_000;

/// Users whose doings are counted, some 400 bytes each. Tokens name users, so only who mints them can name more.
pub const SUSPICION_USERS_MAX: usize = 4096;

/// Sessions of which the same is counted.
pub const SUSPICION_SESSIONS_MAX: usize = 4096;

const _: () = assert!(HEADER_BYTES_MAX < CONNECTION_BUFFER_BYTES);
const _: () = assert!(RANGES_TINY_MAX < RANGES_MAX);
const _: () = assert!(FRAME_BYTES_MAX <= FILE_PART_BYTES_MAX);
