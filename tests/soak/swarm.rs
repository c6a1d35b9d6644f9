//! Many peers of both films: most have all of it, some have nothing and take what they can, slowly.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::film::{Film, content};

const BLOCK: u32 = 16 * 1024;
/// A message of a well-behaved client is no longer.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// One peer in so many takes rather than gives.
const TAKERS: u8 = 10;
/// How long a taker looks at each block: it holds up what is sent to it.
const TAKER_PAUSE: Duration = Duration::from_millis(50);
/// Requests that a taker has out.
const TAKER_DEPTH: u32 = 8;
/// `HAVE`, `BITFIELD`, … (BEP 3).
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const HAVE: u8 = 4;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;
const EXTENDED: u8 = 20;
/// Our id for `lt_donthave` (BEP 54).
const DONT_HAVE: u8 = 3;

pub(crate) struct Swarm {
    port: u16,
    peers: usize,
    resting: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

/// What a peer has to know of a film.
#[derive(Clone, Copy)]
struct Shared {
    info_hash: [u8; 20],
    pieces: u32,
    piece: u64,
}

impl Swarm {
    pub(crate) fn start(films: &[Film], peers: usize) -> Self {
        // One socket hears all of loopback, so each peer has an address of its own.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let shared: Vec<Shared> = films
            .iter()
            .map(|film| Shared {
                info_hash: film.info_hash,
                pieces: (film.length / film.piece) as u32,
                piece: film.piece,
            })
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let resting = Arc::new(AtomicBool::new(false));
        let (ended, rest) = (Arc::clone(&over), Arc::clone(&resting));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Relaxed) {
                    return;
                }
                let (Ok(stream), shared, rest) = (stream, shared.clone(), Arc::clone(&rest)) else {
                    continue;
                };
                std::thread::spawn(move || {
                    // The daemon may hang up at any moment.
                    let _ = greet(&stream, &shared, &rest);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, peers, resting, over }
    }

    /// From now on nobody takes anything.
    pub(crate) fn rest(&self) {
        self.resting.store(true, Relaxed);
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = String> {
        (0..self.peers).map(|nth| {
            format!("127.0.{}.{}:{}", 1 + nth / TAKERS as usize, 1 + nth % TAKERS as usize, self.port)
        })
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn greet(mut stream: &TcpStream, films: &[Shared], resting: &AtomicBool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut hello = [0; 68];
    stream.read_exact(&mut hello)?;
    let Some(film) = films.iter().find(|film| film.info_hash == hello[28..48]) else { return Ok(()) };
    let SocketAddr::V4(address) = stream.local_addr()? else { return Ok(()) };
    let mut answer = Vec::from(&b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\0"[..]);
    answer.extend(film.info_hash);
    let [_, _, third, last] = address.ip().octets();
    answer.extend(format!("-XX0001-{third:06}{last:06}").as_bytes());
    if last == 1 {
        let handshake = b"\0d1:md11:lt_donthavei3eee";
        answer.extend(message(EXTENDED, handshake));
        answer.extend(message(INTERESTED, &[]));
        stream.write_all(&answer)?;
        return take(stream, film, resting);
    }
    let mut bits = vec![0u8; film.pieces.div_ceil(8) as usize];
    (0..film.pieces).for_each(|piece| bits[piece as usize / 8] |= 0x80 >> (piece % 8));
    answer.extend(message(BITFIELD, &bits));
    answer.extend(message(UNCHOKE, &[]));
    stream.write_all(&answer)?;
    give(stream, film)
}

/// Serves whatever is asked.
fn give(mut stream: &TcpStream, film: &Shared) -> io::Result<()> {
    let mut body = Vec::new();
    loop {
        if receive(stream, &mut body)? != Some(REQUEST) {
            continue;
        }
        let (index, begin, length) = (number(&body, 1)?, number(&body, 5)?, number(&body, 9)?);
        let offset = u64::from(index) * film.piece + u64::from(begin);
        let mut answer = (9 + length).to_be_bytes().to_vec();
        answer.push(PIECE);
        answer.extend_from_slice(&body[1..9]);
        answer.extend_from_slice(&content(offset)[..length as usize]);
        stream.write_all(&answer)?;
    }
}

/// Asks for the pieces that it is told of, block by block.
fn take(mut stream: &TcpStream, film: &Shared, resting: &AtomicBool) -> io::Result<()> {
    let (mut known, mut body, mut next) = (Vec::new(), Vec::new(), 0u32);
    let (mut served, mut outstanding) = (false, 0u32);
    loop {
        match receive(stream, &mut body)? {
            Some(UNCHOKE) => (served, outstanding) = (true, 0),
            Some(0) => served = false,
            Some(HAVE) => known.push(number(&body, 1)?),
            Some(BITFIELD) => {
                let has = |piece: &u32| body[1 + *piece as usize / 8] & (0x80 >> (piece % 8)) != 0;
                known.extend((0..film.pieces).filter(has));
            }
            Some(EXTENDED) if body.get(1) == Some(&DONT_HAVE) => {
                let gone = number(&body, 2)?;
                known.retain(|piece| *piece != gone);
                outstanding = 0;
            }
            Some(PIECE) => {
                let offset = u64::from(number(&body, 1)?) * film.piece + u64::from(number(&body, 5)?);
                assert!(content(offset).starts_with(&body[9..]), "the daemon gave wrong bytes");
                outstanding = outstanding.saturating_sub(1);
                std::thread::sleep(TAKER_PAUSE);
            }
            _ => {}
        }
        while !resting.load(Relaxed) && served && outstanding < TAKER_DEPTH && !known.is_empty() {
            let blocks = film.piece as u32 / BLOCK;
            let piece = known[(next / blocks) as usize % known.len()];
            let request = [piece, next % blocks * BLOCK, BLOCK].map(u32::to_be_bytes).concat();
            stream.write_all(&message(REQUEST, &request))?;
            next = next.wrapping_add(1);
            outstanding += 1;
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 1).to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// The kind of the next message; its body, kind first, is in `body`. `None` for a keep-alive.
fn receive(mut stream: &TcpStream, body: &mut Vec<u8>) -> io::Result<Option<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    body.resize(length, 0);
    stream.read_exact(body)?;
    Ok(body.first().copied())
}

fn number(body: &[u8], at: usize) -> io::Result<u32> {
    let four = body.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_be_bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
