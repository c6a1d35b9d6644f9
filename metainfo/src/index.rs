//! Newtypes for the numbers that must never be mixed up: pieces, blocks, files.

use std::fmt;

/// Bytes in a block, the unit of the wire, of the v2 hash leaf (BEP 52) and of the piece table.
///
/// BEP 3: "all current implementations use 2^14 (16 KiB), and close connections which request an amount
/// greater than that".
pub const BLOCK_LENGTH: u32 = 16 * 1024;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The number as an index into a slice.
            #[inline]
            pub fn as_usize(self) -> usize {
                self.0 as usize
            }
        }

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index!(
    /// A piece's number within its torrent.
    PieceIndex
);
index!(
    /// A block's number within its piece.
    BlockIndex
);
index!(
    /// A file's number within its torrent, in the order of the metainfo (pad files count).
    FileIndex
);

/// What `request`, `piece`, `cancel` and `reject` name on the wire (BEP 3): a run of bytes inside a piece.
///
/// One that came from a peer is not yet known to exist: see [`Layout::contains`](crate::Layout::contains).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockRef {
    /// The piece.
    pub index: PieceIndex,
    /// Offset of the first byte within the piece.
    pub begin: u32,
    /// Number of bytes.
    pub length: u32,
}

impl BlockRef {
    /// The block this lies in, if it starts on a block boundary.
    pub fn block(&self) -> Option<BlockIndex> {
        self.begin.is_multiple_of(BLOCK_LENGTH).then_some(BlockIndex(self.begin / BLOCK_LENGTH))
    }
}
