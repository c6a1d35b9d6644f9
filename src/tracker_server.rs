//! A small HTTP tracker inside this process: the meeting place of `afflux demo`'s swarm, and of tests.
//!
//! It answers `/announce` (BEP 3) with compact peers of both families (BEP 7, BEP 23) and nothing else: no scrape,
//! no UDP, nothing kept on disk. A peer is known by the address its announce comes from and the port it names; it
//! is forgotten when it says `stopped` or isn't heard of for two intervals. Every table is bounded, and
//! so are connections and the time a request may take, although only loopback is expected to ask.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use afflux_metainfo::bencode::Writer;
use afflux_metainfo::{InfoHash, PeerId};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

/// Torrents known at once. Attack: announces of made-up hashes.
const TORRENTS_MAX: usize = 1000;

/// Peers known of one torrent. Attack: announces of made-up peers.
const PEERS_MAX: usize = 1000;

/// Peers in one reply, whatever is wanted.
const NUMWANT_MAX: usize = 200;

/// Peers in one reply to a client that doesn't say.
const NUMWANT_DEFAULT: usize = 50;

/// Connections served at once; further ones wait unaccepted.
const CONNECTIONS_MAX: usize = 256;

/// Time for a request's headers, also between two requests of a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request's line and headers.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Wait after a failing accept (no file handles left), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often clients are told to announce.
const INTERVAL: Duration = Duration::from_secs(300);

/// A tracker that serves until it is dropped.
#[derive(Debug)]
pub struct TrackerServer {
    address: SocketAddr,
    swarms: Arc<Mutex<Swarms>>,
    _task: AbortOnDropHandle<()>,
}

impl TrackerServer {
    /// Listens on `address` (port 0: any that is free).
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let swarms = Arc::new(Mutex::new(Swarms::default()));
        let task = tokio::spawn(accept(listener, Arc::clone(&swarms)));
        Ok(Self { address, swarms, _task: AbortOnDropHandle::new(task) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to put into torrents.
    pub fn announce_url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// Peers known of a torrent now.
    pub fn peers(&self, info_hash: InfoHash) -> Vec<SocketAddr> {
        let swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        let swarm = swarms.by_hash.get(&info_hash);
        swarm.into_iter().flat_map(|swarm| swarm.peers.values().map(|peer| peer.address)).collect()
    }
}

/// Takes connections, never more than [`CONNECTIONS_MAX`] at once.
async fn accept(listener: TcpListener, swarms: Arc<Mutex<Swarms>>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let swarms = Arc::clone(&swarms);
                connections.spawn(async move {
                    serve(stream, from, swarms).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the tracker can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, swarms: Arc<Mutex<Swarms>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, from.ip(), &swarms);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%from, %error, "a connection to the tracker ended early");
    }
}

fn respond(request: &Request<Incoming>, from: IpAddr, swarms: &Mutex<Swarms>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/announce" {
        return text(StatusCode::NOT_FOUND, "this tracker answers /announce only\n");
    }
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "an announce is a GET\n");
    }
    let body = match Announce::parse(request.uri().query().unwrap_or(""), from) {
        // A leaf lock: the table is touched and left, nothing is awaited.
        Ok(announce) => swarms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .announce(&announce, Instant::now())
            .unwrap_or_else(failure),
        Err(reason) => failure(reason),
    };
    text(StatusCode::OK, body)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
    response
}

fn failure(reason: &'static str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.dict(|dict| {
        dict.bytes("failure reason").bytes(reason);
    });
    writer.finish()
}

/// What an announce says (BEP 3).
#[derive(Debug)]
struct Announce {
    info_hash: InfoHash,
    peer_id: PeerId,
    address: SocketAddr,
    left: u64,
    stopped: bool,
    numwant: usize,
}

impl Announce {
    /// Reads the query; the error is the failure reason to send. An address in the query is ignored: a stranger
    /// could name a victim.
    fn parse(query: &str, from: IpAddr) -> Result<Self, &'static str> {
        let mut info_hash = None;
        let mut peer_id = None;
        let mut port = None;
        let (mut left, mut stopped, mut numwant) = (1, false, NUMWANT_DEFAULT);
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "info_hash" => info_hash = percent_decode(value),
                "peer_id" => peer_id = percent_decode(value),
                "port" => port = value.parse().ok().filter(|&port: &u16| port != 0),
                "left" => left = value.parse().map_err(|_| "left is no number")?,
                "event" => stopped = value == "stopped",
                "numwant" => numwant = value.parse().unwrap_or(NUMWANT_DEFAULT),
                _ => {}
            }
        }
        Ok(Self {
            info_hash: InfoHash(info_hash.ok_or("info_hash is missing or not 20 bytes")?),
            peer_id: PeerId(peer_id.ok_or("peer_id is missing or not 20 bytes")?),
            address: SocketAddr::new(from.to_canonical(), port.ok_or("port is missing or out of range")?),
            left,
            stopped,
            numwant: numwant.min(NUMWANT_MAX),
        })
    }
}

/// Exactly 20 bytes, or nothing.
fn percent_decode(text: &str) -> Option<[u8; 20]> {
    let mut bytes = text.bytes();
    let mut decoded = [0; 20];
    for slot in &mut decoded {
        *slot = match bytes.next()? {
            b'%' => {
                let digits = [char::from(bytes.next()?), char::from(bytes.next()?)];
                let [high, low] = digits.map(|digit| digit.to_digit(16));
                (high? << 4 | low?) as u8
            }
            b'+' => b' ',
            plain => plain,
        };
    }
    bytes.next().is_none().then_some(decoded)
}

#[derive(Debug, Default)]
struct Swarms {
    by_hash: BTreeMap<InfoHash, Swarm>,
}

#[derive(Debug, Default)]
struct Swarm {
    /// By id and family: a peer with both announces over both, with one id (BEP 7).
    peers: BTreeMap<(PeerId, bool), Peer>,
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    complete: bool,
    seen_at: Instant,
}

impl Swarms {
    /// Notes an announce and answers it; the error is a failure reason.
    fn announce(&mut self, announce: &Announce, now: Instant) -> Result<Vec<u8>, &'static str> {
        if !self.by_hash.contains_key(&announce.info_hash) && self.by_hash.len() >= TORRENTS_MAX {
            self.expire(now);
            if self.by_hash.len() >= TORRENTS_MAX {
                return Err("this tracker is full");
            }
        }
        let swarm = self.by_hash.entry(announce.info_hash).or_default();
        swarm.expire(now);
        swarm.note(announce, now)?;
        let reply = swarm.reply(announce);
        if swarm.peers.is_empty() {
            self.by_hash.remove(&announce.info_hash);
        }
        Ok(reply)
    }

    fn expire(&mut self, now: Instant) {
        self.by_hash.retain(|_, swarm| {
            swarm.expire(now);
            !swarm.peers.is_empty()
        });
    }
}

impl Swarm {
    fn expire(&mut self, now: Instant) {
        self.peers.retain(|_, peer| now.saturating_duration_since(peer.seen_at) < 2 * INTERVAL);
    }

    fn note(&mut self, announce: &Announce, now: Instant) -> Result<(), &'static str> {
        let key = (announce.peer_id, announce.address.is_ipv6());
        if announce.stopped {
            self.peers.remove(&key);
            return Ok(());
        }
        if !self.peers.contains_key(&key) && self.peers.len() >= PEERS_MAX {
            return Err("this torrent has too many peers here");
        }
        let peer = Peer { address: announce.address, complete: announce.left == 0, seen_at: now };
        self.peers.insert(key, peer);
        Ok(())
    }

    fn reply(&self, announce: &Announce) -> Vec<u8> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let wanted = if announce.stopped { 0 } else { announce.numwant };
        // A seed has no use for other seeds.
        let useful = |peer: &Peer| !(peer.complete && announce.left == 0);
        let others = self.peers.iter().filter(|((id, _), peer)| *id != announce.peer_id && useful(peer));
        for (_, peer) in others.take(wanted) {
            let out = match peer.address.ip() {
                IpAddr::V4(ip) => push(&mut v4, &ip.octets()),
                IpAddr::V6(ip) => push(&mut v6, &ip.octets()),
            };
            out.extend_from_slice(&peer.address.port().to_be_bytes());
        }
        let complete = self.peers.values().filter(|peer| peer.complete).count();
        let mut writer = Writer::new();
        writer.dict(|dict| {
            dict.bytes("complete").int(complete as i64);
            dict.bytes("incomplete").int((self.peers.len() - complete) as i64);
            dict.bytes("interval").int(INTERVAL.as_secs() as i64);
            dict.bytes("peers").bytes(&v4);
            dict.bytes("peers6").bytes(&v6);
        });
        writer.finish()
    }
}

fn push<'a>(out: &'a mut Vec<u8>, bytes: &[u8]) -> &'a mut Vec<u8> {
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use afflux_tracker::http::parse_reply;

    use super::*;

    fn query(id: char, extra: &str) -> String {
        format!("info_hash={}&peer_id={}&port=6881{extra}", "%0a".repeat(20), id.to_string().repeat(20))
    }

    fn announce(swarms: &mut Swarms, from: &str, query: &str, now: Instant) -> Vec<SocketAddr> {
        let announce = Announce::parse(query, from.parse().unwrap()).unwrap();
        parse_reply(&swarms.announce(&announce, now).unwrap()).unwrap().peers
    }

    #[test]
    fn peers_meet_and_part() {
        let (mut swarms, now) = (Swarms::default(), Instant::now());
        assert_eq!(announce(&mut swarms, "127.0.0.1", &query('a', ""), now), []);
        let met = announce(&mut swarms, "::1", &query('b', "&left=0"), now);
        assert_eq!(met, ["127.0.0.1:6881".parse().unwrap()]);
        let met = announce(&mut swarms, "127.0.0.1", &query('a', ""), now);
        assert_eq!(met, ["[::1]:6881".parse().unwrap()]);
        let met = announce(&mut swarms, "127.0.0.2", &query('c', "&left=0"), now);
        assert_eq!(met, ["127.0.0.1:6881".parse().unwrap()], "seeds don't need seeds");
        announce(&mut swarms, "::1", &query('b', "&event=stopped"), now);
        announce(&mut swarms, "127.0.0.2", &query('c', "&event=stopped"), now);
        assert_eq!(announce(&mut swarms, "127.0.0.1", &query('a', ""), now), []);
        announce(&mut swarms, "127.0.0.1", &query('a', "&event=stopped"), now);
        assert!(swarms.by_hash.is_empty());
    }

    #[test]
    fn silent_peers_are_forgotten() {
        let (mut swarms, now) = (Swarms::default(), Instant::now());
        announce(&mut swarms, "127.0.0.1", &query('a', ""), now);
        let later = now + 2 * INTERVAL;
        assert_eq!(announce(&mut swarms, "127.0.0.1", &query('b', ""), later), []);
    }

    #[test]
    fn tables_are_bounded() {
        let (mut swarms, now) = (Swarms::default(), Instant::now());
        let mut request = Announce::parse(&query('a', ""), "127.0.0.1".parse().unwrap()).unwrap();
        for number in 0..=TORRENTS_MAX {
            request.info_hash.0[..8].copy_from_slice(&number.to_be_bytes());
            assert_eq!(swarms.announce(&request, now).is_ok(), number < TORRENTS_MAX);
        }
        request.info_hash.0[..8].copy_from_slice(&0usize.to_be_bytes());
        for number in 0..=PEERS_MAX {
            request.peer_id.0[..8].copy_from_slice(&number.to_be_bytes());
            let taken = swarms.announce(&request, now).is_ok();
            // One peer is there from above.
            assert_eq!(taken, number < PEERS_MAX - 1, "{number}");
        }
        request.numwant = NUMWANT_MAX;
        request.peer_id.0[..8].copy_from_slice(&0usize.to_be_bytes());
        let reply = parse_reply(&swarms.announce(&request, now).unwrap()).unwrap();
        assert_eq!(reply.peers.len(), NUMWANT_MAX);
    }

    #[test]
    fn wrong_announces_are_told_why() {
        let parse = |query: &str| Announce::parse(query, "127.0.0.1".parse().unwrap()).map(|_| ());
        assert!(parse(&query('a', "&numwant=99999999999&ip=1.2.3.4")).is_ok());
        assert!(parse("").unwrap_err().contains("info_hash"));
        assert!(parse(&query('a', "").replace("%0a", "%0")).unwrap_err().contains("info_hash"));
        assert!(parse(&query('a', "&peer_id=short")).unwrap_err().contains("peer_id"));
        assert!(parse(&query('a', "&port=0")).unwrap_err().contains("port"));
        assert!(parse(&query('a', "&left=-1")).unwrap_err().contains("left"));
    }
}
