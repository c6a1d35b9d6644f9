//! A real connection over a real store; the peer's messages are written by hand.

use std::io::IoSlice;
use std::sync::Arc;

use afflux_metainfo::{Bitfield, InfoHash, Layout, PeerId, PieceIndex};
use afflux_peer::{Command, Config, Direction, Handshake, Message, Reserved};
use afflux_storage::{Disk, DiskConfig, Kind, Ledger, Pool, StoreConfig};
use afflux_swarm::shaper::Limits;

use super::super::rates::{Rates, TorrentRates};
use super::*;

const PIECE: u32 = 64 * BLOCK_LENGTH;

struct Rig {
    connection: Connection,
    uploads: Uploads,
    store: Store,
    rates: PeerRates,
    now: Instant,
    _torrent: TorrentRates,
    _folder: tempfile::TempDir,
}

impl Rig {
    /// A peer that is unchoked and interested, and a piece on disk.
    fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("film"), vec![7; PIECE as usize]).unwrap();
        let layout = Layout::new(PIECE.into(), [(vec!["film".into()], PIECE.into(), false)]).unwrap();
        let (layout, have) = (Arc::new(layout), Bitfield::full(1));
        let config = StoreConfig {
            info_hash: InfoHash([1; 20]),
            kind: Kind::Disk { dir: folder.path().to_path_buf() },
            layout: layout.clone(),
            hashes: Arc::from([[0; 20]]),
            have: have.clone(),
            unwanted: Vec::new(),
            files: Default::default(),
            read_only: true,
        };
        let disk = Disk::start(DiskConfig::default()).unwrap();
        let store = Store::open(config, &disk, &Pool::new(Ledger::new(16 << 20)), Arc::new(|_| {})).unwrap();
        let now = Instant::now();
        let config = Config {
            direction: Direction::Incoming,
            remote: ([127, 0, 0, 1], 1).into(),
            reqq: 500,
            client: "test".into(),
            listen_port: None,
            peer_timeout: std::time::Duration::from_secs(10),
            dht_port: None,
            upload_only: true,
        };
        let handshake = Handshake {
            reserved: Reserved([0, 0, 0, 0, 0, 0, 0, 4]),
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([2; 20]),
        };
        let mut connection = Connection::new(config, &handshake, Some(layout), None, 3, now);
        connection.handle_command(Command::Advertise(Arc::new(have)), now);
        connection.handle_command(Command::Unchoke, now);
        let torrent = Rates::new(limits, now).torrent(Limits::default(), now);
        let rates = torrent.link(now);
        let mut rig = Self {
            connection,
            uploads: Uploads::new(),
            store,
            rates,
            now,
            _torrent: torrent,
            _folder: folder,
        };
        rig.hear(&[Message::HaveNone, Message::Interested]);
        rig.write();
        rig
    }

    fn hear(&mut self, messages: &[Message<'_>]) {
        let mut wire = bytes::BytesMut::new();
        messages.iter().for_each(|message| message.encode(&mut wire));
        assert_eq!(self.connection.handle_control(&wire, self.now), Ok(wire.len()));
    }

    fn request(&mut self, count: u32) {
        let block = |nth| BlockRef { index: PieceIndex(0), begin: nth * BLOCK_LENGTH, length: BLOCK_LENGTH };
        self.hear(&(0..count).map(|nth| Message::Request(block(nth))).collect::<Vec<_>>());
    }

    fn serve(&mut self) {
        self.uploads.serve(&mut self.connection, &self.rates, Some(&self.store), self.now);
    }

    /// Everything leaves at once.
    fn write(&mut self) {
        let mut slices = [IoSlice::new(&[]); 256];
        let count = self.connection.transmit_slices(&mut slices);
        let length = slices[..count].iter().map(|slice| slice.len()).sum();
        self.connection.transmitted(length, self.now);
        assert_eq!(self.connection.pending_bytes(), 0);
    }

    fn sent(&self) -> u64 {
        self.connection.facts(self.now).totals.payload_sent
    }

    /// The first block comes by way of a disk thread, which opens the file.
    async fn warm_up(&mut self) {
        self.request(1);
        self.serve();
        assert!(!self.uploads.is_due(&self.connection));
        let answer = self.uploads.answered().await;
        self.uploads.handle_answer(&mut self.connection, answer, self.now);
        self.write();
        assert_eq!(self.sent(), u64::from(BLOCK_LENGTH));
    }
}

#[tokio::test]
async fn requests_that_the_send_buffer_had_no_room_for_are_due_when_it_is_empty() {
    let mut rig = Rig::new(Limits::default());
    rig.warm_up().await;
    rig.request(40);
    let mut turns = 0;
    while rig.sent() < 41 * u64::from(BLOCK_LENGTH) {
        // Nothing else will ever tell: no read is under way, and the peer has asked all it may.
        assert!(turns == 0 || rig.uploads.is_due(&rig.connection), "the link would wait for its timer");
        rig.serve();
        rig.write();
        turns += 1;
    }
    assert!(turns > 1, "all of it fitted, and nothing was tested");
    assert!(!rig.uploads.is_due(&rig.connection));
}

#[tokio::test]
async fn nothing_is_due_while_the_rate_or_the_disk_makes_us_wait() {
    let limits = Limits { upload: Some(u64::from(BLOCK_LENGTH)), ..Limits::default() };
    let mut rig = Rig::new(limits);
    rig.warm_up().await;
    rig.request(40);
    rig.serve();
    assert!(rig.uploads.deadline().is_some());
    assert!(!rig.uploads.is_due(&rig.connection), "a link that asks at once asks without end");
}
