//! Films of any length that take no more memory than a pattern.

use std::sync::LazyLock;

use afflux_metainfo::create::Builder;
use sha1_smol::Sha1;

use crate::chance::Chance;

/// All films are this over and over, so that pieces of up to this length are soon hashed.
const PATTERN_BYTES: usize = 16 << 20;

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut chance = Chance::new(0);
    (0..PATTERN_BYTES / 8).flat_map(|_| chance.next().to_le_bytes()).collect()
});

pub(crate) struct Film {
    pub(crate) torrent: Vec<u8>,
    pub(crate) info_hash: [u8; 20],
    pub(crate) length: u64,
    pub(crate) piece: u64,
}

impl Film {
    pub(crate) fn new(nth: usize, length: u64, piece: u64) -> Self {
        let builder =
            Builder::single_file(&format!("film-{nth}.mp4"), length, piece as u32).expect("a usual torrent");
        let digests: Vec<[u8; 20]> =
            PATTERN.chunks(piece as usize).map(|piece| Sha1::from(piece).digest().bytes()).collect();
        let hashes: Vec<[u8; 20]> = digests.iter().cycle().take((length / piece) as usize).copied().collect();
        let torrent = builder.build(&hashes).expect("as many hashes as pieces");
        let parsed = afflux_metainfo::torrent::Torrent::parse(&torrent).expect("our own torrent");
        Self { info_hash: parsed.info.hashes.wire().0, torrent, length, piece }
    }
}

/// What a film has from `offset` on: as much as is in one part.
pub(crate) fn content(offset: u64) -> &'static [u8] {
    &PATTERN[(offset % PATTERN_BYTES as u64) as usize..]
}
