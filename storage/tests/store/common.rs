//! A torrent with known bytes and a store that takes them as peers would bring them.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use afflux_metainfo::{Bitfield, BlockRef, InfoHash, Layout, PieceIndex};
use afflux_storage::{
    Disk, DiskConfig, Event, Full, Kind, Ledger, Pool, ReadError, Store, StoreConfig, disk,
};
use bytes::Bytes;

/// A hung test ends in a failure instead; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a torrent holds.
pub(crate) struct Sample {
    pub(crate) content: Vec<u8>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) hashes: Arc<[[u8; 20]]>,
}

impl Sample {
    pub(crate) fn new(piece_length: u64, files: &[(&str, u64)]) -> Self {
        let rows = files
            .iter()
            .map(|&(path, length)| (path.split('/').map(str::to_owned).collect::<Vec<_>>(), length, false));
        let layout = Arc::new(Layout::new(piece_length, rows).unwrap());
        // Any bytes will do as long as no two blocks are alike.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let content: Vec<u8> = (0..layout.total_length())
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let hashes = content
            .chunks(layout.piece_length() as usize)
            .map(|piece| sha1_smol::Sha1::from(piece).digest().bytes())
            .collect();
        Self { content, layout, hashes }
    }

    pub(crate) fn piece(&self, piece: u32) -> &[u8] {
        let start = self.layout.piece_offset(PieceIndex(piece)) as usize;
        &self.content[start..start + self.layout.length_of(PieceIndex(piece)) as usize]
    }

    pub(crate) fn block(&self, block: BlockRef) -> &[u8] {
        &self.piece(block.index.0)[block.begin as usize..][..block.length as usize]
    }

    /// Puts the files below a folder.
    pub(crate) fn write_to(&self, root: &Path) {
        for file in self.layout.files() {
            let path = file.path.iter().fold(root.to_path_buf(), |path, name| path.join(name));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &self.content[file.range().start as usize..file.range().end as usize])
                .unwrap();
        }
    }

    /// The bytes that the files below a folder have.
    pub(crate) fn read_from(&self, root: &Path) -> Vec<u8> {
        let path = |path: &[String]| path.iter().fold(root.to_path_buf(), |path, name| path.join(name));
        self.layout.files().iter().flat_map(|file| std::fs::read(path(&file.path)).unwrap()).collect()
    }

    pub(crate) fn config(&self, kind: Kind) -> StoreConfig {
        StoreConfig {
            info_hash: InfoHash([7; 20]),
            kind,
            layout: self.layout.clone(),
            hashes: self.hashes.clone(),
            have: Bitfield::new(self.layout.piece_count()),
            unwanted: Vec::new(),
            files: Default::default(),
            read_only: false,
        }
    }
}

/// A store with its surroundings.
pub(crate) struct Bench {
    pub(crate) sample: Sample,
    pub(crate) disk: Disk,
    pub(crate) pool: Pool,
    pub(crate) store: Store,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Bench {
    pub(crate) fn new(sample: Sample, kind: Kind, limit_bytes: usize) -> Self {
        let config = sample.config(kind);
        Self::with(sample, config, limit_bytes).unwrap()
    }

    pub(crate) fn with(sample: Sample, config: StoreConfig, limit_bytes: usize) -> Result<Self, disk::Error> {
        let disk = Disk::start(DiskConfig::default()).unwrap();
        let pool = Pool::new(Ledger::new(limit_bytes));
        let (sender, events) = mpsc::channel();
        // The last events may come after the test has stopped listening.
        let notify = Arc::new(move |event| sender.send(event).unwrap_or_default());
        let store = Store::open(config, &disk, &pool, notify)?;
        Ok(Self { sample, disk, pool, store, events })
    }

    pub(crate) fn event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("an event was due")
    }

    /// Passes over other events until this one comes.
    pub(crate) fn wait_for(&self, expected: &Event) {
        while self.event() != *expected {}
    }

    /// The same for several in any order: pieces that are hashed side by side end as they will.
    pub(crate) fn wait_for_all(&self, expected: impl IntoIterator<Item = Event>) {
        let mut expected: Vec<Event> = expected.into_iter().collect();
        while !expected.is_empty() {
            let event = self.event();
            expected.retain(|other| *other != event);
        }
    }

    /// Reserves as a torrent's task does: again whenever memory may have come back.
    pub(crate) fn reserve(&self, block: BlockRef) {
        let begun = std::time::Instant::now();
        while self.store.reserve(block) == Err(Full) {
            assert!(begun.elapsed() < PATIENCE, "no memory came back");
            std::thread::yield_now();
        }
    }

    /// Brings a block as a link does.
    pub(crate) fn bring(&self, block: BlockRef, payload: &[u8]) {
        let mut buffer = self.store.take_buffer(block).expect("the block was reserved");
        buffer.copy_from_slice(payload);
        assert!(self.store.fill(block, buffer).is_some());
    }

    /// Brings all blocks of a piece, the last one first.
    pub(crate) fn download(&self, piece: u32) {
        let blocks: Vec<BlockRef> = self.sample.layout.blocks(PieceIndex(piece)).collect();
        for &block in &blocks {
            self.reserve(block);
        }
        for &block in blocks.iter().rev() {
            self.bring(block, self.sample.block(block));
        }
    }

    pub(crate) fn download_all(&self) {
        for piece in self.sample.layout.pieces() {
            self.download(piece.0);
            self.wait_for(&verified(piece.0));
            self.wait_for(&written(piece.0));
        }
    }

    /// Lets go of all that is in memory and on disk.
    pub(crate) fn disk_only(&self) {
        self.sample.layout.pieces().for_each(|piece| self.store.evict(piece));
    }

    /// Reads and waits for the reply.
    pub(crate) fn read(&self, piece: u32, range: std::ops::Range<u32>) -> Result<Vec<u8>, ReadError> {
        self.read_parts(piece, range).map(|parts| parts.concat())
    }

    pub(crate) fn read_parts(
        &self,
        piece: u32,
        range: std::ops::Range<u32>,
    ) -> Result<Vec<Bytes>, ReadError> {
        let (sender, receiver) = mpsc::channel();
        self.store.read(PieceIndex(piece), range, Box::new(move |outcome| sender.send(outcome).unwrap()));
        receiver.recv_timeout(PATIENCE).expect("a reply was due")
    }

    /// The whole piece, in reads as long as allowed.
    pub(crate) fn read_piece(&self, piece: u32) -> Result<Vec<u8>, ReadError> {
        let length = self.sample.layout.length_of(PieceIndex(piece));
        let mut bytes = Vec::new();
        for start in (0..length).step_by(1 << 20) {
            bytes.extend(self.read(piece, start..length.min(start + (1 << 20)))?);
        }
        Ok(bytes)
    }
}

pub(crate) fn verified(piece: u32) -> Event {
    Event::Verified { piece: PieceIndex(piece), digests: None }
}

pub(crate) fn written(piece: u32) -> Event {
    Event::Written { piece: PieceIndex(piece) }
}
