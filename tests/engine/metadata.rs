//! Giving metadata to peers that have none (BEP 9), seen by a peer written by hand.

use std::fs::File;
use std::os::unix::fs::FileExt;

use afflux::source::Source;
use afflux_metainfo::create::Builder;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_metainfo::{InfoHash, PeerId};
use afflux_peer::extension::{HANDSHAKE_ID, OUR_UT_METADATA};
use afflux_peer::handshake::HANDSHAKE_LENGTH;
use afflux_peer::metadata::MetadataMessage;
use afflux_peer::{ExtensionHandshake, Handshake, Message, Reserved};
use afflux_storage::Kind;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::house::{House, MIB, NAME, options, wait_for};

/// What an extension message begins with (BEP 10).
const EXTENDED: u8 = 20;
/// How we want metadata to be called.
const UT_METADATA: u8 = 9;

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_that_is_still_checked_gives_its_metadata() {
    // Hashing this takes seconds everywhere, making it none: each piece is a byte and a hole, and neither matters.
    let (length, piece_length) = (4096 * MIB, 16 * MIB as u32);
    let builder = Builder::single_file(NAME, length, piece_length).unwrap();
    let hashes = vec![[7; 20]; (length / u64::from(piece_length)) as usize];
    let torrent_file = TorrentFile::parse(&builder.build(&hashes).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join(NAME)).unwrap();
    file.set_len(length).unwrap();
    for start in (0..length).step_by(piece_length as usize) {
        file.write_all_at(b"x", start).unwrap();
    }
    let house = House::new().await;
    let kind = Kind::Disk { dir: folder.path().to_path_buf() };
    let source = Source::Torrent(Box::new(torrent_file.clone()));
    let torrent = house.engine.add(&source, options(kind, true)).unwrap();
    wait_for(&torrent, |status| status.checked.is_some()).await;
    let raw = &torrent_file.info.raw;
    assert_eq!(ask(&house, torrent.info_hash(), raw.len()).await, raw[..]);
    house.engine.shutdown().await;
}

/// Meets the engine, and asks for metadata that fits into one piece.
async fn ask(house: &House, info_hash: InfoHash, size: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(house.address()).await.unwrap();
    let reserved = Reserved([0, 0, 0, 0, 0, 0x10, 0, 4]);
    let ours = Handshake { reserved, info_hash, peer_id: PeerId(*b"-XX0000-has.no.names") };
    stream.write_all(&ours.to_wire()).await.unwrap();
    stream.read_exact(&mut [0; HANDSHAKE_LENGTH]).await.unwrap();
    let told = extended(&mut stream, HANDSHAKE_ID).await;
    let mut theirs = ExtensionHandshake::default();
    theirs.update(&told).unwrap();
    assert_eq!(theirs.metadata_size, Some(size as u32), "its first handshake says how large it is");
    let greeting = ExtensionHandshake { ut_metadata: Some(UT_METADATA), ..Default::default() }.encode();
    let request = MetadataMessage::Request { piece: 0 }.encode_head();
    let mut wire = BytesMut::new();
    Message::Extended { id: HANDSHAKE_ID, payload: &greeting }.encode(&mut wire);
    Message::Extended { id: OUR_UT_METADATA, payload: &request }.encode(&mut wire);
    stream.write_all(&wire).await.unwrap();
    match MetadataMessage::parse(&extended(&mut stream, UT_METADATA).await).unwrap() {
        MetadataMessage::Data { piece: 0, data, .. } => data.to_vec(),
        other => panic!("{other:?} instead of metadata"),
    }
}

/// The payload of the next extension message of that kind.
async fn extended(stream: &mut TcpStream, id: u8) -> Vec<u8> {
    loop {
        let mut message = vec![0; stream.read_u32().await.unwrap() as usize];
        stream.read_exact(&mut message).await.unwrap();
        if message.starts_with(&[EXTENDED, id]) {
            return message.split_off(2);
        }
    }
}
