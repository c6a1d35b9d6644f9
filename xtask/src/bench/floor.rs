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
    println!("done {}", copy(from, into)?);
    Ok(())
}

/// How many pieces there were.
fn copy(from: SocketAddr, into: &Path) -> Result<usize> {
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
    Ok(digests.len())
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn the_copy_has_all_bytes_and_the_last_piece_is_as_long_as_it_is() {
        let bytes: Vec<u8> = (0..2 * PIECE_BYTES + 20_000).map(|nth| (nth * nth / 7) as u8).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let from = listener.local_addr().unwrap();
        let sent = bytes.clone();
        let sender = thread::spawn(move || listener.accept().unwrap().0.write_all(&sent).unwrap());
        let into = std::env::temp_dir().join(format!("afflux-xtask-floor-{}", std::process::id()));
        assert_eq!(copy(from, &into).unwrap(), 3);
        sender.join().unwrap();
        assert!(fs::read(&into).unwrap() == bytes);
        fs::remove_file(into).unwrap();
    }

    #[test]
    fn a_piece_is_hashed_whole() {
        let bytes = vec![7; 40_000];
        let mut piece = vec![0; PIECE_BYTES];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        sender.write_all(&bytes).unwrap();
        drop(sender);
        let (digest, held) = receive(&mut listener.accept().unwrap().0, &mut piece).unwrap();
        assert_eq!((digest, held), (Sha1::digest(&bytes).into(), bytes.len()));
    }
}
