//! What the network gives: ports, address families, the DHT. Nothing is sent with `--offline`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::{Finding, Patient};
use crate::dht::BOOTSTRAP_DEFAULT;

/// How long the DHT's first nodes may take to answer, names included.
const DHT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long whoever holds our HTTP port may take to say who it is.
const NEIGHBOUR_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of that is read.
const NEIGHBOUR_BYTES_MAX: u64 = 4096;
/// Nodes asked.
const NODES_MAX: usize = 16;
/// A ping of BEP 5; whose id it carries doesn't matter to who answers.
const PING: &[u8] = b"d1:ad2:id20:afflux doctor's pinge1:q4:ping1:t2:dr1:y1:qe";

pub(super) async fn examine(patient: &Patient, offline: bool) -> Vec<Finding> {
    let (http, is_running) = http_port(patient).await;
    let mut findings = vec![http];
    findings.extend(tls(patient));
    findings.push(peer_port(patient, is_running).await);
    if offline {
        return findings;
    }
    findings.push(families(
        has_route(Ipv4Addr::UNSPECIFIED.into()).await,
        has_route(Ipv6Addr::UNSPECIFIED.into()).await,
    ));
    if patient.swarm.dht {
        findings.push(dht(patient).await);
    }
    findings.push(Finding::warn(
        "port mapping",
        "isn't built yet: behind a router nobody can dial us",
        format!("let the router pass TCP and UDP port {} to this machine", patient.swarm.peer_port),
    ));
    findings
}

/// The HTTP port, and whether a daemon of ours has it already.
async fn http_port(patient: &Patient) -> (Finding, bool) {
    const CHECK: &str = "HTTP port";
    let listen = patient.http.listen;
    match TcpListener::bind(listen).await {
        Ok(_) => (Finding::ok(CHECK, format!("{listen} is free")), false),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if is_afflux(listen).await {
                return (Finding::ok(CHECK, format!("an afflux answers on {listen}")), true);
            }
            let says = format!("{listen} is used by another program (or by an afflux with HTTPS)");
            (Finding::fail(CHECK, says, "end that, or say --port N"), false)
        }
        Err(error) => {
            let advice = "say --listen ADDR:PORT with an address of this machine; ports below 1024 need CAP_NET_BIND_SERVICE";
            (Finding::fail(CHECK, format!("{listen} can't be listened on: {error}"), advice), false)
        }
    }
}

/// Whether who listens there says that it is one of us.
async fn is_afflux(listen: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(dialled(listen)).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(NEIGHBOUR_BYTES_MAX).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let Ok(Ok(answer)) = tokio::time::timeout(NEIGHBOUR_TIMEOUT, ask).await else { return false };
    String::from_utf8_lossy(&answer).to_ascii_lowercase().contains("\r\nserver: afflux/")
}

/// Where one dials who listens on all addresses.
fn dialled(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Certificate and key, if there are any.
fn tls(patient: &Patient) -> Option<Finding> {
    const CHECK: &str = "certificate";
    patient.http.tls.as_ref()?;
    Some(match patient.http.server_config() {
        Ok(_) => Finding::ok(CHECK, "certificate and key go together"),
        Err(failure) => {
            Finding::fail(CHECK, failure.to_string(), "name the right files with --tls-cert and --tls-key")
        }
    })
}

async fn peer_port(patient: &Patient, is_running: bool) -> Finding {
    const CHECK: &str = "peer port";
    let port = patient.swarm.peer_port;
    let address = SocketAddr::new(patient.swarm.bind.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port);
    let (tcp, udp) = (TcpListener::bind(address).await.err(), UdpSocket::bind(address).await.err());
    let Some(error) = tcp.or(udp) else {
        return Finding::ok(CHECK, format!("{port} is free for TCP and UDP"));
    };
    let taken = error.kind() == io::ErrorKind::AddrInUse;
    if taken && is_running {
        return Finding::ok(CHECK, format!("{port} is taken, by the afflux that runs"));
    }
    let says = format!("{port} can't be listened on: {error}");
    match (taken, patient.swarm.peer_port_fixed) {
        (true, false) => {
            Finding::warn(CHECK, says, "the daemon would take any other; name a free one with --peer-port")
        }
        (true, true) => {
            Finding::fail(CHECK, says, "end the other program, or name a free port with --peer-port")
        }
        (false, _) => {
            Finding::fail(CHECK, says, "name an address of this machine with --bind, and a port above 1023")
        }
    }
}

/// Whether there is a way out over a family. Connecting a UDP socket sends nothing.
async fn has_route(from: IpAddr) -> bool {
    // Documentation addresses: routed like any other, and nobody's.
    let to: IpAddr = match from {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    match UdpSocket::bind((from, 0)).await {
        Ok(socket) => socket.connect((to, 9)).await.is_ok(),
        Err(_) => false,
    }
}

fn families(v4: bool, v6: bool) -> Finding {
    const CHECK: &str = "internet";
    match (v4, v6) {
        (true, true) => Finding::ok(CHECK, "there is a way out over IPv4 and IPv6"),
        (true, false) => Finding::warn(
            CHECK,
            "there is no way out over IPv6: some peers are out of reach",
            "ask your provider, or let it be",
        ),
        (false, true) => Finding::warn(
            CHECK,
            "there is no way out over IPv4: most peers are out of reach",
            "ask your provider",
        ),
        (false, false) => {
            Finding::fail(CHECK, "there is no way out", "look after the network; --offline skips this")
        }
    }
}

/// Whether any of the DHT's first nodes answers.
async fn dht(patient: &Patient) -> Finding {
    const CHECK: &str = "DHT";
    let nodes = patient.swarm.dht_bootstrap.clone();
    let nodes = nodes.unwrap_or_else(|| BOOTSTRAP_DEFAULT.map(str::to_owned).to_vec());
    let pings: Vec<_> = nodes.into_iter().take(NODES_MAX).map(|node| Box::pin(ping(node))).collect();
    let answered = futures_util::future::select_ok(pings);
    match tokio::time::timeout(DHT_TIMEOUT, answered).await {
        Ok(Ok((node, _))) => Finding::ok(CHECK, format!("{node} answers")),
        _ => Finding::warn(
            CHECK,
            "no first node answers: torrents without trackers find no peers",
            "let UDP through the firewall, or name other nodes with --dht-bootstrap HOST:PORT",
        ),
    }
}

/// Asks a node whether it is there, over whatever address answers first.
async fn ping(node: String) -> io::Result<String> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(&node).await?.take(2).collect();
    let asked: Vec<_> = addresses.into_iter().map(|address| Box::pin(ping_address(address))).collect();
    if asked.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    futures_util::future::select_ok(asked).await.map(|((), _)| node)
}

async fn ping_address(address: SocketAddr) -> io::Result<()> {
    let from: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((from, 0)).await?;
    socket.connect(address).await?;
    socket.send(PING).await?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).await?;
    let is_response = answer[..length].windows(6).any(|six| six == b"1:y1:r");
    if is_response { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::{HttpOptions, SwarmOptions};

    fn patient(listen: SocketAddr) -> Patient {
        let http = HttpOptions { listen: Some(listen), ..Default::default() };
        let swarm =
            SwarmOptions { bind: Some(Ipv4Addr::LOCALHOST.into()), peer_port: Some(0), ..Default::default() };
        Patient {
            data_dir: "/nowhere".into(),
            swarm: swarm.settle(Default::default()).unwrap(),
            http: http.settle(Default::default()).unwrap(),
        }
    }

    const FREE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn the_ping_is_well_formed() {
        let text = String::from_utf8_lossy(PING);
        let id = text.split("20:").nth(1).and_then(|rest| rest.split("e1:q").next()).unwrap();
        assert_eq!(id.len(), 20);
    }

    #[tokio::test]
    async fn a_port_that_another_program_holds_fails_and_one_of_ours_is_fine() {
        assert_eq!(http_port(&patient(FREE)).await.0.verdict, Verdict::Ok);
        for (answer, verdict) in [
            ("HTTP/1.1 200 OK\r\nServer: Afflux/0.1.0\r\n\r\n", Verdict::Ok),
            ("HTTP/1.1 200 OK\r\nServer: other\r\n\r\n", Verdict::Fail),
        ] {
            let listener = TcpListener::bind(FREE).await.unwrap();
            let at = listener.local_addr().unwrap();
            let answering = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; b"GET /healthz HTTP/1.0\r\n\r\n".len()];
                stream.read_exact(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
            let (finding, is_running) = http_port(&patient(at)).await;
            assert_eq!((finding.verdict, is_running), (verdict, verdict == Verdict::Ok), "{finding:?}");
            answering.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_node_that_answers_is_enough() {
        let node = UdpSocket::bind(FREE).await.unwrap();
        let at = node.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut request = [0; 512];
            let (_, from) = node.recv_from(&mut request).await.unwrap();
            node.send_to(b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t2:dr1:y1:re", from).await.unwrap();
        });
        let mut patient = patient(FREE);
        patient.swarm.dht_bootstrap = Some(vec!["127.0.0.1:1".into(), at]);
        assert_eq!(dht(&patient).await.verdict, Verdict::Ok);
        patient.swarm.dht_bootstrap = Some(vec!["127.0.0.1:1".into()]);
        assert_eq!(dht(&patient).await.verdict, Verdict::Warn);
    }

    #[test]
    fn one_family_is_a_warning_and_none_a_failure() {
        let verdicts = [(true, true), (true, false), (false, true), (false, false)]
            .map(|(v4, v6)| families(v4, v6).verdict);
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Warn, Verdict::Warn, Verdict::Fail]);
    }
}
