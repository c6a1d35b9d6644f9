//! A seeder that costs almost nothing, so that the client is what's measured: BEP 3 without extensions, payload from the page
//! cache by sendfile, nothing hashed, nothing looked up. It answers requests in their order and everything that is asked.
//!
//! On a second port it sends the bare file to whoever connects.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use rustix::fs::sendfile;
use rustix::net::sockopt::set_tcp_cork;
use rustix::net::{SendFlags, send};

use super::film::BLOCK_BYTES;

/// BEP 3.
const HANDSHAKE_BYTES: usize = 68;
const PROTOCOL: &[u8] = b"\x13BitTorrent protocol";
const INTERESTED: u8 = 2;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;
const UNCHOKE: [u8; 5] = [0, 0, 0, 1, 1];

/// What is read at once: more than a thousand requests.
const INBOX_BYTES: usize = 32 * 1024;

/// Longer messages come from nobody that has nothing to offer but a bitfield of a few KiB.
const MESSAGE_BYTES_MAX: usize = INBOX_BYTES / 2;

/// Serves until standard input closes. A line `ADDRESS INFO_HASH` on it has a peer dialled.
pub(crate) fn run(path: &Path, piece_bytes: u64) -> Result<()> {
    let wares = Arc::new(Wares::open(path, piece_bytes)?);
    let peers = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let bare = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening {} {}", peers.local_addr()?, bare.local_addr()?);
    let id = peers.local_addr()?.port();
    listen(peers, &wares, move |wares, socket| wares.accept(socket, id));
    listen(bare, &wares, |wares, socket| wares.send(socket, 0, wares.length));
    for line in io::stdin().lines().map_while(Result::ok) {
        let (address, info_hash) = line.split_once(' ').context("who is to be dialled, and for what?")?;
        let (address, info_hash) =
            (address.parse()?, info_hash_of(info_hash).context("an info-hash in hex")?);
        let wares = Arc::clone(&wares);
        thread::spawn(move || wares.dial(address, &info_hash, id));
    }
    Ok(())
}

/// From hexadecimal.
pub(crate) fn info_hash_of(hex: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    for (nth, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * nth..2 * nth + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// No extensions.
fn handshake(info_hash: &[u8], id: u16) -> Vec<u8> {
    let id = format!("-AB0001-{id:012}");
    [PROTOCOL, &[0; 8], info_hash, id.as_bytes()].concat()
}

fn listen(
    listener: TcpListener,
    wares: &Arc<Wares>,
    serve: impl Fn(&Wares, &TcpStream) -> io::Result<()> + Clone + Send + 'static,
) {
    let wares = Arc::clone(wares);
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let (wares, serve) = (Arc::clone(&wares), serve.clone());
            // Who hangs up has what it wanted.
            thread::spawn(move || serve(&wares, &socket));
        }
    });
}

struct Wares {
    file: File,
    length: u64,
    piece_bytes: u64,
}

impl Wares {
    fn open(path: &Path, piece_bytes: u64) -> Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let length = file.metadata()?.len();
        Ok(Self { file, length, piece_bytes })
    }

    /// Whatever torrent is asked for is what is served.
    fn accept(&self, mut socket: &TcpStream, id: u16) -> io::Result<()> {
        let mut theirs = [0; HANDSHAKE_BYTES];
        socket.read_exact(&mut theirs)?;
        if !theirs.starts_with(PROTOCOL) {
            // Encrypted: who does that tries again without.
            return Ok(());
        }
        socket.write_all(&handshake(&theirs[28..48], id))?;
        self.seed(socket)
    }

    fn dial(&self, address: SocketAddr, info_hash: &[u8], id: u16) -> io::Result<()> {
        let mut socket = TcpStream::connect(address)?;
        socket.write_all(&handshake(info_hash, id))?;
        socket.read_exact(&mut [0; HANDSHAKE_BYTES])?;
        self.seed(&socket)
    }

    fn seed(&self, mut socket: &TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.write_all(&self.bitfield())?;
        let mut inbox = vec![0; INBOX_BYTES];
        let mut held = 0;
        loop {
            let count = socket.read(&mut inbox[held..])?;
            if count == 0 {
                return Ok(());
            }
            held += count;
            let used = self.answer(socket, &inbox[..held])?;
            inbox.copy_within(used..held, 0);
            held -= used;
        }
    }

    fn bitfield(&self) -> Vec<u8> {
        let pieces = self.length.div_ceil(self.piece_bytes);
        let mut bits = vec![0xff; pieces.div_ceil(8) as usize];
        if let Some(last) = bits.last_mut() {
            *last <<= (8 - pieces % 8) % 8;
        }
        let length = (1 + bits.len()) as u32;
        [&length.to_be_bytes()[..], &[BITFIELD], &bits].concat()
    }

    /// Answers all whole messages; how many bytes they are. What is sent in one go leaves in as few packets as can be.
    fn answer(&self, mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let mut used = 0;
        set_tcp_cork(socket, true)?;
        while let Some(message) = message(&bytes[used..])? {
            used += 4 + message.len();
            match message.split_first() {
                Some((&INTERESTED, _)) => socket.write_all(&UNCHOKE)?,
                Some((&REQUEST, words)) => self.answer_request(socket, words)?,
                _ => {}
            }
        }
        set_tcp_cork(socket, false)?;
        Ok(used)
    }

    fn answer_request(&self, socket: &TcpStream, words: &[u8]) -> io::Result<()> {
        let (index, begin, length) = match *words {
            [a, b, c, d, e, f, g, h, i, j, k, l] => (
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
                u32::from_be_bytes([i, j, k, l]),
            ),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let place = u64::from(index) * self.piece_bytes + u64::from(begin);
        if u64::from(length) > BLOCK_BYTES || place + u64::from(length) > self.length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut header = [0; 13];
        header[..4].copy_from_slice(&(9 + length).to_be_bytes());
        header[4] = PIECE;
        header[5..13].copy_from_slice(&words[..8]);
        let mut left = &header[..];
        while !left.is_empty() {
            left = &left[send(socket, left, SendFlags::MORE)?..];
        }
        self.send(socket, place, place + u64::from(length))
    }

    fn send(&self, socket: &TcpStream, mut place: u64, end: u64) -> io::Result<()> {
        while place < end {
            let left = (end - place) as usize;
            if sendfile(socket, &self.file, Some(&mut place), left)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

/// The message at the start, without its length; nothing if it isn't all there.
fn message(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::bench::sink::{Goods, Leecher};

    const PIECE_BYTES: u64 = 32 * 1024;

    /// A seeder of nine pieces and a bit, and the bytes.
    fn seeder(name: &str) -> (SocketAddr, Vec<u8>) {
        let bytes: Vec<u8> = (0..9 * PIECE_BYTES + 100).map(|nth| (nth * nth / 5) as u8).collect();
        let path = std::env::temp_dir().join(format!("afflux-xtask-{name}-{}", std::process::id()));
        fs::write(&path, &bytes).unwrap();
        let wares = Arc::new(Wares::open(&path, PIECE_BYTES).unwrap());
        fs::remove_file(path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listen(listener, &wares, |wares, socket| wares.accept(socket, 1));
        (address, bytes)
    }

    fn read(mut socket: &TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        socket.read_exact(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn it_has_everything_and_sends_what_is_asked_for() {
        let (address, bytes) = seeder("asked");
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(&handshake(&[7; 20], 2)).unwrap();
        let theirs = read(&socket, HANDSHAKE_BYTES);
        assert_eq!((&theirs[..20], &theirs[28..48]), (PROTOCOL, &[7; 20][..]));
        assert_eq!(read(&socket, 7), [0, 0, 0, 3, BITFIELD, 0xff, 0b1100_0000]);
        socket.write_all(&[0, 0, 0, 1, INTERESTED]).unwrap();
        assert_eq!(read(&socket, 5), UNCHOKE);
        // The last piece's only block, and a block within, in one go.
        let last = [0, 0, 0, 13, REQUEST, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 100];
        let within = [0, 0, 0, 13, REQUEST, 0, 0, 0, 2, 0, 0, 64, 0, 0, 0, 64, 0];
        socket.write_all(&[last, within].concat()).unwrap();
        assert_eq!(read(&socket, 13), [0, 0, 0, 109, PIECE, 0, 0, 0, 9, 0, 0, 0, 0]);
        assert_eq!(read(&socket, 100), bytes[9 * PIECE_BYTES as usize..]);
        assert_eq!(read(&socket, 13), [0, 0, 64, 9, PIECE, 0, 0, 0, 2, 0, 0, 64, 0]);
        let place = 2 * PIECE_BYTES as usize + 16_384;
        assert_eq!(read(&socket, 16_384), bytes[place..place + 16_384]);
    }

    #[test]
    fn what_lies_beyond_the_end_ends_the_connection() {
        let (address, _) = seeder("beyond");
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(&handshake(&[7; 20], 2)).unwrap();
        read(&socket, HANDSHAKE_BYTES + 7);
        socket.write_all(&[0, 0, 0, 13, REQUEST, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 101]).unwrap();
        assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
    }

    #[test]
    fn a_leecher_gets_all_of_it() {
        let (seeder, bytes) = seeder("leech");
        let goods = Goods { seeder, info_hash: [7; 20], bytes: bytes.len() as u64, piece_bytes: PIECE_BYTES };
        let mut leecher = Leecher::connect(goods, 3).unwrap();
        leecher.wait_for_unchoke().unwrap();
        assert_eq!(leecher.leech().unwrap(), goods.bytes);
    }

    #[test]
    fn hashes_are_read_from_hexadecimal() {
        assert_eq!(info_hash_of(&"0a".repeat(20)), Some([10; 20]));
        assert_eq!(info_hash_of("0a"), None);
        assert_eq!(info_hash_of(&"zz".repeat(20)), None);
    }
}
