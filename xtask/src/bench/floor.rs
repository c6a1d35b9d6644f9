//! What a download costs at least: bytes are received, hashed and written, one after another in one thread, and nothing
//! else is done.

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::io::pwritev;
use sha1::{Digest, Sha1};

use super::film::BLOCK_BYTES;

const PIECE_BYTES: usize = 1024 * 1024;

/// Says "ready", waits for a line, and then copies what `from` sends to `into`.
pub(crate) fn run(from: SocketAddr, into: &Path) -> Result<()> {
    println!("ready");
    io::stdin().read_line(&mut String::new())?;
    let mut socket = TcpStream::connect(from).context("the sender")?;
    let file = File::create(into).with_context(|| into.display().to_string())?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut place = 0;
    let mut digests = Vec::new();
    loop {
        let (digest, held) = receive(&mut socket, &mut piece)?;
        if held == 0 {
            break;
        }
        digests.push(digest);
        let blocks: Vec<IoSlice> = piece[..held].chunks(BLOCK_BYTES as usize).map(IoSlice::new).collect();
        if pwritev(&file, &blocks, place)? != held {
            bail!("{} took only a part of a piece", into.display());
        }
        place += held as u64;
    }
    println!("done {}", digests.len());
    Ok(())
}

/// Fills a piece and hashes each block as soon as it is whole. How much came before the end.
fn receive(socket: &mut TcpStream, piece: &mut [u8]) -> io::Result<([u8; 20], usize)> {
    let mut sha1 = Sha1::new();
    let (mut held, mut hashed) = (0, 0);
    while held < piece.len() {
        let count = socket.read(&mut piece[held..])?;
        held += count;
        while hashed < held && (held - hashed >= BLOCK_BYTES as usize || count == 0) {
            let end = held.min(hashed + BLOCK_BYTES as usize);
            sha1.update(&piece[hashed..end]);
            hashed = end;
        }
        if count == 0 {
            break;
        }
    }
    Ok((sha1.finalize().into(), held))
}
