//! The nouns that every other room of Afflux speaks with.
//!
//! Here: [bencode], [info-hashes](hash), [piece and block indices](index), [bitfields](bitfield), the
//! [layout] that translates file bytes to pieces to blocks, [.torrent files](torrent), their
//! [`info` dictionary](info), [safe paths](path), [magnet links](magnet), and [making torrents](create).
//! Not here: anything that reads a file, a socket or a clock; this crate is pure.
//!
//! BEPs: 3 (.torrent), 5 (nodes), 9 (magnet), 12 (announce-list), 19 (url-list), 27 (private), 47 (pad
//! files), 52 (v2), 53 (`so=`).

pub mod bencode;
pub mod bitfield;
pub mod create;
pub mod error;
pub mod hash;
pub mod index;
pub mod info;
mod layers;
pub mod layout;
pub mod limits;
pub mod magnet;
pub mod path;
pub mod torrent;
mod url;

pub use bitfield::Bitfield;
pub use error::TorrentError;
pub use hash::{InfoHash, InfoHashV2, InfoHashes, PeerId};
pub use index::{BLOCK_LENGTH, BlockIndex, BlockRef, FileIndex, PieceIndex};
pub use info::{Incompatible, Info, PieceHashes, V2File, V2Info, Warning};
pub use layout::Layout;
pub use magnet::{Magnet, MagnetError, PeerAddress};
pub use torrent::{PieceLayers, Torrent};
