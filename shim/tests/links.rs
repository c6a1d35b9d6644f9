//! Links on real sockets. How long things take is tested in the pure core; here only what arrives.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use afflux_shim::{Config, Link};

/// Bytes in which a lost, doubled or displaced one shows.
fn pattern(count: usize) -> Vec<u8> {
    (0..count as u32).flat_map(|word| word.wrapping_mul(0x9e37_79b1).to_be_bytes()).collect()
}

/// A server for one connection: sends back what it gets, until the client has said all.
fn echo() -> (SocketAddr, JoinHandle<u64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        std::io::copy(&mut socket.try_clone().unwrap(), &mut socket).unwrap_or(0)
    });
    (addr, server)
}

fn sent_and_back(config: Config, bytes: &[u8]) -> Vec<u8> {
    let link = Link::start(config).unwrap();
    let mut socket = TcpStream::connect(link.addr).unwrap();
    let mut back = Vec::new();
    thread::scope(|scope| {
        let mut sending = socket.try_clone().unwrap();
        scope.spawn(move || {
            sending.write_all(bytes).unwrap();
            sending.shutdown(Shutdown::Write).unwrap();
        });
        socket.read_to_end(&mut back).unwrap();
    });
    assert_eq!(link.carried_up_bytes(), bytes.len() as u64);
    assert_eq!(link.carried_down_bytes(), bytes.len() as u64);
    back
}

#[test]
fn bytes_arrive_intact_and_the_end_too() {
    let bytes = pattern(500_000);
    for loss in [0.0, 0.01] {
        let (target, server) = echo();
        let config = Config {
            delay: Duration::from_millis(2),
            rate_up: Some(8_000_000),
            rate_down: Some(4_000_000),
            loss,
            ..Config::new(target)
        };
        assert!(sent_and_back(config, &bytes) == bytes, "loss {loss}");
        assert_eq!(server.join().unwrap(), bytes.len() as u64);
    }
}

#[test]
fn a_link_without_limits_carries_as_well() {
    let bytes = pattern(1_000_000);
    let (target, server) = echo();
    assert!(sent_and_back(Config::new(target), &bytes) == bytes);
    server.join().unwrap();
}

#[test]
fn a_link_listens_where_it_is_told() {
    let (target, server) = echo();
    let listen = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    let link = Link::start(Config { listen, ..Config::new(target) }).unwrap();
    assert_eq!(link.addr.ip(), listen);
    drop(TcpStream::connect(link.addr).unwrap());
    server.join().unwrap();
}

#[test]
fn killing_resets_connections_and_closes_the_port() {
    let (target, server) = echo();
    let link = Link::start(Config::new(target)).unwrap();
    let mut socket = TcpStream::connect(link.addr).unwrap();
    socket.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    socket.read_exact(&mut back).unwrap();
    link.kill();
    assert_eq!(socket.read(&mut back).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(TcpStream::connect(link.addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    server.join().unwrap();
    link.kill();
}

#[test]
fn a_receiver_that_reads_nothing_stops_the_sender() {
    let (target, server) = echo();
    let link = Link::start(Config { rate_up: Some(50_000_000), ..Config::new(target) }).unwrap();
    let mut socket = TcpStream::connect(link.addr).unwrap();
    socket.set_nonblocking(true).unwrap();
    // The echo isn't read, so that at last every buffer on the way is full; loopback's own would hold many MiB.
    let (mut sent, mut refused) = (0, 0);
    while refused < 50 && sent < 64 * 1024 * 1024 {
        match socket.write(&[0; 16 * 1024]) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, 50, "{sent} bytes were taken");
    link.kill();
    server.join().unwrap();
}

#[test]
fn a_target_that_is_gone_closes_the_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    drop(listener);
    let link = Link::start(Config::new(target)).unwrap();
    let mut socket = TcpStream::connect(link.addr).unwrap();
    assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn a_client_that_breaks_off_is_seen_by_the_target() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let link = Link::start(Config::new(listener.local_addr().unwrap())).unwrap();
    let socket = TcpStream::connect(link.addr).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    drop(socket);
    assert!(matches!(server.read(&mut [0]), Ok(0) | Err(_)));
    // Writing on, it meets an error before long.
    let broken = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(2));
        server.write(&[0; 1000]).is_err()
    });
    assert!(broken);
}

#[test]
fn what_makes_no_link_is_refused() {
    let target = "127.0.0.1:1".parse().unwrap();
    for wrong in [
        Config { rate_up: Some(0), ..Config::new(target) },
        Config { loss: 1.5, ..Config::new(target) },
        Config { loss: f64::NAN, ..Config::new(target) },
        Config { queue_bytes: 0, ..Config::new(target) },
    ] {
        assert_eq!(Link::start(wrong).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
