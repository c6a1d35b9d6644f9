//! A seeder that costs next to nothing and is the same for every client, with manners to choose from.
//!
//! BEP 3 and BEP 6 (fast extension), one torrent, no metadata, no uploads to it. It answers requests in their order; a
//! cancel takes back what isn't written to the socket yet, and the socket holds little.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use afflux_shim::bound_buffers;

use super::film::{BLOCK_BYTES, Film, Ledger};

/// A message longer than this is none that a client sends to a seeder.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Requests that may wait; what comes beyond is refused. libtorrent's own limit.
const REQUESTS_MAX: usize = 2000;

/// BEP 3: a peer that is silent for two minutes is given up.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(60);

/// The bit of the fast extension, in byte 7 of the reserved ones. BEP 6.
const FAST: u8 = 0x04;

/// What a seeder is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    Honest,
    /// Unchokes and never sends a block.
    Silent,
    /// Each block has a wrong byte.
    Corrupt,
}

/// A running seeder; ends when dropped.
#[derive(Debug)]
pub(crate) struct Seeder {
    pub(crate) addr: SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl Seeder {
    /// Seeds the first `pieces` of `film`.
    pub(crate) fn start(
        film: &Arc<Film>,
        ledger: &Arc<Ledger>,
        manner: Manner,
        pieces: u64,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let wares = Wares { film: Arc::clone(film), ledger: Arc::clone(ledger), manner, pieces, addr };
        thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                for socket in listener.incoming().map_while(Result::ok) {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let wares = wares.clone();
                    thread::spawn(move || wares.serve(&socket));
                }
            }
        });
        Ok(Self { addr, is_over })
    }
}

impl Drop for Seeder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

/// What is offered, and how.
#[derive(Clone)]
struct Wares {
    film: Arc<Film>,
    ledger: Arc<Ledger>,
    manner: Manner,
    pieces: u64,
    addr: SocketAddr,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Request {
    index: u32,
    begin: u32,
    length: u32,
}

#[derive(Default)]
struct Outbox {
    /// Messages that go first.
    control: Vec<u8>,
    requests: VecDeque<Request>,
    is_closed: bool,
}

/// The outbox, and word that there is something in it.
#[derive(Default)]
struct Post {
    outbox: Mutex<Outbox>,
    filled: Condvar,
}

impl Post {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, message: &[u8]) {
        self.outbox().control.extend_from_slice(message);
        self.filled.notify_one();
    }
}

impl Wares {
    /// One conversation. However it ends, the other side sees a closed connection.
    fn serve(&self, socket: &TcpStream) {
        let post = Post::default();
        let _ = bound_buffers(socket);
        let _ = socket.set_nodelay(true);
        thread::scope(|scope| {
            let Ok(is_fast) = self.shake_hands(socket) else { return };
            scope.spawn(|| {
                let _ = self.write(socket, &post);
                let _ = socket.shutdown(Shutdown::Both);
            });
            post.say(&self.bitfield());
            let _ = self.read(socket, &post, is_fast);
            post.outbox().is_closed = true;
            post.filled.notify_one();
            let _ = socket.shutdown(Shutdown::Both);
        });
    }

    /// Whether both speak the fast extension. The info-hash is the client's: there is only one torrent here.
    fn shake_hands(&self, mut socket: &TcpStream) -> io::Result<bool> {
        let mut theirs = [0; 68];
        socket.read_exact(&mut theirs)?;
        if theirs[..20] != *b"\x13BitTorrent protocol" {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut ours = theirs;
        ours[20..28].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, FAST]);
        ours[48..].copy_from_slice(format!("-XS0001-{:012}", self.addr.port()).as_bytes());
        socket.write_all(&ours)?;
        Ok(theirs[27] & FAST != 0)
    }

    fn bitfield(&self) -> Vec<u8> {
        let mut bits = vec![0u8; self.film.pieces().div_ceil(8) as usize];
        for piece in 0..self.pieces {
            bits[(piece / 8) as usize] |= 0x80 >> (piece % 8);
        }
        message(5, &bits)
    }

    fn read(&self, mut socket: &TcpStream, post: &Post, is_fast: bool) -> io::Result<()> {
        loop {
            let mut length = [0; 4];
            socket.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length) as usize;
            if length > MESSAGE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut body = vec![0; length];
            socket.read_exact(&mut body)?;
            match body.split_first() {
                Some((2, [])) => post.say(&message(1, &[])),
                Some((6, request)) => self.requested(read_request(request)?, post, is_fast),
                Some((8, request)) => cancelled(read_request(request)?, post, is_fast),
                _ => {}
            }
        }
    }

    fn requested(&self, request: Request, post: &Post, is_fast: bool) {
        if self.manner == Manner::Silent {
            return;
        }
        let end = u64::from(request.begin) + u64::from(request.length);
        let is_ours = u64::from(request.index) < self.pieces
            && end <= self.film.piece_bytes
            && u64::from(request.length) <= BLOCK_BYTES;
        let mut outbox = post.outbox();
        if is_ours && outbox.requests.len() < REQUESTS_MAX {
            outbox.requests.push_back(request);
        } else if is_fast {
            outbox.control.extend(reject(request));
        }
        post.filled.notify_one();
    }

    fn write(&self, mut socket: &TcpStream, post: &Post) -> io::Result<()> {
        loop {
            let (control, request) = {
                let outbox = post.outbox();
                let (mut outbox, waited) = post
                    .filled
                    .wait_timeout_while(outbox, KEEP_ALIVE_EVERY, |outbox| {
                        !outbox.is_closed && outbox.control.is_empty() && outbox.requests.is_empty()
                    })
                    .unwrap_or_else(PoisonError::into_inner);
                if outbox.is_closed {
                    return Ok(());
                }
                if waited.timed_out() {
                    outbox.control.extend([0; 4]);
                }
                let control = std::mem::take(&mut outbox.control);
                let request = if control.is_empty() { outbox.requests.pop_front() } else { None };
                (control, request)
            };
            socket.write_all(&control)?;
            if let Some(request) = request {
                socket.write_all(&self.block(request))?;
            }
        }
    }

    fn block(&self, request: Request) -> Vec<u8> {
        let offset = u64::from(request.index) * self.film.piece_bytes + u64::from(request.begin);
        let mut body = vec![0; 8 + request.length as usize];
        body[..4].copy_from_slice(&request.index.to_be_bytes());
        body[4..8].copy_from_slice(&request.begin.to_be_bytes());
        self.film.read(offset, &mut body[8..]);
        if self.manner == Manner::Corrupt {
            body[8] ^= 1;
        } else {
            self.ledger.note(offset);
        }
        message(7, &body)
    }
}

fn cancelled(request: Request, post: &Post, is_fast: bool) {
    let mut outbox = post.outbox();
    let Some(place) = outbox.requests.iter().position(|waiting| *waiting == request) else { return };
    outbox.requests.remove(place);
    if is_fast {
        outbox.control.extend(reject(request));
        post.filled.notify_one();
    }
}

fn read_request(body: &[u8]) -> io::Result<Request> {
    let (words, []) = body.as_chunks::<4>() else { return Err(io::ErrorKind::InvalidData.into()) };
    let [index, begin, length] = *words else { return Err(io::ErrorKind::InvalidData.into()) };
    let [index, begin, length] = [index, begin, length].map(u32::from_be_bytes);
    Ok(Request { index, begin, length })
}

fn reject(request: Request) -> Vec<u8> {
    let body = [request.index, request.begin, request.length].map(u32::to_be_bytes);
    message(16, body.as_flattened())
}

fn message(id: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 1;
    [&length.to_be_bytes(), &[id][..], body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 1024 * 1024;

    fn start(manner: Manner) -> (Arc<Film>, Arc<Ledger>, Seeder) {
        let film = Arc::new(Film::new(1, 4 * PIECE, PIECE));
        let ledger = Arc::new(Ledger::new(&film));
        let seeder = Seeder::start(&film, &ledger, manner, 3).unwrap();
        (film, ledger, seeder)
    }

    fn meet(seeder: &Seeder) -> TcpStream {
        let mut socket = TcpStream::connect(seeder.addr).unwrap();
        let mut hello = [0; 68];
        hello[..20].copy_from_slice(b"\x13BitTorrent protocol");
        hello[27] = FAST;
        socket.write_all(&hello).unwrap();
        socket.read_exact(&mut hello).unwrap();
        assert_eq!(receive(&mut socket), message(5, &[0b1110_0000]));
        socket.write_all(&message(2, &[])).unwrap();
        assert_eq!(receive(&mut socket), message(1, &[]));
        socket
    }

    fn receive(socket: &mut TcpStream) -> Vec<u8> {
        let mut length = [0; 4];
        socket.read_exact(&mut length).unwrap();
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut body).unwrap();
        [&length[..], &body].concat()
    }

    fn request(index: u32, begin: u32) -> Vec<u8> {
        message(6, [index, begin, BLOCK_BYTES as u32].map(u32::to_be_bytes).as_flattened())
    }

    #[test]
    fn an_honest_seeder_sends_what_it_has_and_rejects_the_rest() {
        let (film, ledger, seeder) = start(Manner::Honest);
        let mut socket = meet(&seeder);
        socket.write_all(&request(2, 16384)).unwrap();
        assert!(film.holds(2 * PIECE + 16384, &receive(&mut socket)[13..]));
        assert!(!ledger.is_fresh(2..3) && ledger.is_fresh(0..2));
        socket.write_all(&request(3, 0)).unwrap();
        assert_eq!(receive(&mut socket)[4], 16);
    }

    #[test]
    fn a_corrupt_seeder_spoils_each_block_and_isnt_counted() {
        let (film, ledger, seeder) = start(Manner::Corrupt);
        let mut socket = meet(&seeder);
        socket.write_all(&request(0, 0)).unwrap();
        let block = receive(&mut socket);
        assert!(!film.holds(0, &block[13..]) && film.holds(1, &block[14..]));
        assert!(ledger.is_fresh(0..4));
    }

    #[test]
    fn what_is_cancelled_in_time_is_rejected() {
        let (film, _, seeder) = start(Manner::Honest);
        let mut socket = meet(&seeder);
        // Nothing is read meanwhile, so that most of these wait in the seeder.
        for block in 0..64 {
            socket.write_all(&request(0, block * BLOCK_BYTES as u32)).unwrap();
        }
        let last = request(0, 63 * BLOCK_BYTES as u32);
        socket.write_all(&message(8, &last[5..])).unwrap();
        let answers: Vec<_> = (0..64).map(|_| receive(&mut socket)).collect();
        assert_eq!(answers.iter().filter(|answer| answer[4] == 16).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer[4] == 7).count(), 63);
        assert!(film.holds(0, &answers[0][13..]));
    }
}
