//! The announcer: a task that keeps one torrent known to its trackers and brings the peers they name.
//!
//! The rules (which tracker, when, which event) are [`Tiers`]'; this is the part with sockets: HTTP through the
//! [`Fetcher`], UDP with a socket per announce, names resolved and checked on the way. A tracker is asked over IPv4
//! and IPv6 when its name has both, since it can only tell others the address it saw (BEP 7). Through a proxy only
//! HTTP trackers are asked: a UDP announce would go around it and show who we are.
//!
//! Not here: what becomes of the peers; when more are wanted.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use afflux_metainfo::{InfoHash, PeerId};
use afflux_tracker::tiers::Status;
use afflux_tracker::udp::{self, ConnectionIds};
use afflux_tracker::{
    AnnounceRequest, Event, Host, Policy, Reply, ReplyError, Scheme, Tiers, TrackerKey, TrackerUrl, guard,
    http, is_global, limits,
};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::fetch::{Family, FetchError, Fetcher, ResolveError, resolve};
use crate::policy::Purpose;

/// Announces under way at once in the whole process. Attack 21: torrents that name many slow trackers.
const CONCURRENT_MAX: usize = 50;

/// Time in which all trackers of a torrent are told that we leave.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Peers asked for in one announce. As many as the common clients ask for; a UDP reply of that size is 3.6 KB.
const NUMWANT: u32 = 200;

/// Largest UDP reply read: [`NUMWANT`] IPv6 addresses fit twice.
const DATAGRAM_BYTES_MAX: usize = 8 * 1024;

/// How long peers wait for the torrent to take them. A torrent that hangs must not hold a slot that others need.
const DELIVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Commands waiting for the task. Most are level-triggered wishes; when four wait, a fifth adds nothing.
const COMMANDS_MAX: usize = 4;

/// What a torrent has moved, as trackers want to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Payload bytes sent in this session.
    pub uploaded: u64,
    /// Payload bytes received in this session.
    pub downloaded: u64,
    /// Bytes still to download. Before the metadata is known: any number but 0, which would make us a seed to
    /// trackers that give seeds no seeds.
    pub left: u64,
}

/// What all announcers of a process share.
#[derive(Debug)]
pub struct Shared {
    fetcher: Arc<Fetcher>,
    bind: Option<IpAddr>,
    slots: Semaphore,
    /// A leaf lock: looked up or written, nothing awaited.
    connection_ids: Mutex<ConnectionIds>,
}

impl Shared {
    /// `bind`: the local address of UDP announces (`--bind`); HTTP has it from the fetcher.
    pub fn new(fetcher: Arc<Fetcher>, bind: Option<IpAddr>) -> Arc<Self> {
        let slots = Semaphore::new(CONCURRENT_MAX);
        Arc::new(Self { fetcher, bind, slots, connection_ids: Mutex::default() })
    }

    /// What announces over HTTP go through, and what knows the owner's rules.
    pub fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    fn policy(&self) -> Policy {
        self.fetcher.policy()
    }
}

/// One torrent's announces.
#[derive(Clone, Debug)]
pub struct AnnounceConfig {
    /// Trackers as the torrent gives them (BEP 12); a lone `announce` is a tier of one.
    pub tiers: Vec<Vec<String>>,
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who we are in it.
    pub peer_id: PeerId,
    /// Port on which we take peers.
    pub port: u16,
    /// `ANNOUNCE_TIMEOUT`: time for one attempt at one tracker.
    pub timeout: Duration,
}

/// Why an announce failed.
#[derive(Debug, Error)]
enum AnnounceError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Reply(#[from] ReplyError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Refused(#[from] guard::Refused),
    #[error("the tracker can't be reached: {0}")]
    Socket(io::Error),
    #[error("it is on a local address and its path doesn't end in /announce")]
    LocalPath,
    #[error("UDP trackers can't be asked through the proxy")]
    Proxy,
    #[error("the process is ending")]
    Ending,
}

enum Command {
    Add(Vec<Vec<String>>),
    AnnounceNow,
    Completed,
    Stop(oneshot::Sender<()>),
}

/// Namespace of [`Announcer::start`].
#[derive(Debug)]
pub struct Announcer;

/// The way to a running announcer. Dropping it makes the announcer leave, unwatched.
#[derive(Debug)]
pub struct AnnouncerHandle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Vec<Status>>,
    refused: Vec<(String, String)>,
}

impl Announcer {
    /// Starts the task: the first announces leave at once. `totals` is read whenever an announce leaves; if nothing is
    /// left at the start, `completed` is never said. Peers come in batches, repeated ones included.
    pub fn start(
        config: AnnounceConfig,
        shared: Arc<Shared>,
        totals: watch::Receiver<Totals>,
        peers: mpsc::Sender<Vec<SocketAddr>>,
    ) -> AnnouncerHandle {
        let complete = totals.borrow().left == 0;
        let tiers = Tiers::new(&config.tiers, complete, random(), Instant::now());
        let refused = tiers.refused().iter().map(|(url, error)| (url.clone(), error.to_string())).collect();
        let (status_tx, status) = watch::channel(tiers.status());
        let (commands, commands_rx) = mpsc::channel(COMMANDS_MAX);
        let task = Task {
            key: random() as u32,
            config,
            shared,
            tiers,
            totals,
            peers,
            status: status_tx,
            under_way: JoinSet::new(),
            keys: Vec::new(),
        };
        tokio::spawn(task.run(commands_rx));
        AnnouncerHandle { commands, status, refused }
    }
}

impl AnnouncerHandle {
    /// Takes further tiers; those that are new are asked at once.
    pub fn add(&self, tiers: Vec<Vec<String>>) -> impl Future<Output = ()> + use<> {
        let commands = self.commands.clone();
        async move {
            // Fails only when the task has ended.
            let _ = commands.send(Command::Add(tiers)).await;
        }
    }

    /// More peers are wanted: each tracker is asked as soon as its own least wait allows.
    pub fn announce_now(&self) {
        // Full means that a wish like this one waits already.
        let _ = self.commands.try_send(Command::AnnounceNow);
    }

    /// The download became complete. Set [`Totals::left`] to 0 first.
    pub async fn completed(&self) {
        // Fails only when the task has ended.
        let _ = self.commands.send(Command::Completed).await;
    }

    /// Every tracker and how it does, as of its last change.
    pub fn status(&self) -> Vec<Status> {
        self.status.borrow().clone()
    }

    /// URLs that were refused, each with the reason as a clause ("it is longer than 2048 bytes").
    pub fn refused(&self) -> &[(String, String)] {
        &self.refused
    }

    /// Abandons what is under way and tells the trackers that we leave; takes at most 3 s.
    pub async fn stop(self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).await.is_ok() {
            // An error means that the task has ended, which is what we wait for.
            let _ = ended.await;
        }
    }
}

type Outcome = (TrackerKey, Result<Reply, AnnounceError>);

struct Task {
    config: AnnounceConfig,
    shared: Arc<Shared>,
    tiers: Tiers,
    totals: watch::Receiver<Totals>,
    peers: mpsc::Sender<Vec<SocketAddr>>,
    status: watch::Sender<Vec<Status>>,
    under_way: JoinSet<Outcome>,
    /// Which tracker a task asks, for the case that it panics and can't say.
    keys: Vec<(tokio::task::Id, TrackerKey)>,
    /// By which trackers know us on both families (BEP 7).
    key: u32,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let stopped = loop {
            self.start_due();
            let deadline = self.tiers.deadline();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Add(tiers)) => self.tiers.add(&tiers, Instant::now()),
                    Some(Command::AnnounceNow) => self.tiers.announce_now(Instant::now()),
                    Some(Command::Completed) => self.tiers.completed(Instant::now()),
                    Some(Command::Stop(done)) => break Some(done),
                    None => break None,
                },
                Some(ended) = self.under_way.join_next_with_id() => self.note(ended),
                () = sleep_until(deadline) => {}
            }
        };
        self.leave().await;
        if let Some(done) = stopped {
            // Nobody waits any more: as good.
            let _ = done.send(());
        }
    }

    /// Starts every announce that is due, and shows it.
    fn start_due(&mut self) {
        while let Some((key, event)) = self.tiers.due(Instant::now()) {
            let announce = self.announce(key, event);
            let peers = self.peers.clone();
            let task = self.under_way.spawn(async move { (key, announce.run(Some(&peers)).await) });
            self.keys.push((task.id(), key));
        }
        self.status.send_replace(self.tiers.status());
    }

    fn note(&mut self, ended: Result<(tokio::task::Id, Outcome), tokio::task::JoinError>) {
        let now = Instant::now();
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(at) = self.keys.iter().position(|(other, _)| *other == id) else { return };
        let (_, key) = self.keys.swap_remove(at);
        match ended {
            Ok((_, (_, Ok(reply)))) => {
                tracing::debug!(tracker = %self.tiers.url(key), peers = reply.peers.len(), "announced");
                self.tiers.succeeded(key, &reply, now);
            }
            Ok((_, (_, Err(error)))) => {
                tracing::debug!(tracker = %self.tiers.url(key), %error, "an announce failed");
                self.tiers.failed(key, error.to_string(), now);
            }
            Err(error) => self.tiers.failed(key, error.to_string(), now),
        }
    }

    /// Says `stopped` to all who may know us, all at once and for a bounded time.
    async fn leave(mut self) {
        self.under_way.abort_all();
        self.tiers.stop();
        let mut leaving = JoinSet::new();
        while let Some((key, event)) = self.tiers.due(Instant::now()) {
            let announce = self.announce(key, event);
            leaving.spawn(async move { announce.run(None).await.err() });
        }
        let all_told = async {
            while let Some(told) = leaving.join_next().await {
                if let Ok(Some(error)) = told {
                    tracing::debug!(%error, "a tracker was not told that we leave");
                }
            }
        };
        if tokio::time::timeout(LEAVE_TIMEOUT, all_told).await.is_err() {
            tracing::debug!("some trackers were not told in time that we leave");
        }
    }

    fn announce(&self, key: TrackerKey, event: Event) -> Announce {
        let totals = *self.totals.borrow();
        let leaving = event == Event::Stopped;
        let request = AnnounceRequest {
            info_hash: self.config.info_hash,
            peer_id: self.config.peer_id,
            port: self.config.port,
            uploaded: totals.uploaded,
            downloaded: totals.downloaded,
            left: totals.left,
            event,
            numwant: Some(if leaving { 0 } else { NUMWANT }),
            key: self.key,
            tracker_id: self.tiers.tracker_id(key).map(<[u8]>::to_vec),
        };
        Announce {
            shared: Arc::clone(&self.shared),
            url: self.tiers.url(key).clone(),
            request,
            timeout: self.config.timeout,
        }
    }
}

/// From the system, anew each time: what one tracker sees must not tell it what another will be sent.
fn random() -> u64 {
    // Where the system has no randomness to give, the standard library's own keys are what is left.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().build_hasher().finish())
}

/// Sleeps until then; for ever without a time.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// One announce to one tracker.
struct Announce {
    shared: Arc<Shared>,
    url: TrackerUrl,
    request: AnnounceRequest,
    timeout: Duration,
}

impl Announce {
    /// Announces over every family the tracker has; counts as done if one of them was. Peers are passed on
    /// as each family answers, so that a family that leads nowhere delays nothing but the end.
    async fn run(&self, peers: Option<&mpsc::Sender<Vec<SocketAddr>>>) -> Result<Reply, AnnounceError> {
        let _slot = self.shared.slots.acquire().await.map_err(|_| AnnounceError::Ending)?;
        let deadline = tokio::time::Instant::now() + self.timeout;
        if self.shared.fetcher.has_proxy() {
            let asked = tokio::time::timeout_at(deadline, self.ask(None, None));
            return deliver(asked.await.unwrap_or_else(|_| Err(ReplyError::TimedOut.into())), peers).await;
        }
        let servers = match tokio::time::timeout_at(deadline, self.servers()).await {
            Ok(servers) => servers?,
            Err(_) => return Err(ReplyError::TimedOut.into()),
        };
        let over = async |family| {
            let server = servers.iter().copied().find(|server| Family::of(server.ip()) == family)?;
            let asked = tokio::time::timeout_at(deadline, self.ask(Some(family), Some(server)));
            Some(deliver(asked.await.unwrap_or_else(|_| Err(ReplyError::TimedOut.into())), peers).await)
        };
        match tokio::join!(over(Family::V4), over(Family::V6)) {
            (Some(Ok(v4)), Some(Ok(v6))) => Ok(merge(v4, v6)),
            (Some(Ok(reply)), _) | (_, Some(Ok(reply))) => Ok(reply),
            (Some(Err(error)), _) | (_, Some(Err(error))) => Err(error),
            (None, None) => Err(ResolveError::NoAddress.into()),
        }
    }

    /// The tracker's addresses, all checked.
    async fn servers(&self) -> Result<Vec<SocketAddr>, AnnounceError> {
        let (policy, port) = (self.shared.policy(), self.url.port());
        let fetcher = &self.shared.fetcher;
        fetcher.sources().check_tracker(self.url.as_str()).map_err(FetchError::Denied)?;
        guard::check_port(port)?;
        let servers = match self.url.host() {
            Host::Ip(ip) => {
                policy.check_ip(*ip)?;
                vec![SocketAddr::new(*ip, port)]
            }
            Host::Name(name) => resolve(name, port, policy, self.shared.bind.map(Family::of)).await?,
        };
        for server in &servers {
            fetcher.check_address(*server, Purpose::Tracker)?;
        }
        // The user's leave for local addresses is meant for trackers, not for other buttons that a GET could press.
        let local = servers.iter().any(|server| !is_global(server.ip()));
        if local && self.url.scheme() != Scheme::Udp && !self.url.is_announce_path() {
            return Err(AnnounceError::LocalPath);
        }
        Ok(servers)
    }

    async fn ask(&self, family: Option<Family>, server: Option<SocketAddr>) -> Result<Reply, AnnounceError> {
        match (self.url.scheme(), server) {
            (Scheme::Http | Scheme::Https, _) => {
                let url = http::announce_url(&self.url, &self.request);
                let body = self.shared.fetcher.get_over(family, &url, limits::REPLY_BYTES_MAX).await?;
                Ok(http::parse_reply(&body)?)
            }
            (Scheme::Udp, Some(server)) => self.ask_udp(server).await,
            (Scheme::Udp, None) => Err(AnnounceError::Proxy),
        }
    }

    /// Drives one [`udp::Client`] over a socket of its own.
    async fn ask_udp(&self, server: SocketAddr) -> Result<Reply, AnnounceError> {
        let socket = self.udp_socket(server).await.map_err(AnnounceError::Socket)?;
        let now = Instant::now();
        let config = udp::Config {
            server,
            request: self.request.clone(),
            path_and_query: self.url.path_and_query().to_owned(),
            connection_id: self.connection_ids(|ids| ids.find(server, now)),
            timeout: self.timeout,
        };
        let remembered = config.connection_id.is_some();
        let mut client = udp::Client::new(config, random(), now);
        let result = drive(&mut client, &socket, server).await;
        self.connection_ids(|ids| match client.connection_id() {
            Some(id) => ids.remember(server, id, Instant::now()),
            // It may be what the tracker doesn't like: the next attempt asks for another.
            None if remembered && result.is_err() => ids.forget(server),
            None => {}
        });
        result
    }

    /// Connected, so that the system drops what others send, and says when nobody listens there.
    async fn udp_socket(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        let any = match Family::of(server.ip()) {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let local = self.shared.bind.filter(|bind| Family::of(*bind) == Family::of(server.ip()));
        let socket = UdpSocket::bind((local.unwrap_or(any), 0)).await?;
        socket.connect(server).await?;
        Ok(socket)
    }

    fn connection_ids<R>(&self, look: impl FnOnce(&mut ConnectionIds) -> R) -> R {
        look(&mut self.shared.connection_ids.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Outputs out, datagrams and time in, until the machine is done.
async fn drive(
    client: &mut udp::Client,
    socket: &UdpSocket,
    server: SocketAddr,
) -> Result<Reply, AnnounceError> {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        while let Some(output) = client.poll_output() {
            match output {
                udp::Output::Send(datagram) => {
                    socket.send(&datagram).await.map_err(AnnounceError::Socket)?;
                }
                udp::Output::Done(result) => return Ok(result?),
            }
        }
        tokio::select! {
            received = socket.recv(&mut buffer) => {
                let length = received.map_err(AnnounceError::Socket)?;
                client.handle_datagram(server, &buffer[..length], Instant::now());
            }
            () = sleep_until(client.deadline()) => client.handle_timeout(Instant::now()),
        }
    }
}

/// Passes the peers on. Addresses that no peer can have are left out; which of the others are dialled is for the torrent
/// to say.
async fn deliver(
    asked: Result<Reply, AnnounceError>,
    peers: Option<&mpsc::Sender<Vec<SocketAddr>>>,
) -> Result<Reply, AnnounceError> {
    let mut reply = asked?;
    let anywhere = Policy { allow_local: true };
    reply.peers.retain(|peer| anywhere.check_ip(peer.ip()).is_ok());
    if let Some(peers) = peers
        && !reply.peers.is_empty()
    {
        // An error means that the torrent is gone or asleep; the announce counted all the same.
        let _ = peers.send_timeout(reply.peers.clone(), DELIVER_TIMEOUT).await;
    }
    Ok(reply)
}

/// One reply of two: the waits and numbers of the first, the peers of both.
fn merge(mut reply: Reply, other: Reply) -> Reply {
    reply.peers.extend(other.peers);
    reply.peers.truncate(limits::PEERS_MAX);
    reply.min_interval = reply.min_interval.max(other.min_interval);
    reply.complete = reply.complete.max(other.complete);
    reply.incomplete = reply.incomplete.max(other.incomplete);
    reply.warning = reply.warning.or(other.warning);
    reply
}
