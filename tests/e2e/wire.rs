//! A seeder written by hand from BEP 3, so that it can misbehave: send wrong bytes, fall silent, die. It speaks no
//! extension, keeps a rate, and remembers which bytes it has given away.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 16 * 1024;
/// A request longer than this breaks the customs of every client.
const REQUEST_BYTES_MAX: usize = 128 * 1024;
/// What a message of a well-behaved downloader may be at most here.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What the seeder does when it is asked for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Sends them.
    Honest,
    /// Sends other bytes.
    Corrupt,
    /// Takes the requests and never answers.
    Silent,
    /// Sends this many bytes, then hangs up and listens no more.
    DiesAfter(usize),
    /// Has so many pieces from the first on, and sends those.
    #[allow(dead_code, reason = "only the service's tests have such a peer")]
    HasFirst(usize),
}

/// What is shared.
pub(crate) struct Content {
    pub(crate) info_hash: [u8; 20],
    pub(crate) piece_length: usize,
    pub(crate) bytes: Vec<u8>,
    /// Where they are instead, of what is too long for the memory.
    file: Option<(File, usize)>,
}

impl Content {
    /// A single file under the hash that `afflux inspect` told.
    pub(crate) fn new(info_hash: &str, piece_length: usize, bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { info_hash: digits(info_hash), piece_length, bytes, file: None })
    }

    /// The same of a file, which stays where it is.
    #[allow(dead_code, reason = "only the tests with players have films as long as that")]
    pub(crate) fn of_file(info_hash: &str, piece_length: usize, path: &Path) -> Arc<Self> {
        let file = File::open(path).expect("our own file");
        let length = file.metadata().expect("our own file").len() as usize;
        let (info_hash, file) = (digits(info_hash), Some((file, length)));
        Arc::new(Self { info_hash, piece_length, bytes: Vec::new(), file })
    }

    fn length(&self) -> usize {
        self.file.as_ref().map_or(self.bytes.len(), |(_, length)| *length)
    }

    fn block(&self, from: usize, length: usize) -> Option<Vec<u8>> {
        let Some((file, _)) = &self.file else {
            return self.bytes.get(from..from.checked_add(length)?).map(<[u8]>::to_vec);
        };
        let mut block = vec![0; length];
        file.read_exact_at(&mut block, from as u64).ok()?;
        Some(block)
    }
}

fn digits(info_hash: &str) -> [u8; 20] {
    let digit = |at: usize| u8::from_str_radix(&info_hash[at..at + 2], 16).expect("hex");
    std::array::from_fn(|nth| digit(2 * nth))
}

/// A running seeder; it stops when dropped.
pub(crate) struct Seeder {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    content: Arc<Content>,
    manner: Manner,
    bytes_per_second: usize,
    stopped: AtomicBool,
    given: Mutex<Given>,
}

/// What went out, over all connections.
#[derive(Default)]
struct Given {
    /// One flag per block of the file.
    blocks: Vec<bool>,
    /// Where the blocks that were asked for begin, in the order in which they were.
    order: Vec<usize>,
    asked: usize,
    bytes: usize,
    /// The rate is kept by not sending before this moment.
    next: Option<Instant>,
}

impl Seeder {
    /// Starts one on an address of loopback; each seeder should have its own (127.0.0.x), as peers have.
    pub(crate) fn start(ip: &str, content: &Arc<Content>, manner: Manner, bytes_per_second: usize) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let blocks = vec![false; content.length().div_ceil(BLOCK_BYTES)];
        let state = Arc::new(State {
            content: Arc::clone(content),
            manner,
            bytes_per_second,
            stopped: AtomicBool::new(false),
            given: Mutex::new(Given { blocks, ..Given::default() }),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || listen(&listener, &shared));
        Self { address, state }
    }

    /// Dials a downloader on loopback instead of waiting to be dialled.
    pub(crate) fn dial(&self, port: u16) {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the downloader listens");
        let state = Arc::clone(&self.state);
        std::thread::spawn(move || {
            let _ = (&stream).write_all(&hello(&stream, &state)).and_then(|()| converse(&stream, &state));
            let _ = stream.shutdown(Shutdown::Both);
        });
    }

    /// How many bytes it has sent, right or wrong.
    pub(crate) fn given_bytes(&self) -> usize {
        self.given().bytes
    }

    /// How many blocks it was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.given().asked
    }

    /// Where the blocks that it was asked for begin, in that order.
    #[allow(dead_code, reason = "only the service's tests look at it")]
    pub(crate) fn order(&self) -> Vec<usize> {
        self.given().order.clone()
    }

    /// Whether any of these bytes of the file has left it.
    pub(crate) fn has_given(&self, from: usize, to: usize) -> bool {
        let blocks = &self.given().blocks;
        let end = to.div_ceil(BLOCK_BYTES).min(blocks.len());
        blocks[(from / BLOCK_BYTES).min(end)..end].iter().any(|given| *given)
    }

    fn given(&self) -> std::sync::MutexGuard<'_, Given> {
        self.state.given.lock().expect("no holder panics")
    }
}

impl Drop for Seeder {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn listen(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.stopped.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            // The other side may hang up at any moment: that ends the conversation and nothing else.
            let _ = answer(&stream, &state);
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

/// The conversation with one that dialled: its handshake is read first, as a real seeder must.
fn answer(mut stream: &TcpStream, state: &State) -> std::io::Result<()> {
    let mut theirs = [0; 48];
    stream.read_exact(&mut theirs)?;
    if theirs[28..48] != state.content.info_hash {
        return Ok(());
    }
    stream.write_all(&hello(stream, state))?;
    stream.read_exact(&mut [0; 20])?;
    talk(stream, state)
}

/// The conversation with one that was dialled, from its handshake on.
fn converse(mut stream: &TcpStream, state: &State) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 68])?;
    talk(stream, state)
}

/// Handshake, bitfield, unchoke.
fn hello(stream: &TcpStream, state: &State) -> Vec<u8> {
    let content = &state.content;
    let port = stream.local_addr().map_or(0, |address| address.port());
    let mut bytes = Vec::from(&b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0"[..]);
    bytes.extend(content.info_hash);
    bytes.extend(format!("-XX0001-{port:012}").as_bytes());
    bytes.extend(message(5, &bitfield(content, state.manner)));
    bytes.extend(message(1, &[]));
    bytes
}

fn talk(stream: &TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    while !state.stopped.load(Ordering::Relaxed) {
        let Some((kind, body)) = receive(stream)? else { continue };
        if kind == 6 && !serve(stream, state, &body)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers one request in the seeder's manner; false: the conversation is over.
fn serve(mut stream: &TcpStream, state: &State, body: &[u8]) -> std::io::Result<bool> {
    let number =
        |at: usize| body.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().expect("4")) as usize);
    let (Some(index), Some(begin), Some(length)) = (number(0), number(4), number(8)) else {
        return Ok(false);
    };
    let from = index * state.content.piece_length + begin;
    if length > REQUEST_BYTES_MAX {
        return Ok(false);
    }
    let Some(mut block) = state.content.block(from, length) else { return Ok(false) };
    {
        let mut given = state.given.lock().expect("no holder panics");
        given.asked += 1;
        given.order.push(from);
        match state.manner {
            Manner::Silent => return Ok(true),
            Manner::DiesAfter(bytes) if given.bytes >= bytes => {
                state.stopped.store(true, Ordering::Relaxed);
                return Ok(false);
            }
            Manner::Corrupt => block.iter_mut().for_each(|byte| *byte ^= 0x55),
            Manner::Honest | Manner::DiesAfter(_) | Manner::HasFirst(_) => {}
        }
        given.bytes += length;
        given.blocks[from / BLOCK_BYTES] = true;
    }
    keep_rate(state, length);
    stream.write_all(&message(7, &[&body[..8], &block].concat()))?;
    Ok(true)
}

/// Sleeps as long as `length` bytes take at the seeder's rate.
fn keep_rate(state: &State, length: usize) {
    let wait = {
        let mut given = state.given.lock().expect("no holder panics");
        let now = Instant::now();
        let start = given.next.map_or(now, |next| next.max(now));
        let end = start + Duration::from_secs_f64(length as f64 / state.bytes_per_second as f64);
        given.next = Some(end);
        end - now
    };
    std::thread::sleep(wait);
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 1).to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

fn bitfield(content: &Content, manner: Manner) -> Vec<u8> {
    let pieces = content.length().div_ceil(content.piece_length);
    let mut bits = vec![0; pieces.div_ceil(8)];
    let there = if let Manner::HasFirst(there) = manner { there } else { pieces };
    (0..there).for_each(|piece| bits[piece / 8] |= 0x80 >> (piece % 8));
    bits
}

/// The next message; `None` for a keep-alive.
fn receive(mut stream: &TcpStream) -> std::io::Result<Option<(u8, Vec<u8>)>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length == 0 {
        return Ok(None);
    }
    if length > MESSAGE_BYTES_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let rest = body.split_off(1);
    Ok(Some((body[0], rest)))
}
