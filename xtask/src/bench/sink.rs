//! Leechers that cost almost nothing: each asks for every block in order, keeps its requests in flight, and throws away what
//! it gets, but for a look at which block it is.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::film::BLOCK_BYTES;

const HANDSHAKE_BYTES: usize = 68;
const PROTOCOL: &[u8] = b"\x13BitTorrent protocol";
const INTERESTED: [u8; 5] = [0, 0, 0, 1, 2];

/// BEP 3's kinds of messages.
const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const HAVE: u8 = 4;
const BITFIELD: u8 = 5;
const PIECE: u8 = 7;

/// Requests in flight: no more than any client takes (Transmission 3.00 says 512, webtorrent 250).
const IN_FLIGHT: u64 = 240;

/// New requests are written so many at a time.
const BATCH: u64 = 16;

const INBOX_BYTES: usize = 512 * 1024;

/// After so long it is known how fast a seeder is, and what it costs.
const ENOUGH: Duration = Duration::from_secs(30);

/// How long a seeder may take to listen and to unchoke: some verify first.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is leeched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goods {
    pub(crate) seeder: SocketAddr,
    pub(crate) info_hash: [u8; 20],
    pub(crate) bytes: u64,
    pub(crate) piece_bytes: u64,
}

/// Says "ready" when all may ask for everything, waits for a line, says "done BYTES" when all have everything or enough of it: how much
/// they got together.
pub(crate) fn run(goods: Goods, count: u8) -> Result<()> {
    let mut leechers = (0..count)
        .map(|nth| Leecher::connect(goods, nth))
        .collect::<Result<Vec<_>>>()
        .context("the seeder")?;
    for leecher in &mut leechers {
        leecher.wait_for_unchoke()?;
    }
    println!("ready");
    io::stdin().read_line(&mut String::new())?;
    let threads: Vec<_> =
        leechers.into_iter().map(|leecher| thread::spawn(move || leecher.leech())).collect();
    let mut bytes = 0;
    for thread in threads {
        bytes += thread.join().ok().context("a leecher panicked")??;
    }
    println!("done {bytes}");
    Ok(())
}

/// One connection that takes everything.
pub(crate) struct Leecher {
    goods: Goods,
    socket: TcpStream,
    inbox: Vec<u8>,
    held: usize,
    /// The block at which it begins: leechers don't all want the same at the same time.
    first: u64,
}

impl Leecher {
    pub(crate) fn connect(goods: Goods, nth: u8) -> Result<Self> {
        let give_up = Instant::now() + PATIENCE;
        let blocks = goods.bytes.div_ceil(BLOCK_BYTES);
        let first = blocks / 4 * u64::from(nth % 4);
        loop {
            match greet(&goods, nth) {
                Ok(socket) => return Ok(Self { goods, socket, inbox: vec![0; INBOX_BYTES], held: 0, first }),
                Err(error) if Instant::now() > give_up => return Err(error.into()),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Until it may ask for everything: a seeder may still be verifying, and tell of one piece after another.
    pub(crate) fn wait_for_unchoke(&mut self) -> Result<()> {
        let mut missing: BTreeSet<u64> = (0..self.goods.bytes.div_ceil(self.goods.piece_bytes)).collect();
        let mut is_unchoked = false;
        while !is_unchoked || !missing.is_empty() {
            self.receive(|message| {
                match message.split_first() {
                    Some((&CHOKE, _)) => is_unchoked = false,
                    Some((&UNCHOKE, _)) => is_unchoked = true,
                    Some((&HAVE, &[a, b, c, d])) => {
                        missing.remove(&u32::from_be_bytes([a, b, c, d]).into());
                    }
                    Some((&BITFIELD, bits)) => missing.retain(|piece| !is_set(bits, *piece)),
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many bytes it got.
    pub(crate) fn leech(mut self) -> Result<u64> {
        let until = Instant::now() + ENOUGH;
        let goods = self.goods;
        let blocks = goods.bytes.div_ceil(BLOCK_BYTES);
        let (mut asked, mut got) = (0, 0);
        let mut requests = Vec::new();
        while got < blocks && Instant::now() < until {
            let room = (blocks - asked).min(IN_FLIGHT - (asked - got));
            if room >= BATCH || room == blocks - asked {
                requests.clear();
                for nth in asked..asked + room {
                    requests.extend_from_slice(&goods.request((self.first + nth) % blocks));
                }
                self.socket.write_all(&requests)?;
                asked += room;
            }
            self.receive(|message| {
                match message.first() {
                    Some(&PIECE) => got += 1,
                    Some(&CHOKE) => bail!("choked"),
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok((got * BLOCK_BYTES).min(goods.bytes))
    }

    /// Reads once, and gives `each` whole message to look at.
    fn receive(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let count = self.socket.read(&mut self.inbox[self.held..]).context("the seeder is silent")?;
        if count == 0 {
            bail!("the seeder hung up");
        }
        self.held += count;
        let mut used = 0;
        while let Some((length, rest)) = self.inbox[used..self.held].split_first_chunk() {
            let length = u32::from_be_bytes(*length) as usize;
            if length + 4 > self.inbox.len() {
                bail!("a message of {length} bytes");
            }
            let Some(message) = rest.get(..length) else { break };
            each(message)?;
            used += 4 + length;
        }
        self.inbox.copy_within(used..self.held, 0);
        self.held -= used;
        Ok(())
    }
}

impl Goods {
    fn request(&self, block: u64) -> [u8; 17] {
        let place = block * BLOCK_BYTES;
        let length = BLOCK_BYTES.min(self.bytes - place);
        let words = [13, place / self.piece_bytes, place % self.piece_bytes, length]
            .map(|word| (word as u32).to_be_bytes());
        let mut request = [0; 17];
        request[..4].copy_from_slice(&words[0]);
        request[4] = 6;
        for (word, place) in words[1..].iter().zip([5, 9, 13]) {
            request[place..place + 4].copy_from_slice(word);
        }
        request
    }
}

fn is_set(bits: &[u8], piece: u64) -> bool {
    bits.get((piece / 8) as usize).is_some_and(|byte| byte & (0x80 >> (piece % 8)) != 0)
}

/// A connection on which both sides have shaken hands, and we said that we are interested.
fn greet(goods: &Goods, nth: u8) -> io::Result<TcpStream> {
    // A host of its own: many clients keep one connection to each.
    let host = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 10 + nth), 0));
    let mut socket = connect_from(host, goods.seeder)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let id = format!("-AS0001-{:08}{nth:04}", std::process::id());
    socket.write_all(&[PROTOCOL, &[0; 8], &goods.info_hash, id.as_bytes()].concat())?;
    let mut theirs = [0; HANDSHAKE_BYTES];
    socket.read_exact(&mut theirs)?;
    socket.write_all(&INTERESTED)?;
    Ok(socket)
}

fn connect_from(host: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &host)?;
    connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_is_as_long_as_it_is() {
        let goods = Goods {
            seeder: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            info_hash: [0; 20],
            bytes: 2 * 32_768 + 16_385,
            piece_bytes: 32_768,
        };
        assert_eq!(goods.request(3), [0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 64, 0, 0, 0, 64, 0]);
        assert_eq!(goods.request(5), [0, 0, 0, 13, 6, 0, 0, 0, 2, 0, 0, 64, 0, 0, 0, 0, 1]);
    }
}
