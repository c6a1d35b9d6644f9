//! Peers that shake hands and then keep silent: leechers that have nothing, ask for nothing, and stay.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};

/// BEP 3: who is silent for two minutes is given up.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(60);

/// What is said to them is read so often; nothing of it matters but the handshake and the end.
const READ_EVERY: Duration = Duration::from_millis(250);

/// The next one dials when this one's handshake is answered, or after this: some clients take one peer a second.
const TURN: Duration = Duration::from_millis(50);

/// How long all of them may take to be answered. Who isn't by then is counted as not taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// BEP 3.
const HANDSHAKE_BYTES: usize = 68;

/// Reserved bits: extension protocol (BEP 10), fast extension (BEP 6).
const RESERVED: [u8; 8] = [0, 0, 0, 0, 0, 0x10, 0, 0x04];

/// Have none (BEP 6).
const HAVE_NONE: [u8; 5] = [0, 0, 0, 1, 15];

/// A handshake of BEP 10 that offers nothing.
const EXTENDED: &[u8] = b"\0\0\0\x09\x14\0d1:mdee";

/// Each has an address in a network of its own, and there are so many in 127.0.2.0 and above.
const PEERS_MAX: u16 = 64_000;

/// Peers; they hang up when this is dropped.
#[derive(Debug)]
pub(crate) struct IdlePeers {
    connected: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl IdlePeers {
    /// Connects `count` peers, up to [`PEERS_MAX`], each from an address of its own, to who shares `info_hash` at `target`.
    /// How many it takes is its own business.
    pub(crate) fn connect(target: SocketAddr, info_hash: [u8; 20], count: u16) -> Result<Self> {
        if count > PEERS_MAX {
            bail!("{count} peers are more than there are addresses for");
        }
        let mut peers = Vec::with_capacity(usize::from(count));
        for nth in 0..count {
            match Peer::dial(target, info_hash, nth) {
                Ok(peer) => peers.push(peer),
                Err(error) if nth == 0 => return Err(error).context("not even the first peer is taken"),
                Err(_) => {}
            }
        }
        let connected = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (connected, is_over) = (Arc::clone(&connected), Arc::clone(&is_over));
            move || stay(peers, &connected, &is_over)
        });
        let peers = Self { connected, is_over, thread: Some(thread) };
        let give_up = Instant::now() + PATIENCE;
        while peers.connected() < usize::from(count) && Instant::now() < give_up {
            thread::sleep(READ_EVERY);
        }
        Ok(peers)
    }

    /// How many were answered and haven't been hung up on.
    pub(crate) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }
}

impl Drop for IdlePeers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Peer {
    socket: TcpStream,
    /// Their handshake, as far as it came.
    theirs: Vec<u8>,
}

impl Peer {
    fn dial(target: SocketAddr, info_hash: [u8; 20], nth: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let [high, low] = nth.to_be_bytes();
        // A network of its own: many clients take only so many connections from one.
        socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, low, 2 + high, 1)), 0).into())?;
        socket.connect_timeout(&target.into(), PATIENCE)?;
        let mut socket = TcpStream::from(socket);
        let id = format!("-XI0001-{nth:012}");
        let ours = [b"\x13BitTorrent protocol", &RESERVED[..], &info_hash, id.as_bytes()];
        socket.write_all(&ours.concat())?;
        socket.set_nonblocking(true)?;
        let mut peer = Self { socket, theirs: Vec::new() };
        let since = Instant::now();
        while peer.is_there() && !peer.is_answered() && since.elapsed() < TURN {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(peer)
    }

    fn is_answered(&self) -> bool {
        self.theirs.len() == HANDSHAKE_BYTES
    }

    /// Takes what there is; whether they are still there.
    fn is_there(&mut self) -> bool {
        let mut part = [0; 4096];
        loop {
            match self.socket.read(&mut part) {
                Ok(0) => return false,
                Ok(count) => {
                    if !self.heard(&part[..count]) {
                        return false;
                    }
                }
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Whether what there is to say to it could be said.
    fn heard(&mut self, bytes: &[u8]) -> bool {
        if self.is_answered() {
            return true;
        }
        let more = bytes.len().min(HANDSHAKE_BYTES - self.theirs.len());
        self.theirs.extend_from_slice(&bytes[..more]);
        if !self.is_answered() {
            return true;
        }
        let extended = if self.theirs[25] & RESERVED[5] != 0 { EXTENDED } else { &[] };
        let have_none = if self.theirs[27] & RESERVED[7] != 0 { &HAVE_NONE[..] } else { &[] };
        self.say(&[extended, have_none].concat())
    }

    fn say(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }
}

/// Takes what comes and says that all are alive, until it is over.
fn stay(mut peers: Vec<Peer>, connected: &AtomicUsize, is_over: &AtomicBool) {
    let mut said_at = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let says = said_at.elapsed() >= KEEP_ALIVE_EVERY;
        if says {
            said_at = Instant::now();
        }
        peers.retain_mut(|peer| peer.is_there() && (!says || !peer.is_answered() || peer.say(&[0; 4])));
        connected.store(peers.iter().filter(|peer| peer.is_answered()).count(), Ordering::Relaxed);
        thread::sleep(READ_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn peers_stay_until_they_are_hung_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let serve = |_| {
                let (mut socket, from) = listener.accept().unwrap();
                let mut theirs = [0; 68];
                socket.read_exact(&mut theirs).unwrap();
                assert_eq!(theirs[28..48], [7; 20]);
                socket.write_all(&theirs).unwrap();
                (socket, from.ip())
            };
            (0..3).map(serve).collect::<Vec<_>>()
        });
        let peers = IdlePeers::connect(target, [7; 20], 3).unwrap();
        let mut held = server.join().unwrap();
        assert!(held[0].1 != held[1].1 && held[1].1 != held[2].1);
        let mut said = [0; 18];
        held[0].0.read_exact(&mut said).unwrap();
        assert_eq!(said[..], [EXTENDED, &HAVE_NONE].concat());
        assert_eq!(usize::from(EXTENDED[3]), EXTENDED.len() - 4);
        assert_eq!(peers.connected(), 3);
        held.pop();
        while peers.connected() > 2 {
            thread::sleep(Duration::from_millis(10));
        }
    }
}
