//! Opening a connection: dial or accept, and the two handshakes (BEP 3), within [`HANDSHAKE_TIMEOUT`].
//!
//! What comes out is a socket on which both sides have said the same info-hash.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use afflux_metainfo::{InfoHash, PeerId};
use afflux_peer::handshake::{HANDSHAKE_HEAD_LENGTH, HANDSHAKE_LENGTH, Handshake, HandshakeError, Reserved};
use afflux_peer::limits::HANDSHAKE_TIMEOUT;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Why no conversation came about.
#[derive(Debug, Error)]
pub(super) enum GreetError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It took longer than allowed.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// What came was no handshake.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// It talks about another torrent.
    #[error("the peer answered with another info-hash")]
    OtherTorrent,
    /// It is us.
    #[error("the peer is this program itself")]
    OurselvesMet,
}

/// What we say in our handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Introduction {
    /// The id of this process.
    pub(super) peer_id: PeerId,
    /// Whether a DHT node runs here (BEP 5's reserved bit).
    pub(super) dht: bool,
}

impl Introduction {
    fn handshake(&self, info_hash: InfoHash) -> Handshake {
        Handshake { reserved: Reserved::ours(self.dht), info_hash, peer_id: self.peer_id }
    }
}

/// Connects to `remote` and exchanges handshakes about `info_hash`.
pub(super) async fn dial(
    remote: SocketAddr,
    bind: Option<IpAddr>,
    info_hash: InfoHash,
    us: Introduction,
    connect_timeout: Duration,
) -> Result<(TcpStream, Handshake), GreetError> {
    let mut stream = within(connect_timeout, connect(remote, bind)).await?;
    let theirs = within(HANDSHAKE_TIMEOUT, async {
        stream.write_all(&us.handshake(info_hash).to_wire()).await?;
        let mut wire = [0; HANDSHAKE_LENGTH];
        stream.read_exact(&mut wire).await?;
        Ok(Handshake::parse(&wire)?)
    })
    .await?;
    if theirs.info_hash != info_hash {
        return Err(GreetError::OtherTorrent);
    }
    check_stranger(&theirs, us)?;
    Ok((stream, theirs))
}

/// Reads as much of an accepted peer's handshake as names the torrent it wants.
pub(super) async fn read_wish(
    stream: &mut TcpStream,
) -> Result<(InfoHash, [u8; HANDSHAKE_HEAD_LENGTH]), GreetError> {
    within(HANDSHAKE_TIMEOUT, async {
        let mut head = [0; HANDSHAKE_HEAD_LENGTH];
        stream.read_exact(&mut head).await?;
        let (_, info_hash) = Handshake::parse_head(&head)?;
        Ok((info_hash, head))
    })
    .await
}

/// Answers an accepted peer whose wish we can fulfil, and reads the rest of its handshake.
pub(super) async fn answer(
    stream: &mut TcpStream,
    head: [u8; HANDSHAKE_HEAD_LENGTH],
    info_hash: InfoHash,
    us: Introduction,
) -> Result<Handshake, GreetError> {
    let theirs = within(HANDSHAKE_TIMEOUT, async {
        stream.write_all(&us.handshake(info_hash).to_wire()).await?;
        let mut wire = [0; HANDSHAKE_LENGTH];
        wire[..HANDSHAKE_HEAD_LENGTH].copy_from_slice(&head);
        stream.read_exact(&mut wire[HANDSHAKE_HEAD_LENGTH..]).await?;
        Ok(Handshake::parse(&wire)?)
    })
    .await?;
    check_stranger(&theirs, us)?;
    Ok(theirs)
}

fn check_stranger(theirs: &Handshake, us: Introduction) -> Result<(), GreetError> {
    if theirs.peer_id == us.peer_id { Err(GreetError::OurselvesMet) } else { Ok(()) }
}

async fn connect(remote: SocketAddr, bind: Option<IpAddr>) -> Result<TcpStream, GreetError> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bind) = bind.filter(|bind| bind.is_ipv4() == remote.is_ipv4()) {
        socket.bind(SocketAddr::new(bind, 0))?;
    }
    let stream = socket.connect(remote).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, GreetError>>,
) -> Result<T, GreetError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(GreetError::TimedOut(limit)))
}
