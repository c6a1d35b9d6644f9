//! What players do, byte by byte on the wire: open head and tail at once, wait for pieces, seek by hanging up.

use crate::support::{Client, File, PIECE, Site, content, eventually};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn the_tail_is_served_while_the_head_waits() {
    let film = File::new("film.mkv", 40 * MIB + 5);
    let site = Site::new([film.clone()]).await;
    let mut head = site.send("GET /stream/0/film.mkv HTTP/1.1\nRange: bytes=0-").await;
    let opened = head.head().await;
    assert_eq!((opened.status, opened.length() as u64), (206, 40 * MIB + 5));

    film.arrive(40 * MIB..40 * MIB + 5);
    let mut tail = site.send("GET /stream/0/film.mkv HTTP/1.1\nRange: bytes=41943042-").await;
    assert_eq!(tail.head().await.get("content-range"), Some("bytes 41943042-41943044/41943045"));
    assert_eq!(tail.body(3).await, content(40 * MIB + 2..40 * MIB + 5));

    film.arrive(0..PIECE);
    assert_eq!(head.body(PIECE as usize).await, content(0..PIECE));
}

#[tokio::test]
async fn a_stalled_body_goes_on_where_it_stopped() {
    let film = File::new("film.mp4", 3 * PIECE);
    film.arrive(0..PIECE);
    let site = Site::new([film.clone()]).await;
    let mut client = site.send("GET /stream/0/film.mp4 HTTP/1.1").await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.body(PIECE as usize).await, content(0..PIECE));
    eventually("the reader waits", || film.windows().last().is_some_and(|window| window.waiting)).await;
    film.arrive(2 * PIECE..3 * PIECE);
    film.arrive(PIECE..2 * PIECE);
    assert_eq!(client.body(2 * PIECE as usize).await, content(PIECE..3 * PIECE));
    eventually("the reader is gone", || film.readers() == 0).await;
}

#[tokio::test]
async fn a_failed_reader_cuts_the_connection_short_of_the_length() {
    let film = File::new("film.mp4", 3 * PIECE);
    film.arrive(0..PIECE);
    let site = Site::new([film.clone()]).await;
    let mut client = site.send("GET /stream/0/film.mp4 HTTP/1.1").await;
    assert_eq!(client.head().await.length() as u64, 3 * PIECE);
    assert_eq!(client.body(PIECE as usize).await, content(0..PIECE));
    film.fail();
    assert!(client.rest().await.is_empty());
    assert_eq!(film.readers(), 0);
}

#[tokio::test]
async fn a_hang_up_drops_the_reader_while_it_waits() {
    let film = File::new("film.mkv", 100 * MIB);
    let site = Site::new([film.clone()]).await;
    let mut client = site.send("GET /stream/0/film.mkv HTTP/1.1\nRange: bytes=0-").await;
    client.head().await;
    assert_eq!(film.readers(), 1);
    drop(client);
    eventually("the reader is gone though no piece ever came", || film.readers() == 0).await;
}

#[tokio::test]
async fn a_hang_up_drops_the_reader_while_it_sends() {
    let film = File::complete("film.mkv", 400 * MIB);
    let site = Site::new([film.clone()]).await;
    let mut client = site.send("GET /stream/0/film.mkv HTTP/1.1\nRange: bytes=0-").await;
    client.head().await;
    client.body(200_000).await;
    drop(client);
    eventually("the reader is gone", || film.readers() == 0).await;
}

#[tokio::test]
async fn a_hang_up_is_noticed_behind_the_bytes_of_a_next_request() {
    let film = File::new("film.mkv", 100 * MIB);
    let site = Site::new([film.clone()]).await;
    let mut client = site.send("GET /stream/0/film.mkv HTTP/1.1").await;
    client.head().await;
    client.send("GET /stream/0/film.mkv HTTP/1.1").await;
    drop(client);
    eventually("the reader is gone though no piece ever came", || film.readers() == 0).await;
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_turn() {
    let site = Site::new([File::complete("film.mp4", MIB)]).await;
    let mut client = Client::new(site.addr).await;
    let ranges = [0..MIB, 7..9, MIB - 1..MIB];
    for range in &ranges {
        client
            .send(&format!("GET /stream/0/film.mp4 HTTP/1.1\nRange: bytes={}-{}", range.start, range.end - 1))
            .await;
    }
    for range in ranges {
        let head = client.head().await;
        assert_eq!(client.body(head.length()).await, content(range));
    }
}

#[tokio::test]
async fn a_range_that_begins_at_the_size_is_416() {
    let site = Site::new([File::complete("film.mp4", 1000)]).await;
    let mut client = site.send("GET /stream/0/film.mp4 HTTP/1.1\nRange: bytes=1000-").await;
    let head = client.head().await;
    assert_eq!((head.status, head.get("content-range")), (416, Some("bytes */1000")));
    let problem = String::from_utf8(client.body(head.length()).await).unwrap();
    assert!(problem.contains("\"code\":\"range_not_satisfiable\""), "{problem}");
}

#[tokio::test]
async fn another_version_is_412_and_reads_nothing() {
    let film = File::complete("film.mp4", 1000);
    let site = Site::new([film.clone()]).await;
    let mut client = site.send("GET /stream/0/film.mp4 HTTP/1.1\nRange: bytes=5-\nIf-Match: \"x\"").await;
    assert_eq!(client.head().await.status, 412);
    let mut client =
        site.send("GET /stream/0/film.mp4 HTTP/1.1\nRange: bytes=5-\nIf-Match: \"0011-7\"").await;
    assert_eq!(client.head().await.status, 206);
    assert_eq!(client.body(995).await, content(5..1000));
    assert_eq!(film.opened(), 1);
}

#[tokio::test]
async fn head_tells_the_length_and_opens_no_reader() {
    let film = File::new("film.mp4", 5000 * MIB);
    let site = Site::new([film.clone()]).await;
    let mut client = site.send("HEAD /stream/0/film.mp4 HTTP/1.1\nRange: bytes=0-1").await;
    let head = client.head().await;
    assert_eq!((head.status, head.length() as u64), (200, 5000 * MIB));
    assert_eq!(head.get("accept-ranges"), Some("bytes"));
    client.send("GET /other HTTP/1.1\nConnection: close").await;
    assert_eq!(client.head().await.status, 200, "no body came before it");
    assert_eq!(film.opened(), 0);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let site = Site::new([File::complete("film.mp4", 10 * PIECE)]).await;
    let mut client = Client::new(site.addr).await;
    for (first, last) in [(0u64, 1u64), (PIECE - 1, 3 * PIECE), (10 * PIECE - 1, 10 * PIECE - 1)] {
        client.send(&format!("GET /stream/0/film.mp4 HTTP/1.1\nRange: bytes={first}-{last}")).await;
        let head = client.head().await;
        assert_eq!(head.status, 206);
        assert_eq!(head.get("server"), Some(concat!("Afflux/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(client.body(head.length()).await, content(first..last + 1));
    }
}

#[tokio::test]
async fn connection_close_is_obeyed() {
    let site = Site::new([File::complete("film.mp4", 1000)]).await;
    let mut client = site.send("GET /stream/0/film.mp4 HTTP/1.1\nConnection: close").await;
    client.head().await;
    assert_eq!(client.rest().await, content(0..1000));
}

#[tokio::test]
async fn several_ranges_come_as_parts() {
    let site = Site::new([File::complete("film.mp4", 10 * PIECE)]).await;
    let mut client = site.send("GET /stream/0/film.mp4 HTTP/1.1\nRange: bytes=600000-600099,0-99").await;
    let head = client.head().await;
    let boundary = head.get("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let body = client.body(head.length()).await;
    let mut expected = Vec::new();
    for (before, range) in [("", 600_000..600_100), ("\r\n", 0..100)] {
        let (first, last) = (range.start, range.end - 1);
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes {first}-{last}/655360\r\n\r\n"
        );
        expected.extend(head.into_bytes());
        expected.extend(content(range));
    }
    expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    assert_eq!(body, expected);
    client.send("GET /other HTTP/1.1").await;
    assert_eq!(client.head().await.status, 200, "the framing ended where its length said");
}

#[tokio::test]
async fn if_range_with_another_tag_is_the_whole_file() {
    let site = Site::new([File::complete("film.mp4", 1000)]).await;
    let mut client = site.send("GET /stream/0/film.mp4 HTTP/1.1\nRange: bytes=5-\nIf-Range: \"x\"").await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.body(1000).await, content(0..1000));
}

#[tokio::test]
async fn an_empty_file_is_an_empty_body() {
    let site = Site::new([File::new("empty.srt", 0)]).await;
    let mut client = site.send("GET /stream/0/empty.srt HTTP/1.1\nConnection: close").await;
    assert_eq!(client.head().await.length(), 0);
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn eight_waiting_readers_do_not_hold_up_a_ninth() {
    let (dry, film) = (File::new("dry.mkv", 100 * MIB), File::complete("film.mkv", MIB));
    let site = Site::new([dry.clone(), film]).await;
    let mut waiting = Vec::new();
    for i in 0..8 {
        let mut client =
            site.send(&format!("GET /stream/0/dry.mkv HTTP/1.1\nRange: bytes={}-", i * MIB)).await;
        client.head().await;
        waiting.push(client);
    }
    assert_eq!(dry.readers(), 8);
    let mut client = site.send("GET /stream/1/film.mkv HTTP/1.1").await;
    client.head().await;
    assert_eq!(client.body(MIB as usize).await, content(0..MIB));
}
