//! A tracker for one run: whoever asks gets all peers. That is how every client takes them.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A request's line and headers; a client that sends more of them is hung up on.
const HEADER_LINES_MAX: usize = 100;

/// A client that says nothing for so long is hung up on.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running tracker; ends when dropped.
#[derive(Debug)]
pub(crate) struct Tracker {
    addr: SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl Tracker {
    pub(crate) fn start(peers: &[SocketAddrV4]) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let reply: Arc<[u8]> = reply(peers).into();
        thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                for socket in listener.incoming().map_while(Result::ok) {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let reply = Arc::clone(&reply);
                    thread::spawn(move || answer(&socket, &reply));
                }
            }
        });
        Ok(Self { addr, is_over })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/announce", self.addr)
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

fn answer(mut socket: &TcpStream, reply: &[u8]) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    for line in BufReader::new(socket).lines().take(HEADER_LINES_MAX) {
        if line?.is_empty() {
            return socket.write_all(reply);
        }
    }
    Ok(())
}

/// BEP 23: four bytes of address and two of port for each peer.
fn reply(peers: &[SocketAddrV4]) -> Vec<u8> {
    let compact: Vec<u8> = peers
        .iter()
        .flat_map(|peer| [&peer.ip().octets()[..], &peer.port().to_be_bytes()].concat())
        .collect();
    let mut body =
        format!("d8:completei{}e8:intervali1800e5:peers{}:", peers.len(), compact.len()).into_bytes();
    body.extend(compact);
    body.push(b'e');
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn whoever_asks_gets_all_peers() {
        let tracker = Tracker::start(&["127.0.0.2:258".parse().unwrap()]).unwrap();
        let mut socket = TcpStream::connect(tracker.addr).unwrap();
        socket.write_all(b"GET /announce?info_hash=x HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        assert!(answer.ends_with(b"\r\n\r\nd8:completei1e8:intervali1800e5:peers6:\x7f\0\0\x02\x01\x02e"));
    }
}
