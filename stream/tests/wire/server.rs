//! What the server bears: silent and greedy clients, strange hosts, panics, its own end.

use std::time::Duration;

use crate::support::{Client, File, PIECE, Site, content, eventually, within};
use afflux_stream::problem::Problem;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn clients_that_never_finish_a_head_are_cut() {
    let site = Site::with([], |config| config.header_timeout = Duration::from_millis(100)).await;
    // Nothing at all; the beginning of HTTP/2's preface; half a head.
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nHost: local"] {
        let mut client = Client::new(site.addr).await;
        client.stream.write_all(beginning.as_bytes()).await.unwrap();
        within("the server hangs up", client.rest()).await;
    }
}

#[tokio::test]
async fn a_client_that_drips_its_head_is_cut() {
    let site = Site::with([], |config| config.header_timeout = Duration::from_millis(200)).await;
    let stream = TcpStream::connect(site.addr).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let drip = async {
        write.write_all(b"GET / HTTP/1.1\r\n").await?;
        loop {
            write.write_all(b"x: y\r\n").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let hung_up = async {
        let mut sink = [0; 1024];
        while tokio::io::AsyncReadExt::read(&mut read, &mut sink).await.is_ok_and(|n| n > 0) {}
    };
    within("the server hangs up", async {
        tokio::select! {
            ended = drip => { let _: std::io::Result<()> = ended; }
            () = hung_up => {}
        }
    })
    .await;
}

#[tokio::test]
async fn a_waiting_film_is_not_a_silent_client() {
    let film = File::new("film.mkv", 2 * PIECE);
    let site = Site::with([film.clone()], |config| config.header_timeout = Duration::from_millis(50)).await;
    let mut client = site.send("GET /stream/0/film.mkv HTTP/1.1").await;
    client.head().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    film.arrive(0..2 * PIECE);
    assert_eq!(client.body(2 * PIECE as usize).await, content(0..2 * PIECE));
}

#[tokio::test]
async fn a_kept_connection_without_a_next_request_is_closed() {
    let site = Site::with([], |config| config.header_timeout = Duration::from_millis(100)).await;
    let mut client = site.send("GET /json HTTP/1.1").await;
    let head = client.head().await;
    client.body(head.length()).await;
    assert!(within("the server hangs up", client.rest()).await.is_empty());
}

#[tokio::test]
async fn large_and_many_headers_are_431() {
    let site = Site::new([]).await;
    let long = format!("GET / HTTP/1.1\nX: {}", "a".repeat(20_000));
    assert_eq!(site.send(&long).await.head().await.status, 431);
    let many = format!("GET / HTTP/1.1{}", "\nX: a".repeat(80));
    assert_eq!(site.send(&many).await.head().await.status, 431);
}

#[tokio::test]
async fn a_full_server_accepts_again_when_a_client_leaves() {
    let film = File::new("film.mkv", MIB);
    let site = Site::with([film.clone()], |config| config.connections_max = 2).await;
    let mut first = site.send("GET /stream/0/film.mkv HTTP/1.1").await;
    let mut second = site.send("GET /stream/0/film.mkv HTTP/1.1").await;
    first.head().await;
    second.head().await;
    let mut third = site.send("GET /json HTTP/1.1").await;
    let early = tokio::time::timeout(Duration::from_millis(100), third.head()).await;
    assert!(early.is_err(), "a third connection was served");
    assert_eq!(film.readers(), 2);
    drop(first);
    assert_eq!(third.head().await.status, 200);
}

#[tokio::test]
async fn other_routes_go_to_the_json_service_with_the_clients_address() {
    let site = Site::new([]).await;
    let mut client = site.send("GET /api/torrents HTTP/1.1").await;
    let head = client.head().await;
    assert_eq!(client.body(head.length()).await, b"json /api/torrents 127.0.0.1");
}

#[tokio::test]
async fn strange_hosts_are_turned_away_before_routing() {
    let film = File::complete("film.mkv", 10);
    let site = Site::with([film.clone()], |config| config.hosts.names.push("media.home".into())).await;
    for (host, status) in
        [("evil.example", 421), ("media.home:8080", 200), ("[::1]:8080", 200), ("192.168.0.2", 200)]
    {
        for path in ["/stream/0/film.mkv", "/api"] {
            let mut client = site.send(&format!("GET {path} HTTP/1.1\nHost: {host}")).await;
            assert_eq!(client.head().await.status, status, "{host} {path}");
        }
    }
    assert_eq!(film.opened(), 3);
    assert_eq!(site.send("GET http://evil.example/api HTTP/1.1").await.head().await.status, 421);
}

#[tokio::test]
async fn unknown_streams_are_problems_with_a_code() {
    let site = Site::new([]).await;
    for path in ["/stream/nobody/x.mkv", "/stream/no.body/x.mkv", "/stream/0", "/stream//x"] {
        let mut client = site.send(&format!("GET {path} HTTP/1.1")).await;
        let head = client.head().await;
        assert_eq!(
            (head.status, head.get("content-type")),
            (404, Some("application/problem+json")),
            "{path}"
        );
        assert_eq!(client.body(head.length()).await, Problem::NOT_FOUND.to_json());
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_and_read() {
    let site = Site::new([File::complete("film.mp4", 10)]).await;
    let mut client = site.send("OPTIONS /stream/0/film.mp4 HTTP/1.1\nOrigin: https://a.example").await;
    let head = client.head().await;
    assert_eq!((head.status, head.get("access-control-allow-origin")), (204, Some("*")));
    client.send("POST /stream/0/film.mp4 HTTP/1.1\nContent-Length: 0").await;
    let head = client.head().await;
    assert_eq!((head.status, head.get("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[tokio::test]
async fn a_panicking_route_is_a_500_and_the_connection_lives() {
    let site = Site::new([]).await;
    let mut client = Client::new(site.addr).await;
    for path in ["/panic", "/stream/panic/x"] {
        client.send(&format!("GET {path} HTTP/1.1")).await;
        let head = client.head().await;
        assert_eq!(head.status, 500);
        client.body(head.length()).await;
    }
    client.send("GET /json HTTP/1.1").await;
    assert_eq!(client.head().await.status, 200);
}

#[tokio::test]
async fn a_panicking_reader_ends_its_connection_only() {
    let (bad, good) = (File::complete("bad.mkv", MIB), File::complete("good.mkv", MIB));
    let site = Site::new([bad.clone(), good]).await;
    bad.panic();
    let mut client = site.send("GET /stream/0/bad.mkv HTTP/1.1").await;
    assert!((client.rest().await.len() as u64) < MIB);
    let mut client = site.send("GET /stream/1/good.mkv HTTP/1.1").await;
    client.head().await;
    assert_eq!(client.body(MIB as usize).await, content(0..MIB));
}

#[tokio::test]
async fn a_client_that_leaves_while_its_file_is_opened_is_forgotten() {
    let site = Site::with([], |config| config.connections_max = 1).await;
    let mut client = site.send("GET /stream/later/film.mkv HTTP/1.1").await;
    let early = tokio::time::timeout(Duration::from_millis(50), client.head()).await;
    assert!(early.is_err());
    drop(client);
    // The only slot is free again.
    assert_eq!(site.send("GET /json HTTP/1.1").await.head().await.status, 200);
}

#[tokio::test]
async fn a_shutdown_ends_idle_connections_and_cuts_films() {
    let film = File::new("film.mkv", MIB);
    let site = Site::new([film.clone()]).await;
    let mut idle = site.send("GET /json HTTP/1.1").await;
    let head = idle.head().await;
    idle.body(head.length()).await;
    let mut playing = site.send("GET /stream/0/film.mkv HTTP/1.1").await;
    playing.head().await;
    site.shutdown.cancel();
    assert!(idle.rest().await.is_empty());
    within("the server ends", site.task).await.unwrap();
    assert_eq!(film.readers(), 0, "no reader outlives the server");
    assert!(playing.rest().await.is_empty());
    assert!(TcpStream::connect(site.addr).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_an_error_at_once() {
    let site = Site::new([]).await;
    let config = afflux_stream::ServerConfig::new(site.addr);
    let error = afflux_stream::Server::bind(config).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn http2_streams_are_served_side_by_side_and_dropped_one_by_one() {
    let film = File::new("film.mkv", 40 * MIB);
    film.arrive(0..PIECE);
    let site = Site::new([film.clone()]).await;
    let io = TokioIo::new(TcpStream::connect(site.addr).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = |range: &str| {
        let uri = format!("http://{}/stream/0/film.mkv", site.addr);
        hyper::Request::get(uri).header("range", range).body(Empty::<bytes::Bytes>::new()).unwrap()
    };
    let waiting = within("a head", sender.send_request(request("bytes=1048576-"))).await.unwrap();
    let served = within("a head", sender.send_request(request("bytes=5-9"))).await.unwrap();
    assert_eq!((waiting.status().as_u16(), served.status().as_u16()), (206, 206));
    let bytes = within("a body", served.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(bytes, content(5..10));
    eventually("the finished reader is gone", || film.readers() == 1).await;
    drop(waiting);
    eventually("the reset reader is gone", || film.readers() == 0).await;
}
