//! Taking peers that dial us: bind, accept, read which torrent they want, hand them to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use afflux_peer::Direction;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::torrent::{Greeted, Input};
use super::{Shared, greet};
use crate::failure::Failure;

/// Connections that the kernel holds until we accept them.
const BACKLOG: i32 = 128;
/// Free ports tried before giving up: TCP on two families must agree on one.
const FREE_PORT_TRIES: usize = 16;
/// After an error of accept (out of descriptors, mostly) nothing is accepted for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Bound sockets.
pub(super) struct Listeners {
    sockets: Vec<TcpListener>,
    /// The port of all of them.
    pub(super) port: u16,
}

/// Binds on one address, or on all of both families. Port 0 takes any that is free, and so does a port that is
/// taken and wasn't asked for (`fixed`): a second command beside a first one just works.
pub(super) fn bind(address: Option<IpAddr>, port: u16, fixed: bool) -> Result<Listeners, Failure> {
    let addresses = match address {
        Some(address) => vec![address],
        None => vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
    };
    let mut tried = bind_all(&addresses, port);
    let taken = matches!(&tried, Err(error) if error.kind() == io::ErrorKind::AddrInUse);
    if port == 0 || (taken && !fixed) {
        for _ in 0..FREE_PORT_TRIES {
            if tried.is_ok() {
                break;
            }
            tried = bind_all(&addresses, 0);
        }
    }
    tried.map_err(|error| refused(&addresses, port, &error))
}

fn refused(addresses: &[IpAddr], port: u16, error: &io::Error) -> Failure {
    Failure::work(match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "peer port {port} is used by another program: end it, or say --peer-port 0 for any free one"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("peer port {port} may not be used by this user: say --peer-port with one above 1023")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("--bind {} is no address of this machine", addresses[0])
        }
        _ => format!("peer port {port} can't be opened: {error}"),
    })
}

fn bind_all(addresses: &[IpAddr], mut port: u16) -> io::Result<Listeners> {
    let mut sockets = Vec::new();
    for (nth, &address) in addresses.iter().enumerate() {
        match bind_one(SocketAddr::new(address, port)) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                sockets.push(socket);
            }
            // A machine without IPv6 is no error as long as IPv4 works.
            Err(error) if nth > 0 && error.kind() != io::ErrorKind::AddrInUse => {
                debug!(%address, %error, "not listening there");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Listeners { sockets, port })
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the last run to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Starts a task per socket that accepts until the engine stops.
pub(super) fn accept(listeners: Listeners, shared: Arc<Shared>) {
    for socket in listeners.sockets {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let stop = shared.stop.clone();
            stop.run_until_cancelled(accept_all(socket, shared)).await;
        });
    }
}

async fn accept_all(socket: TcpListener, shared: Arc<Shared>) {
    loop {
        let permit = shared.slots.accepting().await;
        match socket.accept().await {
            Ok((stream, addr)) => {
                let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
                if let Some(pending) = shared.slots.pending(permit, addr.ip()) {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        welcome(stream, addr, &shared).await;
                        drop(pending);
                    });
                }
            }
            Err(error) => {
                warn!(%error, "a connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn welcome(mut stream: TcpStream, addr: SocketAddr, shared: &Shared) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%addr, %error, "TCP_NODELAY can't be set");
    }
    let (info_hash, head) = match greet::read_wish(&mut stream).await {
        Ok(wish) => wish,
        Err(error) => return debug!(%addr, %error, "no handshake"),
    };
    let Some(torrent) = shared.torrents.get(&info_hash).map(|torrent| torrent.clone()) else {
        return debug!(%addr, %info_hash, "nobody here has this torrent");
    };
    let Some(slot) = shared.slots.connection() else { return debug!(%addr, "all connections are taken") };
    match greet::answer(&mut stream, head, info_hash, shared.introduction()).await {
        Ok(handshake) => {
            let greeted = Greeted { stream, handshake, addr, direction: Direction::Incoming, slot };
            let _ = torrent.inbox.send(Input::Greeted(greeted)).await;
        }
        Err(error) => debug!(%addr, %error, "no handshake"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_an_error_only_when_it_was_asked_for() {
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let first = bind(loopback, 0, false).expect("some port is free");
        let failure = bind(loopback, first.port, true).map(|_| ()).expect_err("the port is taken");
        assert!(failure.to_string().contains(&first.port.to_string()), "{failure}");
        let second = bind(loopback, first.port, false).expect("another port is free");
        assert_ne!(second.port, first.port);
    }
}
