//! Peers and disks that let us down.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use afflux::engine::State;
use afflux_metainfo::PeerId;
use afflux_peer::handshake::HANDSHAKE_LENGTH;
use afflux_peer::{Handshake, Message, Reserved};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::house::{Film, House, MIB, NAME, wait_complete, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_seeder_that_dies_midway_costs_nothing_but_its_rate() {
    let film = Film::new(8 * MIB, 128 * 1024);
    let (dying, living) = (film.seeder(Some(2 * MIB)).await, film.seeder(Some(2 * MIB)).await);
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let addresses = [dying.address(), living.address()];
    let torrent = house.fetch(&film.source(), folder.path(), &addresses).await;
    wait_for(&torrent, |status| status.fraction() > 0.3).await;
    dying.engine.shutdown().await;
    assert!(torrent.status().fraction() < 1.0);
    let status = wait_complete(&torrent).await;
    assert_eq!(status.snapshot.failed_bytes, 0);
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

/// A seeder by hand: serves so many blocks, then only a part of one, and then nothing more for ever.
async fn falls_silent(film: Arc<Film>, blocks_served: u32) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        serve(&mut stream, &film, blocks_served).await;
        // The socket stays open, and nobody reads or writes it.
        std::future::pending::<()>().await;
    });
    address
}

async fn serve(stream: &mut TcpStream, film: &Film, blocks_served: u32) {
    let mut theirs = [0; HANDSHAKE_LENGTH];
    stream.read_exact(&mut theirs).await.unwrap();
    let theirs = Handshake::parse(&theirs).unwrap();
    let ours = Handshake {
        reserved: Reserved([0, 0, 0, 0, 0, 0, 0, 4]),
        info_hash: theirs.info_hash,
        peer_id: PeerId(*b"-XX0000-falls.silent"),
    };
    stream.write_all(&ours.to_wire()).await.unwrap();
    stream.write_all(&encode(&[Message::HaveAll, Message::Unchoke])).await.unwrap();
    let mut left = blocks_served;
    loop {
        let length = stream.read_u32().await.unwrap();
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message).await.unwrap();
        if message.first() != Some(&6) {
            continue;
        }
        let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        let (index, begin, length) = (number(1), number(5), number(9));
        let piece_length = film.torrent.info.layout.piece_length();
        let start = index as usize * piece_length as usize + begin as usize;
        let block = afflux_metainfo::BlockRef { index: afflux_metainfo::PieceIndex(index), begin, length };
        stream.write_all(&encode(&[Message::Piece(block)])).await.unwrap();
        if left == 0 {
            stream.write_all(&film.data[start..start + length as usize / 2]).await.unwrap();
            return;
        }
        left -= 1;
        stream.write_all(&film.data[start..start + length as usize]).await.unwrap();
    }
}

fn encode(messages: &[Message<'_>]) -> BytesMut {
    let mut wire = BytesMut::new();
    messages.iter().for_each(|message| message.encode(&mut wire));
    wire
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_falls_silent_in_the_middle_of_a_block_holds_nothing_up() {
    let film = Arc::new(Film::new(4 * MIB, 64 * 1024));
    let silent = falls_silent(Arc::clone(&film), 40).await;
    // The peer timeout can't be what helps.
    let house = House::with(|config| config.tuning.peer_timeout = Duration::from_secs(3600)).await;
    let folder = tempfile::tempdir().unwrap();
    let torrent = house.fetch(&film.source(), folder.path(), &[silent]).await;
    wait_for(&torrent, |status| status.totals.payload_received >= 40 * 16 * 1024).await;
    let seeder = film.seeder(None).await;
    torrent.add_peers(vec![seeder.address()]).await;
    let status = wait_complete(&torrent).await;
    assert!(status.totals.payload_received < film.length() + MIB, "{status:?}");
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_holds_nothing_up() {
    let film = Arc::new(Film::new(4 * MIB, 64 * 1024));
    let silent = falls_silent(Arc::clone(&film), 0).await;
    let seeder = film.seeder(None).await;
    let house = House::with(|config| config.tuning.peer_timeout = Duration::from_secs(2)).await;
    let folder = tempfile::tempdir().unwrap();
    let torrent = house.fetch(&film.source(), folder.path(), &[silent, seeder.address()]).await;
    wait_complete(&torrent).await;
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_that_cannot_write_stops_with_a_reason_and_goes_on_once_it_can() {
    let film = Film::new(4 * MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let in_the_way = folder.path().join(NAME);
    std::fs::create_dir(&in_the_way).unwrap();
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    let stopped = wait_for(&torrent, |status| status.state == State::Error).await;
    let sentence = stopped.error.expect("it says why");
    assert!(sentence.contains(NAME), "{sentence}");
    std::fs::remove_dir(&in_the_way).unwrap();
    let status = wait_complete(&torrent).await;
    assert_eq!(status.error, None);
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

/// Attack 22: sockets that never say their handshake. As many as one address may hold are kept for a while; the next is
/// closed at once, and whoever does speak is heard.
#[tokio::test(flavor = "multi_thread")]
async fn silent_sockets_of_one_address_cannot_take_all_places() {
    const PENDING_PER_ADDRESS: usize = 8;
    let film = Film::new(MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    let mut silent = Vec::new();
    for _ in 0..PENDING_PER_ADDRESS {
        silent.push(TcpStream::connect(seeder.address()).await.unwrap());
    }
    let mut surplus = TcpStream::connect(seeder.address()).await.unwrap();
    assert!(matches!(surplus.read(&mut [0]).await, Ok(0) | Err(_)), "one too many is closed");
    drop(silent);
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    wait_complete(&torrent).await;
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

/// Attack 31: an engine that is told its own address.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_does_not_stay_connected_to_itself() {
    let film = Film::new(MIB, 64 * 1024);
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &[house.address()]).await;
    let seeder = film.seeder(None).await;
    torrent.add_peers(vec![seeder.address()]).await;
    let status = wait_complete(&torrent).await;
    assert_eq!(status.snapshot.connected, 1, "the seeder alone");
    house.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_edited_while_it_is_seeded_is_checked_and_nothing_wrong_is_sent() {
    let film = Film::new(4 * MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    let first = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    let torrent = first.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    wait_complete(&torrent).await;
    seeder.engine.shutdown().await;
    // What an engine holds in memory is right whatever lies on the disk: this one holds nothing yet.
    first.engine.shutdown().await;
    let second = House::at(first.state.clone(), |_| {}).await;
    let torrent = second.fetch(&film.source(), folder.path(), &[]).await;
    wait_complete(&torrent).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let file = std::fs::File::options().write(true).open(folder.path().join(NAME)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"edited", 3 * MIB).unwrap();
    let leecher = House::new().await;
    let other = tempfile::tempdir().unwrap();
    let fetched = leecher.fetch(&film.source(), other.path(), &[second.address()]).await;
    let length = film.length() - 64 * 1024;
    let status = wait_for(&fetched, |status| status.progress.bytes_have == length).await;
    assert_eq!((status.snapshot.failed_bytes, status.snapshot.connected), (0, 1), "nothing wrong came");
    let status = wait_for(&torrent, |status| status.progress.bytes_have == length).await;
    assert_eq!(status.error, None);
    leecher.engine.shutdown().await;
    second.engine.shutdown().await;
}
