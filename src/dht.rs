//! The DHT's driver: sockets, clock, names and the saved table around one [`afflux_dht::Node`].
//!
//! One task owns the node and a UDP socket per family. No rule of the DHT is here, and neither is the rule that
//! private torrents (BEP 27) never come to it: whoever looks up knows what is private.
//!
//! The sockets are to be shared with uTP: [`is_krpc`] is where datagrams part.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use afflux_dht::address::Family;
use afflux_dht::{Announce, Config, Lookup, LookupKey, Node, Output, Saved, Stats, limits};
use afflux_metainfo::InfoHash;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

/// Nodes that are known to be there and that anybody may join through.
pub const BOOTSTRAP_DEFAULT: [&str; 4] = [
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "router.utorrent.com:6881",
    "dht.libtorrent.org:25401",
];

/// Commands that wait for the task, which takes them at once: room for a burst of PORT messages.
const COMMANDS_MAX: usize = 256;

/// Batches of peers that wait for whoever looks; a reader that lags behind misses some until it asks again.
const BATCHES_MAX: usize = 64;

/// Datagrams taken from a socket in one turn, so that neither family starves the other or the commands.
const DATAGRAMS_PER_TURN: usize = 64;

/// Peers that are enough for one lookup. As many as a torrent may try in a minute.
const PEERS_ENOUGH: usize = 200;

/// How often the table is saved: what a crash may cost is ten minutes of it.
const SAVE_EVERY: Duration = Duration::from_secs(600);

/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// First and longest pause before unresolvable names are tried again: the network may be down at our start.
const RESOLVE_PAUSE_MIN: Duration = Duration::from_secs(5);
const RESOLVE_PAUSE_MAX: Duration = Duration::from_secs(300);

/// Pause after a socket's error that isn't about one datagram, so that a broken socket doesn't spin.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// How the node is run.
#[derive(Clone, Debug)]
pub struct DhtConfig {
    /// Where the IPv4 socket is bound; `None`: no IPv4.
    pub bind_v4: Option<Ipv4Addr>,
    /// Where the IPv6 socket is bound; `None`: no IPv6. A machine without IPv6 goes on without.
    pub bind_v6: Option<Ipv6Addr>,
    /// The UDP port, the same in both families; 0: any.
    pub port: u16,
    /// `HOST:PORT` of nodes to join through; literal addresses and names. May be local.
    pub bootstrap: Vec<String>,
    /// Take private and loopback addresses from anybody's answers.
    pub allow_local: bool,
    /// Where the table is kept between runs.
    pub state_file: PathBuf,
}

/// The face of the running node. Clones speak to the same one; it ends when the last is dropped, or at
/// [`DhtHandle::shutdown`].
#[derive(Clone, Debug)]
pub struct DhtHandle {
    commands: mpsc::Sender<Command>,
    stats: watch::Receiver<Stats>,
    port: u16,
}

#[derive(Debug)]
enum Command {
    Ask(Request),
    Shutdown(oneshot::Sender<()>),
}

#[derive(Debug)]
enum Request {
    Lookup { info_hash: InfoHash, announce_port: Option<u16>, peers: mpsc::Sender<Vec<SocketAddr>> },
    Bootstrap(Vec<SocketAddr>),
    AddNode(SocketAddr),
}

impl DhtHandle {
    /// Binds the sockets, reads the saved table and starts the task. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A port in use or an address that isn't ours, neither family wanted, a bootstrap node that isn't
    /// `HOST:PORT`, or no source of randomness. A damaged saved table is only worth a warning.
    pub fn start(config: DhtConfig) -> io::Result<Self> {
        for node in &config.bootstrap {
            check_host_port(node)?;
        }
        let (sockets, port) = bind(&config)?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        let node_config = Config {
            read_only: false,
            allow_local: config.allow_local,
            v4: sockets[Family::V4 as usize].is_some(),
            v6: sockets[Family::V6 as usize].is_some(),
        };
        let saved = load(&config.state_file);
        let node = Node::new(node_config, None, saved, u64::from_be_bytes(seed), Instant::now());
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (stats_sender, stats) = watch::channel(node.stats());
        let driver = Driver {
            node,
            sockets,
            commands: receiver,
            lookups: BTreeMap::new(),
            stats: stats_sender,
            state_file: config.state_file,
            saving: None,
        };
        let resolving = tokio::spawn(resolve(config.bootstrap, commands.downgrade()));
        tokio::spawn(async move {
            driver.run().await;
            resolving.abort();
        });
        Ok(Self { commands, stats, port })
    }

    /// Looks for peers once, and announces `announce_port` (TCP and uTP) if given. Batches of new peers come as
    /// they are found; the channel closes when the lookup ends. Dropping the receiver cancels it. Looking again
    /// is up to the caller. Never to be called for a private torrent.
    pub fn lookup(&self, info_hash: InfoHash, announce_port: Option<u16>) -> mpsc::Receiver<Vec<SocketAddr>> {
        let (peers, receiver) = mpsc::channel(BATCHES_MAX);
        self.ask(Request::Lookup { info_hash, announce_port, peers });
        receiver
    }

    /// Tells the node of another: from a peer's PORT message, or a torrent's `nodes`.
    pub fn add_node(&self, addr: SocketAddr) {
        self.ask(Request::AddNode(addr));
    }

    /// The UDP port in use: what we tell peers in our PORT message.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Counters and sizes, a moment old at most.
    pub fn stats(&self) -> Stats {
        *self.stats.borrow()
    }

    /// Saves the table and ends the node. Returns when that is done.
    pub async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            // An error means that the task has ended already.
            let _ = ended.await;
        }
    }

    /// Hands a request to the task. One that finds the queue full is lost: lookups are repeated anyway, and other
    /// nodes will be named.
    fn ask(&self, request: Request) {
        if self.commands.try_send(Command::Ask(request)).is_err() {
            debug!("the DHT is busy or has ended: a request is lost");
        }
    }
}

/// Whether a datagram belongs to the DHT: its messages are bencoded dictionaries, and uTP's first byte (a
/// version and a type, BEP 29) is never a `d`.
pub fn is_krpc(datagram: &[u8]) -> bool {
    datagram.first() == Some(&b'd')
}

struct Driver {
    node: Node,
    /// By family.
    sockets: [Option<UdpSocket>; 2],
    commands: mpsc::Receiver<Command>,
    lookups: BTreeMap<LookupKey, mpsc::Sender<Vec<SocketAddr>>>,
    stats: watch::Sender<Stats>,
    state_file: PathBuf,
    saving: Option<JoinHandle<()>>,
}

impl Driver {
    async fn run(mut self) {
        // A fresh socket counts as not writable until the runtime has heard otherwise, and what is sent until
        // then would be lost.
        for socket in self.sockets.iter().flatten() {
            if let Err(error) = socket.writable().await {
                debug!(%error, "a DHT socket failed");
            }
        }
        let mut save_at = tokio::time::interval_at(tokio::time::Instant::now() + SAVE_EVERY, SAVE_EVERY);
        save_at.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            self.act();
            let deadline = self.node.deadline().map(tokio::time::Instant::from_std);
            tokio::select! {
                readable = readable(&self.sockets) => self.receive(readable).await,
                command = self.commands.recv() => match command {
                    Some(Command::Shutdown(done)) => break Some(done),
                    Some(Command::Ask(request)) => self.obey(request),
                    None => break None,
                },
                () = until(deadline) => self.node.handle_timeout(Instant::now()),
                _ = save_at.tick() => self.save().await,
            }
        };
        self.save().await;
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        if let Some(done) = ended {
            let _ = done.send(());
        }
    }

    /// Takes what a socket has, up to a bound.
    async fn receive(&mut self, readable: io::Result<usize>) {
        let socket = match readable {
            Ok(family) => self.sockets[family].as_ref(),
            Err(error) => {
                debug!(%error, "a DHT socket failed");
                return tokio::time::sleep(ERROR_PAUSE).await;
            }
        };
        let Some(socket) = socket else { return };
        let mut buffer = [0; limits::DATAGRAM_BYTES_MAX + 1];
        for _ in 0..DATAGRAMS_PER_TURN {
            match socket.try_recv_from(&mut buffer) {
                // uTP will take the others.
                Ok((length, from)) if is_krpc(&buffer[..length]) => {
                    self.node.handle_datagram(from, &buffer[..length], Instant::now());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // About a datagram that we sent: some systems tell it here.
                Err(error) => debug!(%error, "receiving for the DHT"),
            }
        }
    }

    fn obey(&mut self, request: Request) {
        let now = Instant::now();
        match request {
            Request::Lookup { info_hash, announce_port, peers } => {
                let announce = announce_port.map(|port| Announce { port, implied: false });
                let key = self.node.lookup(info_hash, Lookup { announce, peers_enough: PEERS_ENOUGH }, now);
                self.lookups.insert(key, peers);
            }
            Request::Bootstrap(addrs) => self.node.bootstrap(&addrs, now),
            Request::AddNode(addr) => self.node.add_node(addr, now),
        }
    }

    /// Does what the node wants done.
    fn act(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { to, bytes } => self.send(to, &bytes),
                Output::PeersFound { lookup, peers } => self.hand_over(lookup, peers),
                Output::LookupFinished { lookup, peers, nodes_asked, announced } => {
                    debug!(peers, nodes_asked, announced, "a DHT lookup has ended");
                    self.lookups.remove(&lookup);
                }
                Output::Ready => info!(nodes = self.node.stats().nodes_v4, "joined the DHT"),
            }
        }
        self.stats.send_replace(self.node.stats());
    }

    /// A datagram that the system has no room for is lost, like any other.
    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        if let Some(socket) = &self.sockets[Family::of(to) as usize]
            && let Err(error) = socket.try_send_to(bytes, to)
        {
            debug!(%to, %error, "sending for the DHT");
        }
    }

    fn hand_over(&mut self, lookup: LookupKey, peers: Vec<SocketAddr>) {
        let Some(sender) = self.lookups.get(&lookup) else { return };
        if let Err(mpsc::error::TrySendError::Closed(_)) = sender.try_send(peers) {
            self.lookups.remove(&lookup);
            self.node.cancel(lookup);
        }
    }

    /// Writes the table beside the loop; waits only for a write that is still going on.
    async fn save(&mut self) {
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        let (path, bytes) = (self.state_file.clone(), self.node.save().to_bytes());
        self.saving = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = store(&path, &bytes) {
                warn!(path = %path.display(), %error, "the DHT's table could not be saved");
            }
        }));
    }
}

/// Waits until one of the sockets has something, and says which.
async fn readable(sockets: &[Option<UdpSocket>; 2]) -> io::Result<usize> {
    let one = async |family: usize| match &sockets[family] {
        Some(socket) => socket.readable().await.map(|()| family),
        None => std::future::pending().await,
    };
    tokio::select! {
        ready = one(0) => ready,
        ready = one(1) => ready,
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Binds what is wanted, both families to one port. Returns the sockets by family, and the port.
fn bind(config: &DhtConfig) -> io::Result<([Option<UdpSocket>; 2], u16)> {
    let mut port = config.port;
    let v4 = match config.bind_v4 {
        Some(ip) => Some(bind_one((ip, port).into())?),
        None => None,
    };
    if let Some(socket) = &v4 {
        port = socket.local_addr()?.port();
    }
    let v6 = match config.bind_v6.map(|ip| bind_one((ip, port).into())) {
        Some(Err(error)) if v4.is_some() => {
            info!(%error, "the DHT goes on without IPv6");
            None
        }
        other => other.transpose()?,
    };
    if let Some(socket) = &v6 {
        port = socket.local_addr()?.port();
    }
    if v4.is_none() && v6.is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the DHT needs IPv4 or IPv6"));
    }
    Ok(([v4, v6], port))
}

fn bind_one(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        // The IPv4 socket has the same port.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    UdpSocket::from_std(socket.into())
}

fn check_host_port(node: &str) -> io::Result<()> {
    let port =
        node.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(port)) if port != 0 => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{node:?} is no DHT node: give HOST:PORT, such as router.bittorrent.com:6881"),
        )),
    }
}

/// Resolves the bootstrap nodes and hands over each as it is known; tries again while none is.
async fn resolve(nodes: Vec<String>, commands: mpsc::WeakSender<Command>) {
    let mut pause = RESOLVE_PAUSE_MIN;
    loop {
        let mut any = nodes.is_empty();
        for node in &nodes {
            let resolved = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(node)).await;
            let Ok(Ok(addrs)) = resolved else {
                debug!(node, "a DHT bootstrap node's name was not resolved");
                continue;
            };
            any = true;
            let Some(commands) = commands.upgrade() else { return };
            if commands.send(Command::Ask(Request::Bootstrap(addrs.collect()))).await.is_err() {
                return;
            }
        }
        if any {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RESOLVE_PAUSE_MAX);
    }
}

/// Reads the saved table. It is untrusted like any input: bounded, checked, and never a reason not to start.
fn load(path: &Path) -> Option<Saved> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    let read = file.take(limits::SAVED_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    let saved = read.and_then(|_| Saved::from_bytes(&bytes).map_err(io::Error::other));
    saved.inspect_err(|error| warn!(path = %path.display(), %error, "the saved DHT table is left out")).ok()
}

/// Writes beside the file and renames, so that a crash leaves the old table or the new one.
fn store(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Splits one address to bind to into what each family binds to: `--bind` names one, its absence means both.
pub fn families(bind: Option<IpAddr>) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    match bind {
        None => (Some(Ipv4Addr::UNSPECIFIED), Some(Ipv6Addr::UNSPECIFIED)),
        Some(IpAddr::V4(ip)) => (Some(ip), None),
        Some(IpAddr::V6(ip)) => (None, Some(ip)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_nodes_are_host_and_port() {
        for good in BOOTSTRAP_DEFAULT.into_iter().chain(["127.0.0.1:1", "[::1]:6881"]) {
            assert!(check_host_port(good).is_ok(), "{good}");
        }
        for bad in ["", "host", "host:", ":6881", "host:0", "host:65536", "host:port"] {
            assert!(check_host_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn utp_and_the_dht_part_at_the_first_byte() {
        assert!(is_krpc(b"d1:t1:x1:y1:qe"));
        for first in [0x01u8, 0x11, 0x21, 0x31, 0x41] {
            assert!(!is_krpc(&[first, 0]), "uTP, version 1");
        }
        assert!(!is_krpc(b""));
    }
}
