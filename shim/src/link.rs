//! A link on real sockets: it listens, and relays every connection to its target.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::flow::PACKET_BYTES;
use crate::line::Line;
use crate::relay;

/// Bytes asked of the kernel for each of a socket's own buffers (it takes twice that, and uses half for its books).
const SOCKET_BUFFER_BYTES: usize = 16 * 1024;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Wait after a failing accept (no file handles left), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a link is like.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where connections are carried to.
    pub target: SocketAddr,
    /// The address to listen on; the port is any free one. Loopback addresses other than 127.0.0.1 let peers look
    /// like so many hosts.
    pub listen: IpAddr,
    /// Delay of each direction: half the round trip.
    pub delay: Duration,
    /// Bytes per second from clients to the target; nothing: as fast as it goes.
    pub rate_up: Option<u64>,
    /// Bytes per second from the target to clients.
    pub rate_down: Option<u64>,
    /// Bytes that may wait in each direction for the rate.
    pub queue_bytes: u64,
    /// Share of packets lost in each direction, 0 to 1.
    pub loss: f64,
    /// Which ones are lost.
    pub seed: u64,
}

impl Config {
    /// A link without delay, limit or loss.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            delay: Duration::ZERO,
            rate_up: None,
            rate_down: None,
            queue_bytes: 16 * 1024,
            loss: 0.0,
            seed: 0,
        }
    }

    /// A mistake, as a sentence.
    fn check(&self) -> Result<(), &'static str> {
        if self.rate_up == Some(0) || self.rate_down == Some(0) {
            return Err("a link's rate is 1 byte per second or more");
        }
        if !(0.0..=1.0).contains(&self.loss) {
            return Err("a link's loss is a share from 0 to 1");
        }
        if self.queue_bytes == 0 {
            return Err("a link's queue holds a byte or more");
        }
        Ok(())
    }
}

/// A running link; ends when dropped, as [`Link::kill`] ends it.
#[derive(Debug)]
pub struct Link {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Link {
    /// Listens. The error says what is wrong with `config`, or why the address can't be had.
    pub fn start(config: Config) -> io::Result<Self> {
        config.check().map_err(|what| io::Error::new(io::ErrorKind::InvalidInput, what))?;
        let listener = listen(config.listen)?;
        let addr = listener.local_addr()?;
        let now = Instant::now();
        let direction = |rate| Direction {
            line: Mutex::new(Line::new(rate, config.queue_bytes, now)),
            carried_bytes: AtomicU64::new(0),
        };
        let shared = Arc::new(Shared {
            up: direction(config.rate_up),
            down: direction(config.rate_down),
            config,
            is_killed: AtomicBool::new(false),
            open: Mutex::default(),
            closed: Condvar::new(),
        });
        let accepting = thread::Builder::new().name(format!("link {addr}")).spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        })?;
        Ok(Self { addr, shared, accepting: Mutex::new(Some(accepting)) })
    }

    /// Goes on at other rates, from clients to the target and back. 0 counts as 1 byte per second.
    pub fn set_rate(&self, up: Option<u64>, down: Option<u64>) {
        let now = Instant::now();
        self.shared.up.line().set_rate(up, now);
        self.shared.down.line().set_rate(down, now);
    }

    /// Resets all connections and closes the port. Both are done when this returns.
    pub fn kill(&self) {
        self.shared.is_killed.store(true, Ordering::SeqCst);
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = accepting {
            // Wakes it out of its accept; if even that fails, the next client does.
            if TcpStream::connect(self.addr).is_ok() {
                let _ = thread.join();
            }
        }
        self.shared.reset_all();
    }

    /// Bytes carried so far from clients to the target.
    pub fn carried_up_bytes(&self) -> u64 {
        self.shared.up.carried_bytes.load(Ordering::Relaxed)
    }

    /// Bytes carried so far from the target to clients.
    pub fn carried_down_bytes(&self) -> u64 {
        self.shared.down.carried_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the kernel from holding more than a few blocks on either side of a socket: what a peer has queued should wait
/// where it can still be taken back. Also makes loopback's packets as long as those of a network, since with small
/// buffers 64 KiB ones stall.
pub fn bound_buffers(socket: &TcpStream) -> io::Result<()> {
    bound(&SockRef::from(socket))
}

fn bound(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_mss(PACKET_BYTES as u32)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)
}

fn listen(ip: IpAddr) -> io::Result<TcpListener> {
    let address = SocketAddr::new(ip, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Accepted sockets inherit these; the window that a client is told of is settled before the accept.
    bound(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connects with buffers that are small from the first packet on. (Bounded later, the packets stay as long as they are on
/// loopback, and don't fit the buffer: the other side waits 200 ms before it sends a part of one.)
pub fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    bound(&socket)?;
    socket.connect(&target.into())?;
    Ok(socket.into())
}

/// What all connections of a link share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) up: Direction,
    pub(crate) down: Direction,
    is_killed: AtomicBool,
    open: Mutex<Open>,
    /// A socket was closed.
    closed: Condvar,
}

/// One direction of a link.
#[derive(Debug)]
pub(crate) struct Direction {
    line: Mutex<Line>,
    pub(crate) carried_bytes: AtomicU64,
}

impl Direction {
    pub(crate) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets of live connections, so that they can be reset.
#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    sockets: BTreeMap<u64, TcpStream>,
}

impl Shared {
    pub(crate) fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::SeqCst)
    }

    /// Notes a socket; its number, by which it is forgotten.
    pub(crate) fn note(&self, socket: &TcpStream) -> io::Result<u64> {
        let socket = socket.try_clone()?;
        let mut open = self.open();
        open.next_id += 1;
        let id = open.next_id;
        open.sockets.insert(id, socket);
        Ok(id)
    }

    /// Closes the last handle of a socket, if its others are gone.
    pub(crate) fn forget(&self, id: u64) {
        self.open().sockets.remove(&id);
        self.closed.notify_all();
    }

    /// Resets all sockets and waits until they are closed.
    fn reset_all(&self) {
        let mut open = self.open();
        open.sockets.values().for_each(relay::reset);
        while !open.sockets.is_empty() {
            open = self.closed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_killed() {
            return;
        }
        let Ok(client) = client else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let shared = Arc::clone(shared);
        // Where no thread can be had the connection is dropped, as a busy host would.
        let _ = thread::Builder::new().spawn(move || relay::carry(client, &shared));
    }
}
