//! One announce to one UDP tracker, as a machine (BEP 15, BEP 41).
//!
//! ```text
//!              connect sent                announce sent
//!   new ──► Connecting ── id came ──► Announcing ── reply came ──► Done
//!     └── a fresh id is known ───────────▲   │
//!                  ▲                         │ the id is too old, or a remembered one was refused
//!                  └─────────────────────────┘
//! ```
//! In both waiting states the request is sent again after 15 s · 2^n (BEP 15) until the attempt's time is over.
//! Not here: the socket, the name's resolution, the wait between attempts ([`crate::tiers`]).

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::announce::{AnnounceRequest, Event, Reply, ReplyError, printable};
use crate::limits;
use crate::random::Random;

/// BEP 15: the constant that opens a connect request.
const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// BEP 15: action numbers.
const ACTION_CONNECT: u32 = 0;
const ACTION_ANNOUNCE: u32 = 1;
const ACTION_ERROR: u32 = 3;
/// BEP 41: a piece of the URL's path and query.
const OPTION_URL_DATA: u8 = 2;

/// A tracker's proof that our address is ours, and when it came (BEP 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId {
    id: u64,
    received_at: Instant,
}

impl ConnectionId {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.received_at) < limits::CONNECTION_ID_LIFE
    }
}

/// Connection ids of several trackers, so that announces of many torrents to one tracker share them.
#[derive(Clone, Debug, Default)]
pub struct ConnectionIds {
    by_server: BTreeMap<SocketAddr, ConnectionId>,
}

impl ConnectionIds {
    /// An id of this server that may still be used.
    pub fn find(&self, server: SocketAddr, now: Instant) -> Option<ConnectionId> {
        self.by_server.get(&server).copied().filter(|id| id.is_fresh(now))
    }

    /// Remembers what [`Client::connection_id`] says. Stale ids go first when there is no room; then this one
    /// isn't kept, which costs a round trip later.
    pub fn remember(&mut self, server: SocketAddr, id: ConnectionId, now: Instant) {
        if self.by_server.len() >= limits::CONNECTION_IDS_MAX {
            self.by_server.retain(|_, id| id.is_fresh(now));
        }
        if self.by_server.len() < limits::CONNECTION_IDS_MAX || self.by_server.contains_key(&server) {
            self.by_server.insert(server, id);
        }
    }

    /// Forgets the id of a server that doesn't take it any more.
    pub fn forget(&mut self, server: SocketAddr) {
        self.by_server.remove(&server);
    }
}

/// What a client is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The tracker's address; its family decides the form of the reply (BEP 15).
    pub server: SocketAddr,
    /// What to announce.
    pub request: AnnounceRequest,
    /// Path and query of the tracker's URL (BEP 41); empty for none.
    pub path_and_query: String,
    /// An id that is still fresh saves a round trip.
    pub connection_id: Option<ConnectionId>,
    /// Time for the whole attempt.
    pub timeout: Duration,
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram to the server.
    Send(Vec<u8>),
    /// The attempt is over; said once, and last.
    Done(Result<Reply, ReplyError>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    /// `remembered`: the id came from the cache, so its refusal may only mean that the tracker restarted.
    Announcing {
        id: ConnectionId,
        remembered: bool,
    },
    Done,
}

/// One announce under way.
#[derive(Debug)]
pub struct Client {
    config: Config,
    random: Random,
    state: State,
    /// Id of the request under way. Retransmissions keep it, so that a late answer to an earlier one counts.
    transaction: u32,
    /// Times the request under way was sent again.
    retransmissions: u32,
    retransmit_at: Instant,
    gives_up_at: Instant,
    /// The newest id, for [`Self::connection_id`].
    received: Option<ConnectionId>,
    outputs: VecDeque<Output>,
}

impl Client {
    /// Starts; the first datagram waits in [`Self::poll_output`]. `seed` must be unpredictable to others: transaction
    /// ids come from it, and they are what keeps strangers from answering in the tracker's name.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let known = config.connection_id.filter(|id| id.is_fresh(now));
        let mut client = Self {
            gives_up_at: now + config.timeout,
            config,
            random: Random::new(seed),
            state: State::Connecting,
            transaction: 0,
            retransmissions: 0,
            retransmit_at: now,
            received: None,
            outputs: VecDeque::new(),
        };
        client.enter(known.map_or(State::Connecting, |id| State::Announcing { id, remembered: true }), now);
        client
    }

    /// Takes a datagram. Whatever isn't the awaited answer to the newest request, from the server itself, is
    /// ignored: anyone can send us a datagram.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let Some((action, transaction, body)) = split_header(bytes) else { return };
        if from != self.config.server || transaction != self.transaction {
            return;
        }
        match (self.state, action) {
            (State::Connecting, ACTION_CONNECT) => {
                let Some(id) = body.first_chunk::<8>() else { return };
                let id = ConnectionId { id: u64::from_be_bytes(*id), received_at: now };
                self.received = Some(id);
                self.enter(State::Announcing { id, remembered: false }, now);
            }
            (State::Announcing { .. }, ACTION_ANNOUNCE) => {
                if let Some(reply) = self.parse_announce(body) {
                    self.finish(reply);
                }
            }
            (State::Announcing { remembered: true, .. }, ACTION_ERROR) => self.enter(State::Connecting, now),
            (State::Connecting | State::Announcing { .. }, ACTION_ERROR) => {
                self.finish(Err(ReplyError::Rejected(printable(body))));
            }
            _ => {}
        }
    }

    /// To be called at [`Self::deadline`]; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.state == State::Done {
            return;
        }
        if now >= self.gives_up_at {
            self.finish(Err(ReplyError::TimedOut));
        } else if now >= self.retransmit_at {
            match self.state {
                State::Announcing { id, .. } if !id.is_fresh(now) => self.enter(State::Connecting, now),
                _ => {
                    self.retransmissions += 1;
                    self.send(now);
                }
            }
        }
    }

    /// What to do next; call until `None` after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due; `None` once the attempt is over.
    pub fn deadline(&self) -> Option<Instant> {
        (self.state != State::Done).then(|| self.retransmit_at.min(self.gives_up_at))
    }

    /// An id for the next announce to the same server, if this attempt got one.
    pub fn connection_id(&self) -> Option<ConnectionId> {
        self.received
    }

    /// Begins a request. The count of retransmissions goes on when the id grew old while we waited (the example
    /// "announce times out" of BEP 15), and starts anew after an answer.
    fn enter(&mut self, state: State, now: Instant) {
        let expired = matches!(self.state, State::Announcing { id, .. } if !id.is_fresh(now));
        self.retransmissions = if expired { self.retransmissions + 1 } else { 0 };
        self.state = state;
        self.transaction = self.random.next_u32();
        self.send(now);
    }

    fn send(&mut self, now: Instant) {
        let datagram = match self.state {
            State::Connecting => self.connect_request(),
            State::Announcing { id, .. } => self.announce_request(id),
            State::Done => return,
        };
        let doublings = self.retransmissions.min(limits::RETRANSMISSIONS_MAX);
        self.retransmit_at = now + limits::RETRY_FIRST * (1 << doublings);
        self.outputs.push_back(Output::Send(datagram));
    }

    fn finish(&mut self, result: Result<Reply, ReplyError>) {
        self.state = State::Done;
        self.outputs.push_back(Output::Done(result));
    }

    fn connect_request(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        out.extend_from_slice(&PROTOCOL_ID.to_be_bytes());
        out.extend_from_slice(&ACTION_CONNECT.to_be_bytes());
        out.extend_from_slice(&self.transaction.to_be_bytes());
        out
    }

    fn announce_request(&self, id: ConnectionId) -> Vec<u8> {
        let request = &self.config.request;
        let mut out = Vec::with_capacity(98 + self.config.path_and_query.len() + 8);
        out.extend_from_slice(&id.id.to_be_bytes());
        out.extend_from_slice(&ACTION_ANNOUNCE.to_be_bytes());
        out.extend_from_slice(&self.transaction.to_be_bytes());
        out.extend_from_slice(&request.info_hash.0);
        out.extend_from_slice(&request.peer_id.0);
        out.extend_from_slice(&request.downloaded.to_be_bytes());
        out.extend_from_slice(&request.left.to_be_bytes());
        out.extend_from_slice(&request.uploaded.to_be_bytes());
        out.extend_from_slice(&event_number(request.event).to_be_bytes());
        // BEP 15: our address, 0 for the one the datagram comes from.
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&request.key.to_be_bytes());
        // BEP 15: -1 leaves the number of peers to the tracker.
        let numwant = request.numwant.map_or(-1, |wanted| i32::try_from(wanted).unwrap_or(i32::MAX));
        out.extend_from_slice(&numwant.to_be_bytes());
        out.extend_from_slice(&request.port.to_be_bytes());
        push_url_data(&mut out, self.config.path_and_query.as_bytes());
        out
    }

    /// The body of an announce reply; `None` if it is too short to be one.
    fn parse_announce(&self, body: &[u8]) -> Option<Result<Reply, ReplyError>> {
        let (head, peers) = body.split_first_chunk::<12>()?;
        let [interval, incomplete, complete] = [0, 4, 8].map(|at| be_u32(head, at));
        // The wire's number is 32 bits without a sign in BEP 15; trackers written with one mean a negative.
        let mut reply = Reply::new(Some(i64::from(interval as i32)), None);
        (reply.complete, reply.incomplete) = (Some(complete), Some(incomplete));
        let added = match self.config.server.ip().to_canonical().is_ipv4() {
            true => reply.add_compact_v4(peers),
            false => reply.add_compact_v6(peers),
        };
        Some(added.map(|()| reply))
    }
}

/// Action, transaction id, and what follows.
fn split_header(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (head, body) = bytes.split_first_chunk::<8>()?;
    Some((be_u32(head, 0), be_u32(head, 4), body))
}

/// The number at `at`, which the caller knows to be inside.
fn be_u32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// BEP 15 numbers events in its own order.
fn event_number(event: Event) -> u32 {
    match event {
        Event::None => 0,
        Event::Completed => 1,
        Event::Started => 2,
        Event::Stopped => 3,
    }
}

/// BEP 41: path and query in options of at most 255 bytes. One that is too long is left out: half of a passkey is
/// none.
fn push_url_data(out: &mut Vec<u8>, path_and_query: &[u8]) {
    if path_and_query.len() > limits::URL_DATA_BYTES_MAX {
        return;
    }
    for part in path_and_query.chunks(255) {
        out.push(OPTION_URL_DATA);
        out.push(part.len() as u8);
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
