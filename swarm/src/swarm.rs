//! The machine of one torrent.
//!
//! Inputs are `handle_*`, commands are verbs; after any of them drain `poll_output`, then sleep until `deadline`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::{Bitfield, InfoHashes, Layout, PieceIndex};
use afflux_peer::Event;

use crate::config::{Config, Strategy};
use crate::input::{Connected, Parting, ReaderKey, Refusal, Report, Window};
use crate::key::PeerKey;
use crate::output::Output;
use crate::roster::Source;

/// How much of what is wanted is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Verified pieces among the selected ones.
    pub pieces_have: u32,
    /// Selected pieces.
    pub pieces_selected: u32,
    /// Bytes of the former.
    pub bytes_have: u64,
    /// Bytes of the latter.
    pub bytes_selected: u64,
}

/// Figures for status lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Peers connected.
    pub connected: u32,
    /// Those of them that have everything.
    pub seeds: u32,
    /// Addresses known.
    pub known: u32,
    /// Peers that serve us.
    pub unchoked_us: u32,
    /// Peers that we serve.
    pub unchoked: u32,
    /// Payload received, in bytes per second.
    pub download_rate: u64,
    /// Payload sent, in bytes per second.
    pub upload_rate: u64,
    /// Payload received since the start, each block once.
    pub received_bytes: u64,
    /// Payload sent since the start.
    pub sent_bytes: u64,
    /// Bytes asked of a second peer because the first was late.
    pub duplicate_bytes: u64,
    /// Blocks that came more than once, in bytes.
    pub wasted_bytes: u64,
    /// Bytes of pieces whose hash was wrong.
    pub failed_bytes: u64,
    /// Bytes of pieces under way.
    pub open_bytes: u64,
    /// Bytes of verified pieces in memory (memory kind).
    pub kept_bytes: u64,
}

/// One torrent's mind.
#[derive(Debug)]
pub struct Swarm {}

#[allow(unused_variables, clippy::todo)]
impl Swarm {
    /// A torrent with no peers. Without `info` the metadata is fetched from peers first.
    pub fn new(
        config: Config,
        info_hashes: InfoHashes,
        info: Option<(Arc<Layout>, Bitfield)>,
        seed: u64,
        now: Instant,
    ) -> Self {
        todo!()
    }
    /// Addresses that may be peers.
    pub fn add_candidates(&mut self, addrs: &[SocketAddr], source: Source, now: Instant) {
        todo!()
    }
    /// A dial that [`Output::Dial`] asked for came to nothing.
    pub fn handle_dial_failed(&mut self, addr: SocketAddr, now: Instant) {
        todo!()
    }
    /// A connection's handshake is done.
    pub fn handle_connected(&mut self, link: Connected, now: Instant) -> Result<PeerKey, Refusal> {
        todo!()
    }
    /// What a link saw of its peer.
    pub fn handle_report<E: Iterator<Item = Event>>(
        &mut self,
        peer: PeerKey,
        report: Report<E>,
        now: Instant,
    ) {
        todo!()
    }
    /// A connection is gone.
    pub fn handle_disconnected(&mut self, peer: PeerKey, why: Parting, now: Instant) {
        todo!()
    }
    /// A piece's hash is right. `digests`: SHA-1 of each block, if they were taken.
    pub fn handle_verified(&mut self, piece: PieceIndex, digests: Option<&[[u8; 20]]>, now: Instant) {
        todo!()
    }
    /// A piece's hash is wrong; storage has forgotten its blocks.
    pub fn handle_failed(&mut self, piece: PieceIndex, digests: &[[u8; 20]], now: Instant) {
        todo!()
    }
    /// Verified pieces are gone without our asking: their file changed underneath us.
    pub fn handle_lost(&mut self, pieces: &[PieceIndex], now: Instant) {
        todo!()
    }
    /// The metadata was parsed and storage is open.
    pub fn learn_layout(&mut self, layout: Arc<Layout>, have: Bitfield, now: Instant) {
        todo!()
    }
    /// The metadata couldn't be used although its hash is right: begin anew.
    pub fn reject_metadata(&mut self, now: Instant) {
        todo!()
    }
    /// A reader's window; with a jump the whole plan is changed in this one step.
    pub fn want(&mut self, reader: ReaderKey, window: Window, now: Instant) {
        todo!()
    }
    /// A reader went away.
    pub fn forget(&mut self, reader: ReaderKey, now: Instant) {
        todo!()
    }
    /// The pieces of the selected files.
    pub fn select(&mut self, wanted: Bitfield, now: Instant) {
        todo!()
    }
    /// Another order for pieces outside of windows.
    pub fn set_strategy(&mut self, strategy: Strategy, now: Instant) {
        todo!()
    }
    /// Another bound on pieces under way.
    pub fn set_open_bytes_max(&mut self, open_bytes_max: u64, now: Instant) {
        todo!()
    }
    /// Ask and dial no more.
    pub fn pause(&mut self, now: Instant) {
        todo!()
    }
    /// Go on after [`Swarm::pause`].
    pub fn resume(&mut self, now: Instant) {
        todo!()
    }
    /// The time of `deadline` has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }
    /// When `handle_timeout` is due.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }
    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }
    /// The verified pieces; `None` while the metadata is missing.
    pub fn have(&self) -> Option<&Bitfield> {
        todo!()
    }
    /// How much of what is selected is there.
    pub fn progress(&self) -> Progress {
        todo!()
    }
    /// Figures for status lines.
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }
    /// Where the run of verified bytes that begins at `offset` ends; `offset` itself if its byte is missing.
    pub fn contiguous_from(&self, offset: u64) -> u64 {
        todo!()
    }
}
