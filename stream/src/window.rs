//! How far ahead of a reader to fetch.

/// What one reader wants, in bytes of its file. `position <= urgent_end <= soon_end <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The next byte that goes to the player.
    pub position: u64,
    /// Up to here the player needs bytes at once.
    pub urgent_end: u64,
    /// Up to here a pause in arrivals would soon be felt.
    pub soon_end: u64,
    /// Up to here it's worth fetching at all; nothing beyond is wanted by this reader.
    pub end: u64,
    /// Bytes per second at which the position is expected to move; never 0.
    pub rate: u64,
    /// True while the response has nothing to send: the player's buffer is running dry.
    pub waiting: bool,
    /// True while the reader looks like a probe: it gets what it asks for, and no read-ahead.
    pub probe: bool,
}
