//! The fuzz targets: plain functions that panic when something that must hold for any bytes doesn't.
//!
//! Each has a `fuzz_targets/NAME.rs` that hands it to libFuzzer, and a seed corpus in `corpus/NAME/`, which the
//! tests of the root package replay (`tests/corpora.rs`): an input that once broke something goes there.

pub mod broadcast;
pub mod dht;
pub mod matroska;
pub mod media;
pub mod metainfo;
pub mod names;
pub mod peer;
pub mod request;
pub mod shaper;
pub mod sim;
pub mod storage;
pub mod stream;
pub mod subtitles;
pub mod swarm;
pub mod text;
pub mod tracker;
pub mod viewing;

/// A target: panics on bytes for which something doesn't hold that must.
pub type Target = fn(&[u8]);

/// Every target by name. A target that is not in this list isn't fuzzed, and a test fails for it.
pub const TARGETS: &[(&str, Target)] = &[
    ("bencode", metainfo::bencode),
    ("cluster_scan", matroska::cluster_scan),
    ("conditions", stream::conditions),
    ("connection", peer::connection),
    ("container", media::container),
    ("dht_node", dht::dht_node),
    ("extension_handshake", peer::extension_handshake),
    ("ffprobe_report", media::ffprobe_report),
    ("forwarded", stream::forwarded),
    ("intake", storage::intake),
    ("krpc", dht::krpc),
    ("magic", stream::magic),
    ("magnet", metainfo::magnet),
    ("media_token", stream::media_token),
    ("pace", viewing::pace),
    ("parameter_sets", broadcast::parameter_sets),
    ("piece_table", swarm::piece_table),
    ("range_header", stream::range_header),
    ("redact_line", stream::redact_line),
    ("release_name", names::release_name),
    ("request", request::request),
    ("resume", storage::resume),
    ("scenario", sim::scenario),
    ("seek", media::seek),
    ("session", viewing::session),
    ("shaper", shaper::shaper),
    ("sidecar_name", subtitles::sidecar_name),
    ("subtitle", subtitles::subtitle),
    ("suspicions", viewing::suspicions),
    ("text_tracks", text::text_tracks),
    ("torrent", metainfo::torrent),
    ("tracker_http", tracker::tracker_http),
    ("tracker_udp", tracker::tracker_udp),
    ("tracker_url", tracker::tracker_url),
    ("wire", peer::wire),
];
