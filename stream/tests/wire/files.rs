//! Files that the kernel sends by itself: every byte in its place, or a cut connection. Bytes from the file are the complement
//! of those from memory, so that each test sees which way they came.

use std::ops::Range;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::{File, LiesThere, PIECE, Site, content, within};

/// Longer than all buffers on the way.
const LENGTH: u64 = 160 * PIECE + 12_345;

/// A film that is there, with some of its pieces in a file as well.
fn film(lies_there: LiesThere) -> (Arc<File>, std::fs::File) {
    let film = File::complete("film.mkv", LENGTH);
    let file = tempfile::tempfile().unwrap();
    film.put_on_disk(file.try_clone().unwrap(), lies_there);
    (film, file)
}

/// What such a film sends over HTTP/1.
fn mixed(range: Range<u64>, lies_there: LiesThere) -> Vec<u8> {
    let flip =
        |at: u64, byte: u8| if cfg!(target_os = "linux") && lies_there(at / PIECE) { !byte } else { byte };
    range.clone().zip(content(range)).map(|(at, byte)| flip(at, byte)).collect()
}

#[tokio::test]
async fn a_file_comes_whole_and_the_connection_is_kept() {
    let (film, _file) = film(|_| true);
    let site = Site::new([film]).await;
    let mut client = site.send("GET /stream/0/film.mkv HTTP/1.1").await;
    for _ in 0..2 {
        let head = client.head().await;
        assert_eq!((head.status, head.length()), (200, LENGTH as usize));
        // The next request is there before this answer is read.
        client.send("GET /stream/0/film.mkv HTTP/1.1").await;
        assert!(client.body(LENGTH as usize).await == mixed(0..LENGTH, |_| true));
    }
    client.head().await;
}

#[tokio::test]
async fn bytes_from_memory_and_from_files_keep_their_order() {
    let every_third: LiesThere = |piece| piece % 3 != 1;
    let (film, _file) = film(every_third);
    // A send buffer that most frames don't fit into.
    let site = Site::with([film], |config| config.send_buffer_bytes = 16 * 1024).await;
    let mut client = site.send("GET /stream/0/film.mkv HTTP/1.1\nRange: bytes=1000-").await;
    client.head().await;
    assert!(client.body((LENGTH - 1000) as usize).await == mixed(1000..LENGTH, every_third));
}

#[tokio::test]
async fn parts_of_a_multipart_answer_stay_between_their_heads() {
    let (film, _file) = film(|_| true);
    let site = Site::new([film]).await;
    let request = "GET /stream/0/film.mkv HTTP/1.1\nRange: bytes=0-99999, 300000-499999";
    let mut client = site.send(request).await;
    let head = client.head().await;
    let body = client.body(head.length()).await;
    let find = |part: Vec<u8>| body.windows(part.len()).position(|window| window == part);
    let first = find(mixed(0..100_000, |_| true)).unwrap();
    let second = find(mixed(300_000..500_000, |_| true)).unwrap();
    assert!(first + 100_000 < second && second + 200_000 < body.len());
}

#[tokio::test]
async fn http2_gets_its_bytes_from_memory() {
    let (film, _file) = film(|_| true);
    let site = Site::new([film]).await;
    let io = TokioIo::new(TcpStream::connect(site.addr).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://localhost:{}/stream/0/film.mkv", site.addr.port());
    let request = http::Request::get(uri).body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = within("the answer comes", sender.send_request(request)).await.unwrap();
    let body = within("the body comes", answer.into_body().collect()).await.unwrap().to_bytes();
    assert!(body == content(0..LENGTH));
}

#[tokio::test]
async fn a_file_cut_short_while_it_is_sent_ends_the_connection_and_adds_nothing() {
    let (film, file) = film(|_| true);
    let site = Site::new([film]).await;
    let mut client = site.send("GET /stream/0/film.mkv HTTP/1.1").await;
    let head = client.head().await;
    // More is under way than the socket takes, so that what is cut off can't have left.
    file.set_len(LENGTH - PIECE).unwrap();
    let rest = within("the connection ends", client.rest()).await;
    if cfg!(target_os = "linux") {
        assert!(rest.len() < head.length(), "as if it were whole");
        assert!(rest[..] == mixed(0..LENGTH, |_| true)[..rest.len()], "what came is right");
    }
}
